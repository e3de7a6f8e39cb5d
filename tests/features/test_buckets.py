"""A bucket of rows in any order, from any shuffle, becomes the timeline of the log in one piece; no Spark needed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from peculiar.errors import ConfigError
from peculiar.features.buckets import Building, Gate, Learning, Reporting, population_of
from peculiar.features.events import EventLog
from peculiar.features.families.velocity import Velocity
from peculiar.features.families.volume import Volume
from peculiar.features.fitting import fit_passes
from peculiar.features.plan import FeaturePlan
from peculiar.features.population import Population
from peculiar.features.sampled import Sample, collected
from peculiar.features.whole import Whole


@pytest.fixture(scope="module")
def ground():
    """Three hundred events of twenty people, two of them with an id that another has: log, timeline, plan, report."""
    rng = np.random.default_rng(3)
    at = pa.array(1_740_787_200_000_000 + np.arange(300) * 3_977_000_000, pa.timestamp("us", tz="UTC"))
    ids = [f"e{n % 298}" for n in range(300)]
    amount = np.where(np.arange(300) % 50 == 7, np.inf, np.round(rng.gamma(2.0, 9.0, 300), 2))
    users = [f"u{n}" for n in rng.integers(0, 20, 300)]
    log = EventLog.open(pa.table({"user_id": users, "event_id": ids, "ts": at, "amount": amount}))
    timeline, report, _ = log.read()
    return log, timeline, FeaturePlan(log.roles, families=(Volume(), Velocity())), report


def shuffled(table: pa.Table) -> pa.Table:
    """The rows in another order, with a column more."""
    moved = table.take(np.random.default_rng(1).permutation(len(table)))
    return moved.append_column("peculiar_bucket", pa.array(np.zeros(len(moved), np.int64)))


def test_the_order_of_rows_does_not_show(ground):
    """The same events, in the same order, and the same rows outside for the same reasons."""
    log, timeline, plan, report = ground
    bucket = Gate(plan, Whole()).admit(0, shuffled(log.source.table))
    assert bucket.timeline.fingerprint == timeline.fingerprint
    assert np.array_equal(bucket.timeline.at, timeline.at)
    assert bucket.timeline.entity.equals(timeline.entity)
    assert bucket.report.rejected == report.rejected
    assert sum(report.rejected.values()) == len(bucket.rejected) == 300 - len(timeline)


def test_ids_of_other_buckets_are_counted_like_ones_own(ground):
    """An event whose id somebody else has stays outside under the reason that a log in one piece gives."""
    log, timeline, plan, report = ground
    bucket = Gate(plan, Whole(), spurned={0: np.array([4])}).admit(0, shuffled(log.source.table))
    reason = "id used again by a different event"
    assert bucket.report.rejected[reason] == report.rejected[reason] + 1
    assert np.array_equal(bucket.timeline.at, np.delete(timeline.at, 4))


def test_events_after_the_end_are_not_looked_at(ground):
    """As a log that is read until then."""
    log, timeline, plan, _ = ground
    until = int(np.median(timeline.at))
    bucket = Gate(plan, Whole(), until).admit(0, shuffled(log.source.table))
    assert bucket.timeline.fingerprint == log.read(None, until)[0].fingerprint


def test_what_looks_find_adds_up_as_bytes(ground):
    """The population of a plan, from bytes of buckets that share no entity."""
    log, _, plan, _ = ground
    gate, table = Gate(plan, Whole()), shuffled(log.source.table.slice(0, 298))  # ids used again meet on Spark
    timeline = EventLog.open(table, log.roles).read()[0]
    halves = [table.filter(pa.array([user in few for user in table["user_id"].to_pylist()]))
              for few in ({f"u{n}" for n in range(9)}, {f"u{n}" for n in range(9, 20)})]  # fmt: skip
    population = Population()
    for look in fit_passes(plan):
        work, found = Learning(look, population.to_bytes()), Population()
        for number, half in enumerate(halves):
            made = work(gate.met(gate.admit(number, half), None))
            found = found.merged(population_of(made["content"][0].as_py()))
        population = population.merged(found)
    assert population.to_bytes() == plan.fit(timeline).to_bytes()


def test_a_sample_is_taken_before_vectors_are_built(ground):
    """The chosen entities' rows, each with its weight; a bucket with none of them gives nothing."""
    log, timeline, plan, _ = ground
    population = plan.fit(timeline)
    bucket = Gate(plan, Whole()).admit(0, shuffled(log.source.table))
    sample = Sample(0.4, always=("u3",))
    vectors, weights = collected(Building(plan, population.to_bytes(), None, sample)(bucket), plan)
    whole = plan.vectors(timeline, population)
    wanted = sample.weights(whole.entity.dictionary)[whole.entity.indices.to_numpy()]
    assert vectors.values.tobytes() == whole.take(wanted > 0).values.tobytes()
    assert weights.tolist() == wanted[wanted > 0].tolist()
    assert Building(plan, population.to_bytes(), None, Sample(1e-12))(bucket) is None


def test_a_bucket_of_nobody_is_reported_and_empty(ground):
    """Rows without an entity are turned away, and what is made of them is nothing."""
    log, _, plan, _ = ground
    table = log.source.table.slice(0, 3).set_column(0, "user_id", pa.nulls(3, pa.string()))
    bucket = Gate(plan, Whole()).met(Gate(plan, Whole()).admit(0, table), None)
    assert bucket.report.rejected == {"no entity": 3}
    assert Building(plan, Population().to_bytes(), None, None)(bucket) is None
    assert '"admitted": 0' in Reporting()(bucket)["report"][0].as_py()


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_a_share_is_a_share(share):
    """Between nobody and everybody."""
    with pytest.raises(ConfigError, match=r"share of the entities in \(0, 1\]"):
        Sample(share)
