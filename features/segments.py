"""Segments: the events of one partition of the entities on one day, encoded, as a row of a file.

A file holds the events of one day that came in one go. It is an Arrow file with one record batch that has a row for
each partition; a cell is a list of what its events have, one behind the other. Text is two lists, the values of that
segment alone and the position of each event's among them, in as few bytes as reach. Nothing has to be unpacked, so a
file is mapped into memory and whichever partitions are wanted are read where they lie; and a day that is deleted leaves
no name behind in a dictionary elsewhere.
"""

from __future__ import annotations

import hashlib
import mmap
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import Codes, stable_hash
from .holdings import StoreError
from .kernels import counted_out, kernel, picked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from .timeline import Arrivals

__all__ = ["ENTITY", "MOST_PARTITIONS", "Piece", "Segments", "Text", "partition_of", "read_segments", "segment_file"]

MOST_PARTITIONS = 4096
_CODES, _VALUES = "codes", "values"
ENTITY, AT, ID, ROW, BARE, PEER, PLACE = "entity", "at", "id", "row", "bare", "peer", ("latitude", "longitude")


def partition_of(keys: NDArray[np.uint64], partitions: int) -> NDArray[np.int64]:
    """The partition of each entity by the leading bits of its hash, int64 of the same shape.

    Parameters
    ----------
    keys : uint64 array
        From :func:`~peculiar.features.columns.stable_hash`.
    partitions : int
        A power of two; each partition of twice as many is half of one.

    Examples
    --------
    >>> keys = np.array([0, 2**63, 2**64 - 1], np.uint64)
    >>> partition_of(keys, 2).tolist(), partition_of(keys, 1).tolist()
    ([0, 1, 1], [0, 0, 0])
    """
    bits = partitions.bit_length() - 1
    return (keys >> np.uint64(64 - bits)).astype(np.int64) if bits else np.zeros(len(keys), np.int64)


@dataclass(frozen=True, eq=False)
class Piece:
    """Events that came in one go, behind the door, in the order of (day, partition, arrival).

    Attributes
    ----------
    codes : mapping of str to Codes
        The entity and all text columns, in the order of ``order``.
    plain : mapping of str to array of shape (n,)
        Times, measures, rows in the source, and the ids as they came.
    days : int64 array of shape (n_days,)
        Days since 1970, rising.
    ends : int64 array of shape (n_days, partitions + 1)
        The events of a day and a partition are those at ``ends[day, partition]:ends[day, partition + 1]``.
    """

    codes: Mapping[str, Codes]
    plain: Mapping[str, pa.Array]
    days: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        arrivals: Arrivals,
        raw: Mapping[str, pa.ChunkedArray | NDArray[Any]],
        kept: NDArray[np.bool_] | None,
        day: NDArray[np.int64],
        partitions: int,
    ) -> Self:
        """Sort what was admitted by day and partition.

        Parameters
        ----------
        arrivals : Arrivals, n rows
        raw : mapping of str to column of n rows
            What is kept beside the arrivals' own columns.
        kept : bool array of shape (n,), or None for all
        day : int64 array of shape (n,)
            Days since 1970.
        partitions : int
        """
        rows = np.arange(len(day), dtype=np.uint32) if kept is None else np.flatnonzero(kept).astype(np.uint32)
        part = partition_of(stable_hash(arrivals.entity.values), partitions)[arrivals.entity.codes[rows]]
        days, place = _dense(day[rows])
        cell = place * partitions + part
        order, first = counted_out(cell, np.arange(len(cell), dtype=np.uint32), len(days) * partitions)
        rows = rows[order]
        texts = {ENTITY: arrivals.entity, **{f"d:{name}": codes for name, codes in arrivals.dimensions.items()}}
        texts |= {} if arrivals.peer is None else {PEER: arrivals.peer}
        numbers = {AT: arrivals.at, **{f"m:{name}": values for name, values in arrivals.measures.items()}}
        numbers |= {} if arrivals.place is None else dict(zip(PLACE, arrivals.place, strict=True))
        taken = {name: pa.array(picked(values, rows)) for name, values in numbers.items()}
        taken |= {name: _taken(column, rows) for name, column in raw.items()}
        codes = {name: Codes(picked(text.codes, rows), text.values) for name, text in texts.items()}
        starts = first[:-1].reshape(len(days), partitions)
        return cls(codes, taken, days, np.append(starts, first[partitions::partitions][:, None], axis=1))

    def of_day(self, day: int) -> pa.RecordBatch:
        """The events of the day of a number, with a row for each partition, empty ones too."""
        ends = self.ends[day]
        events, first = slice(int(ends[0]), int(ends[-1])), (ends - ends[0]).astype(np.int32)
        columns: dict[str, pa.Array] = {}
        for name, text in self.codes.items():
            stamp = np.full(len(text.values), -1, np.int32)
            codes, used, values = _compacted(text.codes[events], first, stamp)
            lists = [_listed(_narrow(codes, values), first), _listed(text.values.take(pa.array(used)), values)]
            columns[name] = pa.StructArray.from_arrays(lists, [_CODES, _VALUES])
        columns |= {name: _listed(values[events], first) for name, values in self.plain.items()}
        return pa.RecordBatch.from_pydict(columns)


@dataclass(frozen=True, eq=False)
class Text:
    """A text column of some segments.

    Attributes
    ----------
    codes : int32 array of shape (n_events,)
        The position of each event's value among those of its segment; -1 is null.
    values : pyarrow.StringArray
        Those of all these segments, one behind the other.
    first : int32 array of shape (n_segments + 1,)
        Where each segment's values begin.
    """

    codes: NDArray[np.int32]
    values: pa.StringArray
    first: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of some partitions in a file, read where they lie.

    Attributes
    ----------
    batch : pyarrow.RecordBatch
        What the file holds.
    partitions : slice
        Which rows of it; with a start and a stop.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> codes = {ENTITY: Codes(np.array([0, 1, 1], np.int32), pa.array(["ann", "ben"]))}
    >>> ends = np.array([[0, 1, 3]])  # of one day, and two partitions
    >>> piece = Piece(codes, {ROW: pa.array([7, 8, 9], pa.int32())}, np.array([20_150]), ends)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Path(folder) / "some.events"
    ...     _ = place.write_bytes(segment_file(piece.of_day(0))[0])
    ...     second = read_segments(place, 1)
    ...     len(second), second.text(ENTITY).values.to_pylist(), second.text(ENTITY).codes.tolist()
    (2, ['ben'], [0, 0])
    """

    batch: pa.RecordBatch
    partitions: slice

    def __len__(self) -> int:
        return int(self.first[-1])

    @cached_property
    def first(self) -> NDArray[np.int32]:
        """Where each segment's events begin, counted from the first one's; int32 of shape (n_segments + 1,)."""
        ends = _ends(self.batch.column(ROW), self.partitions)
        return ends - ends[0]

    def __contains__(self, name: object) -> bool:
        return name in self.batch.schema.names

    def plain(self, name: str) -> pa.Array:
        """A column that is no text: its value in each event."""
        return _content(self.batch.column(name), self.partitions)

    def text(self, name: str) -> Text:
        """A text column."""
        column = self.batch.column(name)
        codes = _content(column.field(_CODES), self.partitions).to_numpy().astype(np.int32, copy=False)
        first = _ends(column.field(_VALUES), self.partitions)
        return Text(codes, self.values(name), first - first[0])

    def values(self, name: str) -> pa.StringArray:
        """The values of a text column, those of each segment behind those of the one before."""
        return _content(self.batch.column(name).field(_VALUES), self.partitions)


def segment_file(batch: pa.RecordBatch) -> tuple[bytes, str]:
    """The content of a file with the events of a day, and its SHA-256."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content = sink.getvalue()
    return content.to_pybytes(), hashlib.sha256(content).hexdigest()


def read_segments(path: Path, partitions: int | range) -> Segments:
    """The segments of some partitions, which follow each other.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    numbers = slice(partitions, partitions + 1) if isinstance(partitions, int) else partitions
    try:
        with path.open("rb") as file:  # mapped by Python, which takes a third of the time that Arrow's own map does
            content = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return Segments(pa.ipc.open_file(content).get_batch(0), slice(numbers.start, numbers.stop))
    except (OSError, ValueError) as error:
        message = f"{path}: expected events of a day, cannot read them ({error}); make the store again"
        raise StoreError(message) from error


def _ends(lists: pa.ListArray, rows: slice) -> NDArray[np.int32]:
    """Where the lists of some rows begin, and the last one ends."""
    ends: NDArray[np.int32] = lists.offsets.to_numpy()[rows.start : rows.stop + 1]
    return ends


def _content(lists: pa.ListArray, rows: slice) -> pa.Array:
    """What is in the lists of some rows."""
    ends = _ends(lists, rows)
    return lists.values.slice(ends[0], ends[-1] - ends[0])


def _listed(values: pa.Array, first: NDArray[np.int32]) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(first), values)


def _narrow(codes: NDArray[np.int32], values: NDArray[np.int32]) -> pa.Array:
    """Codes of no more values a segment than that, in as few bytes as reach."""
    most = int(np.diff(values).max())
    kind = next(kind for kind in (np.int8, np.int16, np.int32) if most <= np.iinfo(kind).max)
    return pa.array(codes.astype(kind))


def _dense(day: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The days there are, rising, and the place of each event's among them."""
    if not len(day):
        return day, day
    first = int(day.min())
    if int(day.max()) - first > len(day) + 1_000_000:
        days, place = np.unique(day, return_inverse=True)
        return days, place.astype(np.int64)
    there = np.bincount(day - first) > 0
    return np.flatnonzero(there) + first, (np.cumsum(there) - 1)[day - first]


def _taken(column: pa.ChunkedArray | NDArray[Any], rows: NDArray[np.uint32]) -> pa.Array:
    if isinstance(column, np.ndarray):
        return pa.array(picked(column, rows))
    taken = pc.take(column, pa.array(rows))
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


@kernel
def _compacted(
    codes: NDArray[np.int32], first: NDArray[np.int32], stamp: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Number the values of each segment in the order in which they come; which values, and where each segment's begin.

    ``first`` is where each segment's events begin, ``stamp`` is all -1 before and after.
    """
    renumbered, used, begins = np.empty(len(codes), np.int32), np.empty(len(codes), np.int32), np.zeros_like(first)
    n = 0
    for s in range(len(first) - 1):
        begin = n
        for i in range(first[s], first[s + 1]):
            code = codes[i]
            if code >= 0 and stamp[code] < 0:
                stamp[code] = n - begin
                used[n] = code
                n += 1
            renumbered[i] = stamp[code] if code >= 0 else -1
        for k in range(begin, n):
            stamp[used[k]] = -1
        begins[s + 1] = n
    return renumbered, used[:n].copy(), begins
