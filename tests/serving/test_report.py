"""Scores as a person reads them: each entity once, by its oddest window."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from peculiar.serving.report import OddEntity, oddest, oddest_entities


def scores(*rows: tuple) -> pa.Table:
    """A table of scores: entity, day of January, score, rank, reasons."""
    time = pa.timestamp("us", tz="UTC")
    days = [datetime(2025, 1, row[1], tzinfo=UTC) for row in rows]
    return pa.table(
        {
            "entity": pa.array([row[0] for row in rows], pa.string()),
            "since": pa.array(days, time),
            "as_of": pa.array(days, time),
            "score": pa.array([row[2] for row in rows], pa.float64()),
            "rank": pa.array([row[3] for row in rows], pa.int64()),
            "alert": [row[4] is not None for row in rows],
            "family": pa.array([None if row[4] is None else "breadth" for row in rows], pa.string()),
            "reasons": pa.array([row[4] for row in rows], pa.list_(pa.string())),
        }
    )


ROWS = (
    ("ann", 1, 1.0, 2, None),
    ("ann", 2, 9.0, 1, ["50 different vehicles", "50 events"]),
    ("bob", 1, 5.0, 1, ["never seen at night"]),
    ("cy", 1, -3.5, 3, None),
    ("ann", 3, 8.0, 1, ["a second bad day"]),
)


def test_an_entity_is_told_once_by_its_oddest_window():
    """Ann's worst day stands for Ann; the order is that of the scores, and day, rank and reasons are that window's."""
    assert oddest_entities(scores(*ROWS)) == [
        OddEntity("ann", "2025-01-02", 9.0, 1, "breadth", ("50 different vehicles", "50 events")),
        OddEntity("bob", "2025-01-01", 5.0, 1, "breadth", ("never seen at night",)),
        OddEntity("cy", "2025-01-01", -3.5, 3, None, ()),
    ]


def test_no_more_than_the_limit():
    """The limit counts entities, not windows."""
    assert [odd.entity for odd in oddest_entities(scores(*ROWS), limit=2)] == ["ann", "bob"]
    assert oddest_entities(scores(*ROWS), limit=0) == []


def test_equal_scores_stand_in_the_order_of_the_table():
    """A tie does not depend on a sort's whim: who stands first in the table comes first."""
    tied = scores(*((name, 1, 2.0, 1, None) for name in ("cy", "ann", "bob")))
    assert [odd.entity for odd in oddest_entities(tied)] == ["cy", "ann", "bob"]


def test_a_table_in_pieces_is_read_as_one():
    """Scores that come in several chunks, as from several files, give the same answer."""
    pieces = pa.concat_tables([scores(row) for row in ROWS])
    assert oddest_entities(pieces) == oddest_entities(scores(*ROWS))


def test_the_text_for_a_terminal():
    """Each entity with its day, score and rank, its reasons below it."""
    assert oddest(scores(*ROWS), limit=2).splitlines() == [
        "  1. ann on 2025-01-02, score 9.00, number 1 of its day",
        "       - 50 different vehicles",
        "       - 50 events",
        "  2. bob on 2025-01-01, score 5.00, number 1 of its day",
        "       - never seen at night",
    ]


def test_nothing_scored_is_said():
    """An empty table is told in words."""
    empty = scores(*ROWS).slice(0, 0)
    assert oddest_entities(empty) == []
    assert oddest(empty) == "no window to score"
