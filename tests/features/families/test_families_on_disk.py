"""What is in the folder is what is discovered, and each family has its test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from peculiar.features import families
from peculiar.features.families import FAMILIES
from peculiar.features.family import FeatureFamily

FOLDER = Path(families.__file__).parent


def test_the_folder_is_the_list():
    """Each file of the folder is a family in FAMILIES and the other way round, so that none is forgotten."""
    on_disk = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert on_disk == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_lives_in_the_file_of_its_name(name):
    """``families/<name>.py`` defines the family of that name and exports it, and it keeps the protocol."""
    family = FAMILIES[name]
    assert family.name == name
    assert family.__module__ == f"{families.__name__}.{name}"
    assert family.__name__ in sys.modules[family.__module__].__all__
    assert family.__name__ in families.__all__
    assert isinstance(family(), FeatureFamily)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_has_a_mirrored_test(name):
    """``tests/features/families/test_<name>.py`` exists and compares with a plain reference on random logs."""
    mirror = Path(__file__).parent / f"test_{name}.py"
    assert mirror.is_file()
    text = mirror.read_text(encoding="utf-8")
    assert "@given(world=worlds())" in text
    assert "hold(vectors, rows, expected)" in text
