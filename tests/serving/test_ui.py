"""MLflow's page on the right store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace

import pytest

from peculiar.serving.ui import comparison_url, serve_ui, ui_server
from peculiar.training.registry import champion
from peculiar.training.store import open_store
from peculiar.training.tracking import RunRecord, running, write_record
from peculiar.training.views import save_views


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own for these tests."""
    return open_store(tmp_path_factory.mktemp("store"))


def test_the_address_opens_the_saved_view(store):
    """The page comes up in the mode for models, on the view of the candidates, as charts."""
    assert comparison_url(store, port=5001) == (
        f"http://127.0.0.1:5001/#/experiments/{store.experiment_id}/runs?workflowType=machine_learning"
        "&viewStateShareKey=peculiarcandidates&compareRunsMode=CHART"
    )
    remote = comparison_url(replace(store, uri="https://mlflow.example/"))
    assert remote.startswith("https://mlflow.example/#/experiments/")


def test_a_store_that_is_a_server_is_only_pointed_at(store, capsys):
    """Nothing is started when a server is there already."""
    serve_ui(replace(store, uri="https://mlflow.example"))
    assert "https://mlflow.example/#/experiments/" in capsys.readouterr().out


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_server_shows_the_store_and_takes_runs(store, tmp_path, monkeypatch):
    """Over HTTP the same code writes runs, files and views into the same database; afterwards no process is left."""
    with ui_server(store, port=0) as (process, port):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        remote = open_store(tmp_path)
        assert remote.experiment_id == store.experiment_id
        with running(remote, "candidate", name="over HTTP") as run:
            write_record(run, RunRecord(metrics={"test/roc_auc": 0.5}, texts={"card.md": "# card"}))
        assert save_views(remote)
        assert champion(remote) is None
        card = f"http://127.0.0.1:{port}/get-artifact?path=card.md&run_uuid={run.run_id}"
        with urllib.request.urlopen(card) as answer:
            assert answer.read() == b"# card"
    assert store.client.get_run(run.run_id).data.metrics == {"test/roc_auc": 0.5}
    assert process.returncode is not None
    assert not _alive(process.pid)


_COMMAND = """
import signal, sys
from pathlib import Path
from peculiar.serving.ui import serve_ui
from peculiar.training.store import open_store
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with Ctrl-C switched off
serve_ui(open_store(Path(sys.argv[1])), port=int(sys.argv[2]))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_the_command_names_its_address_and_ends_cleanly(store, ending):
    """A taken port is said and another used; Ctrl-C or a polite kill ends the command with 0, and no server is left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-c", _COMMAND, str(store.home), str(taken.getsockname()[1])]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=store.home
        ) as shown:
            try:
                lines = [shown.stdout.readline() for _ in range(4)]
                address = lines[2].strip().split("#")[0]
                with urllib.request.urlopen(address + "health") as answer:  # noqa: S310 - our own server
                    assert answer.status == 200
                shown.send_signal(ending)
                rest = shown.communicate(timeout=30)[0]
            finally:
                shown.terminate()
    assert "is in use; taking" in lines[0]
    assert (shown.returncode, rest.strip()) == (0, "Stopped.")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address + "health", timeout=2)  # noqa: S310 - our own server
