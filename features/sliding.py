"""What slides: distinct values and the largest value of windows, in time that does not grow with how they overlap.

Windows are given by their ends ``[lo, hi)``, positions that never fall from one window to the next. Windows of single
events overlap almost wholly, and those of a busy entity hold tens of thousands of events, so that to look at each
window by itself would take a square of them. Here each event comes and goes once. A window that shares nothing with the
one before it, as days and other entities do not, begins afresh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels import enter, forget, kernel, leave

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]

__all__ = ["distinct", "highest", "turns", "within"]


@kernel
def distinct(
    column: NDArray[Any], codes: NDArray[np.int32], lo: Positions, hi: Positions, counter: NDArray[np.int32]
) -> None:
    """Fill the number of different values in each window, by a counter that is left as it came: all zeros.

    Examples
    --------
    >>> made, seen = np.zeros(3, np.int64), np.zeros(2, np.int32)
    >>> distinct(made, np.array([0, 1, 0, 0, -1], np.int32), np.array([0, 1, 2]), np.array([2, 3, 5]), seen)
    >>> made.tolist()
    [2, 2, 1]
    """
    a = b = n = 0
    for r in range(len(lo)):
        if lo[r] >= b:
            forget(counter, codes, a, b)
            a, b, n = lo[r], lo[r], 0
        while b < hi[r]:
            n += enter(counter, codes[b])
            b += 1
        while a < lo[r]:
            n -= leave(counter, codes[a])
            a += 1
        column[r] = n
    forget(counter, codes, a, b)


@kernel
def highest(column: NDArray[Any], values: NDArray[Any], lo: Positions, hi: Positions) -> None:
    """Fill the largest value of each window; one that has none but NaN is left as it is.

    The largest is the first of a queue of falling values: one that comes drops those before it that it reaches, for
    they can be the largest no more. So each value enters once and leaves once.

    Examples
    --------
    >>> made = np.full(4, np.nan)
    >>> highest(made, np.array([3.0, 1.0, 2.0, np.nan]), np.array([0, 0, 1, 3]), np.array([1, 2, 3, 4]))
    >>> made
    array([ 3.,  3.,  2., nan])
    """
    if len(lo) == 0:
        return
    queue = np.empty(max(0, hi[-1] - lo[0]), np.int64)
    head = tail = known = 0
    for r in range(len(lo)):
        if lo[r] >= known:
            head, tail, known = 0, 0, lo[r]
        for i in range(known, hi[r]):
            if values[i] == values[i]:  # no NaN
                while tail > head and values[queue[tail - 1]] <= values[i]:
                    tail -= 1
                queue[tail] = i
                tail += 1
        known = max(known, hi[r])
        while head < tail and queue[head] < lo[r]:
            head += 1
        if head < tail:
            column[r] = values[queue[head]]


@kernel
def within(at: NDArray[np.int64], span: int, lo: Positions, hi: Positions) -> Positions:
    """Where the span that ends with each event begins: the first event less than so long before it.

    Parameters
    ----------
    at : int64 array, rising within an entity
    span : int
        In the unit of ``at``, the end excluded.
    lo, hi : int64 arrays
        Runs of events that a span does not reach beyond, such as those of each entity.

    Returns
    -------
    int64 array
        Of each event from ``lo[0]`` on, as a position.

    Examples
    --------
    >>> within(np.array([0, 5, 10, 11]), 10, np.array([0, 3]), np.array([3, 4])).tolist()
    [0, 0, 1, 3]
    """
    begin = np.empty(hi[-1] - lo[0], np.int64)
    for e in range(len(lo)):
        first = lo[e]
        for i in range(lo[e], hi[e]):
            while at[i] - at[first] >= span:
                first += 1
            begin[i - lo[0]] = first
    return begin


@kernel
def turns(begin: Positions, lo: Positions, hi: Positions) -> Positions:
    """The first event of each window whose span begins within the window too; the window's end if none does.

    The events before it lie within one span, that which the window's first event begins, so that what a window holds
    is in the spans from its turn on, as they are, or in the stretch up to it.

    Examples
    --------
    >>> turns(np.array([0, 0, 1, 2]), np.array([0, 1, 1]), np.array([2, 2, 4])).tolist()
    [0, 2, 2]
    """
    made, i = np.empty(len(lo), np.int64), np.int64(0)
    for r in range(len(lo)):
        i = max(i, lo[r])
        while i < hi[r] and begin[i - lo[0]] < lo[r]:
            i += 1
        made[r] = min(i, hi[r])
    return made
