"""Sharing against a plain count of who touched what before."""

from __future__ import annotations

import math

import numpy as np
import pytest
from event_logs import DAY, HOUR, MINUTE, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, in_order, midnight, rows_of, wall

from peculiar.features.families import Sharing
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

HORIZON = 28
NOON = instant("2025-03-03T12:00")


def plan_of(every="1d", zone="UTC", shared=("device",)):
    """A plan of this family alone."""
    return FeaturePlan(roles(zone), WindowSpec(every), (), (Sharing(),), shared=shared)


def vectors_of(events, every="1d", zone="UTC"):
    """The vectors of this family alone, on these events."""
    return fill(plan_of(every, zone), timeline_of(events, zone))[1]


def horizon_of(row, every, zone):
    """The instant at which the horizon before a window begins."""
    if every != "1d":
        return row.since - HORIZON * DAY
    day = wall(row.since, zone).date()
    return midnight(day.fromordinal(day.toordinal() - HORIZON), zone)


def others(events, event, name, since):
    """How many other entities touched the event's value in [since, at)."""
    value = getattr(event, name)
    return len({e.user for e in events if getattr(e, name) == value and since <= e.at < event.at} - {event.user})


def plain(events, rows, name, horizons):
    """The features as their meanings say."""
    made = {what: [] for what in ("others_max", "others_mean", "others_day", "others_growth", "others_surge", "alone")}
    for row, horizon in zip(rows, horizons, strict=True):
        known = [event for event in row.now if getattr(event, name) is not None]
        long = [others(events, event, name, max(horizon, event.at - HORIZON * DAY)) for event in known]
        day = [others(events, event, name, event.at - DAY) for event in known]
        grown = [d / h for d, h in zip(day, long, strict=True) if h == max(long) > 0]
        made["others_max"].append(max(long, default=None))
        made["others_mean"].append(sum(long) / len(long) if long else None)
        made["others_day"].append(max(day, default=None))
        made["others_growth"].append(max(grown, default=None))
        surges = [math.log2((d + 1) / (h / HORIZON + 1)) for d, h in zip(day, long, strict=True)]
        made["others_surge"].append(max(surges, default=None))
        made["alone"].append(long.count(0) / len(long) if long else None)
    return {f"{name}_{what}_{HORIZON}d": values for what, values in made.items()}


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_plain_counts(world, every):
    """On any log the columns are what counting everyone's earlier events at the same value comes to."""
    rows = rows_of(in_order(world.events, world.timeline), world.zone, every)
    vectors = vectors_of(world.events, every, world.zone)
    expected = plain(world.events, rows, "device", [horizon_of(row, every, world.zone) for row in rows])
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


def test_single_events_over_a_long_day():
    """Where the windows of single events overlap by hundreds, the columns are still what plain counts come to."""
    rng = np.random.default_rng(6)
    at, who, where = rng.integers(3 * DAY, size=500), rng.integers(4, size=500), rng.integers(-1, 9, size=500)
    events = [
        Event(f"u{u}", NOON + int(t), f"e{n}", "pay", None if d < 0 else f"d{d}", None)
        for n, (t, u, d) in enumerate(zip(at, who, where, strict=True))
    ]
    rows = rows_of(in_order(events, timeline_of(events)), "UTC", "event")
    expected = plain(events, rows, "device", [row.since - HORIZON * DAY for row in rows])
    hold(vectors_of(events, "event"), rows, expected)


def ring(size, apart=MINUTE, device="phone"):
    """As many accounts on one device, one after the other."""
    return [Event(f"user {n:02}", NOON + n * apart, f"r{n}", "pay", device, None) for n in range(size)]


def test_thirty_accounts_on_one_phone():
    """Each account that comes to a phone sees those before it, all of them within a day, and none sees itself."""
    vectors = vectors_of(ring(30))
    assert vectors.column("device_others_max_28d").tolist() == list(range(30))
    assert vectors.column("device_others_day_28d").tolist() == list(range(30))
    assert vectors.column("device_others_growth_28d")[1:].tolist() == [1.0] * 29
    assert vectors.column("device_alone_28d").tolist() == [1.0] + [0.0] * 29
    assert vectors.column("device_others_surge_28d")[-1] == pytest.approx(math.log2(30 / (29 / 28 + 1)))


def test_a_value_always_shared_does_not_surge():
    """A place that one other visits each day has company every day, and no surge."""
    events = [Event(f"user {n:02}", NOON + n * DAY, f"r{n}", "pay", "gate", None) for n in range(40)]
    vectors = vectors_of(events)
    assert vectors.column("device_others_max_28d")[-1] == 28
    assert vectors.column("device_others_surge_28d")[-1] == 0.0
    assert vectors.column("device_others_growth_28d")[-1] == np.float32(1 / 28)


def test_events_at_one_instant_do_not_see_each_other():
    """Accounts that come at the same microsecond count one another in no order of rows, but those of before."""
    crowd = [Event(user, NOON, user, "pay", "phone", None) for user in ("ann", "bob", "cyd")]
    first = Event("dan", NOON - HOUR, "dan", "pay", "phone", None)
    for events in ([first, *crowd], [*crowd[::-1], first]):
        assert vectors_of(events).column("device_others_max_28d").tolist() == [1, 1, 1, 0]


def test_own_events_at_one_instant_all_see_the_company():
    """Of three events of one account at one instant each sees the same company, and none sees the account itself."""
    bob = [Event("bob", NOON + 2, f"b{n}", "pay", "phone", None) for n in range(3)]
    before, after = Event("ann", NOON, "a", "pay", "phone", None), Event("bob", NOON + 3, "b", "pay", "phone", None)
    for earlier in ([], [Event("bob", NOON + 1, "early", "pay", "phone", None)]):
        found = vectors_of([before, *earlier, *bob, after], "event")
        assert found.column("device_others_mean_28d")[-4:].tolist() == [1, 1, 1, 1]
        assert found.column("device_others_max_28d").tolist() == [0] + [1] * (4 + len(earlier))


def test_coming_back_counts_once_and_own_events_never():
    """An account that comes again is one account; own events before are no company."""
    events = [*(Event("ann", NOON + n, f"a{n}", "pay", "phone", None) for n in range(5)),
              *(Event("bob", NOON + 10 + n, f"b{n}", "pay", "phone", None) for n in range(5))]  # fmt: skip
    vectors = vectors_of(events, "event")
    assert vectors.column("device_others_max_28d").tolist() == [0] * 5 + [1] * 5
    assert vectors_of(events).column("device_others_mean_28d").tolist() == [0, 1]


def test_partitions_after_the_exchange():
    """Notes travel with the events: an account alone has the company that it has among all."""
    plan, timeline = plan_of(), timeline_of(ring(5))
    population, whole = fill(plan, timeline)
    exchanged = plan.annotated(timeline)
    for n in range(5):
        alone = plan.vectors(exchanged.of_entities(np.arange(5) == n), population)
        assert alone.values.tobytes() == np.ascontiguousarray(whole.values[:, n : n + 1]).tobytes()


def test_null_is_no_value():
    """Events without a device have no company on it, not even each other's."""
    events = [Event(user, NOON + n, user, "pay", None, None) for n, user in enumerate(("ann", "bob"))]
    assert np.isnan(vectors_of(events).values).all()


def crowd_log():
    """Forty accounts with a phone each, a terminal for every two, and one of three countries."""
    return [
        Event(f"u{n}", NOON + n * HOUR + k, f"e{n} {k}", f"country {n % 3}", f"terminal {n // 2}", None)
        for n in range(40)
        for k in range(3)
    ]


def test_the_plan_chooses_what_few_entities_touch():
    """Terminals of two accounts in forty are shared, a country of a third of them is not; one alone shares nothing."""
    assert FeaturePlan.for_log(timeline_of(crowd_log()), roles()).shared == ("device",)
    assert FeaturePlan.for_log(timeline_of(ring(1)), roles()).shared == ()
    assert FeaturePlan.for_log(timeline_of([]), roles()).shared == ()


def test_the_plan_remembers_what_is_shared():
    """The choice is in the plan's JSON and fingerprint, so that serving cannot choose otherwise."""
    plan = plan_of()
    back = FeaturePlan.from_json(plan.to_json())
    assert back.shared == ("device",)
    assert back == plan
    assert plan_of(shared=("action",)).fingerprint != plan.fingerprint
    assert plan_of(shared=()).features == ()
