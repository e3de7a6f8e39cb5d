"""The event store: what comes in is what comes out, by day and partition, however often and in whichever pieces."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from event_logs import Event, contents, full_roles, instant, table_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.columns import stable_hash
from peculiar.features.events import EventLog
from peculiar.features.holdings import StoreError
from peculiar.features.segments import Layout, partition_of, read_segments
from peculiar.features.store import EventStore


def rows_of(store: EventStore) -> list[tuple]:
    """All events of a store, partition by partition."""
    return [row for number in range(store.partitions) for row in contents(store.timeline(number)[0])]


def made(folder, events, *, partitions: int = 4, zone: str = "UTC", rows: int = 7) -> EventStore:
    """A store of some events, in pieces of so many rows."""
    log = EventLog.open(table_of(events), full_roles(zone))
    return EventStore.create(folder, log.roles, partitions=partitions).add(log, rows=rows)


@settings(max_examples=20)
@given(worlds(), st.sampled_from([1, 2, 64]), st.integers(1, 50))
def test_what_comes_out_is_what_the_door_lets_in(tmp_path_factory, world, partitions, rows):
    """Any log, in any pieces and partitions, gives the events of the timeline in one piece, each entity's in order."""
    store = made(
        tmp_path_factory.mktemp("s") / "store", world.events, partitions=partitions, zone=world.zone, rows=rows
    )
    assert sorted(rows_of(store), key=str) == sorted(contents(world.timeline), key=str)
    for number in range(partitions):
        timeline = store.timeline(number)[0]
        keys = stable_hash(timeline.entity)
        assert (partition_of(keys, partitions) == number).all()
        assert (keys[1:] >= keys[:-1]).all()


def events_of(user: str, *days: str) -> list[Event]:
    """One event a day."""
    return [Event(user, instant(day), f"{user}-{day}", "pay", "phone", 1.0) for day in days]


def test_a_day_that_is_added_twice_changes_nothing(tmp_path):
    """The same events in the same pieces are files that are there, whether or not they have ids."""
    first, second = events_of("ann", "2025-03-01T10:00"), events_of("ann", "2025-03-02T10:00")
    store = made(tmp_path / "store", first)
    log = EventLog.open(table_of(second), full_roles())
    once = store.add(log)
    again = EventStore.open(store.folder).add(log)
    assert once.manifest.files == again.manifest.files
    assert (once.rows, again.rows, again.manifest.rows) == (2, 2, 2)


def test_an_interrupted_log_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """Pieces that are in are not split again, and the store ends as if nothing had happened."""
    events = [event for n in range(20) for event in events_of(f"u{n}", "2025-03-01T10:00", "2025-03-02T11:00")]
    whole = made(tmp_path / "whole", events, rows=5)
    log = EventLog.open(table_of(events), full_roles())
    broken = EventStore.create(tmp_path / "broken", log.roles, partitions=4)

    def stop(what: str, share: float) -> None:
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.add(log, rows=5, progress=stop)
    before = EventStore.open(tmp_path / "broken").manifest.coming[1]
    assert 0 < before < 8
    ended = EventStore.open(tmp_path / "broken").add(log, rows=5)
    assert ended.manifest == whole.manifest
    assert rows_of(ended) == rows_of(whole)


def test_days_are_read_alone_and_leave_for_good(tmp_path):
    """A period reads no other day's file; a day that is forgotten leaves neither file nor name."""
    events = [*events_of("ann", "2025-03-01T10:00", "2025-03-02T10:00"), *events_of("zoe", "2025-03-01T12:00")]
    store = made(tmp_path / "store", events, partitions=1)
    assert store.days() == [date(2025, 3, 1), date(2025, 3, 2)]
    assert len(store.timeline(0, date(2025, 3, 2), None)[0]) == 1
    assert len(store.timeline(0, None, date(2025, 3, 2))[0]) == 2
    kept = store.forget(date(2025, 3, 2))
    assert kept.days() == [date(2025, 3, 2)]
    assert not (tmp_path / "store" / "day=2025-03-01").exists()
    left = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"zoe" not in left
    assert b"ann" in left


def test_some_entities_alone(tmp_path):
    """Only the events of the entities that are asked for come out of a partition."""
    store = made(tmp_path / "store", [*events_of("ann", "2025-03-01"), *events_of("ben", "2025-03-01")], partitions=1)
    timeline, _, _ = store.timeline(0, entities=pa.array(["ben", "nobody"]))
    assert [row[0] for row in contents(timeline)] == ["ben"]


def test_rows_that_stay_outside_are_kept_with_their_places(tmp_path):
    """What the door turns away is written aside with its reason and where it stood in all that came."""
    events = [*events_of("ann", "2025-03-01"), Event(None, instant("2025-03-01"), "x", "pay", None, 1.0)]
    store = made(tmp_path / "store", events * 2, rows=3)
    assert store.manifest.counts == {"no entity": 2}
    from pyarrow.parquet import read_table

    rejected = pa.concat_tables([read_table(store.folder / name) for name in store.manifest.rejected])
    assert sorted(rejected["row"].to_pylist()) == [1, 3]
    assert set(rejected["reason"].to_pylist()) == {"no entity"}


def test_a_file_holds_each_partition_by_itself(tmp_path):
    """A segment has the values of its own events only."""
    store = made(tmp_path / "store", [event for n in range(40) for event in events_of(f"u{n}", "2025-03-01")], rows=100)
    path = store.folder / store.manifest.files[0].path
    for number in range(4):
        there = read_segments(path, number)
        names = there.texts["entity"].values
        assert sorted(names.to_pylist()) == sorted(set(names.to_pylist()))
        assert np.unique(there.texts["entity"].codes).tolist() == list(range(len(names)))
        assert (partition_of(stable_hash(names), 4) == number).all()
    assert len(read_segments(path, range(4))) == 40


@pytest.mark.parametrize(("values", "width"), [(100, 1), (200, 2), (40_000, 4)])
def test_text_takes_as_few_bytes_as_its_values_need(tmp_path, values, width):
    """However many values a segment has, each event has its own, and none where it had none."""
    at = instant("2025-03-01T10:00")
    events = [Event("ann", at + n, f"id-{n}", "pay", f"phone-{n}" if n else None, 1.0) for n in range(values)]
    store = made(tmp_path / "store", events, partitions=2, rows=values)
    file = pa.ipc.open_file(store.folder / store.manifest.files[0].path).get_batch(0)
    names = [field.name for field in file.schema if pa.types.is_struct(field.type)]
    widths = {name: file.column(name).field("codes").values.type.bit_width // 8 for name in names}
    assert max(widths.values()) == width
    assert min(widths.values()) == 1
    assert sorted(map(str, rows_of(store))) == sorted(
        map(str, contents(EventLog.open(table_of(events), full_roles()).read()[0]))
    )


def test_a_damaged_file_is_told(tmp_path):
    """What was cut off or is gone is named, with the way out."""
    store = made(tmp_path / "store", events_of("ann", "2025-03-01"))
    path = store.folder / store.manifest.files[0].path
    layout = Layout.of(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"expected events of a day, cannot read them .* make the store again"):
        store.timeline(0)
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(StoreError, match=r"it ends after 0 of .* make the store again"):
        read_segments(path, range(4), layout=layout)
    path.unlink()
    with pytest.raises(StoreError, match="make the store again"):
        store.timeline(0)


@pytest.mark.parametrize("partitions", [0, 3, 8192])
def test_partitions_are_a_power_of_two(tmp_path, partitions):
    """So that twice as many partitions are halves of these."""
    with pytest.raises(StoreError, match="expected 1, 2, 4"):
        EventStore.create(tmp_path / "store", full_roles(), partitions=partitions)


def test_a_store_says_what_is_wrong(tmp_path):
    """A folder without a store, with other files, with other roles or a broken manifest is refused with the way out."""
    with pytest.raises(StoreError, match="found none"):
        EventStore.open(tmp_path / "none")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(StoreError, match="holds files"):
        EventStore.create(tmp_path / "full", full_roles(), partitions=1)
    store = made(tmp_path / "store", events_of("ann", "2025-03-01"))
    with pytest.raises(StoreError, match="the store's roles"):
        store.add(EventLog.open(table_of(events_of("ann", "2025-03-01"))))
    (store.folder / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="cannot read it"):
        EventStore.open(store.folder)


def test_partitions_of_hashes_halve():
    """The partition of an entity among twice as many is one of the two halves of its own."""
    keys = stable_hash(pa.array([f"u{n}" for n in range(500)]))
    few, many = partition_of(keys, 8), partition_of(keys, 16)
    assert np.array_equal(few, many // 2)


@pytest.mark.parametrize("ids", [["a", None, "c"], [1, None, 3], [None, None, None], ["a", "b", "c"]])
def test_ids_come_back_whatever_they_are(tmp_path, ids):
    """Text, numbers, some or all of them missing: what is stored of a partition has the log's own ids."""
    table = pa.table(
        {
            "user_id": ["ann", "ben", "cid"],
            "ts": [f"2025-03-0{day}T08:00:00" for day in (1, 1, 2)],  # without a zone, which is stored too
            "event_id": pa.array(ids, pa.string() if ids[2] is None else None),
        }
    )
    log = EventLog.open(table)
    for partitions in (1, 2):
        store = EventStore.create(tmp_path / f"store-{partitions}", log.roles, partitions=partitions).add(log)
        rows = store.raw(range(partitions))
        assert dict(zip(rows.row.tolist(), rows.ids.to_pylist(), strict=True)) == dict(enumerate(ids))
        assert rows.plain["bare"].all()
        whole, held = log.read()[0], store.timeline(range(partitions))[0]
        assert sorted(map(str, contents(held))) == sorted(map(str, contents(whole)))
