"""Segments: the events of one partition of the entities on one day, encoded, as a row of a file.

A file holds the events of one day that came in one go. It is an Arrow file with one record batch that has a row for
each partition; a cell is a list of what its events have, one behind the other. Text is two lists, the values of that
segment alone and the position of each event's among them, in as few bytes as reach. Nothing has to be unpacked, so of
whichever partitions and columns are wanted the bytes are read, and no others; and a day that is deleted leaves no name
behind in a dictionary elsewhere.
"""

from __future__ import annotations

import hashlib
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import Codes, stable_hash
from .holdings import StoreError
from .kernels import counted_out, kernel, picked

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

    from .timeline import Arrivals

__all__ = [
    "ENTITY",
    "MOST_PARTITIONS",
    "Layout",
    "Piece",
    "Segments",
    "Text",
    "partition_of",
    "read_segments",
    "segment_file",
]

MOST_PARTITIONS = 4096
_CODES, _VALUES = "codes", "values"
_BYTE = 8  # bits
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
    """The segments of some partitions in a file.

    Attributes
    ----------
    first : int32 array of shape (n_segments + 1,)
        Where each segment's events begin.
    texts : mapping of str to Text
    plain : mapping of str to pyarrow.Array of length n_events
        The columns that are no text.
    """

    first: NDArray[np.int32]
    texts: Mapping[str, Text]
    plain: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return int(self.first[-1])


def segment_file(batch: pa.RecordBatch) -> tuple[bytes, str]:
    """The content of a file with the events of a day, and its SHA-256."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content = sink.getvalue()
    return content.to_pybytes(), hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Layout:
    """Where the columns of a file lie; files never change, so each is asked once.

    Attributes
    ----------
    ends : int
        Where in the file it is told where each segment's events begin.
    texts : mapping of str to tuple
        The type of the codes, and where these, the ends of the values, their text's ends and their text begin.
    plain : mapping of str to tuple
        The type, and where each buffer begins; -1 where there is none.
    """

    ends: int
    texts: Mapping[str, tuple[Any, int, int, int, int]]
    plain: Mapping[str, tuple[pa.DataType, tuple[int, ...]]]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a file.

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        try:
            content = _mapped(path)
            batch = pa.ipc.open_file(content).get_batch(0)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

        def begins(array: pa.Array) -> tuple[int, ...]:
            return tuple(-1 if each is None else each.address - content.address for each in array.buffers())

        texts, plain = {}, {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_struct(column.type):
                codes, values = column.field(_CODES), column.field(_VALUES)
                kind = codes.type.value_type.to_pandas_dtype()
                texts[name] = kind, begins(codes.values)[1], begins(values)[1], *begins(values.values)[1:]
            else:
                plain[name] = column.type.value_type, begins(column.values)
        return cls(begins(batch.column(ROW))[1], texts, plain)


def read_segments(
    path: Path, partitions: int | range, columns: Collection[str] | None = None, *, layout: Layout | None = None
) -> Segments:
    """The segments of some partitions, which follow each other.

    Parameters
    ----------
    path : Path
    partitions : int, or range of int
    columns : collection of str, optional
        These alone, as far as there are such.
    layout : Layout, optional
        Of the file, if it is known.

    Raises
    ------
    StoreError
        If the file is missing or damaged.

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
    >>> len(second), second.plain[ROW].to_pylist(), second.texts[ENTITY].values.to_pylist()
    (2, [8, 9], ['ben'])
    """
    rows = range(partitions, partitions + 1) if isinstance(partitions, int) else partitions
    layout = layout or Layout.of(path)
    chosen = {*layout.texts, *layout.plain} if columns is None else columns
    try:
        with path.open("rb", buffering=0) as file:
            ends = _numbers(file, layout.ends, np.int32, rows.start, rows.stop + 1)
            texts = {name: _text(file, each, ends, rows) for name, each in layout.texts.items() if name in chosen}
            plain = {name: _plain(file, each, ends) for name, each in layout.plain.items() if name in chosen}
            for name in [name for name, values in plain.items() if values is None]:
                lists = pa.ipc.open_file(_mapped(path)).get_batch(0).column(name)
                plain[name] = pa.concat_arrays([lists.values.slice(ends[0], ends[-1] - ends[0])])
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return Segments(ends - ends[0], texts, plain)


# Bytes are read, not touched where they are mapped: to fetch page after page of a map takes several times as long where
# the system has not kept them, or has to make room for them. And a map keeps its file open.
def _numbers(file: FileIO, begin: int, kind: Any, lo: int, hi: int) -> NDArray[Any]:
    """Some of the numbers that begin somewhere in a file; a column without any has no place in it."""
    if lo == hi:
        return np.empty(0, kind)
    width = np.dtype(kind).itemsize
    file.seek(begin + int(lo) * width)
    content = file.read(int(hi - lo) * width)
    if len(content) != int(hi - lo) * width:
        message = f"it ends after {len(content):,} of {int(hi - lo) * width:,} bytes"
        raise OSError(message)
    return np.frombuffer(content, kind)


def _text(file: FileIO, layout: tuple[Any, int, int, int, int], ends: NDArray[np.int32], rows: range) -> Text:
    kind, codes, lists, offsets, text = layout
    first = _numbers(file, lists, np.int32, rows.start, rows.stop + 1)
    wide = _numbers(file, codes, kind, ends[0], ends[-1]).astype(np.int32, copy=False)
    return Text(wide, _strings(file, (offsets, text), first), first - first[0])


def _strings(file: FileIO, begins: tuple[int, int], ends: NDArray[np.int32]) -> pa.StringArray:
    """The texts of all lists that end there."""
    if ends[0] == ends[-1]:
        return pa.array([], pa.string())
    own = _numbers(file, begins[0], np.int32, ends[0], ends[-1] + 1)
    text = _numbers(file, begins[1], np.uint8, own[0], own[-1])
    return pa.StringArray.from_buffers(len(own) - 1, pa.py_buffer(own - own[0]), pa.py_buffer(text))


def _plain(file: FileIO, layout: tuple[pa.DataType, tuple[int, ...]], ends: NDArray[np.int32]) -> pa.Array | None:
    """A column that is no text; None if it cannot be read so, as ids of which some are missing."""
    kind, (nulls, *begins) = layout
    if nulls >= 0:
        return None
    if pa.types.is_string(kind):
        return _strings(file, (begins[0], begins[1]), ends)
    if not pa.types.is_primitive(kind) or kind.bit_width < _BYTE:
        return None
    return pa.array(_numbers(file, begins[0], kind.to_pandas_dtype(), ends[0], ends[-1]), kind)


def _mapped(path: Path) -> pa.Buffer:
    with path.open("rb") as file:
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: expected events of a day, cannot read them ({error}); make the store again")


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
