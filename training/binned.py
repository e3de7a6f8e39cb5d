"""LightGBM on rows whose features were cut into bins once, for fits that differ in their settings alone.

Cutting takes as long as some dozens of trees. A fit here is that of the LightGBM detector before it refits: stopped
early by the latest rows, with the weights of confirmed rows and the number of rows that each row stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .rows import time_order

if TYPE_CHECKING:
    from collections.abc import Callable

    import lightgbm as lgb
    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .lightgbm import LightGBM

    Scorer = Callable[[NDArray[np.float32]], NDArray[np.float64]]

__all__ = ["BinnedRows"]

# More of them wait for each other at every split. Where another process is busy, too, that was measured to take ten
# times as long as one thread and more: a search has many small fits, and none of them is worth it.
_THREADS = 1


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows in bins."""

    data: lgb.Dataset
    truth: NDArray[np.bool_]
    weight: NDArray[np.float64]

    def weighed(self, positive_weight: float) -> lgb.Dataset:
        """The rows with the weights of these settings, in place."""
        weight = np.where(self.truth, positive_weight, 1.0) * self.weight
        self.data.set_field("weight", weight)  # set_weight() would leave those of the last fit where all are 1
        return self.data


@dataclass(frozen=True, eq=False)
class BinnedRows:
    """Rows to fit LightGBM on, many times.

    Attributes
    ----------
    vectors : Vectors, n rows
    truth : bool array of shape (n,)
    weight : float64 array of shape (n,)
        How many rows each stands for.
    order : int64 array of shape (n,)
        The rows in the order of time.
    """

    vectors: Vectors
    truth: NDArray[np.bool_]
    weight: NDArray[np.float64]
    order: NDArray[np.intp]

    @classmethod
    def of(cls, vectors: Vectors, truth: NDArray[np.bool_], weight: NDArray[np.float64]) -> BinnedRows:
        """Put rows in the order of time; they are cut into bins when they are first fitted."""
        return cls(vectors, truth, weight, time_order(vectors))

    def fit(self, settings: LightGBM, *, seed: int) -> Scorer:
        """Fit, and return what gives rows of a matrix (n, n_features) their log-odds, float64 of shape (n,)."""
        import lightgbm as lgb

        early, later = self._parts(settings.last_part)
        data = early.weighed(settings.positive_weight)
        judged_by = None if later is None else [later.weighed(settings.positive_weight)]
        stop: list[Callable[..., object]] = []
        if later is not None:
            stop.append(lgb.early_stopping(settings.patience, verbose=False))
        threads = settings.threads or _THREADS
        directed = settings.directions(self.vectors.features)
        parameters = settings.parameters(seed) | directed | {"num_threads": threads, "feature_pre_filter": False}
        booster = lgb.train(parameters, data, settings.rounds, valid_sets=judged_by, callbacks=stop)
        trees = settings.rounds if later is None else booster.best_iteration

        def score(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
            margin = booster.predict(matrix, num_iteration=trees, raw_score=True, num_threads=threads)
            return np.asarray(margin, np.float64)

        return score

    @cached_property
    def _made(self) -> dict[float, tuple[_Part, _Part | None]]:
        return {}

    def _parts(self, last_part: float) -> tuple[_Part, _Part | None]:
        """The early rows, and the latest to stop by; or all, and None where the latest cannot judge."""
        if last_part not in self._made:
            as_of = self.vectors.as_of[self.order]
            early = as_of <= as_of[max(0, int(len(as_of) * (1.0 - last_part)) - 1)]
            sides = [self.truth[self.order[side]] for side in (early, ~early)]
            if all(side.any() and not side.all() for side in sides):
                first = self._part(self.order[early], None)
                self._made[last_part] = first, self._part(self.order[~early], first)
            else:
                self._made[last_part] = self._part(self.order, None), None
        return self._made[last_part]

    def _part(self, rows: NDArray[np.intp], like: _Part | None) -> _Part:
        import lightgbm as lgb

        names = [f"f{number}" for number in range(len(self.vectors.features))]
        quiet = {"verbosity": -1, "feature_pre_filter": False}  # a trial may ask for smaller leaves than the one before
        matrix, truth = self.vectors.matrix[rows], self.truth[rows]
        reference = None if like is None else like.data
        data = lgb.Dataset(matrix, truth, reference=reference, feature_name=names, params=quiet)
        return _Part(data.construct(), truth, self.weight[rows])
