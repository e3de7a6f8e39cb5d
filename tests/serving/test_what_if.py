"""What another budget would bring: figures by hand, and by a plain walk down the scores of each day."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.errors import ConfigError
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec
from peculiar.features.vectors import Vectors
from peculiar.serving.alerts import AlertRules, Scored, raise_alerts
from peculiar.serving.played import Played
from peculiar.serving.scoring import ranks_of
from peculiar.serving.what_if import BUDGETS, RATES, what_if

FIRST = 20_150  # 3 March 2025
DAY = 86_400_000_000


def played(rows, *, p: bool = False) -> Played:
    """Windows of (entity, day, score, confirmed, weight[, p])."""
    who, day, score, bad, weight, *more = zip(*rows, strict=True)
    hidden = np.zeros(len(rows), np.bool_)
    return Played(
        pa.array(who),
        np.array(day, np.int64) + FIRST,
        np.array(score, np.float64),
        np.array(more[0], np.float64) if p else None,
        np.array(bad, np.bool_),
        np.array(weight, np.float64),
        hidden,
    )


# Two days. On the first ann has two windows, of which the second is below bob's; on the second nobody knows of dan.
ROWS = [
    ("ann", 0, 9.0, True, 1.0),
    ("bob", 0, 8.0, False, 1.0),
    ("ann", 0, 7.0, True, 1.0),
    ("cyd", 0, 6.0, True, 1.0),
    ("dan", 1, 5.0, False, 0.0),
    ("ann", 1, 4.0, True, 1.0),
    ("bob", 1, 3.0, False, 1.0),
]


def test_each_budget_by_hand():
    """Alerts, cases begun, the line, precision over what is known, and recall of all that is confirmed.

    A budget of one: ann and dan. Of two: ann and bob, dan and ann; ann's second day goes on with her case. Of three:
    ann, bob, ann again, who costs nothing, and cyd; dan, ann and bob.
    """
    found = what_if(played(ROWS), budgets=[1, 2, 3], rates=[])
    assert (found.days, found.windows, found.entities, found.known, found.confirmed) == (2, 7, 4, 6, 4)
    told = {each.setting: each for each in found.settings}
    figures = {
        budget: (each.alerts, each.cases, each.line, each.precision.value, each.recall.value)
        for budget, each in told.items()
    }
    assert figures == {
        1: (1.0, 1.0, (9.0 + 5.0) / 2, 1.0, 1 / 4),
        2: (2.0, 1.5, (8.0 + 4.0) / 2, 2 / 3, 2 / 4),
        3: (3.5, 2.0, (6.0 + 3.0) / 2, 4 / 6, 4 / 4),
    }
    assert all(math.isnan(each.false_alerts) for each in told.values())


def test_by_window_each_row_takes_a_place():
    """Ann's second window of the day is one of three, and cyd is out."""
    (each,) = what_if(played(ROWS), budgets=[3], rates=[], per="window").settings
    assert (each.alerts, each.precision.value, each.recall.value) == (3.0, 3 / 5, 3 / 4)


@pytest.mark.parametrize(("gap", "cases"), [(0, 4), (1, 3)])
def test_cases_are_cut_by_the_gap(gap, cases):
    """With no gap allowed ann's second day is a case of its own."""
    (each,) = what_if(played(ROWS), budgets=[2], rates=[], gap=gap).settings
    assert each.cases == cases / 2


def test_what_was_drawn_at_random_counts_for_those_it_stands_for():
    """A confirmed window of weight 10 is ten that are missed, or found."""
    rows = [("ann", 0, 9.0, True, 1.0), ("bob", 0, 8.0, True, 10.0), ("cyd", 0, 7.0, False, 10.0)]
    one, _, three = what_if(played(rows), budgets=[1, 2, 3], rates=[]).settings
    assert (one.precision.value, one.recall.value) == (1.0, 1 / 11)
    assert (three.precision.value, three.recall.value) == (11 / 21, 1.0)


def test_a_rate_by_hand():
    """Of four windows a day two pass at 10 % and none at 1 %; by chance it is at most four times p."""
    p = [0.02, 0.04, 0.5, 0.9]
    rows = [(who, day, -x, who == "a", 1.0, x) for day in (0, 1) for who, x in zip("abcd", p, strict=True)]
    none, some = what_if(played(rows, p=True), budgets=[], rates=[0.01, 0.1]).settings
    assert (none.by, none.alerts, none.false_alerts) == ("fdr", 0.0, 0.0)
    assert math.isnan(none.line)
    assert math.isnan(none.precision.value)
    assert none.recall.value == 0.0
    assert (some.setting, some.alerts, some.line) == (0.1, 2.0, -0.04)
    assert (some.precision.value, some.recall.value) == (0.5, 1.0)
    assert some.false_alerts == pytest.approx(4 * 0.04)


def test_those_at_the_lowest_score_get_the_last_places_all_or_none():
    """Of two at the day's lowest score neither takes the one place that is left; it is told to be empty."""
    rows = [("dan", 0, 9.0, True, 1.0), ("bob", 0, 1.0, True, 1.0), ("cyd", 0, 1.0, False, 1.0)]
    rows += [("dan", 0, 1.0, False, 1.0)]
    one, two, three = what_if(played(rows), budgets=[1, 2, 3], rates=[]).settings
    assert [(each.alerts, each.empty) for each in (one, two, three)] == [(1.0, 0.0), (1.0, 1.0), (3.0, 0.0)]
    assert (two.line, two.precision.value, two.recall.value) == (9.0, 1.0, 0.5)
    assert (three.line, three.precision.value, three.recall.value) == (1.0, 2 / 3, 1.0)


def test_what_is_hidden_takes_no_place_and_is_missed():
    """The next in rank moves up, and the trouble that a suppression hides is not found, by rate as by budget."""
    rows = [("ann", 0, 9.0, True, 1.0, 0.001), ("bob", 0, 8.0, True, 1.0, 0.01), ("cyd", 0, 1.0, False, 1.0, 0.9)]
    hidden = replace(played(rows, p=True), hidden=np.array([True, False, False]))
    one, rate = what_if(hidden, budgets=[1], rates=[0.1]).settings
    for each in (one, rate):
        assert (each.alerts, each.line, each.precision.value, each.recall.value) == (1.0, 8.0, 1.0, 0.5)


windows = st.lists(
    st.tuples(
        st.sampled_from("abcde"), st.integers(0, 2), st.integers(0, 4), st.booleans(), st.sampled_from([0.0, 1.0, 3.0])
    ),
    min_size=1,
    max_size=25,
)


@given(windows, st.integers(1, 4), st.sampled_from(["entity", "window"]))
def test_a_budget_raises_what_scoring_raises(rows, budget, per):
    """On scores with many ties, as many alerts as `raise_alerts` makes of the same windows, at the same lowest score.

    Where no entity ties with itself the very figures of these alerts, found in one redraw of every entity once.
    """
    rows = sorted(rows, key=lambda row: (row[1], row[0], row[3]))
    who, day, score, bad, weight = (np.array(part) for part in zip(*rows, strict=True))
    vectors = Vectors(
        pa.array(who).dictionary_encode(), day * DAY, (day + 1) * DAY, np.empty((0, len(day)), np.float32), (), "plan"
    )
    scored = Scored(vectors, None, score.astype(np.float64), None, day, ranks_of(day, score))
    plan = SimpleNamespace(roles=Roles("entity", "at"), windows=WindowSpec())
    raised = raise_alerts(SimpleNamespace(plan=plan), scored, rules=AlertRules(budget=budget, per=per))
    alert = raised.picks.by_rank
    (each,) = what_if(played(rows), budgets=[budget], rates=[], per=per).settings
    assert each.alerts == alert.sum() / len(set(day.tolist()))
    lines = [score[alert & (day == on)].min() for on in set(day[alert].tolist())]
    np.testing.assert_equal(each.line, np.median(lines) if lines else math.nan)
    if len({row[:3] for row in rows}) == len(rows):
        known, caught = weight[alert].sum(), weight[alert & bad].sum()
        np.testing.assert_allclose(each.precision.value, caught / known if known else math.nan)
        np.testing.assert_allclose(each.recall.value, caught / weight[bad].sum() if weight[bad].any() else math.nan)


@given(windows, st.integers(1, 4), st.sampled_from(["entity", "window"]))
def test_a_budget_is_a_walk_down_the_scores(rows, budget, per):
    """Equal scores stand in the order of names; what is confirmed counts in what it weighs.

    Those at the lowest score of a day are in all together, or none of them.
    """
    alerts = []
    for day in {row[1] for row in rows}:
        ranked = sorted((row for row in rows if row[1] == day), key=lambda row: (-row[2], row[0], row[3], row[4]))
        seen, end = [], -1
        for n, row in enumerate(ranked):
            key = row[0] if per == "entity" else n
            if key not in seen and len(seen) < budget:
                seen.append(key)
                end = n
        left_out = [
            key
            for n, row in enumerate(ranked)
            if row[2] == ranked[-1][2] and (key := row[0] if per == "entity" else n) not in seen
        ]
        alerts += [row for row in ranked[: end + 1] if not left_out or row[2] > ranked[-1][2]]
    (each,) = what_if(played(rows), budgets=[budget], rates=[], per=per).settings
    assert each.alerts == pytest.approx(len(alerts) / len({row[1] for row in rows}))
    if len({row[:3] for row in rows}) < len(rows):
        return  # ties within an entity may fall either way
    known, bad = sum(row[4] for row in alerts), sum(row[4] for row in rows if row[3])
    caught = sum(row[4] for row in alerts if row[3])
    assert each.precision.value == pytest.approx(caught / known if known else math.nan, nan_ok=True)
    assert each.recall.value == pytest.approx(caught / bad if bad else math.nan, nan_ok=True)


def test_the_order_of_rows_changes_nothing():
    """Every figure and interval is the same for shuffled rows, ties included."""
    rng = np.random.default_rng(0)
    rows = [(f"u{n % 40}", n % 5, n * 7 % 11, n % 9 == 0, 1.0, (n * 7 % 11 + 1) / 12) for n in range(200)]
    one = what_if(played(rows, p=True))
    other = what_if(played([rows[n] for n in rng.permutation(len(rows))], p=True))
    assert str(one) == str(other)
    assert [each.setting for each in one.settings] == [*BUDGETS, *RATES]


def test_an_interval_covers_what_another_log_of_the_same_kind_shows():
    """In nine of ten made-up logs and more the interval of one covers the precision that very many show."""
    rng = np.random.default_rng(1)

    def log(entities: int) -> Played:
        bad = rng.random(entities) < 0.1
        score = rng.normal(size=entities) + 1.5 * bad
        names = pa.array([f"u{n}" for n in range(entities)])
        days, none = np.full(entities, FIRST), np.zeros(entities, np.bool_)
        return Played(names, days, score, None, bad, np.ones(entities), none)

    many = log(200_000)
    truth = many.confirmed[np.argsort(-many.score)[:20_000]].mean()
    found = [what_if(log(300), budgets=[30], rates=[]).settings[0].precision for _ in range(40)]
    assert sum(each.low <= truth <= each.high for each in found) >= 34
    assert all(each.high - each.low < 0.5 for each in found)


def test_what_cannot_be_played_is_refused():
    """No window, and budgets and rates out of range."""
    rows = played([(*row, 0.5) for row in ROWS], p=True)
    with pytest.raises(ConfigError, match="budgets of 1 or more alerts a day, got 7 and"):
        what_if(rows, budgets=[0, 5])
    with pytest.raises(ConfigError, match="rate"):
        what_if(rows, rates=[1.5])
    nothing = np.empty(0, np.bool_)
    empty = Played(rows.entity[:0], np.empty(0, np.int64), np.empty(0), None, nothing, np.empty(0), nothing)
    with pytest.raises(ConfigError, match="expected scored windows"):
        what_if(empty)


def test_without_confirmed_windows_there_is_no_recall():
    """Alerts, cases and the line are told all the same."""
    rows = replace(played(ROWS), confirmed=np.zeros(7, np.bool_))
    (each,) = what_if(rows, budgets=[2], rates=[]).settings
    assert (each.alerts, each.precision.value) == (2.0, 0.0)
    assert math.isnan(each.recall.value)
    assert math.isnan(each.recall.low)
