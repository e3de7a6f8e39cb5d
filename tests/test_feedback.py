"""The circle of review: scores go out, verdicts come back, and the next training knows them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.cli import main
from peculiar.serving.scoring import score_batch
from peculiar.training.feedback import read_feedback, take_in, with_feedback
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.labels import confirmed
from peculiar.training.references import load
from peculiar.training.store import open_store
from peculiar.training.train import train
from peculiar.training.truth import truth_of

SECRETS = ("Rosalind Reviewer", "pays with somebody else's card")


def run(*arguments: object) -> object:
    """Call the command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def reviewed(trained, city, tmp_path_factory):
    """A folder with scores, a third of the alerts drawn at random, and the sheet of a reviewer who knows the truth."""
    home = tmp_path_factory.mktemp("reviewed")
    pq.write_table(city.events, home / "events.parquet")
    (home / "alerts.toml").write_text('[alerts]\nbudget = "9/day"\nexplore = 0.34\nreasons = 1\n')
    given = ("--config", home / "alerts.toml", "--home", trained.store.home, "--since", "2025-02-06")
    answer = run("score", home / "events.parquet", "-o", home / "scores.parquet", *given)
    assert answer.exit_code == 0, answer.output
    scores = pq.read_table(home / "scores.parquet")
    vectors = batch_of(trained, city).vectors
    assert vectors.entity.to_pylist() == scores["entity"].to_pylist()
    bad = confirmed(vectors, trained.result.material.labels, known_by=None)
    bad[scores["pick"].to_pylist().index("random")] = True  # trouble that the model does not see
    words = pa.array(np.where(bad, "confirmed", "cleared").astype(object), pa.string())
    blind = scores.select(["entity", "since", "as_of"]).append_column("verdict", words)  # nothing that tells the score
    sheet = blind.filter(scores["alert"])
    sheet = sheet.append_column("reviewer", pa.array(["kim", "lee"] * len(sheet), pa.string()).slice(0, len(sheet)))
    sheet = sheet.append_column("reviewed_at", pa.array(["2025-03-20T10:00:00Z"] * len(sheet)))
    pc_csv.write_csv(sheet, home / "sheet.csv")
    return home, scores, sheet


def batch_of(trained, city):
    """The scored vectors of the same days."""
    since = 20_125 * 86_400_000_000  # 6 February 2025
    return score_batch(load(trained.store, "models:/peculiar@champion").model, city.events, since=since, explain=0)


def test_verdicts_come_back_as_labels_with_weights(trained, city, reviewed, tmp_path):
    """What a reviewer said of each alert is a label of that window; a confirmed pick weighs what it stands for."""
    home, scores, sheet = reviewed
    given = ("--scores", home / "scores.parquet", "--home", tmp_path, "--json", tmp_path / "figures.json")
    answer = run("feedback", home / "sheet.csv", *given)
    assert answer.exit_code == 0, answer.output
    words = sheet["verdict"].to_pylist()
    counts = {word: words.count(word) for word in ("confirmed", "cleared")}
    assert min(counts.values()) > 0
    assert f"{len(sheet):,} verdicts: {counts['confirmed']} confirmed, {counts['cleared']} cleared" in answer.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["new"], figures["replaced"], figures["open"]) == (len(sheet), 0, 0)
    assert sorted(figures["reviewers"]) == ["kim", "lee"]

    labels, vectors = with_feedback(None, tmp_path), batch_of(trained, city).vectors
    truth = truth_of(vectors, labels, known_by=None, most=np.inf)
    said = dict(zip(zip(*(sheet[key].to_pylist() for key in ("entity", "as_of")), strict=True), words, strict=True))
    for row, yes, no, weight in zip(scores.to_pylist(), truth.confirmed, truth.cleared, truth.weight, strict=True):
        word = said.get((row["entity"], row["as_of"]))
        assert (bool(yes), bool(no)) == (word == "confirmed", word == "cleared")
        assert weight == (pytest.approx(1 / row["chance"]) if yes else 1.0)
    assert truth.weight.max() > 1.0, "no random pick was confirmed: the test shows nothing of weights"
    assert not truth_of(vectors, labels, known_by=1_742_464_799_999_999).reviewed.any(), "known before it was said"


def test_the_second_verdict_holds_and_the_first_file_twice_changes_nothing(reviewed, tmp_path):
    """The same sheet again is known already; another word about a window takes the place of the first, as is said."""
    home, _, sheet = reviewed
    given = ("--scores", home / "scores.parquet", "--home", tmp_path)
    assert run("feedback", home / "sheet.csv", *given).exit_code == 0
    again = run("feedback", home / "sheet.csv", *given)
    assert (again.exit_code, len(list((tmp_path / "feedback").glob("*.parquet")))) == (0, 1)
    assert f"nothing new: {len(sheet)} known already" in again.output
    other = sheet.filter(pc.equal(sheet["verdict"], "confirmed")).slice(0, 1).drop_columns(["verdict", "reviewed_at"])
    other = other.append_column("verdict", pa.array(["cleared"])).append_column("reviewed_at", pa.array(["2025-03-21"]))
    pq.write_table(other, tmp_path / "other.parquet")
    answer = run("feedback", tmp_path / "other.parquet", *given)
    assert "windows: 1 replaced" in answer.output
    labels = with_feedback(None, tmp_path)
    assert (len(labels), len(labels.known(None))) == (len(sheet) + 1, len(sheet))
    assert len(labels.known(None).positive()) == sheet["verdict"].to_pylist().count("confirmed") - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "fraud"}, "row 0 has the verdict 'fraud'; expected confirmed or cleared"),
        ({"reviewer": ""}, "row 0 has no reviewer"),
        ({"reviewed_at": "2025-01-01T00:00:00Z"}, "before its window ended"),
        ({"entity": "nobody"}, "row 0 is about 'nobody' from"),
    ],
)
def test_a_wrong_row_is_named_in_one_line_and_nothing_is_taken_in(reviewed, tmp_path, change, message):
    """The command ends with 2 and says which row and what was expected; there is no store afterwards."""
    home, _, sheet = reviewed
    rows = sheet.slice(0, 2).to_pylist()
    rows[0] |= change
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sheet.parquet")
    answer = run("feedback", tmp_path / "sheet.parquet", "--scores", home / "scores.parquet", "--home", tmp_path)
    assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1)
    assert message in answer.stderr
    assert read_feedback(tmp_path) is None
    assert not (tmp_path / "audit.jsonl").exists()


def test_verdicts_on_events_need_the_log(reviewed, city, tmp_path):
    """With the events, a verdict by event id is about the instant of that event."""
    home, _, _ = reviewed
    event = city.events.slice(100, 1).to_pylist()[0]
    row = {"event_id": event["event_id"], "verdict": "confirmed", "reviewer": "kim", "reviewed_at": "2025-06-01"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "sheet.parquet")
    answer = run("feedback", tmp_path / "sheet.parquet", "--home", tmp_path)
    assert (answer.exit_code, "give the event log" in answer.stderr) == (2, True)
    given = ("--events", home / "events.parquet", "--home", tmp_path)
    answer = run("feedback", tmp_path / "sheet.parquet", *given)
    assert answer.exit_code == 0, answer.output
    (said,) = read_feedback(tmp_path).to_pylist()
    assert (said["entity"], said["from"]) == (event["user_id"], event["ts"])


def test_no_reviewer_and_no_note_is_in_a_model(city, trained, tmp_path):
    """A training that knows verdicts keeps who gave them, and what they wrote, out of the model and out of MLflow."""
    last = city.events["ts"].cast(pa.int64()).to_numpy().max()
    sheet = {"entity": city.events["user_id"].slice(0, 1).to_pylist(), "from": [int(last) - 86_400_000_000 * 30],
             "to": [int(last) - 86_400_000_000 * 29], "reviewed_at": [int(last) - 86_400_000_000 * 28],
             "verdict": ["confirmed"], "reviewer": [SECRETS[0]], "note": [SECRETS[1]]}  # fmt: skip
    take_in(pa.table(sheet), tmp_path)
    labels = city.labels.append_column("reviewer", pa.array([SECRETS[0]] * len(city.labels)))
    labels = labels.append_column("note", pa.array([SECRETS[1]] * len(city.labels)))
    tiny = IsolationForest(trees=10, group_trees=2, samples=64)
    train(trained.log, labels, settings=replace(trained.settings, trials=0, chosen=(tiny,)), store=open_store(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "feedback"]
    assert {"manifest.json", "mlflow.db"} <= {path.name for path in files}
    for path in files:
        packed = str(pq.read_table(path).to_pydict()) if path.suffix == ".parquet" else ""
        held = path.read_bytes().decode("utf-8", errors="ignore") + packed
        assert not any(secret in held for secret in SECRETS), path
