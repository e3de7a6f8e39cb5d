"""How one feature is spread within each of several groups: the histograms of the population, group by group.

A group and a bin make one key: the bin takes the low bits of the group's hash. So the counts of all groups are one
:class:`~peculiar.features.population.Keyed`, which adds up over partitions and takes no more room than what was seen;
rising keys hold each group's bins side by side and in order of value, which is all that quantiles need.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from .population import BIN_BITS, LOWER_EDGES, N_BINS, Keyed, bins_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["USUAL_SHARES", "Strata", "count_in_groups", "usual"]

USUAL_SHARES = (0.159, 0.5, 0.841, 0.99)
_TINY = 1e-12  # a spread below this is one bin that holds a zero, and would send z out of range
_BITS = np.uint64(BIN_BITS)
_NOBODY = Keyed(np.empty(0, np.uint64), np.empty(0, np.int64))


def usual(quantiles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The usual value and the usual spread, read off quantiles so that no outlier moves them.

    The spread is half of what lies between the 15.9th and the 84.1st percentile, as of a normal distribution; where
    most values are alike the upper tail gives it, and where all are, the size of the value.

    Parameters
    ----------
    quantiles : float64 array of shape (4, ...)
        At the shares of ``USUAL_SHARES``; NaN where nothing is known.

    Returns
    -------
    centre, spread : float64 arrays of shape (...)
        0 and 1 where nothing is known.

    Examples
    --------
    >>> centre, spread = usual(np.array([1.0, 2.0, 4.0, 9.0]))
    >>> float(centre), float(spread)
    (2.0, 1.5)
    """
    low, centre, high, top = quantiles
    spread = (high - low) / 2.0
    spread = np.where(spread > _TINY, spread, (top - centre) / 2.326)
    known = np.where(np.isfinite(centre), centre, 0.0)
    return known, np.where(spread > _TINY, spread, np.maximum(np.abs(known), 1.0))


def count_in_groups(groups: NDArray[np.uint64], values: NDArray[np.float32]) -> Keyed:
    """Count the values of each group into the fixed bins; nulls are not counted.

    Parameters
    ----------
    groups : uint64 array of shape (n,)
        A hash of each value's group, of which all but the low 13 bits tell groups apart; 0 for a value of no group.
    values : float32 array of shape (n,)
    """
    there = ~np.isnan(values) & (groups >> _BITS != 0)
    keys = (groups[there] >> _BITS << _BITS) | bins_of(values[there]).astype(np.uint64)
    keys, counts = np.unique(keys, return_counts=True)
    return Keyed(keys, counts.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Strata:
    """The bins that were seen in each group, one group after the other, with everyone as the last.

    Attributes
    ----------
    groups : uint64 array of shape (k,), rising
        The hashes of the groups, without their low bits.
    lo, hi : int64 arrays of shape (k + 1,)
        The bins of group ``g`` are those at ``lo[g]:hi[g]``.
    bins : int64 array of shape (m,)
        Rising within a group.
    before : int64 array of shape (m + 1,)
        How many values lie in the bins before each.
    """

    groups: NDArray[np.uint64]
    lo: NDArray[np.int64]
    hi: NDArray[np.int64]
    bins: NDArray[np.int64]
    before: NDArray[np.int64]

    @classmethod
    def of(cls, counted: Keyed | None, everyone: NDArray[np.int64], least: int) -> Self:
        """The groups that have at least so many values, and everyone.

        Parameters
        ----------
        counted : Keyed, optional
            As :func:`count_in_groups` made it, summed.
        everyone : int64 array of shape (N_BINS,)
            The histogram of everyone.
        least : int
        """
        counted = counted or _NOBODY
        groups, first = np.unique(counted.keys >> _BITS, return_index=True)
        seen, number = np.flatnonzero(everyone), len(counted.keys)
        bins = np.concatenate([(counted.keys & np.uint64(N_BINS - 1)).astype(np.int64), seen])
        before = np.concatenate([[0], np.cumsum(np.concatenate([counted.counts, everyone[seen]]))]).astype(np.int64)
        edges = np.concatenate([first, [number]]).astype(np.int64)
        lo, hi = edges[:-1], edges[1:]
        large = before[hi] - before[lo] >= least
        lo, hi = np.append(lo[large], number), np.append(hi[large], number + len(seen))
        return cls(groups[large], lo, hi, bins, before)

    @cached_property
    def usual(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre and spread of each group, float64 of shape (k + 1,)."""
        return usual(np.stack([self._quantile(share) for share in USUAL_SHARES]))

    def place(self, groups: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each given group here; that of everyone for a group that is not here."""
        wanted = groups >> _BITS
        place = np.searchsorted(self.groups, wanted)
        known = np.append(self.groups, np.uint64(0))[place] == wanted
        return np.where(known & (place < len(self.groups)), place, len(self.groups))

    def _quantile(self, share: float) -> NDArray[np.float64]:
        """The lower edge of the bin in which each group's quantile lies; NaN for no value at all."""
        start, total = self.before[self.lo], self.before[self.hi] - self.before[self.lo]
        rank = np.ceil(np.maximum(share * total, 1.0)).astype(np.int64)
        place = np.searchsorted(self.before[1:], start + rank)
        edges = np.append(LOWER_EDGES[self.bins], np.nan)[np.minimum(place, len(self.bins))]
        return np.where(total > 0, edges, np.nan)
