"""A file whose rows come piece by piece has the bytes of its rows, not of their coming."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peculiar.features.row_groups import GROUP, RowGroups, row_groups


def rows(number: int) -> pa.Table:
    """Some rows of text and numbers."""
    values = np.arange(number)
    return pa.table({"who": pa.array([f"u{n % 7}" for n in values]), "n": values, "x": np.sqrt(values)})


def written(path, table: pa.Table, size: int) -> bytes:
    """The file of a table that comes in pieces of so many rows."""
    with row_groups(path, {b"plan": "p"}) as out:
        for begin in range(0, len(table), size):
            out.write(table.slice(begin, size))
        assert out.rows == len(table)
    return path.read_bytes()


def test_how_rows_come_does_not_show(tmp_path):
    """In one piece or in many, smaller or larger than a row group: the same bytes, the same rows, full groups."""
    table = rows(2 * GROUP + 1_234)
    files = {written(tmp_path / "rows.parquet", table, size) for size in (len(table), GROUP, 40_000, 7_919)}
    assert len(files) == 1
    with pq.ParquetFile(tmp_path / "rows.parquet") as file:
        assert [file.metadata.row_group(n).num_rows for n in range(3)] == [GROUP, GROUP, 1_234]
        assert file.schema_arrow.metadata == {b"plan": b"p"}
        assert file.read().replace_schema_metadata(None).equals(table)


def test_no_rows_are_a_file_with_columns(tmp_path):
    """A table without rows says which columns there are."""
    with row_groups(tmp_path / "rows.parquet") as out:
        out.write(rows(0))
    assert pq.read_table(tmp_path / "rows.parquet").column_names == ["who", "n", "x"]


def test_if_it_fails_nothing_is_left(tmp_path):
    """What was there stays to the byte, and no half of the new file is beside it."""
    before = written(tmp_path / "rows.parquet", rows(10), 10)

    def fail() -> None:
        with row_groups(tmp_path / "rows.parquet") as out:
            out.write(rows(2 * GROUP))
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()
    assert (tmp_path / "rows.parquet").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_rows_of_other_columns_are_an_error(tmp_path, monkeypatch):
    """A piece that does not fit those before it leaves no file, not even of one that is still being written."""
    put, refused, done = RowGroups._put, threading.Event(), threading.Event()

    def slow(self, group) -> None:
        refused.wait(0.2)
        put(self, group)
        done.set()

    monkeypatch.setattr(RowGroups, "_put", slow)

    def mix() -> None:
        with row_groups(tmp_path / "rows.parquet") as out:
            out.write(rows(GROUP))
            out.write(pa.table({"other": np.arange(GROUP)}))

    with pytest.raises(ValueError, match=r"[Ss]chema"):
        mix()
    refused.set()
    assert done.wait(10)
    assert not list(tmp_path.iterdir())
