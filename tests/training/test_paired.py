"""Two models on the same windows: figures and intervals against plain references that copy rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.errors import ConfigError, LabelError
from peculiar.training.metrics import (
    JudgedRows,
    average_precision_interval,
    entity_keys,
    evaluate,
    redrawn,
    time_to_detection,
    value_recall,
)
from peculiar.training.paired import METRICS, _Sorted, measure, paired, share_reached

ROW = st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3), st.sampled_from("abcdef"), st.integers(0, 3))
ROWS = st.lists(ROW, min_size=1, max_size=40)


def columns(table):
    """JudgedRows, score and value of a list of tuples."""
    y, score, day, entity, value = (np.array(column) for column in zip(*table, strict=True))
    return JudgedRows(y, day, entity), score.astype(float), value.astype(float)


def copied(table, times):
    """The rows once for each time that their entity was drawn; keys stay, so that ties stay as they were."""
    rows, score, value = columns(table)
    names = np.unique(entity_keys(rows.entity))
    frame = pd.DataFrame({"y": rows.y, "score": score, "day": rows.day, "value": value, "row": range(len(score))})
    frame["key"] = entity_keys(rows.entity)
    often = dict(zip(names.tolist(), times, strict=True))
    parts = [frame.assign(copy=copy)[frame["key"].map(often) > copy] for copy in range(max(times))]
    frame = pd.concat(parts, ignore_index=True)
    order = ["day", "score", "key", "y", "value", "row", "copy"]
    frame = frame.sort_values(order, ascending=[True, False, True, True, True, True, True], ignore_index=True)
    return frame.assign(place=frame.groupby("day").cumcount(), who=list(zip(frame["key"], frame["copy"], strict=True)))


def plain(frame, budget):
    """The figures by the book: pairs counted one by one, copies as entities of their own."""
    bad, good = frame[frame["y"]], frame[~frame["y"]]
    told = dict.fromkeys(METRICS, np.nan)
    if len(bad) and len(good):
        wins = [(x > other) + 0.5 * (x == other) for x in bad["score"] for other in good["score"]]
        told["roc_auc"] = np.mean(wins)
        told["average_precision"] = np.mean([
            (bad["score"] >= x).sum() / (frame["score"] >= x).sum() for x in bad["score"]
        ])  # fmt: skip
    alerts = frame[frame["place"] < budget]
    told["precision_at_budget"] = alerts["y"].mean() if len(alerts) else np.nan
    told["recall_at_budget"] = alerts["y"].sum() / len(bad) if len(bad) else np.nan
    at_stake = bad["value"].sum()
    told["value_recall"] = alerts[alerts["y"]]["value"].sum() / at_stake if at_stake else np.nan
    detected, shares = set(), []
    for _, today in frame.groupby("day"):
        cards = today[~today["who"].isin(detected)]
        top = set(list(dict.fromkeys(cards["who"]))[:budget])
        caught = top & set(cards[cards["y"]]["who"])
        detected |= caught
        shares.append(len(caught) / budget)
    told["card_precision_at_k"] = np.mean(shares)
    caught = alerts[alerts["y"]].groupby("who")["day"].min()
    late = [caught.get(who, np.inf) - first for who, first in bad.groupby("who")["day"].min().items()]
    if late:
        told["days_to_detection"], told["never_detected"] = np.median(late), np.isinf(late).mean()
    return told


@given(ROWS, st.integers(1, 5), st.data())
def test_a_redraw_is_measured_as_if_rows_were_copied(table, budget, data):
    """Counting an entity k times gives what k copies of its rows give, for every figure."""
    rows, score, value = columns(table)
    ready = _Sorted.of(rows, score, value, budget)
    counts = st.lists(st.integers(0, 3), min_size=ready.entities, max_size=ready.entities)
    times = data.draw(counts.filter(any))
    found = dict(zip(METRICS, ready.measure(np.array(times)), strict=True))
    assert found == pytest.approx(plain(copied(table, times), budget), nan_ok=True)


@given(ROWS, st.integers(1, 5))
def test_one_model_alone_is_measured_as_elsewhere(table, budget):
    """Without redraws the figures are those of the functions that training judges by."""
    rows, score, value = columns(table)
    found = measure(rows, score, budget=budget, value=value)
    told = evaluate(rows.y, score, day=rows.day, entity=rows.entity, budget=budget)
    names = {"average_precision": "ranking/average_precision", "roc_auc": "ranking/roc_auc",
             "precision_at_budget": "budget/precision", "recall_at_budget": "budget/recall",
             "card_precision_at_k": "budget/card_precision_at_k"}  # fmt: skip
    assert {name: found[name] for name in names} == pytest.approx(
        {name: told[key] for name, key in names.items()}, nan_ok=True
    )
    by_day = value_recall(rows, score, value, budget=budget)
    stake = by_day["at_stake"].sum()
    assert found["value_recall"] == pytest.approx(by_day["found"].sum() / stake if stake else np.nan, nan_ok=True)
    detection = time_to_detection(rows, score, budget=budget)
    assert found["days_to_detection"] == pytest.approx(detection.median_days, nan_ok=True)
    assert found["never_detected"] == pytest.approx(detection.never, nan_ok=True)


def judged(seed, n=600, more=2.0):
    """Rows of 60 entities over 10 days and two scores, of which the second sees more."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.1
    noise = rng.normal(size=n)
    return JudgedRows(y, np.arange(n) % 10, np.arange(n) // 10), (noise + y, noise + more * y)


@pytest.mark.parametrize("seed", [0, 1])
def test_intervals_are_those_of_plain_redraws(seed):
    """Sides and difference are the percentiles over the same redraws, taken one by one."""
    rows, scores = judged(seed)
    found = paired(rows, scores, budget=5, seed=seed)
    names, code = np.unique(entity_keys(rows.entity), return_inverse=True)
    told = []
    for times in redrawn(len(names), 200, seed):
        at = np.repeat(np.arange(len(code)), times[code])
        both = [evaluate(rows.y[at], score[at], day=rows.day[at], entity=code[at], budget=5) for score in scores]
        told.append([each["ranking/average_precision"] for each in both])
    told = np.array(told)
    for side, drawn in (("first", told[:, 0]), ("second", told[:, 1]), ("difference", told[:, 1] - told[:, 0])):
        interval = getattr(found["average_precision"], side)
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    alone = average_precision_interval(rows.y, scores[0], entity=rows.entity, seed=seed)
    assert vars(found["average_precision"].first) == pytest.approx(vars(alone))


def test_the_difference_is_known_better_than_its_parts():
    """On the same windows a small gain is certain although the two intervals overlap."""
    rows, scores = judged(3, more=1.2)
    found = paired(rows, scores, budget=5)["average_precision"]
    assert found.first.high > found.second.low
    assert found.difference.low > 0


@given(st.permutations(range(60)))
def test_the_order_of_rows_changes_nothing(order):
    """The same rows in any order give the same bits."""
    rows, scores = judged(5, 60)
    mixed = JudgedRows(rows.y[order], rows.day[order], rows.entity[order])
    moved = tuple(score[order] for score in scores)
    assert repr(paired(mixed, moved, budget=3)) == repr(paired(rows, scores, budget=3))


def test_swapping_the_models_turns_the_sign():
    """What the second has more, the first has less."""
    rows, (first, second) = judged(6)
    there, back = paired(rows, (first, second), budget=5), paired(rows, (second, first), budget=5)
    for name in METRICS:
        assert there[name].difference.value == pytest.approx(-back[name].difference.value, nan_ok=True)
        assert there[name].difference.low == pytest.approx(-back[name].difference.high, nan_ok=True)


def test_two_that_never_find_differ_by_nothing():
    """Infinitely late on both sides is no difference, and on one side an infinite one."""
    y = np.array([True] * 4 + [False] * 8)
    rows = JudgedRows(y, np.zeros(12, int), np.arange(12))
    blind, sharp = -y.astype(float), y.astype(float)
    assert vars(paired(rows, (blind, blind), budget=1)["days_to_detection"].difference) == dict.fromkeys(
        ("value", "low", "high"), 0.0
    )
    assert paired(rows, (blind, sharp), budget=4)["days_to_detection"].difference.value == -np.inf


def test_nothing_confirmed_gives_no_figures():
    """Without a positive every figure that needs one is NaN, without a warning or an error."""
    rows = JudgedRows(np.zeros(4, bool), np.zeros(4, int), np.arange(4))
    found = paired(rows, (np.arange(4.0), np.arange(4.0)), budget=2)
    needing = set(METRICS) - {"precision_at_budget", "card_precision_at_k"}
    assert all(np.isnan(found[name].difference.value) for name in needing)
    assert found["precision_at_budget"].first.value == 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from("abc")), min_size=1, max_size=30))
def test_shares_at_a_level_are_counted(table):
    """The share is that of the rows, its redraws those of the entities."""
    first, second, entity = (np.array(column) for column in zip(*table, strict=True))
    found = share_reached((first, second), entity, level=0.5)
    assert found.first.value == pytest.approx((first <= 0.5).mean())
    assert found.difference.value == pytest.approx((second <= 0.5).mean() - (first <= 0.5).mean())
    names, code = np.unique(entity_keys(entity), return_inverse=True)
    drawn = [np.repeat(second <= 0.5, times[code]).mean() for times in redrawn(len(names), 200, 0)]
    assert (found.second.low, found.second.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_what_cannot_be_measured_is_refused():
    """A missing score, a negative value, unequal lengths and a budget of nothing are errors of their own."""
    rows = JudgedRows(np.array([True, False]), np.zeros(2, int), ["a", "b"])
    with pytest.raises(LabelError, match="NaN or negative"):
        measure(rows, np.array([np.nan, 1.0]), budget=1)
    with pytest.raises(LabelError, match="NaN or negative"):
        measure(rows, np.ones(2), budget=1, value=np.array([-1.0, 1.0]))
    with pytest.raises(LabelError, match="one length"):
        measure(rows, np.ones(3), budget=1)
    with pytest.raises(ConfigError, match="at least 1 alert"):
        measure(rows, np.ones(2), budget=0)
