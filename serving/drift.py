"""Drift of features: how far a period lies from what a model was trained with, and whether that is more than luck.

A feature has moved if three things hold. Its population stability index is above 0.1, which the trade calls a shift. It
and the Kolmogorov-Smirnov statistic are beyond what sampling does to as many independent *entities* (rows of one entity
repeat each other, so that rows would make tiny differences significant). And both are beyond one and a half times what
single days, or weeks, of the training were apart: a Sunday is no drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features.ahead import side_by_side
from ..features.population import LOWER_EDGES
from ..training.usual import Cells, cells_of, count_cells, ks, psi, tenths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..features.family import Feature
    from ..features.population import Population
    from ..features.vectors import Vectors
    from ..training.usual import Usual

__all__ = [
    "LARGE",
    "SHIFT",
    "Drift",
    "Sizes",
    "cells_to_compare",
    "drift_of",
    "limits",
    "luck_of_ks",
    "luck_of_psi",
]

SHIFT, LARGE = 0.1, 0.25
_LUCK = 0.01  # that any feature of all passes by luck
_NATURAL = 1.5
_WEEK = 7


@dataclass(frozen=True)
class Sizes:
    """What a comparison rests on.

    Attributes
    ----------
    before, now : int
        Entities of the reference and of the period.
    days : int
        Length of the period.
    features : int
        How many features are looked at.
    """

    before: int
    now: int
    days: int
    features: int


@dataclass(frozen=True, eq=False)
class Drift:
    """One feature, then and now.

    Attributes
    ----------
    feature : Feature
    cells : Cells
        Of the reference.
    now, known : int64 arrays of shape (k + 1,)
        Rows of the period in each cell, and of those entities alone that were there in the horizon before it.
    psi, ks : float
    psi_known : float
        Without newcomers.
    most_psi, most_ks : float
        Limits.
    """

    feature: Feature
    cells: Cells
    now: NDArray[np.int64]
    known: NDArray[np.int64]
    psi: float
    ks: float
    psi_known: float
    most_psi: float
    most_ks: float

    @property
    def moved(self) -> bool:
        """Whether the feature lies elsewhere than it did, by more than luck and a usual week explain."""
        return self.psi > self.most_psi and self.ks > self.most_ks

    @property
    def moved_known(self) -> bool:
        """Whether it would have moved without newcomers, too."""
        return self.moved and self.psi_known > self.most_psi

    @property
    def large(self) -> bool:
        """Whether the shift is a large one."""
        return self.moved and self.psi > LARGE

    @property
    def nulls(self) -> tuple[float, float]:
        """Share of nulls, then and now."""
        before, now = (counts[-1] / max(1, counts.sum()) for counts in (self.cells.counts, self.now))
        return float(before), float(now)

    @property
    def medians(self) -> tuple[float, float]:
        """Where the cell of the median begins, then and now, or ends if it is the first; NaN where all are null."""
        return _median(self.cells, self.cells.counts), _median(self.cells, self.now)

    @property
    def beyond(self) -> bool:
        """Whether the median lies in the last cell now, which has no end: then it is a bound."""
        total, last = int(self.now[:-1].sum()), int(self.now[-2])
        return total > 0 and 2 * last > total

    @property
    def direction(self) -> int:
        """1 if most of what moved went up, -1 if down, 0 if it spread or gathered."""
        before, now = (np.cumsum(c[:-1]) / max(1, c[:-1].sum()) for c in (self.cells.counts, self.now))
        gap = before - now
        up, down = float(gap.max(initial=0.0)), float(-gap.min(initial=0.0))
        return 1 if up > 2 * down else -1 if down > 2 * up else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "feature": self.feature.name,
            "family": self.feature.family,
            "psi": self.psi,
            "psi_limit": self.most_psi,
            "psi_without_newcomers": self.psi_known,
            "ks": self.ks,
            "ks_limit": self.most_ks,
            "moved": self.moved,
            "nulls": list(self.nulls),
            "medians": list(self.medians),
        }


def limits(cells: Cells, sizes: Sizes) -> tuple[float, float]:
    """How far PSI and KS may be without anything having moved, by luck or on an odd day or week of the training.

    The chance of luck is shared out over all features.
    """
    entities, bins = (sizes.before, sizes.now), len(tenths(cells.counts))
    by_luck = luck_of_psi(bins, entities, sizes.features), luck_of_ks(entities, sizes.features)
    usual = cells.weekly if sizes.days >= _WEEK and cells.weekly is not None else cells.daily
    natural = (0.0, 0.0) if usual is None else (_NATURAL * usual[0], _NATURAL * usual[1])
    return max(SHIFT, by_luck[0], natural[0]), max(by_luck[1], natural[1])


def luck_of_psi(bins: int, entities: tuple[int, int], looked: int) -> float:
    """How far PSI goes by luck, one time in a hundred over all that is looked at.

    Parameters
    ----------
    bins : int
    entities : pair of int
        Before, and now.
    looked : int
        How many comparisons are made.

    Notes
    -----
    Under no drift PSI over k bins is about chi-square with k - 1 degrees of freedom times ``1 / n + 1 / m``.

    References
    ----------
    Yurdakul, "Statistical properties of population stability index", Western Michigan University 2018.

    Examples
    --------
    >>> round(luck_of_psi(10, (400, 400), 1), 2), round(luck_of_psi(10, (400, 400), 100), 2)
    (0.11, 0.17)
    """
    from scipy.stats import chi2

    return float(chi2.ppf(1 - _LUCK / max(1, looked), max(1, bins - 1))) * _size(entities)


def luck_of_ks(entities: tuple[int, int], looked: int) -> float:
    """How far the Kolmogorov-Smirnov statistic goes by luck, as :func:`luck_of_psi`; the bound is Smirnov's."""
    return float(np.sqrt(-np.log(_LUCK / max(1, looked) / 2) / 2 * _size(entities)))


def _size(entities: tuple[int, int]) -> float:
    return 1 / max(1, entities[0]) + 1 / max(1, entities[1])


def cells_to_compare(vectors: Vectors, usual: Usual | None, population: Population) -> Mapping[str, Cells]:
    """The reference of each feature: what the training kept, or else the population's histogram, without nulls."""
    if usual is not None and all(name in usual.cells for name in vectors.names):
        return usual.cells
    made = {}
    for name in vectors.names:
        counts = population.histogram_of(name)
        start = cells_of(counts)
        made[name] = Cells(start, np.append(np.add.reduceat(counts, start), 0))
    return made


def drift_of(
    vectors: Vectors, reference: Mapping[str, Cells], new: NDArray[np.bool_], sizes: Sizes, *, nulls: bool = True
) -> list[Drift]:
    """Compare each feature of a period with its reference.

    Parameters
    ----------
    vectors : Vectors, n rows
    reference : mapping of str to Cells
    new : bool array of shape (n,)
        Rows of newcomers.
    sizes : Sizes
    nulls : bool
        False if the reference does not know how many nulls there were.

    Returns
    -------
    list of Drift
        In the order of the vector.
    """
    group = new.astype(np.int64)

    def one(pair: tuple[Feature, NDArray[np.float32]]) -> Drift:
        feature, column = pair
        cells = reference[feature.name]
        counts = count_cells(column, cells.start, group, 2)
        if not nulls:
            counts[:, -1] = 0
        both, cut = counts.sum(axis=0), tenths(cells.counts)
        before, now, known = (np.add.reduceat(each, cut) for each in (cells.counts, both, counts[0]))
        figures = float(psi(before, now)), float(ks(cells.counts, both)), float(psi(before, known))
        return Drift(feature, cells, both, counts[0], *figures, *limits(cells, sizes))

    return side_by_side(one, zip(vectors.features, vectors.values, strict=True), steps=vectors.values.size)


def _median(cells: Cells, counts: NDArray[np.int64]) -> float:
    total = int(counts[:-1].sum())
    if not total:
        return float("nan")
    place = int(np.searchsorted(np.cumsum(counts[:-1]), (total + 1) // 2))
    # The first cell begins at minus infinity; where it ends tells more.
    return float(LOWER_EDGES[cells.start[place or min(1, len(cells.start) - 1)]])
