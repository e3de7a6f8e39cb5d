"""The store of verdicts: taken in once, never changed, and joined with labels as they were given."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.audit import verify
from peculiar.errors import LabelError
from peculiar.training.feedback import read_feedback, take_in, with_feedback
from peculiar.training.labels import SCHEMA, read_labels
from peculiar.training.verdicts import VERDICTS

BEGIN = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
said = st.tuples(
    st.sampled_from("ab"),
    st.integers(0, 1),
    st.sampled_from(["confirmed", "cleared"]),
    st.integers(2, 5),
    st.sampled_from(["kim", "lee"]),
)


def sheet(rows, **more) -> pa.Table:
    """A sheet from tuples (entity, day, verdict, day of the review, reviewer)."""
    columns = {name: [row[n] for row in rows] for n, name in ((0, "entity"), (2, "verdict"), (4, "reviewer"))}
    columns["since"] = [BEGIN + row[1] * DAY for row in rows]
    columns["as_of"] = [BEGIN + (row[1] + 1) * DAY for row in rows]
    columns["reviewed_at"] = [BEGIN + row[3] * DAY for row in rows]
    return pa.table({**columns, **more})


def instant(days: int) -> int:
    """Microseconds since 1970 UTC."""
    return int((BEGIN + days * DAY).timestamp() * 1e6)


def uses(home) -> list[dict]:
    """The audit record."""
    path = home / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_was_taken_in_is_there(tmp_path):
    """Every verdict is in the store with all that was said, in the order in which they were given."""
    rows = [("bob", 0, "cleared", 4, "kim"), ("ann", 0, "confirmed", 3, "lee")]
    received = take_in(sheet(rows, note=["a habit", None], chance=[1.0, 0.25]), tmp_path)
    table = read_feedback(tmp_path)
    assert table.schema == VERDICTS
    assert table["entity"].to_pylist() == ["ann", "bob"]
    assert table["note"].to_pylist() == [None, "a habit"]
    assert table["chance"].to_pylist() == [0.25, 1.0]
    assert (received.confirmed, received.cleared, received.windows["new"]) == (1, 1, 2)
    assert received.reviewers == {"kim": (0, 1), "lee": (1, 0)}
    assert pq.read_table(received.path).equals(table)


def test_before_any_verdict_there_is_none(tmp_path):
    """Without a store there is nothing to read, and labels stay as they are."""
    labels = read_labels(pa.table({"entity": ["a"], "at": [1]}))
    assert read_feedback(tmp_path) is None
    assert with_feedback(None, tmp_path) is None
    assert with_feedback(labels, tmp_path) is labels
    assert list(tmp_path.iterdir()) == []


def test_the_same_file_twice_changes_nothing(tmp_path):
    """Word for word the same, in any order of rows, is known already: no file, no line of record, and it is said."""
    rows = [("ann", 0, "confirmed", 3, "lee"), ("bob", 0, "cleared", 4, "kim")]
    take_in(sheet(rows), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "feedback").iterdir()}
    again = take_in(sheet(rows[::-1] + rows), tmp_path)
    assert (again.path, again.known, again.confirmed) == (None, 4, 0)
    assert str(again) == "nothing new: 4 known already; the feedback stays as it was"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "feedback").iterdir()} == before
    assert len(uses(tmp_path)) == 1


def test_a_sheet_that_grows_is_stored_row_by_row(tmp_path):
    """Of a sheet that is handed in again with more filled in, only the new rows are stored."""
    rows = [("ann", 0, "confirmed", 3, "lee"), ("bob", 0, None, 4, "kim"), ("cyd", 0, None, 4, "kim")]
    first = take_in(sheet(rows), tmp_path)
    rows[1] = ("bob", 0, "cleared", 4, "kim")
    second = take_in(sheet(rows), tmp_path)
    assert (first.open, second.open, second.known) == (2, 1, 1)
    assert pq.read_table(second.path)["entity"].to_pylist() == ["bob"]
    assert read_feedback(tmp_path)["entity"].to_pylist() == ["ann", "bob"]


def test_what_a_new_verdict_does_to_an_old_one_is_said(tmp_path):
    """A window is new, its verdict is replaced, agreed with, or was outdated when it came."""
    old = [("ann", 0, "confirmed", 3, "lee"), ("bob", 0, "confirmed", 3, "lee"), ("cyd", 0, "confirmed", 5, "lee")]
    take_in(sheet(old), tmp_path)
    new = [("ann", 0, "cleared", 4, "kim"), ("bob", 0, "confirmed", 4, "kim"), ("cyd", 0, "cleared", 4, "kim"),
           ("dan", 0, "cleared", 4, "kim")]  # fmt: skip
    received = take_in(sheet(new), tmp_path)
    assert received.windows == {"new": 1, "replaced": 1, "agreed": 1, "outdated": 1}
    assert "windows: 1 new, 1 replaced, 1 agreed, 1 outdated" in str(received)
    held = with_feedback(None, tmp_path).known(None)
    word = dict(zip(held.table["entity"].to_pylist(), held.table["value"].to_pylist(), strict=True))
    assert word == {"ann": False, "bob": True, "cyd": True, "dan": False}


@given(st.lists(st.lists(said, min_size=1, max_size=5), max_size=4), st.integers(2, 5))
def test_what_holds_is_the_last_word_whatever_came_in_when(files, day):
    """Of files in any number and order, what holds on a day is the last verdict given by then; replaced are counted."""
    last: dict = {}
    for row in sorted({row for rows in files for row in rows}, key=lambda row: (row[3], row[2] == "confirmed")):
        if row[3] <= day:
            last[row[:2]] = row[2] == "confirmed"
    with TemporaryDirectory() as folder:
        known: set = set()
        for rows in files:
            received = take_in(sheet(rows), folder)
            fresh = set(rows) - known
            assert received.confirmed + received.cleared == len(fresh)
            assert sum(received.windows.values()) == len({row[:2] for row in fresh})
            known |= fresh
        labels = with_feedback(None, folder)
        assert (labels is None) == (not files)
        if labels is not None:
            held = labels.known(instant(day)).table.to_pylist()
            assert {(row["entity"], (row["from"] - instant(0)) // (instant(1) - instant(0))): row["value"]
                    for row in held} == last  # fmt: skip


def test_labels_and_feedback_are_one(tmp_path):
    """Labels keep what they say; a verdict is known from when it was given, has its chance and reviewer, no note."""
    take_in(sheet([("ann", 0, "confirmed", 3, "lee")], chance=[0.25], note=["secret"]), tmp_path)
    labels = read_labels(pa.table({"entity": ["bob", None], "at": [1, 1], "scenario": ["x", "x"]}))
    both = with_feedback(labels, tmp_path)
    assert both.table.schema == SCHEMA
    assert both.table.slice(0, 1).equals(labels.table)
    assert both.left_out == labels.left_out != {}
    assert both.table.slice(1).to_pylist() == [
        {"entity": "ann", "from": instant(0), "to": instant(1), "known_at": instant(3), "scenario": None,
         "value": True, "chance": 0.25, "reviewer": "lee"}
    ]  # fmt: skip
    assert len(both.known(instant(3) - 1)) == 1


def test_a_chance_that_was_forgotten_can_be_told_later(tmp_path):
    """The same verdict handed in again with its chance holds with it, in whichever order they came."""
    rows = [("ann", 0, "confirmed", 3, "lee")]
    for home, chances in ((tmp_path / "a", (1.0, 0.25)), (tmp_path / "b", (0.25, 1.0))):
        home.mkdir()
        for chance in chances:
            take_in(sheet(rows, chance=[chance]), home)
        assert with_feedback(None, home).known(None).table["chance"].to_pylist() == [0.25]


def test_what_was_altered_is_refused(tmp_path):
    """A file whose rows are not those it was named for is an error that names it; nothing is read past it."""
    path = take_in(sheet([("ann", 0, "confirmed", 3, "lee")]), tmp_path).path
    other = pq.read_table(path).set_column(3, "verdict", pa.array(["cleared"]))
    pq.write_table(other.cast(VERDICTS), path)
    with pytest.raises(LabelError, match=f"{path.name} was altered"):
        read_feedback(tmp_path)


@pytest.mark.parametrize("when", ["the sheet is wrong", "the disk is full"])
def test_a_failure_takes_nothing_in(tmp_path, monkeypatch, when):
    """One wrong row, or a write that fails, leaves the store and the record as they were, and no half a file."""
    take_in(sheet([("ann", 0, "confirmed", 3, "lee")]), tmp_path)
    before = sorted((tmp_path / "feedback").iterdir())
    if when == "the disk is full":

        def half(_, path, **__):
            path.write_bytes(b"PAR1")
            raise OSError("no space left on device")

        monkeypatch.setattr(pq, "write_table", half)
        with pytest.raises(OSError, match="no space"):
            take_in(sheet([("bob", 0, "cleared", 3, "kim")]), tmp_path)
    else:
        with pytest.raises(LabelError, match="row 1 has the verdict"):
            take_in(sheet([("bob", 0, "cleared", 3, "kim"), ("cyd", 0, "bad", 3, "kim")]), tmp_path)
    assert sorted((tmp_path / "feedback").iterdir()) == before
    assert read_feedback(tmp_path)["entity"].to_pylist() == ["ann"]
    assert len(uses(tmp_path)) == 1


def test_a_use_is_on_record_without_names(tmp_path):
    """The line tells what was taken in, by fingerprint and counts; whom it is about and by whom, the store knows."""
    received = take_in(sheet([("ann", 0, "confirmed", 3, "lee")], note=["two cards"]), tmp_path)
    (use,) = uses(tmp_path)
    assert (use["verb"], use["rows"], use["data"]) == ("feedback", 1, received.path.stem)
    assert use["parameters"]["confirmed"] == use["parameters"]["new"] == 1
    line = (tmp_path / "audit.jsonl").read_text()
    assert not any(f'"{word}"' in line for word in ("ann", "lee", "two cards"))
    assert verify(tmp_path / "audit.jsonl").lines == 1


def test_several_may_hand_in_at_once(tmp_path):
    """Eight sheets at the same moment, each twice: every verdict is there once, and each file is whole."""
    sheets = [sheet([(f"user {n}", 0, "cleared", 3, "kim"), ("ann", 0, "confirmed", 3, "kim")]) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        received = list(pool.map(lambda table: take_in(table, tmp_path), sheets * 2))
    assert len(read_feedback(tmp_path)) == 9 == sum(each.confirmed + each.cleared for each in received)
    assert sum(len(pq.read_table(path)) for path in (tmp_path / "feedback").glob("*.parquet")) == 9
    assert np.count_nonzero([each.path is not None for each in received]) == len(uses(tmp_path)) == 8
