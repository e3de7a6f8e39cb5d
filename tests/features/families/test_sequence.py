"""Sequence against counts of what followed what."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from event_logs import DAY, HOUR, MINUTE, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import fill, hold, in_order, rows_of

from peculiar.features.families import Sequence
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

BEGIN = instant("2025-03-03T08:00")
WINDOW = {"1d": "1d", "1h": "1h", "event": "1d"}


def plan_of(family=Sequence(), every="1d", zone="UTC"):  # noqa: B008 - frozen
    """A plan of this family alone."""
    return FeaturePlan(roles(zone), WindowSpec(every), (), (family,))


def vectors_of(events, every="1d", zone="UTC", family=Sequence()):  # noqa: B008 - frozen
    """The vectors of this family alone, on these events."""
    return fill(plan_of(family, every, zone), timeline_of(events, zone))[1]


def day_of(actions, user="ann", day=0):
    """One event a minute, each with the action of one letter; a blank is none."""
    begin = BEGIN + day * DAY
    return [
        Event(user, begin + n * MINUTE, f"{user} {day} {n}", action.strip() or None, None, None)
        for n, action in enumerate(actions)
    ]


def grams(events, length):
    """Each stretch of so many consecutive events that all have an action."""
    found = [tuple(e.action for e in events[n : n + length]) for n in range(len(events) - length + 1)]
    return [gram for gram in found if None not in gram]


def once(rows, length):
    """All such stretches that lie within a window, each counted once though windows may overlap."""
    places = {}
    for row in rows:
        for n in range(len(row.now) - length + 1):
            stretch = row.now[n : n + length]
            places[tuple(e.id for e in stretch)] = tuple(e.action for e in stretch)
    return [gram for gram in places.values() if None not in gram]


class Language:
    """What follows what, with the counts of everyone and the shorter context mixed in."""

    def __init__(self, everyone, rows, family):
        counts = Counter(e.action for e in everyone if e.action is not None)
        assert len(set(counts.values())) == len(counts) or len(counts) <= family.trigram_actions
        ranked = [action for action, _ in counts.most_common()]
        self.known, self.few = ranked[: family.actions], ranked[: family.trigram_actions]
        self.events = Counter(map(self.fine, counts.elements()))
        self.pairs = Counter((self.fine(a), self.fine(b)) for a, b in once(rows, 2))
        self.triples = Counter(tuple(map(self.coarse, gram)) for gram in once(rows, 3))
        self.coarse_pairs = Counter()
        for (a, b), count in self.pairs.items():
            self.coarse_pairs[self.coarse(a), self.coarse(b)] += count
        self.weight = family.prior_events

    def fine(self, action):
        """The action, or that it is another."""
        return action if action in self.known else "other"

    def coarse(self, action):
        """The same for the fewer of trigrams."""
        return action if action in self.few else "other"

    def alone(self, b):
        """P(b), with one more event of each action and one of all others."""
        return (self.events[b] + 1) / (self.events.total() + len(self.known) + 1)

    def after(self, a, b):
        """P(b | a)."""
        follows = sum(count for (first, _), count in self.pairs.items() if first == a)
        return (self.pairs[a, b] + self.weight * self.alone(b)) / (follows + self.weight)

    def after_two(self, a, b, c):
        """P(c | ab), over the fewer actions."""
        alone = sum(self.alone(action) for action in {*self.known, "other"} if self.coarse(action) == c)
        follows = sum(count for (first, _), count in self.coarse_pairs.items() if first == b)
        shorter = (self.coarse_pairs[b, c] + self.weight * alone) / (follows + self.weight)
        follows = sum(count for (*context, _), count in self.triples.items() if context == [a, b])
        return (self.triples[a, b, c] + self.weight * shorter) / (follows + self.weight)

    def bits(self, gram):
        """The surprise of a transition or a trigram."""
        if len(gram) == 2:
            return -math.log2(self.after(*map(self.fine, gram)))
        return -math.log2(self.after_two(*map(self.coarse, gram)))


def plain(rows, window, language):
    """The features as their meanings say."""
    pairs = [grams(row.now, 2) for row in rows]
    bits = [[language.bits(pair) for pair in found] for found in pairs]
    trigrams = [[language.bits(gram) for gram in grams(row.now, 3)] for row in rows]
    runs = [[len(list(run)) for action, run in groupby(e.action for e in row.now) if action] for row in rows]
    slots = [{(language.fine(a), language.fine(b)) for a, b in found} for found in pairs]
    return {
        f"transition_surprise_mean_{window}": [sum(found) / len(found) if found else None for found in bits],
        f"transition_surprise_max_{window}": [max(found, default=None) for found in bits],
        f"trigram_surprise_max_{window}": [max(found, default=None) for found in trigrams],
        f"repeat_share_{window}": [sum(a == b for a, b in found) / len(found) if found else None for found in pairs],
        f"run_max_{window}": [max(found, default=0) for found in runs],
        f"transition_distinct_{window}": [len(found) for found in slots],
    }


@pytest.mark.parametrize(("every", "weight"), [("1d", 8.0), ("1d", 0.5), ("1h", 8.0), ("event", 8.0)])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_counts_of_what_followed_what(world, every, weight):
    """On any log the columns are the surprises, repetitions and runs that their names say, and there are no others."""
    ordered = in_order(world.events, world.timeline)
    rows = rows_of(ordered, world.zone, every)
    vectors = vectors_of(world.events, every, world.zone, family := Sequence(weight))
    expected = plain(rows, WINDOW[every], Language(world.events, rows, family))
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


# As many of each letter as its place in the alphabet says, so that which are the commonest is no matter of ties.
MANY = "".join(letter * (n + 1) for n, letter in enumerate("abcdefghijkl"))


@pytest.mark.parametrize("every", ["1d", "event"])
@pytest.mark.parametrize(("actions", "trigram_actions"), [(5, 3), (5, 5), (11, 1), (12, 12), (1, 1)])
@given(order=st.permutations(MANY))
@settings(max_examples=10)
def test_the_rarer_actions_are_one(every, actions, trigram_actions, order):
    """Beyond the commonest few actions all are one: in surprise and as transitions, not as repetitions and in runs."""
    events = [event for day in range(6) for event in day_of(order[day * 13 : day * 13 + 13], day=day)]
    family, rows = Sequence(2.0, actions, trigram_actions), rows_of(events, every=every)
    hold(vectors_of(events, every, family=family), rows, plain(rows, "1d", Language(events, rows, family)))


def test_by_hand():
    """Log in, view, view, pay: three transitions, one of them a repetition, a longest run of two."""
    vectors = vectors_of(day_of("lvvp"))
    assert vectors.column("transition_distinct_1d").tolist() == [3]
    assert vectors.column("repeat_share_1d").tolist() == [np.float32(1 / 3)]
    assert vectors.column("run_max_1d").tolist() == [2]
    # 4 events of 3 actions: P(v) = 3 / 8, P(p) = 2 / 8
    # P(v | l) = (1 + 8 P(v)) / (1 + 8), P(v | v) = (1 + 8 P(v)) / (2 + 8), P(p | v) = (1 + 8 P(p)) / (2 + 8)
    steps = [-math.log2((1 + 3) / 9), -math.log2((1 + 3) / 10), -math.log2((1 + 2) / 10)]
    assert vectors.column("transition_surprise_mean_1d")[0] == pytest.approx(sum(steps) / 3)
    assert vectors.column("transition_surprise_max_1d")[0] == pytest.approx(max(steps))
    # P(v | lv) = (1 + 8 * 0.4) / (1 + 8), P(p | vv) = (1 + 8 * 0.3) / (1 + 8)
    assert vectors.column("trigram_surprise_max_1d")[0] == pytest.approx(-math.log2((1 + 8 * 0.3) / 9))


def test_paying_before_logging_in_is_odd():
    """Among many who log in, view, pay and leave, one who pays first does the same things in a far odder order."""
    usual = [event for n in range(60) for event in day_of("lvpo", user=f"user {n:02}")]
    vectors = vectors_of(usual + day_of("plvo", user="z"))
    for name in ("transition_surprise_mean_1d", "transition_surprise_max_1d", "trigram_surprise_max_1d"):
        column = vectors.column(name)
        assert column[:-1].max() < 0.5
        assert column[-1] > 3


def test_each_step_usual_but_not_the_three():
    """Where a-b-c and d-b-e are what is done, a-b-e has no odd transition, and an odd trigram."""
    usual = [event for n in range(60) for event in day_of(("abc", "dbe")[n % 2], user=f"user {n:02}")]
    vectors = vectors_of(usual + day_of("abe", user="z"))
    worst, oddest = (vectors.column(name) for name in ("transition_surprise_max_1d", "trigram_surprise_max_1d"))
    assert worst[-1] < 1.2
    assert oddest[-1] > 2.5 > 4 * oddest[:-1].max()


def test_no_transition_crosses_the_edge_of_a_window():
    """The last action of a day and the first of the next are no transition, here and in training."""
    apart = day_of("a") + day_of("b", day=1)
    plan = plan_of()
    population = plan.fit(timeline_of(apart))
    assert population.keyed["sequence.transitions"].counts.tolist() == []
    vectors = plan.vectors(timeline_of(apart), population)
    assert vectors.column("transition_distinct_1d").tolist() == [0, 0]
    assert np.isnan(vectors.column("transition_surprise_mean_1d")).all()


def test_an_event_without_action_parts_the_sequence():
    """Between a and a with an unknown event between them is neither a transition nor a run."""
    vectors = vectors_of(day_of("aa aa"))
    assert vectors.column("run_max_1d").tolist() == [2]
    assert vectors.column("repeat_share_1d").tolist() == [1]
    assert np.isnan(vectors.column("trigram_surprise_max_1d")).all()
    nothing = vectors_of(day_of("  "))
    assert nothing.column("run_max_1d").tolist() == [0]
    assert np.isnan(nothing.column("repeat_share_1d")).all()


def test_overlapping_windows_count_a_transition_once():
    """With a window for each event the population knows as many transitions as there are."""
    events = day_of("abab") + [Event("ann", BEGIN + 3 * DAY + n * HOUR, f"late {n}", "a", None, None) for n in range(2)]
    population = plan_of(every="event").fit(timeline_of(events))
    assert sorted(population.keyed["sequence.transitions"].counts.tolist()) == [1, 1, 2]
    assert sorted(population.keyed["sequence.trigrams"].counts.tolist()) == [1, 1]


def test_an_action_that_training_never_saw():
    """It is a surprise, finite, and the same whatever it is called; so is any with a population of nobody."""
    plan = plan_of()
    population = plan.fit(timeline_of(day_of("abababab")))
    found = [plan.vectors(timeline_of(day_of(text)), population) for text in ("axa", "aya", "aba")]
    new, other, known = (vectors.column("transition_surprise_max_1d")[0] for vectors in found)
    assert new == other > known + 3
    nobody = plan.fit(timeline_of([]))
    assert plan.vectors(timeline_of(day_of("ab")), nobody).column("transition_surprise_max_1d").tolist() == [0]


def test_without_actions_there_is_no_order():
    """A log that does not say what was done has none of these features."""
    assert Sequence().features(replace(plan_of().shape, action=None), ()) == ()
