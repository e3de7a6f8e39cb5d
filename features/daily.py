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

from ..errors import ConfigError
from .columns import from_wall
from .holdings import StoreError
from .partitions import Partitions
from .plan import FeaturePlan
from .visits import meeting_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .events import EventLog
    from .holdings import Stored
    from .population import Population
    from .snapshots import WindowSpec
    from .store import EventStore
    from .timeline import Timeline
    from .vectors import Vectors

__all__ = ["Increment", "reach_days", "take_in", "vectors_of_day"]

_DAY = 86_400_000_000
_TOGETHER = 1_000_000  # events


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


def take_in(
    store: EventStore,
    log: EventLog,
    plan: FeaturePlan | WindowSpec,
    *,
    late: int = 0,
    keep: int = 0,
    rows: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Increment:
    """Add a log to a store, delete what left the horizon, and tell which vectors it changes.

    Parameters
    ----------
    store : EventStore
    log : EventLog
        What came since the last time; events that are there already change nothing.
    plan : FeaturePlan or WindowSpec
        Windows alone tell the days that change, but not whose vectors of a day.
    late : int
        How many days before the first new one are built again if events come late.
    keep : int
        Days to keep before those that are built, if that is more than their windows look at.
    rows : int, optional
        Rows in memory at a time.
    progress : callable, optional
        Called with what is done and the share of it.

    Returns
    -------
    Increment

    Raises
    ------
    ConfigError
        If windows are runs of events, which may have begun at any time.
    SchemaError, StoreError
        As :meth:`~peculiar.features.store.EventStore.add` raises them; or if some of what came is beyond the reach of
        all that was there. Then all that came is taken back.
    """
    reach = reach_days(plan.windows if isinstance(plan, FeaturePlan) else plan)
    there = {file.path for file in store.manifest.files}
    grown = store.add(log, progress=progress, **({} if rows is None else {"rows": rows}))
    fresh = [file for file in grown.manifest.files if file.path not in there]
    if not fresh:
        return Increment(grown, {})
    last = _last(grown, grown.manifest.files)
    known = _last(grown, store.manifest.files, otherwise=last - 1)
    if there and last > known + reach:
        _refuse(store, fresh, known, known + reach)
    first, changes = min(known + 1, last) - late, _Changes(grown, plan, fresh, reach)
    held = set(grown.days())
    days = {_date(day): changes.on(day, new=day > known) for day in range(first, last + 1) if _date(day) in held}
    kept = grown.forget(_date(first - max(keep, reach)))
    return Increment(kept, {day: who for day, who in days.items() if who is None or len(who)})


def _last(store: EventStore, files: Iterable[Stored], otherwise: int = 0) -> int:
    """The last day of some files, but for events far in the future."""
    limit = store.manifest.whole.limit
    return max((file.day for file in files if limit is None or file.day * _DAY < limit), default=otherwise)


def _refuse(store: EventStore, fresh: list[Stored], known: int, furthest: int) -> None:
    """Take back what came: a wrong clock would make the whole horizon leave the store."""
    store.restore()
    ahead = [file for file in fresh if file.day > furthest]
    message = (
        f"expected events that follow {_date(known)}, the last day of the store, got "
        f"{sum(file.rows for file in ahead):,} on {_date(ahead[0].day)} or later, beyond all that a horizon reaches; "
        "nothing was added: correct their times, or make a new store if there was such a gap"
    )
    raise StoreError(message)


def reach_days(windows: WindowSpec) -> int:
    """How many days before a day its windows look at, one to spare for changes of the clock.

    Raises
    ------
    ConfigError
        If windows are runs of events, which may have begun at any time.

    Examples
    --------
    >>> from peculiar.features.snapshots import WindowSpec
    >>> reach_days(WindowSpec(horizon="28d"))
    29
    """
    if windows.by is not None:
        message = f"expected windows that begin at a known time, got runs of {windows.by}; score the whole log instead"
        raise ConfigError(message)
    width = 0 if windows.calendar else windows.width
    return -(-(windows.horizon_width + width) // _DAY) + 1


def vectors_of_day(
    store: EventStore,
    plan: FeaturePlan,
    population: Population,
    day: date,
    *,
    entities: pa.Array | None = None,
    noted: Callable[[Timeline], Timeline] | None = None,
    together: int = _TOGETHER,
) -> Iterator[tuple[Timeline, Vectors]]:
    """The vectors of the windows of a day, some partitions at a time, as a build of all days has them.

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
    together : int
        Partitions with so many events in all are looked at in one go.

    Yields
    ------
    timeline : Timeline
    vectors : Vectors
        In the order of (hash of the entity, as_of).
    """
    zone = store.manifest.roles.time_zone
    begins = [(each - _date(0)).days * _DAY for each in (day, day + timedelta(days=1))]
    since, until = from_wall(np.array(begins), zone).tolist()
    days = (day - timedelta(days=reach_days(plan.windows)), day + timedelta(days=1))
    with Partitions.over(store, plan, days=days, noted=noted, since=since, together=together) as parts:
        for portion in parts.portions("day", entities=entities):
            for part, vectors in parts.vectors(portion.timeline, population):
                yield part, vectors.between(since, until)


@dataclass(frozen=True, eq=False)
class _Changes:
    """Whose windows late events change."""

    store: EventStore
    plan: FeaturePlan | WindowSpec
    fresh: list[Stored]
    reach: int

    def on(self, day: int, *, new: bool) -> pa.Array | None:
        """The entities whose windows of a day are others than before; None for all."""
        if new:
            return None
        before = sorted({file.day for file in self.fresh if file.day <= day <= file.day + self.reach})
        if not before:
            return pa.array([], pa.string())
        if not isinstance(self.plan, FeaturePlan) or self.plan.risky:
            return None  # what is known of trouble anywhere tells from when on news can have come
        came = self.store.only(self.fresh)
        everywhere, found = range(came.partitions), []
        for late in map(_date, before):
            found += [came.active(everywhere, late, late + timedelta(days=1))]
            for name in meeting_places(self.plan):
                touched = came.touched(everywhere, late, late + timedelta(days=1), name)
                found.append(self.store.touching(_date(day), name, touched))
        return pa.concat_arrays(found).unique()


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)
