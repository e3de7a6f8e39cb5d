"""The registered model as MLflow loads it: raw events in, scores with reasons out, nothing run on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from peculiar.errors import SchemaError
from peculiar.features.events import EventLog
from peculiar.serving.flavor import EventScorer, load_model, log_model, save_model
from peculiar.serving.scoring import score_events
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.settings import TrainingSettings
from peculiar.training.store import current, open_store
from peculiar.training.train import train

PARAMS = {"budget": 2, "explain": 2}

# pyarrow reads a pandas column of times with a zone in a way that pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray that drops timezone")


@pytest.fixture(scope="module")
def events():
    """Fifty days of sixty users, times with a zone."""
    random = np.random.default_rng(0)
    rows = 4_000
    second = np.sort(random.integers(0, 50 * 86_400, rows))
    return pd.DataFrame(
        {
            "user_id": random.integers(0, 60, rows).astype(str),
            "ts": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(second, unit="s"),
            "action": random.choice(["pay", "look", "ask"], rows),
            "amount": random.random(rows),
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory, events):
    """A store with a champion trained on the events."""
    made = open_store(tmp_path_factory.mktemp("store"))
    small = IsolationForest(trees=50, group_trees=5, samples=256)
    train(EventLog.open(events), settings=TrainingSettings(chosen=(small,)), store=made)
    return made


@pytest.fixture(scope="module")
def model(store):
    """The champion, loaded our way."""
    return load_model("models:/peculiar@champion", store=store)


def _same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert list(left.columns) == list(right.columns)
    np.testing.assert_array_equal(left["score"], right["score"])
    assert [list(x or []) for x in left["reasons"]] == [list(x or []) for x in right["reasons"]]


def test_mlflow_loads_the_champion_and_scores_raw_events(store, model, events, monkeypatch):
    """``mlflow.pyfunc.load_model`` gives the scores of the model itself, to the last bit, with pickles forbidden."""
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with current(store):
        loaded = mlflow.pyfunc.load_model("models:/peculiar@champion")
    _same(loaded.predict(events, params=PARAMS), EventScorer(model).predict(events, PARAMS))
    table = score_events(model, events, **PARAMS)
    np.testing.assert_array_equal(loaded.predict(events)["score"], table["score"].to_numpy())
    assert loaded.metadata.signature.inputs is None


def test_every_kind_of_table_scores_alike(model, events, tmp_path):
    """pandas, Polars, Arrow, times as text, and a path give the same scores."""
    scorer = EventScorer(model)
    events.to_parquet(tmp_path / "events.parquet")
    text = events.assign(ts=events["ts"].dt.strftime("%Y-%m-%dT%H:%M:%S%z"))
    want = scorer.predict(events, PARAMS)
    for given in (pl.from_pandas(events), pl.from_pandas(events).to_arrow(), text, str(tmp_path / "events.parquet")):
        _same(scorer.predict(given, PARAMS), want)


def test_a_served_model_opens_no_file(model, monkeypatch):
    """Whoever calls a server cannot make it open a file of its choice."""
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    with pytest.raises(SchemaError, match="a served model opens no files"):
        EventScorer(model).predict("/etc/passwd")
    with pytest.raises(SchemaError, match="a served model opens no files"):
        EventScorer(model).predict(Path("/etc/passwd"))


@pytest.mark.parametrize("data", [[1, 2], np.zeros((2, 2)), {"a": [1]}, None])
def test_what_is_no_table_is_refused(model, data):
    """A list, an array, a mapping and nothing are errors that say what to send."""
    with pytest.raises(SchemaError, match="expected a table of events, got"):
        EventScorer(model).predict(data)


def test_the_flavor_logs_to_an_active_run(store, model):
    """``log_model`` works as MLflow's own flavors do, and what it logs is vouched for."""
    import mlflow

    with current(store), mlflow.start_run(experiment_id=store.experiment_id):
        info = log_model(model, "by_hand", registered_model_name="by_hand")
    assert load_model(info.model_uri, store=store).fingerprint == model.fingerprint
    tags = store.client.get_model_version("by_hand", "1").tags
    assert tags["peculiar.sha256"] == model.fingerprint


def test_a_saved_folder_loads_without_a_registry(store, model, events, tmp_path):
    """``save_model`` gives a folder that both doors open."""
    import mlflow

    save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model", store=store).fingerprint == model.fingerprint
    _same(mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(events), EventScorer(model).predict(events))


def test_our_door_imports_nothing_that_the_artifact_names(store, model, tmp_path):
    """A module named in the metadata, a code folder and a pickle beside the data stay untouched."""
    save_model(model, tmp_path / "model")
    trap = tmp_path / "model" / "code"
    trap.mkdir()
    (trap / "trap_module.py").write_text("raise SystemExit('sprung')")
    (tmp_path / "model" / "python_model.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    page = tmp_path / "model" / "MLmodel"
    page.write_text(page.read_text().replace("peculiar.serving.flavor", "trap_module\n    code: code"))
    before = set(sys.modules)
    assert load_model(tmp_path / "model", store=store).fingerprint == model.fingerprint
    assert "trap_module" not in set(sys.modules) - before
    assert str(trap) not in sys.path


@contextlib.contextmanager
def _served(folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "-p", str(port)]
    command += ["--env-manager", "local"]
    with (folder.parent / "server.log").open("wb") as log:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow looks for uvicorn there
        environment = os.environ | {"PATH": path}
        server = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder.parent, start_new_session=True, env=environment
        )
    try:
        for _ in range(300):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
                break
            assert server.poll() is None, (folder.parent / "server.log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)


def _post(address: str, body: dict) -> object:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def test_a_real_server_answers_raw_events(model, events, tmp_path):
    """``mlflow models serve`` gives over HTTP the scores and reasons of batch scoring, and refuses a path."""
    save_model(model, tmp_path / "model")
    sent = events.assign(ts=events["ts"].dt.strftime("%Y-%m-%dT%H:%M:%S%z"))
    with _served(tmp_path / "model") as address:
        body = {"dataframe_split": sent.to_dict("split"), "params": PARAMS}
        rows = _post(address, body)["predictions"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            _post(address, {"inputs": "/etc/passwd"})
    want = EventScorer(model).predict(events, PARAMS)
    assert [row["score"] for row in rows] == want["score"].tolist()
    assert [row["reasons"] for row in rows] == want["reasons"].tolist()
    assert [row["entity"] for row in rows] == want["entity"].tolist()
