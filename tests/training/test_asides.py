"""What is known of windows beside their vectors, held against a walk over the events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.errors import ConfigError
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec
from peculiar.training.asides import asides_of, audited, days_of, measure_at_stake, peer_groups

DAY = timedelta(days=1)
START = datetime(2025, 3, 1, tzinfo=UTC)
ROLES = Roles("who", "at", dimensions=("what",), measures=("paid",), audit_only=("age",), peer_by="branch")

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "ben", "cyd"]),
        st.integers(0, 40 * 24 - 1),  # hours
        st.sampled_from(["north", "south", None]),
        st.one_of(st.none(), st.floats(-50, 100, width=32)),
        st.sampled_from(["young", "old", None]),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda event: event[:2],
)


def log_of(events: list[tuple]) -> EventLog:
    """The events as a log; every one has another instant within its entity."""
    who, hours, branch, paid, age = zip(*events, strict=True)
    at = pa.array([START + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))
    text = pa.string()
    columns = {"who": pa.array(who), "at": at, "what": pa.array(["x"] * len(who)), "branch": pa.array(branch, text)}
    return EventLog.open(pa.table({**columns, "paid": pa.array(paid, pa.float64()), "age": pa.array(age, text)}), ROLES)


def built(log: EventLog, windows: WindowSpec):
    """Timeline and vectors of a log."""
    timeline, _, _ = log.read()
    plan = FeaturePlan(ROLES, windows, families=())
    return timeline, plan.vectors(timeline, plan.fit(timeline))


@settings(max_examples=60)
@given(EVENTS, st.sampled_from(["1d", "event"]), st.randoms(use_true_random=False))
def test_a_window_knows_its_group_its_stake_and_its_attribute(events, every, rng):
    """Group: the latest one until the window's end, no older than the horizon. Value: the sum. Attribute: the last."""
    windows = WindowSpec(every)
    rng.shuffle(events)
    log = log_of(events)
    timeline, vectors = built(log, windows)
    kept = vectors.take(np.arange(len(vectors)) % 2 == 0)
    told = asides_of(kept, timeline, ROLES, windows, "paid")
    ages = audited(kept, log)["age"].to_pylist()
    rows = zip(kept.entity.to_pylist(), kept.since.tolist(), kept.as_of.tolist(), strict=True)
    for row, (entity, since, as_of) in enumerate(rows):
        own = sorted((START + timedelta(hours=hour), *rest) for who, hour, *rest in events if who == entity)
        own = [(int(at.timestamp() * 1e6), *rest) for at, *rest in own]
        seen = [event for event in own if since - windows.horizon_width <= event[0] < as_of]
        groups = [branch for _, branch, _, _ in seen if branch is not None]
        inside = [event for event in seen if event[0] >= (since if every == "1d" else as_of - 1)]
        assert told.group[row].as_py() == (groups[-1] if groups else None)
        assert told.value[row] == pytest.approx(max(0.0, sum(paid or 0.0 for _, _, paid, _ in inside)))
        assert ages[row] == seen[-1][3]
        assert told.day[row] == (as_of - 1) // (DAY // timedelta(microseconds=1))


def test_days_are_those_of_the_zone():
    """A window of a local day belongs to that day, though it ends before midnight of UTC."""
    roles = Roles("who", "at", time_zone="Asia/Tokyo")
    log = EventLog.open(pa.table({"who": ["ann"], "at": ["2025-03-01T20:00:00Z"]}), roles)
    timeline, _, _ = log.read()
    plan = FeaturePlan(roles, WindowSpec(), families=())
    vectors = plan.vectors(timeline, plan.fit(timeline))
    assert days_of(vectors, WindowSpec(), "Asia/Tokyo").tolist() == [(datetime(2025, 3, 2) - datetime(1970, 1, 1)).days]  # noqa: DTZ001


def test_without_peers_there_are_no_groups():
    """A log that names no peers has none."""
    log = EventLog.open(pa.table({"who": ["ann"], "at": ["2025-03-01T20:00:00Z"]}), Roles("who", "at"))
    timeline, _, _ = log.read()
    plan = FeaturePlan(log.roles, WindowSpec(), families=())
    vectors = plan.vectors(timeline, plan.fit(timeline))
    assert peer_groups(vectors, timeline, WindowSpec()) is None
    assert audited(vectors, log) == {}
    assert asides_of(vectors, timeline, log.roles, WindowSpec(), None).value is None


def test_what_is_at_stake_is_named_or_the_first():
    """The first measure unless another is named; a name that is none is refused."""
    assert measure_at_stake(ROLES, None) == measure_at_stake(ROLES, "paid") == "paid"
    assert measure_at_stake(Roles("who", "at"), None) is None
    with pytest.raises(ConfigError, match=r"training\.value to name a measure \(paid\), got 'price'"):
        measure_at_stake(ROLES, "price")
