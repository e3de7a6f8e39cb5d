"""Combination: parts that are common, and a whole that is unheard of.

For a dimension such as the item, everyone's history is cut into blocks as long as the horizon, and for each pair of the
commonest values it is counted in how many entities' blocks both occur: ``n``. Chance alone would have brought them
together ``E = n_a n_b S2 / S1^2`` times, with ``S1`` and ``S2`` the sums over blocks of their size and of size times
size less one: busy entities bring more pairs about, and this allows for it (Chung and Lu, 2002). A pair's surprise is
``log2((E + b) / (n + b))`` bits, and nothing where it is seen as often as expected: the posterior mean of the rate
under a gamma prior of weight ``b``. So absence weighs as much as chance would have made of presence: forty times
expected and never seen is three bits, and two rare values that never met are none.

A set is as odd as its six oddest pairs together (six is what four odd values make). Their sum, unlike the sum over all
pairs, hardly grows with the size of the set, and unlike the single oddest pair tells one odd item from four. The set
of the window is judged, and the set that the horizon gathered, by those of its pairs that the window has part in; so a
basket that is filled over weeks speaks on the day that completes it. The formulations compared are in
``docs/decisions``.

Cost: a sliding list of the horizon's values, and one look into a table that fits the cache for each value of the window
and value of the horizon. Blind to values that are new or not among the commonest (that is novelty), to order, and to
amounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import kernel
from ..population import Keyed
from ..snapshots import micros
from ..survey import holders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..columns import Codes
    from ..family import Context, Observation, Shape
    from ..population import Population
    from ..snapshots import Snapshots
    from ..timeline import Timeline

__all__ = ["Combination"]

_PAIRS = 6
_EACH = 5  # features per dimension


@dataclass(frozen=True)
class Combination:
    """An odd set: how much rarer pairs of common values are than chance would have them.

    Attributes
    ----------
    values : int
        How many of the commonest values of a dimension are paired.
    prior_pairs : float
        The weight of the prior: so many pairs expected and not seen halve the rate.
    """

    values: int = 1024
    prior_pairs: float = 5.0

    name: ClassVar[str] = "combination"
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """For each dimension the window's oddest pair and set, then those gathered over the horizon."""
        horizon = shape.trailing[-1]
        return tuple(made for name in shape.baskets for made in _features(name, shape.window, horizon))

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, Observation]:  # noqa: ARG002
        """In how many entities' blocks each value occurs."""
        width = micros(shape.trailing[-1])
        counts: dict[str, Observation] = {}
        for name in shape.baskets:
            held = holders(timeline, name, timeline.wall // width)
            keys = timeline.dimensions[name].keys
            counts[f"combination.{name}"] = Keyed.of(keys[held > 0], held[held > 0])
        return counts

    def relate(
        self,
        timeline: Timeline,
        snapshots: Snapshots,  # noqa: ARG002
        shape: Shape,
        population: Population,
    ) -> Mapping[str, Observation]:
        """In how many blocks each pair of the commonest values occurs, and the sums of sizes that chance depends on."""
        width = micros(shape.trailing[-1])
        counts: dict[str, Observation] = {}
        for name in shape.baskets:
            codes = timeline.dimensions[name]
            keys = self._common(population, name)
            if not len(keys):
                continue
            pairs = np.zeros((len(keys), len(keys)), np.int64)
            sizes = _pairs(pairs, _slots(codes, keys), codes.codes, timeline.first, timeline.wall // width)
            counts[f"combination.{name}.pairs"] = pairs.ravel()
            counts[f"combination.{name}.sizes"] = sizes
        return counts

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """One pass for each dimension, with the horizon's values in a list that slides along."""
        snapshots, population = context.snapshots, context.population
        bounds = (snapshots.rows, snapshots.history, snapshots.start, snapshots.stop)
        for number, name in enumerate(context.shape.baskets):
            keys = self._common(population, name)
            if not len(keys):
                continue
            bits = population.derive(f"combination.{name}.bits", partial(self._bits, population, name))
            codes = context.timeline.dimensions[name]
            block = columns[number * _EACH : (number + 1) * _EACH]
            _judge(block, codes.codes, _slots(codes, keys), bounds, bits)

    def _common(self, population: Population, name: str) -> NDArray[np.uint64]:
        """The keys of the commonest values; equal counts in the order of their keys."""
        seen = population.keyed.get(f"combination.{name}", Keyed.of(np.empty(0, np.uint64), np.empty(0, np.int64)))
        return seen.keys[np.lexsort((seen.keys, -seen.counts))[: self.values]]

    def _bits(self, population: Population, name: str) -> NDArray[np.float32]:
        """The surprise of each pair, float32 of shape (k, k)."""
        keys = self._common(population, name)
        held = population.keyed[f"combination.{name}"].of_keys(keys).astype(np.float64)
        upper = population.counts[f"combination.{name}.pairs"].reshape(len(keys), len(keys))
        first, second = population.counts[f"combination.{name}.sizes"].astype(np.float64)
        chance = np.outer(held, held) * (second / max(1.0, first * first))
        ratio = (chance + self.prior_pairs) / (upper + upper.T + self.prior_pairs)
        return np.maximum(0.0, np.log2(ratio)).astype(np.float32)


def _features(name: str, window: str, horizon: str) -> tuple[Feature, ...]:
    null = f"fewer than two values of {name} that are common among everyone"
    rows = (
        (f"pair_surprise_max_{window}", f"Surprise of the oddest pair of values of {name} in the last {window}",
         f"two values of {name} that hardly anyone has together ({{value}} bits)"),
        (f"set_surprise_{window}", f"Surprise of the six oddest pairs of values of {name} in the last {window}",
         f"values of {name} that are common each, but not together ({{value}} bits)"),
        (f"pair_surprise_max_{horizon}",
         f"Surprise of the oddest pair of values of {name}, one in the last {window} and the other within {horizon}",
         f"with what it had within {horizon}, two values of {name} that hardly anyone has together ({{value}} bits)"),
        (f"set_surprise_{horizon}",
         f"Surprise of the six oddest of the pairs of {name} between {window} and {horizon}",
         f"with what it had within {horizon}, values of {name} common each, but not together ({{value}} bits)"),
        (f"pair_surprise_mean_{horizon}", f"Mean surprise of the pairs of {name} between {window} and {horizon}",
         f"values of {name} that mostly do not go together ({{value}} bits a pair)"),
    )  # fmt: skip
    return tuple(
        Feature(f"{name}_{what}", "combination", "bits", f"{meaning}.", null, phrase, subject=f"{name} set")
        for what, meaning, phrase in rows
    )


def _slots(codes: Codes, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The place of each code among the commonest values; -1 for the others, and for null at the end."""
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys, codes.keys, sorter=order), max(0, len(keys) - 1))
    if not len(keys):
        return np.full(len(codes.values) + 1, -1, np.int64)
    found = order[place]
    return np.append(np.where(keys[found] == codes.keys, found, -1), -1).astype(np.int64)


@kernel
def _pairs(
    pairs: NDArray[np.int64],
    slots: NDArray[np.int64],
    codes: NDArray[np.int32],
    first: NDArray[np.int64],
    block: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Count pairs of distinct common values in each block, smaller slot first, and the sums of s and s (s - 1)."""
    sizes = np.zeros(2, np.int64)
    listed, seen = np.empty(len(pairs), np.int64), np.zeros(len(pairs), np.bool_)
    for e in range(len(first) - 1):
        size = 0
        for i in range(first[e], first[e + 1]):
            slot = slots[codes[i]]
            if slot >= 0 and not seen[slot]:
                seen[slot] = True
                listed[size] = slot
                size += 1
            if i + 1 == first[e + 1] or block[i + 1] != block[i]:
                sizes[0] += size
                sizes[1] += size * (size - 1)
                for a in range(size):
                    seen[listed[a]] = False
                    for b in range(a):
                        pairs[min(listed[a], listed[b]), max(listed[a], listed[b])] += 1
                size = 0
    return sizes


@kernel
def _judge(
    block: NDArray[np.float32],
    codes: NDArray[np.int32],
    slots: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    bits: NDArray[np.float32],
) -> None:
    """Slide the list of the horizon's values along; pair the window's values with it.

    The list is unordered: a value that leaves is replaced by the last one. The six highest surprises and the sum are
    the same in whatever order pairs come, but for the rounding of the sum, so pairs are summed in a fixed order: as
    integers, in units of 2^-20 bits.
    """
    rows, history, start, stop = bounds
    k = len(bits)
    count, place = np.zeros(k, np.int32), np.empty(k, np.int32)
    listed, now, inside = np.empty(k, np.int32), np.empty(k, np.int32), np.zeros(k, np.bool_)
    best = np.empty(_PAIRS, np.float32)
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        lo = hi = history[rows[e]]
        size = 0
        for r in range(rows[e], rows[e + 1]):
            while hi < stop[r]:
                size = _list_in(count, place, listed, size, slots[codes[hi]])
                hi += 1
            while lo < history[r]:
                size = _list_out(count, place, listed, size, slots[codes[lo]])
                lo += 1
            n = _distinct(now, inside, slots, codes[start[r] : stop[r]])
            if n > 1:
                _oddest(block[0:2, r], best, bits, (now[:n], now[:n], inside))
            if n > 0 and size > 1:
                total, pairs = _oddest(block[2:4, r], best, bits, (now[:n], listed[:size], inside))
                block[4, r] = total / 1048576.0 / pairs
            inside[now[:n]] = False
        count[listed[:size]] = 0


@kernel
def _oddest(
    out: NDArray[np.float32],
    best: NDArray[np.float32],
    bits: NDArray[np.float32],
    sets: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]],
) -> tuple[int, int]:
    """The highest surprise and the sum of the six highest between two sets; each pair is looked at once."""
    ours, others, inside = sets
    best[:] = 0.0
    total, pairs = np.int64(0), 0
    for x in ours:
        for y in others:
            if x == y or (inside[y] and y < x):
                continue
            value = bits[x, y]
            pairs += 1
            total += np.int64(value * np.float32(1048576.0))
            if value > best[_PAIRS - 1]:
                z = _PAIRS - 1
                while z > 0 and best[z - 1] < value:
                    best[z] = best[z - 1]
                    z -= 1
                best[z] = value
    out[0] = best[0]
    out[1] = best.sum()
    return int(total), pairs


@kernel
def _list_in(
    count: NDArray[np.int32], place: NDArray[np.int32], listed: NDArray[np.int32], size: int, slot: int
) -> int:
    """A value enters the list, if it is not there; the new size."""
    if slot < 0:
        return size
    count[slot] += 1
    if count[slot] > 1:
        return size
    place[slot], listed[size] = size, slot
    return size + 1


@kernel
def _list_out(
    count: NDArray[np.int32], place: NDArray[np.int32], listed: NDArray[np.int32], size: int, slot: int
) -> int:
    """A value leaves the list, if that was its last event; the new size."""
    if slot < 0:
        return size
    count[slot] -= 1
    if count[slot] > 0:
        return size
    last = listed[size - 1]
    listed[place[slot]], place[last] = last, place[slot]
    return size - 1


@kernel
def _distinct(
    now: NDArray[np.int32], inside: NDArray[np.bool_], slots: NDArray[np.int64], codes: NDArray[np.int32]
) -> int:
    """List the window's distinct common values, and mark them; how many there are."""
    n = 0
    for code in codes:
        slot = slots[code]
        if slot >= 0 and not inside[slot]:
            inside[slot] = True
            now[n] = slot
            n += 1
    return n
