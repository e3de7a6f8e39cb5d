"""Finding models by name, and loading nothing but data that someone vouches for."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import stand_in

from peculiar.errors import BundleError
from peculiar.training.references import load, resolve
from peculiar.training.registry import log_model, register, set_alias
from peculiar.training.tracking import open_store, running


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own for these tests."""
    return open_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    for name, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)


def _registered(store, salt):
    with running(store, "candidate", name="forest", kind="isolation_forest") as run:
        logged = log_model(run, stand_in.StandIn(salt=salt), name="forest")
    return logged, set_alias(store, register(store, logged), "champion")


def test_every_kind_of_reference_finds_the_model(store, tmp_path):
    """Alias, number, logged model, run and model, run alone, MLflow's folder and a bare folder load the same model."""
    logged, version = _registered(store, "here")
    stand_in.StandIn(salt="here").save(tmp_path / "bare")
    folder = urlsplit(resolve(store, logged.uri).location).path
    references = [
        "models:/peculiar@champion", version.uri, logged.uri, f"runs:/{logged.run_id}/forest", f"runs:/{logged.run_id}",
        folder, tmp_path / "bare",
    ]  # fmt: skip
    loaded = [load(store, reference) for reference in references]
    assert {found.model for found in loaded} == {stand_in.StandIn(salt="here")}
    assert {found.source.sha256 for found in loaded} == {logged.sha256}
    assert loaded[0].source.version == version


@pytest.mark.parametrize(("reference", "message"), [
    ("models:/peculiar@nobody", "has the aliases champion and 1 versions, the latest is 1"),
    ("models:/peculiar/99", "has the aliases champion"),
    ("models:/strange@champion", r"no version of 'strange' is registered \(registered models: peculiar\)"),
    ("models:/m-" + "0" * 32, "there is no logged model m-0000"),
    ("runs:/" + "0" * 32 + "/forest", "there are 0; it has none"),
    ("models:/peculiar", "expected a model such as models:/peculiar@champion"),
    ("/nowhere", "expected a model such as"),
    (Path(__file__).parent, "found no manifest.json there"),
])  # fmt: skip
def test_what_is_not_there_is_said_with_what_there_is(tmp_path_factory, reference, message, store):
    """A reference to nothing names the choices."""
    if not store.client.search_registered_models():
        _registered(store, "only")
    with pytest.raises(BundleError, match=message):
        load(store, reference)


def test_a_changed_file_is_refused(store):
    """A file that no longer fits the manifest is refused by name."""
    logged, _ = _registered(store, "changed")
    folder = Path(urlsplit(resolve(store, logged.uri).location).path)
    (folder / "peculiar" / "model.json").write_text("{}")
    with pytest.raises(BundleError, match=r"model\.json was changed"):
        load(store, logged.uri)


@pytest.mark.parametrize("by", ["version", "logged model"])
def test_a_whole_other_model_in_its_place_is_refused(store, by):
    """A folder that fits its own manifest, but not the fingerprint in the store, is refused."""
    logged, version = _registered(store, f"true {by}")
    folder = Path(urlsplit(resolve(store, logged.uri).location).path) / "peculiar"
    stand_in.StandIn(salt="forged").save(folder)
    with pytest.raises(BundleError, match=f"the store vouches for {logged.sha256}"):
        load(store, version.uri if by == "version" else logged.uri)
