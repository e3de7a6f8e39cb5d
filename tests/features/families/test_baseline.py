"""Baseline against medians and spreads taken afresh for every row."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from event_logs import DAY, SECOND, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import fill, hold, in_order, rows_of, wall

from peculiar.features.families import Baseline, Breadth, Moment, Velocity, Volume
from peculiar.features.families.baseline import own_median
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

FAMILIES = (Volume(), Velocity(), Breadth(), Baseline())


def build(events, every="1d", zone="UTC", baseline=FAMILIES[-1]):
    """Plan, population and vectors of the families that have levels, and the baseline."""
    single = (Moment(),) if every == "event" else ()
    plan = FeaturePlan(roles(zone), WindowSpec(every), ("pay",), (*FAMILIES[:-1], *single, baseline))
    timeline = timeline_of(events, zone)
    return plan, *fill(plan, timeline)


def usual(population, level):
    """Everyone's median and spread of a level, and what is added to both sides of a ratio.

    The spread is half the distance between the 15.9th and the 84.1th percentile, as of a normal distribution; where
    most windows are alike the upper tail gives it, and where all are, the size of the value. The offset is the median,
    but at least 1 unless the level lives below 1.
    """
    low, centre, high, top = (population.quantile(level, share) for share in (0.159, 0.5, 0.841, 0.99))
    spread = (high - low) / 2
    if math.isnan(centre):
        return 0.0, 1.0, 1.0
    if spread <= 1e-12:
        spread = (top - centre) / 2.326
    if spread <= 1e-12:
        spread = max(abs(centre), 1.0)
    return centre, spread, centre if 0 < centre < 1 else max(centre, 1.0)


def judged(x, own, everyone, baseline):
    """The robust z and the ratio of one value; ``own`` are the entity's earlier values."""
    centre, spread, offset = everyone
    weight = baseline.prior_windows
    if math.isnan(x):
        return None, None
    median = statistics.median(own) if own else 0.0
    deviation = 1.4826 * statistics.median([abs(v - median) for v in own]) if own else 0.0
    middle = (len(own) * median + weight * centre) / (len(own) + weight)
    width = (len(own) * deviation + weight * spread) / (len(own) + weight)
    z = (x - middle) / max(width, baseline.least_spread * spread)
    if not own:
        return z, None
    return z, math.log2((x + offset) / (median + offset)) if x + offset > 0 and median + offset > 0 else 0.0


def last_of_days(rows, zone):
    """Of each row's earlier rows those that are the last of their dates: the next is on a later one."""
    dates = [wall(row.now[-1].at, zone).date() for row in rows]
    return [[n for n in row.earlier if dates[n + 1] > dates[n]] for row in rows]


def plain(rows, plan, vectors, population):
    """The features as their meanings say, from the columns of the families before."""
    apart = last_of_days(rows, plan.roles.time_zone) if plan.windows.every == "event" else [r.earlier for r in rows]
    expected = {
        "history_windows_28d": [len(earlier) for earlier in apart],
        "history_age_28d": [
            (row.since - rows[earlier[0]].since) / (DAY / SECOND) / SECOND if earlier else 0.0
            for row, earlier in zip(rows, apart, strict=True)
        ],
    }
    for level in (feature.name for feature in plan.features if feature.level):
        counted = [row.earlier for row in rows] if level == "amount_event" else apart
        everyone, values = usual(population, level), vectors.column(level).astype(np.float64)
        pairs = [
            judged(values[n], [v for v in values[earlier] if not math.isnan(v)], everyone, plan.families[-1])
            for n, earlier in enumerate(counted)
        ]
        expected[f"{level}_vs_own"], expected[f"{level}_ratio_vs_own"] = map(list, zip(*pairs, strict=True))
    largest = next(feature.name for feature in plan.features if feature.name.startswith("amount_max_"))
    for how in ("mean", "record"):
        expected[f"{largest}_{how}_vs_own"] = [
            outdone(float(value), [e.amount for e in row.before if (e.amount or 0) > 0], how)
            for value, row in zip(vectors.column(largest), rows, strict=True)
        ]
    return expected


def outdone(largest, own, how):
    """The log2 ratio of the window's largest amount to the mean of logarithms, or to the maximum, of earlier ones."""
    if not largest > 0 or not own:
        return None
    usual = statistics.fmean(map(math.log2, own)) if how == "mean" else math.log2(np.float32(max(own)))
    return math.log2(largest) - usual


@pytest.mark.parametrize("every", ["1d", "1h"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_medians_taken_afresh(world, every):
    """On any log the columns are the shrunk z and the ratio of each level, and what amounts outdo, and no others."""
    plan, population, vectors = build(world.events, every, world.zone)
    rows = rows_of(world.events, world.zone, every)
    expected = plain(rows, plan, vectors, population)
    assert [feature.name for feature in plan.by_family["baseline"]] == list(expected)
    hold(vectors, rows, expected)


@given(world=worlds())
@settings(max_examples=40)
def test_equals_the_last_windows_of_days_as_of_each_event(world):
    """Where windows end with each event the last of each day counts; amounts of single events are held against all."""
    events = in_order(world.events, world.timeline)
    plan, population, vectors = build(world.events, "event", world.zone)
    rows = rows_of(events, every="event")
    expected = plain(rows, plan, vectors, population)
    assert [feature.name for feature in plan.by_family["baseline"]] == list(expected)
    assert "amount_event_ratio_vs_own" in expected
    hold(vectors, rows, expected)


def test_a_busy_day_is_one_day_of_the_history():
    """To a card of two payments a day one day of sixty leaves the usual at two, though most of its events were then."""
    _, _, vectors = build(daily([2] * 6 + [60] + [2] * 6), "event")
    ratio = vectors.column("events_count_1d_ratio_vs_own")
    assert vectors.column("history_windows_28d")[-1] == 12
    assert ratio[-1] == 0
    assert ratio[2 * 6 + 59] > 1


@pytest.mark.parametrize(("windows", "told"), [(WindowSpec("event"), "day"), (WindowSpec("event", span="1h"), "hour")])
def test_the_meanings_say_which_windows_count(windows, told):
    """Where not all windows count the features say which do, and where all do they say nothing of it."""
    plans = [FeaturePlan(roles(), spec, ("pay",), FAMILIES) for spec in (windows, WindowSpec("1h"))]
    some, every = ([f.meaning for f in plan.by_family["baseline"] if "windows" in f.meaning] for plan in plans)
    assert some
    assert all(f"the last of each {told}" in meaning for meaning in some)
    assert not any("the last of each" in meaning for meaning in every)


def daily(counts, begin="2025-03-03T08:00", user="ann"):
    """So many events on each day, from one morning on."""
    start = instant(begin)
    return [
        Event(user, start + day * DAY + n, f"{user} {day} {n}", "pay", None, None)
        for day, count in enumerate(counts)
        for n in range(count)
    ]


def test_fifty_buses_after_a_month_of_two():
    """Fifty rides after weeks of two a day stand out by far in z and in ratio; another day of two is nothing."""
    others = [event for n in range(12) for event in daily([1, 2, 3, 2] * 5, user=f"other {n}")]
    _, _, vectors = build(daily([2] * 20 + [50]) + others)
    z, ratio = vectors.column("events_count_1d_vs_own"), vectors.column("events_count_1d_ratio_vs_own")
    assert abs(z[19]) < 0.5
    assert z[20] > 20
    assert ratio[20] == pytest.approx(math.log2(52 / 4))
    assert ratio[19] == 0


def test_three_rides_are_no_alarm_for_one_who_always_took_two():
    """A history without any spread does not turn the smallest change into a large z."""
    _, _, vectors = build(daily([2] * 20 + [3]) + daily([1, 3] * 10, user="bob"))
    assert 0 < vectors.column("events_count_1d_vs_own")[20] < 3


def test_a_window_is_not_its_own_history():
    """The first window has no history: age and windows are zero, the ratio null, the z that against everyone."""
    _, _, vectors = build(daily([4]))
    assert vectors.column("history_windows_28d").tolist() == [0]
    assert vectors.column("history_age_28d").tolist() == [0]
    assert math.isnan(vectors.column("events_count_1d_ratio_vs_own")[0])
    assert vectors.column("events_count_1d_vs_own").tolist() == [0]


def test_history_ends_with_the_horizon():
    """A window 28 days back is history, one 29 days back is not."""
    noon = instant("2025-03-03T12:00")
    for days, known in ((28, 1), (29, 0)):
        _, _, vectors = build([Event("ann", noon + d * DAY, str(d), None, None, None) for d in (0, days)])
        assert vectors.column("history_windows_28d").tolist() == [0, known]
        assert vectors.column("history_age_28d").tolist() == [0, days * known]


@given(world=worlds())
@settings(max_examples=15)
def test_the_own_median_can_be_told_from_the_ratio(world):
    """Value and ratio give back the entity's own median of a count, which is what a reason tells."""
    plan, population, vectors = build(world.events, zone=world.zone)
    values, ratios = (vectors.column(name) for name in ("events_count_1d", "events_count_1d_ratio_vs_own"))
    for n, row in enumerate(rows_of(world.events, world.zone)):
        told = own_median(float(values[n]), float(ratios[n]), population, "events_count_1d")
        if row.earlier:
            assert told == pytest.approx(statistics.median(values[row.earlier]), abs=1e-3)
        else:
            assert math.isnan(told)
    assert plan.features


def test_settings_matter():
    """More weight on everyone draws a short history's z towards that against everyone alone."""
    events = daily([2] * 3 + [6]) + daily([6] * 30, user="bob")
    near, far = (build(events, baseline=Baseline(prior_windows=w))[2] for w in (0.5, 1000.0))
    row = near.column("history_windows_28d").tolist().index(3)
    assert near.column("events_count_1d_vs_own")[row] > 1
    assert abs(far.column("events_count_1d_vs_own")[row]) < 0.5


def spending(*days, user="ann"):
    """Payments of these amounts, a second apart, on one day after the other."""
    start = instant("2025-03-03T08:00")
    return [
        Event(user, start + day * DAY + n * SECOND, f"{user} {day} {n}", "pay", None, amount)
        for day, amounts in enumerate(days)
        for n, amount in enumerate(amounts)
    ]


def test_a_record_is_the_largest_amount_yet():
    """Twice the most ever paid is one above the maximum, the same amount is exactly zero, and less is below."""
    _, _, vectors = build(spending([2.4, 9.6], [9.6], [19.2], [4.8]))
    assert vectors.column("amount_max_1d_record_vs_own").tolist() == [pytest.approx(math.nan, nan_ok=True), 0, 1, -2]


def test_one_dear_day_hardly_moves_the_mean():
    """A car among forty coffees does not hide a second car: the mean is that of logarithms."""
    _, _, vectors = build(spending(*[[4.0, 4.0]] * 20, [4.0 * 1024], [4.0 * 1024]))
    mean, record = (vectors.column(f"amount_max_1d_{how}_vs_own") for how in ("mean", "record"))
    assert mean[19:].tolist() == pytest.approx([0, 10, 10 - 10 / 41], abs=1e-5)
    assert record[19:].tolist() == [0, 10, 0]


def test_refunds_and_zeros_have_no_ratio():
    """Where a window or all that was before it has no amount above zero, both ratios are null."""
    _, _, vectors = build(spending([-5.0, 0.0], [7.0], [-7.0], [14.0]))
    for how, last in (("mean", 1), ("record", 1)):
        found = vectors.column(f"amount_max_1d_{how}_vs_own").tolist()
        assert np.isnan(found[:3]).all()
        assert found[3] == last


def test_a_baseline_without_amounts_before_it_has_no_record():
    """The ratios judge the largest amount, so they come only where a family before has told it."""
    plan = FeaturePlan(roles(), WindowSpec(), (), (Breadth(), Baseline()))
    assert plan.features
    assert not [feature.name for feature in plan.features if "record" in feature.name]


@given(st.integers(0, 25), st.integers(0, 25))
@settings(max_examples=25, deadline=None)
def test_the_longer_the_history_the_more_a_change_says(days, more):
    """The same change from the same habit never weighs less after a longer history, whose length stands beside it."""
    everyone = [event for n in range(20) for event in daily([1, 4, 2, 6, 3], user=f"other {n}")]
    short, long = sorted((days, days + more))
    events = daily([2] * short + [40], user="new") + daily([2] * long + [40], user="old") + everyone
    _, _, vectors = build(events)
    last = {user: n for n, user in enumerate(vectors.entity.to_pylist())}
    z = vectors.column("events_count_1d_vs_own")
    assert z[last["old"]] >= z[last["new"]] - 1e-4
    assert vectors.column("history_windows_28d")[[last["new"], last["old"]]].tolist() == [short, min(long, 28)]
