"""A new day on a store: the same rows as a full rebuild, for whom it changes, and nothing that left the horizon."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from peculiar.errors import ConfigError
from peculiar.features.daily import reach_days, take_in, vectors_of_day
from peculiar.features.events import EventLog
from peculiar.features.holdings import StoreError
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec
from peculiar.features.store import EventStore

HORIZON = 7


@pytest.fixture(scope="module")
def ground(city):
    """A log in one piece with its plan, population and vectors, and the day of each row; devices are shared."""
    log = EventLog.open(city.events)
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles, WindowSpec(horizon=f"{HORIZON}d"))
    population = plan.fit(timeline)
    assert plan.shared
    assert not plan.risky
    table = log.source.table
    day = np.array(table["ts"].cast(pa.timestamp("us", tz="UTC")).to_numpy(), "datetime64[D]")
    whole = plan.vectors(timeline, population)
    return SimpleNamespace(log=log, table=table, day=day, plan=plan, population=population, whole=whole)


def store_of(ground, folder, rows: np.ndarray, partitions: int = 4) -> EventStore:
    """A store of some rows of the log."""
    return EventStore.create(folder, ground.log.roles, partitions=partitions).add(part_of(ground, rows), rows=6_000)


def part_of(ground, rows: np.ndarray) -> EventLog:
    """A log of some of the rows."""
    return EventLog.open(ground.table.filter(pa.array(rows)), ground.log.roles)


def rows_of(vectors) -> dict:
    """The bits of each row by entity and time."""
    keys = zip(vectors.entity.dictionary_decode().to_pylist(), vectors.as_of.tolist(), strict=True)
    bits = np.ascontiguousarray(vectors.values.T)
    return {key: row.tobytes() for key, row in zip(keys, bits, strict=True)}


def built(ground, store: EventStore, day: date, **given) -> dict:
    """The rows of a day, built from a store."""
    found = {}
    for _, vectors in vectors_of_day(store, ground.plan, ground.population, day, **given):
        found |= rows_of(vectors)
    return found


def expected(ground, day: date, whole=None) -> dict:
    """The rows of a day in the build of all days."""
    since = int(np.datetime64(day, "us").astype(np.int64))
    vectors = (ground.whole if whole is None else whole).between(since, since + 86_400_000_000)
    return rows_of(vectors)


def test_a_new_day_is_the_day_of_a_full_rebuild(ground, tmp_path):
    """With shared devices and vehicles: every row of the day in every bit, for all entities, and no other day."""
    last = ground.day.max()
    store = store_of(ground, tmp_path / "store", ground.day < last)
    grown = take_in(store, part_of(ground, ground.day == last), ground.plan)
    assert grown.days == {last.item(): None}
    assert built(ground, grown.store, last.item()) == expected(ground, last.item())


def test_late_events_change_whom_they_concern(ground, tmp_path):
    """Within the allowance exactly the entities that differ, or met one who does, are named; their rows are right."""
    last = ground.day.max()
    users = ground.table[ground.log.roles.entity].cast(pa.string())
    someone = users[int(np.flatnonzero(ground.day == last - 2)[0])].as_py()
    theirs = pc.equal(users, someone).to_numpy(zero_copy_only=False)
    late = theirs & (ground.day == last - 2)
    store = store_of(ground, tmp_path / "store", ~late & (ground.day < last))
    before = {last.item() - timedelta(days=back): None for back in (2, 1)}
    earlier = {day: built(ground, store, day) for day in before}
    grown = take_in(store, part_of(ground, late | (ground.day == last)), ground.plan, late=2)
    assert grown.days.pop(last.item()) is None
    for day in before:
        after = expected(ground, day)
        differing = {key[0] for key in after if earlier[day].get(key) != after[key]}
        named = set(grown.days[day].to_pylist()) if day in grown.days else set()
        assert differing <= named
        rows = built(ground, grown.store, day, entities=pa.array(sorted(named), pa.string()))
        assert rows == {key: row for key, row in after.items() if key[0] in named}
    assert someone in grown.days[last.item() - timedelta(days=2)].to_pylist()
    assert built(ground, grown.store, last.item()) == expected(ground, last.item())


def test_few_are_touched_by_few(ground, tmp_path):
    """Those who were nowhere near a late event are not named."""
    last = ground.day.max()
    users = ground.table[ground.log.roles.entity].cast(pa.string())
    late = np.zeros(len(users), np.bool_)
    late[np.flatnonzero(ground.day == last - 1)[0]] = True
    store = store_of(ground, tmp_path / "store", ~late)
    grown = take_in(store, part_of(ground, late), ground.plan, late=1)
    who = users[int(np.flatnonzero(late)[0])].as_py()
    named = {day: set(names.to_pylist()) for day, names in grown.days.items()}
    assert who in named[(last - 1).item()]
    everybody = len(set(users.filter(pa.array(ground.day == last - 1)).to_pylist()))
    assert len(named[(last - 1).item()]) < everybody / 2


def test_older_events_count_as_history_only(ground, tmp_path):
    """What is older than the allowance builds no day again, but is in the horizon of the next one."""
    last = ground.day.max()
    old = (ground.day == last - 4) & (np.arange(len(ground.day)) % 3 == 0)
    store = store_of(ground, tmp_path / "store", ~old & (ground.day < last))
    grown = take_in(store, part_of(ground, old | (ground.day == last)), ground.plan, late=1)
    assert set(grown.days) <= {last.item(), last.item() - timedelta(days=1)}
    assert built(ground, grown.store, last.item()) == expected(ground, last.item())


def test_the_same_day_twice_changes_nothing(ground, tmp_path):
    """No day to build, no file, no byte of the manifest but for what came last."""
    last = ground.day.max()
    store = store_of(ground, tmp_path / "store", ground.day < last)
    log = part_of(ground, ground.day == last)
    once = take_in(store, log, ground.plan, late=2)
    files = sorted(path for path in store.folder.rglob("*") if path.is_file())
    again = take_in(once.store, log, ground.plan, late=2)
    assert not again.days
    assert again.store.manifest.files == once.store.manifest.files
    assert (again.store.rows, again.store.manifest.rows) == (once.store.rows, once.store.manifest.rows)
    assert sorted(path for path in store.folder.rglob("*") if path.is_file()) == files


def test_other_events_of_the_same_name_are_taken_in(ground, tmp_path):
    """Two tables in memory are called alike; the second is not taken for the rest of the first."""
    last = ground.day.max()
    store = EventStore.create(tmp_path / "store", ground.log.roles, partitions=1)
    for day in (last - 1, last):
        store = store.add(part_of(ground, ground.day == day))
    assert store.rows == np.count_nonzero(ground.day >= last - 1)


def test_what_left_the_horizon_is_gone_from_the_disk(ground, tmp_path):
    """No file of the days before it is left, nor rows that stayed outside in those days; the days within it stay."""
    last = ground.day.max()
    home = tmp_path / "store"
    table = ground.table.filter(pa.array(ground.day < last))
    name = ground.log.roles.entity
    nobody = pa.array([None, *table[name].cast(pa.string()).to_pylist()[1:]])
    broken = EventLog.open(table.set_column(table.column_names.index(name), name, nobody), ground.log.roles)
    store = EventStore.create(home, ground.log.roles, partitions=2).add(broken, rows=5_000)
    assert len(store.manifest.rejected) == 1
    grown = take_in(store, part_of(ground, ground.day == last), ground.plan, late=1)
    first = last.item() - timedelta(days=1 + reach_days(ground.plan.windows))
    assert grown.store.days()[0] == first
    assert min(path.name for path in home.glob("day=*")) == f"day={first}"
    assert not grown.store.manifest.rejected
    assert not list((home / "rejected").rglob("*.parquet"))


def test_more_days_are_kept_if_asked(ground, tmp_path):
    """A new store keeps what its last day looks at, or as many days as one says."""
    few = take_in(EventStore.create(tmp_path / "few", ground.log.roles, partitions=1), ground.log, ground.plan)
    many = take_in(
        EventStore.create(tmp_path / "many", ground.log.roles, partitions=1), ground.log, ground.plan, keep=20
    )
    assert [len(made.store.days()) for made in (few, many)] == [1 + reach_days(ground.plan.windows), 21]
    assert set(few.days) == set(many.days) == {ground.day.max().item()}


def test_windows_alone_tell_days_but_not_entities(ground, tmp_path):
    """Without a plan everyone who is there on a changed day is to be built."""
    last = ground.day.max()
    late = (ground.day == last - 1) & (np.arange(len(ground.day)) % 50 == 0)
    store = store_of(ground, tmp_path / "store", ~late)
    grown = take_in(store, part_of(ground, late), ground.plan.windows, late=2)
    assert grown.days == {(last - 1).item(): None, last.item(): None}


def test_a_wrong_clock_does_not_empty_the_store(ground, tmp_path):
    """Events months ahead would push the horizon out; they are refused, and the store is what it was."""
    last = ground.day.max()
    store = store_of(ground, tmp_path / "store", ground.day < last, partitions=1)
    ahead = ground.table.slice(0, 3)
    at = pa.array([datetime(2025, 6, 1, tzinfo=UTC)] * 3)
    log = EventLog.open(ahead.set_column(ahead.column_names.index("ts"), "ts", at), ground.log.roles)
    with pytest.raises(StoreError, match=r"got 3 on 2025-06-01 or later.*nothing was added"):
        take_in(store, log, ground.plan)
    assert EventStore.open(store.folder).manifest == store.manifest
    grown = take_in(EventStore.open(store.folder), part_of(ground, ground.day == last), ground.plan)
    assert built(ground, grown.store, last.item()) == expected(ground, last.item())
    assert not list(store.folder.glob("day=2025-06-01/*"))


def test_runs_of_events_are_refused(ground, tmp_path):
    """A run may have begun at any time, so no horizon is enough."""
    store = EventStore.create(tmp_path / "store", ground.log.roles, partitions=1)
    with pytest.raises(ConfigError, match="runs of device; score the whole log"):
        take_in(store, ground.log, WindowSpec(by="device"))
    assert EventStore.open(store.folder).rows == 0


def test_nothing_of_a_days_work_stays_in_the_store(ground, tmp_path):
    """What entities exchange on disk is gone after a day is built, also what a killed run left there."""
    last = ground.day.max()
    store = store_of(ground, tmp_path / "store", ground.day >= last - 2, partitions=1)
    (store.folder / "passing-killed").mkdir()
    (store.folder / "passing-killed" / "part").write_text("left over")
    assert built(ground, store, last.item())
    assert not list(store.folder.glob("passing-*"))
