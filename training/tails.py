"""Tail probabilities added up: how far out a row is, column by column, on the sides that are odd.

An isolation forest tells what is rare; where it is known which side of a column is suspicious (few earlier events,
many known troubles), how few rows lie as far out says more, and is exact to explain. Each subject of each family speaks
once, by its loudest column, so that ten ways to count one thing do not outvote the others.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..errors import ConfigError
from .bundles import FORMAT, read_about
from .conditioning import Conditioning
from .detector import Contributions
from .forest import in_threads
from .looked import Looked, as_tuples
from .reach import Reach
from .rows import require_features

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..features.vectors import Vectors

__all__ = ["FittedTails", "Tails"]


@dataclass(frozen=True)
class Tails:
    """Settings of the tail probabilities; they need no labels.

    Attributes
    ----------
    columns : tuple of str
        Names of features or families that are looked at, as shell patterns ("amount_*", "risk"); all by default.
    high, low : tuple of str
        The same for columns of which only values above the median are odd, and only those below it; of the others both
        sides are.
    tenfold : int
        A value may be told so many powers of ten less likely than the fitting rows can tell by themselves.

    References
    ----------
    Li, Zhao, Hu, Botta, Ionescu, Chen, "ECOD: Unsupervised Outlier Detection Using Empirical Cumulative Distribution
    Functions", TKDE 2022. There every column is added up; here the loudest of each subject, beyond the 99th percentile
    by a fitted tail.

    Examples
    --------
    >>> Tails(columns=("history_*", "events_count_14d"), low=("*",)).low
    ('*',)
    """

    kind: ClassVar[str] = "tails"
    supervised: ClassVar[bool] = False

    columns: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()
    tenfold: int = 1

    def __post_init__(self) -> None:
        as_tuples(self, "columns", "high", "low")
        if self.tenfold < 0:
            message = f"tails.tenfold is {self.tenfold}; expected 0 or more"
            raise ConfigError(message)

    def fit(
        self,
        vectors: Vectors,
        labels: NDArray[np.bool_] | None = None,
        *,
        weight: NDArray[np.float64] | None = None,
        seed: int,
    ) -> FittedTails:
        """Learn where the values of each column lie; labels and weights are ignored, and nothing is drawn by the seed.

        Raises
        ------
        ConfigError
            If there are fewer than two rows, no feature, or a pattern fits none.
        """
        del labels, weight, seed
        if len(vectors) < 2 or not vectors.features:
            came = f"{len(vectors)} and {len(vectors.features)}"
            message = f"expected at least 2 rows and 1 feature to learn tails of, got {came}"
            raise ConfigError(message)
        features = [(each.name, each.family, each.subject) for each in vectors.features]
        looked = Looked.of(features, columns=self.columns, high=self.high, low=self.low)
        conditioning = Conditioning.fit(vectors.values, knee=_KNEE, common=0.5)
        sided = looked.sided(vectors.values, conditioning.center)
        most = float(np.log(10.0**self.tenfold * (1 + len(vectors))))
        groups = list(looked.groups.values())
        reach = Reach.fit(sided, conditioning, groups, whole=looked.odd, most=most)
        return FittedTails(self, tuple(vectors.names), tuple(family for family, _ in looked.groups), reach)


_KNEE = 3.0  # interquartile ranges of the median within which the scale of the tails is nearly linear


@dataclass(frozen=True, eq=False)
class FittedTails:
    """The fitted tails of the columns.

    Attributes
    ----------
    settings : Tails
    features : tuple of str, length n_features
    families : tuple of str, length n_groups
        The family of each group of columns that speaks once.
    reach : Reach
    """

    kind: ClassVar[str] = "tails"

    settings: Tails
    features: tuple[str, ...]
    families: tuple[str, ...]
    reach: Reach

    def score(self, vectors: Vectors) -> NDArray[np.float64]:
        """Surprise in nats, added up over the groups of columns, float64 of shape (n,).

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        values, score = np.ascontiguousarray(vectors.values), np.empty(len(vectors))

        def work(part: slice) -> None:
            score[part] = self._added(self.reach.of(values, part, len(self.families)))

        in_threads(work, len(score))
        return score

    def contributions(self, vectors: Vectors) -> Contributions:
        """The surprise of each group's loudest column, which is what is added up.

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        values, rows = np.ascontiguousarray(vectors.values), len(vectors)
        told = self.reach.of(values, slice(0, rows), len(self.families))
        loudest = self.reach.farthest(values, len(self.families))
        parts = np.zeros((rows, len(self.features)))
        group, row = np.nonzero(told)
        parts[row, loudest[group, row]] = told[group, row]
        names = [self.families[number] for number in (told.argmax(axis=0) if rows else [])]
        return Contributions(parts, self._added(told) - parts.sum(axis=1), names)

    @staticmethod
    def _added(told: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over the groups, in their order, so that a row's score does not depend on what comes with it."""
        score = np.zeros(told.shape[1])
        for each in told:
            score += each
        return score

    def save(self, folder: Path) -> None:
        """Write detector.json and reach.arrow."""
        names = {"features": list(self.features), "families": list(self.families)}
        about = {"kind": self.kind, "format": FORMAT, "settings": asdict(self.settings), **names}
        (folder / "detector.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        self.reach.save(folder / "reach.arrow")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        BundleError
            If a file is missing or unreadable, or of another format.
        """
        about = read_about(folder, cls.kind)
        features, families = tuple(about["features"]), tuple(about["families"])
        return cls(Tails(**about["settings"]), features, families, Reach.load(folder / "reach.arrow", len(features)))
