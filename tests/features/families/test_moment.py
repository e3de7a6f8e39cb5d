"""The moment against events looked at one by one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from event_logs import DAY, HOUR, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import hold, in_order, rows_of, wall

from peculiar.features.families import Moment, Novelty, Risk, Sharing
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec
from peculiar.training.labels import read_labels
from peculiar.training.trouble import with_trouble


def plan_of(every="event", zone="UTC", families=None):
    """A plan of the family and of the one whose count of entities it reads."""
    return FeaturePlan(roles(zone), WindowSpec(every), (), families or (Novelty(), Moment()))


def plain(rows, events, zone):
    """The features of one dimension and one measure, as their meanings say."""
    columns = {name: [] for name in ("gap_event", "hour_event", "night_event", "weekend_event", "amount_event")}
    columns |= {f"{name}_{end}": [] for name in ("device", "action") for end in _SEEN}
    holders = {name: Counter(getattr(e, name) for e in {(x.user, getattr(x, name)): x for x in events}.values())
               for name in ("device", "action")}  # fmt: skip
    entities = len({event.user for event in events})
    for row in rows:
        event, earlier = row.now[-1], row.before + row.now[:-1]
        clock, last = wall(event.at, zone), earlier[-1].at if earlier else None
        hour = clock.hour + clock.minute / 60 + (clock.second + clock.microsecond / 1e6) / 3600
        told = [None if last is None else (event.at - last) / 1e6, hour, clock.hour < 6, clock.weekday() >= 5]
        told.append(event.amount)
        for name in ("device", "action"):
            value, values = getattr(event, name), [getattr(e, name) for e in earlier if getattr(e, name) is not None]
            share = values.count(value) / len(values) if values else None
            rarity = math.log2(entities / max(1, holders[name][value]))
            told += [None] * 3 if value is None else [values.count(value), share, rarity]
        for column, value in zip(columns.values(), told, strict=True):
            column.append(value)
    return columns


_SEEN = ("seen_event", "seen_share_event", "rarity_event")


@given(world=worlds())
@settings(max_examples=60)
def test_equals_events_looked_at_one_by_one(world):
    """On any log the columns are those of each event by itself."""
    timeline = timeline_of(world.events, world.zone)
    events = in_order(world.events, timeline)
    rows = rows_of(events, world.zone, "event")
    plan = plan_of(zone=world.zone)
    vectors = plan.vectors(timeline, plan.fit(timeline))
    expected = plain(rows, events, world.zone)
    assert {f.name for f in plan.by_family["moment"]} == set(expected)
    hold(vectors, rows, expected)


@given(world=worlds())
@settings(max_examples=60)
def test_the_gap_to_others_is_that_of_the_latest_of_them(world):
    """On any log it is the time since the last event of another at the value, strictly before and in the horizon."""
    timeline = timeline_of(world.events, world.zone)
    rows = rows_of(in_order(world.events, timeline), world.zone, "event")
    plan = replace(plan_of(zone=world.zone, families=(Novelty(), Sharing(), Moment())), shared=("device", "action"))
    vectors = plan.vectors(timeline, plan.fit(timeline))
    for name in plan.shared:
        expected = [_since_others(row.now[-1], world.events, name) for row in rows]
        assert vectors.column(f"{name}_gap_others_event").tolist() == pytest.approx(expected, rel=1e-6, nan_ok=True)


def _since_others(event, events, name):
    value = getattr(event, name)
    times = [e.at for e in events if getattr(e, name) == value and e.user != event.user]
    seen = [at for at in times if event.at - 28 * DAY <= at < event.at]
    return math.nan if value is None or not seen else (event.at - max(seen)) / 1e6


@pytest.mark.parametrize("every", ["1d", "1h"])
def test_nothing_where_no_event_is_meant(every):
    """Windows of days and hours have no moment."""
    assert plan_of(every).by_family["moment"] == ()
    assert FeaturePlan(roles(), WindowSpec(by="device"), (), (Moment(),)).features == ()
    plan = replace(plan_of(every, families=(Moment(),)), shared=("device",))
    assert plan.annotated(timeline_of([Event("zoe", instant("2025-03-03"), "z", "pay", "d", 1.0)])).notes == {}


def test_company_and_trouble_at_the_event_alone():
    """An event is told who was at its own device and what is known of that, not of the one an hour before."""
    noon = instant("2025-03-03T12:00")
    crowd = [Event(f"u{n}", noon + n * HOUR, f"c{n}", "pay", "shared", 1.0) for n in range(3)]
    events = [*crowd, Event("zoe", noon + 5 * HOUR, "z0", "pay", "shared", 1.0),
              Event("zoe", noon + 6 * HOUR, "z1", "pay", "own", 9.0)]  # fmt: skip
    timeline = timeline_of(events)
    plan = replace(plan_of(families=(Novelty(), Sharing(), Risk(), Moment())), shared=("device",), risky=("device",))
    bad = {"entity": ["u0"], "from": ["2025-03-03T12:00Z"], "to": ["2025-03-03T12:01Z"],
           "known_at": ["2025-03-03T14:30Z"]}  # fmt: skip
    timeline = with_trouble(timeline, read_labels(pa.table(bad)))
    vectors = plan.vectors(timeline, plan.fit(timeline))
    zoe = [n for n, name in enumerate(vectors.entity.to_pylist()) if name == "zoe"]
    assert vectors.column("device_others_28d_event")[zoe].tolist() == [3.0, 0.0]
    assert vectors.column("device_others_max_28d")[zoe].tolist() == [3.0, 3.0]
    assert vectors.column("device_gap_others_event")[zoe][0] == 3 * 3600.0
    assert np.isnan(vectors.column("device_gap_others_event")[zoe][1])
    rates = vectors.column("device_trouble_rate_1d_event")[zoe]
    assert rates[0] > rates[1] > 0.0


def test_of_equal_instants_the_later_knows_the_earlier():
    """Two payments at one instant: the second comes no time after the first, at a value seen once before."""
    noon = instant("2025-03-03T12:00")
    events = [Event("zoe", noon, f"z{n}", "pay", "d", 1.0) for n in range(2)]
    timeline = timeline_of(events)
    plan = plan_of()
    vectors = plan.vectors(timeline, plan.fit(timeline))
    assert np.isnan(vectors.column("gap_event")[0])
    assert vectors.column("gap_event")[1] == 0.0
    assert vectors.column("device_seen_event").tolist() == [0.0, 1.0]
    assert (vectors.since + DAY == vectors.as_of).all()
