"""LightGBM on labelled vectors: the score is the log-odds margin, stopped early on the last part in time.

LightGBM refuses some characters in feature names, so it is given ``f0, f1, …`` and the names are kept beside it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..errors import BundleError, ConfigError, LabelError
from .bundles import FORMAT, read_about
from .detector import Contributions
from .looked import Looked, as_tuples
from .rows import require_features, time_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lightgbm import Booster, Dataset
    from numpy.typing import NDArray

    from ..features.family import Feature
    from ..features.vectors import Vectors

__all__ = ["FittedLightGBM", "LightGBM", "read_model"]

_SMALL = 20_000_000  # values
_METHOD = "basic"  # of holding a direction


@dataclass(frozen=True)
class LightGBM:
    """Settings of the LightGBM detector; it needs labels.

    Attributes
    ----------
    learning_rate, leaves, min_leaf, feature_share, row_share, l1, l2
        LightGBM's learning_rate, num_leaves, min_data_in_leaf, feature_fraction, bagging_fraction, lambda_l1,
        lambda_l2.
    positive_weight : float
        Weight of a confirmed row against 1 for another.
    rounds : int
        At most so many trees; exactly so many where early stopping has nothing to judge by.
    patience : int
        Stop when average precision on the last part has not risen for so many trees.
    last_part : float
        Share of the rows, the latest in time, that early stopping judges by; with 0 there are just ``rounds`` trees.
    refit : bool
        Fit all rows again with the number of trees found, so that the latest labels are learned too.
    rising, falling : tuple of str
        Names of features or families, as shell patterns ("*_trouble_rate_*", "sharing"): with all else equal, more of
        such a feature never lowers the score, or never raises it. ``falling`` has the last word.
    threads : int
        0 takes one core for small data, where threads wait for each other more than they work, else all; changes the
        speed, never the model.

    References
    ----------
    Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
    """

    kind: ClassVar[str] = "lightgbm"
    supervised: ClassVar[bool] = True

    learning_rate: float = 0.05
    leaves: int = 31
    min_leaf: int = 20
    feature_share: float = 0.8
    row_share: float = 0.8
    l1: float = 0.0
    l2: float = 1.0
    positive_weight: float = 1.0
    rounds: int = 500
    patience: int = 50
    last_part: float = 0.2
    refit: bool = True
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    threads: int = 0

    def __post_init__(self) -> None:
        as_tuples(self, "rising", "falling")
        if self.rounds < 1 or not 0.0 <= self.last_part < 1.0:
            message = f"expected lightgbm.rounds >= 1 and 0 <= last_part < 1, got {self.rounds} and {self.last_part}"
            raise ConfigError(message)

    def fit(
        self,
        vectors: Vectors,
        labels: NDArray[np.bool_] | None = None,
        *,
        weight: NDArray[np.float64] | None = None,
        seed: int,
    ) -> FittedLightGBM:
        """Learn to tell confirmed rows from the others.

        Raises
        ------
        LabelError
            If there are no labels, no confirmed row, or none that is not.
        """
        truth = _checked(labels, len(vectors))
        order = time_order(vectors)
        early = vectors.as_of[order] <= self._last_early(vectors.as_of[order])
        task = _Task(self, vectors, truth, np.ones(len(truth)) if weight is None else weight, seed)
        judged = _both(truth[order[early]]) and _both(truth[order[~early]])
        booster = task.stopped(order[early], order[~early]) if judged else task.boosted(order, self.rounds)
        trees = booster.best_iteration if judged else self.rounds
        if judged and self.refit:
            booster = task.boosted(order, trees)
        text = _portable(booster.model_to_string(num_iteration=trees))
        return FittedLightGBM(self, tuple(vectors.names), tuple(each.family for each in vectors.features), text)

    def parameters(self, seed: int) -> dict[str, Any]:
        """The settings in LightGBM's words."""
        return {
            "objective": "binary",
            "metric": "average_precision",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_leaf,
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l1": self.l1,
            "lambda_l2": self.l2,
            "seed": seed % 2**31,
            "num_threads": self.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

    def directions(self, features: Sequence[Feature]) -> dict[str, Any]:
        """Which way the score may go with each feature, in LightGBM's words: nothing where it is free to go any way.

        Raises
        ------
        ConfigError
            If a pattern fits no feature.

        Examples
        --------
        >>> from peculiar.features.family import Feature
        >>> rate = Feature("shop_trouble_rate_7d", "risk", "rate", "Rate.", "never null", "{value}")
        >>> LightGBM(rising=("*_trouble_rate_*",)).directions([rate])["monotone_constraints"]
        [1]
        """
        if not self.rising and not self.falling:
            return {}
        named = [(each.name, each.family, each.subject) for each in features]
        way = Looked.of(named, columns=(), high=self.rising, low=self.falling).side
        return {"monotone_constraints": way.tolist(), "monotone_constraints_method": _METHOD}

    def _last_early(self, as_of: NDArray[np.int64]) -> np.int64:
        """The end of the early part: whole instants, so rows of one moment are never on both sides."""
        return as_of[max(0, int(len(as_of) * (1.0 - self.last_part)) - 1)]


@dataclass(frozen=True, eq=False)
class _Task:
    """What LightGBM is given to learn."""

    settings: LightGBM
    vectors: Vectors
    truth: NDArray[np.bool_]
    weight: NDArray[np.float64]
    seed: int

    def boosted(self, rows: NDArray[np.intp], trees: int) -> Booster:
        """Learn from the rows with so many trees."""
        import lightgbm as lgb

        return lgb.train(self._parameters(rows), self._data(rows), trees)

    def stopped(self, rows: NDArray[np.intp], later: NDArray[np.intp]) -> Booster:
        """Learn from the rows until the later ones gain no more."""
        import lightgbm as lgb

        data = self._data(rows)
        stop: list[Callable[..., Any]] = [lgb.early_stopping(self.settings.patience, verbose=False)]
        judged_by = [self._data(later, data)]
        return lgb.train(self._parameters(rows), data, self.settings.rounds, valid_sets=judged_by, callbacks=stop)

    def _parameters(self, rows: NDArray[np.intp]) -> dict[str, Any]:
        small = len(rows) * len(self.vectors.features) < _SMALL
        threads = self.settings.threads or (1 if small else 0)
        directed = self.settings.directions(self.vectors.features)
        return self.settings.parameters(self.seed) | directed | {"num_threads": threads}

    def _data(self, rows: NDArray[np.intp], reference: Dataset | None = None) -> Dataset:
        import lightgbm as lgb

        label = self.truth[rows]
        weight = self.weight[rows] * np.where(label, self.settings.positive_weight, 1.0)
        names = [f"f{number}" for number in range(len(self.vectors.features))]
        quiet = {"verbosity": -1}
        return lgb.Dataset(
            self.vectors.matrix[rows], label, weight=weight, reference=reference, feature_name=names, params=quiet
        )


@dataclass(frozen=True, eq=False)
class FittedLightGBM:
    """A fitted booster, held as LightGBM's own text.

    Attributes
    ----------
    settings : LightGBM
    features : tuple of str, length n_features
    families : tuple of str, length n_features
        The family of each feature.
    text : str
        The model in LightGBM's text format.
    """

    kind: ClassVar[str] = "lightgbm"

    settings: LightGBM
    features: tuple[str, ...]
    families: tuple[str, ...]
    text: str

    @cached_property
    def booster(self) -> Booster:
        """The model, ready to predict."""
        import lightgbm as lgb

        return lgb.Booster(model_str=self.text)

    def score(self, vectors: Vectors) -> NDArray[np.float64]:
        """Log-odds of being confirmed, in nats, float64 of shape (n,).

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        if not len(vectors):
            return np.zeros(0)
        return np.asarray(self.booster.predict(vectors.matrix, raw_score=True), np.float64)

    def contributions(self, vectors: Vectors) -> Contributions:
        """Shapley values of the margin, in nats.

        References
        ----------
        Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020.
        """
        score = self.score(vectors)
        if not len(vectors):
            return Contributions(np.zeros((0, len(self.features))), np.zeros(0), [])
        values = np.asarray(self.booster.predict(vectors.matrix, pred_contrib=True), np.float64)[:, :-1]
        names = list(dict.fromkeys(self.families))
        member = np.array([[family == name for name in names] for family in self.families], np.float64)
        loudest = (values @ member).argmax(axis=1)
        # The base takes up what float sums of many trees lose, some 1e-12.
        return Contributions(values, score - values.sum(axis=1), [names[number] for number in loudest])

    def importance(self) -> NDArray[np.float64]:
        """Total gain of the splits on each feature, float64 of shape (n_features,)."""
        return np.asarray(self.booster.feature_importance("gain"), np.float64)

    def save(self, folder: Path) -> None:
        """Write detector.json and model.txt."""
        names = {"features": list(self.features), "families": list(self.families)}
        about = {"kind": self.kind, "format": FORMAT, "settings": asdict(self.settings), **names}
        (folder / "detector.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        (folder / "model.txt").write_bytes(self.text.encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        BundleError
            If a file is missing or unreadable, or of another format.
        """
        about = read_about(folder, cls.kind)
        return cls(
            LightGBM(**about["settings"]), tuple(about["features"]), tuple(about["families"]), read_model(folder)
        )


def read_model(folder: Path) -> str:
    """LightGBM's own text, of a folder with a fitted detector.

    Raises
    ------
    BundleError
        If it is missing or unreadable.
    """
    try:
        return (folder / "model.txt").read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{folder / 'model.txt'} cannot be read ({error}); save the detector again"
        raise BundleError(message) from error


def _checked(labels: NDArray[np.bool_] | None, rows: int) -> NDArray[np.bool_]:
    if labels is None:
        message = "LightGBM learns from labels and got none; give labels, or fit the isolation_forest detector"
        raise LabelError(message)
    if labels.shape != (rows,) or labels.dtype != np.bool_:
        message = f"expected one bool per row, shape ({rows},), got {labels.dtype} of shape {labels.shape}"
        raise LabelError(message)
    if not _both(labels):
        message = (
            f"of {rows} rows {int(labels.sum())} are confirmed; LightGBM needs one that is and one that is not: "
            "check that the labels' entities and times are those of the events"
        )
        raise LabelError(message)
    return labels


def _both(labels: NDArray[np.bool_]) -> bool:
    return bool(labels.any()) and not bool(labels.all())


def _portable(text: str) -> str:
    """Drop the one line that tells how many threads made the model: they change nothing else in it."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("[num_threads:"))
