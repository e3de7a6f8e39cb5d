"""Scoring into a dataset: each day the same bytes however it came about, on record before it is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peculiar.errors import PeculiarError
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec
from peculiar.serving.batch import ScoringRequest, score_to_file
from peculiar.serving.dataset import ScoreDataset, read_scores
from peculiar.serving.nightly import score_to_dataset
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.model import Model

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400_000_000
FIRST, AFTER = date(2025, 2, 10), date(2025, 2, 13)
THREE = [FIRST + timedelta(days=n) for n in range(3)]


@pytest.fixture
def request_of(city, tmp_path):
    """A request for three days of the city, into a folder that is not there yet."""

    def made(**more: object) -> ScoringRequest:
        given = {"events": city.events, "model_uri": "models:/peculiar@champion", "output": tmp_path / "scores"}
        return ScoringRequest(**{**given, "budget": 3, "days": (FIRST, AFTER), **more})

    return made


def uses(store) -> list[dict]:
    """The lines of the audit record that are about scoring."""
    lines = (store.home / "audit.jsonl").read_text().splitlines()
    return [use for use in map(json.loads, lines) if use["verb"] == "score"]


def content(folder: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def states(written) -> list[str]:
    """What was done about each day."""
    return [done.state for done in written.days]


def without(events: pa.Table, day: date, share: float) -> pa.Table:
    """The events without a share of those of a day."""
    on = events["ts"].cast(pa.int64()).to_numpy() // DAY == (day - date(1970, 1, 1)).days
    late = on & (np.random.default_rng(1).random(len(on)) < share)
    return events.filter(pa.array(~late))


def spoiled(events: pa.Table, day: date) -> pa.Table:
    """The events and two more: one of the day without an entity, one without a time."""
    fields = [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in events.schema]
    plain, row = pa.schema(fields), events.slice(0, 1).to_pylist()[0]
    at = pa.scalar((day - date(1970, 1, 1)).days * DAY, pa.timestamp("us", tz="UTC")).as_py()
    rows = [row | {"event_id": -1, "user_id": None, "ts": at}, row | {"event_id": -2, "ts": None}]
    return pa.concat_tables([events.cast(plain), pa.Table.from_pylist(rows, schema=plain)])


def test_days_hold_what_a_file_of_the_same_period_holds(trained, request_of, tmp_path):
    """The rows of a dataset are those of the one file, and the figures say so."""
    written = score_to_dataset(request_of(), trained.store)
    whole = score_to_file(request_of(output=tmp_path / "scores.parquet"), trained.store)
    key = [("entity", "ascending"), ("as_of", "ascending")]
    table = read_scores(tmp_path / "scores")
    assert table.drop_columns(["day"]).sort_by(key).equals(pq.read_table(tmp_path / "scores.parquet").sort_by(key))
    figures = written.to_dict()
    assert (figures["rows"], figures["alerts"], figures["withdrawn"]) == (whole.table.num_rows, 9, 0)
    assert [told["day"] for told in figures["days"]] == [str(day) for day in THREE]
    assert states(written) == ["new"] * 3
    assert "3 new" in written.summary()


def test_what_is_there_is_left_alone(trained, request_of, tmp_path):
    """A second run changes no byte, logs no run and puts nothing on record: it made nothing that anybody could see."""
    score_to_dataset(request_of(), trained.store)
    before, lines = content(tmp_path / "scores"), len(uses(trained.store))
    again = score_to_dataset(request_of(), trained.store)
    assert (states(again), again.run_id, again.untracked) == (["kept"] * 3, "", "")
    assert content(tmp_path / "scores") == before
    assert len(uses(trained.store)) == lines


@pytest.mark.parametrize("way", ["a day a pass", "day by day"])
def test_a_day_does_not_depend_on_the_days_asked_for(trained, request_of, tmp_path, way):
    """One run over three days, passes of one day, a run for each day: the same bytes, cases that go on included."""
    score_to_dataset(request_of(), trained.store)
    parts = [(day, day + timedelta(days=1)) for day in THREE]
    given = {"output": tmp_path / "other"}
    if way == "a day a pass":
        score_to_dataset(request_of(**given, block=1), trained.store)
    else:
        for days in parts:
            score_to_dataset(request_of(**given, days=days), trained.store)
    assert content(tmp_path / "other") == content(tmp_path / "scores")


def test_a_killed_run_goes_on_where_it_stopped(trained, request_of, tmp_path, monkeypatch):
    """Days that were committed stay as they are; the rest follows, to the same bytes, and the use was on record."""
    score_to_dataset(request_of(output=tmp_path / "whole"), trained.store)
    lines, write = len(uses(trained.store)), ScoreDataset.write

    def two_days(self, scores):
        if scores.day == THREE[2]:
            raise KeyboardInterrupt
        return write(self, scores)

    monkeypatch.setattr(ScoreDataset, "write", two_days)
    with pytest.raises(KeyboardInterrupt):
        score_to_dataset(request_of(), trained.store)
    monkeypatch.undo()
    assert ScoreDataset.open(tmp_path / "scores").days() == THREE[:2]
    assert len(uses(trained.store)) == lines + 1
    assert uses(trained.store)[-1]["output"] == str(tmp_path / "scores")
    assert states(score_to_dataset(request_of(), trained.store)) == ["kept", "kept", "new"]
    assert content(tmp_path / "scores") == content(tmp_path / "whole")


def test_without_a_first_day_it_goes_on_after_the_last(trained, request_of, tmp_path):
    """The next night needs no dates; a new dataset would take the whole log."""
    score_to_dataset(request_of(days=(FIRST, THREE[1])), trained.store)
    written = score_to_dataset(request_of(days=(None, AFTER)), trained.store)
    assert [done.commit.day for done in written.days] == [str(day) for day in THREE[1:]]
    score_to_dataset(request_of(output=tmp_path / "whole"), trained.store)
    assert content(tmp_path / "scores") == content(tmp_path / "whole")
    assert states(score_to_dataset(request_of(days=(None, AFTER)), trained.store)) == []


def test_late_events_are_taken_in_as_far_as_the_rule_says(city, trained, request_of, tmp_path):
    """The day before is scored again and gets a revision; its lost alerts are listed; what is later is history only."""
    early = without(without(city.events, THREE[0], 0.5), THREE[1], 0.5)
    score_to_dataset(request_of(events=early, days=(FIRST, THREE[2])), trained.store)
    before = {day: read_scores(tmp_path / "scores", [day]) for day in THREE[:2]}
    written = score_to_dataset(request_of(days=(None, AFTER), late=1), trained.store)
    assert [(done.commit.day[-2:], done.state, done.commit.revision) for done in written.days] == [
        ("11", "changed", 2),
        ("12", "new", 1),
    ]
    assert read_scores(tmp_path / "scores", [FIRST]).equals(before[FIRST])
    now = read_scores(tmp_path / "scores", [THREE[1]])
    were, are = ({row["entity"] for row in table.to_pylist() if row["alert"]} for table in (before[THREE[1]], now))
    listed = [gone["entity"] for gone in written.days[0].commit.withdrawn]
    assert listed == sorted(were - are) != []
    assert f"withdrawn: {len(listed)} earlier alerts" in written.summary()
    whole = request_of(output=tmp_path / "whole")
    score_to_dataset(whole, trained.store)
    assert now.equals(read_scores(tmp_path / "whole", [THREE[1]]))


def test_another_request_scores_again(trained, request_of):
    """Another budget makes other scores; the same one once more makes the first ones again."""
    score_to_dataset(request_of(), trained.store)
    other = score_to_dataset(request_of(budget=1), trained.store)
    assert states(other) == ["changed"] * 3
    assert sum(done.withdrawn for done in other.days) == 6
    assert [done.commit.revision for done in score_to_dataset(request_of(), trained.store).days] == [3] * 3


def test_a_day_whose_events_are_gone_has_no_scores_any_more(city, trained, request_of):
    """If a day that was scored is asked for and the log has nothing of it, it is empty and its alerts are withdrawn."""
    score_to_dataset(request_of(), trained.store)
    written = score_to_dataset(request_of(events=without(city.events, THREE[1], 2.0)), trained.store)
    emptied = written.days[1]
    assert (emptied.state, emptied.commit.rows, emptied.withdrawn) == ("changed", 0, 3)
    assert states(written)[0] == "kept"


def test_labels_count_by_when_they_were_known(city, trained, request_of):
    """Labels known after a day leave it alone; those known before are part of what it is made of."""
    known = city.labels["known_at"].cast(pa.int64()).to_numpy()
    limit = (AFTER - date(1970, 1, 1)).days * DAY
    in_time = city.labels.filter(pa.array(known < limit))
    assert 0 < in_time.num_rows < city.labels.num_rows
    score_to_dataset(request_of(labels=in_time), trained.store)
    assert states(score_to_dataset(request_of(labels=city.labels), trained.store)) == ["kept"] * 3
    assert "kept" not in states(score_to_dataset(request_of(), trained.store))


def test_rows_set_aside_are_named_by_the_commit_of_their_day(city, trained, request_of, tmp_path):
    """A row of a day is with its day; one without a time could be of any day, and is with each."""
    written = score_to_dataset(request_of(events=spoiled(city.events, FIRST)), trained.store)
    found = []
    for done in written.days:
        (file,) = done.commit.rejected
        table = pq.read_table(tmp_path / "scores" / file.path)
        found.append(list(zip(table["event_id"].to_pylist(), table["reason"].to_pylist(), strict=True)))
    assert found == [[(-2, "no time"), (-1, "no entity")], [(-2, "no time")], [(-2, "no time")]]
    clean = score_to_dataset(request_of(), trained.store)
    assert states(clean) == ["confirmed"] * 3
    assert not list((tmp_path / "scores" / "_rejected").rglob("*.parquet"))


def test_every_use_is_on_record_before_and_in_mlflow_after(trained, request_of, tmp_path):
    """The line and the run tell of the same scores; the run vouches for the line."""
    written = score_to_dataset(request_of(), trained.store)
    use, run = uses(trained.store)[-1], trained.store.client.get_run(written.run_id)
    assert (use["rows"], use["output"]) == (written.count("rows"), str(tmp_path / "scores"))
    challenger = next(version for version in trained.result.versions if "challenger" in version.aliases)
    told = {"budget": 3, "per": "entity", "case_gap": 7, "challenger": f"peculiar/{challenger.number}"}
    assert use["parameters"] == told | {"days": [str(day) for day in THREE]}
    assert run.data.metrics["score/days"] == 3
    assert run.data.metrics["score/rows"] == written.count("rows")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "score scores")


def test_an_error_of_mlflow_leaves_the_scores(trained, request_of, tmp_path, monkeypatch):
    """The scores are complete without a run; what went wrong is told."""
    from mlflow.exceptions import MlflowException

    def refuse(*_, **__):
        message = "the store is full"
        raise MlflowException(message)

    monkeypatch.setattr("peculiar.serving.traces.write_record", refuse)
    written = score_to_dataset(request_of(), trained.store)
    single = score_to_file(request_of(output=tmp_path / "scores.parquet"), trained.store)
    for done in (written, single):
        assert (done.run_id, done.untracked[-17:]) == ("", "the store is full")
    assert read_scores(tmp_path / "scores").num_rows == pq.read_table(tmp_path / "scores.parquet").num_rows > 0


def test_no_line_in_the_record_no_scores(trained, request_of, tmp_path, monkeypatch):
    """If the use cannot be put on record, nobody sees a score: neither in a dataset nor in a file."""

    def refuse(*_, **__):
        message = "the record cannot be written"
        raise OSError(message)

    monkeypatch.setattr("peculiar.serving.traces.record", refuse)
    with pytest.raises(OSError, match="the record cannot be written"):
        score_to_dataset(request_of(), trained.store)
    with pytest.raises(OSError, match="the record cannot be written"):
        score_to_file(request_of(output=tmp_path / "one" / "scores.parquet"), trained.store)
    assert content(tmp_path) == {}


def test_an_object_store_holds_the_same_bytes(trained, request_of, tmp_path, bucket):
    """A dataset and a file at an address are those of this machine."""
    here = score_to_dataset(request_of(), trained.store)
    there = score_to_dataset(request_of(output=f"{bucket}/scores"), trained.store)
    assert [done.commit for done in there.days] == [done.commit for done in here.days]
    assert read_scores(f"{bucket}/scores").equals(read_scores(tmp_path / "scores"))
    assert states(score_to_dataset(request_of(output=f"{bucket}/scores"), trained.store)) == ["kept"] * 3
    score_to_file(request_of(output=f"{bucket}/one/scores.parquet"), trained.store)
    score_to_file(request_of(output=tmp_path / "one.parquet"), trained.store)
    from peculiar.serving.folders import open_folder

    remote = pq.read_table(pa.BufferReader(open_folder(f"{bucket}/one").read("scores.parquet")))
    assert remote.equals(pq.read_table(tmp_path / "one.parquet"))


@pytest.mark.long
@pytest.mark.parametrize("where", ["here", pytest.param("store", marks=pytest.mark.long)])
def test_two_runs_at_once_do_no_harm(city, trained, request_of, tmp_path, where, request):
    """Two processes that score the same days at the same time leave what one of them leaves."""
    pq.write_table(city.events, tmp_path / "events.parquet")
    output = str(tmp_path / "both") if where == "here" else request.getfixturevalue("bucket") + "/both"
    script = (
        "from datetime import date\n"
        "from pathlib import Path\n"
        "from peculiar.serving.batch import ScoringRequest\n"
        "from peculiar.serving.nightly import score_to_dataset\n"
        "from peculiar.training.store import open_store\n"
        f"request = ScoringRequest({str(tmp_path / 'events.parquet')!r}, 'models:/peculiar@champion', {output!r}, "
        "budget=3, days=(date(2025, 2, 10), date(2025, 2, 13)))\n"
        f"score_to_dataset(request, open_store(Path({str(trained.store.home)!r})))\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    one = score_to_dataset(request_of(), trained.store)
    both = ScoreDataset.open(output)
    assert [both.commit(day) for day in both.days()] == [done.commit for done in one.days]
    assert read_scores(output).equals(read_scores(tmp_path / "scores"))
    if where == "here":
        assert content(tmp_path / "both") == content(tmp_path / "scores")


def small_log() -> pa.Table:
    """Twenty days of five users, an event every quarter of an hour or so."""
    rng = np.random.default_rng(2)
    at = 20_150 * DAY + np.sort(rng.integers(0, 20 * 96, 1_500)) * 900_000_000
    return pa.table({
        "user": rng.choice(list("abcde"), 1_500),
        "at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
        "device": rng.choice(["x", "y", "z"], 1_500, p=[0.9, 0.05, 0.05]),
        "id": [f"e{n}" for n in range(1_500)],
    })  # fmt: skip


WINDOWS = {
    "days of a zone": WindowSpec("1d", "7d"),
    "hours across midnight": WindowSpec("1h", "7d"),
    "events": WindowSpec("event", "7d"),
    "runs across midnight": WindowSpec(horizon="7d", by="device"),
}


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_every_window_is_of_one_day_whichever_days_are_asked_for(trained, tmp_path, windows):
    """Also where midnight is not on the hour, and where a run of events goes on past it."""
    roles = Roles("user", "at", "id", dimensions=("device",), time_zone="Asia/Kolkata")
    log = EventLog.open(small_log(), roles)
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, roles, windows)
    population = plan.fit(timeline)
    forest = IsolationForest(trees=10, group_trees=2, samples=64).fit(plan.vectors(timeline, population), None, seed=0)
    Model(plan, population, forest).save(tmp_path / "model")
    given = ScoringRequest(small_log(), str(tmp_path / "model"), tmp_path / "whole", budget=2, reasons=0)
    first = date(2025, 3, 13)
    score_to_dataset(replace(given, days=(first, first + timedelta(days=5))), trained.store)
    for n in range(5):
        days = (first + timedelta(days=n), first + timedelta(days=n + 1))
        score_to_dataset(replace(given, output=tmp_path / "parts", days=days), trained.store)
    assert content(tmp_path / "whole") == content(tmp_path / "parts")
    table = read_scores(tmp_path / "whole")
    keys = table.select(table.column_names[1 : table.column_names.index("score")])
    assert len(keys) == len({tuple(row.values()) for row in keys.to_pylist()}) > 0


def test_what_cannot_be_scored_leaves_nothing(trained, request_of, tmp_path):
    """A model that is not there is an error before anything is written."""
    with pytest.raises(PeculiarError, match="there is no model"):
        score_to_dataset(request_of(model_uri="models:/peculiar@nobody"), trained.store)
    assert content(tmp_path) == {}
