"""Velocity against a plain look at every span and every gap."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from event_logs import DAY, HOUR, MINUTE, SECOND, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, in_order, rows_of

from peculiar.features.families import Velocity
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec


def vectors_of(events, every="1d", zone="UTC"):
    """The vectors of this family alone, on these events."""
    plan = FeaturePlan(roles(zone), WindowSpec(every), (), (Velocity(),))
    timeline = timeline_of(events, zone)
    return fill(plan, timeline)[1]


def spans(events, width):
    """The events of each stretch of time of that width that begins with an event."""
    return [[e for e in events if first.at <= e.at < first.at + width] for first in events]


def gaps(events):
    """Seconds between consecutive events."""
    times = sorted(event.at for event in events)
    return [(b - a) / SECOND for a, b in pairwise(times)]


def burstiness(values):
    """Goh and Barabasi, (s - m) / (s + m); 0 if all happens at once."""
    if len(values) < 2:
        return None
    s, m = statistics.pstdev(values), statistics.fmean(values)
    return (s - m) / (s + m) if s + m > 0 else 0.0


def plain(rows, every):
    """The features as their meanings say."""
    widths = {"10m": 10 * MINUTE, "1h": HOUR} if every == "1d" else {"10m": 10 * MINUTE}
    expected = {
        f"events_max_{name}_{every}": [max(map(len, spans(row.now, width))) for row in rows]
        for name, width in widths.items()
    }
    found = [gaps(row.now) for row in rows]
    expected[f"gap_min_{every}"] = [min(values, default=None) for values in found]
    expected[f"gap_median_{every}"] = [statistics.median(values) if values else None for values in found]
    expected[f"gap_burstiness_{every}"] = [burstiness(values) for values in found]
    expected[f"gap_before_{every}"] = [
        (min(e.at for e in row.now) - max(e.at for e in row.before)) / SECOND if row.before else None for row in rows
    ]
    for name in ("action", "device") if every == "1d" else ():
        expected[f"{name}_distinct_max_1h_1d"] = [
            max(len({getattr(e, name) for e in span} - {None}) for span in spans(row.now, HOUR)) for row in rows
        ]
    return expected


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_a_plain_look_at_every_span(world, every):
    """On any log the columns are the busiest spans and the gaps that their names say, and there are no others."""
    rows = rows_of(in_order(world.events, world.timeline), world.zone, every)
    vectors = vectors_of(world.events, every, world.zone)
    expected = plain(rows, "1d" if every == "event" else every)
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


def at_times(*offsets, device=None):
    """Events of one entity so many microseconds after a morning at ten."""
    begin = instant("2025-03-03T10:00")
    return [Event("ann", begin + offset, str(n), None, device, None) for n, offset in enumerate(offsets)]


def test_a_span_excludes_its_end():
    """Events exactly ten minutes apart are never within any ten minutes; a microsecond less and they are."""
    apart = vectors_of(at_times(0, 10 * MINUTE, 20 * MINUTE))
    close = vectors_of(at_times(0, 10 * MINUTE - 1))
    assert apart.column("events_max_10m_1d").tolist() == [1]
    assert close.column("events_max_10m_1d").tolist() == [2]


def test_fifty_buses_in_an_hour():
    """A card that boards fifty buses, one a minute, shows fifty events and fifty vehicles within one hour."""
    begin = instant("2025-03-03T10:00")
    rides = [Event("card", begin + n * MINUTE, str(n), "ride", f"bus {n}", 2.8) for n in range(50)]
    vectors = vectors_of(rides)
    assert vectors.column("events_max_1h_1d").tolist() == [50]
    assert vectors.column("events_max_10m_1d").tolist() == [10]
    assert vectors.column("device_distinct_max_1h_1d").tolist() == [50]
    assert vectors.column("gap_median_1d").tolist() == [60]


def test_a_clock_has_burstiness_minus_one_and_all_at_once_zero():
    """Equal gaps give -1; events of one instant give 0, not a division by zero; two events give null."""
    burst = [
        vectors_of(at_times(*offsets)).column("gap_burstiness_1d").tolist()
        for offsets in ([0, HOUR, 2 * HOUR], [0, 0, 0], [0, HOUR])
    ]
    assert burst[:2] == [[-1.0], [0.0]]
    assert str(burst[2]) == "[nan]"


def test_the_gap_before_looks_no_further_than_the_horizon():
    """The previous event counts up to 28 days before the window's day, and is null beyond."""
    known = vectors_of(at_times(0, 28 * DAY)).column("gap_before_1d")
    unknown = vectors_of(at_times(0, 29 * DAY)).column("gap_before_1d")
    assert known[1] == 28 * DAY / SECOND
    assert str(unknown[1]) == "nan"
