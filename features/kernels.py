"""The few compiled parts that every family is built from.

A *window* is a pair of positions ``[lo, hi)`` in the sorted events; it slides by moving both ends forward, so each
event enters and leaves once. A *counter* is an int32 array indexed by value code: entering adds one, leaving takes one
away, and the number of values above zero is a running distinct count, exact and without hashing. A *ranked window* is
a short sorted array from which median and spread are read off.

Running sums of floats never slide: adding and taking away leaves a residue of what has left the horizon, and the same
events would give other bits. Floats are summed afresh over each window, in the order of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "SPREAD",
    "blank",
    "counted_out",
    "enter",
    "forget",
    "kernel",
    "leave",
    "mad",
    "median",
    "picked",
    "rank_in",
    "rank_out",
]

SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio, made odd: a product with it parts neighbours

F = TypeVar("F", bound="Callable[..., Any]")


def kernel(function: F) -> F:
    """Compile at the first call, keep the machine code on disk, and run without the interpreter's lock."""
    return cast("F", njit(cache=True, nogil=True, error_model="numpy")(function))


def blank(columns: int, rows: int) -> NDArray[np.float32]:
    """Null columns of which none follows another without a gap: kernels are compiled for the parts of a wider block.

    Examples
    --------
    >>> blank(1, 2)
    array([[nan, nan]], dtype=float32)
    """
    return np.full((columns, rows + 1), np.nan, np.float32)[:, :rows]


@kernel
def counted_out(
    codes: NDArray[Any], rows: NDArray[np.uint32], n_codes: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """A counting sort of rows by their codes: one pass counts, one pass places. Stable.

    Parameters
    ----------
    codes : int array of shape (n,)
        Of all rows; those looked at lie in ``[0, n_codes)``.
    rows : uint32 array of shape (m,)
        Which rows, in the order that rows of equal codes keep.
    n_codes : int

    Returns
    -------
    placed : uint32 array of shape (m,)
        The rows, those of each code together.
    first : int64 array of shape (n_codes + 1,)
        The rows of code ``c`` are ``placed[first[c]:first[c + 1]]``.

    Examples
    --------
    >>> placed, first = counted_out(np.array([1, 0, 1]), np.array([0, 1, 2], np.uint32), 2)
    >>> placed.tolist(), first.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    first = np.zeros(n_codes + 1, np.int64)
    for row in rows:
        first[codes[row] + 1] += 1
    for c in range(n_codes):
        first[c + 1] += first[c]
    place = first.copy()
    placed = np.empty(len(rows), np.uint32)
    for row in rows:
        placed[place[codes[row]]] = row
        place[codes[row]] += 1
    return placed, first


@kernel
def picked(source: NDArray[Any], rows: NDArray[np.uint32]) -> NDArray[Any]:
    """The given rows of a column, in the given order.

    Examples
    --------
    >>> picked(np.array([5.0, 6.0, 7.0]), np.array([2, 0], np.uint32))
    array([7., 5.])
    """
    taken = np.empty(len(rows), source.dtype)
    for i in range(len(rows)):
        taken[i] = source[rows[i]]
    return taken


@kernel
def enter(counter: NDArray[np.int32], code: int) -> int:
    """Count a value in; 1 if it was not there before, else 0. A null (-1) counts for nothing."""
    if code < 0:
        return 0
    counter[code] += 1
    return 1 if counter[code] == 1 else 0


@kernel
def leave(counter: NDArray[np.int32], code: int) -> int:
    """Count a value out; 1 if it is gone now, else 0."""
    if code < 0:
        return 0
    counter[code] -= 1
    return 1 if counter[code] == 0 else 0


@kernel
def forget(counter: NDArray[np.int32], codes: NDArray[np.int32], lo: int, hi: int) -> None:
    """Set the counter back to zero for the values of ``[lo, hi)``: cheaper than clearing it whole."""
    for i in range(lo, hi):
        if codes[i] >= 0:
            counter[codes[i]] = 0


@kernel
def rank_in(ranked: NDArray[np.float64], size: int, value: float) -> int:
    """Insert a value into the sorted ``ranked[:size]``, which must have room; the new size."""
    place = size
    while place > 0 and ranked[place - 1] > value:
        ranked[place] = ranked[place - 1]
        place -= 1
    ranked[place] = value
    return size + 1


@kernel
def rank_out(ranked: NDArray[np.float64], size: int, value: float) -> int:
    """Remove a value that is in the sorted ``ranked[:size]``; the new size."""
    lo, hi = 0, size
    while lo < hi:
        mid = (lo + hi) // 2
        if ranked[mid] < value:
            lo = mid + 1
        else:
            hi = mid
    for i in range(lo, size - 1):
        ranked[i] = ranked[i + 1]
    return size - 1


@kernel
def median(ranked: NDArray[np.float64], size: int) -> float:
    """The median of the sorted ``ranked[:size]``; NaN if it is empty."""
    if size == 0:
        return np.nan
    return 0.5 * (ranked[(size - 1) // 2] + ranked[size // 2])


@kernel
def mad(ranked: NDArray[np.float64], size: int) -> float:
    """The median absolute deviation from the median of the sorted ``ranked[:size]``.

    The values nearest to the median are a stretch of the sorted ones, which bisection finds in log2(size) steps.
    """
    if size == 0:
        return np.nan
    centre = median(ranked, size)
    return 0.5 * (_deviation(ranked, size, centre, (size - 1) // 2) + _deviation(ranked, size, centre, size // 2))


@kernel
def _deviation(ranked: NDArray[np.float64], size: int, centre: float, rank: int) -> float:
    """The absolute deviation of a rank, from 0 on: the larger at the two ends of the rank + 1 nearest values."""
    lo, hi = 0, size - 1 - rank
    while lo < hi:
        mid = (lo + hi) // 2
        if centre - ranked[mid] > ranked[mid + rank + 1] - centre:
            lo = mid + 1
        else:
            hi = mid
    return max(centre - ranked[lo], ranked[lo + rank] - centre)
