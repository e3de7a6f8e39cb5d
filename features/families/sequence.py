"""Sequence: an odd order.

What follows what, over the actions of the current window: how surprising each transition is, in bits, -log2 of the
probability of an action given the one before it; the same for the most surprising action given the two before it; how
often an action repeats itself, its longest run, how many different transitions there are. Probabilities are those of
everyone in training. Order is only told within a window, here and in training: the last action of a day and the first
of the next are no transition. Nor are two actions with an event without action between them.

Smoothing is that of MacKay and Peto (1995, "A hierarchical Dirichlet language model"): the counts of what followed a
context are mixed with ``prior_events`` events' worth of the shorter context, P(b | a) = (n(ab) + k P(b)) / (n(a) + k),
and P(c | ab) likewise with P(c | b). So a transition never seen is no surprise where little is known of what follows,
is a large one after a common action, and is smaller if the next action is common anyway; adding a constant to each
count instead would give nearly all of a rare context's probability to what never happens. P(b) has one more count for
each action and one for all others, so that nothing is impossible.

The commonest actions of training stand for themselves (the ``actions`` commonest in transitions, the
``trigram_actions`` commonest in trigrams), all others are one. Cost: one look at each event of the window, in tables
that stay in the cache. Blind to time between actions, to order across windows, and to which of the rare actions it was
(that is novelty). Transitions as a sign of masquerade: Ju and Vardi (2001), "A hybrid high-order Markov chain model for
computer intrusion detection".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import kernel
from ..population import Keyed
from ..sliding import distinct, highest, turns
from ..witness import both_ends, firsts, window_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..columns import Codes
    from ..family import Context, Observation, Shape
    from ..population import Population
    from ..snapshots import Snapshots
    from ..timeline import Timeline

__all__ = ["Sequence"]

_ACTIONS, _PAIRS, _TRIPLES = "sequence.actions", "sequence.transitions", "sequence.trigrams"
_OTHER = np.uint64(0x8C3F1D5B7A9E2460)  # stands for all actions that are not among the commonest
_MIX = np.uint64(0x9FB21C651E98DF25)
_SHIFT = np.uint64(32)
_UNITS = float(1 << 32)  # surprises are counted in these: sums of integers may slide, sums of floats may not


@dataclass(frozen=True)
class Sequence:
    """An odd order: surprise of transitions and trigrams, repetition, runs.

    Attributes
    ----------
    prior_events : float
        How many events' worth of the shorter context are mixed into what followed a context.
    actions : int
        How many of the commonest actions stand for themselves in transitions.
    trigram_actions : int
        How many do in trigrams; not more than ``actions``.
    """

    prior_events: float = 8.0
    actions: int = 255
    trigram_actions: int = 63

    name: ClassVar[str] = "sequence"
    version: ClassVar[int] = 2

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Six, if the log says what was done."""
        if shape.action is None:
            return ()
        window, two = shape.window, f"no two consecutive events of the window have {shape.action}"
        three = two.replace("two", "three")
        rows = (
            ("transition_surprise_mean", "bits", "Mean surprise of the transitions from an action to the next",
             two, "an order of actions unusual by {value} bits a step"),
            ("transition_surprise_max", "bits", "Surprise of the most unusual transition from an action to the next",
             two, "an action after another, unusual by {value} bits"),
            ("trigram_surprise_max", "bits", "Surprise of the most unusual action given the two before it",
             three, "an action after two others, unusual by {value} bits"),
            ("repeat_share", "share", "Share of transitions that repeat the action", two,
             "{value} of the steps repeat the action"),
            ("run_max", "events", "Longest run of one action without another or an event without action between",
             "never null", "{value} times the same action in a row"),
            ("transition_distinct", "values", "Number of different transitions from an action to the next",
             "never null", "{value} different steps from action to action"),
        )  # fmt: skip
        levels = ("transition_surprise_mean", "run_max")
        return tuple(
            Feature(f"{what}_{window}", self.name, unit, f"{meaning}, in the last {window}.", null, phrase,
                    subject="order", level=what in levels)
            for what, unit, meaning, null, phrase in rows
        )  # fmt: skip

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, Observation]:  # noqa: ARG002
        """How often each action was done."""
        if shape.action is None:
            return {}
        codes = timeline.dimensions[shape.action]
        counts = np.bincount(codes.codes[codes.codes >= 0], minlength=len(codes.values))
        done = np.flatnonzero(counts)
        return {_ACTIONS: Keyed.of(codes.keys[done], counts[done].astype(np.int64))}

    def relate(
        self, timeline: Timeline, snapshots: Snapshots, shape: Shape, population: Population
    ) -> Mapping[str, Observation]:
        """How often each of the commonest actions followed another, and two others.

        A second look, since which are the commonest is known only after the first, and the pairs and trigrams of all
        actions of a log with thousands would not fit into a model.
        """
        if shape.action is None:
            return {}
        codes, keys = timeline.dimensions[shape.action], self._commonest(population)
        few, bounds = _fewer(keys, self.trigram_actions), (snapshots.start, snapshots.stop)
        pairs, triples = np.zeros((len(keys),) * 2, np.int64), np.zeros((len(few),) * 3, np.int64)
        _counts(codes.codes, _slots(codes, keys), bounds, pairs, triples)
        return {_PAIRS: _keyed(_hashes(keys, 2), pairs), _TRIPLES: _keyed(_hashes(few, 3), triples)}

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Tell each step once, with the surprises in two tables; then what the steps of a window come to."""
        if context.shape.action is None:
            return
        codes, keys = context.timeline.dimensions[context.shape.action], self._commonest(context.population)
        snapshots, tables = context.snapshots, self._surprises(context.population, keys)
        lo, hi = int(snapshots.start[0]), int(snapshots.stop[-1])
        start, stop = snapshots.start - lo, snapshots.stop - lo
        there = np.flatnonzero(snapshots.rows[1:] > snapshots.rows[:-1])
        first = np.zeros(hi - lo, np.bool_)
        first[start[snapshots.rows[there]]] = True
        pairs, bits, trigrams, begin = _steps(codes.codes[lo:hi], first, _slots(codes, keys), tables)
        inner, turn = np.minimum(start + 1, stop), turns(begin, start, stop)
        _means(columns, bits, begin, inner, stop)
        highest(columns[1], bits, inner, stop)
        highest(columns[2], trigrams, np.minimum(start + 2, stop), stop)
        highest(columns[4], np.arange(1, hi - lo + 1) - begin, turn, stop)
        np.fmax(columns[4], turn - start, out=columns[4], casting="same_kind")
        distinct(columns[5], pairs, inner, stop, np.zeros(len(keys) ** 2, np.int32))

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The events of the most unusual step or trigram, of unusual steps, of repetitions, of the longest run."""
        now, name, population = window_of(context, row), feature.name, context.population
        codes = context.timeline.dimensions[str(context.shape.action)]
        keys = population.derive(f"{self}.keys", partial(self._commonest, population))
        tables = population.derive(f"{self}.bits", partial(self._surprises, population, keys))
        first = now == now[0]
        pairs, bits, trigrams, begin = _steps(codes.codes[now], first, _slots(codes, keys), tables)
        if name.startswith("run_max"):
            last = int((np.arange(len(now)) - begin).argmax())
            return now[begin[last] : last + 1]
        by = trigrams if name.startswith("trigram") else bits
        if np.isnan(by).all():
            return now[:0]
        if "_surprise_max" in name:
            return both_ends(now[[int(np.nanargmax(by))]], 3 if by is trigrams else 2)
        steps = np.flatnonzero(by >= np.nanmean(by))
        if name.startswith("repeat"):
            steps = np.flatnonzero((pairs >= 0) & (begin < np.arange(len(now))))
        elif name.startswith("transition_distinct"):
            steps = firsts(pairs, np.arange(len(now)))
        return both_ends(now[steps])

    def _commonest(self, population: Population) -> NDArray[np.uint64]:
        """The keys of the commonest actions, in an order that counts and keys alone decide, and that of all others."""
        if _ACTIONS not in population.keyed:
            return np.array([_OTHER])
        seen = population.keyed[_ACTIONS]
        order = np.argsort(-seen.counts, kind="stable")[: self.actions]
        return np.append(seen.keys[order], _OTHER)

    def _surprises(
        self, population: Population, keys: NDArray[np.uint64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """-log2 P(b | a) and -log2 P(c | ab), one dimension for each action."""
        single, few = _singles(population, keys), _fewer(keys, self.trigram_actions)
        base = (single + 1.0) / (single.sum() + len(keys))
        pairs, triples = _looked_up(population, _PAIRS, keys, 2), _looked_up(population, _TRIPLES, few, 3)
        slot = np.minimum(np.arange(len(keys)), len(few) - 1)
        merged, folded = np.zeros((len(few), len(few)), np.int64), np.zeros(len(few))
        np.add.at(merged, (slot[:, None], slot[None, :]), pairs)
        np.add.at(folded, slot, base)
        second = self._given(triples, self._given(merged, folded))
        return -np.log2(self._given(pairs, base)).astype(np.float32), -np.log2(second).astype(np.float32)

    def _given(self, counts: NDArray[np.int64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of the last action given those before it, with that given one less mixed in."""
        context = counts.sum(axis=-1, keepdims=True)
        return (counts + self.prior_events * prior) / (context + self.prior_events)


def _slots(codes: Codes, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The slot of each code: its place among the commonest, or that of all others."""
    order = np.argsort(keys)
    place = order[np.minimum(np.searchsorted(keys, codes.keys, sorter=order), len(keys) - 1)]
    return np.where(keys[place] == codes.keys, place, len(keys) - 1).astype(np.int32)


def _fewer(keys: NDArray[np.uint64], most: int) -> NDArray[np.uint64]:
    """The first of the keys, and that of all others."""
    return np.append(keys[:-1][:most], _OTHER)


def _hashes(keys: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """A hash of each tuple of keys of that length, in which the order of keys matters; the last changes fastest."""
    hashes = keys
    for _ in range(length - 1):
        mixed = (hashes[:, None] * _MIX + keys[None, :]) * _MIX
        hashes = (mixed ^ (mixed >> _SHIFT)).ravel()
    return hashes


def _keyed(hashes: NDArray[np.uint64], counts: NDArray[np.int64]) -> Keyed:
    seen = np.flatnonzero(counts)
    return Keyed.of(hashes[seen], counts.ravel()[seen])


def _singles(population: Population, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How often each action was done, all others at the end."""
    if _ACTIONS not in population.keyed:
        return np.zeros(len(keys), np.int64)
    single = population.keyed[_ACTIONS].of_keys(keys)
    single[-1] = population.keyed[_ACTIONS].counts.sum() - single[:-1].sum()
    return single


def _looked_up(population: Population, name: str, keys: NDArray[np.uint64], length: int) -> NDArray[np.int64]:
    """The counts of all tuples of that length, one dimension for each place."""
    size = (len(keys),) * length
    if name not in population.keyed:
        return np.zeros(size, np.int64)
    return population.keyed[name].of_keys(_hashes(keys, length)).reshape(size)


@kernel
def _counts(
    codes: NDArray[np.int32],
    slots: NDArray[np.int32],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    pairs: NDArray[np.int64],
    triples: NDArray[np.int64],
) -> None:
    """Transitions and trigrams that lie within a window, each once though windows may overlap."""
    start, stop = bounds
    last, done = len(triples) - 1, 0
    for r in range(len(start)):
        for i in range(max(start[r] + 1, done), stop[r]):
            if codes[i] < 0 or codes[i - 1] < 0:
                continue
            a, b = slots[codes[i - 1]], slots[codes[i]]
            pairs[a, b] += 1
            if i - 2 >= start[r] and codes[i - 2] >= 0:
                triples[min(slots[codes[i - 2]], last), min(a, last), min(b, last)] += 1
        done = stop[r]


@kernel
def _steps(
    codes: NDArray[np.int32],
    first: NDArray[np.bool_],
    slots: NDArray[np.int32],
    tables: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Of each event the transition that ends with it and its surprise, that of the trigram, and where its run begins.

    No transition is -1 and has no surprise; a run that an event without action ends begins after it.
    """
    single, second = tables
    last, n = len(second) - 1, len(codes)
    pairs, begin = np.full(n, -1, np.int32), np.empty(n, np.int64)
    bits, trigrams = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    for i in range(n):
        begin[i] = i if codes[i] >= 0 else i + 1
        if codes[i] < 0 or first[i] or codes[i - 1] < 0:
            continue
        if codes[i - 1] == codes[i]:
            begin[i] = begin[i - 1]
        a, b = slots[codes[i - 1]], slots[codes[i]]
        pairs[i] = a * len(single) + b
        bits[i] = single[a, b]
        if not first[i - 1] and codes[i - 2] >= 0:
            trigrams[i] = second[min(slots[codes[i - 2]], last), min(a, last), min(b, last)]
    return pairs, bits, trigrams, begin


@kernel
def _means(
    columns: NDArray[np.float32],
    bits: NDArray[np.float32],
    begin: NDArray[np.int64],
    inner: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> None:
    """Mean surprise and share of repetitions of the window's transitions, from sums of integers, which may slide."""
    lo = hi = 0
    n, repeats, total = 0, 0, np.int64(0)
    for r in range(len(inner)):
        if inner[r] >= hi:
            lo, hi = inner[r], inner[r]
            n, repeats, total = 0, 0, np.int64(0)
        for i in range(hi, stop[r]):
            if not np.isnan(bits[i]):
                n, repeats = n + 1, repeats + (1 if begin[i] < i else 0)
                total += np.int64(np.rint(_UNITS * bits[i]))
        for i in range(lo, inner[r]):
            if not np.isnan(bits[i]):
                n, repeats = n - 1, repeats - (1 if begin[i] < i else 0)
                total -= np.int64(np.rint(_UNITS * bits[i]))
        lo, hi = inner[r], stop[r]
        if n > 0:
            columns[0, r], columns[3, r] = total / (n * _UNITS), repeats / n
