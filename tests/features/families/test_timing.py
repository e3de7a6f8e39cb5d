"""Timing against clocks read one event at a time."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from event_logs import DAY, HOUR, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, in_order, rows_of, wall

from peculiar.features.families import Timing
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec


def vectors_of(events, every="1d", zone="UTC", prior_events=12.0):
    """The vectors of this family alone, on these events."""
    plan = FeaturePlan(roles(zone), WindowSpec(every), (), (Timing(prior_events),))
    timeline = timeline_of(events, zone)
    return fill(plan, timeline)[1]


def share(events, what):
    """The share of events of which it is true."""
    return sum(map(what, events)) / len(events)


def on_circle(event, zone):
    """The time of day, to the minute, as a point on the unit circle."""
    clock = wall(event.at, zone)
    angle = 2 * math.pi * (60 * clock.hour + clock.minute) / 1440
    return math.sin(angle), math.cos(angle)


def surprises(row, everyone, zone, prior_events=12.0):
    """For each event the bits of its hour, a dozen events of everyone's hours mixed into the entity's own.

    Everyone's are counted with one event more in each hour, so that no hour is impossible.
    """
    own = Counter(wall(e.at, zone).hour for e in row.before)
    all_hours = Counter(wall(e.at, zone).hour for e in everyone)
    bits = []
    for event in row.now:
        hour = wall(event.at, zone).hour
        usual = (all_hours[hour] + 1) / (len(everyone) + 24)
        bits.append(-math.log2((own[hour] + prior_events * usual) / (len(row.before) + prior_events)))
    return bits


def plain(rows, every, zone, everyone):
    """The features as their meanings say."""
    points = [[on_circle(e, zone) for e in row.now] for row in rows]
    sines = [math.fsum(p[0] for p in found) / len(found) for found in points]
    cosines = [math.fsum(p[1] for p in found) / len(found) for found in points]
    bits = [surprises(row, everyone, zone) for row in rows]
    return {
        f"night_share_{every}": [share(row.now, lambda e: wall(e.at, zone).hour < 6) for row in rows],
        f"weekend_share_{every}": [share(row.now, lambda e: wall(e.at, zone).weekday() >= 5) for row in rows],
        f"hour_sin_{every}": sines,
        f"hour_cos_{every}": cosines,
        f"hour_spread_{every}": [1 - math.hypot(s, c) for s, c in zip(sines, cosines, strict=True)],
        f"hour_surprise_mean_{every}_vs_own": [math.fsum(found) / len(found) for found in bits],
        f"hour_surprise_max_{every}_vs_own": [max(0.0, *found) for found in bits],
    }


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_clocks_read_one_by_one(world, every):
    """On any log the columns are what clocks of the log's zone show, and there are no others."""
    rows = rows_of(in_order(world.events, world.timeline), world.zone, every)
    vectors = vectors_of(world.events, every, world.zone)
    expected = plain(rows, "1d" if every == "event" else every, world.zone, world.events)
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


def test_night_and_weekend_are_those_of_the_zone():
    """22:30 UTC on a Friday in winter is Saturday to nobody, but half past midnight on Saturday two zones east."""
    events = [Event("ann", instant("2025-01-10T22:30"), "1", None, None, None)]
    for zone, night, weekend in (("UTC", 0, 0), ("Europe/Helsinki", 1, 1)):
        vectors = vectors_of(events, zone=zone)
        assert vectors.column("night_share_1d").tolist() == [night]
        assert vectors.column("weekend_share_1d").tolist() == [weekend]


def test_the_edges_of_night_and_weekend():
    """Night begins at midnight and ends at six; the weekend begins on Saturday and ends with Sunday."""
    times = ("2025-03-07T23:59:59.999999", "2025-03-08T00:00", "2025-03-09T05:59:59.999999", "2025-03-10T06:00")
    vectors = vectors_of([Event("ann", instant(at), at, None, None, None) for at in times])
    assert vectors.column("night_share_1d").tolist() == [0, 1, 1, 0]
    assert vectors.column("weekend_share_1d").tolist() == [0, 1, 1, 0]


def test_the_hours_before_and_after_midnight_are_close():
    """23:00 and 01:00 the same day lie around midnight on the circle, not around noon; noon and midnight cancel."""
    day = instant("2025-03-03")
    near = vectors_of([Event("ann", day + h * HOUR, str(h), None, None, None) for h in (1, 23)])
    far = vectors_of([Event("ann", day + h * HOUR, str(h), None, None, None) for h in (0, 12)])
    assert near.column("hour_cos_1d")[0] > 0.9
    assert near.column("hour_spread_1d")[0] < 0.1
    assert far.column("hour_spread_1d")[0] == pytest.approx(1.0)


def test_a_strange_hour_surprises_and_a_usual_one_does_not():
    """After three weeks at nine in the morning, three at night carries bits; the window itself is not its history."""
    nine = instant("2025-03-03T09:00")
    events = [Event("ann", nine + d * DAY, str(d), None, None, None) for d in range(21)]
    events += [Event("ann", nine + 21 * DAY - 6 * HOUR, "odd", None, None, None)]
    surprise = vectors_of(events).column("hour_surprise_max_1d_vs_own")
    assert surprise[20] < 1
    assert surprise[21] > 5
