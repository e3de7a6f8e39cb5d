"""Entities that meet in parts on disk note what they would note of each other in a log in one piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from event_logs import Event, full_roles, instant, rich_log, table_of, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.events import EventLog
from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.holdings import StoreError
from peculiar.features.meeting import Meeting
from peculiar.features.noting import note_names
from peculiar.features.partitions import Partitions
from peculiar.features.plan import FeaturePlan
from peculiar.features.store import EventStore
from peculiar.features.visits import handed_over, meeting_places


def troubled(timeline):
    """The same timeline with trouble at every fourth instant, known an hour later: of the events' own times alone."""
    at = timeline.at
    known = np.where((at // 1_000_000) % 4 == 0, at + 3_600_000_000, NEVER)
    return replace(timeline, notes={**timeline.notes, TROUBLE: known.astype(np.int64)})


def plan_of(timeline, roles) -> FeaturePlan:
    """A plan in which entities meet at devices, whether or not a log so small would be given one."""
    plan = FeaturePlan.for_log(timeline, roles)
    return replace(plan, shared=("device",), risky=("device", "action"))


@settings(max_examples=12)
@given(worlds(), st.sampled_from([1, 4]), st.sampled_from([1, 3, 16]))
def test_notes_are_those_of_one_piece(tmp_path_factory, world, partitions, parts):
    """Any log, any number of partitions and parts: each event has the notes of the log in one piece, by the bit."""
    log = EventLog.open(table_of(world.events), full_roles(world.zone))
    whole = troubled(world.timeline)
    plan = plan_of(whole, log.roles)
    home = tmp_path_factory.mktemp("m")
    store = EventStore.create(home / "store", log.roles, partitions=partitions).add(log, rows=9)
    alone, meeting = Partitions(store, plan, noted=troubled), Meeting(home, plan, world.zone, parts)
    for number in store.filled:
        meeting.bring(number, *alone.read(number))
    meeting.meet()
    met = replace(alone, meeting=meeting)
    found = [notes_of(met.timeline(number)[0]) for number in store.filled]
    together = {name: {key: bits for each in found for key, bits in each[name].items()} for name in found[0]}
    assert together == notes_of(plan.annotated(whole))


def notes_of(timeline) -> dict[str, dict]:
    """The bits of each note by the id of the event."""
    names, ids = timeline.notes, timeline.ids.tolist()
    return {name: dict(zip(ids, [value.tobytes() for value in names[name]], strict=True)) for name in names}


def test_notes_that_are_missing_are_an_error(tmp_path):
    """What was written for a partition has to be there whole; nothing is filled in for what is gone."""
    log = EventLog.open(table_of(rich_log()), full_roles())
    timeline = log.read()[0]
    meeting = Meeting(tmp_path, plan_of(timeline, log.roles), "UTC", 2)
    rows = np.arange(len(timeline)) + 1_000
    meeting.bring(0, timeline, rows)
    meeting.meet()
    assert len(meeting.notes(range(1), rows)) > 0
    path = next(tmp_path.glob("told/0/*.notes"))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(StoreError, match=r"rows, found .* start again"):
        meeting.notes(range(1), rows)


def test_events_without_a_value_meet_nobody():
    """They are not handed over, and no family notes anything on them."""
    phones = {"e0": "phone", "e1": None}
    timeline = timeline_of([Event("ann", instant("2025-03-01"), name, "pay", x, 1.0) for name, x in phones.items()])
    plan = plan_of(timeline, full_roles())
    assert {name: len(events) for name, _, events in handed_over(plan, 0, timeline, 1)} == {"device": 1, "action": 2}
    notes, names = plan.annotated(timeline).notes, note_names(plan, "UTC")
    assert set(names) == {name for name in notes if name.split(".")[0] in {"sharing", "risk"} and name != "risk.own"}
    there = timeline.dimensions["device"].codes >= 0
    told = {name: notes[name] for name in names if ".device." in name}
    assert np.isnan([note[~there] for note in told.values()]).all()
    assert told["sharing.device.day"][there] == 0.0


def test_who_does_not_meet_needs_no_place():
    """A plan without families that look at others has no meeting places."""
    timeline = timeline_of(rich_log())
    plan = FeaturePlan.for_log(timeline, full_roles())
    assert meeting_places(replace(plan, shared=(), risky=())) == ()
    assert meeting_places(replace(plan, shared=("device",), risky=("device",))) == ("device",)
