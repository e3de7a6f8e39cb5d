"""Combination: parts that are common, and a whole that is unheard of.

For a dimension such as the item, everyone's history is cut into blocks as long as the horizon, and for each pair of the
commonest values it is counted in how many entities' blocks both occur: ``n``. Chance alone would have brought them
together ``E = n_a n_b S2 / S1^2`` times, with ``S1`` and ``S2`` the sums over blocks of their size and of size times
size less one: busy entities bring more pairs about, and this allows for it (Chung and Lu, 2002). A pair's surprise is
``log2((E + b) / (n + b))`` bits: the posterior mean of the rate under a gamma prior of weight ``b``. So absence weighs
as much as chance would have made of presence: forty times expected and never seen is three bits, and two rare values
that never met are none. A pair is *odd* from half a bit on, seven tenths of what chance would have made; less counts as
nothing.

A set is as odd as its *odd four*: its oddest pair, and twice the value that is oddest with all before it, if it is odd
with each of them; the bits of all these pairs, for each doubling of the pairs that there were to choose from. One stray
item makes an odd pair with everything of its owner's usual taste, but no four that are odd with one another; and a
large set has an odd pair sooner than a small one. The set of the window is judged, and the set that the horizon
gathered, by those of its pairs that the window has part in; so a basket that is filled over weeks speaks on the day
that completes it. Of the dimension that the action does not settle, what was done to a value (viewed, bought) makes a
set of its own. The formulations compared are in ``docs/decisions``.

Cost: for each event a counter that it enters and leaves; for each value of the window a few words of bits, those of the
values it is odd with, held against the bits of the values at hand; only odd pairs are looked up. Blind to values that
are new or not among the commonest (that is novelty), to order, and to amounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..baskets import Basket, baskets_of
from ..family import Feature, plural
from ..kernels import kernel
from ..population import Keyed
from ..snapshots import micros
from ..survey import count_holders
from ..witness import window_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..family import Context, Observation, Shape
    from ..population import Population
    from ..snapshots import Snapshots
    from ..timeline import Timeline

__all__ = ["Combination"]

_FOUR = 4  # values
_EACH = 5  # features per dimension
_ODD = np.float32(0.5)  # bits
_ONE, _WORD, _PRIME = np.uint64(1), 64, np.uint64(67)
_STRIPES = (np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F))
_PLACE = np.zeros(67, np.int64)  # the powers of two have different remainders by 67
for _bit in range(_WORD):
    _PLACE[(1 << _bit) % 67] = _bit


@dataclass(frozen=True)
class Combination:
    """An odd set: how much rarer pairs of common values are than chance would have them.

    Attributes
    ----------
    values : int
        How many of the commonest values of a dimension are paired, at most 32,767.
    prior_pairs : float
        The weight of the prior: so many pairs expected and not seen halve the rate.
    """

    values: int = 1024
    prior_pairs: float = 5.0

    name: ClassVar[str] = "combination"
    version: ClassVar[int] = 2

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """For each kind of set the window's oddest pair and set, then those gathered over the horizon."""
        horizon = shape.trailing[-1]
        return tuple(made for dimensions in baskets_of(shape) for made in _features(dimensions, shape.window, horizon))

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, Observation]:  # noqa: ARG002
        """In how many entities' blocks each value occurs."""
        block = timeline.wall // micros(shape.trailing[-1])
        counts: dict[str, Observation] = {}
        for dimensions in baskets_of(shape):
            basket = Basket.of(timeline, dimensions, shape.actions)
            held = count_holders(basket.cells(slice(None)), basket.size, timeline.first, block)
            seen = np.flatnonzero(held)
            counts[f"combination.{basket.name}"] = Keyed.of(basket.keys(seen), held[seen])
        return counts

    def relate(
        self,
        timeline: Timeline,
        snapshots: Snapshots,  # noqa: ARG002
        shape: Shape,
        population: Population,
    ) -> Mapping[str, Observation]:
        """In how many blocks each pair of the commonest values occurs, and the sums of sizes that chance depends on."""
        block = timeline.wall // micros(shape.trailing[-1])
        counts: dict[str, Observation] = {}
        for dimensions in baskets_of(shape):
            basket = Basket.of(timeline, dimensions, shape.actions)
            keys = self._common(population, basket.name)
            if not len(keys):
                continue
            pairs = np.zeros((len(keys), len(keys)), np.int64)
            slots = basket.slots(population, keys)[basket.cells(slice(None))]
            counts[f"combination.{basket.name}.sizes"] = _pairs(pairs, slots, timeline.first, block)
            counts[f"combination.{basket.name}.pairs"] = pairs.ravel()
        return counts

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """One pass for each kind of set, with the bits of the window's and of the horizon's values sliding along."""
        snapshots, population = context.snapshots, context.population
        begin, end = int(snapshots.history.min()), int(snapshots.stop.max())
        bounds = (snapshots.rows, snapshots.history - begin, snapshots.start - begin, snapshots.stop - begin)
        for number, dimensions in enumerate(baskets_of(context.shape)):
            basket = Basket.of(context.timeline, dimensions, context.shape.actions)
            keys = self._common(population, basket.name)
            if not len(keys):
                continue
            pairs = population.derive(f"combination.{basket.name}", partial(self._bits, population, basket.name))
            made = partial(basket.slots, population, keys)
            slots = context.timeline.derive(population, f"combination.{basket.name}.{self.values}", made)
            slots = slots[basket.cells(slice(begin, end))]
            _judge(columns[number * _EACH : (number + 1) * _EACH], slots, bounds, *pairs)

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The events with the values of the oddest pair, of the odd four, of odd pairs.

        Of a value in the window its events there, of one gathered before it the last.
        """
        population, lo, now = context.population, int(context.snapshots.history[row]), window_of(context, row)
        for dimensions in baskets_of(context.shape):
            basket = Basket.of(context.timeline, dimensions, context.shape.actions)
            what = feature.name.removeprefix(f"{basket.name}_")
            keys = self._common(population, basket.name)
            if feature.subject.startswith(f"{' and '.join(dimensions)} set") and what != feature.name and len(keys):
                made = partial(self._bits, population, basket.name)
                bits, _, _ = population.derive(f"combination.{basket.name}", made)
                slots = basket.slots_of(basket.cells(slice(lo, int(now[-1]) + 1)), keys)
                return lo + _parties(bits, slots, int(now[0]) - lo, (what, context.shape.window))
        return now[:0]

    def _common(self, population: Population, name: str) -> NDArray[np.uint64]:
        """The keys of the commonest values; equal counts in the order of their keys."""
        chosen = partial(_commonest, population, name, self.values)
        return population.derive(f"combination.{name}.{self.values}", chosen)

    def _bits(
        self, population: Population, name: str
    ) -> tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.float32]]:
        """The surprise of each pair, float32 of shape (k, k), 0 where it is not odd; which are, in words; the most."""
        keys = self._common(population, name)
        held = population.keyed[f"combination.{name}"].of_keys(keys).astype(np.float64)
        upper = population.counts[f"combination.{name}.pairs"].reshape(len(keys), len(keys))
        first, second = population.counts[f"combination.{name}.sizes"].astype(np.float64)
        chance = np.outer(held, held) * (second / max(1.0, first * first))
        bits = np.log2((chance + self.prior_pairs) / (upper + upper.T + self.prior_pairs)).astype(np.float32)
        np.fill_diagonal(bits, 0.0)
        bits[bits < _ODD] = 0.0
        whole = np.zeros((len(keys), -(-len(keys) // _WORD) * _WORD), np.bool_)
        whole[:, : len(keys)] = bits > 0.0
        return bits, np.packbits(whole, axis=1, bitorder="little").view("<u8"), bits.max(axis=1)


def _features(dimensions: tuple[str, ...], window: str, horizon: str) -> tuple[Feature, ...]:
    name, what = "_".join(dimensions), " and ".join(dimensions)
    values = plural(dimensions[0]) if len(dimensions) == 1 else f"values of {what}"
    null = f"fewer than two values of {what} that are common among everyone"
    now, gathered = f"{what} set", f"{what} set within {horizon}"
    rows = (
        (f"pair_surprise_max_{window}", now, "bits",
         f"Surprise of the oddest pair of values of {what} in the last {window}",
         f"two {values} that hardly anyone has together ({{value}} bits)"),
        (f"set_surprise_{window}", now, "bits",
         f"Surprise of the odd four among the values of {what} in the last {window}, for each doubling of their pairs",
         f"{values} that are common each, but not together ({{value}} bits)"),
        (f"pair_surprise_max_{horizon}", gathered, "bits",
         f"Surprise of the oddest pair of values of {what}, one in the last {window} and the other within {horizon}",
         f"with what it had within {horizon}, two {values} that hardly anyone has together ({{value}} bits)"),
        (f"set_surprise_{horizon}", gathered, "bits",
         f"Surprise of the odd four of {what} that the {window} completes within {horizon}, for each doubling of pairs",
         f"with what it had within {horizon}, {values} common each, but not together ({{value}} bits)"),
        (f"odd_pair_share_{horizon}", gathered, "share",
         f"Share of the pairs of {what} between {window} and {horizon} that are odd, seven tenths of chance or less",
         f"{{value}} of its pairs of {what} are such as hardly anyone has"),
    )  # fmt: skip
    return tuple(
        Feature(f"{name}_{end}", "combination", unit, f"{meaning}.", null, phrase, subject=subject)
        for end, subject, unit, meaning, phrase in rows
    )


def _commonest(population: Population, name: str, most: int) -> NDArray[np.uint64]:
    if f"combination.{name}" not in population.keyed:
        return np.empty(0, np.uint64)
    seen = population.keyed[f"combination.{name}"]
    return seen.keys[np.lexsort((seen.keys, -seen.counts))[:most]]


@kernel
def _pairs(
    pairs: NDArray[np.int64], slots: NDArray[np.int16], first: NDArray[np.int64], block: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count pairs of distinct common values in each block, smaller slot first, and the sums of s and s (s - 1)."""
    sizes = np.zeros(2, np.int64)
    listed, seen = np.empty(len(pairs), np.int64), np.zeros(len(pairs), np.bool_)
    for e in range(len(first) - 1):
        size = 0
        for i in range(first[e], first[e + 1]):
            slot = slots[i]
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
    slots: NDArray[np.int16],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    bits: NDArray[np.float32],
    odd: NDArray[np.uint64],
    most: NDArray[np.float32],
) -> None:
    """Slide the window's and the horizon's values along, as counts and as words of bits, and look up the odd pairs."""
    rows, history, start, stop = bounds
    k, words = odd.shape
    counts_now, counts_whole = np.zeros(k, np.int32), np.zeros(k, np.int32)
    now, whole = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
    found = np.empty(4, np.float32)
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        lo = hi = history[rows[e]]
        begin = end = start[rows[e]]
        n_now = n_whole = 0
        for r in range(rows[e], rows[e + 1]):
            n_whole += _slide(counts_whole, whole, slots, (lo, hi), (history[r], stop[r]))
            n_now += _slide(counts_now, now, slots, (begin, end), (start[r], stop[r]))
            lo, hi, begin, end = history[r], stop[r], start[r], stop[r]
            if n_now == 0 or n_whole < 2:
                continue
            inside = n_now * (n_now - 1) // 2
            pairs = n_now * (n_whole - n_now) + inside
            block[4, r] = _oddest(found, (bits, odd), most, (now, whole)) / pairs
            block[2, r], block[3, r] = found[2], found[3] / np.log2(2.0 + pairs)
            if n_now > 1:
                block[0, r], block[1, r] = found[0], found[1] / np.log2(2.0 + inside)
        _slide(counts_whole, whole, slots, (lo, hi), (hi, hi))
        _slide(counts_now, now, slots, (begin, end), (end, end))


@kernel
def _oddest(
    found: NDArray[np.float32],
    pairs: tuple[NDArray[np.float32], NDArray[np.uint64]],
    most: NDArray[np.float32],
    sets: tuple[NDArray[np.uint64], NDArray[np.uint64]],
) -> int:
    """The oddest pair and four of the window, then of the window with the horizon; how many odd pairs there are.

    Each pair is met once, of two values in the window at the smaller one; of equal ones the first to be met is taken.
    Where not even a value's oddest pair, ``most``, is odder than what was found, its odd pairs are only counted.
    """
    bits, odd = pairs
    now, whole = sets
    found[:] = 0.0
    number, inner, gathered = 0, (0, 0), (0, 0)
    for w in range(len(now)):
        left = now[w]
        while left != 0:
            low = left & (~left + _ONE)
            left ^= low
            x = w * _WORD + _PLACE[low % _PRIME]
            for v in range(len(whole)):
                both = odd[x, v] & whole[v]
                if both != 0 and v <= w:
                    both &= ~now[v] if v < w else ~(now[v] & (low - _ONE))
                if both == 0:
                    continue
                number += _ones(both)
                if most[x] <= found[0]:
                    continue
                both = both if most[x] > found[2] else both & now[v]
                while both != 0:
                    other = both & (~both + _ONE)
                    both ^= other
                    y = v * _WORD + _PLACE[other % _PRIME]
                    if bits[x, y] > found[2]:
                        found[2], gathered = bits[x, y], (x, y)
                    if bits[x, y] > found[0] and now[v] & other != 0:
                        found[0], inner = bits[x, y], (x, y)
    found[1] = _grown(inner, found[0], pairs, now)
    found[3] = _grown(gathered, found[2], pairs, whole)
    return number


@kernel
def _ones(word: np.uint64) -> int:
    """How many bits are set: sums of neighbours, of pairs, of fours, and so on."""
    word = (word & _STRIPES[0]) + ((word >> np.uint64(1)) & _STRIPES[0])
    word = (word & _STRIPES[1]) + ((word >> np.uint64(2)) & _STRIPES[1])
    word = (word & _STRIPES[2]) + ((word >> np.uint64(4)) & _STRIPES[2])
    word += word >> np.uint64(8)
    word += word >> np.uint64(16)
    word += word >> np.uint64(32)
    return int(word & np.uint64(127))


@kernel
def _grown(
    pair: tuple[int, int],
    most: np.float32,
    pairs: tuple[NDArray[np.float32], NDArray[np.uint64]],
    held: NDArray[np.uint64],
) -> np.float32:
    """Let the oddest pair grow to four values that are all odd with one another, if it can; the bits of the pairs."""
    bits, odd = pairs
    four, total = np.zeros(_FOUR, np.int64), most
    four[0], four[1] = pair
    for size in range(2, _FOUR if most > 0 else 2):
        best, chosen = np.float32(0.0), -1
        for w in range(len(held)):
            left = held[w]
            for x in four[:size]:
                left &= odd[x, w]
            while left != 0:
                low = left & (~left + _ONE)
                left ^= low
                y = w * _WORD + _PLACE[low % _PRIME]
                value = np.float32(0.0)
                for x in four[:size]:
                    value += bits[x, y]
                if value > best:
                    best, chosen = value, y
        if chosen < 0:
            break
        four[size] = chosen
        total += best
    return total


@kernel
def _slide(
    counts: NDArray[np.int32],
    held: NDArray[np.uint64],
    slots: NDArray[np.int16],
    old: tuple[int, int],
    new: tuple[int, int],
) -> int:
    """Move a window on; by how much the number of its distinct values grew."""
    grown = 0
    for i in range(old[1], new[1]):
        slot = slots[i]
        if slot >= 0:
            counts[slot] += 1
            if counts[slot] == 1:
                held[slot >> 6] |= _ONE << np.uint64(slot & 63)
                grown += 1
    for i in range(old[0], new[0]):
        slot = slots[i]
        if slot >= 0:
            counts[slot] -= 1
            if counts[slot] == 0:
                held[slot >> 6] &= ~(_ONE << np.uint64(slot & 63))
                grown -= 1
    return grown


def _parties(
    bits: NDArray[np.float32], slots: NDArray[np.int64], start: int, what: tuple[str, str]
) -> NDArray[np.int64]:
    """The events with values of the oddest pair or four, or of any odd pair, of ``slots`` with the window from start.

    The pair is the one that :func:`_oddest` meets first among equals, and grows as there.
    """
    feature, window = what
    now, whole = (np.unique(part[part >= 0]) for part in (slots[start:], slots))
    whole = now if feature.endswith(f"_{window}") else whole
    pairs = bits[np.ix_(now, whole)]
    pairs = np.where(np.isin(whole, now)[None, :] & (whole[None, :] < now[:, None]), np.float32(0.0), pairs)
    if not pairs.size or pairs.max() <= 0.0:
        return np.empty(0, np.int64)
    if feature.startswith("odd_pair_share"):
        chosen = np.concatenate([now[(pairs > 0).any(axis=1)], whole[(pairs > 0).any(axis=0)]])
    else:
        x, y = np.unravel_index(int(pairs.argmax()), pairs.shape)
        chosen = np.array([now[x], whole[y]])
    while feature.startswith("set_surprise") and len(chosen) < _FOUR:
        able = whole[(bits[np.ix_(chosen, whole)] > 0.0).all(axis=0)]
        if not len(able):
            break
        total = np.cumsum(bits[np.ix_(chosen, able)], axis=0)[-1]
        chosen = np.append(chosen, able[total.argmax()])
    here = start + np.flatnonzero(np.isin(slots[start:], chosen))
    before = [np.flatnonzero(slots[:start] == slot)[-1:] for slot in chosen if slot not in now]
    return np.concatenate([here, *before]).astype(np.int64)
