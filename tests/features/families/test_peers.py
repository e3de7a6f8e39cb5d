"""Peers against groups gathered in dictionaries, each with a population of its own."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from event_logs import DAY, HOUR, Event, instant, rich_log, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, in_order, rows_of

from peculiar.features.families import Breadth, Peers, Velocity, Volume
from peculiar.features.plan import FeaturePlan
from peculiar.features.population import Population, histogram
from peculiar.features.snapshots import WindowSpec

BEFORE = (Volume(), Velocity(), Breadth())
FEW = Peers(least_windows=3)
ACTIONS = ("pay", "view")


def build(events, every="1d", zone="UTC", peer_by=None, peers=FEW):
    """Plan, population and vectors of the families that have levels, and of peers."""
    parts = replace(roles(zone), peer_by=peer_by)
    plan = FeaturePlan(parts, WindowSpec(every), ACTIONS, (*BEFORE, peers))
    return plan, *fill(plan, timeline_of(events, zone))


def spread_of(values):
    """A population of some values of one feature."""
    return Population(histograms={"x": histogram([np.array(values, np.float32)])[0]})


def usual(people):
    """The median and the spread: half of what the middle two thirds span, or the upper tail, or the size."""
    low, centre, high, top = (people.quantile("x", share) for share in (0.159, 0.5, 0.841, 0.99))
    if math.isnan(centre):
        return 0.0, 1.0
    spreads = ((high - low) / 2, (top - centre) / 2.326)
    return centre, next((spread for spread in spreads if spread > 1e-12), max(abs(centre), 1.0))


def teams(rows):
    """The team of the last event that has one, of the window or of the horizon before it."""
    return [next((e.team for e in reversed(row.before + row.now) if e.team is not None), None) for row in rows]


def habits(rows):
    """How much was done a day before the window, by the quarters of everyone's, and what was done most."""
    days = [max(1.0, (row.since - row.before[0].at) / DAY) if row.before else math.nan for row in rows]
    rates = [np.float32(len(row.before) / age) for row, age in zip(rows, days, strict=True)]
    busy = spread_of(rates)
    edges = [busy.quantile("x", share) for share in (0.25, 0.5, 0.75)]
    found = []
    for row, rate in zip(rows, rates, strict=True):
        counts = Counter(event.action for event in row.before)
        most = max(ACTIONS, key=lambda action: (counts[action], -ACTIONS.index(action)))
        quarter = 1 + sum(rate >= edge for edge in edges) if row.before else 0
        found.append((quarter, most if counts[most] else None))
    return found


def plain(plan, rows, groups, vectors):
    """The features as their meanings say, from the columns of the families before."""
    expected, least = {}, plan.families[-1].least_windows
    for level in (feature.name for feature in plan.features if feature.level):
        values = vectors.column(level).astype(np.float64)
        members = defaultdict(list)
        for group, value in zip(groups, values, strict=True):
            members[group] += [value] if group is not None and not math.isnan(value) else []
        everyone = spread_of(values)
        people = {group: spread_of(own) for group, own in members.items() if len(own) >= least}
        against = [people.get(group, everyone) for group in groups]
        judged = [usual(peers) for peers in against]
        expected[f"{level}_vs_peers"] = [(x - c) / s for x, (c, s) in zip(values, judged, strict=True)]
        what, statistic, _ = level.rsplit("_", 2)
        if (what, statistic) == ("events", "count") or statistic in {"distinct", "sum"}:
            shares = [p.share_below("x", np.array([x], np.float32))[0] for x, p in zip(values, against, strict=True)]
            expected[f"{level}_below_vs_peers"] = shares
    return expected


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@pytest.mark.parametrize("peer_by", ["team", None])
@given(world=worlds())
@settings(max_examples=25)
def test_equals_groups_gathered_one_by_one(peer_by, every, world):
    """On any log the columns are the z and the share below against the group, or everyone, and there are no others."""
    plan, _, vectors = build(world.events, every, world.zone, peer_by)
    rows = rows_of(in_order(world.events, world.timeline), world.zone, every)
    expected = plain(plan, rows, teams(rows) if peer_by else habits(rows), vectors)
    assert [feature.name for feature in plan.by_family["peers"]] == list(expected)
    hold(vectors, rows, expected)


@pytest.mark.parametrize("peer_by", ["team", None])
def test_equals_groups_on_the_rich_log(peer_by):
    """Groups of dozens of windows, of which some are too few to be used, are gathered as well."""
    plan, _, vectors = build(rich_log(), zone="Europe/Berlin", peer_by=peer_by, peers=Peers(least_windows=30))
    rows = rows_of(rich_log(), "Europe/Berlin")
    groups = teams(rows) if peer_by else habits(rows)
    sizes = Counter(groups).values()
    assert min(sizes) < 30 <= max(sizes)
    hold(vectors, rows, plain(plan, rows, groups, vectors))


def daily(user, counts, team=None, begin="2025-03-03T08:00"):
    """So many events on each day, from one morning on."""
    start = instant(begin)
    return [
        Event(user, start + day * DAY + n, f"{user} {day} {n}", "pay", None, None, team=team)
        for day, count in enumerate(counts)
        for n in range(count)
    ]


def company():
    """Ten drivers who do thirty or so a day, ten clerks who do two or so, for twenty days."""
    drivers = [event for n in range(10) for event in daily(f"driver {n}", [28, 30, 32, 30] * 5, "drivers")]
    return drivers + [event for n in range(10) for event in daily(f"clerk {n}", [1, 2, 3, 2] * 5, "clerks")]


@pytest.mark.parametrize("peer_by", ["team", None])
def test_thirty_a_day_are_usual_for_a_driver_and_odd_for_a_clerk(peer_by):
    """What drivers do every day stands out in a clerk, by a given column as by habit."""
    clerk = daily("odd clerk", [2] * 19 + [30], "clerks")
    _, _, vectors = build(company() + clerk, peer_by=peer_by, peers=Peers(least_windows=20))
    z, below = vectors.column("events_count_1d_vs_peers"), vectors.column("events_count_1d_below_vs_peers")
    names = vectors.entity.to_pylist()
    last = {name: row for row, name in enumerate(names)}
    assert abs(z[last["driver 3"]]) <= 1
    assert z[last["odd clerk"]] > 20
    assert below[last["odd clerk"]] > 0.99
    assert vectors.column("events_count_1d")[last["odd clerk"]] == vectors.column("events_count_1d")[last["driver 3"]]


def test_worked_by_hand():
    """Against windows of one, two, three and four events: their median is two, their spread one and a half."""
    events = [event for n, count in enumerate([1, 2, 3, 4]) for event in daily(f"u{n}", [count], "red")]
    plan, population, _ = build(events, peer_by="team")
    vectors = plan.vectors(timeline_of(daily("new", [2], "red") + daily("odd", [9], "red")), population)
    assert vectors.column("events_count_1d_vs_peers").tolist() == [0.0, 4.666666507720947]
    assert vectors.column("events_count_1d_below_vs_peers").tolist() == [0.25, 1.0]


def test_a_small_or_unknown_group_is_held_against_everyone():
    """A team of two windows, and one never seen, get what somebody without any team gets."""
    events = company() + daily("guest", [2, 2], "guests")
    plan, population, _ = build(events, peer_by="team", peers=Peers(least_windows=20))
    asked = [daily(str(n), [7], team) for n, team in enumerate(("guests", "strangers", None, "clerks"))]
    vectors = plan.vectors(timeline_of([event for one in asked for event in one]), population)
    for name in ("events_count_1d_vs_peers", "events_count_1d_below_vs_peers"):
        small, unknown, without, clerk = vectors.column(name).tolist()
        assert small == unknown == without != clerk


def test_the_last_event_decides_and_the_horizon_helps_out():
    """The new team judges who changes; a window without a team goes by the one before, while the horizon lasts."""
    plan, population, _ = build(company(), peer_by="team", peers=Peers(least_windows=20))
    start = instant("2025-06-02T08:00")
    moves = [("clerks", 0), ("drivers", HOUR), (None, 2 * HOUR), (None, 28 * DAY), (None, 57 * DAY)]
    events = [Event("ann", start + at, str(n), "pay", None, None, team=team) for n, (team, at) in enumerate(moves)]
    z = plan.vectors(timeline_of(events), population).column("events_count_1d_vs_peers")
    everyone = spread_of([e for row in rows_of(company()) for e in [len(row.now)]])
    drivers = spread_of([28, 30, 32, 30])
    for found, value, people in zip(z, (3, 1, 1), (drivers, drivers, everyone), strict=True):
        centre, spread = usual(people)
        assert found == pytest.approx((value - centre) / spread)


def test_the_window_does_not_choose_its_own_peers():
    """Somebody quiet who does fifty things in a day stays among the quiet for that day."""
    quiet = daily("odd", [1] * 19)
    plan, population, _ = build(company() + quiet, peers=Peers(least_windows=20))
    for last in (1, 50):
        vectors = plan.vectors(timeline_of(quiet + daily("odd", [last], begin="2025-03-22T09:00")), population)
        assert (vectors.column("events_count_1d_vs_peers")[-1] > 20) == (last == 50)


def test_groups_do_not_depend_on_partitions():
    """The counts of two halves of the entities add up to those of all, group by group and bin by bin."""
    events = company()
    plan, whole, _ = build(events, peer_by="team")
    halves = [build([e for e in events if (e.user[-1] < "5") == low], peer_by="team")[1] for low in (True, False)]
    both = halves[0].merged(halves[1])
    for name, counted in whole.keyed.items():
        assert np.array_equal(both.keyed[name].keys, counted.keys)
        assert np.array_equal(both.keyed[name].counts, counted.counts)
    assert {f"peers.{feature.name}" for feature in plan.features if feature.level} == set(whole.keyed)


def test_the_population_survives_its_file(tmp_path):
    """Groups written with the population and read back judge to the same bits."""
    plan, population, vectors = build(company(), peer_by="team")
    population.save(tmp_path / "population.arrow")
    again = plan.vectors(timeline_of(company()), Population.load(tmp_path / "population.arrow"))
    assert again.values.tobytes() == vectors.values.tobytes()
