"""Novelty against plain sets of what was there before."""

from __future__ import annotations

import math

import numpy as np
import pytest
from event_logs import DAY, HOUR, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, in_order, rows_of

from peculiar.features.families import Novelty
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

NOON = instant("2025-03-03T12:00")
WINDOW = {"1d": "1d", "1h": "1h", "event": "1d"}


def plan_of(windows=WindowSpec(), zone="UTC", few=1):  # noqa: B008 - frozen
    """A plan of this family alone."""
    return FeaturePlan(roles(zone), windows, (), (Novelty(few),))


def vectors_of(events, every="1d", zone="UTC", few=1):
    """The vectors of this family alone, on these events."""
    return fill(plan_of(WindowSpec(every), zone, few), timeline_of(events, zone))[1]


def at_noon(*seen, user="ann"):
    """Events on days counted from a first noon on, each with a device."""
    return [
        Event(user, NOON + d * DAY + n, f"{user} {d} {n}", None, device, None) for n, (d, device) in enumerate(seen)
    ]


def values(events, name):
    """The different values that are given."""
    return {getattr(event, name) for event in events} - {None}


def last_first(events, name):
    """When a value came up last that was not there before, if any did; the events are in the order of time."""
    firsts = [e.at for n, e in enumerate(events) if getattr(e, name) not in {None} | values(events[:n], name)]
    return max(firsts, default=None)


def shares(some, whole):
    """The share of each set in that which it is a part of; None of nothing."""
    return [len(part) / len(values) if values else None for part, values in zip(some, whole, strict=True)]


def plain(rows, window, everyone, few=1):
    """The features as their meanings say."""
    entities = {event.user for event in everyone}
    expected = {}
    for name in ("action", "device"):
        users = {value: {e.user for e in everyone if getattr(e, name) == value} for value in values(everyone, name)}
        now = [values(row.now, name) for row in rows]
        new = [found - values(row.before, name) for row, found in zip(rows, now, strict=True)]
        unheard = [{value for value in found if len(users[value]) <= few} for found in new]
        rarity = [[math.log2(len(entities) / len(users[value])) for value in found] for found in new]
        last = [last_first(row.before, name) for row in rows]
        expected |= {
            f"{name}_new_count_{window}": [len(found) for found in new],
            f"{name}_new_share_{window}": shares(new, now),
            f"{name}_unheard_count_{window}": [len(found) for found in unheard],
            f"{name}_unheard_share_{window}": shares(unheard, now),
            f"{name}_new_rarity_{window}": [max(bits, default=None) for bits in rarity],
            f"{name}_new_before_{window}": [
                None if then is None else (min(e.at for e in row.now) - then) / DAY
                for row, then in zip(rows, last, strict=True)
            ],
        }
    return expected


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_plain_sets(world, every):
    """On any log the columns are what sets of values now and before come to, and there are no others."""
    ordered = in_order(world.events, world.timeline)
    rows = rows_of(ordered, world.zone, every)
    vectors = vectors_of(world.events, every, world.zone)
    expected = plain(rows, WINDOW[every], world.events)
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


@given(world=worlds())
@settings(max_examples=20)
def test_how_few_is_a_setting(world):
    """With a few of two, a value that two entities used may be new to everyone."""
    rows = rows_of(world.events, world.zone)
    hold(vectors_of(world.events, zone=world.zone, few=2), rows, plain(rows, "1d", world.events, few=2))


def test_single_events_among_many_news():
    """Where new values of every rarity come and go with each event, the rarest is still that of a plain look."""
    rng = np.random.default_rng(5)
    devices = [f"d{n}" for n in range(40) for _ in range(n % 5 + 1)]
    events = [
        Event(f"u{n % 7}", NOON + int(rng.integers(40 * DAY)), str(n), "pay", rng.choice([*devices, None]), None)
        for n in range(900)
    ]
    timeline = timeline_of(events)
    rows = rows_of(in_order(events, timeline), "UTC", "event")
    hold(vectors_of(events, "event"), rows, plain(rows, "1d", events))


def test_a_new_phone_after_three_weeks():
    """The phone that comes up on day 21 is new that day and not the next, and nothing new had been for 21 days."""
    vectors = vectors_of(
        at_noon(*((d, "phone") for d in range(21)), (21, "new phone"), (21, "phone"), (22, "new phone"))
    )
    assert vectors.column("device_new_count_1d").tolist() == [1, *[0] * 20, 1, 0]
    assert vectors.column("device_new_share_1d").tolist() == [1, *[0] * 20, 0.5, 0]
    assert vectors.column("device_new_before_1d")[1:].tolist() == pytest.approx([*range(1, 22), 1], abs=1e-4)


def test_what_left_the_horizon_is_new_again():
    """A value last seen 28 days before the window's day is known, one last seen 29 days before is new."""
    for days, new in ((28, 0), (29, 1)):
        assert vectors_of(at_noon((0, "phone"), (days, "phone"))).column("device_new_count_1d").tolist() == [1, new]


def test_a_first_that_leaves_the_horizon_makes_the_next_the_first():
    """Once the first use is out of the horizon, the second is the first that the horizon knows."""
    vectors = vectors_of(at_noon((0, "phone"), (10, "phone"), (28, "phone"), (29, "phone")))
    days = vectors.column("device_new_before_1d")
    assert math.isnan(days[0])
    assert days[1:].tolist() == pytest.approx([10, 28, 19], abs=1e-4)


def test_a_day_of_single_events_slides():
    """As of each event the day that ends with it is held against the 28 days before that day, not before the event."""
    vectors = vectors_of(at_noon((0, "phone"), (0, "phone"), (0.5, "tablet"), (1.6, "phone")), "event")
    assert vectors.column("device_new_count_1d").tolist() == [1, 1, 2, 0]
    assert vectors.column("device_new_share_1d").tolist() == [1, 1, 1, 0]


def test_runs_are_held_against_the_horizon_before_them():
    """With windows by session, what an earlier session had is not new."""
    events = [
        Event("ann", NOON + n * HOUR, str(n), a, d, None) for n, (a, d) in enumerate(["ax", "bx", "by", "cy", "az"])
    ]
    plan = plan_of(WindowSpec(by="device"))
    vectors = fill(plan, timeline_of(events))[1]
    assert vectors.column("action_new_count_session").tolist() == [2, 1, 0]
    assert vectors.column("action_new_share_session").tolist() == [1, 0.5, 0]


def test_the_frozen_population_decides_what_is_rare():
    """What three of four use is worth 0.4 bits, what one uses or none two bits, and those are new to everyone."""
    train = [event for user in "abc" for event in at_noon((0, "common"), user=user)] + at_noon((0, "own"), user="d")
    plan = plan_of()
    population = plan.fit(timeline_of(train))
    for device, bits, unheard in (("common", math.log2(4 / 3), 0), ("own", 2, 1), ("never seen", 2, 1)):
        vectors = plan.vectors(timeline_of(at_noon((40, device), user="e")), population)
        assert vectors.column("device_new_rarity_1d")[0] == pytest.approx(bits)
        assert vectors.column("device_unheard_count_1d").tolist() == [unheard]
        assert vectors.column("device_unheard_share_1d").tolist() == [unheard]


def test_the_rarest_of_several_new_ones_counts():
    """Common news beside rare news do not make it less rare; without news there is no rarity."""
    train = [event for user in "abcd" for event in at_noon((0, "common"), user=user)] + at_noon((1, "rare"), user="a")
    vectors = vectors_of(train + at_noon((2, "common"), (2, "rare"), (3, "rare"), user="z"))
    rarity = vectors.column("device_new_rarity_1d")[-2:]
    assert rarity[0] == pytest.approx(math.log2(5 / 2))
    assert math.isnan(rarity[1])


def test_an_own_phone_is_news_once():
    """A phone that one entity uses every day is new to everyone on its first day alone."""
    assert vectors_of(at_noon((0, "own"), (1, "own"), (2, "own"))).column("device_unheard_count_1d").tolist() == [
        1,
        0,
        0,
    ]


def test_a_dimension_of_any_name_is_counted_apart():
    """Entities are counted once each, however often they use a value, and are no value themselves."""
    plan = plan_of()
    population = plan.fit(timeline_of(at_noon((0, "x"), (0, "x"), (3, "x")) + at_noon((0, "x"), (0, "y"), user="bob")))
    assert sorted(population.keyed["novelty.device"].counts.tolist()) == [1, 2]
    assert population.counts["novelty"].tolist() == [2]
