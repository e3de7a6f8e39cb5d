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

PRIOR, HORIZON = 0.05, 28  # a small prior, so that logs of a dozen events have odd pairs


def plan_of(every="1d", zone="UTC", values=1024, prior=5.0):
    """A plan of the family alone, judging devices, and devices with what was done."""
    family = Combination(values=values, prior_pairs=prior)
    known, crossed = roles(zone), (("action", "device"),)
    return FeaturePlan(known, WindowSpec(every), ("buy", "look"), (family,), baskets=("device",), crossed=crossed)


def device(event):
    """What the device's sets are made of."""
    return event.device


def deed(event):
    """What the sets of action and device are made of; actions that the plan does not name make none."""
    return None if event.device is None or event.action not in ("buy", "look") else (event.action, event.device)


def blocks_of(events, zone, part):
    """The set of values of each entity in each block of 28 days on the wall's calendar."""
    held = {}
    for event in events:
        block = (wall(event.at, zone).replace(tzinfo=None) - wall(0, "UTC").replace(tzinfo=None)).days // HORIZON
        if part(event) is not None:
            held.setdefault((event.user, block), set()).add(part(event))
    return list(held.values())


def surprises(events, zone, part):
    """The surprise of every pair, as the module's text says."""
    blocks = blocks_of(events, zone, part)
    holders = Counter(value for block in blocks for value in block)
    together = Counter(frozenset(pair) for block in blocks for pair in combinations(sorted(block), 2))
    first, second = sum(map(len, blocks)), sum(len(block) * (len(block) - 1) for block in blocks)

    def bits(a, b):
        chance = holders[a] * holders[b] * second / max(1, first**2)
        found = math.log2((chance + PRIOR) / (together[frozenset((a, b))] + PRIOR))
        return found if found >= 0.5 else 0.0

    return bits


def told(first, present, surprise):
    """The oddest pair and, for each doubling of the pairs, the bits of the four that grow from it.

    ``first`` are the pairs that may begin, ``present`` the values that may join. Where two are equally odd either may
    be taken, and both ways are told.
    """
    most, found = max(surprise(a, b) for a, b in first), set()
    for pair in first if most else ():
        if math.isclose(surprise(*pair), most, rel_tol=1e-6):
            found |= grown([set(pair)], most, present, surprise)
    doublings = math.log2(2 + len(first))
    return most, {bits / doublings for bits in found or {0.0}}


def grown(groups, bits, present, surprise):
    """The bits of every set of four that choosing the oddest next value can lead to."""
    (group,) = groups
    joining = {z: [surprise(x, z) for x in group] for z in present - group}
    sums = {z: sum(each) for z, each in joining.items() if min(each) > 0}
    if len(group) == 4 or not sums:
        return {bits}
    best = max(sums.values())
    tied = [z for z, value in sums.items() if math.isclose(value, best, rel_tol=1e-6)]
    return {end for z in tied for end in grown([group | {z}], bits + sums[z], present, surprise)}


def plain(rows, surprise, part):
    """The features as their meanings say, in their order; of a set the possible values."""
    columns = [[] for _ in range(5)]
    for row in rows:
        now = {part(event) for event in row.now} - {None}
        whole = now | {part(event) for event in row.before} - {None}
        inner = list(combinations(sorted(now), 2))
        gathered = [(a, b) for a, b in combinations(sorted(whole), 2) if a in now or b in now]
        window = told(inner, now, surprise) if inner else (None, {None})
        horizon = told(gathered, whole, surprise) if gathered else (None, {None})
        share = sum(surprise(a, b) > 0 for a, b in gathered) / len(gathered) if gathered else None
        for column, value in zip(columns, (*window, *horizon, share), strict=True):
            column.append(value)
    return columns


def hold_sets(vectors, name, columns):
    """See that the columns are the plain ones, a set's one of those possible."""
    ends = ("pair_surprise_max", "set_surprise", "pair_surprise_max", "set_surprise", "odd_pair_share")
    mine = [feature for feature in vectors.names if feature.startswith(f"{name}_")]
    assert [feature.rsplit("_", 1)[0] for feature in mine] == [f"{name}_{end}" for end in ends]
    for feature, column in zip(mine, columns, strict=True):
        for value, wanted in zip(vectors.column(feature).tolist(), column, strict=True):
            several = wanted if isinstance(wanted, set) else {wanted}
            assert any(math.isnan(value) if each is None else math.isclose(value, each, rel_tol=2e-5, abs_tol=2e-5)
                       for each in several), (feature, value, wanted)  # fmt: skip


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_plain_sets_of_pairs(world, every):
    """On any log the columns are the surprises of sets of pairs, counted and looked up by hand."""
    timeline = timeline_of(world.events, world.zone)
    rows = rows_of(in_order(world.events, timeline), world.zone, every)
    plan = plan_of(every, world.zone, prior=PRIOR)
    vectors = plan.vectors(timeline, plan.fit(timeline))
    expected = {}
    for name, part in (("device", device), ("action_device", deed)):
        columns = plain(rows, surprises(world.events, world.zone, part), part)
        hold_sets(vectors, name, columns)
        expected[f"{name}_odd_pair_share_28d"] = columns[-1]
    hold(vectors, rows, expected)


def test_many_values_in_many_words():
    """With hundreds of common values, more than fit one word of bits, the columns equal the plain ones."""
    rng = np.random.default_rng(11)
    when = instant("2025-03-03T12:00") + rng.integers(20 * DAY, size=4000)
    events = [Event(f"p{rng.integers(40):02d}", int(at), f"{n}", "buy", f"d{rng.integers(300)}", 1.0)
              for n, at in enumerate(np.sort(when))]  # fmt: skip
    timeline = timeline_of(events)
    rows = rows_of(in_order(events, timeline), "UTC", "1d")
    plan = plan_of(prior=PRIOR)
    vectors = plan.vectors(timeline, plan.fit(timeline))
    found = plain(rows, surprises(events, "UTC", device), device)
    assert sum(value is not None and value > 0 for value in found[2]) > 100
    hold_sets(vectors, "device", found)


def market():
    """Four hundred people of four tastes, who each buy six of the ten things of their taste over two weeks."""
    rng, noon, events = np.random.default_rng(5), instant("2025-03-03T12:00"), []
    for person in range(400):
        taste = "abcd"[person % 4]
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
    """Things that are common each, but never bought by one person, are odd together; those of one taste are not.

    One thing of another taste among those of one is odd, but not as a basket is of which no two go together.
    """
    basket = judged(["a1", "b2", "c3", "d4"], [0, 0, 0, 0])
    assert basket > 1.2
    assert judged(["a1", "a2", "a3", "a4"], [0, 0, 0, 0]) < 0.5
    assert judged(["a1", "a2", "a3", "b4"], [0, 0, 0, 0]) < basket / 3


def test_a_basket_filled_over_weeks_is_as_odd_to_complete():
    """The last of four things that do not go together is heard on its day, days after the first."""
    assert judged(["a1", "b2", "c3", "d4"], [0, 5, 9, 13]) > 1.2
    assert judged(["a1", "a2", "a3", "a4"], [0, 5, 9, 13]) < 0.5


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
