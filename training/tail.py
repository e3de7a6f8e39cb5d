"""Tail probabilities: how surprising a score is among the scores of the fitting rows.

Forests over different columns score on different scales; ``-log p`` is common to all. As far as some rows lie beyond, p
is the empirical share of fitting rows that score as high, ties and gaps included; from there on the excess is taken as
exponential. A forest over columns that are nearly always zero has most of its rows at one score, and all that matters
among the few others: a fixed percentile would lie within the mass, and measure those few by the distance to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tail"]

KNOTS = 1000  # scores kept to tell the empirical part, the steps between them ever smaller shares of the rows
_BEYOND = 64  # rows that the exponential is measured by; a hundredth of them, if those are fewer


@dataclass(frozen=True, eq=False)
class Tail:
    """The map from a score to ``-log p``, in nats: never falling.

    Attributes
    ----------
    score : float64 array of shape (k,), rising
    surprise : float64 array of shape (k,), ``-log p`` at each of these scores
    excess : float
        Mean of how far scores beyond the last of them exceed it; such a score adds 1 nat per ``excess``. 0 where
        nothing beyond it adds anything.

    References
    ----------
    Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 1975 (shape 0).
    """

    score: NDArray[np.float64]
    surprise: NDArray[np.float64]
    excess: float

    @classmethod
    def fit(cls, scores: NDArray[np.float64]) -> Tail:
        """Learn the tail of the fitting rows' scores, float64 of shape (n,), n >= 1.

        Examples
        --------
        >>> tail = Tail.fit(np.arange(1000.0))
        >>> tail(np.array([0.0, 900.0, 990.0, 5000.0])).round(1).tolist()
        [0.0, 2.3, 4.5, 895.6]
        """
        ordered = np.sort(scores)
        n = len(ordered)
        few = max(1, min(_BEYOND, n // 100))
        places = n - np.geomspace(n, min(few + 1, n), KNOTS).astype(np.intp)
        knots = np.unique(ordered[places])
        beyond = ordered[ordered > knots[-1]]
        if len(beyond) > 1:  # the first of them, so that a gap below it is not taken for part of the excess
            knots = np.append(knots, beyond[0])
        at_least = n - np.searchsorted(ordered, knots, side="left")
        excess = float((beyond - knots[-1]).mean()) if len(beyond) else float(ordered.std())
        return cls(knots, -np.log((1.0 + at_least) / (1.0 + n)), excess or 1.0)

    def capped(self, rows: int) -> Tail:
        """The same as far as so many fitting rows can tell: no score is less likely than one in all of them and one.

        A forest's score nears a bound, and how much nearer it comes than any fitting row says little of how odd a row
        is. Uncapped, the forests over the rarest actions would shout loudest on chance alone.

        Examples
        --------
        >>> tail = Tail.fit(np.arange(1000.0)).capped(1000)
        >>> tail(np.array([900.0, 5000.0, 9000.0])).round(1).tolist()
        [2.3, 6.9, 6.9]
        """
        most = np.log1p(rows)
        left = most - self.surprise[-1]
        if left <= 0.0:
            return Tail(self.score, np.minimum(self.surprise, most), 0.0)
        score = np.append(self.score, self.score[-1] + left * self.excess)
        return Tail(score, np.append(self.surprise, most), 0.0)

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """``-log p`` of each score, float64 of the same shape."""
        within = np.asarray(np.interp(scores, self.score, self.surprise))
        if not self.excess:
            return within
        return np.asarray(within + np.maximum(scores - self.score[-1], 0.0) / self.excess)
