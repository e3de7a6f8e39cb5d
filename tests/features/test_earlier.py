"""Which earlier windows count, against dates and lists."""

from __future__ import annotations

from dataclasses import replace

import pytest
from event_logs import HOUR, Event, full_roles, instant, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import in_order, rows_of, wall

from peculiar.features.earlier import Earlier
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec, snapshots_of


def earlier_of(timeline, spec, zone="UTC"):
    """The earlier windows that count, as lists of row numbers."""
    snapshots, shape = snapshots_of(timeline, spec), FeaturePlan(full_roles(zone), spec).shape
    made = Earlier.apart(timeline, snapshots, shape)
    assert made.room == made.number.max(initial=0) + 1
    return [made.counted[a:b].tolist() for a, b in zip(made.first, made.last, strict=True)]


def last_of_days(rows, zone):
    """Of each row's earlier rows those whose next is on a later date."""
    dates = [wall(row.now[-1].at, zone).date() for row in rows]
    return [[n for n in row.earlier if dates[n + 1] > dates[n]] for row in rows]


@given(world=worlds())
@settings(max_examples=60)
def test_the_last_window_of_each_day_counts(world):
    """On any log, where windows end with each event, the earlier ones that count are the last of their dates."""
    rows = rows_of(in_order(world.events, world.timeline), world.zone, "event")
    assert earlier_of(world.timeline, WindowSpec("event"), world.zone) == last_of_days(rows, world.zone)


@pytest.mark.parametrize("every", ["1d", "1h"])
@given(world=worlds())
@settings(max_examples=30)
def test_windows_that_share_nothing_all_count(every, world):
    """Days and hours all count, those of the horizon before."""
    rows = rows_of(world.events, world.zone, every)
    assert earlier_of(world.timeline, WindowSpec(every), world.zone) == [row.earlier for row in rows]


def test_with_windows_of_an_hour_the_last_of_each_hour_counts():
    """Three events of one hour and one of the next are two windows to an event later in the day."""
    noon = instant("2025-03-03T12:00")
    times = (0, 1, 2, HOUR, 6 * HOUR)
    timeline = timeline_of([Event("ann", noon + t, str(n), None, None, None) for n, t in enumerate(times)])
    assert earlier_of(timeline, WindowSpec("event", span="1h"))[-1] == [2, 3]


def test_no_row_at_all():
    """A part without snapshots has no earlier windows."""
    timeline = timeline_of([Event("ann", instant("2025-03-03"), "1", None, None, None)])
    spec = WindowSpec("event")
    nothing = snapshots_of(timeline, spec).part(0, 0)
    made = Earlier.apart(timeline, nothing, replace(FeaturePlan(full_roles(), spec).shape))
    assert (len(made.counted), made.room) == (0, 1)
