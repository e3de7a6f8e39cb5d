"""Simulated events as Arrow tables and as Parquet files.

In memory the strings are dictionary columns over one vocabulary. On disk each row group carries only the values that
occur in it, so its dictionary pages stay small, and goes to the writer as codes, which never falls back to plain pages
as it might with strings: a reader that asks for codes (``read_dictionary``) never decodes a string. The file's schema
says plain strings, as any log does.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .city import ACTIONS, COUNTRIES, City, Ints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .block import Block

__all__ = ["EVENT_SCHEMA", "LABEL_SCHEMA", "LogFiles", "Vocabulary", "draw_vocabulary", "written_log"]

ROW_GROUP = 1 << 20
"""Events of a row group."""

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_INSTANT = pa.timestamp("us", tz="UTC")

EVENT_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.int64(), nullable=False),
        pa.field("user_id", _DICTIONARY, nullable=False),
        pa.field("ts", _INSTANT, nullable=False),
        pa.field("action", _DICTIONARY, nullable=False),
        pa.field("item", _DICTIONARY),
        pa.field("category", _DICTIONARY),
        pa.field("vehicle", _DICTIONARY),
        pa.field("device", _DICTIONARY, nullable=False),
        pa.field("country", _DICTIONARY, nullable=False),
        pa.field("amount", pa.float64()),
        pa.field("district", _DICTIONARY, nullable=False),
    ]
)
"""Columns of the event log."""

LABEL_SCHEMA = pa.schema(
    [
        pa.field("entity", pa.string(), nullable=False),
        pa.field("event_id", pa.int64()),
        pa.field("from", _INSTANT),
        pa.field("to", _INSTANT),
        pa.field("scenario", pa.string(), nullable=False),
        pa.field("known_at", _INSTANT, nullable=False),
    ]
)
"""Columns of the labels: about one event, or about an entity from ``from`` until before ``to``."""


@dataclass(frozen=True)
class Vocabulary:
    """The strings behind the codes of each column, one array a column, indexed by code."""

    user_id: pa.Array
    item: pa.Array
    category: pa.Array
    vehicle: pa.Array
    device: pa.Array
    district: pa.Array
    action: pa.Array = field(default_factory=lambda: pa.array(ACTIONS))
    country: pa.Array = field(default_factory=lambda: pa.array(COUNTRIES))

    def table(self, block: Block, city: City, district: Ints, *, first_id: int) -> pa.Table:
        """Return a block as a table of :data:`EVENT_SCHEMA`, event ids counted from ``first_id``."""
        columns = {
            "event_id": pa.array(np.arange(first_id, first_id + len(block), dtype=np.int64)),
            "user_id": _coded(block.user, self.user_id),
            "ts": pa.array(block.at, _INSTANT),
            "action": _coded(block.action, self.action),
            "item": _coded(block.item, self.item),
            "category": _coded(np.where(block.item < 0, -1, city.categories[block.item]), self.category),
            "vehicle": _coded(block.vehicle, self.vehicle),
            "device": _coded(block.device, self.device),
            "country": _coded(block.country, self.country),
            "amount": pa.array(block.amount, from_pandas=True),
            "district": _coded(district, self.district),
        }
        return pa.table(columns, schema=EVENT_SCHEMA)


def draw_vocabulary(city: City, *, users: int, devices: int, rng: np.random.Generator) -> Vocabulary:
    """Name everything; the order of items' and devices' names says nothing about them.

    Examples
    --------
    >>> from peculiar.experiments.city import START, Calendar, draw_city, stream
    >>> city = draw_city(Calendar(START, 30), events=9_000, users=300, rng=stream(7))
    >>> draw_vocabulary(city, users=300, devices=1_200, rng=stream(7)).user_id[12].as_py()
    'u0000012'
    """
    return Vocabulary(
        user_id=_names("u", np.arange(users), 7),
        item=_names("i", rng.permutation(city.items), 5),
        category=_names("c", np.arange(200), 3),
        vehicle=_names("v", np.arange(city.vehicles), 5),
        device=_names("d", rng.permutation(devices), 7),
        district=_names("district-", np.arange(city.districts), 2),
    )


def _names(prefix: str, numbers: Ints, width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def _coded(codes: Ints, vocabulary: pa.Array) -> pa.DictionaryArray:
    codes = codes.astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), vocabulary, safe=False)


def _compact(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Leave only the values that occur in the column's dictionary, in their order."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    codes = array.indices.fill_null(-1).to_numpy()
    occurs = np.zeros(len(array.dictionary) + 1, dtype=bool)
    occurs[codes] = True
    used = np.flatnonzero(occurs[:-1])
    renumbered = np.full(len(occurs), -1)
    renumbered[used] = np.arange(len(used))
    return _coded(renumbered[codes], array.dictionary.take(pa.array(used)))


class _EventWriter:
    """Writes tables of events, given in time order and in pieces of any size, as row groups of about a million.

    Parameters
    ----------
    path
        Parquet file to write.
    """

    def __init__(self, path: Path) -> None:
        strings = [name for name in EVENT_SCHEMA.names if pa.types.is_dictionary(EVENT_SCHEMA.field(name).type)]
        self._waiting: list[pa.Table] = []
        self._writer = pq.ParquetWriter(
            path,
            EVENT_SCHEMA,
            compression="lz4",
            use_dictionary=strings,
            # Ascending numbers: a third of the size, and quicker to read.
            column_encoding={"event_id": "DELTA_BINARY_PACKED", "ts": "DELTA_BINARY_PACKED"},
            # Without the Arrow schema every reader sees strings, and asks for codes only if it wants them.
            store_schema=False,
        )

    def write(self, table: pa.Table) -> None:
        """Take events; full row groups go to disk."""
        self._waiting.append(table)
        while sum(map(len, self._waiting)) >= ROW_GROUP:
            waiting = pa.concat_tables(self._waiting)
            self._write_group(waiting.slice(0, ROW_GROUP))
            self._waiting = [waiting.slice(ROW_GROUP)]

    def close(self) -> None:
        """Write what is left and end the file."""
        rest = pa.concat_tables(self._waiting) if self._waiting else EVENT_SCHEMA.empty_table()
        if len(rest):
            self._write_group(rest)
        self._writer.close()

    def _write_group(self, table: pa.Table) -> None:
        columns = [
            _compact(column) if pa.types.is_dictionary(column.type) else column for column in table.itercolumns()
        ]
        self._writer.write_table(pa.table(columns, schema=EVENT_SCHEMA), row_group_size=ROW_GROUP)


class LogFiles:
    """The two files of a log while they are written."""

    def __init__(self, events: Path, labels: Path) -> None:
        self._events = _EventWriter(events)
        self._labels = labels

    def events(self, table: pa.Table) -> None:
        """Append events, which must be later than those before."""
        self._events.write(table)

    def labels(self, table: pa.Table) -> None:
        """Write all labels."""
        pq.write_table(table, self._labels)

    def close(self) -> None:
        """End the files."""
        self._events.close()


@contextmanager
def written_log(folder: Path) -> Iterator[LogFiles]:
    """Yield the files of a log in the making; they take their names together, once both are complete.

    A run that fails leaves nothing; one that is killed leaves hidden ``.partial`` files, which the next run replaces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = [folder / "events.parquet", folder / "labels.parquet"]
    partial = [path.with_name(f".{path.name}.partial") for path in final]
    files = LogFiles(*partial)
    try:
        try:
            yield files
        finally:
            files.close()
        for written, path in zip(partial, final, strict=True):
            written.replace(path)
    finally:
        for path in partial:
            path.unlink(missing_ok=True)
