"""One Parquet file whose rows come in piece by piece.

Rows pass through in their order, and so many make a row group, however they came. Thus a file written from one
partition has the same bytes as one written from four thousand, and never more than a row group or two wait in memory.
The file appears when all is written.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from .output import beside, repeating

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    import pyarrow.parquet as pq

__all__ = ["GROUP", "RowGroups", "row_groups"]

GROUP = 1 << 16


class RowGroups:
    """Takes tables of one schema and writes them as one file; see :func:`row_groups`.

    Attributes
    ----------
    rows : int
        How many came so far.
    """

    def __init__(self, path: Path, pool: ThreadPoolExecutor, metadata: Mapping[bytes, str] | None = None) -> None:
        self.rows = 0
        self._path, self._metadata = path, metadata
        self._waiting: list[pa.Table] = []
        self._held = 0
        self._writer: pq.ParquetWriter | None = None
        self._pool = pool
        self._last: Future[None] | None = None

    def write(self, table: pa.Table) -> None:
        """Take the next rows."""
        self._waiting.append(table)
        self._held += len(table)
        self.rows += len(table)
        while self._held >= GROUP:
            self._send(self._take(GROUP))

    def close(self) -> None:
        """Write what is left; without a table there is no file."""
        if self._waiting and (self._held or not self.rows):
            self._send(self._take(self._held))
        self._wait()
        if self._writer is not None:
            self._writer.close()

    def _take(self, rows: int) -> pa.Table:
        table = pa.concat_tables(self._waiting)
        self._waiting, self._held = [table.slice(rows)], len(table) - rows
        return table.slice(0, rows)

    def _send(self, group: pa.Table) -> None:
        self._wait()
        self._last = self._pool.submit(self._put, group)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

    def _put(self, group: pa.Table) -> None:
        import pyarrow.parquet as pq

        if self._writer is None:
            schema = group.schema.with_metadata(self._metadata) if self._metadata else group.schema
            self._writer = pq.ParquetWriter(self._path, schema, use_dictionary=repeating(group))
        self._writer.write_table(group.combine_chunks().replace_schema_metadata(self._metadata), row_group_size=GROUP)


@contextmanager
def row_groups(path: Path, metadata: Mapping[bytes, str] | None = None) -> Iterator[RowGroups]:
    """Write a Parquet file from tables that come one after the other; whole, or not at all.

    Parameters
    ----------
    path : Path
        Replaced if it is there.
    metadata : mapping of bytes to str, optional
        The file's key-value metadata.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pyarrow.parquet as pq
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with row_groups(Path(home) / "numbers.parquet") as out:
    ...         out.write(pa.table({"n": [1, 2]}))
    ...         out.write(pa.table({"n": [3]}))
    ...     pq.read_table(Path(home) / "numbers.parquet")["n"].to_pylist()
    [1, 2, 3]
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file grows while the next rows are made. Nobody writes it any more when it is put in place or removed.
    with beside(path) as unfinished, ThreadPoolExecutor(1) as pool:
        out = RowGroups(unfinished, pool, metadata)
        yield out
        out.close()
