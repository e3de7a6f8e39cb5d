"""Labels with two clocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import DAY, vectors_of

from peculiar.errors import LabelError
from peculiar.training.labels import Labels, confirmed, entities_known_bad, read_labels

HOUR = DAY // 24
SMALL = st.integers(0, 12)
label_rows = st.lists(st.tuples(st.sampled_from("abcz"), SMALL, st.integers(1, 6), SMALL, st.booleans()), max_size=12)
# Few stretches, so that many labels are about the same one.
said_again = st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(1, 2), SMALL, st.booleans())
labels_again = label_rows | st.lists(said_again, max_size=16)
window_rows = st.lists(st.tuples(st.sampled_from("abcd"), SMALL, st.integers(1, 4)), max_size=12)


def labels_of(rows) -> Labels:
    """Labels from tuples (entity, from, length, known_at, value)."""
    who, start, length, known, value = (list(part) for part in zip(*rows, strict=True)) if rows else ([],) * 5
    columns = {"entity": pa.array(who, pa.string()), "from": pa.array(start, pa.int64())}
    columns["to"] = pa.array([a + b for a, b in zip(start, length, strict=True)], pa.int64())
    columns |= {"known_at": pa.array(known, pa.int64()), "label": pa.array(value, pa.bool_())}
    return read_labels(pa.table(columns))


def windows(rows):
    """Vectors whose windows are tuples (entity, since, length)."""
    who, since, length = (list(part) for part in zip(*rows, strict=True)) if rows else ([],) * 3
    start = np.array(since, np.int64)
    return replace(
        vectors_of(np.zeros((len(rows), 1)), entity=who), since=start, as_of=start + np.array(length, np.int64)
    )


def in_force(rows, by):
    """The plain rule: of what was said by then of a stretch the last word holds, of two at once the worse."""
    heard = [row for row in rows if by is None or row[3] <= by]
    last = {}
    for row in sorted(heard, key=lambda row: (row[3], row[4])):
        last[row[:3]] = row
    return set(last.values())


@given(labels_again, st.none() | SMALL)
def test_a_later_word_takes_the_place_of_an_earlier_one(labels, by):
    """At every moment the labels that hold are those of a plain walk through what was said, in any order of rows."""
    for rows in (labels, labels[::-1]):
        held = labels_of(rows).known(by).table.to_pylist()
        found = [(row["entity"], row["from"], row["to"] - row["from"], row["known_at"], row["value"]) for row in held]
        assert len(found) == len(set(found))
        assert set(found) == in_force(rows, by)


@given(labels_again, SMALL, SMALL)
def test_what_was_heard_tells_every_earlier_moment(labels, by, later):
    """Cutting off what is said later changes nothing of what held before the cut, and names what held is final."""
    early, late = sorted((by, later))
    heard, said = labels_of(labels).heard(late), labels_of(labels)
    assert heard.known(early).table.equals(said.known(early).table)
    assert heard.known(None).table.equals(said.known(late).table)
    assert said.known(early).known(None).table.equals(said.known(early).table)


@given(labels_again, window_rows, st.none() | SMALL)
def test_a_window_is_confirmed_exactly_when_it_overlaps_a_known_positive(labels, rows, by):
    """On random intervals the vectorised answer is that of comparing each window with each label that holds."""
    held = in_force(labels, by)
    expected = [any(w == e and v and s < a + n and a < s + m for w, s, m, _, v in held) for e, a, n in rows]
    assert confirmed(windows(rows), labels_of(labels), known_by=by).tolist() == expected


def test_of_labels_known_at_once_the_order_of_rows_decides_nothing():
    """Two labels that differ in chance, scenario or reviewer alone: the same one holds however the rows come."""
    said = {"entity": ["a"] * 4, "from": [0] * 4, "to": [5] * 4, "known_at": [7, 7, 7, 3], "label": [1, 1, 1, 1]}
    table = pa.table({**said, "chance": [1.0, 0.5, 0.5, 0.1], "scenario": ["x", "y", "y", None],
                      "reviewer": ["ann", "ben", "ann", "cyd"]})  # fmt: skip
    held = {str(read_labels(table.take(order)).known(None).table.to_pylist()) for order in ([0, 1, 2, 3], [3, 2, 1, 0])}
    assert len(held) == 1
    assert "'chance': 0.5, 'reviewer': 'ben'" in held.pop()


def test_touching_is_not_overlapping():
    """Windows and labels are half-open: one that ends where the other begins shares no instant with it."""
    rows = windows([("a", 0, 5), ("a", 5, 5), ("a", 10, 5), ("b", 5, 5)])
    assert confirmed(rows, labels_of([("a", 5, 5, 0, True)]), known_by=None).tolist() == [False, True, False, False]


def test_a_million_rows():
    """1.3 M windows against 100 k labels: no code overflows, and sampled rows are as a plain look says."""
    rng = np.random.default_rng(0)
    rows, users, n = 1_300_000, 100_000, 100_000
    codes = np.sort(rng.integers(0, users, rows)).astype(np.int32)
    names = pa.array([f"user {number}" for number in range(users)])
    vectors = windows([])
    since = rng.integers(0, 90, rows) * DAY
    entity = pa.DictionaryArray.from_arrays(pa.array(codes), names)
    vectors = replace(vectors, entity=entity, since=since, as_of=since + DAY, values=np.zeros((1, rows), np.float32))
    at, who = rng.integers(0, 90 * DAY, n), rng.integers(0, users, n)
    labels = read_labels(pa.table({"entity": names.take(pa.array(who)), "at": at}))
    found = confirmed(vectors, labels, known_by=None)
    for row in (*rng.choice(rows, 100), *rng.choice(np.flatnonzero(found), 100)):
        own = at[who == codes[row]]
        assert found[row] == bool(((own >= since[row]) & (own < since[row] + DAY)).any())


def test_one_vector_per_event_is_confirmed_by_what_covers_the_event():
    """A payment after the fraud is not a fraud because its window of a day reaches back to it."""
    rows = replace(windows([("a", hour * HOUR - DAY + 1, DAY) for hour in (30, 31, 32, 60)]), cut="event")
    labels = labels_of([("a", 31 * HOUR, 1, 0, True)])
    assert confirmed(rows, labels, known_by=None).tolist() == [False, True, False, False]
    assert confirmed(replace(rows, cut="run"), labels, known_by=None).tolist() == [False, True, True, False]


def test_per_event_a_card_known_to_be_bad_is_left_out_from_the_next_day():
    """The event's own day decides, not the one that its window reaches back into."""
    rows = replace(windows([("a", hour * HOUR - DAY + 1, DAY) for hour in (30, 50, 71, 72)]), cut="event")
    known = labels_of([("a", 0, 1, 2 * DAY + HOUR, True)])
    assert entities_known_bad(rows, known, since=0).tolist() == [False, False, False, True]


def test_known_bad_from_the_first_day_that_begins_after():
    """A label known during a day counts from the next, one known at midnight at once; old trouble is forgotten."""
    rows = windows([("a", day * DAY, DAY) for day in range(4)] + [("b", 3 * DAY, DAY)])
    during, midnight = [("a", 0, 1, DAY + 5, True)], [("a", 0, 1, DAY, True)]
    assert entities_known_bad(rows, labels_of(during), since=0).tolist() == [False, False, True, True, False]
    assert entities_known_bad(rows, labels_of(midnight), since=0).tolist() == [False, True, True, True, False]
    assert not entities_known_bad(rows, labels_of(midnight), since=1).any()
    assert not entities_known_bad(rows, labels_of([("a", 0, 1, DAY, False)]), since=0).any()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1), st.just(1), st.integers(0, 5), st.booleans())),
       st.integers(0, 1))  # fmt: skip
def test_per_day_an_entity_is_known_bad_while_a_label_holds(labels, since):
    """On random labels, some of them replaced, the answer is that of asking on each day what held when it began."""
    rows = windows([(who, day * DAY, DAY) for who in "ab" for day in range(7)])
    scaled = [(who, start, length, known * DAY - 5, value) for who, start, length, known, value in labels]
    expected = [
        any(who == e and v and s >= since for e, s, _, _, v in in_force(scaled, day * DAY))
        for who in "ab"
        for day in range(7)
    ]
    assert entities_known_bad(rows, labels_of(scaled), since=since).tolist() == expected


def test_labels_by_event_are_tied_to_entity_and_instant():
    """An event's label covers the event's microsecond; ids that no event has are left out and counted."""

    def locate(ids):
        return pa.array(["ann", None, "bob"]), np.array([50, 0, 70])

    table = pa.table({"event_id": [7, 8, 9], "is_fraud": [1, 1, 0], "scenario": [2, 1, None]})
    labels = read_labels(table, locate=locate, delay=1000)
    assert labels.left_out == {"no event has this id": 1}
    assert labels.table.drop_columns(["chance", "reviewer"]).to_pylist() == [
        {"entity": "ann", "from": 50, "to": 51, "known_at": 1051, "scenario": "2", "value": True},
        {"entity": "bob", "from": 70, "to": 71, "known_at": 1071, "scenario": None, "value": False},
    ]
    assert labels.table.select(["chance", "reviewer"]).to_pylist() == [{"chance": 1.0, "reviewer": None}] * 2


@pytest.mark.parametrize("column", ["label", "verdict", "is_fraud"])
def test_words_say_what_numbers_say(column):
    """Confirmed, cleared and unknown are read whatever their case; unknown is left out, and not taken for cleared."""
    words = ["Confirmed", "cleared", "UNKNOWN", " true ", "0", None, ""]
    labels = read_labels(pa.table({"entity": list("abcdefg"), "at": [1] * 7, column: words}))
    assert labels.table["entity"].to_pylist() == ["a", "b", "d", "e"]
    assert labels.table["value"].to_pylist() == [True, False, True, False]
    assert labels.left_out == {"no label given": 3}


@pytest.mark.parametrize("kind", ["float", "text", "dictionary"])
def test_a_chance_is_read_and_none_given_is_certainty(kind):
    """Numbers, their text and their codes give the same chances; null is 1."""
    given_chances = pa.array([0.25, None, 1.0])
    column = given_chances if kind == "float" else given_chances.cast(pa.string())
    column = column.dictionary_encode() if kind == "dictionary" else column
    who = {"entity": ["a", "b", "c"], "at": [1] * 3, "reviewer": ["ann", None, "ben"]}
    labels = read_labels(pa.table({**who, "chance": column}))
    assert labels.table["chance"].to_pylist() == [0.25, 1.0, 1.0]
    assert labels.table["reviewer"].to_pylist() == ["ann", None, "ben"]


def test_the_report_counts_what_holds_in_the_end():
    """A label that was replaced is counted as such, and not as a confirmation."""
    labels = labels_of([("a", 0, 5, 1, True), ("a", 0, 5, 2, False), ("b", 0, 5, 1, True)])
    assert str(labels) == "3 labels about 2 entities: 1 confirmed, 1 cleared, 1 replaced"


@pytest.mark.parametrize("kind", ["parquet", "csv", "pandas"])
def test_files_and_frames_mean_the_same(kind, tmp_path):
    """Parquet, CSV and pandas give the same labels; a missing label is unknown, not negative."""
    frame = pd.DataFrame(
        {
            "user_id": ["a", "b", "c"],
            "from": pd.to_datetime(["2025-03-01"] * 3),
            "to": pd.to_datetime(["2025-03-02"] * 3),
        }
    )
    frame["label"] = pd.array([1, 0, None], "Int64")
    source = frame if kind == "pandas" else tmp_path / f"labels.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pandas(frame), source)
    elif kind == "csv":
        frame.to_csv(source, index=False)
    labels = read_labels(source)
    assert labels.table["entity"].to_pylist() == ["a", "b"]
    assert labels.table["value"].to_pylist() == [True, False]
    assert labels.column("to").tolist() == [1740873600000000] * 2
    assert labels.column("known_at").tolist() == labels.column("to").tolist()
    assert labels.left_out == {"no label given": 1}
    assert "1 confirmed, 1 cleared" in str(labels)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"who": ["a"]}, "expected a column event_id, or entity with from and to"),
        ({"event_id": [1]}, "give the event log"),
        ({"entity": ["a"], "from": [3]}, "none called to"),
        ({"entity": ["a"], "from": [3], "to": [3]}, "row 0 ends no later than it begins"),
        ({"entity": ["a"], "at": ["yesterday"]}, "at of row 0 is 'yesterday'"),
        ({"entity": ["a"], "at": [3], "label": ["maybe"]}, "label of row 0 is 'maybe'"),
        ({"entity": ["a", "b"], "at": [3, 3], "chance": [0.5, 0.0]}, "chance of row 1 is 0.0; expected a number over"),
        ({"entity": ["a", "b"], "at": [3, 3], "chance": [None, 1.5]}, "chance of row 1 is 1.5"),
        ({"entity": ["a"], "at": [3], "chance": ["often"]}, "chance of row 0 is 'often'"),
    ],
)
def test_unusable_labels_are_refused_with_the_way_out(columns, message):
    """What cannot be tied to entities and times is an error that names the column and the row."""
    with pytest.raises(LabelError, match=message):
        read_labels(pa.table(columns))
