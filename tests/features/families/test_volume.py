"""Volume against a plain count of events and sums of amounts."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from event_logs import DAY, HOUR, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import fill, hold, in_order, rows_of
from test_amounts import looks_round

from peculiar.features.events import EventLog
from peculiar.features.families import Volume
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec

ACTIONS = ("pay", "login")


def vectors_of(events, every="1d", zone="UTC"):
    """The vectors of this family alone, on these events."""
    plan = FeaturePlan(roles(zone), WindowSpec(every), ACTIONS, (Volume(),))
    timeline = timeline_of(events, zone)
    return fill(plan, timeline)[1]


def plain(rows, every):
    """The features as their meanings say."""
    expected = {f"events_count_{every}": [len(row.now) for row in rows]}
    for window in rows[0].trailing:
        expected[f"events_count_{window}"] = [len(row.trailing[window]) for row in rows]
    for action in ACTIONS:
        expected[f"{action}_count_{every}"] = [sum(e.action == action for e in row.now) for row in rows]
    amounts = [[e.amount for e in row.now if e.amount is not None] for row in rows]
    expected[f"amount_sum_{every}"] = [math.fsum(values) if values else None for values in amounts]
    expected[f"amount_mean_{every}"] = [math.fsum(values) / len(values) if values else None for values in amounts]
    expected[f"amount_max_{every}"] = [max(values, default=None) for values in amounts]
    expected[f"amount_median_{every}"] = [np.median(values) if values else None for values in amounts]
    expected[f"amount_p75_{every}"] = [
        np.quantile(values, 0.75, method="inverted_cdf") if values else None for values in amounts
    ]
    expected[f"amount_round_share_{every}"] = [share(map(looks_round, values)) for values in amounts]
    expected[f"amount_repeat_max_{every}"] = [max(Counter(values).values(), default=None) for values in amounts]
    past = [{e.amount for e in row.before} for row in rows]
    expected[f"amount_known_share_{every}"] = [
        share(value in known for value in values) for values, known in zip(amounts, past, strict=True)
    ]
    return expected


def share(true):
    """How many of them are true; none of nothing."""
    true = list(true)
    return sum(true) / len(true) if true else None


@pytest.mark.parametrize("every", ["1d", "1h"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_a_plain_count(world, every):
    """On any log the columns are the counts, sums, quantiles and shares that their names say, and no others."""
    rows = rows_of(world.events, world.zone, every)
    vectors = vectors_of(world.events, every, world.zone)
    expected = plain(rows, every)
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


@given(world=worlds())
@settings(max_examples=40)
def test_equals_a_plain_count_as_of_each_event(world):
    """Windows that end with each event, and so overlap, hold the same."""
    events = in_order(world.events, world.timeline)
    rows = rows_of(events, every="event")
    for row in rows:
        row.trailing = {name: row.trailing[name] for name in ("7d", "28d")}
    plan = FeaturePlan(roles(world.zone), WindowSpec("event"), ACTIONS, (Volume(),))
    hold(fill(plan, world.timeline)[1], rows, plain(rows, "1d"))


def test_by_hand():
    """Three payments over two days count and add up as on paper, and a day without an amount has null, not zero."""
    begin = instant("2025-03-03T09:00")
    events = [
        Event("ann", begin, "1", "pay", None, 2.0),
        Event("ann", begin + HOUR, "2", "pay", None, None),
        Event("ann", begin + 2 * HOUR, "3", "view", None, 4.0),
        Event("ann", begin + DAY, "4", "login", None, None),
    ]
    vectors = vectors_of(events)
    table = vectors.to_arrow().to_pydict()
    assert table["events_count_1d"] == [3, 1]
    assert table["events_count_7d"] == [3, 4]
    assert table["pay_count_1d"] == [2, 0]
    assert table["login_count_1d"] == [0, 1]
    assert table["amount_sum_1d"] == [6, None]
    assert table["amount_mean_1d"] == [3, None]
    assert table["amount_max_1d"] == [4, None]


@given(st.lists(st.one_of(st.floats(-1e15, 1e15), st.sampled_from([1e-12, 3e-9, 0.1, 1e12, 2.0**40])), min_size=1))
@settings(max_examples=100, deadline=None)
def test_sums_slide_without_a_trace(amounts):
    """However large an amount was, or small, once it has left the window nothing of it is left in the sum."""
    begin = instant("2025-03-03T09:00")
    events = [Event("ann", begin + n * 5 * HOUR, f"{n:03}", "pay", None, v) for n, v in enumerate(amounts)]
    plan = FeaturePlan(roles(), WindowSpec("event"), ACTIONS, (Volume(),))
    found = fill(plan, timeline_of(events))[1].column("amount_sum_1d")
    sums = [math.fsum(amounts[max(0, n - 4) : n + 1]) for n in range(len(amounts))]
    slack = [1e-14 * max(1e-24, *map(abs, amounts[max(0, n - 4) : n + 1])) for n in range(len(amounts))]
    for ours, wanted, within in zip(found.tolist(), sums, slack, strict=True):
        assert ours == pytest.approx(wanted, rel=1e-7, abs=within)


def payments(*days):
    """Payments of these amounts, a minute apart, on one day after the other."""
    begin = instant("2025-03-03T09:00")
    return [
        Event("ann", begin + d * DAY + n * HOUR // 60, f"{d} {n}", "pay", None, amount)
        for d, amounts in enumerate(days)
        for n, amount in enumerate(amounts)
    ]


def test_a_tested_card_shows_in_its_amounts():
    """Five payments of exactly one unit on a card that never paid so: round, repeated, and all of them new."""
    vectors = vectors_of(payments([12.34, 2.4, 8.15], [2.4, 17.2], [1.0, 1.0, 1.0, 1.0, 1.0, 12.34]))
    assert vectors.column("amount_round_share_1d").tolist() == [0, 0, np.float32(5 / 6)]
    assert vectors.column("amount_repeat_max_1d").tolist() == [1, 1, 5]
    assert vectors.column("amount_known_share_1d").tolist() == [0, 0.5, np.float32(1 / 6)]


def test_one_large_amount_moves_the_maximum_alone():
    """Among four payments a large one is the maximum, but neither the median nor the upper quartile."""
    vectors = vectors_of(payments([5.0, 900.0, 7.0, 6.0], [3.0]))
    assert vectors.column("amount_max_1d").tolist() == [900, 3]
    assert vectors.column("amount_median_1d").tolist() == [6.5, 3]
    assert vectors.column("amount_p75_1d").tolist() == [7, 3]


def test_an_amount_is_new_again_after_the_horizon():
    """An amount that came 28 days before is known, one that came 29 days before is not."""
    for days, known in ((28, 1), (29, 0)):
        vectors = vectors_of(payments([2.4], *[[] for _ in range(days - 1)], [2.4]))
        assert vectors.column("amount_known_share_1d").tolist() == [0, known]


def test_trailing_windows_end_with_the_current_one():
    """An event exactly seven days before the window's day is outside its 7d window, a day later inside."""
    noon = instant("2025-03-03T12:00")
    events = [Event("ann", noon + d * DAY, str(d), None, None, None) for d in (0, 1, 7, 28)]
    vectors = vectors_of(events)
    assert vectors.column("events_count_7d").tolist() == [1, 2, 2, 1]
    assert vectors.column("events_count_28d").tolist() == [1, 2, 3, 3]


def test_an_action_of_any_spelling_can_be_told():
    """An action with braces, as the routes of a web server have, leaves a phrase that can still be filled in."""
    log = EventLog.open(
        pa.table({"user": ["ann"], "at": ["2025-03-03T12:00:00Z"], "action": ["GET /users/{id}"]}),
        Roles("user", "at", action="action"),
    )
    plan = FeaturePlan.for_log(log.read()[0], log.roles)
    feature = next(feature for feature in plan.features if feature.name.startswith("GET"))
    assert feature.told("3") == "3 GET /users/{id} events"
