"""Vectors on disk: every value, a unique key, the plan beside them, and never half a file."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_logs import DAY, HOUR, instant, rich_log, roles, table_of

from peculiar.features.events import EventLog
from peculiar.features.output import beside, vectors_to_file, with_event, write_parquet
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec

EVENT, BY = WindowSpec("event"), WindowSpec(by="device")


@pytest.fixture(scope="module")
def log():
    """The rich log."""
    return EventLog.open(table_of(rich_log()), roles())


def built(log, windows: WindowSpec):
    """Plan and vectors of a log."""
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles, windows)
    return plan, plan.fit(timeline), timeline


@pytest.mark.parametrize("windows", [WindowSpec(), WindowSpec("1h"), EVENT, BY], ids=str)
def test_the_file_holds_every_vector(log, tmp_path, windows):
    """Keys and values on disk are those in memory, features as float32 with null for NaN, and the key is unique."""
    written = vectors_to_file(log, tmp_path / "new" / "vectors.parquet", windows=windows)
    table = pq.read_table(written.output)
    keys = ["entity", "since", "as_of", *([] if windows.calendar else ["id"])]
    assert table.column_names == [*keys, *written.vectors.names]
    for feature, values in zip(written.vectors.features, written.vectors.values, strict=True):
        assert table.schema.field(feature.name).type == pa.float32()
        assert table[feature.name].to_numpy().tobytes() == values.tobytes()
    assert table["entity"].to_pylist() == written.vectors.entity.to_pylist()
    rows = list(zip(*(table[key].to_pylist() for key in keys if key != "since"), strict=True))
    assert len(set(rows)) == len(rows) == len(written.vectors)


def test_the_plan_stands_beside_the_values(log, tmp_path):
    """The metadata give the plan back as it was, its fingerprint, and the meaning of every column."""
    written = vectors_to_file(log, tmp_path / "vectors.parquet", windows=EVENT)
    metadata = pq.read_schema(written.output).metadata
    plan = FeaturePlan.from_json(metadata[b"peculiar.plan"].decode())
    assert plan == written.plan
    assert metadata[b"peculiar.plan_fingerprint"].decode() == plan.fingerprint
    meanings = [feature["meaning"] for feature in json.loads(metadata[b"peculiar.features"])]
    assert meanings == [feature.meaning for feature in plan.features]


def test_a_given_population_is_used(log, tmp_path):
    """With a plan and population from elsewhere the values are theirs, and the figures say so."""
    plan, _, timeline = built(log, WindowSpec())
    early = plan.fit(timeline.until(instant("2025-03-01")))
    written = vectors_to_file(log, tmp_path / "vectors.parquet", fitted=(plan, early))
    assert written.vectors.values.tobytes() == plan.vectors(timeline, early).values.tobytes()
    own = vectors_to_file(log, tmp_path / "vectors.parquet")
    assert own.vectors.values.tobytes() != written.vectors.values.tobytes()
    assert (own.to_dict()["population"], written.to_dict()["population"]) == ("this log itself", "the model's training")


def test_a_period_is_cut_out_with_its_history(log, tmp_path):
    """Rows of the period alone are written, but they know what came before it, and nothing of what came after."""
    since, until = instant("2025-03-20"), instant("2025-03-25")
    plan, population, timeline = built(log, WindowSpec())
    whole = plan.vectors(timeline, population).between(since, until)
    written = vectors_to_file(log, tmp_path / "v.parquet", fitted=(plan, population), period=(since, until))
    assert written.vectors.values.tobytes() == whole.values.tobytes()
    assert written.report.last < until


@pytest.mark.parametrize("windows", [EVENT, BY], ids=str)
def test_an_event_belongs_to_the_day_it_is_on(log, windows):
    """Windows that end with an event fall into one day each, also just after midnight; days in a row lose none."""
    plan, population, timeline = built(log, windows)
    vectors = plan.vectors(timeline, population)
    first = int(timeline.at.min()) // DAY * DAY
    days = [vectors.between(at, at + DAY) for at in range(first, int(timeline.at.max()) + 1, DAY)]
    assert sum(map(len, days)) == len(vectors)
    for begin, day in zip(range(first, first + 90 * DAY, DAY), days, strict=False):
        assert ((day.as_of - 1) // DAY == begin // DAY).all()


def test_the_event_is_named_by_its_id(log):
    """With one vector per event the id is that of the event itself; with days there is none."""
    plan, population, timeline = built(log, EVENT)
    vectors = plan.vectors(timeline, population)
    table = with_event(vectors.to_arrow(), log, vectors, EVENT)
    at = {event.id: (event.user, event.at) for event in rich_log()}
    keys = zip(table["entity"].to_pylist(), vectors.as_of.tolist(), strict=True)
    assert [at[event] for event in table["id"].to_pylist()] == [(entity, as_of - 1) for entity, as_of in keys]
    assert with_event(vectors.to_arrow(), log, vectors, WindowSpec()).equals(vectors.to_arrow())


@pytest.mark.parametrize(("id_name", "column"), [(None, "event_row"), ("id", "id"), ("score", "event_score")])
def test_the_event_column_has_the_logs_own_name(id_name, column):
    """The id column keeps its name, unless the table has it already; without one it is the row of the source."""
    at = instant("2025-03-01")
    times = pa.array([at + 2 * HOUR, at, at]).cast(pa.timestamp("us", tz="UTC"))
    columns = {"user": ["ann"] * 3, "at": times, id_name or "other": ["e3", "e0", "e1"], "action": ["pay"] * 3}
    events = pa.table(columns)
    log = EventLog.open(events, Roles("user", "at", id_name, action="action"))
    plan, population, timeline = built(log, EVENT)
    vectors = plan.vectors(timeline, population)
    table = with_event(vectors.to_arrow().append_column("score", pa.array([0.0] * 3)), log, vectors, EVENT)
    assert table.column_names[3] == column
    found = table[column].to_pylist()
    assert sorted(found) == ([0, 1, 2] if id_name is None else ["e0", "e1", "e3"])
    assert found[-1] == (0 if id_name is None else "e3")


def test_ids_of_any_type_come_back(log):
    """Whole numbers stay whole numbers, and dictionary codes become text."""
    for ids in (pa.array([7, 8]), pa.array(["a", "b"]).dictionary_encode()):
        events = pa.table({"user": ["ann", "bob"], "at": ["2025-03-01T08:00Z"] * 2, "id": ids})
        small = EventLog.open(events, Roles("user", "at", "id"))
        plan, population, timeline = built(small, EVENT)
        vectors = plan.vectors(timeline, population)
        assert with_event(vectors.to_arrow(), small, vectors, EVENT)["id"].to_pylist() == ids.to_pylist()


def test_a_failure_leaves_the_old_file(tmp_path):
    """A writer that breaks off leaves what was there, and nothing half-written beside it."""
    path = tmp_path / "vectors.parquet"
    write_parquet(pa.table({"a": [1]}), path)

    def broken() -> None:
        with beside(path) as unfinished:
            unfinished.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert pq.read_table(path)["a"].to_pylist() == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_log_gives_the_same_bytes(log, tmp_path):
    """Two runs write the same file."""
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    for path in paths:
        vectors_to_file(log, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert np.isfinite(pq.read_table(paths[0])["events_count_1d"].to_numpy()).all()
