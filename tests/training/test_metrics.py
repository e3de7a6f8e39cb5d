"""Metrics that a team with a daily budget can use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.errors import ConfigError, LabelError
from peculiar.training.metrics import budget_curve, evaluate, precision_recall_points

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3), st.sampled_from("abcdef")), max_size=40)


def columns(table):
    """y, score, day and entity of a list of tuples."""
    frame = pd.DataFrame(table, columns=["y", "score", "day", "entity"])
    y, score = frame["y"].to_numpy(bool), frame["score"].to_numpy(float)
    return y, score, {"day": frame["day"].to_numpy(int), "entity": frame["entity"].to_numpy(object).astype(str)}


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
