"""What a log's dimensions are like: whether many entities have their values in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .timeline import Timeline

__all__ = ["holders", "in_common"]

_COMMON = 0.001  # of the entities
_FEW = 8


def holders(timeline: Timeline, name: str, block: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """How many entities hold each value of a dimension, int64 of shape (n_values,).

    Parameters
    ----------
    timeline : Timeline
    name : str
    block : int64 array of shape (n,), optional
        Cuts an entity's events into blocks, each of which counts as an entity of its own; it rises with time.
    """
    codes = timeline.dimensions[name]
    blocks = np.zeros(len(timeline), np.int64) if block is None else block
    return _count(codes.codes, timeline.first, blocks, np.full(len(codes.values), -1, np.int64))


def in_common(timeline: Timeline, name: str) -> bool:
    """Whether at least a few values of a dimension are each held by one entity in a thousand, and by two at least."""
    held = holders(timeline, name)
    entities = np.count_nonzero(np.diff(timeline.first))
    return int(np.count_nonzero(held >= max(2.0, _COMMON * entities))) >= _FEW


@kernel
def _count(
    codes: NDArray[np.int32], first: NDArray[np.int64], block: NDArray[np.int64], stamp: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count each value once in each block of an entity: a stamp tells whether this block was counted already."""
    held = np.zeros(len(stamp), np.int64)
    now = np.int64(0)
    for e in range(len(first) - 1):
        for i in range(first[e], first[e + 1]):
            if i == first[e] or block[i] != block[i - 1]:
                now += 1
            code = codes[i]
            if code >= 0 and stamp[code] != now:
                stamp[code] = now
                held[code] += 1
    return held
