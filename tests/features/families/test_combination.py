"""Combination against plain sets of pairs, and the odd basket."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from event_logs import DAY, HOUR, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import hold, in_order, rows_of, wall

from peculiar.features.families import Combination
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

PRIOR, HORIZON = 5.0, 28


def plan_of(every="1d", zone="UTC", values=1024):
    """A plan of the family alone, judging devices."""
    family = Combination(values=values, prior_pairs=PRIOR)
    return FeaturePlan(roles(zone), WindowSpec(every), (), (family,), baskets=("device",))


def blocks_of(events, zone):
    """The set of devices of each entity in each block of 28 days on the wall's calendar."""
    held = {}
    for event in events:
        block = (wall(event.at, zone).replace(tzinfo=None) - wall(0, "UTC").replace(tzinfo=None)).days // HORIZON
        if event.device is not None:
            held.setdefault((event.user, block), set()).add(event.device)
    return list(held.values())


def surprises(events, zone):
    """The surprise of every pair, as the module's text says."""
    blocks = blocks_of(events, zone)
    holders = Counter(value for block in blocks for value in block)
    together = Counter(frozenset(pair) for block in blocks for pair in combinations(sorted(block), 2))
    first, second = sum(map(len, blocks)), sum(len(block) * (len(block) - 1) for block in blocks)

    def bits(a, b):
        chance = holders[a] * holders[b] * second / max(1, first**2)
        return max(0.0, math.log2((chance + PRIOR) / (together[frozenset((a, b))] + PRIOR)))

    return bits


def told(found):
    """The highest and the sum of the six highest."""
    ordered = sorted(found, reverse=True)
    return ordered[0], sum(ordered[:6])


def plain(rows, bits, every):
    """The features as their meanings say."""
    columns = {name: [] for name in (f"pair_surprise_max_{every}", f"set_surprise_{every}", "pair_surprise_max_28d",
                                     "set_surprise_28d", "pair_surprise_mean_28d")}  # fmt: skip
    for row in rows:
        now = {event.device for event in row.now} - {None}
        whole = now | {event.device for event in row.before} - {None}
        inner = [bits(a, b) for a, b in combinations(sorted(now), 2)]
        gathered = [bits(a, b) for a, b in combinations(sorted(whole), 2) if a in now or b in now]
        window, horizon = (told(inner) if inner else (None, None)), (told(gathered) if gathered else (None, None))
        mean = sum(gathered) / len(gathered) if gathered else None
        for column, value in zip(columns.values(), (*window, *horizon, mean), strict=True):
            column.append(value)
    return {f"device_{name}": column for name, column in columns.items()}


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_plain_sets_of_pairs(world, every):
    """On any log the columns are the surprises of sets of pairs, counted and looked up by hand."""
    timeline = timeline_of(world.events, world.zone)
    rows = rows_of(in_order(world.events, timeline), world.zone, every)
    plan = plan_of(every, world.zone)
    vectors = plan.vectors(timeline, plan.fit(timeline))
    expected = plain(rows, surprises(world.events, world.zone), plan.windows.name)
    hold(vectors, rows, expected)


def market():
    """Two hundred people of two tastes, who each buy six of the ten things of their taste over two weeks."""
    rng, noon, events = np.random.default_rng(5), instant("2025-03-03T12:00"), []
    for person in range(200):
        taste = "ab"[person % 2]
        for n, thing in enumerate(rng.choice(10, 6, replace=False)):
            at = noon + int(rng.integers(14)) * DAY + n * HOUR
            events.append(Event(f"p{person:03d}", at, f"{person} {n}", "buy", f"{taste}{thing}", 1.0))
    return events


def judged(basket, days):
    """The gathered surprise of a newcomer's things, one a day over some days, on the last of them."""
    begin = instant("2025-04-01T12:00")
    bought = [Event("zoe", begin + day * DAY + n * HOUR, f"z{n}", "buy", thing, 1.0)
              for n, (thing, day) in enumerate(zip(basket, days, strict=True))]  # fmt: skip
    plan = plan_of()
    population = plan.fit(timeline_of(market()))
    return plan.vectors(timeline_of(bought), population).column("device_set_surprise_28d")[-1]


def test_the_odd_basket():
    """Things that are common each, but never bought by one person, are odd together; those of one taste are not."""
    assert judged(["a1", "b2", "a3", "b4"], [0, 0, 0, 0]) > 5
    assert judged(["a1", "a2", "a3", "a4"], [0, 0, 0, 0]) < 1


def test_a_basket_filled_over_weeks_is_as_odd_to_complete():
    """The last of four things that do not go together is heard on its day, days after the first."""
    assert judged(["a1", "a2", "a3", "b4"], [0, 5, 9, 13]) > 3
    assert judged(["a1", "a2", "a3", "a4"], [0, 5, 9, 13]) < 1


def test_two_rare_things_that_never_met_say_nothing():
    """A pair that chance would hardly have brought together is no surprise."""
    noon = instant("2025-04-01T12:00")
    rare = [Event(f"r{n}", noon - 9 * DAY, f"r{n}", "buy", f"rare {n}", 1.0) for n in range(2)]
    plan = plan_of()
    population = plan.fit(timeline_of(market() + rare))
    both = [Event("zoe", noon + n * HOUR, f"z{n}", "buy", f"rare {n}", 1.0) for n in range(2)]
    assert plan.vectors(timeline_of(both), population).column("device_pair_surprise_max_1d")[0] < 0.01


def test_brand_new_things_are_left_to_novelty():
    """Values that nobody had before form no pair."""
    plan = plan_of()
    population = plan.fit(timeline_of(market()))
    noon = instant("2025-04-01T12:00")
    both = [Event("zoe", noon + n * HOUR, f"z{n}", "buy", f"new {n}", 1.0) for n in range(4)]
    assert np.isnan(plan.vectors(timeline_of(both), population).values).all()


def test_only_the_commonest_values_are_paired():
    """With room for four values, pairs of the others are not judged."""
    plan = plan_of(values=4)
    population = plan.fit(timeline_of(market()))
    assert len(population.counts["combination.device.pairs"]) == 16
