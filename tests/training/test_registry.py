"""Models in the registry: whole or not there, vouched for, and found by alias."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import stand_in

from peculiar.training.dataset import EventLogDataset, LogProfile
from peculiar.training.registry import by_alias, by_number, champion, log_model, register, set_alias
from peculiar.training.tracking import RunRecord, open_store, running, write_record


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own for these tests, far from the folder of the process."""
    return open_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    for name, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)


def _logged(store, salt="0"):
    with running(store, "candidate", name="forest", kind="isolation_forest") as run:
        write_record(run, RunRecord(params={"model/trees": 300}))
        return log_model(run, stand_in.StandIn(salt=salt), name="isolation_forest")


def test_a_logged_model_is_ready_and_tied_to_its_run(store):
    """The model is READY, has its run's params, vouches for its data, and is an output of the run."""
    logged = _logged(store)
    found = store.client.get_logged_model(logged.model_id)
    assert (str(found.status), found.params, found.source_run_id) == ("READY", {"model/trees": "300"}, logged.run_id)
    assert found.tags["peculiar.sha256"] == logged.sha256 == stand_in.StandIn().fingerprint
    outputs = store.client.get_run(logged.run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [logged.model_id]


def test_metrics_are_tied_to_the_model_and_its_data(store):
    """The logged model's page shows the metrics that judge it, each with the log it was measured on."""
    profile = LogProfile(events=2, entities=1, first="2026-01-01", last="2026-01-02")
    dataset = EventLogDataset("week 2", fingerprint="cafe", profile=profile)
    with running(store, "candidate", name="forest", kind="isolation_forest") as run:
        logged = log_model(run, stand_in.StandIn(), name="isolation_forest")
        write_record(run, RunRecord(metrics={"test/roc_auc": 0.9}), model_id=logged.model_id, dataset=dataset)
    metrics = store.client.get_logged_model(logged.model_id).metrics
    told = [(metric.key, metric.value, metric.dataset_name, metric.dataset_digest) for metric in metrics]
    assert told == [("test/roc_auc", 0.9, "week 2", "cafe")]


def test_a_model_that_cannot_be_saved_is_marked(store, monkeypatch):
    """A failure while saving leaves a FAILED model, not one that seems to be on its way."""
    monkeypatch.setattr(stand_in.StandIn, "save", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        _logged(store)
    statuses = [str(model.status) for model in store.client.search_logged_models([store.experiment_id])]
    assert "FAILED" in statuses


def test_a_version_vouches_for_its_data(store):
    """A version has the fingerprints as tags, its description, and the logged model behind it."""
    logged = _logged(store, "v")
    version = register(store, logged, name="vouched", description="the best", tags={"peculiar.data": "cafe"})
    assert (version.sha256, version.kind, version.plan) == (logged.sha256, "isolation_forest", "0123456789abcdef")
    assert (version.model_id, version.run_id, version.number) == (logged.model_id, logged.run_id, "1")
    found = store.client.get_model_version("vouched", "1")
    assert (found.description, found.tags["peculiar.data"]) == ("the best", "cafe")
    assert by_number(store, "vouched", "1") == version
    assert by_number(store, "vouched", "2") is None


def test_an_alias_moves(store):
    """Before the first there is no champion; a new champion takes the alias from the old one."""
    assert champion(store, "moving") is None
    first, second = (register(store, _logged(store, salt), name="moving") for salt in "ab")
    set_alias(store, first, "champion")
    assert champion(store, "moving").number == "1"
    assert set_alias(store, second, "champion").aliases == ("champion",)
    assert champion(store, "moving").number == "2"
    assert by_alias(store, "challenger", name="moving") is None


@pytest.mark.parametrize(
    "where",
    ["create_model_version", *(pytest.param(each, marks=pytest.mark.long) for each in ("save", "log_model_artifacts"))],
)
def test_a_kill_leaves_no_half_registered_version(store, where):
    """SIGKILL while saving, while uploading, or just before registering: the registry has no version of it."""
    code = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import stand_in; sys.modules.update(stand_in.modules())
        from mlflow import MlflowClient
        from peculiar.training.tracking import open_store, running
        from peculiar.training.registry import log_model, register
        store = open_store(Path({str(store.home)!r}))
        owner = stand_in.StandIn if {where!r} == "save" else MlflowClient
        setattr(owner, {where!r}, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        with running(store, "candidate", name="x", kind="isolation_forest") as run:
            register(store, log_model(run, stand_in.StandIn(), name="x"), name="killed")
    """)
    ended = subprocess.run([sys.executable, "-c", code], check=False, cwd=store.home, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert store.client.search_model_versions("name = 'killed'") == []
