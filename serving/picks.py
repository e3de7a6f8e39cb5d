"""Random picks: a few windows a day that no rank chose, so that what the model is blind to can be seen.

If only the highest scores are reviewed, labels tell what the model knows already: trouble that it misses stays
unlabelled, and the next model learns to miss it, too. Windows drawn at random, with a chance that is written down,
break the circle: they show how much trouble there is, and weigh what is found for what was not looked at.

Draws are made by hashing, not by dice: the same entity and day with the same seed are drawn again, whatever the order
of rows. Who is drawn first, and which of several windows of an entity on one day, come from two independent hashes, so
that an entity with many windows is drawn no sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from ..features.columns import stable_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..features.vectors import Vectors

__all__ = ["Exploration", "Picks", "random_picks"]

_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True)
class Exploration:
    """What part of a day's budget goes to random picks.

    Attributes
    ----------
    share : float
        In [0, 1].
    seed : int
        Another seed draws others.

    Examples
    --------
    >>> Exploration(0.05).split(100)
    (95, 5)
    """

    share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            message = f"expected alerts.explore to be a share of the budget, 0 to 1, got {self.share}"
            raise ConfigError(message)

    def split(self, budget: int) -> tuple[int, int]:
        """How many alerts a day go to the highest ranks, and how many to random picks."""
        at_random = int(self.share * budget + 0.5)
        return budget - at_random, at_random


@dataclass(frozen=True, eq=False)
class Picks:
    """What is put before a reviewer: the highest ranks, and what was drawn at random.

    Attributes
    ----------
    by_rank : bool array of shape (n,)
        Alerts by rank.
    chance : float64 array of shape (n,)
        How likely the row was to be an alert: 1 by rank, the chance of the draw for random picks, NaN for no alert.
    """

    by_rank: NDArray[np.bool_]
    chance: NDArray[np.float64]

    @property
    def alert(self) -> NDArray[np.bool_]:
        """Which rows are alerts, for whichever reason, bool of shape (n,)."""
        return ~np.isnan(self.chance)

    def columns(self) -> dict[str, pa.Array]:
        """Columns ``alert`` (bool), ``pick`` ("rank" or "random", null for no alert) and ``chance`` (null likewise)."""
        why = np.where(self.by_rank, "rank", "random").astype(object)
        return {
            "alert": pa.array(self.alert),
            "pick": pa.array(why, pa.string(), mask=~self.alert),
            "chance": pa.array(self.chance, mask=~self.alert),
        }


def random_picks(
    vectors: Vectors, day: NDArray[np.int64], alert: NDArray[np.bool_], *, most: int, seed: int
) -> NDArray[np.float64]:
    """Draw windows at random among those that are no alerts yet, at most one of an entity on a day.

    Parameters
    ----------
    vectors : Vectors, n rows
        Only whose windows they are and when they end counts.
    day : int64 array of shape (n,)
        The day that each row's budget is of.
    alert : bool array of shape (n,)
        Rows that are alerts by rank.
    most : int
        So many a day; all there are, if they are fewer.
    seed : int

    Returns
    -------
    float64 array of shape (n,)
        The chance that the row was drawn with: picks over entities to draw from on that day, over the entity's windows
        to draw from. NaN for rows that were not drawn.
    """
    rows = np.flatnonzero(~alert)
    chance = np.full(len(vectors), np.nan)
    if not most or not len(rows):
        return chance
    name = stable_hash(vectors.entity.dictionary.cast(pa.string()))[vectors.entity.indices.to_numpy()[rows]]
    order = np.lexsort((vectors.as_of[rows], name, day[rows]))
    rows, name, on = rows[order], name[order], day[rows[order]]
    first = np.flatnonzero(np.append(True, (name[1:] != name[:-1]) | (on[1:] != on[:-1])))
    windows = np.diff(np.append(first, len(rows)))
    drawn = _hash(name[first], on[first], seed)
    days, start, entities = np.unique(on[first], return_index=True, return_counts=True)
    by_draw = np.lexsort((drawn, on[first]))
    place = np.empty(len(first), np.int64)
    place[by_draw] = np.arange(len(first))
    of = np.searchsorted(days, on[first])
    picked = place - start[of] < most
    which = first + (_hash(name[first], on[first], seed, again=1) % windows.astype(np.uint64)).astype(np.int64)
    share = np.minimum(most, entities[of]) / entities[of] / windows
    chance[rows[which[picked]]] = share[picked]
    return chance


def _hash(name: NDArray[np.uint64], day: NDArray[np.int64], seed: int, *, again: int = 0) -> NDArray[np.uint64]:
    """A number of 64 even bits for each entity and day, another for each seed (SplitMix64's finisher, twice)."""
    start = np.uint64((2 * seed + again) % 2**64)
    return _mixed(name ^ _mixed(day.view(np.uint64) + _mixed(np.full(len(day), start))))


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = bits + _STEP
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))
