"""Verdicts: every row is about a window, has a word, a name and a time, or the file is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest

from peculiar.errors import LabelError
from peculiar.training.verdicts import CUT, VERDICTS, read_verdicts

BEGIN = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LATER = BEGIN + 2 * DAY


def sheet(rows: int = 3, **columns) -> pa.Table:
    """Rows of a reviewer who filled in everything, but for the columns that are given; None leaves a column out."""
    given = {
        "entity": [f"user {n}" for n in range(rows)],
        "since": [BEGIN] * rows,
        "as_of": [BEGIN + DAY] * rows,
        "verdict": ["confirmed"] * rows,
        "reviewer": ["kim"] * rows,
        "reviewed_at": [LATER] * rows,
    }
    return pa.table({name: value for name, value in {**given, **columns}.items() if value is not None})


def scores(rows: int = 3, cut: str = "calendar") -> pa.Table:
    """Scores of as many windows, the last of them a random pick."""
    table = sheet(rows).select(["entity", "since", "as_of"])
    chance = [1.0] * (rows - 2) + [None, 0.125]
    return table.append_column("chance", pa.array(chance, pa.float64())).replace_schema_metadata({CUT: cut})


@pytest.mark.parametrize("kind", ["parquet", "pyarrow csv", "polars csv", "pandas csv", "ndjson", "pandas", "polars"])
def test_every_kind_of_file_says_the_same(kind, tmp_path):
    """However a sheet was written, times, words, chances and notes are those that were filled in."""
    said = {"verdict": ["Confirmed", " cleared", None], "chance": [0.5, None, None], "note": ["two cards", None, None]}
    table = sheet(**said, reviewer=["kim", "lee", None], reviewed_at=[LATER, LATER, None])
    path = tmp_path / f"sheet.{kind.split()[-1]}"
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "pyarrow csv":
        pc_csv.write_csv(table, path)
    elif kind == "polars csv":
        pl.from_arrow(table).write_csv(path)
    elif kind == "pandas csv":
        table.to_pandas().to_csv(path, index=False)
    elif kind == "ndjson":
        pl.from_arrow(table).write_ndjson(path)
    source = {"pandas": table.to_pandas(), "polars": pl.from_arrow(table)}.get(kind, path)
    read = read_verdicts(source)
    assert read.open == 1
    window = {"from": BEGIN, "to": BEGIN + DAY, "reviewed_at": LATER}
    assert read.table.to_pylist() == [
        {"entity": "user 0", **window, "verdict": "confirmed", "reviewer": "kim", "chance": 0.5, "note": "two cards"},
        {"entity": "user 1", **window, "verdict": "cleared", "reviewer": "lee", "chance": 1.0, "note": None},
    ]
    assert read.table.schema == VERDICTS


def test_chances_come_from_the_scores():
    """A random pick has the chance it was drawn with; a window that was no alert was looked at for a reason."""
    read = read_verdicts(sheet(chance=[0.7] * 3), scores=scores())
    assert read.table["chance"].to_pylist() == [1.0, 1.0, 0.125]
    assert read_verdicts(sheet(chance=[0.7] * 3)).table["chance"].to_pylist() == [0.7] * 3
    older = scores().drop_columns(["chance"])
    assert read_verdicts(sheet(), scores=older).table["chance"].to_pylist() == [1.0] * 3


def test_scores_of_many_row_groups_are_looked_up(tmp_path):
    """Where entities come as dictionary codes, other ones in each row group, each window is still found."""
    many = scores(400)
    pq.write_table(many, tmp_path / "scores.parquet", row_group_size=50)
    read = read_verdicts(sheet(400), scores=tmp_path / "scores.parquet")
    assert read.table["chance"].to_pylist() == [1.0] * 399 + [0.125]


@pytest.mark.parametrize("where", ["scores", "the sheet"])
def test_where_windows_end_with_an_event_the_verdict_is_about_the_event(where):
    """Such a window reaches back over a day of other events, which nobody has judged."""
    if where == "scores":
        read = read_verdicts(sheet(), scores=scores(cut="event"))
    else:
        read = read_verdicts(sheet().replace_schema_metadata({CUT: "event"}))
    instant = timedelta(microseconds=1)
    assert set(read.table["from"].to_pylist()) == {BEGIN + DAY - instant}
    assert set(read.table["to"].to_pylist()) == {BEGIN + DAY}
    own = sheet(since=None, as_of=None, **{"from": [BEGIN] * 3, "to": [BEGIN + DAY] * 3})
    assert set(read_verdicts(own.replace_schema_metadata({CUT: "event"})).table["from"].to_pylist()) == {BEGIN}


def test_verdicts_may_name_events():
    """An event is tied to its entity and instant; one that the log does not have is refused."""

    def locate(ids):
        return pa.array([None if name == "gone" else "ann" for name in ids.to_pylist()]), ids.is_valid().to_numpy(
            zero_copy_only=False
        ) * int(BEGIN.timestamp() * 1e6)

    columns = {"entity": None, "since": None, "as_of": None}
    read = read_verdicts(sheet(2, **columns, event_id=["e1", "e2"]), locate=locate)
    assert set(read.table["entity"].to_pylist()) == {"ann"}
    assert set(read.table["from"].to_pylist()) == {BEGIN}
    with pytest.raises(LabelError, match="row 1 names an event that the log does not have"):
        read_verdicts(sheet(2, **columns, event_id=["e1", "gone"]), locate=locate)
    with pytest.raises(LabelError, match="give the event log"):
        read_verdicts(sheet(2, **columns, event_id=["e1", "e2"]))


def test_times_without_a_zone_are_of_the_zone_given():
    """Berlin's midnight is an hour before that of UTC in winter."""
    bare = {"since": ["2025-03-01"], "as_of": ["2025-03-02"], "reviewed_at": ["2025-03-02 09:00"]}
    read = read_verdicts(sheet(1, **bare), zone="Europe/Berlin")
    assert read.table["from"].to_pylist() == [BEGIN - timedelta(hours=1)]
    assert read.table["reviewed_at"].to_pylist() == [datetime(2025, 3, 2, 8, tzinfo=UTC)]


def test_whole_numbers_are_microseconds_also_where_some_are_missing():
    """A sheet with open rows, its times as numbers, is read as one without."""
    at = int(LATER.timestamp() * 1e6)
    read = read_verdicts(sheet(2, verdict=["cleared", None], reviewed_at=pa.array([at, None], pa.int64())))
    assert read.table["reviewed_at"].to_pylist() == [LATER]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"verdict": ["confirmed", "maybe", "fraud"]}, r"row 1 has the verdict 'maybe'; .* \(1 more rows likewise\)"),
        ({"verdict": None}, "expected a column verdict"),
        ({"reviewer": None}, "expected a column reviewer"),
        ({"reviewer": ["kim", " ", "kim"]}, "row 1 has no reviewer; say who gave the verdict"),
        ({"reviewed_at": None}, "expected a column reviewed_at"),
        ({"reviewed_at": [LATER, LATER, None]}, "reviewed_at of row 2 is None"),
        ({"reviewed_at": [LATER, BEGIN, LATER]}, "row 1 was reviewed at .*, before its window ended at"),
        ({"entity": ["a", "b", None]}, "row 2 has no entity"),
        ({"entity": None}, "expected columns entity, since and as_of"),
        ({"since": None}, "expected columns entity, since and as_of"),
        ({"as_of": None}, "expected a column as_of"),
        ({"as_of": [BEGIN, BEGIN + DAY, BEGIN + DAY]}, "row 0 ends no later than it begins"),
        ({"chance": [1.0, 0.0, 1.0]}, "chance of row 1 is 0.0"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(columns, message):
    """The error says which row, what is wrong with it and what was expected."""
    with pytest.raises(LabelError, match=message):
        read_verdicts(sheet(**columns))


def test_a_window_that_was_not_scored_is_refused_by_name():
    """With scores, a verdict about another entity or another stretch is no verdict on what was reviewed."""
    with pytest.raises(LabelError, match=r"row 2 is about 'user 2' from 2025-03-01 .* which table in memory does not"):
        read_verdicts(sheet(), scores=scores().slice(0, 2))
    with pytest.raises(LabelError, match="row 0 is about 'user 0'"):
        read_verdicts(sheet(since=[BEGIN - DAY] * 3), scores=scores())
    with pytest.raises(LabelError, match="expected scores with columns entity, since and as_of"):
        read_verdicts(sheet(), scores=scores().drop_columns(["since"]))


def test_open_rows_need_nothing():
    """A row without a verdict may lack its reviewer and time, and be about a window that was never scored."""
    table = sheet(verdict=["cleared", None, ""], reviewer=["kim", None, ""], reviewed_at=[LATER, None, None],
                  entity=["user 0", "nobody", None])  # fmt: skip
    read = read_verdicts(table, scores=scores())
    assert (len(read.table), read.open) == (1, 2)
    empty = read_verdicts(table.slice(1), scores=scores())
    assert (len(empty.table), empty.open, empty.table.schema == VERDICTS) == (0, 2, True)


def test_a_sheet_may_come_as_a_frame_with_categories():
    """What pandas made of text is text."""
    frame = sheet().to_pandas()
    for name in ("entity", "verdict", "reviewer"):
        frame[name] = pd.Categorical(frame[name])
    assert read_verdicts(frame, scores=scores()).table["verdict"].to_pylist() == ["confirmed"] * 3
