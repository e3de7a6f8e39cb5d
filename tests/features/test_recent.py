"""What the latest events see is what they would see in one piece, though little of the horizon is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from event_logs import DAY, HOUR, Event, full_roles, instant, rich_log, table_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.events import EventLog
from peculiar.features.meeting import Meeting
from peculiar.features.partitions import Partitions
from peculiar.features.plan import FeaturePlan
from peculiar.features.recent import Recent
from peculiar.features.snapshots import WindowSpec
from peculiar.features.store import EventStore


def plan_of(timeline, roles, windows: WindowSpec | None = None) -> FeaturePlan:
    """A plan in which entities meet at devices and actions, and nobody asks for trouble."""
    plan = FeaturePlan.for_log(timeline, roles, windows)
    return replace(plan, shared=("device", "action"), risky=())


def notes_of(timeline, since: int) -> dict[str, dict]:
    """The bits of each note by the id of the event, of events from an instant on."""
    late = timeline.at >= since
    ids = timeline.ids[late].tolist()
    found = {name: note[late] for name, note in timeline.notes.items()}
    return {name: dict(zip(ids, [each.tobytes() for each in note], strict=True)) for name, note in found.items()}


def same_notes(log: EventLog, plan: FeaturePlan, home, since: int | None, partitions: int, together: int) -> None:
    """Check every partition, and some entities of all partitions, against the log in one piece."""
    whole, reach = log.read()[0], 0 if plan.windows.calendar else plan.windows.width
    first = int(whole.at.min()) if since is None else since - reach
    expected = notes_of(plan.annotated(whole), first)
    store = EventStore.create(home / "store", log.roles, partitions=partitions).add(log, rows=9)
    with Partitions.over(store, plan, since=since, together=together) as parts:
        found: dict[str, dict] = {}
        for number in store.filled:
            timeline, _, _ = parts.timeline(number)
            for name, notes in notes_of(timeline, first).items():
                found.setdefault(name, {}).update(notes)
        assert found == expected
        in_portions: dict[str, dict] = {}
        for portion in parts.portions("all"):
            for name, notes in notes_of(portion.timeline, first).items():
                in_portions.setdefault(name, {}).update(notes)
        asked = notes_of(plan.annotated(whole), first if since is None else since)  # by those who have a window
        assert all(asked[name].items() <= in_portions[name].items() <= expected[name].items() for name in expected)
        few = parts.timeline_of(whole.entity.slice(0, 2))
        told = notes_of(few, first)
        assert all(told[name].items() <= expected[name].items() for name in expected)
        assert len(told["sharing.device.day"]) == int((few.at >= first).sum())


@settings(max_examples=15)
@given(worlds(), st.sampled_from([1, 4]), st.sampled_from([0, 10_000]), st.none() | st.floats(0.0, 1.0), st.booleans())
def test_all_and_the_latest_see_what_they_would_in_one_piece(
    tmp_path_factory, world, partitions, together, share, by_event
):
    """Any log and instant or none, ties and clocks put forward among them, windows of days and windows of events."""
    log = EventLog.open(table_of(world.events), full_roles(world.zone))
    at = world.timeline.at
    since = None if share is None else int(at.min() + share * (at.max() - at.min()))
    plan = plan_of(world.timeline, log.roles, WindowSpec(every="event") if by_event else None)
    same_notes(log, plan, tmp_path_factory.mktemp("r"), since, partitions, together)


def test_a_long_log_of_habits_and_silences(tmp_path):
    """Over 75 days most of what the last day sees happened weeks ago."""
    log = EventLog.open(table_of(rich_log()), full_roles("Europe/Berlin"))
    same_notes(log, plan_of(log.read()[0], log.roles), tmp_path, instant("2025-04-14T22:00Z"), 2, 0)


def test_little_of_the_horizon_is_looked_at(tmp_path):
    """Of a hundred visits of one entity to one device the last is handed over, of devices nobody uses now none."""
    begin = instant("2025-03-01")
    earlier = [Event("ann", begin + n * HOUR, f"a{n}", "pay", "phone", 1.0) for n in range(100)]
    earlier += [Event("ben", begin + n * HOUR, f"b{n}", "pay", "tablet", 1.0) for n in range(100)]
    late = [Event("cid", begin + 10 * DAY, "c", "pay", "phone", 1.0)]
    log = EventLog.open(table_of([*earlier, *late]), full_roles())
    plan = replace(plan_of(log.read()[0], log.roles), shared=("device",))
    store = EventStore.create(tmp_path / "store", log.roles, partitions=1).add(log)
    handed: list[np.ndarray] = []
    meeting = Meeting(tmp_path / "met", plan, "UTC", 1)
    meeting.hand_over = lambda _name, _number, events: handed.append(events)
    Recent(meeting, store, (None, None), begin + 10 * DAY, np.empty(0, np.int64)).meet([range(1)])
    assert [len(events) for events in handed] == [2]
