"""What happens to a table of rows at the door: columns become codes and numbers, and who may not come in is told why.

The checks look at a piece of a log at a time. What only the whole of it can tell is given to them
(:class:`~peculiar.features.whole.Whole`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from . import columns as col
from .timeline import Arrivals
from .whole import EARLIEST, straggling_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Codes, Times
    from .roles import Roles
    from .whole import Whole

__all__ = ["FUTURE", "ZONELESS", "Door", "arrive", "by_hash", "by_name"]

ZONELESS = "time without a zone among times with one"
FUTURE = "time far in the future, after more than a year without events"


class Door:
    """Counts who is turned away, each row once, by the first reason that holds.

    Attributes
    ----------
    rows : int
        How many came.
    notes : list of str
        What was assumed or noticed.
    counts : dict of str to int
        Rows turned away, by reason.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.notes: list[str] = []
        self.counts: dict[str, int] = {}
        self._where: dict[str, NDArray[np.intp]] = {}
        self._out: NDArray[np.bool_] | None = None

    def reject(self, reason: str, mask: NDArray[np.bool_]) -> None:
        """Turn away those of a mask of shape (rows,) who are still in."""
        if mask.any():
            self.reject_rows(reason, np.flatnonzero(mask if self._out is None else mask & ~self._out))

    def reject_rows(self, reason: str, rows: NDArray[np.intp]) -> None:
        """Turn away the rows at these positions, all of which are still in."""
        if len(rows) == 0:
            return
        if self._out is None:
            self._out = np.zeros(self.rows, np.bool_)
        self._out[rows] = True
        self._where[reason] = rows
        self.counts[reason] = len(rows)

    def kept(self, outside: NDArray[np.bool_] | None = None) -> NDArray[np.bool_] | None:
        """A mask of the rows still in, or None for all of them."""
        if outside is None:
            return None if self._out is None else ~self._out
        return ~outside if self._out is None else ~(self._out | outside)

    def table(self, raw: pa.Table) -> pa.Table:
        """The rows turned away as they came: ``row`` (their position), ``reason``, and the columns of ``raw``."""
        rows = np.concatenate([*self._where.values(), np.empty(0, np.intp)]).astype(np.int64)
        reasons = [reason for reason, where in self._where.items() for _ in range(len(where))]
        head = pa.table({"row": pa.array(rows), "reason": pa.array(reasons, pa.string())})
        picked = raw.take(pa.array(rows)) if len(rows) else raw.slice(0, 0)  # taking nothing would merge dictionaries
        for name in raw.column_names:
            if name not in head.column_names:
                head = head.append_column(name, picked[name])
        return head


def arrive(table: pa.Table, roles: Roles, whole: Whole | None = None) -> tuple[Arrivals, Door, Times]:
    """Turn a table of events into arrays, and say which rows may not come in.

    Parameters
    ----------
    table : pyarrow.Table, n rows
        With the columns that have a role.
    roles : Roles
    whole : Whole, optional
        What is known of the log that the table is a part of; by default it is all there is.

    Returns
    -------
    arrivals : Arrivals
        All rows, those turned away among them.
    door : Door
        Who was turned away.
    times : Times
        As they were read.
    """
    door = Door(len(table))
    entity = col.encode(table[roles.entity])
    times = _times(table, roles, door, whole)
    door.reject("no entity", (entity.codes < 0) | _is_empty(entity))
    dimensions = {name: col.encode(table[name]) for name in roles.dimensions}
    measures = {name: _measure(table, name, door) for name in roles.measures}
    place = _place(table, roles, door)
    peer = col.encode(table[roles.peer_by]) if roles.peer_by else None
    ids = col.encode_ids(table[roles.id]) if roles.id else None
    return Arrivals(entity, times.at, ids, dimensions, measures, roles.time_zone, place, peer), door, times


def _times(table: pa.Table, roles: Roles, door: Door, whole: Whole | None) -> Times:
    read = col.times(table[roles.at], roles.time_zone, mixed=whole is not None and whole.mixed)
    door.reject("no time", read.null)
    door.reject("time is unreadable (expected ISO 8601, such as 2025-03-01T08:00:00Z)", read.unreadable)
    door.reject(ZONELESS, read.zoneless)
    usable = door.kept()
    early = read.at < EARLIEST
    door.reject("time before 1971", early if usable is None else early & usable)
    limit = straggling_from(read, door.kept()) if whole is None else whole.limit
    if limit is not None:
        door.reject(FUTURE, read.at >= limit)
    if read.assumed and len(read.at):
        door.notes.append(f"times carry no zone; read as {roles.time_zone}")
    return read


def _measure(table: pa.Table, name: str, door: Door) -> NDArray[np.float64]:
    values, bad = col.numbers(table[name])
    door.reject(f"{name} is not a finite number", bad)
    return values


def _place(table: pa.Table, roles: Roles, door: Door) -> NDArray[np.float64] | None:
    """Latitude and longitude; half a place is none."""
    if roles.place is None:
        return None
    place = np.empty((2, len(table)))
    for row, name, limit in zip(place, roles.place, (90, 180), strict=True):
        row[:], bad = col.numbers(table[name])
        door.reject(f"{name} is no number from -{limit} to {limit}", bad | (np.abs(row) > limit))
    place[:, np.isnan(place).any(axis=0)] = np.nan
    return place


def _is_empty(entity: Codes) -> NDArray[np.bool_]:
    """Rows whose entity is the empty text, which a CSV file could not tell from a missing one."""
    empty = np.append(entity.values.to_numpy(zero_copy_only=False) == "", [False])
    return empty[entity.codes] if empty.any() else np.zeros(len(entity.codes), np.bool_)


def by_hash(entity: Codes) -> Codes:
    """Put the entities in the order of their hashes, equal ones by name, so that partitions follow each other."""
    order = np.argsort(entity.keys, kind="stable")
    keys = entity.keys[order]
    if (keys[1:] == keys[:-1]).any():
        order = np.lexsort((entity.values.to_numpy(zero_copy_only=False).astype(object).astype(str), entity.keys))
    return _placed(entity, order)


def by_name(entity: Codes) -> Codes:
    """Put the entities in the order of their names, so that the order of vectors is not that of the rows."""
    return _placed(entity, np.argsort(entity.values.to_numpy(zero_copy_only=False).astype(object), kind="stable"))


def _placed(entity: Codes, order: NDArray[np.intp]) -> Codes:
    place = np.empty(len(order) + 1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    place[-1] = -1
    return col.Codes(place[entity.codes], entity.values.take(pa.array(order)))
