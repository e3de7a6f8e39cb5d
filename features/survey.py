"""What a log's dimensions are like: whether many entities have their values in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .columns import Codes
    from .population import Population
    from .timeline import Timeline

__all__ = ["count_holders", "holders", "in_common", "known_holders", "unsettled"]

_COMMON = 0.001  # of the entities
_FEW = 8
_OPEN = 0.1  # of the events are not of their value's commonest action
_MOST_CELLS = 20_000_000


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
    return count_holders(codes.codes, len(codes.values), timeline.first, blocks)


def count_holders(
    codes: NDArray[np.int32], n_values: int, first: NDArray[np.int64], block: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many blocks of entities hold each code, int64 of shape (n_values,).

    Parameters
    ----------
    codes : int32 array of shape (n,)
        Sorted by entity and time; -1 is held by nobody.
    n_values : int
    first : int64 array of shape (n_entities + 1,)
        The events of entity ``e`` are those at ``first[e]:first[e + 1]``.
    block : int64 array of shape (n,)
        Rises with time within an entity.

    Examples
    --------
    >>> ones = np.zeros(3, np.int64)
    >>> count_holders(np.array([0, 0, 0], np.int32), 1, np.array([0, 2, 3]), ones)
    array([2])
    """
    return _count(codes, first, block, np.full(n_values, -1, np.int64))


def known_holders(codes: Codes, events: slice, population: Population, name: str) -> tuple[NDArray[np.int64], int]:
    """How many entities held each value of a dimension in training, and how many entities there were.

    Parameters
    ----------
    codes : Codes
    events : slice
        Only values of these events are looked up; the others stay 0.
    population : Population
        With what the novelty family observed.
    name : str
        The dimension.

    Returns
    -------
    known : int64 array of shape (n_values,)
    entities : int
    """
    used = np.zeros(len(codes.values) + 1, np.bool_)  # a null falls into the last place
    used[codes.codes[events]] = True
    which, known = np.flatnonzero(used[:-1]), np.zeros(len(codes.values), np.int64)
    if f"novelty.{name}" in population.keyed:
        known[which] = population.keyed[f"novelty.{name}"].of_keys(codes.keys[which])
    return known, int(population.counts.get("novelty", np.zeros(1, np.int64))[0])


def in_common(timeline: Timeline, name: str) -> bool:
    """Whether at least a few values of a dimension are each held by one entity in a thousand, and by two at least."""
    return int(np.count_nonzero(holders(timeline, name) >= _least(timeline))) >= _FEW


def unsettled(timeline: Timeline, names: Iterable[str], action: str) -> str | None:
    """Which dimension has most values in common among those whose values leave open what was done to them.

    A ticket can only be bought; an article is viewed by one and bought by another. None where no dimension does, or
    has too many values to count each with each action.

    Parameters
    ----------
    timeline : Timeline
    names : iterable of str
        Dimensions to choose from.
    action : str
        The dimension that says what was done.
    """
    done, found, most = timeline.dimensions[action], None, 0
    for name in names:
        codes = timeline.dimensions[name]
        if name == action or len(codes.values) * len(done.values) > _MOST_CELLS:
            continue
        both = (codes.codes >= 0) & (done.codes >= 0)
        cells = codes.codes[both].astype(np.int64) * len(done.values) + done.codes[both]
        table = np.bincount(cells, minlength=len(codes.values) * len(done.values)).reshape(-1, len(done.values))
        open_share = 1.0 - table.max(axis=1).sum() / max(1, table.sum())
        common = int(np.count_nonzero(holders(timeline, name) >= _least(timeline)))
        if open_share >= _OPEN and common > most:
            found, most = name, common
    return found


def _least(timeline: Timeline) -> float:
    """Of how many entities a value must be to be in common."""
    return max(2.0, _COMMON * float(np.count_nonzero(np.diff(timeline.first))))


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
