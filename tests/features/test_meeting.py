"""Entities that meet in parts on disk note what they would note of each other in a log in one piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from event_logs import full_roles, rich_log, table_of, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.events import EventLog
from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.holdings import StoreError
from peculiar.features.meeting import Meeting
from peculiar.features.partitions import Partitions
from peculiar.features.plan import FeaturePlan
from peculiar.features.store import EventStore
from peculiar.features.visits import meeting_places


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
    """A partition whose notes are not as many as its events is not filled up with anything."""
    log = EventLog.open(table_of(rich_log()), full_roles())
    timeline = log.read()[0]
    meeting = Meeting(tmp_path, plan_of(timeline, log.roles), "UTC", 2)
    rows = np.arange(len(timeline)) + 1_000
    meeting.bring(0, timeline, rows)
    meeting.meet()
    assert len(meeting.notes(range(1), rows)) > 0
    meeting.expect(range(1), np.append(rows, 0))
    with pytest.raises(StoreError, match="expected a note on each of"):
        meeting.notes(range(1), rows)


def test_who_does_not_meet_needs_no_place():
    """A plan without families that look at others has no meeting places."""
    timeline = timeline_of(rich_log())
    plan = FeaturePlan.for_log(timeline, full_roles())
    assert meeting_places(replace(plan, shared=(), risky=())) == ()
    assert meeting_places(replace(plan, shared=("device",), risky=("device",))) == ("device",)
