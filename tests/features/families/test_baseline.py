"""Baseline against medians and spreads taken afresh for every row."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from event_logs import DAY, SECOND, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, rows_of

from peculiar.features.families import Baseline, Breadth, Velocity, Volume
from peculiar.features.families.baseline import own_median
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

FAMILIES = (Volume(), Velocity(), Breadth(), Baseline())


def build(events, every="1d", zone="UTC", baseline=FAMILIES[-1]):
    """Plan, population and vectors of the families that have levels, and the baseline."""
    plan = FeaturePlan(roles(zone), WindowSpec(every), ("pay",), (*FAMILIES[:-1], baseline))
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


def plain(rows, plan, vectors, population):
    """The features as their meanings say, from the columns of the families before."""
    expected = {
        "history_windows_28d": [len(row.earlier) for row in rows],
        "history_age_28d": [
            (row.since - rows[row.earlier[0]].since) / (DAY / SECOND) / SECOND if row.earlier else 0.0 for row in rows
        ],
    }
    for level in (feature.name for feature in plan.features if feature.level):
        everyone, values = usual(population, level), vectors.column(level).astype(np.float64)
        pairs = [
            judged(values[n], [v for v in values[row.earlier] if not math.isnan(v)], everyone, plan.families[-1])
            for n, row in enumerate(rows)
        ]
        expected[f"{level}_vs_own"], expected[f"{level}_ratio_vs_own"] = map(list, zip(*pairs, strict=True))
    return expected


@pytest.mark.parametrize("every", ["1d", "1h"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_medians_taken_afresh(world, every):
    """On any log the columns are the shrunk robust z and the ratio of each level, and there are no others."""
    plan, population, vectors = build(world.events, every, world.zone)
    rows = rows_of(world.events, world.zone, every)
    expected = plain(rows, plan, vectors, population)
    assert [feature.name for feature in plan.by_family["baseline"]] == list(expected)
    hold(vectors, rows, expected)


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
