"""The Isolation Forest as a grove: one forest over the whole vector and one per family, on one scale of surprise.

A forest picks its columns at random, so a few loud columns drown among many quiet ones. A forest over a family hears
them. Each forest's score becomes a tail probability, and a row's score is the surprise of the whole forest plus that of
its loudest family, in nats; the family that speaks is the first line of the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..errors import ConfigError
from .conditioning import Conditioning
from .detector import Contributions
from .rows import require_features, time_order
from .tail import Tail

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .forest import Forest

__all__ = ["FittedIsolationForest", "IsolationForest"]


@dataclass(frozen=True)
class IsolationForest:
    """Settings of the Isolation Forest detector; it needs no labels.

    Attributes
    ----------
    trees, family_trees : int
        Trees of the forest over the whole vector, and of each family's.
    samples : int
        Rows that each tree is grown from.
    grove : bool
        False leaves the plain single forest, the baseline of every comparison; its score is the published one.
    rows : int
        At most so many rows, drawn by the seed, are fitted and measured.
    knee : float
        Values within so many interquartile ranges of the median keep their proportions; farther ones are drawn in.
    common_null : float
        Nulls at least this common, and at most one less this, are shown to the forest as a fact of their own.

    References
    ----------
    Liu, Ting, Zhou, "Isolation Forest", ICDM 2008. The grove: docs/decisions/2026-11-23-grove.md.
    """

    kind: ClassVar[str] = "isolation_forest"

    trees: int = 300
    family_trees: int = 100
    samples: int = 4096
    grove: bool = True
    rows: int = 131_072
    knee: float = 3.0
    common_null: float = 0.01

    def __post_init__(self) -> None:
        small = [name for name in ("trees", "family_trees", "samples", "rows") if getattr(self, name) < 1]
        if small or not self.knee > 0.0:
            name = (small or ["knee"])[0]
            message = f"isolation_forest.{name} is {getattr(self, name)}; expected a positive number"
            raise ConfigError(message)

    def fit(self, vectors: Vectors, labels: NDArray[np.bool_] | None = None, *, seed: int) -> FittedIsolationForest:
        """Learn what rows usually look like; labels are ignored.

        Raises
        ------
        ConfigError
            If there are fewer than two rows, or no feature.
        """
        del labels
        values = vectors.values[:, self._drawn(vectors, seed)]
        conditioning = Conditioning.fit(values, knee=self.knee, common=self.common_null)
        families = vectors.families() if self.grove else {}
        groups = [np.arange(len(vectors.features)), *families.values()]
        counts = [self.trees, *[self.family_trees] * len(families)]
        seen = conditioning.see(values)
        forests = tuple(
            grow(conditioning.of(columns), seen, trees=trees, samples=self.samples, seed=_seed(seed, number))
            for number, (columns, trees) in enumerate(zip(groups, counts, strict=True))
        )
        tails = tuple(Tail.fit(forest.score(values)) for forest in forests) if self.grove else ()
        return FittedIsolationForest(self, tuple(vectors.names), _families(vectors), forests, tails)

    def _drawn(self, vectors: Vectors, seed: int) -> NDArray[np.intp]:
        if len(vectors) < 2 or not vectors.features:
            came = f"{len(vectors)} and {len(vectors.features)}"
            message = f"expected at least 2 rows and 1 feature to fit a forest on, got {came}"
            raise ConfigError(message)
        order = time_order(vectors)
        if len(order) <= self.rows:
            return order
        return order[np.sort(np.random.default_rng(seed).choice(len(order), max(2, self.rows), replace=False))]


@dataclass(frozen=True, eq=False)
class FittedIsolationForest:
    """A fitted grove, or a plain forest where ``tails`` is empty.

    Attributes
    ----------
    settings : IsolationForest
    features : tuple of str, length n_features
    families : tuple of str, length n_features
        The family of each feature.
    forests : tuple of Forest
        The whole vector's, then one per family in order of first appearance.
    tails : tuple of Tail, one per forest
    """

    kind: ClassVar[str] = "isolation_forest"

    settings: IsolationForest
    features: tuple[str, ...]
    families: tuple[str, ...]
    forests: tuple[Forest, ...]
    tails: tuple[Tail, ...]

    @property
    def family_names(self) -> list[str]:
        """The families, in the order of their forests."""
        return list(dict.fromkeys(self.families))

    def score(self, vectors: Vectors) -> NDArray[np.float64]:
        """Surprise in nats, float64 of shape (n,); of the plain forest the published score, 0 to 1.

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        whole = self.forests[0].score(vectors.values)
        return self.tails[0](whole) + self.family_surprise(vectors).max(axis=0) if self.tails else whole

    def family_surprise(self, vectors: Vectors) -> NDArray[np.float64]:
        """How surprising each family finds each row, in nats: float64 of shape (n_families, n)."""
        pairs = zip(self.forests[1:], self.tails[1:], strict=True)
        rows = [tail(forest.score(vectors.values)) for forest, tail in pairs]
        return np.array(rows).reshape(len(rows), len(vectors))

    def contributions(self, vectors: Vectors) -> Contributions:
        """Split each score among the features: what each question on a row's paths changed, on the scale of the score.

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        values, base = self._split(0, vectors.values)
        if not self.tails:
            return Contributions(values, base, self._largest(values))
        loudest = self.family_surprise(vectors).argmax(axis=0) if len(vectors) else np.zeros(0, np.intp)
        for number in np.unique(loudest):
            rows = np.flatnonzero(loudest == number)
            more, start = self._split(number + 1, np.ascontiguousarray(vectors.values[:, rows]))
            values[rows] += more
            base[rows] += start
        return Contributions(values, base, [self.family_names[number] for number in loudest])

    def save(self, folder: Path) -> None:
        """Write detector.json, nodes.arrow, inputs.arrow and tails.arrow."""
        from .grove_files import save_grove

        save_grove(self, folder, settings=asdict(self.settings))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        BundleError
            If a file is missing or unreadable, or of another format.
        """
        from .grove_files import load_grove

        parts = load_grove(folder)
        return cls(IsolationForest(**parts.settings), parts.features, parts.families, parts.forests, parts.tails)

    def _split(self, number: int, values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One forest's surprise as credits (n, n_features) and base (n,): path lengths, on the secant of the score."""
        forest = self.forests[number]
        start = np.array([forest.base_length])
        credited, length = forest.credits(values), forest.path_length(values)
        moved = length - start
        rise = self._surprise(number, length) - self._surprise(number, start)
        slope = np.divide(rise, moved, out=np.zeros_like(moved), where=moved != 0.0)
        return credited * slope[:, None], np.repeat(self._surprise(number, start), len(length))

    def _surprise(self, number: int, length: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = self.forests[number].scale(length)
        return self.tails[number](scores) if self.tails else scores

    def _largest(self, values: NDArray[np.float64]) -> list[str]:
        names = self.family_names
        member = np.array([[family == name for name in names] for family in self.families], np.float64)
        return [names[number] for number in (values @ member).argmax(axis=1)]


def grow(conditioning: Conditioning, seen: NDArray[np.float32], *, trees: int, samples: int, seed: int) -> Forest:
    """Grow a forest with scikit-learn on some inputs and pack it.

    Parameters
    ----------
    conditioning : Conditioning
        Of the inputs that this forest looks at.
    seen : float32 array of shape (n, n_all_inputs)
        All inputs, conditioned; the forest's own are picked out of them by ``conditioning.number``.
    """
    from sklearn.ensemble import IsolationForest as Sklearn

    from .packing import pack

    own = np.ascontiguousarray(seen[:, conditioning.number])
    model = Sklearn(n_estimators=trees, max_samples=min(samples, len(own)), random_state=seed, n_jobs=-1)
    return pack([tree.tree_ for tree in model.fit(own).estimators_], conditioning)


def _families(vectors: Vectors) -> tuple[str, ...]:
    return tuple(feature.family for feature in vectors.features)


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
