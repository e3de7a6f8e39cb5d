"""Segments: the events of one partition of the entities on one day, encoded, as a piece of a file.

A file holds the events of one day that came in one go, a segment for each partition, one behind the other; the last
bytes say where each begins. Each segment is an Arrow stream of its own, with the values of its own text columns only:
so a partition is read without the others, and a day that is deleted leaves no name behind in a dictionary elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import Codes, stable_hash
from .kernels import counted_out, kernel, picked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from .timeline import Arrivals

__all__ = ["ENTITY", "MOST_PARTITIONS", "Piece", "offsets_of", "partition_of", "read_segments", "segment_file"]

MOST_PARTITIONS = 4096
ENTITY, AT, ID, ROW, BARE, PEER, PLACE = "entity", "at", "id", "row", "bare", "peer", ("latitude", "longitude")
_TAIL = 8  # bytes: how long the index before them is


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

    def segments(self, day: int) -> Iterator[pa.RecordBatch]:
        """The record batch of each partition on the day of a number, empty ones too."""
        stamps = {name: np.full(len(text.values), -1, np.int32) for name, text in self.codes.items()}
        for lo, hi in zip(self.ends[day, :-1].tolist(), self.ends[day, 1:].tolist(), strict=True):
            columns = {name: _compact(text, slice(lo, hi), stamps[name]) for name, text in self.codes.items()}
            columns |= {name: values.slice(lo, hi - lo) for name, values in self.plain.items()}
            yield pa.RecordBatch.from_pydict(columns)


def segment_file(batches: Iterator[pa.RecordBatch]) -> tuple[bytes, str]:
    """The content of a file with a segment for each batch, and its SHA-256; empty batches take no room."""
    sink, offsets = pa.BufferOutputStream(), [0]
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    for batch in batches:
        if batch.num_rows:
            with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
                writer.write_batch(batch)
        offsets.append(sink.tell())
    index = json.dumps(offsets).encode()
    content = sink.getvalue().to_pybytes() + index + len(index).to_bytes(_TAIL, "little")
    return content, hashlib.sha256(content).hexdigest()


def offsets_of(path: Path) -> NDArray[np.int64]:
    """Where each partition's segment begins in a file, and where the last one ends."""
    with path.open("rb") as file:
        file.seek(-_TAIL, os.SEEK_END)
        length = int.from_bytes(file.read(_TAIL), "little")
        file.seek(-_TAIL - length, os.SEEK_END)
        return np.array(json.loads(file.read(length)), np.int64)


def read_segments(
    path: Path, offsets: NDArray[np.int64], columns: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The segments between each two offsets of a file; those of no length are left out.

    Parameters
    ----------
    path : Path
    offsets : int64 array
    columns : collection of str, optional
        Decompress these alone, as far as there are such.
    """
    if offsets[0] == offsets[-1]:
        return
    # One thread: a segment is so small that several wait for each other longer than they work.
    options = pa.ipc.IpcReadOptions(use_threads=False)
    chosen = columns is None
    with path.open("rb") as file:
        file.seek(int(offsets[0]))
        content = pa.py_buffer(file.read(int(offsets[-1] - offsets[0])))
    for lo, hi in pairwise((offsets - offsets[0]).tolist()):
        if lo < hi:
            segment = content.slice(lo, hi - lo)
            if columns is not None and not chosen:  # the columns of a file are those of all its segments
                names = pa.ipc.open_stream(segment).schema.names
                options.included_fields = [number for number, name in enumerate(names) if name in columns]
                chosen = True
            yield pa.ipc.open_stream(segment, options=options).read_next_batch()


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


def _compact(text: Codes, rows: slice, stamp: NDArray[np.int32]) -> pa.DictionaryArray:
    """The rows with just their values, in the order of first appearance; ``stamp`` is all -1 before and after."""
    codes, used = _renumbered(text.codes[rows], stamp)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), text.values.take(pa.array(used)))


@kernel
def _renumbered(codes: NDArray[np.int32], stamp: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    renumbered, used, n = np.empty(len(codes), np.int32), np.empty(len(codes), np.int32), 0
    for i in range(len(codes)):
        code = codes[i]
        if code < 0:
            renumbered[i] = -1
            continue
        if stamp[code] < 0:
            stamp[code] = n
            used[n] = code
            n += 1
        renumbered[i] = stamp[code]
    for k in range(n):
        stamp[used[k]] = -1
    return renumbered, used[:n].copy()
