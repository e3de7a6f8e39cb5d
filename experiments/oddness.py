"""Formulations of an odd set, all over the same counts and the same sets; ``baskets`` compares them.

What goes together is counted in users' blocks of 28 days. A set is what a user touched on a day (the window), or that
with the 28 days before (the horizon), judged by those of its pairs that the day has part in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds
from scipy.special import xlogy

if TYPE_CHECKING:
    from .city import Bools, Floats, Ints

__all__ = ["HORIZON", "REACHES", "Counts", "Sets", "Touches", "grown", "highest", "pair_worth", "scores", "surprise"]

HORIZON = 28
"""Days of a block, and days before the window that a gathered set reaches back."""
REACHES = ("window", "horizon")

_COMMON, _IN_TRIPLES = 1024, 256
_RANKS, _FOUR = (4, 16, 64), 4


@dataclass(frozen=True)
class Touches:
    """Events with an item, in the order of days, each array of shape ``(events,)``.

    Attributes
    ----------
    user, item : int64 array
        Codes.
    day : int64 array
        Days since the log began.
    bought : bool array
        Whether it was a purchase.
    """

    user: Ints
    item: Ints
    day: Ints
    bought: Bools


@dataclass(frozen=True)
class Counts:
    """In how many users' blocks of 28 days the common items occur, alone, in twos and in threes.

    Attributes
    ----------
    slot : int64 array of shape (items,)
        The place of each item among the common ones, the commonest first; -1 for one that is not common.
    held, pairs, triples : float32 array of shape (k,), (k, k), (t, t, t)
        Numbers of blocks; threes only of the 256 commonest.
    sums : float32 array of shape (3,)
        Sums over blocks of their size, and of their ordered pairs and ordered triples, on which chance depends.
    """

    slot: Ints
    held: Floats
    pairs: Floats
    triples: Floats
    sums: Floats

    @classmethod
    def of(cls, log: Touches, items: int, *, new: int, until: int) -> Self:
        """Count what goes together in users' blocks before a day.

        Parameters
        ----------
        log
            What was touched; at least once before ``until``.
        items
            Number of codes of items.
        new
            Number of further codes, from ``items`` on, that nobody touched: they have slots too.
        until
            Days from this one on are not counted.

        Examples
        --------
        >>> log = Touches(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([2, 3, 4]), np.ones(3, bool))
        >>> counts = Counts.of(log, 2, new=0, until=56)
        >>> counts.slot.tolist(), counts.held.tolist(), counts.pairs[0].tolist()
        ([1, 0], [2.0, 1.0], [2.0, 1.0])
        """
        early = log.day < until
        block, item = log.user[early] * -(-until // HORIZON) + log.day[early] // HORIZON, log.item[early]
        held = np.bincount(np.unique(block * items + item) % items, minlength=items)
        common = np.argsort(-held, kind="stable")[: min(_COMMON, items)]
        slot = np.full(items + new, -1)
        slot[common], slot[items:] = np.arange(len(common)), len(common) + np.arange(new)
        kept = slot[item] >= 0
        shape = (int(block.max()) + 1, len(common) + new)
        seen = csr_array((np.ones(kept.sum(), np.float32), (block[kept], slot[item][kept])), shape=shape)
        seen.data[:] = 1.0  # duplicates were added up
        size = np.asarray(seen.sum(axis=1))
        top = seen[:, :_IN_TRIPLES].toarray()
        triples = np.stack([top[top[:, a] > 0].T @ top[top[:, a] > 0] for a in range(top.shape[1])])
        sums = np.array([size.sum(), (size * (size - 1)).sum(), (size * (size - 1) * (size - 2)).sum()])
        return cls(slot, np.asarray(seen.sum(axis=0)), (seen.T @ seen).toarray(), triples, sums)

    @property
    def chance(self) -> Floats:
        """Expected number of each pair, shape ``(k, k)``: Chung and Lu (2002)."""
        return np.outer(self.held, self.held) * self.sums[1] / self.sums[0] ** 2


@dataclass(frozen=True)
class Sets:
    """The sets of a day, members of a row side by side, those of the day first; arrays of shape ``(members,)``.

    Attributes
    ----------
    user : int64 array of shape (rows,)
        Whose set each row is, in the order of codes.
    row, slot : int64 array
        The row of each member, and its place among the common items.
    today : bool array
        Whether it was touched on the day.

    Examples
    --------
    >>> sets = Sets(np.array([7]), np.zeros(3, int), np.array([4, 2, 9]), np.array([True, False, False]))
    >>> sets.pairs().T.tolist()
    [[0, 1], [0, 2]]
    """

    user: Ints
    row: Ints
    slot: Ints
    today: Bools

    @classmethod
    def of(cls, log: Touches, counts: Counts, day: int) -> dict[str, Self]:
        """What users of a day touched on it, and with what they touched in the horizon before, by reach."""
        wide = len(counts.held)
        user, recent = np.unique(log.user[log.day == day]), (log.day >= day - HORIZON) & (log.day <= day)
        recent &= np.isin(log.user, user) & (counts.slot[log.item] >= 0)
        key = log.user * wide + counts.slot[log.item]
        now = np.unique(key[recent & (log.day == day)])
        before = np.setdiff1d(key[recent], now)
        members, today = np.append(now, before), np.arange(len(now) + len(before)) < len(now)
        order = np.argsort(members // wide, kind="stable")
        row, slot = np.searchsorted(user, members[order] // wide), members[order] % wide
        inside = today[order]
        return {
            "window": cls(user, row[inside], slot[inside], inside[inside]),
            "horizon": cls(user, row, slot, inside),
        }

    def pairs(self) -> Ints:
        """Places of the members of each pair that the day has part in, shape ``(2, pairs)``."""
        return self._extended(np.flatnonzero(self.today)[None])

    def triples(self) -> Ints:
        """The same of threes, shape ``(3, triples)``."""
        return self._extended(self.pairs())

    def joined(self, places: Ints) -> Ints:
        """Add to each combination every member of its row in turn; itself too."""
        return self._added(places, np.searchsorted(self.row, self.row[places[0]]))

    def _extended(self, places: Ints) -> Ints:
        return self._added(places, places[-1] + 1)

    def _added(self, places: Ints, start: Ints) -> Ints:
        """Add to each combination every member of its row from ``start`` on."""
        number = np.searchsorted(self.row, self.row[places[0]], side="right") - start
        step = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        return np.concatenate([np.repeat(places, number, axis=1), (np.repeat(start, number) + step)[None]])


def surprise(chance: Floats, seen: Floats, prior: float) -> Floats:
    """Bits by which something is rarer than chance has it; none if it is not.

    Examples
    --------
    >>> surprise(np.array([35.0, 0.0]), np.array([0.0, 9.0]), 5.0).tolist()
    [3.0, 0.0]
    """
    return np.maximum(0.0, np.log2((chance + prior) / (seen + prior)))


def pair_worth(counts: Counts) -> dict[str, Floats]:
    """What each pair of slots is worth, arrays of shape ``(k, k)`` by the ways to value a pair; of more than 64 slots.

    ``b = 5`` and the like are bits with a prior of that weight, ``rank 16`` and the like those of a truncated singular
    value decomposition, ``likelihood`` is a ratio of likelihoods, and ``unseen`` is 1 where a pair never was.

    Examples
    --------
    >>> user, item = np.divmod(np.arange(280), 70)
    >>> counts = Counts.of(Touches(user, item, np.zeros(280, int), user < 4), 70, new=2, until=56)
    >>> float(pair_worth(counts)["unseen"].sum())  # the two new ones with one another and with seventy
    282.0
    """
    chance, seen = counts.chance, counts.pairs
    worth = {f"b = {prior}": surprise(chance, seen, prior) for prior in (1, 5, 20)}
    together = np.log2((seen + 5.0) / (chance + 5.0))
    np.fill_diagonal(together, 0.0)
    left, weight, right = svds(together, k=max(_RANKS), v0=np.ones(len(together)))
    strongest = np.argsort(-weight)
    for rank in _RANKS:
        kept = strongest[:rank]
        worth[f"rank {rank}"] = np.maximum(0.0, -(left[:, kept] * weight[kept]) @ right[kept])
    lacking = 2.0 * (xlogy(seen, seen / np.maximum(chance, 1e-12)) - seen + chance)
    worth |= {"likelihood": np.where(seen < chance, lacking, 0.0), "unseen": (seen == 0.0).astype(float)}
    for matrix in worth.values():
        np.fill_diagonal(matrix, 0.0)  # a value and itself are no pair
    return worth


def highest(value: Floats, row: Ints, rows: int, number: int, least: float = 1.0) -> Floats:
    """Sum the highest values of each row, of those that are worth ``least``; shape ``(rows,)``.

    Examples
    --------
    >>> highest(np.array([3.0, 1.0, 2.0, 0.5]), np.array([0, 0, 0, 1]), 2, 2).tolist()
    [5.0, 0.0]
    """
    value, row = value[value >= least], row[value >= least]
    order = np.lexsort((-value, row))
    value, row = value[order], row[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < number
    return _summed(value[kept], row[kept], rows)


def grown(sets: Sets, bits: Floats, least: float = 1.0) -> Floats:
    """Start from the oddest pair and twice add the value that is oddest with all so far, if odd with each.

    Parameters
    ----------
    sets
        Where to look; of equally odd pairs and values that of the first slot is taken.
    bits
        What each pair of slots is worth, shape ``(k, k)``.
    least
        The bits from which on a pair is odd.

    Returns
    -------
    float64 array of shape (rows,)
        The sum over the pairs of the four, or of as many as there are; 0 without an odd pair.

    Examples
    --------
    >>> sets = Sets(np.array([7]), np.zeros(5, int), np.arange(5), np.ones(5, bool))
    >>> grown(sets, 2.0 * (1.0 - np.eye(5))).tolist()
    [12.0]
    """
    odd, value = sets.pairs(), np.zeros(len(sets.user))
    for _ in range(_FOUR - 1):
        worth = bits[sets.slot[odd[:-1]], sets.slot[odd[-1]]]
        odd, gain = odd[:, (worth >= least).all(axis=0)], worth.sum(axis=0)[(worth >= least).all(axis=0)]
        row = sets.row[odd[0]]
        order = np.lexsort((sets.slot[odd[-1]], sets.slot[odd[0]], -gain, row))
        _, first = np.unique(row[order], return_index=True)
        odd, gain = odd[:, order[first]], gain[order[first]]
        value[sets.row[odd[0]]] += gain
        odd = sets.joined(odd)
    return value


def scores(sets: Sets, counts: Counts, worth: dict[str, Floats], ordinary: Bools) -> dict[str, Floats]:
    """The score of each row, float64 of shape ``(rows,)``, by each formulation; "a doubling" is one of its pairs.

    Parameters
    ----------
    sets, counts
        What is judged, and by what.
    worth
        What :func:`pair_worth` says of the counts.
    ordinary
        Rows to take the deviations among like sizes from, shape ``(rows,)``.

    Examples
    --------
    >>> user, item = np.divmod(np.arange(1400), 35)  # of seventy items everybody has one half or the other
    >>> log = Touches(user, item + 35 * (user % 2), np.zeros(1400, int), np.ones(1400, bool))
    >>> counts = Counts.of(log, 70, new=0, until=28)
    >>> both = Sets(np.array([0]), np.zeros(2, int), counts.slot[[0, 69]], np.ones(2, bool))
    >>> scores(both, counts, pair_worth(counts), np.ones(1, bool))["odd four"].round(2).tolist()
    [1.56]
    """
    places, rows = sets.pairs(), len(sets.user)
    row, (a, b) = sets.row[places[0]], sets.slot[places]
    value = {name: matrix[a, b] for name, matrix in worth.items()}
    five, number = value["b = 5"], np.maximum(1, np.bincount(row, minlength=rows))
    six, total = highest(five, row, rows, 6), _summed(five, row, rows)
    threes, beyond = _of_triples(sets, counts)
    four, half, doublings = grown(sets, worth["b = 5"]), grown(sets, worth["b = 5"], 0.5), np.log2(2.0 + number)
    return {
        "oddest pair": highest(five, row, rows, 1),
        "six oddest pairs": six,
        "six oddest pairs, b = 1": highest(value["b = 1"], row, rows, 6),
        "six oddest pairs, b = 20": highest(value["b = 20"], row, rows, 6),
        "six oddest pairs of half a bit": highest(five, row, rows, 6, 0.5),
        "six oddest pairs of any worth": highest(five, row, rows, 6, 0.0),
        "fifteen oddest pairs": highest(five, row, rows, 15),
        "mean over pairs": total / number,
        "sum over pairs": total,
        "pairs never seen": _summed(value["unseen"], row, rows),
        "six oddest pairs by likelihood": highest(value["likelihood"], row, rows, 6),
        **{f"six oddest pairs, rank {rank}": highest(value[f"rank {rank}"], row, rows, 6) for rank in _RANKS},
        "mean over pairs, rank 16": _summed(value["rank 16"], row, rows) / number,
        "six oddest pairs, among like sizes": _among_like(six, number, ordinary),
        "six oddest pairs, a doubling": six / doublings,
        "odd four": four,
        "odd four of half a bit": half,
        "odd four, among like sizes": _among_like(four, number, ordinary),
        "odd four, a doubling": four / doublings,
        "odd four of half a bit, a doubling": half / doublings,
        "six oddest triples": threes,
        "six oddest triples beyond pairs": beyond,
    }


def _summed(value: Floats, row: Ints, rows: int) -> Floats:
    return np.bincount(row, value, minlength=rows).astype(np.float64)


def _among_like(score: Floats, size: Ints, ordinary: Bools) -> Floats:
    """Deviations of a score from that of the day's ordinary sets of like size, a tenth of them all."""
    tenth = np.searchsorted(np.unique(np.quantile(size[ordinary], np.arange(1, 10) / 10)), size)
    deviations = np.zeros(len(score))
    for one in np.unique(tenth[ordinary]):
        like = score[ordinary & (tenth == one)]
        deviations[tenth == one] = (score[tenth == one] - like.mean()) / (1.0 + like.std())
    return deviations


def _of_triples(sets: Sets, counts: Counts) -> tuple[Floats, Floats]:
    """Six oddest threes of very common values: against single values, and against what their pairs lead to expect."""
    kept, rows = sets.slot < _IN_TRIPLES, len(sets.user)
    common = Sets(sets.user, sets.row[kept], sets.slot[kept], sets.today[kept])
    places = common.triples()
    a, b, c = common.slot[places]
    alone = counts.held[a] * counts.held[b] * counts.held[c] * counts.sums[2] / counts.sums[0] ** 3
    rate = (counts.pairs + 5.0) / (counts.chance + 5.0)
    expected = alone * rate[a, b] * rate[b, c] * rate[a, c]
    seen, row = counts.triples[a, b, c], common.row[places[0]]
    first, second = (highest(surprise(chance, seen, 5.0), row, rows, 6) for chance in (alone, expected))
    return first, second
