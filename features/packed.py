"""Rows on their way to their buckets: put together where they are read, as bytes that nobody looks into on the way.

What is moved is not rows but a few pieces for each task and bucket, so whoever moves them has no rows to take apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .columns import encode
from .kernels import counted_out
from .texts import text_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .roles import Roles

__all__ = ["PACKED", "Packing", "unpacked"]

PACKED = pa.schema({"bucket": pa.int64(), "content": pa.binary()})
_ROWS, _BYTES = 1_000_000, 256 << 20  # that are held before they are packed
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, eq=False)
class Packing:
    """Parts record batches by their entities.

    Attributes
    ----------
    roles : Roles
    buckets : int
        How many.
    columns : pyarrow.Schema
        Of the batches.
    """

    roles: Roles
    buckets: int
    columns: pa.Schema

    def among(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Pieces of buckets, columns ``bucket`` and ``content``.

        Examples
        --------
        >>> from peculiar.features.roles import Roles
        >>> rows = pa.RecordBatch.from_pydict({"who": ["ann", "ben", "ann"], "at": [1, 2, 3]})
        >>> packing = Packing(Roles(entity="who", at="at"), 1, rows.schema)
        >>> [piece] = packing.among([rows])
        >>> unpacked(piece.column("content"), rows.schema).to_pydict()
        {'who': ['ann', 'ben', 'ann'], 'at': [1, 2, 3]}
        """
        held: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in batches:
            held.append(batch)
            rows, size = rows + len(batch), size + batch.nbytes
            if rows >= _ROWS or size >= _BYTES:
                yield self._parted(held)
                held, rows, size = [], 0, 0
        if rows:
            yield self._parted(held)

    def _parted(self, held: list[pa.RecordBatch]) -> pa.RecordBatch:
        table = pa.Table.from_batches(held).select(self.columns.names).cast(self.columns)
        order, first = counted_out(self._bucket(table), np.arange(len(table), dtype=np.uint32), self.buckets)
        there = np.flatnonzero(np.diff(first))
        [rows] = table.take(pa.array(order)).combine_chunks().to_batches()
        pieces = (rows.slice(first[number], first[number + 1] - first[number]) for number in there)
        contents = pa.array([_content(piece) for piece in pieces], pa.binary())
        return pa.RecordBatch.from_pydict({"bucket": there, "content": contents}, PACKED)

    def _bucket(self, table: pa.Table) -> NDArray[np.int64]:
        """The bucket of each row; those without an entity are spread by their time, or many would be in one."""
        entity = encode(table[self.roles.entity])
        number = np.append(entity.keys % np.uint64(self.buckets), 0).astype(np.int64)[entity.codes]
        nobody = np.flatnonzero(entity.codes < 0)
        if len(nobody):
            at = table[self.roles.at].take(pa.array(nobody)).combine_chunks().cast(pa.string())
            number[nobody] = text_hash(at) % np.uint64(self.buckets)
        return number


def unpacked(contents: pa.Array | pa.ChunkedArray, columns: pa.Schema) -> pa.Table:
    """The rows of some pieces.

    Parameters
    ----------
    contents : pyarrow array of binary
        From :meth:`Packing.among`.
    columns : pyarrow.Schema
        Of the rows, as the packing had it.

    Examples
    --------
    >>> len(unpacked(pa.array([], pa.binary()), pa.schema({"who": pa.string()})))
    0
    """
    pieces = [pa.ipc.read_record_batch(pa.py_buffer(piece.as_buffer()), columns) for piece in contents]
    return pa.Table.from_batches(pieces, columns)


def _content(piece: pa.RecordBatch) -> bytes:
    """A record batch as a message, compressed, without its schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, piece.schema, options=_COMPRESSED) as writer:
        writer.write_batch(piece)
    messages = pa.ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()  # the schema
    return messages.read_next_message().serialize().to_pybytes()
