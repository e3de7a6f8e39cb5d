"""The store: one database, created once, wherever the user wants it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from peculiar.errors import ConfigError
from peculiar.training.store import current, open_store


def test_default_store_stands_in_home_alone(tmp_path, monkeypatch):
    """Database and artifacts are in the home folder, in WAL mode, and nothing is left where the process stands."""
    monkeypatch.chdir(tmp_path)
    store = open_store(tmp_path / "project")
    assert store.uri == f"sqlite:///{tmp_path}/project/mlflow.db"
    assert store.client.get_experiment("1").artifact_location == f"file://{tmp_path}/project/mlartifacts"
    assert {path.name for path in tmp_path.iterdir()} == {"project"}
    with sqlite3.connect(tmp_path / "project" / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert not (tmp_path / "project" / "mlflow.db.new").exists()
    assert open_store(tmp_path / "project") == store


def test_a_tracking_uri_of_the_user_wins(tmp_path, monkeypatch):
    """MLFLOW_TRACKING_URI decides over the home folder, and artifacts stand beside its database."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other/runs.db")
    store = open_store(tmp_path / "project", experiment="night shift")
    assert store.uri == f"sqlite:///{tmp_path}/other/runs.db"
    assert store.client.get_experiment(store.experiment_id).artifact_location == f"file://{tmp_path}/other/mlartifacts"
    assert not (tmp_path / "project").exists()


def test_opening_leaves_the_process_as_it_was(tmp_path):
    """The process-wide tracking URI is touched only inside of ``current``, and put back."""
    import mlflow

    store = open_store(tmp_path)
    assert not mlflow.is_tracking_uri_set()
    with current(store):
        assert mlflow.get_tracking_uri() == store.uri
    assert not mlflow.is_tracking_uri_set()
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.long
def test_processes_may_open_at_once(tmp_path):
    """Two processes that open a store that does not exist yet all get the same experiment."""
    code = "from pathlib import Path; from peculiar.training.store import open_store; print(open_store(Path()))"
    command = [sys.executable, "-c", code]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True) for _ in range(2)]
    told = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert len(set(told)) == 1


def test_a_deleted_experiment_is_named(tmp_path):
    """An experiment in MLflow's bin is an error that says so, not a failure later."""
    store = open_store(tmp_path)
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(ConfigError, match=r"'peculiar' .* was deleted; restore it"):
        open_store(tmp_path)
