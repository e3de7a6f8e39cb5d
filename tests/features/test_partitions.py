"""A log in partitions gives the vectors and the population of the log in one piece, bit for bit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from event_logs import DAY

from peculiar.features.columns import stable_hash
from peculiar.features.events import EventLog
from peculiar.features.families import FAMILIES
from peculiar.features.family import Context, Judge
from peculiar.features.output import vector_table
from peculiar.features.partitions import Partitions
from peculiar.features.plan import FeaturePlan
from peculiar.features.row_groups import row_groups
from peculiar.features.snapshots import WindowSpec, snapshots_of
from peculiar.features.store import EventStore
from peculiar.training.labels import read_labels
from peculiar.training.trouble import with_trouble

if TYPE_CHECKING:
    from peculiar.features.population import Population
    from peculiar.features.vectors import Vectors


@pytest.fixture(scope="module")
def ground(city):
    """A log with labels in one piece: what notes trouble, plan, population, vectors."""
    log = EventLog.open(city.events)
    timeline, _, _ = log.read()
    labels = read_labels(city.labels, locate=timeline.locate)

    def noted(events):
        return with_trouble(events, labels)

    timeline = noted(timeline)
    plan = FeaturePlan.for_log(timeline, log.roles, WindowSpec(horizon="14d"))
    population = plan.fit(timeline)
    return log, noted, plan, population, plan.vectors(timeline, population)


def same_population(ours: Population, theirs: Population) -> None:
    """Hold every count against its twin."""
    for kind in ("counts", "histograms"):
        mine, other = getattr(ours, kind), getattr(theirs, kind)
        assert mine.keys() == other.keys()
        assert all(np.array_equal(mine[name], other[name]) for name in mine)
    assert ours.keyed.keys() == theirs.keyed.keys()
    for name, mine in ours.keyed.items():
        assert np.array_equal(mine.keys, theirs.keyed[name].keys)
        assert np.array_equal(mine.counts, theirs.keyed[name].counts)


def all_vectors(parts: Partitions, population: Population, **how) -> list[Vectors]:
    """The vectors of every partition, in their order."""
    numbers = range(parts.store.partitions)
    return [made for n in numbers for _, made in parts.vectors(parts.timeline(n)[0], population, **how)]


def in_one_piece(parts: list[Vectors]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names, times and values, in the order of the log in one piece."""
    names = np.concatenate(
        [part.entity.dictionary_decode().to_numpy(zero_copy_only=False).astype(str) for part in parts]
    )
    as_of, values = (
        np.concatenate([part.as_of for part in parts]),
        np.concatenate([part.values for part in parts], axis=1),
    )
    order = np.lexsort((as_of, names))
    return names[order], as_of[order], values[:, order]


@pytest.mark.parametrize("partitions", [1, 4])
def test_partitions_are_the_log_in_one_piece(ground, tmp_path, partitions):
    """With trouble, company and every family: the same population, the same vectors, at any size of pieces."""
    log, noted, plan, population, whole = ground
    assert plan.shared
    assert plan.risky
    store = EventStore.create(tmp_path / "store", log.roles, partitions=partitions).add(log, rows=11_000)
    with Partitions.over(store, plan, noted=noted) as parts:
        if partitions > 1:
            same_population(parts.fit(), population)
        pieces = all_vectors(parts, population, most_bytes=1_000_000, threads=1)
    assert len(pieces) > partitions
    names, as_of, values = in_one_piece(pieces)
    expected = in_one_piece([whole])
    assert np.array_equal(names, expected[0])
    assert np.array_equal(as_of, expected[1])
    assert values.tobytes() == expected[2].tobytes()
    keys = stable_hash(pa.concat_arrays([piece.entity.dictionary_decode() for piece in pieces]))
    assert (keys[1:] >= keys[:-1]).all()
    assert not list(tmp_path.glob("store/passing-*"))


@pytest.mark.parametrize(
    "cuts", [((1, 1), (1, 2), (64, 2)), pytest.param(((1, 2), (64, 1), (4096, 1)), marks=pytest.mark.long)]
)
def test_neither_partitions_nor_threads_show_in_a_byte(ground, tmp_path, cuts):
    """One partition or thousands, most of them empty, one thread or two: the same bytes of vectors."""
    log, noted, plan, population, _ = ground
    table = log.source.table
    users = table[log.roles.entity].cast(pa.string()).combine_chunks()
    few = EventLog.open(table.filter(pc.is_in(users, value_set=users.unique().slice(0, 12))), log.roles)
    digests = {}
    for partitions, threads in cuts:
        path = tmp_path / f"{partitions}-{threads}.parquet"
        store = EventStore.create(tmp_path / path.stem, log.roles, partitions=partitions).add(few, rows=500)
        with Partitions.over(store, plan, noted=noted) as parts, row_groups(path) as out:
            for portion in parts.portions("vectors"):
                for _, made in parts.vectors(portion.timeline, population, threads=threads):
                    out.write(vector_table(made))
        digests[partitions, threads] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(set(digests.values())) == 1, digests


def test_a_period_is_looked_at_in_few_portions(ground, tmp_path):
    """Of a last week: the same vectors a partition at a time or all in one go, read of those alone who are there."""
    log, noted, plan, population, whole = ground
    since = int(whole.since.max()) - 6 * DAY
    expected = whole.between(since, None)
    store = EventStore.create(tmp_path / "store", log.roles, partitions=8).add(log, rows=11_000)
    for together, portions in ((0, 8), (store.rows // 3, 4), (2 * store.rows, 1)):
        with Partitions.over(store, plan, noted=noted, since=since, together=together) as parts:
            found = list(parts.portions("a week"))
            made = [built for each in found for _, built in parts.vectors(each.timeline, population)]
        assert len(found) == portions
        names, as_of, values = in_one_piece([vectors.between(since, None) for vectors in made])
        assert values.tobytes() == in_one_piece([expected])[2].tobytes()
        assert (as_of == in_one_piece([expected])[1]).all()
        assert sum(len(each.timeline.entity) for each in found) == len(set(names))


def test_ids_used_again_in_another_partition_are_found(tmp_path):
    """Of two events of different entities with one id the earlier keeps it, as in a log in one piece."""
    users = [f"u{n % 40}" for n in range(400)]
    ids = [f"e{n % 390}" for n in range(400)]  # ten ids come again, at other users
    times = pa.array(1_740_787_200_000_000 + np.arange(400) * 977_000_000, pa.timestamp("us", tz="UTC"))
    log = EventLog.open(pa.table({"user_id": users, "event_id": ids, "ts": times}))
    timeline, report, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles)
    store = EventStore.create(tmp_path / "store", log.roles, partitions=8).add(log, rows=64)
    assert store.manifest.rising is None
    with Partitions.over(store, plan) as parts:
        found = [parts.timeline(n) for n in range(8)]
    assert sum(len(events) for events, _, _ in found) == report.admitted == 390
    dropped = np.concatenate([rows for _, _, out in found for rows in out.values()])
    assert sorted(dropped.tolist()) == list(range(390, 400))
    whole = timeline.fingerprint
    assert (
        f"{sum(int(events.fingerprint[:16], 16) ^ len(events) for events, _, _ in found) % 2**64 ^ 390:016x}"
        == whole[:16]
    )


def test_an_id_used_twice_more_in_another_partition(tmp_path):
    """Both later uses of it are dropped, though the first of them would have kept it among its own partition's."""
    begin, users = 1_740_787_200_000_000, [f"u{n}" for n in range(12)]
    rows = [(user, f"x{n}", begin + n) for n, user in enumerate(users)]
    rows += [
        (users[0], "again", begin + 100),
        *((user, "again", begin + 200 + n) for n, user in enumerate(users[1:] * 2)),
    ]
    who, ids, at = zip(*rows, strict=True)
    times = pa.array(at, pa.timestamp("us", tz="UTC"))
    log = EventLog.open(pa.table({"user_id": who, "event_id": ids, "ts": times}))
    timeline, report, _ = log.read()
    store = EventStore.create(tmp_path / "store", log.roles, partitions=8).add(log, rows=5)
    with Partitions.over(store, FeaturePlan.for_log(timeline, log.roles)) as parts:
        found = [parts.timeline(n) for n in range(8)]
    assert sum(len(events) for events, _, _ in found) == report.admitted == 13
    dropped = np.concatenate([rows for _, _, out in found for rows in out.values()])
    assert sorted(dropped.tolist()) == list(range(13, len(rows)))


def test_rising_ids_need_no_look(tmp_path):
    """Numbers that only rise over all pieces cannot come twice."""
    times = pa.array(1_740_787_200_000_000 + np.arange(50) * 1_000_000, pa.timestamp("us", tz="UTC"))
    rows = {"user_id": ["ann", "ben"] * 25, "event_id": np.arange(50), "ts": times}
    log = EventLog.open(pa.table(rows))
    store = EventStore.create(tmp_path / "store", log.roles, partitions=2).add(log, rows=20)
    assert store.manifest.rising == (0, 49)
    falling = EventLog.open(pa.table({**rows, "event_id": np.arange(50)[::-1].copy()}), log.roles)
    other = EventStore.create(tmp_path / "other", log.roles, partitions=2).add(falling, rows=20)
    assert other.manifest.rising is None


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not isinstance(family(), Judge)])
def test_only_judges_look_at_histograms(ground, name):
    """A family that does not say so is filled alike when no histogram is known yet."""
    log, noted, plan, population, _whole = ground
    timeline = plan.annotated(noted(log.read()[0]))
    timeline = timeline.of_entities(np.arange(len(timeline.entity)) < 25)
    snapshots = snapshots_of(timeline, plan.windows)
    features = plan.by_family[name]
    blind = replace(population, histograms={})
    columns = np.full((2, len(features), len(snapshots) + 1), np.nan, np.float32)[..., :-1]  # the layout of parts
    for column, known in zip(columns, (population, blind), strict=True):
        context = Context(timeline, snapshots, known, plan.shape, {}, ())
        if features:
            FAMILIES[name]().fill(column, context)
    assert columns[0].tobytes() == columns[1].tobytes()
