"""Quantiles, round amounts and repeated amounts of windows, in time that does not grow with how they overlap.

Windows of days share no event, so each is sorted by itself. Windows of single events overlap almost wholly: there the
amounts of an entity are sorted once, and a window is a count over them that changes by one event at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .kernels import kernel, median, rank_in, rank_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]

__all__ = ["is_round", "quantiles", "repeats"]

_FEW = 32  # of so many amounts insertion is the fastest sort
_SHORT = 256  # up to so many, keeping amounts in order is faster than a tree of them
_SAME = 1e-7  # a float32 is within 6e-8 of the amount it stands for, and is as round as that
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio spreads near bits over a table


def quantiles(
    columns: NDArray[np.float32], values: NDArray[np.float64], bounds: tuple[Positions, Positions, Positions]
) -> None:
    """Fill the median and the upper quartile of the amounts of each window; what has none is left as it is.

    Parameters
    ----------
    columns : float32 array of shape (2, n)
        The median, that of an even number being the mean of the middle two, and the amount of rank ceil(3 n / 4).
    values : float64 array, in the unit of the measure
        NaN is null.
    bounds : tuple of int64 arrays
        The windows of entity ``e`` are ``rows[e]:rows[e + 1]``; each holds the events ``[start, stop)``.

    Examples
    --------
    >>> made = np.full((2, 1), np.nan, np.float32)
    >>> quantiles(made, np.array([4.0, 1.0, np.nan, 2.0]), tuple(map(np.array, ([0, 1], [0], [4]))))
    >>> made.ravel()
    array([2., 4.], dtype=float32)
    """
    rows, start, stop = bounds
    if not len(start):
        return
    if (start[1:] < stop[:-1]).any():
        _overlapping(columns, values, rows, start, stop)
    else:
        _apart((columns[0], columns[1]), values, start, stop, np.empty(int((stop - start).max()), np.float64))


def repeats(
    columns: NDArray[np.float32], values: NDArray[np.float64], bounds: tuple[Positions, Positions, Positions, Positions]
) -> None:
    """Fill how round, how often the same and how familiar amounts are; a window without any is left as it is.

    Parameters
    ----------
    columns : float32 array of shape (3, n)
        The share that is round, the count of the commonest amount, and the share that came in the horizon before.
    values : float64 array, in the unit of the measure
        NaN is null.
    bounds : tuple of int64 arrays
        The windows of entity ``e`` are ``rows[e]:rows[e + 1]``; each holds the events ``[start, stop)``, and the
        horizon before it ``[history, start)``.

    Examples
    --------
    >>> made = np.full((3, 2), np.nan, np.float32)
    >>> spent = np.array([2.4, 50.0, 2.4, 2.4])
    >>> repeats(made, spent, tuple(map(np.array, ([0, 2], [0, 0], [0, 2], [2, 4]))))
    >>> made
    array([[0.5, 0. ],
           [1. , 2. ],
           [0. , 1. ]], dtype=float32)
    """
    rows, history, start, stop = bounds
    if len(start):
        first = history[0]
        bits = (values[first : stop[-1]] + 0.0).view(np.uint64)  # 0.0 added makes -0.0 the zero that it equals
        _repeats(columns, values, bits, (rows, history, start, stop))


@kernel
def is_round(value: float) -> bool:
    """Whether an amount is one or two leading digits, the second 0 or 5, and zeros.

    That is a whole multiple of half its leading power of ten, so amounts of one digit always are; zero and NaN are not.

    Examples
    --------
    >>> [is_round(amount) for amount in (7.0, 250.0, 0.35, 2.4, 1234.0)]
    [True, True, True, False, False]
    """
    size, power = abs(value), 1.0
    if not 0.0 < size < np.inf:
        return False
    while size >= 10.0 * power:
        power *= 10.0
    while size < power:
        power /= 10.0
    halves = 2.0 * size / power
    return abs(halves - np.rint(halves)) <= _SAME * halves


@kernel
def _apart(
    columns: tuple[NDArray[np.float32], NDArray[np.float32]],
    values: NDArray[np.float64],
    start: Positions,
    stop: Positions,
    ranked: NDArray[np.float64],
) -> None:
    """Sort each window by itself."""
    for r in range(len(start)):
        n = 0
        for i in range(start[r], stop[r]):
            if not np.isnan(values[i]):
                ranked[n] = values[i]
                n += 1
        _sort(ranked, n)
        if n > 0:
            columns[0][r], columns[1][r] = median(ranked, n), ranked[(3 * n + 3) // 4 - 1]


@kernel
def _sort(ranked: NDArray[np.float64], size: int) -> None:
    """Sort ``ranked[:size]`` in place."""
    if size > _FEW:
        ranked[:size] = np.sort(ranked[:size])
        return
    for i in range(1, size):
        value, place = ranked[i], i
        while place > 0 and ranked[place - 1] > value:
            ranked[place] = ranked[place - 1]
            place -= 1
        ranked[place] = value


@kernel
def _overlapping(
    columns: NDArray[np.float32], values: NDArray[np.float64], rows: Positions, start: Positions, stop: Positions
) -> None:
    """Slide a sorted array over the amounts of an entity whose windows are short, and a tree over those of others."""
    ranked = np.empty(_SHORT, np.float64)
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        own = slice(rows[e], rows[e + 1])
        if (stop[own] - start[own]).max() < _SHORT:
            _in_order(columns[:, own], values, start[own], stop[own], ranked)
        else:
            _in_tree(columns[:, own], values, start[own], stop[own])


@kernel
def _in_order(
    columns: NDArray[np.float32],
    values: NDArray[np.float64],
    start: Positions,
    stop: Positions,
    ranked: NDArray[np.float64],
) -> None:
    """Keep the window's amounts in order as they come and go."""
    n, lo, hi = 0, start[0], start[0]
    for r in range(len(start)):
        for i in range(lo, min(start[r], hi)):
            n = n if np.isnan(values[i]) else rank_out(ranked, n, values[i])
        for i in range(max(start[r], hi), stop[r]):
            n = n if np.isnan(values[i]) else rank_in(ranked, n, values[i])
        lo, hi = start[r], stop[r]
        if n > 0:
            columns[0, r], columns[1, r] = median(ranked, n), ranked[(3 * n + 3) // 4 - 1]


@kernel
def _in_tree(columns: NDArray[np.float32], values: NDArray[np.float64], start: Positions, stop: Positions) -> None:
    """Count the window's amounts in a tree over the entity's sorted ones.

    The tree is Fenwick's ("A new data structure for cumulative frequency tables", 1994): log n steps let an amount in
    or out, and log n steps find the one of a rank, however many the window holds.
    """
    first = start[0]
    own = values[first : stop[-1]]
    order = np.argsort(own)
    rank, tree = np.empty(len(own), np.int64), np.zeros(len(own) + 1, np.int64)
    rank[order] = np.arange(1, len(own) + 1)
    n, lo, hi = 0, first, first
    for r in range(len(start)):
        while hi < stop[r]:
            n += _change(tree, rank[hi - first], 0 if np.isnan(values[hi]) else 1)
            hi += 1
        while lo < start[r]:
            n += _change(tree, rank[lo - first], 0 if np.isnan(values[lo]) else -1)
            lo += 1
        if n > 0:
            low, high = own[order[_find(tree, (n + 1) // 2)]], own[order[_find(tree, n // 2 + 1)]]
            columns[0, r], columns[1, r] = 0.5 * (low + high), own[order[_find(tree, (3 * n + 3) // 4)]]


@kernel
def _change(tree: Positions, place: int, by: int) -> int:
    """Change the count at a place, of those from 1 on; by how much."""
    while by != 0 and place < len(tree):
        tree[place] += by
        place += place & -place
    return by


@kernel
def _find(tree: Positions, rank: int) -> int:
    """The place, of those from 0 on, at which the counts add up to the rank."""
    place, step = 0, 1
    while 2 * step < len(tree):
        step *= 2
    while step > 0:
        if place + step < len(tree) and tree[place + step] < rank:
            place += step
            rank -= tree[place]
        step //= 2
    return place


@kernel
def _repeats(
    columns: NDArray[np.float32],
    values: NDArray[np.float64],
    bits: NDArray[np.uint64],
    bounds: tuple[Positions, Positions, Positions, Positions],
) -> None:
    """Each amount enters the window, passes into the past and leaves the horizon once, as a number among the entity's.

    ``heights[k]`` is how many different amounts the window holds at least k times, so the last above zero tells the
    commonest. An amount of the window is known while the past holds its equal; that changes as the past does.
    """
    rows, history, start, stop = bounds
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        first, last = history[rows[e]], stop[rows[e + 1] - 1]
        codes, rounded, before = _numbered(values[first:last], bits[first - history[0] : last - history[0]])
        now, past, heights = _zeros(len(rounded)), _zeros(len(rounded)), _zeros(len(codes) + 1)
        old = lo = hi = most = rounds = 0
        known = np.int64(0)
        for r in range(rows[e], rows[e + 1]):
            for code in codes[hi : before[stop[r] - first]]:
                now[code] += 1
                heights[now[code]] += 1
                most = max(most, now[code])
                rounds += rounded[code]
                known += 1 if past[code] > 0 else 0
            for code in codes[lo : before[start[r] - first]]:
                heights[now[code]] -= 1
                most -= 1 if heights[most] == 0 else 0
                now[code] -= 1
                rounds -= rounded[code]
                known += np.int64(now[code]) if past[code] == 0 else -1
                past[code] += 1
            for code in codes[old : before[history[r] - first]]:
                past[code] -= 1
                known -= np.int64(now[code]) if past[code] == 0 else 0
            old, lo, hi = before[history[r] - first], before[start[r] - first], before[stop[r] - first]
            if hi > lo:
                columns[0, r], columns[1, r], columns[2, r] = rounds / (hi - lo), most, known / (hi - lo)


@kernel
def _zeros(size: int) -> NDArray[np.uint32]:
    return np.zeros(size, np.uint32)


@kernel
def _numbered(
    values: NDArray[np.float64], bits: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], Positions]:
    """Number the different amounts as they come, leaving out nulls: a table, half of it empty.

    The number of each amount, whether each different one is round, and how many amounts come before each event.
    """
    codes, before = np.empty(len(values), np.uint32), np.zeros(len(values) + 1, np.int64)
    rounded = np.empty(len(values), np.uint8)
    shift = 62
    while 1 << (64 - shift) < 2 * len(values):
        shift -= 1
    table = np.full(1 << (64 - shift), -1, np.int64)  # where an amount first came
    n = size = 0
    for i in range(len(values)):
        if not np.isnan(values[i]):
            place = np.int64((bits[i] * _GOLDEN) >> np.uint64(shift))
            while table[place] >= 0 and bits[table[place]] != bits[i]:
                place = (place + 1) % len(table)
            if table[place] < 0:
                table[place], rounded[n] = i, is_round(values[i])
                n += 1
                codes[size] = n - 1
            else:
                codes[size] = codes[before[table[place]]]
            size += 1
        before[i + 1] = size
    return codes[:size], rounded[:n], before
