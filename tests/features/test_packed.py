"""Rows that are packed by bucket come out as they went in, each entity's in one bucket; no Spark needed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from peculiar.features import packed
from peculiar.features.packed import PACKED, Packing, unpacked
from peculiar.features.roles import Roles

ROLES = Roles(entity="who", at="at", dimensions=("item",), measures=("amount",))


def rows(n: int, *, who: str | None = "u{}") -> pa.Table:
    """So many rows of a third as many entities, with nulls in all columns but the first."""
    names = [None if who is None else who.format(k % (n // 3 or 1)) for k in range(n)]
    return pa.table(
        {
            "who": pa.array(names, pa.string()),
            "at": pa.array(range(n), pa.timestamp("us", tz="UTC")),
            "item": [None if k % 5 == 0 else f"i{k % 7}" for k in range(n)],
            "amount": [None if k % 4 == 0 else k / 8 for k in range(n)],
        }
    )


def pieces_of(table: pa.Table, buckets: int, *, batch: int = 7) -> list[tuple[int, pa.Table]]:
    """What is made of a table that comes in batches: the bucket of each piece, and its rows."""
    made = list(Packing(ROLES, buckets, table.schema).among(table.to_batches(max_chunksize=batch)))
    assert all(each.schema == PACKED for each in made)
    return [
        (number.as_py(), unpacked(each["content"].slice(k, 1), table.schema))
        for each in made
        for k, number in enumerate(each["bucket"])
    ]


@pytest.mark.parametrize("most", [10, 1_000_000])
@pytest.mark.parametrize("buckets", [1, 4, 1000])
def test_every_row_comes_out_once_with_its_entitys(monkeypatch, buckets, most):
    """However many are held at a time, all columns and nulls come back, and an entity has one bucket."""
    monkeypatch.setattr(packed, "_ROWS", most)
    table = rows(90)
    pieces = pieces_of(table, buckets)
    assert (len(pieces) > len({number for number, _ in pieces})) == (most == 10)
    back = pa.concat_tables([piece for _, piece in pieces]).sort_by("at")
    assert back.equals(table)
    homes: dict[str, set[int]] = {}
    for number, piece in pieces:
        for name in piece["who"].to_pylist():
            homes.setdefault(name, set()).add(number)
    assert all(len(home) == 1 for home in homes.values())
    assert len({number for number, _ in pieces}) > min(buckets, 20) // 2


def test_rows_of_nobody_are_spread():
    """Without an entity the time decides, so that a careless log does not fill one bucket."""
    pieces = pieces_of(rows(90, who=None), 8)
    assert len({number for number, _ in pieces}) > 4
    assert sum(len(piece) for _, piece in pieces) == 90


def test_pieces_of_a_bucket_are_one_table():
    """As a group brings them, in any order; nothing is no rows."""
    table = rows(30)
    made = list(Packing(ROLES, 1, table.schema).among(table.to_batches(max_chunksize=7)))
    contents = pa.concat_arrays([each["content"] for each in (*made, *made)])
    assert len(unpacked(contents, table.schema)) == 60
    assert unpacked(contents.slice(0, 0), table.schema).equals(table.slice(0, 0))
    assert list(Packing(ROLES, 1, table.schema).among(iter(()))) == []
