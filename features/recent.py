"""Where entities meet, as far as it is only asked who was there: no timeline is made, and few columns are read.

Who else was at a value is told by the events there. Windows of a new day ask for the notes of that day's events and of
no others; and each entity's last event before the day tells as much as all that it did there before. So the events at
values of the day's are taken, before the day the last of each entity and value alone, and those meet
(:mod:`~peculiar.features.meeting`): a small part of all. Without a day all events meet. Known trouble is counted event
by event and comes from elsewhere, so a plan that knows risk has to bring whole timelines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from . import columns as col
from .ahead import ahead
from .exchange import NEVER
from .kernels import kernel
from .recall import admitted
from .segments import AT, ENTITY, ROW
from .texts import Vocabulary
from .timeline import histories
from .visits import NOBODY, events_by_part, meeting_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from numpy.typing import NDArray

    from .meeting import Meeting
    from .plan import FeaturePlan
    from .store import EventStore

__all__ = ["Recent", "told_by_last_visits"]

_EVER = int(np.iinfo(np.int64).min)


def told_by_last_visits(plan: FeaturePlan) -> bool:
    """Whether all that the plan's families ask at a value is who was there within a span before an event.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.plan import FeaturePlan
    >>> from peculiar.features.roles import Roles
    >>> roles = Roles(entity="user_id", at="ts", dimensions=("device",))
    >>> told_by_last_visits(FeaturePlan(roles, shared=("device",)))
    True
    >>> told_by_last_visits(FeaturePlan(roles, shared=("device",), risky=("device",)))
    False
    """
    return not plan.risky


@dataclass(eq=False)
class Recent:
    """What is noted on the events of a store, or on the latest of them.

    Attributes
    ----------
    meeting : Meeting
        Of the plan; in its folder the notes are kept.
    store : EventStore
    days : pair of date or None
        Events of ``[since, until)`` alone.
    since : int or None
        The first instant of those that are noted on, microseconds since 1970 UTC; None for all.
    spurned : int64 array
        Rows whose ids are other events'.
    """

    meeting: Meeting
    store: EventStore
    days: tuple[date | None, date | None]
    since: int | None
    spurned: NDArray[np.int64]

    def meet(self, partitions: Iterable[range], progress: Callable[[str, float], None] | None = None) -> None:
        """Go through the horizon and note what the events see.

        Parameters
        ----------
        partitions : iterable of range
            Those that are looked at in one go, in rising order.
        progress : callable, optional
        """
        touched = {name: self._touched(name) for name in meeting_places(self.meeting.plan)}
        for numbers, (rows, told) in ahead(partial(self._telling, touched=touched), list(partitions), most=2):
            self.meeting.expect(numbers, rows)
            for name, number, events in told:
                self.meeting.hand_over(name, number, events)
            if progress:
                progress("meeting", numbers.stop / self.store.partitions)
        self.meeting.meet()

    def _touched(self, name: str) -> Vocabulary:
        """The values of a dimension that events are told of; none if it is all of them."""
        if self.since is None:
            return Vocabulary()
        first = col.day_at(self.since, self.meeting.zone)
        return self.store.touched(range(self.store.partitions), first, self.days[1], name)

    def _telling(
        self, numbers: range, touched: dict[str, Vocabulary]
    ) -> tuple[NDArray[np.int64], list[tuple[str, int, NDArray[np.void]]]]:
        """The rows of the events that are told something, and what tells their notes, by dimension and part of it."""
        wanted = [f"d:{name}" for name in touched]
        since = _EVER if self.since is None else self.since
        rows = self.store.raw(numbers, *self.days, columns=(ENTITY, AT, ROW, *wanted))
        kept = admitted(rows, self.store.manifest.whole, self.spurned)[0]
        who, at = rows.codes[ENTITY], rows.plain[AT]
        recent = np.flatnonzero(at >= since if kept is None else kept & (at >= since))
        place = np.full(len(rows), NOBODY, np.uint32)
        place[recent] = np.arange(len(recent))
        visits = histories(who, at, kept)
        columns = who.codes, at, np.full(len(rows), NEVER), place
        told = []
        for name, values in touched.items():
            codes = rows.codes[f"d:{name}"]
            there = np.append(values.find(codes.values) >= 0, False)  # the last is that of null
            chosen = _telling(codes.codes, at, visits, there, since)
            for number, events in events_by_part(codes, columns, chosen, numbers.start, self.meeting.parts):
                told.append((name, number, events))
        return rows.row[recent], told


# Backwards in time, so that the first visit of an entity that is met at a value is its last, and what is chosen comes
# in the order of (who, at) without being sorted.
@kernel
def _telling(
    codes: NDArray[np.int32],
    at: NDArray[np.int64],
    visits: tuple[NDArray[np.uint32], NDArray[np.int64]],
    there: NDArray[np.bool_],
    since: int,
) -> NDArray[np.uint32]:
    """The rows from an instant on, and of those before it each entity's last at each value that is looked at.

    ``visits`` are the rows of each entity in the order of time, and where each entity's begin.
    """
    order, first = visits
    chosen, n = np.empty(len(order), np.uint32), len(order)
    seen_by = np.full(len(there), -1, np.int64)
    for e in range(len(first) - 2, -1, -1):
        for k in range(first[e + 1] - 1, first[e] - 1, -1):
            row = order[k]
            code = codes[row]
            if at[row] < since:
                if not there[code] or seen_by[code] == e:
                    continue
                seen_by[code] = e
            n -= 1
            chosen[n] = row
    return chosen[n:].copy()
