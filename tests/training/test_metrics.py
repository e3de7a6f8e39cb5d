"""Metrics that a team with a daily budget can use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from peculiar.errors import ConfigError, LabelError
from peculiar.training.metrics import (
    FEW,
    JudgedRows,
    alert_overlap,
    average_precision_interval,
    budget_curve,
    entity_keys,
    evaluate,
    metrics_by_slice,
    precision_recall_points,
    redrawn,
    time_to_detection,
    value_recall,
)

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3), st.sampled_from("abcdef")), max_size=40)
some_rows = rows.filter(len)


def columns(table):
    """y, score, day and entity of a list of tuples."""
    frame = pd.DataFrame(table, columns=["y", "score", "day", "entity"])
    y, score = frame["y"].to_numpy(bool), frame["score"].to_numpy(float)
    return y, score, {"day": frame["day"].to_numpy(int), "entity": frame["entity"].to_numpy(object).astype(str)}


def judged(table):
    """JudgedRows and score of a list of tuples."""
    y, score, about = columns(table)
    return JudgedRows(y, **about), score


def in_list(frame: pd.DataFrame, budget: int) -> pd.Series:
    """Which rows are among the highest of their day: one row at a time, equal scores as the module says."""
    frame = frame.assign(key=entity_keys(frame["entity"].to_numpy(object).astype(str)))
    alerts = pd.Series(data=False, index=frame.index)
    for _, today in frame.groupby("day"):
        ranked = sorted(today.itertuples(), key=lambda row: (-row.score, row.key, row.y, row.last))
        alerts[[row.Index for row in ranked[:budget]]] = True
    return alerts


def book_card_precision(frame: pd.DataFrame, budget: int) -> float:
    """The Fraud Detection Handbook's card_precision_top_k, row by row."""
    detected, shares = set(), []
    for day in sorted(frame["day"].unique()):
        today = frame[(frame["day"] == day) & ~frame["entity"].isin(detected)]
        cards = today.groupby("entity").agg(score=("score", "max"), y=("y", "max"))
        top = cards.sort_values("score", ascending=False).head(budget)
        caught = set(top.index[top["y"]])
        detected |= caught
        shares.append(len(caught) / budget)
    return float(np.mean(shares))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_card_precision_is_the_books(seed, budget):
    """Without ties the value is that of the book's own procedure."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"day": rng.integers(0, 5, 80), "entity": rng.integers(0, 15, 80)})
    frame["score"], frame["y"] = rng.permutation(80).astype(float), rng.random(80) < 0.3
    day, entity = frame["day"].to_numpy(), frame["entity"].to_numpy()
    found = evaluate(frame["y"].to_numpy(), frame["score"].to_numpy(), day=day, entity=entity, budget=budget)
    assert found["budget/card_precision_at_k"] == pytest.approx(book_card_precision(frame, budget))


@given(rows, st.integers(1, 5), st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(table, budget, random):
    """With any ties, shuffled rows give the same metrics."""
    shuffled = random.sample(table, len(table))
    first, second = (columns(each) for each in (table, shuffled))
    one = evaluate(*first[:2], **first[2], budget=budget)
    two = evaluate(*second[:2], **second[2], budget=budget)
    assert one.keys() == two.keys()
    assert all(one[name] == pytest.approx(two[name], nan_ok=True) for name in one)


def test_ties_are_not_broken_by_the_alphabet_or_by_the_label():
    """When everyone scores alike the alerts are a fair draw: about as many positives as the prevalence says."""
    n = 20_000
    y = np.arange(n) < n // 10  # the first of the alphabet
    entity = np.array([f"user {number:06d}" for number in range(n)])
    found = evaluate(y, np.zeros(n), day=np.zeros(n, int), entity=entity, budget=2000)
    assert found["budget/precision"] == pytest.approx(0.1, abs=0.02)


def test_one_entitys_tied_rows_do_not_flatter():
    """Of an entity's rows with one score the unconfirmed come first, so a tie never counts as a catch."""
    y = np.array([True, False])
    found = evaluate(y, np.zeros(2), day=np.zeros(2, int), entity=np.array(["a", "a"]), budget=1)
    assert (found["budget/precision"], found["budget/recall"]) == (0.0, 0.0)


def test_budget_metrics_by_hand():
    """Two alerts a day over two days catch two of three."""
    y = np.array([True, False, False, False, True, True])
    score = np.array([9.0, 8.0, 1.0, 3.0, 2.0, 1.0])
    found = evaluate(y, score, day=np.array([0, 0, 0, 1, 1, 1]), entity=np.arange(6), budget=2)
    assert found["budget/precision"] == pytest.approx(2 / 4)
    assert found["budget/recall"] == pytest.approx(2 / 3)
    assert (found["budget/alerts"], found["data/days"], found["data/entities"]) == (4.0, 2.0, 6.0)
    assert found["data/prevalence"] == 0.5


def test_without_positives_there_is_no_ranking_to_judge():
    """No positive, or no row at all: the ranking metrics are NaN, and nothing fails."""
    some = evaluate(np.zeros(3, bool), np.arange(3.0), day=np.zeros(3, int), entity=np.arange(3), budget=1)
    none = evaluate(np.zeros(0, bool), np.zeros(0), day=np.zeros(0, int), entity=np.zeros(0, int), budget=1)
    assert np.isnan([some["ranking/roc_auc"], some["ranking/average_precision"], some["budget/recall"]]).all()
    assert none["data/rows"] == 0.0
    assert precision_recall_points(np.zeros(3, bool), np.arange(3.0)).empty


def test_curves():
    """The curves' last and first points are the whole list and the strictest budget."""
    rng = np.random.default_rng(0)
    score = rng.normal(size=5000)
    y = score + rng.normal(size=5000) > 2
    curve = precision_recall_points(y, score, points=100)
    assert len(curve) == 100
    assert curve["recall"].is_monotonic_decreasing
    assert curve["precision"].iloc[0] == pytest.approx(y.mean())
    budgets = budget_curve(y, score, day=np.arange(5000) % 7, entity=np.arange(5000), budgets=[1, 50, 5000])
    assert budgets["alerts"].tolist() == [7, 350, 5000]
    assert budgets["recall"].tolist()[-1] == 1.0
    assert budgets["precision"].iloc[0] > budgets["precision"].iloc[-1]


def test_unusable_input_is_refused():
    """NaN scores, arrays of different lengths and an empty budget are errors."""
    y, day = np.zeros(2, bool), np.zeros(2, int)
    with pytest.raises(LabelError, match="score of row 1 is NaN"):
        evaluate(y, np.array([0.0, np.nan]), day=day, entity=day, budget=1)
    with pytest.raises(LabelError, match=r"of one length, got \[2, 3, 2, 2\]"):
        evaluate(y, np.zeros(3), day=day, entity=day, budget=1)
    with pytest.raises(ConfigError, match="at least 1 alert a day"):
        evaluate(y, np.zeros(2), day=day, entity=day, budget=0)


@given(some_rows, st.lists(st.integers(0, 9), min_size=40, max_size=40), st.integers(1, 5))
def test_value_recall_is_that_of_the_days_list(table, values, budget):
    """With any ties, each day's value found is the sum over its list, and nothing at stake has no recall."""
    frame = pd.DataFrame(table, columns=["y", "score", "day", "entity"])
    frame["last"] = np.array(values[: len(frame)], float)
    found = value_recall(*judged(table), frame["last"].to_numpy(), budget=budget).set_index("day")
    frame["alert"] = in_list(frame, budget)
    assert found.index.tolist() == sorted(frame["day"].unique())
    for day, today in frame[frame["y"]].groupby("day"):
        assert found["at_stake"][day] == today["last"].sum()
        assert found["found"][day] == today["last"][today["alert"]].sum()
    assert (found["recall"].isna() == (found["at_stake"] == 0)).all()
    staked = found[found["at_stake"] > 0]
    assert (staked["recall"] == staked["found"] / staked["at_stake"]).all()


@given(some_rows, st.integers(1, 5))
def test_detection_is_the_first_alert_on_a_confirmed_window(table, budget):
    """Days, their median and the share never found are those of a loop over entities."""
    frame = pd.DataFrame(table, columns=["y", "score", "day", "entity"]).assign(last=0)
    frame["alert"] = in_list(frame, budget)
    found = time_to_detection(*judged(table), budget=budget)
    late = {}
    for entity, own in frame[frame["y"]].groupby("entity"):
        caught = own["day"][own["alert"]]
        late[entity] = caught.min() - own["day"].min() if len(caught) else np.inf
    told = found.cases.set_index("incident")["days"].fillna(np.inf).to_dict()
    assert told == late
    assert found.median_days == pytest.approx(np.median(list(late.values())) if late else np.nan, nan_ok=True)
    never = np.mean([days == np.inf for days in late.values()]) if late else np.nan
    assert found.never == pytest.approx(never, nan_ok=True)


def test_an_incident_may_have_several_entities_and_an_entity_several_incidents():
    """Given incidents count, null belongs to none, and an alert on an unconfirmed window finds nothing."""
    y = np.array([True, True, True, True, False])
    where = JudgedRows(y, day=np.array([0, 2, 5, 7, 3]), entity=["a", "b", "b", "c", "a"])
    incident = np.array(["ring", "ring", "solo", None, "ring"], object)
    score = np.array([0.0, 9.0, 0.0, 9.0, 9.0])
    busy = JudgedRows(np.append(y, [False] * 2), [*where.day, 0, 5], [*where.entity, "x", "x"])
    found = time_to_detection(busy, np.append(score, [5.0, 5.0]), budget=1, incident=np.append(incident, [None] * 2))
    assert found.cases["incident"].tolist() == ["ring", "solo"]
    assert found.cases["first"].tolist() == [0, 5]
    np.testing.assert_array_equal(found.cases["alerted"], [2.0, np.nan])
    assert (found.median_days, found.never) == (np.inf, 0.5)


@given(some_rows, st.lists(st.integers(0, 5), min_size=40, max_size=40), st.integers(1, 5))
def test_overlap_compares_the_two_lists_as_sets(table, others, budget):
    """Shared, appeared and disappeared alerts are the sets of (day, entity) of both lists."""
    frame = pd.DataFrame(table, columns=["y", "score", "day", "entity"]).assign(y=False, last=0)
    lists = []
    for score in (frame["score"], others[: len(frame)]):
        ranked = frame.assign(score=score)
        alerts = ranked[in_list(ranked, budget)]
        lists.append(set(zip(alerts["day"], alerts["entity"], strict=True)))
    champion, challenger = lists
    _, score, about = columns(table)
    found = alert_overlap(score, np.array(others[: len(frame)], float), **about, budget=budget)
    told = [list(each.itertuples(index=False, name=None)) for each in (found.appeared, found.disappeared)]
    assert told == [sorted(challenger - champion), sorted(champion - challenger)]
    assert found.shared == len(champion & challenger)
    union = len(champion | challenger)
    assert found.jaccard == pytest.approx(found.shared / union if union else np.nan, nan_ok=True)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12))
def test_the_interval_is_that_of_redrawn_rows(seed, n, entities):
    """The interval is that of scikit-learn's average precision over tables in which drawn entities stand repeatedly."""
    rng = np.random.default_rng(seed)
    y, score, entity = rng.random(n) < 0.3, rng.integers(0, 6, n).astype(float), rng.integers(0, entities, n)
    found = average_precision_interval(y, score, entity=entity, resamples=20, seed=3)
    if not y.any() or y.all():
        assert np.isnan([found.value, found.low, found.high]).all()
        return
    names, codes = np.unique(entity_keys(entity), return_inverse=True)
    drawn = []
    for times in redrawn(len(names), 20, seed=3):
        table = np.repeat(np.arange(n), times[codes])
        if y[table].any():
            drawn.append(average_precision_score(y[table], score[table]))
    assert found.value == pytest.approx(average_precision_score(y, score))
    expected = np.quantile(drawn, [0.025, 0.975]) if drawn else [np.nan, np.nan]
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-9)


def test_redraws_are_seeded_and_draw_every_entity_alike():
    """The same seed gives the same draws, another others; each entity comes once in the mean."""
    first, again, other = (np.array(list(redrawn(50, 400, seed))) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert (first.sum(axis=1) == 50).all()
    np.testing.assert_allclose(first.mean(axis=0), 1.0, atol=0.3)


def test_rows_of_one_entity_are_no_independent_witnesses():
    """Rows that only repeat their entity leave the interval as wide as one row each; redrawn singly they do not."""
    rng = np.random.default_rng(0)
    y = rng.random(300) < 0.2
    score = rng.normal(size=300) + y
    once = average_precision_interval(y, score, entity=np.arange(300))
    y, score = np.repeat(y, 20), np.repeat(score, 20)
    blocks = average_precision_interval(y, score, entity=np.repeat(np.arange(300), 20))
    singly = average_precision_interval(y, score, entity=np.arange(6000))
    once_wide, blocks_wide, singly_wide = (each.high - each.low for each in (once, blocks, singly))
    assert blocks_wide == pytest.approx(once_wide)
    assert singly_wide < 0.5 * once_wide


@given(some_rows, st.integers(1, 5))
def test_slices_are_cut_from_the_one_list(table, budget):
    """A slice's counts, precision and recall are those of its rows in everyone's list; null is a slice of its own."""
    frame = pd.DataFrame(table, columns=["y", "score", "day", "entity"])
    by = [{"a": "north", "b": "south", "c": "south"}.get(name) for name in frame["entity"]]
    frame["last"] = [{"north": 0, "south": 1, None: -1}[name] for name in by]
    frame["alert"] = in_list(frame, budget)
    found = metrics_by_slice(*judged(table), pa.array(by, pa.string()), budget=budget)
    slices = [name for name in ("north", "south", None) if name in by]
    assert [None if pd.isna(name) else name for name in found["slice"]] == slices
    for name, told in zip(slices, found.itertuples(), strict=True):
        own = frame[[each == name for each in by]]
        caught = int((own["y"] & own["alert"]).sum())
        counts = len(own), own["entity"].nunique(), own["y"].sum(), own["alert"].sum()
        assert (told.rows, told.entities, told.positives, told.alerts) == counts
        assert told.precision == pytest.approx(caught / counts[3] if counts[3] else np.nan, nan_ok=True)
        assert told.recall == pytest.approx(caught / counts[2] if counts[2] else np.nan, nan_ok=True)
        assert told.positive_entities == own["entity"][own["y"]].nunique()


def test_a_slice_with_few_entities_in_trouble_is_flagged():
    """What counts is entities, not rows: many rows of a few entities are still few."""
    y = np.repeat([True, False], 200)
    entity = np.concatenate([np.arange(100) % (FEW - 1), 1000 + np.arange(100) % FEW, 2000 + np.arange(200)])
    by = np.array(["few", "enough"])[(np.arange(400) // 100) % 2]
    score = np.random.default_rng(0).normal(size=400) + y
    rows = JudgedRows(y, np.arange(400) % 7, entity)
    found = metrics_by_slice(rows, score, by, budget=5).set_index("slice")
    assert found["few_positives"].to_dict() == {"few": True, "enough": False}
    assert found["positives"].tolist() == [100, 100]
    assert (found["low"] < found["average_precision"]).all()
    assert (found["average_precision"] < found["high"]).all()


@given(rows, st.integers(1, 4), st.randoms(use_true_random=False))
def test_order_of_rows_changes_no_comparison(table, budget, random):
    """With any ties, shuffled rows give the same tables, to the last bit."""
    numbered = [(*row, place % 7) for place, row in enumerate(table)]
    shuffled = random.sample(numbered, len(numbered))
    told = []
    for each in (numbered, shuffled):
        where, score = judged([row[:4] for row in each])
        by = np.array([row[4] for row in each], int)
        cut = metrics_by_slice(where, score, by, budget=budget).drop(columns="slice").to_numpy(float)
        values = value_recall(where, score, 0.1 * by, budget=budget).to_numpy(float)
        late = time_to_detection(where, score, budget=budget, incident=by).cases.to_numpy(float)
        told.append([cut, values, late])
    for one, two in zip(*told, strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_rows_there_is_nothing_to_compare():
    """No rows give empty tables and NaN, and nothing fails."""
    where, score = JudgedRows(np.zeros(0, bool), np.zeros(0, int), np.zeros(0, int)), np.zeros(0)
    assert value_recall(where, score, score, budget=1).empty
    assert metrics_by_slice(where, score, np.zeros(0, int), budget=1).empty
    late = time_to_detection(where, score, budget=1)
    both = alert_overlap(score, score, day=where.day, entity=where.entity, budget=1)
    assert late.cases.empty
    assert both.appeared.empty
    assert both.disappeared.empty
    assert np.isnan([late.median_days, late.never, both.jaccard]).all()


def test_unusable_comparisons_are_refused():
    """Values that are negative or missing, columns of another length and an empty budget are errors."""
    where, score = JudgedRows(np.zeros(2, bool), np.zeros(2, int), np.zeros(2, int)), np.zeros(2)
    with pytest.raises(LabelError, match=r"values of 0 or more, that of row 1 is -1\.0"):
        value_recall(where, score, np.array([0.0, -1.0]), budget=1)
    with pytest.raises(LabelError, match="that of row 0 is nan"):
        value_recall(where, score, np.array([np.nan, 0.0]), budget=1)
    with pytest.raises(LabelError, match=r"told apart by, of one length, got \[2, 2, 2, 2, 3\]"):
        metrics_by_slice(where, score, np.zeros(3, int), budget=1)
    with pytest.raises(LabelError, match="of one length"):
        alert_overlap(score, np.zeros(3), day=where.day, entity=where.entity, budget=1)
    for call in (metrics_by_slice, value_recall):
        with pytest.raises(ConfigError, match="at least 1 alert a day"):
            call(where, score, np.zeros(2), budget=0)
    with pytest.raises(ConfigError, match="at least 1 alert a day"):
        time_to_detection(where, score, budget=0)
    with pytest.raises(ConfigError, match="at least 1 alert a day"):
        alert_overlap(score, score, day=where.day, entity=where.entity, budget=0)
