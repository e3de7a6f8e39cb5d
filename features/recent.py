"""Where entities meet of late: the notes of the latest events, from what little of the horizon tells them.

Windows of a new day ask for the notes of that day's events and of no others. Who else was at a value is told by the
events there; and where it is only asked who was there within a span, each entity's last event before the day tells as
much as all that it did there before. So of the horizon the columns that matter are read, the events at values of the
day's are taken, the last of each entity and value alone, and those meet (:mod:`~peculiar.features.meeting`): a small
part of all. Known trouble is counted event by event, so a plan that knows risk has to look at all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from . import columns as col
from .ahead import ahead
from .exchange import NEVER
from .kernels import counted_out, kernel
from .recall import admitted
from .segments import AT, ENTITY, ROW
from .timeline import time_order
from .visits import NOBODY, events_by_part, meeting_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from numpy.typing import NDArray

    from .meeting import Meeting
    from .plan import FeaturePlan
    from .store import EventStore
    from .texts import Vocabulary

__all__ = ["Recent", "told_by_last_visits"]


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
    """What is noted on the latest events of a store.

    Attributes
    ----------
    meeting : Meeting
        Of the plan; in its folder the notes are kept.
    store : EventStore
    days : pair of date or None
        Events of ``[since, until)`` alone.
    since : int
        The first instant of those that are noted on, microseconds since 1970 UTC.
    spurned : int64 array
        Rows whose ids are other events'.
    """

    meeting: Meeting
    store: EventStore
    days: tuple[date | None, date | None]
    since: int
    spurned: NDArray[np.int64]

    def meet(self, partitions: Iterable[int], progress: Callable[[str, float], None] | None = None) -> None:
        """Go through the horizon and note what the latest events see; partitions come in rising order."""
        numbers = list(partitions)
        latest = range(self.store.partitions), col.day_at(self.since, self.meeting.zone), self.days[1]
        touched = {name: self.store.touched(*latest, name) for name in meeting_places(self.meeting.plan)}
        for partition, (rows, told) in ahead(partial(self._telling, touched=touched), numbers, most=2):
            self.meeting.expect(partition, rows)
            for name, number, events in told:
                self.meeting.hand_over(name, number, events)
            if progress:
                progress("meeting", (partition + 1) / self.store.partitions)
        self.meeting.meet()

    def _telling(
        self, partition: int, touched: dict[str, Vocabulary]
    ) -> tuple[NDArray[np.int64], list[tuple[str, int, NDArray[np.void]]]]:
        """The rows of a partition's latest events, and what tells their notes, by dimension and part of it."""
        wanted = [f"d:{name}" for name in touched]
        rows = self.store.raw(partition, *self.days, columns=(ENTITY, AT, ROW, *wanted))
        kept = admitted(rows, self.store.manifest.whole, self.spurned)[0]
        who, at = rows.codes[ENTITY], rows.plain[AT]
        recent = np.flatnonzero(at >= self.since if kept is None else kept & (at >= self.since))
        place = np.full(len(rows), NOBODY, np.uint32)
        place[recent] = np.arange(len(recent))
        visits = counted_out(who.codes, time_order(at, kept), len(who.values))
        columns = who.codes, at, np.full(len(rows), NEVER), place
        told = []
        for name, values in touched.items():
            codes = rows.codes[f"d:{name}"]
            there = np.append(values.find(codes.values) >= 0, False)  # the last is that of null
            chosen = _telling(codes.codes, at, visits, there, self.since)
            for number, events in events_by_part(codes, columns, chosen, partition, self.meeting.parts):
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
