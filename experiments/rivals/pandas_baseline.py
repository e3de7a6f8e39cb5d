"""The baseline family without a loop: the earlier days of each row laid side by side, and sorted row by row.

pandas has a rolling median but no rolling median absolute deviation, and a rolling ``apply`` would call Python for
each row. So an expert gathers the at most 28 earlier days of each row into a matrix, sorts it along its rows (a null
sorts last), and reads the medians off; in blocks that fit into the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .recipe import Recipe

__all__ = ["baseline"]

_BLOCK = 20_000
_PRIOR_WINDOWS = 5.0
_LEAST_SPREAD = 0.5
_SIGMA = 1.4826


def baseline(
    columns: Mapping[str, NDArray[np.float32]], day: NDArray[np.int64], earliest: NDArray[np.intp], recipe: Recipe
) -> dict[str, NDArray[np.float32]]:
    """Hold each level that is among the columns against the entity's earlier days within the horizon.

    Parameters
    ----------
    columns : mapping of str to float32 array of shape (n,)
        The levels, and whatever else there is.
    day : int array of shape (n,)
        The day of each row.
    earliest : int array of shape (n,)
        The entity's first row within the horizon.
    recipe : Recipe

    Returns
    -------
    dict of str to float32 array of shape (n,)
    """
    horizon = recipe.trailing[-1]
    history = np.arange(len(day)) - earliest
    made = {f"history_windows_{horizon}d": history, f"history_age_{horizon}d": day - day[earliest]}
    levels = {level: usual for level, usual in recipe.usual.items() if level in columns}
    judged = {name: np.full(len(day), np.nan, np.float32) for level in levels for name in _names(level)}
    for first in range(0, len(day), _BLOCK):
        rows = slice(first, min(first + _BLOCK, len(day)))
        places, absent = _earlier(rows, history[rows])
        for level, usual in levels.items():
            z, ratio = (judged[name] for name in _names(level))
            z[rows], ratio[rows] = _judge(columns[level], rows, (places, absent), usual)
    return {name: column.astype(np.float32) for name, column in made.items()} | judged


def _names(level: str) -> tuple[str, str]:
    return f"{level}_vs_own", f"{level}_ratio_vs_own"


def _earlier(rows: slice, history: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where the rows before each row of the block are, and which places of the matrix hold none."""
    back = np.arange(1, int(history.max(initial=0)) + 1)
    places = np.arange(rows.start, rows.stop)[:, None] - back
    absent = back > history[:, None]
    return np.where(absent, 0, places), absent


def _judge(
    level: NDArray[np.float32],
    rows: slice,
    earlier: tuple[NDArray[np.intp], NDArray[np.bool_]],
    usual: tuple[float, float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    places, absent = earlier
    centre, spread, offset = usual
    past = level[places]
    past[absent] = np.nan
    own, size = _median(past)
    mad, _ = _median(np.abs(past - own[:, None]))
    x, known = level[rows].astype(np.float64), size > 0
    own_spread = _SIGMA * np.where(known, mad, 0.0)
    middle = (size * np.where(known, own, 0.0) + _PRIOR_WINDOWS * centre) / (size + _PRIOR_WINDOWS)
    width = (size * own_spread + _PRIOR_WINDOWS * spread) / (size + _PRIOR_WINDOWS)
    z = (x - middle) / np.maximum(width, _LEAST_SPREAD * spread)
    positive = (x + offset > 0) & (own + offset > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(positive | np.isnan(x) | ~known, np.log2((x + offset) / (own + offset)), 0.0)
    return z, ratio


def _median(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The median of each row, which is sorted in place, and how many values it has; NaN for an empty row."""
    if values.shape[1] == 0:
        return np.full(len(values), np.nan, np.float32), np.zeros(len(values), np.intp)
    values.sort(axis=1)
    size = np.count_nonzero(~np.isnan(values), axis=1)
    middle = np.stack([np.maximum(size - 1, 0) // 2, np.minimum(size // 2, values.shape[1] - 1)], axis=1)
    return np.take_along_axis(values, middle, axis=1).mean(axis=1), size
