"""Lists of places: filled from the highest rank down; those who are in cost nothing, who is hidden takes no place."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from peculiar.serving.alert_kernels import found_within
from peculiar.serving.alert_lists import Hiding, Lists, codes_of, fill
from peculiar.serving.picks import Exploration
from peculiar.serving.reasons import Reason
from peculiar.serving.suppressions import Suppression, Suppressions
from peculiar.training.paired_kernels import within

# (day, team, entity, may be an alert, hidden): a row's place in the list is its rank
rows_of = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 4), st.booleans(), st.booleans()), max_size=40
)
BUDGETS = st.tuples(*[st.integers(0, 4) | st.none()] * 3)


def lists_of(rows, budgets) -> tuple[Lists, np.ndarray]:
    """Lists of rows whose rank is their position, shuffled; and where each row went."""
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    day, team, who, *_ = (np.array([row[part] for row in rows], np.int64)[order] for part in range(5))
    return Lists.of_day((day, order + 1), who, team, budgets, Exploration()), order


def plainly(rows, budgets) -> tuple[set[int], set[int]]:
    """Alerts and suppressed rows by walking down each list, then back up to the row that took the last place."""
    alerts: set[int] = set()
    suppressed: set[int] = set()
    for day, team in {row[:2] for row in rows}:
        mine = [n for n, row in enumerate(rows) if row[:2] == (day, team)]
        seen: set[int] = set()
        passed: set[int] = set()
        end = -1
        for n in mine:
            _, _, who, may, hidden = rows[n]
            if not may or who in seen or (budgets[team] is not None and len(seen) >= budgets[team]):
                continue
            if budgets[team] is None:
                end = n
            elif hidden and who not in passed:
                passed.add(who)
                end = n
            elif not hidden:
                seen.add(who)
                end = n
        for n in mine:
            if n <= end and rows[n][3]:
                (suppressed if rows[n][4] else alerts).add(n)
    return alerts, suppressed


def settled(rows, order) -> Hiding:
    """All that is hidden is known to be."""
    hidden = np.array([row[4] for row in rows], np.int64)[order]
    return Hiding(None, hidden, np.zeros((0, len(rows)), np.bool_), {})


@given(rows_of, BUDGETS)
def test_places_are_taken_as_by_walking_down(rows, budgets):
    """Whatever the order of rows, alerts and suppressed ones are those that a plain walk down each list finds."""
    lists, order = lists_of(rows, budgets)
    may = np.array([row[3] for row in rows], np.bool_)[order]
    alert, number = fill(lists, may, settled(rows, order), lambda _: [])
    assert (set(order[alert].tolist()), set(order[number > 0].tolist())) == plainly(rows, budgets)


@given(rows_of, BUDGETS)
@example([(0, 1, 4, True, True), (0, 1, 0, True, True), (0, 1, 0, True, True)], (None, 1, None))
def test_reasons_asked_for_later_change_nothing(rows, budgets):
    """Where reasons decide who is hidden, the lists end as if all had been known; nobody is asked about twice.

    Whoever got in is asked about, and beyond these only who would have got in but for the answer.
    """
    lists, order = lists_of(rows, budgets)
    may, hidden = (np.array([row[part] for row in rows], np.bool_)[order] for part in (3, 4))
    entry = Suppression(family="timing", owner="kim", reason="shifts", until=date(2025, 6, 1))
    pending = np.ones((1, len(rows)), np.bool_)
    hiding = Hiding(Suppressions((entry,)), np.zeros(len(rows), np.int64), pending, {})
    asked: list[int] = []

    def reasons(which):
        asked.extend(which.tolist())
        return [[Reason("timing" if hidden[row] else "volume", "f", 1.0, "")] for row in which]

    found = fill(lists, may, hiding, reasons)
    known = fill(lists, may, settled(rows, order), lambda _: [])
    assert all(np.array_equal(one, other) for one, other in zip(found, known, strict=True))
    inside = set(np.flatnonzero(found[0] | (found[1] > 0)).tolist())
    assert len(asked) == len(set(asked))
    assert inside <= set(asked)
    assert all(hidden[row] for row in set(asked) - inside)


@given(rows_of, BUDGETS, st.randoms())
def test_the_line_is_the_lowest_alert_of_the_list(rows, budgets, dice):
    """Each row has the lowest score of an alert on its day in its team, and NaN where there is none.

    Where others of that score were left out, and not hidden, a row above it need only come down to it.
    """
    lists, order = lists_of(rows, budgets)
    score = np.array([float(dice.randint(0, 3)) for _ in rows])
    alert, hidden = (np.array([dice.random() < 0.4 for _ in rows], np.bool_) for _ in range(2))
    line = lists.line(score, alert, hidden)
    for n in range(len(rows)):
        mine = [m for m in range(len(rows)) if rows[order[m]][:2] == rows[order[n]][:2]]
        lowest = min((score[m] for m in mine if alert[m]), default=np.nan)
        tied = any(score[m] == lowest and not (alert[m] or hidden[m]) for m in mine) and score[n] > lowest
        np.testing.assert_equal(line[n], np.nextafter(lowest, np.inf) if tied else lowest)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(-3, 0), st.integers(0, 4), st.booleans(), st.sampled_from([0.0, 1.0, 4.0]),
            st.booleans(),
        )
    ),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
    st.integers(1, 4),
)  # fmt: skip
def test_copies_of_an_entity_are_so_many_entities(rows, times, budget):
    """What a redraw finds is what the lists that scoring fills find with each copy written out under a name of its own.

    Ties at the lowest score of a day and hidden rows among them.
    """
    rows = sorted(rows, key=lambda row: (row[0], -row[1]))
    day, score, who, y, weight, hidden = (np.array([row[part] for row in rows]) for part in range(6))
    ends = np.append(np.flatnonzero(np.diff(day)) + 1, len(rows)).astype(np.int64)
    codes, truth = who.astype(np.int64), (y.astype(np.bool_), weight.astype(np.float64))
    about = (codes, codes, score.astype(np.float64), hidden.astype(np.bool_))
    found = found_within(ends, about, truth, np.array(times), budget)
    copy = np.repeat(np.arange(len(rows)), [times[w] for w in codes.tolist()])
    number = np.array([n for w in codes.tolist() for n in range(times[w])], np.int64)
    days, scores, unseen = day[copy].astype(np.int64), score[copy].astype(np.float64), hidden[copy].astype(np.bool_)
    ranked, names = (days, np.arange(len(copy))), codes[copy] * 3 + number
    lists = Lists.of_day(ranked, names, np.zeros(len(copy), np.int64), [budget], Exploration())
    placed = lists.reached(np.ones(len(copy), np.bool_), unseen) & ~unseen
    alert = placed & ~lists.unraised(scores, placed, ~unseen)
    assert found == (weight[copy][alert].sum(), (weight * y)[copy][alert].sum())


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans())),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
    st.integers(1, 4),
)
def test_by_windows_it_is_what_versions_are_compared_by(rows, times, budget):
    """With each window a place of its own, alerts and confirmed ones are those of the comparison of versions.

    Each day ends with a window of one more entity, drawn once: copies of who is last of all would tie there.
    """
    rows = [*sorted(rows, key=lambda row: row[0]), *((day, 5, False) for day in {row[0] for row in rows})]
    rows, times = sorted(rows, key=lambda row: row[0]), [*times, 1]
    day, code, y = (np.array([row[part] for row in rows], np.int64) for part in range(3))
    ends = np.append(np.flatnonzero(np.diff(day)) + 1, len(rows))
    truth = (y.astype(np.bool_), np.ones(len(rows)))
    falling = -np.arange(len(rows), dtype=np.float64)
    about = (np.arange(len(rows)), code, falling, np.zeros(len(rows), np.bool_))
    found = found_within(ends, about, truth, np.array(times), budget)
    raised, caught, _ = within(day, y.astype(np.bool_), code, np.array(times), budget)
    assert found == (raised, caught)


def test_teams_are_told_by_their_names():
    """A name's place whatever the codes; others, null and no column at all are the rest."""
    import pyarrow as pa

    column = pa.array(["South", None, "North", "West"]).dictionary_encode()
    assert codes_of(column, ["North", "South"], 4).tolist() == [1, 2, 0, 2]
    assert codes_of(None, ["North"], 2).tolist() == [1, 1]
