"""Runs: everything a record holds arrives, and a run ends as what it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from peculiar.training.dataset import EventLogDataset, LogProfile
from peculiar.training.figures import importance_figure
from peculiar.training.tracking import (
    BY_BUDGET,
    CARD,
    IMPORTANCE,
    RunRecord,
    close_orphans,
    log_inputs,
    open_store,
    running,
    write_record,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own for these tests."""
    return open_store(tmp_path_factory.mktemp("store"))


def _run(store, run_id):
    return store.client.get_run(run_id)


def test_a_record_arrives_whole(store):
    """Params, metrics, curves, figures, tables, texts, tags and the note are in the run afterwards."""
    record = RunRecord(
        note="**Found** it.",
        params={"model/trees": 300},
        metrics={"test/roc_auc": 0.9, "test/none": float("nan")},
        curves={"curve/precision_at_k": {10: 0.5, 100: 0.25}},
        figures={IMPORTANCE: importance_figure({"events_1d": 1.0})},
        tables={BY_BUDGET: {"budget": [10, 100], "precision": [0.5, 0.25]}},
        texts={CARD: "# card"},
        tags={"peculiar.plan": "abc"},
    )
    with running(store, "candidate", name="lightgbm", kind="lightgbm") as run:
        write_record(run, record)
    found = _run(store, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"model/trees": "300"}
    assert found.data.metrics == {"test/roc_auc": 0.9, "curve/precision_at_k": 0.25}
    assert [(m.step, m.value) for m in store.client.get_metric_history(run.run_id, "curve/precision_at_k")] == [
        (10, 0.5),
        (100, 0.25),
    ]
    assert found.data.tags["mlflow.note.content"] == "**Found** it."
    assert found.data.tags["mlflow.runColor"] == "#D55E00"
    assert found.data.tags["peculiar.role"] == "candidate"
    listed = [store.client.list_artifacts(run.run_id, folder) for folder in ("", "plots", "tables")]
    paths = {file.path for files in listed for file in files}
    assert {IMPORTANCE, BY_BUDGET, CARD} <= paths


def test_data_are_inputs_of_a_run(store):
    """A run has the logs it learned from and was measured on as inputs, each with its part."""
    profile = LogProfile(events=2, entities=1, first="2026-01-01", last="2026-01-02")
    dataset = EventLogDataset("week 2", fingerprint="cafe", profile=profile)
    with running(store, "candidate", name="forest") as run:
        write_record(run, RunRecord(metrics={"test/roc_auc": 0.9}), dataset=dataset)
        log_inputs(run, dataset=EventLogDataset("week 1", fingerprint="f00d", profile=profile))
    inputs = _run(store, run.run_id).inputs.dataset_inputs
    parts = {(found.dataset.digest, found.tags[0].value) for found in inputs}
    assert parts == {("cafe", "evaluation"), ("f00d", "training")}


def test_a_candidate_stands_under_its_study(store):
    """The parent of a run is the study that it was opened in."""
    with running(store, "study", name="study") as study, running(store, "candidate", name="x", parent=study) as run:
        pass
    assert _run(store, run.run_id).data.tags["mlflow.parentRunId"] == study.run_id


@pytest.mark.parametrize(("error", "status"), [(ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_that_dies_is_marked(store, error, status):
    """An error leaves FAILED, Ctrl-C leaves KILLED, and both go on to the caller."""
    with pytest.raises(type(error)), running(store, "study", name="study") as run:
        raise error
    assert _run(store, run.run_id).info.status == status


def test_orphans_of_killed_processes_are_closed(store):
    """A run whose process was killed with SIGKILL is FAILED after the next sweep; a living one is left alone."""
    code = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from peculiar.training.tracking import open_store, running
        with running(open_store(Path({str(store.home)!r})), "study", name="killed") as run:
            print(run.run_id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=store.home)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with running(store, "study", name="alive") as alive:
        assert close_orphans(store) == [ended.stdout.strip()]
    assert _run(store, ended.stdout.strip()).info.status == "FAILED"
    assert _run(store, alive.run_id).info.status == "FINISHED"


def test_a_model_half_logged_by_a_killed_run_is_failed(store):
    """It would stay PENDING for ever; one that a run at work is logging is left alone."""
    code = (
        "import os, signal, sys; from pathlib import Path; from peculiar.training.tracking import open_store, running\n"
        "store = open_store(Path('.'))\n"
        "with running(store, 'study', name='to be killed') as run:\n"
        "    made = store.client.create_logged_model(store.experiment_id, name='half', source_run_id=run.run_id)\n"
        "    print(made.model_id, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=store.home)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with running(store, "study", name="at work") as alive:
        ours = store.client.create_logged_model(store.experiment_id, name="ours", source_run_id=alive.run_id)
        close_orphans(store)
        statuses = [store.client.get_logged_model(model).status for model in (ended.stdout.strip(), ours.model_id)]
    assert [str(status) for status in statuses] == ["FAILED", "PENDING"]
