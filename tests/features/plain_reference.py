"""What windows are, told plainly: lists of events and calendar dates, one snapshot at a time.

Slow and obvious on purpose. The windows share no code with the package, so that both are wrong in the same way only by
chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from unittest import mock
from zoneinfo import ZoneInfo

import numpy as np
from event_logs import DAY, EPOCH, HOUR

from peculiar.features import plan as plans


@dataclass
class Row:
    """One snapshot: the events of its window, of the horizon before it, and of each trailing window."""

    entity: str
    since: int
    as_of: int
    now: list
    before: list
    trailing: dict[str, list]
    earlier: list[int] = field(default_factory=list)  # numbers of the rows of the same entity in the horizon before


def wall(at: int, zone: str) -> datetime:
    """What clocks in the zone show."""
    return (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))


def midnight(day, zone: str) -> int:
    """The instant at which a date begins in the zone."""
    begin = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return (begin - EPOCH) // timedelta(microseconds=1)


def rows_of(events, zone: str = "UTC", every: str = "1d", horizon: int = 28) -> list[Row]:
    """All snapshots, by entity and time."""
    rows: list[Row] = []
    for entity in sorted({event.user for event in events}):
        own = sorted((event for event in events if event.user == entity), key=lambda event: event.at)
        mine = _cut(own, every, zone, horizon)
        base = len(rows)
        for number, row in enumerate(mine):
            seen = {event.id for event in row.before}
            row.entity = entity
            row.earlier = [base + n for n in range(number) if {event.id for event in mine[n].now} & seen]
            if every in {"event", "session"}:
                whole = row.since - horizon * DAY
                row.earlier = [
                    n for n in row.earlier if whole <= mine[n - base].since and mine[n - base].as_of <= row.since
                ]
        rows += mine
    return rows


def _cut(own, every: str, zone: str, horizon: int) -> list[Row]:
    """The windows of one entity."""
    if every == "1d":
        return _days(own, zone, horizon)
    return {"1h": _hours, "event": _moments, "session": _sessions}[every](own, horizon)


def _days(own, zone: str, horizon: int) -> list[Row]:
    dates = [wall(event.at, zone).date() for event in own]
    found = []
    for day in sorted(set(dates)):
        age = [(day - date).days for date in dates]
        trailing = {f"{d}d": [e for e, a in zip(own, age, strict=True) if 0 <= a < d] for d in sorted({7, horizon})}
        now = [e for e, a in zip(own, age, strict=True) if a == 0]
        before = [e for e, a in zip(own, age, strict=True) if 1 <= a <= horizon]
        found.append(Row("", midnight(day, zone), midnight(day + timedelta(days=1), zone), now, before, trailing))
    return found


def _hours(own, horizon: int) -> list[Row]:
    found = []
    for hour in sorted({event.at // HOUR for event in own}):
        since, as_of = hour * HOUR, (hour + 1) * HOUR
        trailing = {f"{d}d": [e for e in own if as_of - d * DAY <= e.at < as_of] for d in sorted({1, 7, horizon})}
        now = [event for event in own if since <= event.at < as_of]
        before = [event for event in own if since - horizon * DAY <= event.at < since]
        found.append(Row("", since, as_of, now, before, trailing))
    return found


def _moments(own, horizon: int) -> list[Row]:
    """A window of a day for each event, which is its last; of events at one instant the later in the list."""
    found = []
    for number, last in enumerate(own):
        as_of, so_far = last.at + 1, own[: number + 1]
        since = as_of - DAY
        trailing = {f"{d}d": [e for e in so_far if as_of - d * DAY <= e.at] for d in sorted({7, horizon})}
        now = [event for event in so_far if since <= event.at]
        before = [event for event in own if since - horizon * DAY <= event.at < since]
        found.append(Row("", since, as_of, now, before, trailing))
    return found


def _sessions(own, horizon: int) -> list[Row]:
    """A window for each run of events of one session; of events at one instant the later in the list comes later."""
    found = []
    for _, run in groupby(range(len(own)), key=lambda number: own[number].session):
        numbers = list(run)
        begin, end = numbers[0], numbers[-1] + 1
        since, as_of = own[begin].at, own[end - 1].at + 1
        trailing = {f"{d}d": [e for e in own[:end] if as_of - d * DAY <= e.at] for d in sorted({1, 7, horizon})}
        before = [event for event in own[:begin] if since - horizon * DAY <= event.at]
        found.append(Row("", since, as_of, own[begin:end], before, trailing))
    return found


def in_order(events, timeline) -> list:
    """The events in the order of the timeline, which is that of their ids where they share an instant."""
    return [events[row] for row in timeline.row]


def fill(plan, timeline):
    """The population and the vectors of a plan, with all entities in one piece of work.

    A small log is otherwise cut into a piece for each entity, and what a kernel carries from one entity to the next
    would never show.
    """
    with mock.patch.object(plans, "_PARTS_PER_THREAD", 1):
        population = plan.fit(timeline, threads=1)
        return population, plan.vectors(timeline, population, threads=1)


def hold(vectors, rows: list[Row], expected: dict[str, list]) -> None:
    """See that the vectors have exactly these rows, and in each named column these values; ``None`` is null."""
    keys = list(zip(vectors.entity.to_pylist(), vectors.since.tolist(), vectors.as_of.tolist(), strict=True))
    assert keys == [(row.entity, row.since, row.as_of) for row in rows]
    for name, values in expected.items():
        wanted = np.array([np.nan if value is None else value for value in values], np.float64)
        np.testing.assert_allclose(vectors.column(name), wanted, rtol=2e-5, atol=2e-5, err_msg=name)
