"""What a scoring run leaves behind: the line in the record first, the run in MLflow last, each telling of the other."""

from __future__ import annotations

import json

import pytest

from peculiar.audit import verify
from peculiar.serving.traces import Trace, model_name
from peculiar.training.references import load
from peculiar.training.store import open_store
from peculiar.training.tracking import RunRecord


@pytest.fixture(scope="module")
def loaded(trained):
    """The champion."""
    return load(trained.store, "models:/peculiar@champion")


def test_a_model_is_named_by_its_version_or_its_fingerprint(trained, loaded, tmp_path):
    """A folder that no registry knows has the beginning of its SHA-256."""
    loaded.model.save(tmp_path / "saved")
    assert model_name(loaded) == f"peculiar/{trained.result.champion.number}"
    assert model_name(load(trained.store, str(tmp_path / "saved"))) == trained.result.champion.sha256[:12]


def test_the_line_and_the_run_tell_of_each_other(trained, loaded):
    """The run carries the digest of the line, which verifies as the head of the record; parameters are in both."""
    trace = Trace(trained.store, loaded, "models:/peculiar@champion", "/out/night.parquet", {"budget": 7})
    digest = trace.use(data="cafe", rows=12)
    path = trained.store.home / "audit.jsonl"
    use = json.loads(path.read_text().splitlines()[-1])
    assert verify(path, head=digest).head == digest
    found = {name: use[name] for name in ("verb", "model", "version", "data", "rows", "output", "parameters")}
    assert found == {
        "verb": "score", "model": "peculiar", "version": trained.result.champion.number, "data": "cafe", "rows": 12,
        "output": "/out/night.parquet", "parameters": {"budget": 7},
    }  # fmt: skip
    run_id, error = trace.run(RunRecord(note="told", metrics={"score/rows": 12.0}), digest=digest)
    run = trained.store.client.get_run(run_id)
    assert error == ""
    assert (run.info.run_name, run.info.status) == ("score night.parquet", "FINISHED")
    assert (run.data.tags["peculiar.audit"], run.data.metrics["score/rows"]) == (digest, 12.0)
    assert run.data.params["model/version"] == f"peculiar/{trained.result.champion.number}"
    assert run.data.params["output"] == "/out/night.parquet"


def test_an_error_of_mlflows_is_told_and_takes_nothing_back(loaded, tmp_path):
    """In a store whose experiment was deleted there is no run; the line in the record stands."""
    store = open_store(tmp_path)
    trace = Trace(store, loaded, "models:/peculiar@champion", str(tmp_path / "night.parquet"))
    digest = trace.use(data="cafe", rows=1)
    store.client.delete_experiment(store.experiment_id)
    run_id, error = trace.run(RunRecord(note="told"), digest=digest)
    assert run_id == ""
    assert error.startswith("the scores are complete, but MLflow has no whole run about them: ")
    assert verify(tmp_path / "audit.jsonl", head=digest).lines == 1
