"""The order of events is total, and the same for every order of rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from event_logs import DAY, Event, contents, instant, rich_log, roles, table_of, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import wall

from peculiar.errors import SchemaError
from peculiar.features import timeline as timelines
from peculiar.features.events import EventLog
from peculiar.features.roles import Roles

NOON = instant("2025-03-01T12:00")


@given(world=worlds())
@settings(max_examples=40)
def test_events_are_sorted_by_entity_and_time(world):
    """The events of an entity are one stretch in order of time, entities in the order of their names, none lost."""
    timeline = world.timeline
    found = [event[:2] for event in contents(timeline)]
    assert found == sorted((event.user, event.at) for event in world.events)
    for code, name in enumerate(timeline.entity.to_pylist()):
        lo, hi = timeline.first[code : code + 2]
        assert all(user == name for user, _ in found[lo:hi])
    assert timeline.first[0] == 0
    assert timeline.first[-1] == len(timeline) == len(world.events)


@given(world=worlds(), random=st.randoms(use_true_random=False), with_ids=st.booleans())
@settings(max_examples=40)
def test_the_order_of_rows_is_no_order(world, random, with_ids):
    """Rows in any order give the same events in the same order, ties included, with ids and without."""
    parts = roles() if with_ids else Roles("user", "at", None, ("device",), "action", ("amount",))
    mixed = random.sample(world.events, len(world.events))
    ours, theirs = (EventLog.open(table_of(events), parts).read()[0] for events in (world.events, mixed))
    assert contents(ours) == contents(theirs)
    assert ours.fingerprint == theirs.fingerprint
    assert ours.identical == theirs.identical


@given(world=worlds())
@settings(max_examples=20)
def test_each_event_knows_its_row(world):
    """``row`` leads back from each event to its place in the source."""
    timeline = world.timeline
    for event, number in zip(contents(timeline), timeline.row, strict=True):
        source = world.events[number]
        assert event[:2] == (source.user, source.at)
        assert event[3:] == (source.action, source.device, source.amount)
    whole = [e if None not in (e.lat, e.lon) else e._replace(lat=np.nan, lon=np.nan) for e in world.events]
    places = [(whole[number].lat, whole[number].lon) for number in timeline.row]
    assert np.array_equal(timeline.place.T, np.array(places), equal_nan=True)
    names = [*timeline.peer.values.to_pylist(), None]
    assert [names[code] for code in timeline.peer.codes] == [world.events[number].team for number in timeline.row]


def test_ties_are_settled_by_id():
    """Events of one entity at one instant stand in the order of their whole-number ids."""
    table = pa.table({"user": ["a"] * 3, "at": pa.array([NOON] * 3, pa.timestamp("us", "UTC")), "id": [30, 10, 20]})
    timeline, _, _ = EventLog.open(table, Roles("user", "at", "id")).read()
    assert timeline.ids.tolist() == [10, 20, 30]
    assert timeline.row.tolist() == [1, 2, 0]


@pytest.mark.parametrize("ids", [("1", "2"), ("2", "1")])
def test_ties_of_two_entities_are_no_ties(ids):
    """The last event of one entity and the first of the next, at one instant, stay with their entities."""
    events = [Event(user, NOON, id_, None, user, None) for user, id_ in zip(("ann", "bob"), ids, strict=True)]
    assert [(event[0], event[4]) for event in contents(timeline_of(events))] == [("ann", "ann"), ("bob", "bob")]


def test_ties_without_id_are_settled_by_content():
    """Events of one instant that no id tells apart stand in one order for every order of rows."""
    events = [Event("ann", NOON, None, "pay", f"d{n}", float(n)) for n in range(6)]
    orders = {tuple(contents(timeline_of(events[n:] + events[:n]))) for n in range(6)}
    assert len(orders) == 1


@given(world=worlds(), cut=st.integers(0, 39))
@settings(max_examples=40)
def test_until_since_and_some_entities(world, cut):
    """Cuts by time and by entity keep the right events in the right order, and leave the timeline itself alone."""
    timeline = world.timeline
    found = contents(timeline)
    instant_ = world.events[cut % len(world.events)].at
    assert contents(timeline.until(instant_)) == [event for event in found if event[1] < instant_]
    assert contents(timeline.since(instant_)) == [event for event in found if event[1] >= instant_]
    chosen = np.array([name != "ann" for name in timeline.entity.to_pylist()])
    assert contents(timeline.of_entities(chosen)) == [event for event in found if event[0] != "ann"]
    assert contents(timeline) == found
    cut_ = timeline.until(instant_)
    assert np.array_equal(cut_.place, timeline.place[:, timeline.at < instant_], equal_nan=True)
    assert np.array_equal(cut_.peer.codes, timeline.peer.codes[timeline.at < instant_])
    assert cut_.fingerprint == timeline_of([e for e in world.events if e.at < instant_], world.zone).fingerprint


@given(world=worlds())
@settings(max_examples=20)
def test_wall_is_the_zones_clock(world):
    """``wall`` shows the zone's time of day; ``owner`` repeats each entity's code."""
    timeline = world.timeline
    shown = [np.datetime64(int(micros), "us").item() for micros in timeline.wall]
    assert shown == [wall(at, world.zone).replace(tzinfo=None) for at in timeline.at.tolist()]
    assert timeline.owner.tolist() == [c for c, n in enumerate(np.diff(timeline.first)) for _ in range(n)]


def test_under_utc_the_wall_costs_no_memory():
    """Under UTC the clock is the time itself, not a copy."""
    timeline = timeline_of(rich_log(), "UTC")
    assert np.shares_memory(timeline.wall, timeline.at)


BASE = rich_log()


@pytest.mark.parametrize(
    "change",
    [{"user": "user 9"}, {"at": BASE[0].at + 1}, {"id": "another"}, {"action": "refund"}, {"action": None},
     {"device": "fridge"}, {"device": None}, {"amount": 0.01}, {"amount": None}, {"lat": 2.0}, {"lon": None},
     {"lat": 2.0, "lon": 1.0}, {"team": "green"}, {"team": None}],
    ids=str,
)  # fmt: skip
def test_the_fingerprint_sees_any_change_of_a_cell(change):
    """One other cell in one event gives another fingerprint."""
    full = BASE[0]._replace(action="pay", device="phone", amount=5.0, lat=1.0, lon=2.0, team="red")
    before = timeline_of([full, *BASE[1:]])
    after = timeline_of([full._replace(**change), *BASE[1:]])
    assert before.fingerprint != after.fingerprint


@given(world=worlds(), edges=st.lists(st.none() | st.integers(0, 40), min_size=2, max_size=8))
@settings(max_examples=40)
def test_the_fingerprints_of_stretches_are_those_of_their_events(world, edges):
    """One pass over all events gives of each stretch, overlapping or empty, what its events alone give."""
    start = min((event.at for event in world.events), default=0)
    instants = [None if edge is None else start + edge * DAY // 4 for edge in edges]
    stretches = list(pairwise(instants))
    for (since, until), found in zip(stretches, world.timeline.fingerprints(stretches), strict=True):
        part = world.timeline if since is None else world.timeline.since(since)
        part = part if until is None else part.until(until)
        assert found == part.fingerprint


def test_the_fingerprint_sees_events_come_go_and_swap():
    """One event more or less, or two that swap a value, give another fingerprint."""
    one, two = (BASE[n]._replace(amount=float(n + 1)) for n in (0, 1))
    rest = BASE[2:]
    logs = [[one, two, *rest], [one, *rest], [*rest], [one._replace(amount=2.0), two._replace(amount=1.0), *rest]]
    prints = [timeline_of(log).fingerprint for log in logs]
    assert len(set(prints)) == len(prints)
    assert all(len(found) == 32 for found in prints)


def test_the_fingerprint_sees_swapped_columns():
    """Values that change places between two dimensions of one event give another fingerprint."""
    event = Event("ann", NOON, "1", "phone", "pay", 1.0)
    swapped = event._replace(action="pay", device="phone")
    assert timeline_of([event]).fingerprint != timeline_of([swapped]).fingerprint


def test_the_fingerprint_does_not_depend_on_codes():
    """Values that come first in one log and last in another leave the fingerprint alone; so does minus zero."""
    events = [Event("ann", NOON + n * DAY, str(n), None, f"d{n}", 0.0) for n in range(4)]
    other = [event._replace(amount=-0.0) for event in events[::-1]]
    assert timeline_of(events).fingerprint == timeline_of(other).fingerprint


def test_too_many_events_are_refused(monkeypatch):
    """More events than a row number can hold are refused with the way out."""
    monkeypatch.setattr(timelines, "_MOST_ROWS", 3)
    with pytest.raises(SchemaError, match="at most 3 events in one piece, got 4; work in partitions"):
        timeline_of([Event("ann", NOON + n, str(n), None, None, None) for n in range(4)])
