"""The registered model as MLflow loads it: raw events in, scores with reasons out, nothing run on the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from packaging.requirements import Requirement

from peculiar.errors import BundleError, ConfigError, SchemaError
from peculiar.features.events import EventLog
from peculiar.serving.flavor import EventScorer, load_model, log_model, save_model
from peculiar.serving.scoring import score_batch, score_events
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.packaging import SCORES
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
    for told in ("reasons", "evidence"):
        assert [list(x or []) for x in left[told]] == [list(x or []) for x in right[told]]


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


@pytest.mark.parametrize("data", [[1, 2], np.zeros((2, 2)), 7, None])
def test_what_is_no_table_is_refused(model, data):
    """A list of numbers, an array, a number and nothing are errors that say what to send."""
    with pytest.raises(SchemaError, match="expected a table of events, got"):
        EventScorer(model).predict(data)


def test_columns_and_records_are_tables(model, events):
    """A dict of columns and a list of records score as the frame does; columns of unequal length are refused."""
    scorer = EventScorer(model)
    want = scorer.predict(events, PARAMS)
    _same(scorer.predict({name: events[name].to_numpy() for name in events}, PARAMS), want)
    _same(scorer.predict(np.array(events.to_dict("records")), PARAMS), want)
    with pytest.raises(SchemaError, match="columns of one length"):
        scorer.predict({"user_id": ["a"], "ts": []})
    with pytest.raises(SchemaError, match="expected a column"):
        scorer.predict({"a": ["secret"]})


def test_the_answer_is_the_table_of_batch_scoring(model, events):
    """Every column, in its order, with its values; and every one of them is in the signature, with its type."""
    table = score_events(model, events, **PARAMS)
    frame = EventScorer(model).predict(events, PARAMS)
    assert list(frame) == table.column_names
    assert pa.Table.from_pandas(frame, table.schema, preserve_index=False).equals(table)
    assert [(field.name, field.type) for field in table.schema] == [(name, kind) for name, (kind, _) in SCORES.items()]
    assert [name for name, (_, always) in SCORES.items() if always and table[name].null_count] == []


@pytest.mark.parametrize("params", [{"fdr": 0.2}, {"fdr": 0.2, "budget": 1}, {"budget": 0}, {"explain": 0}, {}, None])
def test_settings_are_those_of_batch_scoring(model, events, params):
    """A budget, a false-discovery rate, both and neither alert at the same windows as batch scoring does."""
    few = events[:800]
    got, want = EventScorer(model).predict(few, params), score_batch(model, few, **(params or {})).table
    assert got["alert"].tolist() == want["alert"].to_pylist()
    for told in ("reasons", "evidence"):
        assert got[told].tolist() == want[told].to_pylist()


@pytest.mark.parametrize(
    "params", [{"budget": -1}, {"budget": 1.5}, {"fdr": 0.0}, {"fdr": 2.0}, {"explain": -1}, {"x": 1}]
)
def test_settings_out_of_range_are_refused(model, events, params):
    """The error names the setting and its range."""
    with pytest.raises(ConfigError, match=rf"expected .* {next(iter(params))}"):
        EventScorer(model).predict(events, params)


def test_parts_by_entity_score_as_the_whole(model, events):
    """Whole partitions by entity, as ``mapInPandas`` hands them over, give the scores of the whole to the last bit.

    Ranks and alerts are of a day and all its entities: they are given after the parts are together again.
    """
    assert not model.plan.shared
    scorer = EventScorer(model)
    whole = scorer.predict(events, {"explain": 0}).set_index(["entity", "as_of"])
    bucket = pd.util.hash_array(events["user_id"].to_numpy(object)) % 4
    parts = [scorer.predict(events[bucket == number], {"explain": 0}) for number in range(4)]
    joined = pd.concat(parts).set_index(["entity", "as_of"]).loc[whole.index]
    assert len(parts) == 4
    assert len(joined) == len(whole)
    for column in ("since", "score", "p_value"):
        np.testing.assert_array_equal(joined[column], whole[column])
    order = joined.reset_index().sort_values(["as_of", "score"], ascending=[True, False], kind="stable")
    rank = order.groupby("as_of").cumcount().add(1)
    assert rank.to_numpy().tolist() == whole.reset_index().loc[order.index, "rank"].tolist()


def test_mlflow_knows_the_example(model, tmp_path):
    """The made-up example is what MLflow shows, it scores, and saving starts no other process."""
    import mlflow

    started = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda *_, **__: started.append(1))
        save_model(model, tmp_path / "model")
    assert not started
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    example = loaded.input_example
    assert list(example) == list(model.plan.roles.columns)
    assert set(example["user_id"]) == {"somebody"}
    assert len(loaded.predict(example)) == 1
    sent = json.loads((tmp_path / "model" / "serving_input_example.json").read_text())
    rows = example.astype(object).where(example.notna(), None).to_numpy().tolist()  # null in JSON is NaN in a frame
    assert sent == {"dataframe_split": {"columns": list(example), "data": rows}}


def test_mlflows_door_holds_the_data_against_a_fingerprint(model, tmp_path):
    """The one in the metadata, or one that the caller names; a whole other model in the folder is refused."""
    import mlflow

    save_model(model, tmp_path / "model")
    named = {"sha256": model.fingerprint}
    assert mlflow.pyfunc.load_model(str(tmp_path / "model"), model_config=named).get_raw_model() is not None
    with pytest.raises(BundleError, match=f"expected the model {'0' * 64}"):
        mlflow.pyfunc.load_model(str(tmp_path / "model"), model_config={"sha256": "0" * 64})
    shutil.rmtree(tmp_path / "model" / "peculiar")
    replace(model, card={}).save(tmp_path / "model" / "peculiar")
    with pytest.raises(BundleError, match=f"expected the model {model.fingerprint}"):
        mlflow.pyfunc.load_model(str(tmp_path / "model"))


def test_the_requirements_are_met_here(model, tmp_path):
    """What the bundle asks for is what runs here, and its environment file leads there."""
    save_model(model, tmp_path / "model")
    lines = (tmp_path / "model" / "requirements.txt").read_text().splitlines()
    for line in map(Requirement, lines):
        assert line.specifier.contains(version(line.name), prereleases=True), line
    assert "-r requirements.txt" in (tmp_path / "model" / "python_env.yaml").read_text()


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
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    _same(loaded.predict(events, PARAMS), EventScorer(model).predict(events, PARAMS))


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


def _post(address: str, body: object, kind: str = "application/json") -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": kind})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    """The address of a real server, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("served") / "model"
    save_model(model, folder)
    with _served(folder) as address:
        yield address, folder


@pytest.fixture(scope="module")
def sent(events):
    """The events as JSON holds them."""
    return events.assign(ts=events["ts"].dt.strftime("%Y-%m-%dT%H:%M:%S%z"))


@pytest.mark.parametrize("key", ["dataframe_split", "dataframe_records", "inputs", "csv"])
def test_a_real_server_answers_raw_events(model, events, sent, served, key):
    """``mlflow models serve`` gives over HTTP the rows of batch scoring, to the last bit of JSON's floats."""
    bodies = {"dataframe_split": "split", "dataframe_records": "records", "inputs": "records", "csv": "list"}
    few, params = sent[:1500], PARAMS
    body, kind = {key: few.to_dict(bodies[key]), "params": PARAMS}, "application/json"
    if key == "csv":
        body, kind, params = few.to_csv(index=False).encode(), "text/csv", {}
    status, answer = _post(served[0], body, kind)
    assert status == 200, answer[:500]
    rows = json.loads(answer)["predictions"]
    want = json.dumps(
        score_events(model, events[:1500], **params).to_pylist(), default=lambda moment: moment.isoformat()
    )
    assert rows == json.loads(want)
    assert "NaN" not in answer


@pytest.mark.parametrize(
    "params", [{"fdr": 0.3}, {"fdr": 0.3, "budget": 1}, {"budget": 0}, {"budget": 1, "explain": 0}]
)
def test_a_real_server_takes_each_setting(model, events, sent, served, params):
    """Budget, rate and number of reasons over HTTP give alerts and reasons of batch scoring with the same."""
    status, answer = _post(served[0], {"dataframe_split": sent[:800].to_dict("split"), "params": params})
    assert status == 200, answer[:500]
    rows, want = json.loads(answer)["predictions"], score_batch(model, events[:800], **params).table
    for name in ("score", "alert", "pick", "case", "reasons"):
        assert [row[name] for row in rows] == want[name].to_pylist(), name


@pytest.mark.parametrize(("spoil", "said"), [
    ({"inputs": "/etc/passwd"}, "expected a table of events"),
    ({"inputs": [1, 2]}, "expected a table of events"),
    ({"dataframe_records": [{"user": "hunter2", "ts": "2026-01-01"}]}, "expected a column 'user_id'"),
    ({"dataframe_records": [{"user_id": "hunter2", "ts": "hunter2", "action": "a", "amount": 1}]}, "unreadable"),
    ({"dataframe_records": [{"user_id": "hunter2", "ts": "2026-01-01", "action": "a", "amount": "hunter2"}]}, "amount"),
    ({"dataframe_split": {"columns": ["user_id"], "data": [["hunter2", 1]]}}, ""),
    ({"dataframe_records": [{"user_id": "hunter2", "ts": "2026-01-01", "action": "a", "amount": 1}],
      "params": {"budget": -1}}, "0 or more as budget"),
    ({"rows": []}, "dataframe_split"),
    (b"{", ""),
])  # fmt: skip
def test_a_bad_request_is_told_what_is_wrong_and_no_more(served, spoil, said):
    """Status 400, what was expected, and no value of any row."""
    status, answer = _post(served[0], spoil)
    assert status == 400, answer[:500]
    assert said in answer
    assert "hunter2" not in answer
    assert "root:" not in answer


@pytest.mark.long
@pytest.mark.parametrize("kind", ["json", "csv"])
def test_mlflow_models_predict_scores_files(model, events, sent, served, tmp_path, kind):
    """``mlflow models predict`` gives the scores of batch scoring for a file of JSON and one of CSV."""
    given = tmp_path / f"in.{kind}"
    if kind == "json":
        given.write_text(json.dumps({"dataframe_split": sent[:800].to_dict("split")}))
    else:
        sent[:800].to_csv(given, index=False)
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", str(served[1]), "-i", str(given), "-t", kind]
    command += ["-o", str(tmp_path / "out.json"), "--env-manager", "local"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "out.json").read_text())["predictions"]
    want = EventScorer(model).predict(events[:800])
    assert [row["score"] for row in rows] == want["score"].tolist()
    for told in ("reasons", "evidence"):
        assert [row[told] for row in rows] == want[told].tolist()
