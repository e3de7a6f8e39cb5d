"""Volume against a plain count of events and sums of amounts."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from event_logs import DAY, HOUR, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, rows_of

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
    return expected


@pytest.mark.parametrize("every", ["1d", "1h"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_a_plain_count(world, every):
    """On any log the columns are the counts, sums, means and maxima that their names say, and there are no others."""
    rows = rows_of(world.events, world.zone, every)
    vectors = vectors_of(world.events, every, world.zone)
    expected = plain(rows, every)
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


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
