"""Two versions on the windows that both were judged on."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_toys import FIRST, judged
from rich.console import Console
from scipy.stats import spearmanr

from peculiar.errors import ConfigError
from peculiar.training.comparison import NotComparableError, compare, iso
from peculiar.training.comparison_figures import difference_figure, weeks_figure
from peculiar.training.comparison_report import listing, record_of
from peculiar.training.metrics import alert_overlap, evaluate

NAMES = ("cards/1", "cards/2")


def shown(told, **given):
    """What a terminal of 100 columns shows."""
    console = Console(width=100, file=io.StringIO())
    for part in listing(told, **given):
        console.print(part)
    return console.file.getvalue()


def test_the_one_that_finds_more_is_named():
    """A sharper model is said to find more, with the interval of the difference; swapped, to find less."""
    blunt, sharp = judged(1.0), judged(2.0)
    told = compare(blunt, sharp, names=NAMES, budget=5)
    gain = told.metrics["average_precision"].difference
    assert told.verdict.startswith(f"cards/2 finds more than cards/1: average precision {gain.value:+.3f}")
    assert gain.low > 0
    assert "cards/1 finds less than cards/2" in compare(sharp, blunt, names=NAMES[::-1], budget=5).verdict


def test_a_model_against_itself_differs_by_nothing():
    """No gain, no new alert, perfect rank correlation, and the verdict says that no difference can be told."""
    table = judged(value=True)
    told = compare(table, table, names=NAMES, budget=5)
    assert {(both.difference.low, both.difference.high) for both in told.metrics.values()} == {(0.0, 0.0)}
    assert (told.jaccard, len(told.appeared), len(told.disappeared)) == (1.0, 0, 0)
    assert told.rank_correlation == pytest.approx(1.0)
    assert told.verdict.startswith("no difference between cards/1 and cards/2 can be told")
    assert told.alone == (0, 0)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_alerts_are_those_of_the_plain_overlap(seed, budget):
    """Jaccard, who appears and who disappears are those of `alert_overlap`; figures are those of `evaluate`."""
    first = judged(1.0, seed=seed, entities=12, days=9, share=0.1)
    second = judged(3.0, seed=seed, entities=12, days=9, share=0.1)
    told = compare(first, second, names=NAMES, budget=budget)
    scores = first["score"].to_numpy(), second["score"].to_numpy()
    about = {"day": first["day"].to_numpy(), "entity": first["entity"]}
    plain = alert_overlap(*scores, **about, budget=budget)
    assert told.jaccard == pytest.approx(plain.jaccard)
    assert told.shared == plain.shared
    for ours, theirs in ((told.appeared, plain.appeared), (told.disappeared, plain.disappeared)):
        expected = sorted(zip((iso(day) for day in theirs["day"]), theirs["entity"], strict=True))
        assert sorted(zip(ours["day"], ours["entity"], strict=True)) == expected
    assert told.rank_correlation == pytest.approx(spearmanr(*scores).statistic)
    y = first["confirmed"].to_numpy()
    for place, side in enumerate(("first", "second")):
        figures = evaluate(y, scores[place], **about, budget=budget)
        if y.any():
            found = getattr(told.metrics["precision_at_budget"], side).value
            assert found == pytest.approx(figures["budget/precision"])


def test_ranks_and_scores_stand_beside_the_alerts():
    """An alert that appears has its score and its rank of the day in both, and whether it is confirmed."""
    first, second = judged(0.0, entities=50), judged(3.0, entities=50)
    told = compare(first, second, names=NAMES, budget=3)
    assert len(told.appeared)
    for row in told.appeared.itertuples():
        assert row.second_rank <= 3 < row.first_rank
        for table, score, rank in (
            (first, row.first_score, row.first_rank),
            (second, row.second_score, row.second_rank),
        ):
            frame = table.select(["entity", "day", "score", "confirmed"]).to_pandas()
            today = frame[[iso(day) == row.day for day in frame["day"]]]
            mine = today[today["entity"] == row.entity]
            assert (mine["score"].item(), mine["confirmed"].item()) == (score, row.confirmed)
            assert (today["score"] > score).sum() + 1 == rank
    assert told.appeared["second_rank"].is_monotonic_increasing


def test_only_shared_windows_count():
    """Windows of one alone are left out and counted; the figures are those of the shared ones."""
    long, short = judged(1.0, days=14), judged(2.0, days=14)
    cut = short.filter(pa.array(short["day"].to_numpy() < FIRST + 7))
    told = compare(long, cut, names=NAMES, budget=5)
    assert (told.windows, told.alone, told.last_day) == (300 * 7, (300 * 7, 0), FIRST + 6)
    same = compare(long.filter(pa.array(long["day"].to_numpy() < FIRST + 7)), cut, names=NAMES, budget=5)
    assert same.metrics == told.metrics


@settings(max_examples=10)  # of orders; what is compared is the same each time
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(dice):
    """Both tables in any order give the same comparison."""
    first, second = judged(1.0, entities=12, share=0.1), judged(2.0, entities=12, share=0.1)
    plain = compare(first, second, names=NAMES, budget=2).to_dict()
    orders = [dice.sample(range(len(first)), len(first)) for _ in range(2)]
    mixed = compare(first.take(orders[0]), second.take(orders[1]), names=NAMES, budget=2).to_dict()
    assert repr(mixed) == repr(plain)


def test_windows_that_come_twice_are_paired_in_order():
    """Two windows of one entity at one instant stay two, the first with the first."""
    table = judged(entities=5, days=2)
    twice = pa.concat_tables([table, table])
    told = compare(twice, twice, names=NAMES, budget=2)
    assert (told.windows, told.alone, told.jaccard) == (20, (0, 0), 1.0)


def test_nothing_shared_says_what_to_do():
    """Models judged on other days cannot be compared; the message has both periods and the way out."""
    said = r"no window that both.*cards/1 on 4,200 windows of 2024-10-04 to.*cards/2 on .* add --events EVENTS"
    with pytest.raises(NotComparableError, match=said):
        compare(judged(), judged(first=FIRST + 30), names=NAMES, budget=5)
    with pytest.raises(ConfigError, match="at least 1 alert"):
        compare(judged(), judged(), names=NAMES, budget=0)


def test_without_labels_nobody_is_said_to_be_better():
    """Overlap, correlation, weeks and calibration are there; no figure that needs truth is, and the verdict says so."""
    told = compare(judged(1.0, labels=False), judged(2.0, labels=False), names=NAMES, budget=5)
    assert set(told.metrics) == {"share_at_1pct"}
    assert told.verdict.startswith("without confirmed trouble nobody can tell which finds more")
    assert "no figure here says which" in told.notes[0]
    assert "first_recall_at_budget" not in told.weeks
    assert set(told.appeared["confirmed"]) == {None}
    assert "nobody can tell" in shown(told)


def test_the_newest_truth_counts():
    """Where the two were told different things, that of the newer counts, and how many differ is said."""
    first, second = judged(1.0), judged(2.0)
    place, nine = second.column_names.index("confirmed"), pa.array(np.arange(len(second)) < 9)
    late = second.set_column(place, "confirmed", nine)
    told = compare(first, late, names=NAMES, budget=5)
    assert told.confirmed == 9
    assert any("another truth by now; that of cards/2 counts" in note for note in told.notes)
    old = compare(first, late, names=NAMES, budget=5, newest=0)
    assert old.confirmed == int(first["confirmed"].to_numpy().sum())
    half = compare(first, judged(2.0, labels=False), names=NAMES, budget=5)
    assert half.confirmed == old.confirmed


def test_weeks_are_judged_by_themselves():
    """Each seven days have the figures that a comparison of these days alone has."""
    first, second = judged(1.0, days=10), judged(2.0, days=10)
    told = compare(first, second, names=NAMES, budget=5)
    assert told.weeks["day"].tolist() == [iso(FIRST), iso(FIRST + 7)]
    assert told.weeks["windows"].tolist() == [2100, 900]
    late = [table.filter(pa.array(table["day"].to_numpy() >= FIRST + 7)) for table in (first, second)]
    alone, week = compare(*late, names=NAMES, budget=5), told.weeks.iloc[1]
    assert week["jaccard"] == pytest.approx(alone.jaccard)
    assert week["second_recall_at_budget"] == pytest.approx(alone.metrics["recall_at_budget"].second.value)
    assert week["first_average_precision"] == pytest.approx(alone.metrics["average_precision"].first.value)
    assert np.isnan(told.weeks["first_again"][0])
    assert 0 <= told.weeks["first_again"][1] <= 1


def test_a_broken_promise_is_told():
    """A model whose small p-values come too often is said not to keep its promise."""
    told = compare(judged(p="fair"), judged(p="off"), names=NAMES, budget=5)
    assert told.calibrations[0].holds is not False
    assert told.calibrations[1].holds is False
    assert told.metrics["share_at_1pct"].difference.low > 0
    assert "cards/2: p <= 0.01 for" in shown(told)
    assert "do NOT keep their promise" in " ".join(shown(told).split())
    assert compare(judged(p="none"), judged(), names=NAMES, budget=5).calibrations[0] is None


def test_value_counts_what_was_at_stake():
    """With values there is a recall of value; a refund counts as nothing at stake."""
    first, second = judged(1.0, value=True), judged(2.0, value=True)
    told = compare(first, second, names=NAMES, budget=5)
    assert 0 < told.metrics["value_recall"].second.value <= 1
    less = pa.array(np.where(np.arange(len(first)) % 2, -1.0, 1.0))
    place = first.column_names.index("value")
    both = (table.set_column(place, "value", less) for table in (first, second))
    assert 0 < compare(*both, names=NAMES, budget=5).metrics["value_recall"].second.value <= 1
    assert "value_recall" not in compare(judged(1.0), judged(2.0), names=NAMES, budget=5).metrics


@pytest.mark.parametrize("labels", [True, False])
def test_a_terminal_of_100_columns_shows_it_whole(labels):
    """No line is wider than 100 columns and no figure is cut; the limit holds."""
    told = compare(judged(1.0, labels=labels), judged(2.0, labels=labels), names=NAMES, budget=5)
    text = shown(told, limit=3)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    assert all(f"{row.entity} " in text for row in told.appeared.head(3).itertuples())
    assert f"{len(told.appeared):,} alerts that cards/2 raises and cards/1 does not" in text


@pytest.mark.parametrize("labels", [True, False])
def test_what_is_written_down_is_what_was_found(labels):
    """The record has the figures under fixed paths, the figures draw, and everything is plain JSON."""
    told = compare(judged(1.0, labels=labels), judged(2.0, labels=labels), names=NAMES, budget=5)
    record = record_of(told)
    assert set(record.figures) == {"plots/compare.png", "plots/overlap_by_week.png"}
    assert set(record.tables) == {f"tables/{name}.json" for name in ("compare", "by_week", "appeared", "disappeared")}
    assert record.tables["tables/appeared.json"]["entity"] == told.appeared["entity"].tolist()
    assert record.metrics["compare/jaccard"] == told.jaccard
    if labels:
        gain = told.metrics["average_precision"].difference
        assert record.metrics["compare/average_precision_gain_low"] == gain.low
    assert json.loads(json.dumps(told.to_dict()))["verdict"] == told.verdict


def test_titles_say_the_finding():
    """The figure of differences names the better one, or that none can be told; each draws its figures."""
    told = compare(judged(1.0), judged(2.0), names=NAMES, budget=5)
    figure = difference_figure(told)
    assert figure.texts[0].get_text() == "cards/2 finds more than cards/1"
    assert len(figure.axes[0].get_yticks()) == len([name for name in told.metrics if name != "share_at_1pct"]) - 1
    same = compare(judged(1.0), judged(1.0), names=NAMES, budget=5)
    assert "cannot be told" in difference_figure(same).texts[0].get_text()
    drawn = weeks_figure(told).axes[0].lines[0].get_ydata()
    assert drawn.tolist() == pytest.approx(told.weeks["jaccard"].tolist())
    assert "share 100%" in weeks_figure(same).texts[0].get_text()


def test_few_in_trouble_are_named():
    """With fewer than 20 entities in trouble a note warns of conclusions."""
    told = compare(judged(share=0.002, entities=50), judged(share=0.002, entities=50), names=NAMES, budget=5)
    assert 0 < told.troubled < 20
    assert f"only {told.troubled} entities in trouble" in told.notes[0]


def test_no_alert_is_new_where_there_is_none():
    """The share of new alerts is not defined without alerts."""
    told = compare(judged(), judged(), names=NAMES, budget=5)
    none = replace(told, shared=0, appeared=pd.DataFrame())
    assert np.isnan(none.new_alerts)
