"""Tail probabilities: how surprising a score is among the scores of the fitting rows.

Forests over different columns score on different scales; ``-log p`` is common to all. Below the 99th percentile p is
the empirical share of fitting rows that score as high; beyond it, where rows are few, the excess is taken as
exponential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tail"]

# Scores kept to tell the empirical part: a step of 0.1 % of the rows.
KNOTS = 1000


@dataclass(frozen=True, eq=False)
class Tail:
    """The map from a score to ``-log p``, in nats: continuous, never falling.

    Attributes
    ----------
    score : float64 array of shape (k,), rising
    surprise : float64 array of shape (k,), ``-log p`` at each of these scores
    excess : float
        Mean of how far scores beyond the last of them exceed it; such a score adds 1 nat per ``excess``.

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
        [0.0, 2.3, 4.5, 806.5]
        """
        ordered = np.sort(scores)
        n = len(ordered)
        last = max(0, min(int(0.99 * n), n - 2))
        knots = np.unique(ordered[np.linspace(0, last, min(KNOTS, last + 1)).astype(np.intp)])
        at_least = n - np.searchsorted(ordered, knots, side="left")
        beyond = ordered[ordered > knots[-1]] - knots[-1]
        excess = float(beyond.mean()) if len(beyond) else float(ordered.std())
        return cls(knots, -np.log((1.0 + at_least) / (1.0 + n)), excess or 1.0)

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """``-log p`` of each score, float64 of the same shape."""
        beyond = np.maximum(scores - self.score[-1], 0.0) / self.excess
        return np.asarray(np.interp(scores, self.score, self.surprise) + beyond)
