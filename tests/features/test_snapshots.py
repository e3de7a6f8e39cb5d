"""Windows against calendar dates and plain lists of events."""

from __future__ import annotations

import numpy as np
import pytest
from event_logs import DAY, HOUR, Event, instant, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import midnight, rows_of, wall

from peculiar.errors import ConfigError
from peculiar.features.snapshots import WindowSpec, micros, snapshots_of


def at_times(*times, zone="UTC", every="1d"):
    """The snapshots of one entity with events at these times."""
    events = [Event("ann", instant(at), f"{n}", None, None, None) for n, at in enumerate(times)]
    return snapshots_of(timeline_of(events, zone), WindowSpec(every))


def check_against_plain(snapshots, timeline, rows):
    """Each position of the snapshots leads to the events that the plain reference lists."""
    names = timeline.entity.to_pylist()
    got = [(names[e], s, a) for e, s, a in zip(snapshots.entity, snapshots.since, snapshots.as_of, strict=True)]
    assert got == [(row.entity, row.since, row.as_of) for row in rows]
    for r, row in enumerate(rows):
        begin, end = snapshots.start[r], snapshots.stop[r]
        assert timeline.at[begin:end].tolist() == sorted(e.at for e in row.now)
        assert timeline.at[snapshots.history[r] : begin].tolist() == sorted(e.at for e in row.before)
        for lows, events in zip(snapshots.trailing, row.trailing.values(), strict=True):
            assert timeline.at[lows[r] : end].tolist() == sorted(e.at for e in events)
        assert list(range(snapshots.prior[r], r)) == row.earlier
        assert snapshots.rows[snapshots.entity[r]] <= r < snapshots.rows[snapshots.entity[r] + 1]


@pytest.mark.parametrize("every", ["1d", "1h"])
@given(world=worlds(), horizon=st.sampled_from([7, 28, 30]))
@settings(max_examples=40)
def test_equals_calendar_dates(world, every, horizon):
    """On any log and in any zone the windows, the trailing windows and the horizon hold the events of their dates."""
    timeline = world.timeline
    snapshots = snapshots_of(timeline, WindowSpec(every, f"{horizon}d"))
    check_against_plain(snapshots, timeline, rows_of(world.events, world.zone, every, horizon))


@pytest.mark.parametrize("every", ["1d", "1h"])
@given(world=worlds())
@settings(max_examples=40)
def test_every_event_lies_in_one_window(world, every):
    """The windows of an entity are half-open, do not overlap, and together hold each of its events once."""
    timeline = world.timeline
    snapshots = snapshots_of(timeline, WindowSpec(every))
    assert snapshots.start.tolist() == [0, *snapshots.stop[:-1].tolist()]
    assert snapshots.stop[-1] == len(timeline)
    for r in range(len(snapshots)):
        inside = timeline.at[snapshots.start[r] : snapshots.stop[r]]
        assert ((snapshots.since[r] <= inside) & (inside < snapshots.as_of[r])).all()
        assert (timeline.owner[snapshots.start[r] : snapshots.stop[r]] == snapshots.entity[r]).all()


def test_the_day_on_which_summer_time_begins():
    """In Berlin 30 March 2025 lasts 23 hours, from 23:00 to 22:00 UTC; an event a moment later is the next day's."""
    snapshots = at_times("2025-03-29T23:00", "2025-03-30T21:59:59.999999", "2025-03-30T22:00", zone="Europe/Berlin")
    assert snapshots.since.tolist() == [instant("2025-03-29T23:00"), instant("2025-03-30T22:00")]
    assert (snapshots.as_of - snapshots.since).tolist() == [23 * HOUR, 24 * HOUR]
    assert (snapshots.stop - snapshots.start).tolist() == [2, 1]


def test_the_day_on_which_summer_time_ends():
    """In Berlin 26 October 2025 lasts 25 hours, and the hour that comes twice is one day all the same."""
    times = (
        "2025-10-25T22:00",
        "2025-10-26T00:30",
        "2025-10-26T01:30",
        "2025-10-26T22:59:59.999999",
        "2025-10-26T23:00",
    )
    snapshots = at_times(*times, zone="Europe/Berlin")
    assert (snapshots.as_of - snapshots.since).tolist() == [25 * HOUR, 24 * HOUR]
    assert (snapshots.stop - snapshots.start).tolist() == [4, 1]


def test_hours_are_those_of_utc():
    """Windows of an hour are never repeated or left out by a change of the clocks."""
    times = ("2025-10-26T00:30", "2025-10-26T00:59:59.999999", "2025-10-26T01:00", "2025-10-26T01:30")
    snapshots = at_times(*times, zone="Europe/Berlin", every="1h")
    assert snapshots.since.tolist() == [instant("2025-10-26T00:00"), instant("2025-10-26T01:00")]
    assert (snapshots.stop - snapshots.start).tolist() == [2, 2]


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", "2025-04-10"), ("Europe/Berlin", "2025-11-10")])
def test_the_horizon_counts_days_of_the_calendar(zone, day):
    """The horizon begins at the midnight 28 dates back, also where one of those days had 23 or 25 hours."""
    since = midnight(wall(instant(f"{day}T12:00"), zone), zone)
    begin = midnight(wall(instant(f"{day}T12:00") - 28 * DAY, zone), zone)
    assert since - begin != 28 * DAY
    for at, known in ((begin, 1), (begin - 1, 0)):
        events = [Event("ann", t, str(t), None, None, None) for t in (at, since)]
        snapshots = snapshots_of(timeline_of(events, zone), WindowSpec())
        assert snapshots.start[1] - snapshots.history[1] == known
        assert 1 - snapshots.prior[1] == known


def test_midnights_that_do_not_exist():
    """Where clocks skip midnight, as in Havana on 9 March 2025, the day begins at the instant of the change."""
    snapshots = at_times("2025-03-09T04:59:59.999999", "2025-03-09T05:00", zone="America/Havana")
    assert snapshots.since.tolist() == [instant("2025-03-08T05:00"), instant("2025-03-09T05:00")]
    assert snapshots.as_of[0] == snapshots.since[1]


@given(world=worlds(), cut=st.integers(0, 3))
@settings(max_examples=25)
def test_a_part_is_the_whole_for_its_entities(world, cut):
    """The snapshots of some entities are those of the whole, with row numbers from the part's own start."""
    timeline = world.timeline
    whole = snapshots_of(timeline, WindowSpec())
    cut = min(cut, len(timeline.entity))
    lo = int(whole.rows[cut])
    first, second = whole.part(0, cut), whole.part(cut, len(timeline.entity))
    for name in ("entity", "since", "as_of", "start", "stop", "history"):
        joined = np.concatenate([getattr(first, name), getattr(second, name)])
        assert joined.tolist() == getattr(whole, name).tolist()
    assert [*first.prior, *(second.prior + lo)] == whole.prior.tolist()
    assert [*first.rows[:-1], *(second.rows + lo)] == whole.rows.tolist()
    assert len(first) + len(second) == len(whole)


def test_no_events_no_snapshots():
    """An empty timeline has no snapshot."""
    assert len(snapshots_of(timeline_of([]), WindowSpec())) == 0


@pytest.mark.parametrize("every", ["1m", "day", "2d", ""])
def test_an_unknown_window_is_refused(every):
    """Windows are a day, an hour, or an event's."""
    with pytest.raises(ConfigError, match="expected every = '1d', '1h' or 'event', got"):
        WindowSpec(every)


@pytest.mark.parametrize("horizon", ["1d", "0d", "28", "28h", "d", "-7d", "1.5d", "07d"])
def test_an_impossible_horizon_is_refused(horizon):
    """A horizon is a whole number of days and longer than the window."""
    with pytest.raises(ConfigError, match="expected a horizon of whole days longer than 1d, such as '28d', got"):
        WindowSpec("1d", horizon)


@pytest.mark.parametrize(
    ("every", "horizon", "trailing"),
    [("1d", "28d", ("7d", "28d")), ("1h", "28d", ("1d", "7d", "28d")), ("1d", "7d", ("7d",)), ("1h", "1d", ("1d",)),
     ("1d", "3d", ("3d",))],
)  # fmt: skip
def test_trailing_windows_lie_between_window_and_horizon(every, horizon, trailing):
    """The trailing windows are longer than the current one, rise, and end with the horizon."""
    spec = WindowSpec(every, horizon)
    assert spec.trailing == trailing
    assert spec.horizon_width == micros(horizon)
