"""LightGBM without labels: it learns to tell the rows there are from rows made up, and a row that looks made up is odd.

A made-up row takes each column from a row of its own, so nothing in it belongs together; and a share of its values is
drawn evenly from the whole range of the column, so that what is rare in a column looks made up, too. The odds of being
made up are the density of the made-up rows over that of the rows there are. Where it is known which side of a column is
odd, the score may only rise towards that side: else trouble that has company looks like just another crowd.

The evenly drawn values are even near the median and ever sparser far out (even in asinh): were they even throughout,
a single value a million times the usual would leave none of them among the others.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..errors import ConfigError
from .bundles import FORMAT, read_about
from .conditioning import Conditioning
from .lightgbm import FittedLightGBM, LightGBM, read_model
from .looked import Looked, as_tuples
from .rows import require_features, time_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .detector import Contributions

__all__ = ["FittedJoint", "Joint"]


@dataclass(frozen=True)
class Joint:
    """Settings of LightGBM without labels.

    Attributes
    ----------
    columns : tuple of str
        Names of features or families that are looked at, as shell patterns ("amount_*", "risk"); all by default.
    high, low : tuple of str
        The same for columns of which only values above the median are odd, and only those below it: towards that side
        the score never falls. ``low`` has the last word.
    even : float
        Share of the made-up values that are drawn evenly from the column's range; the others are those of other rows.
    knee : float
        Within so many interquartile ranges of the median the evenly drawn values are even, beyond ever sparser.
    rows : int
        At most so many rows, drawn by the seed, are fitted; as many are made up.
    learning_rate, leaves, min_leaf, feature_share, row_share, l2, rounds, threads
        Those of :class:`~peculiar.training.lightgbm.LightGBM`; exactly so many rounds.

    References
    ----------
    Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd edition, section 14.2.4: unsupervised as
    supervised learning. What was measured: docs/decisions/2026-11-24-joint.md.

    Examples
    --------
    >>> Joint(columns=["amount_*"], high=["*"]).high
    ('*',)
    """

    kind: ClassVar[str] = "joint"
    supervised: ClassVar[bool] = False

    columns: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()
    even: float = 0.25
    knee: float = 100.0
    rows: int = 65_536
    learning_rate: float = 0.05
    leaves: int = 31
    min_leaf: int = 50
    feature_share: float = 0.5
    row_share: float = 0.8
    l2: float = 1.0
    rounds: int = 300
    threads: int = 0

    def __post_init__(self) -> None:
        as_tuples(self, "columns", "high", "low")
        small = [name for name in ("rows", "rounds") if getattr(self, name) < 1]
        if small or not self.knee > 0.0:
            name = (small or ["knee"])[0]
            message = f"joint.{name} is {getattr(self, name)}; expected a positive number"
            raise ConfigError(message)
        if not 0.0 <= self.even <= 1.0:
            message = f"joint.even is {self.even}; expected a share, from 0 to 1"
            raise ConfigError(message)

    def fit(
        self,
        vectors: Vectors,
        labels: NDArray[np.bool_] | None = None,
        *,
        weight: NDArray[np.float64] | None = None,
        seed: int,
    ) -> FittedJoint:
        """Learn what belongs together; labels and weights are ignored.

        Raises
        ------
        ConfigError
            If there are fewer than two rows, no feature, or a pattern fits none.
        """
        del labels, weight
        if len(vectors) < 2 or not vectors.features:
            came = f"{len(vectors)} and {len(vectors.features)}"
            message = f"expected at least 2 rows and 1 feature to learn what belongs together, got {came}"
            raise ConfigError(message)
        features = [(each.name, each.family, each.subject) for each in vectors.features]
        rng = np.random.default_rng(seed)
        real = vectors.take(self._drawn(vectors, rng))
        conditioning = Conditioning.fit(real.values, knee=self.knee, common=0.5)
        sided = self.looked(features).sided(real.values, conditioning.center)
        made_up = np.array([self._made_up(column, conditioning, number, rng) for number, column in enumerate(sided)])
        twice = real.take(np.tile(np.arange(len(real)), 2))
        both = replace(twice, values=np.concatenate([sided, made_up], axis=1))
        truth = np.arange(len(both)) >= len(real)
        return FittedJoint(self, self.learner.fit(both, truth, seed=seed), tuple(conditioning.center.tolist()))

    def looked(self, features: Sequence[tuple[str, str, str]]) -> Looked:
        """Which columns are looked at, and how, of features given by name, family and subject.

        Raises
        ------
        ConfigError
            If a pattern fits no feature.
        """
        return Looked.of(features, columns=self.columns, high=self.high, low=self.low)

    @property
    def learner(self) -> LightGBM:
        """What tells made-up rows from others."""
        own = asdict(self)
        shared = ("learning_rate", "leaves", "min_leaf", "feature_share", "row_share", "l2", "rounds", "threads")
        given = {name: own[name] for name in shared}
        return LightGBM(**given, last_part=0.0, rising=self.high, falling=self.low)

    def _drawn(self, vectors: Vectors, rng: np.random.Generator) -> NDArray[np.intp]:
        order = time_order(vectors)
        if len(order) <= self.rows:
            return order
        return order[np.sort(rng.choice(len(order), max(2, self.rows), replace=False))]

    def _made_up(
        self, column: NDArray[np.float32], conditioning: Conditioning, number: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """A column of made-up values, with about as many nulls as there are."""
        others = rng.permutation(column)
        null = np.isnan(column)
        if null.all():
            return others
        center, scale = conditioning.center[number], conditioning.scale[number]
        known = column[~null].astype(np.float64)
        seen = np.arcsinh((known - center) / scale)
        drawn = center + scale * np.sinh(rng.uniform(seen.min(), seen.max(), len(column)))
        drawn = np.clip(drawn, known.min(), known.max()).astype(np.float32)
        even = (rng.random(len(column)) < self.even) & ~np.isnan(others)
        return np.where(even, drawn, others)


@dataclass(frozen=True, eq=False)
class FittedJoint:
    """A fitted booster that tells made-up rows from others.

    Attributes
    ----------
    settings : Joint
    learned : FittedLightGBM
        What it learned; a column that is not looked at is null to it throughout.
    center : tuple of float, length n_features
        The medians of the fitting rows, which is where values on a side that is not odd are moved to.
    """

    kind: ClassVar[str] = "joint"

    settings: Joint
    learned: FittedLightGBM
    center: tuple[float, ...]

    def score(self, vectors: Vectors) -> NDArray[np.float64]:
        """Log-odds of being made up, in nats, float64 of shape (n,).

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        return self.learned.score(self._seen(vectors))

    def contributions(self, vectors: Vectors) -> Contributions:
        """Shapley values of the log-odds, in nats.

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        return self.learned.contributions(self._seen(vectors))

    def _seen(self, vectors: Vectors) -> Vectors:
        require_features(self.learned.features, vectors)
        features = list(zip(self.learned.features, self.learned.families, self.learned.features, strict=True))
        return replace(vectors, values=self.settings.looked(features).sided(vectors.values, np.array(self.center)))

    def save(self, folder: Path) -> None:
        """Write detector.json and model.txt."""
        names = {"features": list(self.learned.features), "families": list(self.learned.families)}
        about = {"kind": self.kind, "format": FORMAT, "settings": asdict(self.settings), **names, "center": self.center}
        (folder / "detector.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        (folder / "model.txt").write_bytes(self.learned.text.encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        BundleError
            If a file is missing or unreadable, or of another format.
        """
        about = read_about(folder, cls.kind)
        settings, names = Joint(**about["settings"]), (tuple(about["features"]), tuple(about["families"]))
        learned = FittedLightGBM(settings.learner, *names, read_model(folder))
        return cls(settings, learned, tuple(about["center"]))
