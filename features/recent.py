"""Where entities meet of late: the notes of the latest events, from what little of the horizon tells them.

Windows of a new day ask for the notes of that day's events and of no others. Who else was at a value is told by the
events there; and where it is only asked who was there within a span, each entity's last event before the day tells as
much as all that it did there before. So of the horizon the columns that matter are read, the events at values of the
day's are taken, the last of each entity and value alone, and those meet (:mod:`~peculiar.features.meeting`): a small
part of all. Known trouble is counted event by event, so a plan that knows risk has to look at all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from . import columns as col
from .ahead import ahead
from .exchange import NEVER
from .kernels import counted_out, kernel
from .meeting import EVENT, NOBODY, Meeting, meeting_places
from .recall import admitted
from .segments import AT, BARE, ENTITY, ROW

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from .columns import Codes
    from .plan import FeaturePlan
    from .store import EventStore

__all__ = ["Recent", "told_by_last_visits"]

_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)


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

    def meet(self, partitions: Iterable[int]) -> None:
        """Go through the horizon and note what the latest events see; partitions come in rising order."""
        numbers = list(partitions)
        touched = {name: self._touched(numbers, name) for name in meeting_places(self.meeting.plan)}
        for _, told in ahead(partial(self._telling, touched=touched), numbers):
            for name, events in told.items():
                self.meeting.hand_over(name, events)
        self.meeting.meet()

    def notes(self, partitions: Iterable[int], rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """What was noted on some events, null on those before the latest.

        Parameters
        ----------
        partitions : iterable of int
            Those that the events are in.
        rows : int64 array of shape (n,)
            Where each event stood in all that came.

        Returns
        -------
        dict of str to float32 array of shape (n,)
        """
        found: dict[str, NDArray[np.float32]] = {}
        for partition in partitions:
            own = self._rows(partition)
            order = np.argsort(own)
            place = np.minimum(np.searchsorted(own, rows, sorter=order), max(0, len(own) - 1))
            here = own[order[place]] == rows if len(own) else np.zeros(len(rows), np.bool_)
            for name, noted in self.meeting.notes(partition, len(own)).items():
                note = found.setdefault(name, np.full(len(rows), np.nan, np.float32))
                note[here] = noted[order[place[here]]]
        return found

    def _touched(self, partitions: list[int], name: str) -> NDArray[np.uint64]:
        """The hashes of the values of the latest events, rising."""
        wall = int(col.to_wall(np.array([self.since]), self.meeting.zone)[0])
        first, until = _EPOCH + timedelta(days=wall // _DAY), self.days[1]
        found = [np.empty(0, np.uint64)]
        for partition in partitions:
            table = self.store.raw(partition, first, until, columns=(f"d:{name}",))
            found.append(np.unique(col.encode(table[f"d:{name}"]).keys))
        return np.unique(np.concatenate(found))

    def _telling(self, partition: int, touched: dict[str, NDArray[np.uint64]]) -> dict[str, NDArray[np.void]]:
        """What tells the notes of a partition's latest events, at each dimension; the rows of those are kept."""
        wanted = [f"d:{name}" for name in touched]
        table = self.store.raw(partition, *self.days, columns=(ENTITY, AT, ROW, BARE, *wanted))
        kept = admitted(table, self.store.manifest.whole, self.spurned)[0]
        table = table if kept is None else table.filter(kept)
        who, at = col.encode(table[ENTITY]), table[AT].to_numpy()
        recent = np.flatnonzero(at >= self.since)
        np.save(self._path(partition), table[ROW].to_numpy()[recent])
        place = np.full(len(table), NOBODY, np.uint32)
        place[recent] = np.arange(len(recent))
        visits = counted_out(who.codes, np.arange(len(at), dtype=np.uint32), len(who.values))
        told = {}
        for name, keys in touched.items():
            codes = col.encode(table[f"d:{name}"])
            there = np.append(np.isin(codes.keys, keys), False)  # the last is that of null
            stamps = np.full(len(codes.values), -1, np.int64)
            rows = _telling(codes.codes, at, visits, (there, stamps), self.since)
            told[name] = _events(partition, codes, rows, (who.codes, at, place))
        return told

    def _rows(self, partition: int) -> NDArray[np.int64]:
        path = self._path(partition)
        return np.load(path) if path.exists() else np.empty(0, np.int64)

    def _path(self, partition: int) -> Path:
        return self.meeting.folder / f"{partition}.npy"


def _events(
    partition: int,
    codes: Codes,
    rows: NDArray[np.uint32],
    columns: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint32]],
) -> NDArray[np.void]:
    """Some rows of a partition as they go to a meeting place, in the order of (who, at)."""
    who, at, place = (column[rows] for column in columns)
    order = np.lexsort((at, who))
    events, code = np.empty(len(rows), EVENT), codes.codes[rows][order]
    events["there"] = code >= 0
    events["key"] = np.where(
        code >= 0, codes.hashes(rows[order].astype(np.intp)), np.arange(len(rows), dtype=np.uint64)
    )
    events["at"], events["known"], events["place"] = at[order], NEVER, place[order]
    events["who"] = (np.int64(partition) << 32) + who[order]
    return events


@kernel
def _telling(
    codes: NDArray[np.int32],
    at: NDArray[np.int64],
    visits: tuple[NDArray[np.uint32], NDArray[np.int64]],
    values: tuple[NDArray[np.bool_], NDArray[np.int64]],
    since: int,
) -> NDArray[np.uint32]:
    """The rows from an instant on, and of those before it each entity's last at each value that is looked at."""
    order, first = visits
    there, last = values
    chosen, n = np.empty(len(order), np.uint32), 0
    for e in range(len(first) - 1):
        begin = n
        for i in order[first[e] : first[e + 1]]:
            code = codes[i]
            if at[i] < since:
                if not there[code]:
                    continue
                if last[code] >= begin:
                    if at[i] > at[chosen[last[code]]]:
                        chosen[last[code]] = i
                    continue
                last[code] = n
            chosen[n] = i
            n += 1
    return chosen[:n].copy()
