"""The passes down the ranks: to where the budget ends, and what lies above it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peculiar.serving.alert_kernels import found_within, reached

# (list, who, may be an alert, hidden), list by list
rows_of = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans(), st.booleans()), max_size=30)


def rows_from(who: np.ndarray, score: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """Rows that count as their entities, nobody hidden; each of a score of its own unless they are given."""
    falling = np.arange(len(who), 0.0, -1.0)
    return who, who, falling if score is None else score, np.zeros(len(who), np.bool_)


def plainly(rows, budgets) -> list[bool]:
    """Down each list to the row that took the last place, or was passed as hidden before the budget was used up."""
    inside = [False] * len(rows)
    for of in {row[0] for row in rows}:
        mine = [n for n, row in enumerate(rows) if row[0] == of]
        seen, passed, end = set(), set(), -1
        for n in mine:
            _, who, may, hidden = rows[n]
            if may and who not in seen and len(seen) < budgets[of] and not (hidden and who in passed):
                (passed if hidden else seen).add(who)
                end = n
        for n in mine:
            inside[n] = n <= end and rows[n][2]
    return inside


@given(rows_of, st.lists(st.integers(0, 4), min_size=3, max_size=3))
def test_a_list_reaches_to_who_took_its_last_place(rows, budgets):
    """Each list has its own budget and counts anew; those who are in take their other rows along, down to the line."""
    rows = sorted(rows, key=lambda row: row[0])
    of, who, may, hidden = (np.array([row[part] for row in rows], np.int64) for part in range(4))
    most = np.array([budgets[row[0]] for row in rows], np.int64)
    assert reached(of, who, most, may.astype(bool), hidden.astype(bool)).tolist() == plainly(rows, budgets)


def test_by_hand():
    """Ann, Bob (hidden), Ann, Cyd, Ann with a budget of two: Cyd takes the second place, Ann's last row is below."""
    of, who = np.zeros(5, np.int64), np.array([0, 1, 0, 2, 0])
    may, hidden = np.ones(5, bool), np.array([False, True, False, False, False])
    assert reached(of, who, np.full(5, 2), may, hidden).tolist() == [True, True, True, True, False]
    truth = (np.array([True, False, False, True, True]), np.array([1.0, 0.0, 2.0, 4.0, 8.0]))
    once = np.ones(3, np.int64)
    assert found_within(np.array([5]), rows_from(who), truth, once, 1) == (1.0, 1.0)
    assert found_within(np.array([5]), rows_from(who), truth, once, 2) == (1.0, 1.0)
    assert found_within(np.array([5]), rows_from(who), truth, once, 3) == (7.0, 5.0)
    assert found_within(np.array([1, 5]), rows_from(who), truth, once, 1) == (1.0, 1.0)


def test_an_entity_that_is_drawn_twice_takes_two_places():
    """Two copies of Ann fill a budget of two; one leaves a place for Bob; drawn never, she is absent."""
    ends, who, drawn = np.array([3]), np.arange(3), ([2, 1, 1], [1, 1, 1], [0, 1, 1], [3, 0, 1])
    truth = (np.array([True, False, False]), np.array([1.0, 1.0, 4.0]))
    found = [found_within(ends, rows_from(who), truth, np.array(times), 2) for times in drawn]
    assert found == [(2.0, 2.0), (2.0, 1.0), (5.0, 0.0), (2.0, 2.0)]


def test_ties_at_the_lowest_score_are_found_where_there_is_room_for_all():
    """Bob, Cyd and Dan share the lowest score of the list: a budget of four takes all, of two or three Ann alone."""
    ends, who, score = np.array([4]), np.arange(4), np.array([2.0, 1.0, 1.0, 1.0])
    truth, once = (np.array([True, True, False, False]), np.ones(4)), np.ones(4, np.int64)
    found = [found_within(ends, rows_from(who, score), truth, once, budget) for budget in (1, 2, 3, 4)]
    assert found == [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (4.0, 2.0)]
    hidden = (*rows_from(who, score)[:3], np.array([False, True, False, False]))
    assert found_within(ends, hidden, truth, once, 3) == (3.0, 1.0)


def test_no_rows_are_no_error():
    """Nothing is inside, and nothing is found."""
    none = np.empty(0, np.int64)
    assert reached(none, none, none, none.astype(bool), none.astype(bool)).tolist() == []
    truth = (none.astype(bool), np.empty(0))
    assert found_within(none, rows_from(none), truth, np.ones(1, np.int64), 3) == (0.0, 0.0)
