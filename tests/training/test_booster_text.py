"""LightGBM's text is looked through: what it writes passes, and a tree that is none is refused before it is read."""

from __future__ import annotations

import re

import numpy as np
import pytest
from toys import awkward

from peculiar.training.booster_text import check_booster_text
from peculiar.training.lightgbm import LightGBM


@pytest.fixture(scope="module")
def text() -> str:
    """What LightGBM wrote of a few small trees."""
    vectors, labels = awkward()
    return LightGBM(rounds=5, patience=5).fit(vectors, labels, seed=0).text


def changed(text: str, name: str, numbers, tree: int = 0) -> str:
    """The text with other numbers on one line of one tree, its size told rightly; by a function of those there."""
    head, *trees = re.split(r"(?<=\n)(?=Tree=)", text)
    line = re.search(rf"^{name}=(.*)$", trees[tree], re.MULTILINE)
    words = " ".join(str(number) for number in numbers([*map(float, line[1].split())]))
    words = re.sub(r"(-?\d+)\.0\b", r"\1", words)
    spoiled = trees[tree].replace(line[0], f"{name}={words}", 1)
    sizes = [int(size) for size in re.search(r"^tree_sizes=(.*)$", head, re.MULTILINE)[1].split()]
    sizes[tree] += len(spoiled) - len(trees[tree])
    trees[tree] = spoiled
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={' '.join(map(str, sizes))}", head, flags=re.MULTILINE) + "".join(
        trees
    )


def test_what_lightgbm_writes_passes(text):
    """The text of a booster is accepted, and so is one whose lines were only written anew."""
    check_booster_text(text)
    assert changed(text, "split_feature", lambda there: there) == text


@pytest.mark.parametrize(
    ("name", "numbers", "said"),
    [
        ("split_feature", lambda there: [9, *there[1:]], "split_feature below 9"),
        ("split_feature", lambda there: [-1, *there[1:]], "split_feature below 9"),
        ("split_feature", lambda there: there[1:], "numbers of split_feature"),
        ("decision_type", lambda there: [3, *there[1:]], "decision_type"),
        ("left_child", lambda there: [0, *there[1:]], "children that"),
        ("right_child", lambda there: [10**6, *there[1:]], "children that"),
        ("left_child", lambda there: [*there[:-1], there[-1] - 50], "children that"),
        ("leaf_value", lambda there: [np.nan, *there[1:]], "finite leaf_value"),
        ("leaf_value", lambda there: there[:-1], "numbers of leaf_value"),
        ("threshold", lambda there: there[:-1], "numbers of threshold"),
        ("num_leaves", lambda there: [there[0] + 1], "numbers of split_feature"),
        ("num_cat", lambda _: [1], "leaves and no categories"),
    ],
)
def test_a_tree_that_is_none_is_refused(text, name, numbers, said):
    """Columns, children or leaves that are not there, categories and numbers that are missing are told by tree."""
    with pytest.raises(ValueError, match=rf"Tree=0: .*{said}"):
        check_booster_text(changed(text, name, numbers))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version=v4", "version=v5", "version=v4"),
        ("num_class=1", "num_class=2", "one tree an iteration"),
        ("objective=binary", "objective=regression", "objective=binary"),
        ("end of trees", "end of the trees", "end of trees"),
        ("Tree=1\n", "Tree=7\n", "Tree=1"),
        ("feature_names=", "feature_names=more ", "9 feature_names"),
        ("\nTree=0\n", "\n\nTree=0\n", ""),
    ],
)
def test_a_head_of_another_kind_is_refused(text, old, new, said):
    """Another version, objective, number of classes, order or size of trees than ours is told."""
    spoiled = text.replace(old, new, 1)
    if not said:  # a head may be longer; a tree may not
        check_booster_text(spoiled)
        spoiled, said = text.replace("\nTree=1\n", "\n\nTree=1\n", 1), "tree_sizes"
    with pytest.raises(ValueError, match=said):
        check_booster_text(spoiled)
