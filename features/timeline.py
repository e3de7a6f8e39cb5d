"""The events of many entities as integer columns, sorted by entity and time.

Every family works on this layout: the events of one entity are one contiguous stretch, in the order they happened, so
that a window is a pair of positions and a pass over all windows of all entities reads memory forward once.

The order is total, or vectors would depend on the order of rows: events of one entity at one microsecond are ordered by
their id, and where that does not tell them apart by a hash of their content.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import pyarrow as pa

from ..errors import SchemaError
from .ahead import side_by_side
from .columns import Codes, Ids, encode_ids, stable_hash, to_wall
from .kernels import counted_out, kernel, picked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Arrivals", "Timeline", "content_hashes", "fingerprint_of", "histories", "sort_events"]

Derived = TypeVar("Derived")

_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(29)
_MOST_ROWS = 2**32 - 1
_PIECE = 1 << 16  # events: what is hashed at a time stays in a core's cache


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Events in the order of their source.

    Attributes
    ----------
    entity : Codes
        Its values are in the order of their names.
    at : int64 array of shape (n,), microseconds since 1970 UTC
    ids : Ids or None
    dimensions : mapping of str to Codes
    measures : mapping of str to float64 array of shape (n,), NaN is null
    zone : str
        The zone whose days and hours count.
    place : float64 array of shape (2, n) or None
        Latitude and longitude in degrees; both are NaN where the place is not known.
    peer : Codes or None
        What makes entities peers.
    """

    entity: Codes
    at: NDArray[np.int64]
    ids: Ids | None
    dimensions: Mapping[str, Codes]
    measures: Mapping[str, NDArray[np.float64]]
    zone: str = "UTC"
    place: NDArray[np.float64] | None = None
    peer: Codes | None = None


@dataclass(frozen=True, eq=False)
class Timeline:
    """Events sorted by entity and time.

    Attributes
    ----------
    entity : pyarrow.StringArray, length n_entities
        In the order of their names; some may have no event.
    first : int64 array of shape (n_entities + 1,)
        The events of entity ``e`` are those at positions ``first[e]:first[e + 1]``.
    at : int64 array of shape (n,), microseconds since 1970 UTC
    dimensions : mapping of str to Codes
    measures : mapping of str to float64 array of shape (n,), NaN is null
    ids : uint64 array of shape (n,) or None
        A key of each event's id.
    row : uint32 array of shape (n,)
        Where each event stood in the source.
    zone : str
        The zone whose days and hours count.
    identical : int
        Rows that repeat another in every column and were kept.
    notes : mapping of str to array of shape (n,)
        What is known about each event from elsewhere: from other entities' events, or from labels.
    place : float64 array of shape (2, n) or None
        Latitude and longitude in degrees; both are NaN where the place is not known.
    peer : Codes or None
        What makes entities peers.
    """

    entity: pa.StringArray
    first: NDArray[np.int64]
    at: NDArray[np.int64]
    dimensions: Mapping[str, Codes]
    measures: Mapping[str, NDArray[np.float64]]
    ids: NDArray[np.uint64] | None
    row: NDArray[np.uint32]
    zone: str = "UTC"
    identical: int = 0
    notes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    place: NDArray[np.float64] | None = None
    peer: Codes | None = None
    _derived: dict[tuple[object, str], object] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.at)

    def derive(self, of: object, name: str, make: Callable[[], Derived]) -> Derived:
        """Something worked out of the events and one other object, made once and kept as long as the timeline is.

        Examples
        --------
        >>> from peculiar.features.events import EventLog
        >>> log = EventLog.open(pa.table({"user_id": ["ann"], "ts": ["2025-03-01T08:00:00Z"]}))
        >>> timeline, _, _ = log.read()
        >>> timeline.derive("anything", "count", lambda: len(timeline)), timeline.derive("anything", "count", list)
        (1, 1)
        """
        if (of, name) not in self._derived:
            self._derived[of, name] = make()
        return cast("Derived", self._derived[of, name])

    @cached_property
    def wall(self) -> NDArray[np.int64]:
        """What the clock of ``zone`` shows at each event, in microseconds; shares memory with ``at`` under UTC."""
        return to_wall(self.at, self.zone)

    @cached_property
    def owner(self) -> NDArray[np.int32]:
        """The entity code of each event, int32 of shape (n,)."""
        return np.repeat(np.arange(len(self.entity), dtype=np.int32), np.diff(self.first))

    @cached_property
    def by_time(self) -> NDArray[np.uint32]:
        """Positions in the order of time, uint32 of shape (n,); those of one instant in no order that matters."""
        if not len(self):
            return np.empty(0, np.uint32)
        order = _in_source(self.row, int(self.row.max()) + 1)
        return order[time_order(picked(self.at, order), None)]

    def until(self, instant: int) -> Timeline:
        """The events before an instant, microseconds since 1970 UTC."""
        return self.only(self.at < instant)

    def since(self, instant: int) -> Timeline:
        """The events from an instant on, microseconds since 1970 UTC."""
        return self.only(self.at >= instant)

    def of_entities(self, chosen: NDArray[np.bool_]) -> Timeline:
        """The events of some entities, given as a mask of shape (n_entities,)."""
        return self.only(chosen[self.owner])

    def only(self, mask: NDArray[np.bool_]) -> Timeline:
        """The events of a mask of shape (n,)."""
        if mask.all():
            return self
        before = np.concatenate([[0], np.cumsum(mask)])
        return replace(
            self,
            first=before[self.first],
            at=self.at[mask],
            dimensions={name: codes.take(mask) for name, codes in self.dimensions.items()},
            measures={name: values[mask] for name, values in self.measures.items()},
            ids=None if self.ids is None else self.ids[mask],
            row=self.row[mask],
            notes={name: values[mask] for name, values in self.notes.items()},
            place=None if self.place is None else self.place[:, mask],
            peer=None if self.peer is None else self.peer.take(mask),
        )

    def locate(self, ids: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
        """Who did the events with the given ids, and when.

        Parameters
        ----------
        ids : pyarrow.Array, length k
            Of the type that the log's id column has.

        Returns
        -------
        entity : pyarrow.StringArray, length k
            Null where no event has the id.
        at : int64 array of shape (k,), microseconds since 1970 UTC
            0 where no event has the id.
        """
        if self.ids is None or not len(self):
            return pa.nulls(len(ids), pa.string()), np.zeros(len(ids), np.int64)
        wanted = encode_ids(pa.chunked_array([ids]))
        order = np.argsort(self.ids, kind="stable")
        place = np.minimum(np.searchsorted(self.ids, wanted.keys, sorter=order), len(order) - 1)
        found = order[place]
        unknown = (self.ids[found] != wanted.keys) | wanted.null_at(np.arange(len(ids)))
        who = pa.array(self.owner[found], mask=unknown)
        return self.entity.take(who), np.where(unknown, 0, self.at[found])

    @cached_property
    def digest(self) -> tuple[int, int, int]:
        """Sum modulo 2**64, parity and number of the events' hashes: those of partitions add up to the whole's."""
        total, parity = np.add.reduce(self._hashes, dtype=np.uint64), np.bitwise_xor.reduce(self._hashes)
        return int(total), int(parity), len(self)

    @property
    def fingerprint(self) -> str:
        """A digest of all events that does not depend on their order or partition, 32 hexadecimal digits."""
        return fingerprint_of(self.digest)

    def fingerprints(self, stretches: Sequence[tuple[int | None, int | None]]) -> list[str]:
        """The fingerprint of the events of each stretch ``[since, until)``, which may overlap; None leaves a side open.

        One pass over the events serves all stretches: digests are sums, so those between two edges are added up.

        Parameters
        ----------
        stretches : sequence of pair of int or None
            Microseconds since 1970 UTC.

        Returns
        -------
        list of str
            Of each the same as ``timeline.since(since).until(until).fingerprint``.
        """
        edges = np.array(sorted({edge for pair in stretches for edge in pair if edge is not None}), np.int64)
        part = np.searchsorted(edges, self.at, side="right") if len(edges) else np.zeros(len(self), np.intp)
        total, parity = np.zeros(len(edges) + 1, np.uint64), np.zeros(len(edges) + 1, np.uint64)
        np.add.at(total, part, self._hashes)
        np.bitwise_xor.at(parity, part, self._hashes)
        count = np.bincount(part, minlength=len(edges) + 1)
        told = []
        for since, until in stretches:
            first = 0 if since is None else int(np.searchsorted(edges, since)) + 1
            last = len(edges) + 1 if until is None else int(np.searchsorted(edges, until)) + 1
            events = int(count[first:last].sum())
            sums = np.add.reduce(total[first:last], dtype=np.uint64), np.bitwise_xor.reduce(parity[first:last])
            told.append(f"{int(sums[0]) ^ events:016x}{int(sums[1]):016x}")
        return told

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        hashes = stable_hash(self.entity)[self.owner]
        hashes = _mix(hashes, self.at.view(np.uint64))
        hashes = _mix(hashes, _content(self, slice(None), len(self)))
        return hashes if self.ids is None else _mix(hashes, self.ids)


def sort_events(arrivals: Arrivals, kept: NDArray[np.bool_] | None) -> tuple[Timeline, dict[str, NDArray[np.intp]]]:
    """Sort events by entity, time, id and content, and drop copies.

    Parameters
    ----------
    arrivals : Arrivals
    kept : bool array of shape (n,), or None for all
        Which rows to take.

    Returns
    -------
    timeline : Timeline
    dropped : dict of str to array of int
        Rows of the source that were dropped, by reason.
    """
    if len(arrivals.at) > _MOST_ROWS:
        message = f"expected at most {_MOST_ROWS:,} events in one piece, got {len(arrivals.at):,}; work in partitions"
        raise SchemaError(message)
    row, first = histories(arrivals.entity, arrivals.at, kept)
    at = picked(arrivals.at, row)
    row, copies, identical = _settle_ties(arrivals, row, first, at)
    dropped = {"exact copy of another event": row[copies].astype(np.intp)}
    row, first = _without(row, first, copies)
    clashes = _clashing_ids(arrivals, row)
    dropped["id used again by a different event"] = row[clashes].astype(np.intp)
    row, first = _without(row, first, clashes)
    return _assemble(arrivals, row, first, identical), dropped


def histories(
    entity: Codes, at: NDArray[np.int64], kept: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The rows of each entity in the order of time, equal times in the order of the rows, and where each's begin.

    What was stored by day is in the order of time for each entity though not as a whole: look first.

    Parameters
    ----------
    entity : Codes, n rows, none of them null
    at : int64 array of shape (n,)
    kept : bool array of shape (n,), or None for all

    Returns
    -------
    rows : uint32 array of shape (m,)
    first : int64 array of shape (n_entities + 1,)
        The rows of entity ``e`` are ``rows[first[e]:first[e + 1]]``.

    Examples
    --------
    >>> who = Codes(np.array([1, 0, 1], np.int32), pa.array(["ann", "ben"]))
    >>> rows, first = histories(who, np.array([30, 20, 10]), None)
    >>> rows.tolist(), first.tolist()
    ([1, 2, 0], [0, 1, 3])
    """
    every = np.arange(len(at), dtype=np.uint32) if kept is None else np.flatnonzero(kept).astype(np.uint32)
    rows, first = counted_out(entity.codes, every, len(entity.values))
    if _in_time(rows, first, at):
        return rows, first
    return counted_out(entity.codes, time_order(at, kept), len(entity.values))


@kernel
def _in_time(rows: NDArray[np.uint32], first: NDArray[np.int64], at: NDArray[np.int64]) -> bool:
    """Whether each stretch of the rows is in the order of time."""
    for e in range(len(first) - 1):
        for k in range(first[e] + 1, first[e + 1]):
            if at[rows[k]] < at[rows[k - 1]]:
                return False
    return True


def time_order(at: NDArray[np.int64], kept: NDArray[np.bool_] | None = None) -> NDArray[np.uint32]:
    """Rows in the order of time, all or but those kept; equal times in the order of the rows.

    Logs arrive nearly sorted: look first, and let the sort profit from runs.
    """
    rows = np.arange(len(at), dtype=np.uint32) if kept is None else np.flatnonzero(kept).astype(np.uint32)
    times = at if kept is None else at[rows]
    if _is_sorted(times):
        return rows
    return rows[np.argsort(times, kind="stable")]


@kernel
def _is_sorted(values: NDArray[np.int64]) -> bool:
    for i in range(1, len(values)):  # noqa: SIM110 - all() would build a generator, which is slower compiled
        if values[i] < values[i - 1]:
            return False
    return True


@kernel
def _in_source(row: NDArray[np.uint32], n_rows: int) -> NDArray[np.uint32]:
    """Positions in the order of their rows in the source, which is nearly that of time: one pass marks, one gathers."""
    place = np.full(n_rows, -1, np.int64)
    for i in range(len(row)):
        place[row[i]] = i
    order, n = np.empty(len(row), np.uint32), 0
    for position in place:
        if position >= 0:
            order[n] = position
            n += 1
    return order


def _settle_ties(
    arrivals: Arrivals, row: NDArray[np.uint32], first: NDArray[np.int64], at: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.intp], int]:
    """Order the events of one entity at one instant; also the positions of exact copies, and how many rows repeat."""
    none = np.empty(0, np.intp)
    with_last = np.zeros(len(at) + 1, np.bool_)
    with_last[1:-1] = at[1:] == at[:-1]
    with_last[first] = False
    tied = np.flatnonzero(with_last[:-1] | with_last[1:])
    if len(tied) == 0:
        return row, none, 0
    run = np.cumsum(~with_last[:-1])[tied]
    rows = row[tied].astype(np.intp)
    content = _content(arrivals, rows, len(rows))
    ids = np.zeros(len(rows), np.uint64) if arrivals.ids is None else arrivals.ids.keys[rows]
    null = np.zeros(len(rows), np.bool_) if arrivals.ids is None else arrivals.ids.null_at(rows)
    order = np.lexsort((content, ids, null, run))
    row = row.copy()
    row[tied] = rows[order].astype(np.uint32)
    keys = [key[order] for key in (run, null, ids, content)]
    same = np.concatenate([[False], np.logical_and.reduce([key[1:] == key[:-1] for key in keys])])
    if arrivals.ids is None:
        return row, none, int(same.sum())
    same &= ~null[order]
    return row, tied[same], 0


def _clashing_ids(arrivals: Arrivals, row: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Positions of events whose id an earlier, different event has; the earliest keeps it."""
    if arrivals.ids is None or arrivals.ids.unique:
        return np.empty(0, np.intp)
    keys = arrivals.ids.keys[row]
    held = np.sort(keys)
    twice = held[1:][held[1:] == held[:-1]]
    suspects = np.flatnonzero(np.isin(keys, twice) & ~arrivals.ids.null_at(row)) if len(twice) else row[:0]
    if len(suspects) == 0:
        return np.empty(0, np.intp)
    rows = row[suspects].astype(np.intp)
    content = _content(arrivals, rows, len(rows))
    order = np.lexsort((content, arrivals.entity.hashes(rows), arrivals.at[rows], keys[suspects]))
    ordered = keys[suspects][order]
    return suspects[order[1:][ordered[1:] == ordered[:-1]]]


def _without(
    row: NDArray[np.uint32], first: NDArray[np.int64], positions: NDArray[np.intp]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    if len(positions) == 0:
        return row, first
    keep = np.ones(len(row), np.bool_)
    keep[positions] = False
    return row[keep], np.concatenate([[0], np.cumsum(keep)])[first]


def _assemble(arrivals: Arrivals, row: NDArray[np.uint32], first: NDArray[np.int64], identical: int) -> Timeline:
    columns: dict[str, NDArray[Any]] = {
        "at": arrivals.at,
        **{f"d:{name}": codes.codes for name, codes in arrivals.dimensions.items()},
    }
    columns |= {f"m:{name}": values for name, values in arrivals.measures.items()}
    if arrivals.ids is not None:
        columns["ids"] = arrivals.ids.keys
    if arrivals.peer is not None:
        columns["peer"] = arrivals.peer.codes
    columns |= dict(zip(("latitude", "longitude"), () if arrivals.place is None else arrivals.place, strict=False))
    picks = side_by_side(lambda column: picked(column, row), columns.values(), steps=len(columns) * len(row))
    taken = dict(zip(columns, picks, strict=True))
    return Timeline(
        entity=arrivals.entity.values,
        first=first,
        at=taken["at"],
        dimensions={name: Codes(taken[f"d:{name}"], codes.values) for name, codes in arrivals.dimensions.items()},
        measures={name: taken[f"m:{name}"] for name in arrivals.measures},
        ids=taken.get("ids"),
        row=row,
        zone=arrivals.zone,
        identical=identical,
        place=None if arrivals.place is None else np.stack([taken["latitude"], taken["longitude"]]),
        peer=None if arrivals.peer is None else Codes(taken["peer"], arrivals.peer.values),
    )


def fingerprint_of(digest: tuple[int, int, int]) -> str:
    """The digest of events as text, see :attr:`Timeline.fingerprint`.

    Examples
    --------
    >>> fingerprint_of((0, 0, 0))
    '00000000000000000000000000000000'
    """
    total, parity, events = digest
    return f"{total ^ events:016x}{parity:016x}"


def content_hashes(timeline: Timeline, positions: NDArray[np.intp]) -> NDArray[np.uint64]:
    """A hash of what each of some events was, beside entity, time and id; uint64 of the same shape."""
    return _content(timeline, positions, len(positions))


def _content(events: Arrivals | Timeline, rows: NDArray[np.intp] | slice, n: int) -> NDArray[np.uint64]:
    """A hash of what each event was, the same on every machine and for every order of rows."""
    hashes = np.zeros(n, np.uint64)
    texts = [events.dimensions[name] for name in sorted(events.dimensions)]
    for codes in (*texts, *filter(None, [events.peer])):
        hashes = _mix(hashes, codes.hashes(rows))
    numbers = [events.measures[name] for name in sorted(events.measures)]
    for column in (*numbers, *(() if events.place is None else events.place)):
        values = column[rows] + 0.0  # -0.0 equals 0.0, so it must hash alike
        hashes = _mix(hashes, np.where(np.isnan(values), np.nan, values).view(np.uint64))
    return hashes


def _mix(hashes: NDArray[np.uint64], more: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (hashes ^ more) * _MIX
    return mixed ^ (mixed >> _SHIFT)
