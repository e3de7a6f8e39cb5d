"""The short names of versions."""

from __future__ import annotations

import pytest

from peculiar.errors import BundleError
from peculiar.training.versions import find_version, version_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("2", "models:/cards/2"),
        ("other/2", "models:/other/2"),
        ("models:/other/2", "models:/other/2"),
        ("@champion", "models:/cards@champion"),
        ("other@champion", "models:/other@champion"),
        ("models:/other@champion", "models:/other@champion"),
        ("models:/m-" + "0" * 32, "models:/m-" + "0" * 32),
        ("a/folder", "a/folder"),
    ],
)
def test_short_names_are_written_out(text, uri):
    """Numbers and aliases belong to the model given, unless they name their own; the rest stays as it is."""
    assert version_uri(text, name="cards") == uri


def test_only_registered_versions_are_found(trained, tmp_path):
    """A number finds its version; a model that was never registered, or is not there, is an error that tells so."""
    store, version = trained.store, trained.result.versions[0]
    assert find_version(store, version.number, name=version.name).model_id == version.model_id
    with pytest.raises(BundleError, match="expected a registered version such as 3"):
        find_version(store, f"models:/{version.model_id}", name=version.name)
    with pytest.raises(BundleError, match="there is no model models:/peculiar/99"):
        find_version(store, "99", name="peculiar")
