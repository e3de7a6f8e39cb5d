"""What the witnesses of features have in common: events of a window, picked by what they are.

A witness is an event that makes a feature's value what it is. Families name theirs row by row, for the few rows that
somebody looks at, so that plain arrays do and no pass over all rows is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .family import Context

    Positions = NDArray[np.int64]

__all__ = ["alike", "both_ends", "firsts", "window_of"]


def window_of(context: Context, row: int) -> Positions:
    """The positions of a snapshot's events, int64."""
    return np.arange(context.snapshots.start[row], context.snapshots.stop[row], dtype=np.int64)


def firsts(codes: NDArray[np.int32], events: Positions) -> Positions:
    """The first of the events at each value, in their order; none for a null.

    Examples
    --------
    >>> firsts(np.array([7, 4, -1, 7, 4], np.int32), np.arange(1, 5))
    array([1, 3])
    """
    valued = events[codes[events] >= 0]
    return valued[np.sort(np.unique(codes[valued], return_index=True)[1])]


def alike(codes: NDArray[np.int32], events: Positions, values: NDArray[np.int32]) -> Positions:
    """Those of the events that are at one of the values; a null is like no other.

    Examples
    --------
    >>> alike(np.array([7, 4, -1, 7], np.int32), np.arange(4), np.array([7, -1], np.int32))
    array([0, 3])
    """
    here = codes[events]
    return events[(here >= 0) & np.isin(here, values)]


def both_ends(steps: Positions, length: int = 2) -> Positions:
    """The events of some steps, each given by its last; rising.

    Examples
    --------
    >>> both_ends(np.array([4, 5, 9]))
    array([3, 4, 5, 8, 9])
    """
    return np.unique(np.subtract.outer(steps, np.arange(length)))
