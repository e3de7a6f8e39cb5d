"""Yesterday's increment: a day comes in, what left the horizon goes, and only windows that it can change are built.

A vector looks at its window and the horizon before it, so a day's events change the vectors of that day, of their own
entities on the days of a horizon after it, and of those who were at the same values after them. For a day that is the
last one, that is the day itself. Events that come late are heeded as far back as was agreed; older ones count as the
history of later days only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import from_wall
from .meeting import meeting_places
from .partitions import Partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .events import EventLog
    from .holdings import Stored
    from .plan import FeaturePlan
    from .population import Population
    from .store import EventStore
    from .timeline import Timeline
    from .vectors import Vectors

__all__ = ["Increment", "take_in", "vectors_of_day"]

_DAY = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Increment:
    """What a delivery of events changes.

    Attributes
    ----------
    store : EventStore
        With the events, and without the days that nothing looks at any more.
    days : mapping of date to pyarrow.Array or None
        The days whose vectors have to be built (again), rising; of these entities alone, or of all that have events.
    """

    store: EventStore
    days: dict[date, pa.Array | None]


def take_in(store: EventStore, log: EventLog, plan: FeaturePlan, *, late: int = 0) -> Increment:
    """Add a log to a store, delete what left the horizon, and tell which vectors it changes.

    Parameters
    ----------
    store : EventStore
    log : EventLog
        What came since the last time; events that are there already change nothing.
    plan : FeaturePlan
    late : int
        How many days before the last one are built again if events come late.

    Returns
    -------
    Increment
    """
    there = {file.path for file in store.manifest.files}
    grown = store.add(log)
    fresh = [file for file in grown.manifest.files if file.path not in there]
    if not fresh:
        return Increment(grown, {})
    known = max((file.day for file in store.manifest.files), default=min(file.day for file in fresh) - 1)
    last, horizon = max(file.day for file in grown.manifest.files), plan.windows.horizon_width // _DAY
    changes = _Changes(grown, plan, fresh, horizon)
    days = {_date(day): None if day > known else changes.on(day) for day in range(known + 1 - late, last + 1)}
    held = set(grown.days())
    kept = grown.forget(_date(last - late - horizon - 1))
    return Increment(kept, {day: who for day, who in days.items() if day in held and (who is None or len(who))})


def vectors_of_day(
    store: EventStore,
    plan: FeaturePlan,
    population: Population,
    day: date,
    *,
    entities: pa.Array | None = None,
    noted: Callable[[Timeline], Timeline] | None = None,
) -> Iterator[tuple[int, Timeline, Vectors]]:
    """The vectors of the windows of a day, partition by partition, as a build of all days has them.

    Parameters
    ----------
    store : EventStore
        With the horizon before the day.
    plan : FeaturePlan
    population : Population
    day : date
        In the log's zone.
    entities : pyarrow.Array of text, optional
        Only of these.
    noted : callable, optional

    Yields
    ------
    partition : int
    timeline : Timeline
    vectors : Vectors
    """
    zone = store.manifest.roles.time_zone
    begins = [(each - _date(0)).days * _DAY for each in (day, day + timedelta(days=1))]
    since, until = from_wall(np.array(begins), zone).tolist()
    first = day - timedelta(days=plan.windows.horizon_width // _DAY + 1)
    with Partitions.over(store, plan, days=(first, day + timedelta(days=1)), noted=noted) as parts:
        for partition in parts.all("day"):
            active = store.active(partition, day)
            wanted = active if entities is None else active.filter(pc.is_in(active, value_set=entities))
            if len(wanted):
                timeline = parts.timeline(partition, entities=wanted)[0]
                for part, vectors in parts.vectors(timeline, population, since=since):
                    yield partition, part, vectors.between(since, until)


@dataclass(frozen=True, eq=False)
class _Changes:
    """Whose windows late events change."""

    store: EventStore
    plan: FeaturePlan
    fresh: list[Stored]
    horizon: int

    def on(self, day: int) -> pa.Array | None:
        """The entities whose windows of a day are others than before; None for all."""
        before = sorted({file.day for file in self.fresh if file.day <= day <= file.day + self.horizon + 1})
        if not before:
            return pa.array([], pa.string())
        if self.plan.risky:
            return None  # what is known of trouble anywhere tells from when on news can have come
        came = self.store.only(self.fresh)
        everywhere, found = range(came.partitions), []
        for late in map(_date, before):
            found += [came.active(everywhere, late)]
            for name in meeting_places(self.plan):
                found.append(self.store.touching(_date(day), name, came.touched(everywhere, late, name)))
        return pa.concat_arrays([_flat(names) for names in found]).unique()


def _flat(names: pa.Array | pa.ChunkedArray) -> pa.Array:
    return names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)
