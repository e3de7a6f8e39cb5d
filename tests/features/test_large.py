"""Vectors of a log in partitions on disk: the rows of a file made in one piece, and a plan of the log alone."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_logs import full_roles, instant, rich_log, table_of

from peculiar.errors import ConfigError
from peculiar.features import large
from peculiar.features.events import EventLog
from peculiar.features.large import day_of, planned, vectors_by_partition
from peculiar.features.memory import Room
from peculiar.features.output import vectors_to_file
from peculiar.features.snapshots import WindowSpec
from peculiar.features.store import EventStore

MEMORY = 2_000_000_000
SPRING = (instant("2025-03-20T00:00+01:00"), instant("2025-04-02T00:00+02:00"))  # across a change of the clocks


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A small log on disk, with three rows that nobody can read."""
    broken = [event._replace(user=None, id=f"x{n}") for n, event in enumerate(rich_log()[:3])]
    path = tmp_path_factory.mktemp("log") / "events.parquet"
    pq.write_table(table_of([*rich_log(), *broken]), path)
    return EventLog.open(str(path), full_roles("Europe/Berlin"))


def ordered(path) -> pa.Table:
    """The rows by entity and time, with the columns in the order of the file."""
    return pq.read_table(path).sort_by([("entity", "ascending"), ("as_of", "ascending")])


@pytest.mark.parametrize("every", ["1d", "event"])
@pytest.mark.parametrize(
    "period", [(None, None), (instant("2025-03-20T00:00+01:00"), instant("2025-04-02T00:00+02:00"))]
)
def test_the_rows_are_those_of_one_piece(log, tmp_path, monkeypatch, every, period):
    """By day and by event (whose id is a column), of all days and of some: every cell, the metadata, the report."""
    monkeypatch.setattr(Room, "partitions", lambda *_: 4)
    how = {"windows": WindowSpec(every=every), "period": period}
    whole = vectors_to_file(log, tmp_path / "whole.parquet", **how)
    parts = vectors_by_partition(log, tmp_path / "parts.parquet", memory=MEMORY, **how)
    one, other = ordered(whole.output), ordered(parts.output)
    assert one.schema.metadata == other.schema.metadata
    assert one.column_names == other.column_names
    for name in one.column_names:
        assert one[name].to_pylist() == other[name].to_pylist(), name
    assert (
        (parts.rows, parts.entities)
        == (whole.rows, whole.entities)
        == (one.num_rows, len(set(one["entity"].to_pylist())))
    )
    assert parts.plan.fingerprint == whole.plan.fingerprint
    if period[1] is None:
        assert (parts.report.admitted, parts.report.rejected) == (whole.report.admitted, whole.report.rejected)
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == ["parts.parquet", "whole.parquet"]
    assert not list(tmp_path.glob(".events-of-*/"))


def test_a_period_is_of_days(log, tmp_path):
    """Partitions are read by day, so a period that ends within one is refused before anything is split."""
    noon = instant("2025-03-20T12:00")
    with pytest.raises(ConfigError, match="whole days of Europe/Berlin"):
        vectors_by_partition(log, tmp_path / "v.parquet", memory=MEMORY, period=(None, noon))
    assert not list(tmp_path.iterdir())
    assert str(day_of(instant("2025-03-20T00:00+01:00"), "Europe/Berlin")) == "2025-03-20"


@pytest.mark.long
def test_the_plan_depends_on_the_log_alone(log, tmp_path, monkeypatch):
    """The sample that the plan is made by is the same in few partitions and in many, whole or a part of the log."""
    for sample in (2_000_000, 100):
        monkeypatch.setattr(large, "_SAMPLE", sample)
        prints = set()
        for partitions in (1, 2, 16):
            folder = tmp_path / f"{sample}-{partitions}"
            store = EventStore.create(folder, log.roles, partitions=partitions).add(log, rows=90)
            prints.add(planned(store, WindowSpec(horizon="14d")).fingerprint)
        assert len(prints) == 1
