"""The Isolation Forest as a grove: one forest over the whole vector, and one for each subject of each family.

A forest picks its columns at random, so a few loud columns drown among many quiet ones; a forest over the handful of
columns in which a family speaks of one subject (its rides, its items) hears them. Each forest's score becomes a tail
probability, its surprise in nats. Two opinions are formed of these: that *something shouts*, the p-norm of all the
small forests' surprises, which for a large p is that of the loudest and a little more where several agree; and that
*the whole is odd, and something in it*, the whole forest's surprise and the loudest small one's added up. Each opinion
is brought onto the scale of tail probabilities in its turn, and the score is the stronger of the two.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
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

_HEARD = 0.01  # a forest that is less of the opinion than this is not told


@dataclass(frozen=True)
class IsolationForest:
    """Settings of the Isolation Forest detector; it needs no labels.

    Attributes
    ----------
    trees, group_trees : int
        Trees of the forest over the whole vector, and of the forest of each subject of a family.
    samples : int
        Rows that each tree is grown from.
    grove : bool
        False leaves the plain single forest, the baseline of every comparison; its score is the published one.
    rows : int
        At most so many rows, drawn by the seed, are fitted and measured.
    knee : float
        Values within so many interquartile ranges of the median keep their proportions; farther ones are drawn in.
    norm : float
        The p of the p-norm that joins the small forests' surprises.
    common_null : float
        Nulls at least this common, and at most one less this, are shown to the forest as a fact of their own.

    References
    ----------
    Liu, Ting, Zhou, "Isolation Forest", ICDM 2008. The grove: docs/decisions/2026-11-23-grove.md.
    """

    kind: ClassVar[str] = "isolation_forest"

    trees: int = 300
    group_trees: int = 30
    samples: int = 8192
    grove: bool = True
    rows: int = 131_072
    norm: float = 12.0
    knee: float = 3.0
    common_null: float = 0.01

    def __post_init__(self) -> None:
        small = [name for name in ("trees", "group_trees", "samples", "rows", "norm") if getattr(self, name) < 1]
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
        groups = [np.arange(len(vectors.features)), *(vectors.groups().values() if self.grove else ())]
        seen = conditioning.see(values)

        def grown(number: int) -> Forest:
            trees = self.group_trees if number else self.trees
            own = conditioning.of(groups[number])
            return grow(own, seen, trees=trees, samples=self.samples, seed=_seed(seed, number))

        with ThreadPoolExecutor() as pool:
            forests = tuple(pool.map(grown, range(len(groups))))
        tails = tuple(Tail.fit(forest.score(values)) for forest in forests) if self.grove else ()
        families, subjects = _families(vectors), tuple(each.subject for each in vectors.features)
        fitted = FittedIsolationForest(self, tuple(vectors.names), families, subjects, forests, tails, ())
        if not self.grove:
            return fitted
        return replace(fitted, opinions=tuple(Tail.fit(said) for said in fitted.raw_opinions(values)[:2]))

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
    families, subjects : tuples of str, length n_features
        The family of each feature, and what it is about.
    forests : tuple of Forest
        The whole vector's, then one per family and subject in order of first appearance.
    tails : tuple of Tail, one per forest
    opinions : tuple of two Tails
        Of the p-norm, and of the sum.
    """

    kind: ClassVar[str] = "isolation_forest"

    settings: IsolationForest
    features: tuple[str, ...]
    families: tuple[str, ...]
    subjects: tuple[str, ...]
    forests: tuple[Forest, ...]
    tails: tuple[Tail, ...]
    opinions: tuple[Tail, ...]

    @property
    def family_names(self) -> list[str]:
        """The families, in the order of the vector."""
        return list(dict.fromkeys(self.families))

    @property
    def group_names(self) -> list[tuple[str, str]]:
        """Family and subject of each small forest, in the order of the forests."""
        return list(dict.fromkeys(zip(self.families, self.subjects, strict=True)))

    def score(self, vectors: Vectors) -> NDArray[np.float64]:
        """Surprise in nats, float64 of shape (n,); of the plain forest the published score, 0 to 1.

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        if not self.tails:
            return self.forests[0].score(vectors.values)
        return self._judged(vectors.values).max(axis=0)

    def family_surprise(self, vectors: Vectors) -> NDArray[np.float64]:
        """How surprising the loudest subject of each family is, in nats: float64 of shape (n_families, n)."""
        return self.raw_opinions(vectors.values)[2]

    def raw_opinions(
        self, values: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The p-norm of the small forests' surprises, the whole's plus the loudest, and the loudest of each family.

        Returns
        -------
        shouting, adding : float64 arrays of shape (n,)
        loudest : float64 array of shape (n_families, n)
        """
        names, p = self.family_names, self.settings.norm
        power, loudest = np.zeros(values.shape[1]), np.zeros((len(names), values.shape[1]))
        for number, (family, _) in enumerate(self.group_names, 1):
            surprise = self._surprise(number, self.forests[number].path_length(values))
            power += surprise**p
            np.maximum(loudest[names.index(family)], surprise, out=loudest[names.index(family)])
        whole = self.whole_surprise(values)
        return power ** (1.0 / p), whole + loudest.max(axis=0), loudest

    def contributions(self, vectors: Vectors) -> Contributions:
        """Split each score among the features: what each question on a row's paths changed, on the scale of the score.

        Where something shouts, the small forests' paths are told by their part of the p-norm, else the whole
        forest's and the loudest's.

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        if not self.tails:
            values, base = self._split(0, vectors.values)
            return Contributions(values, base, self._largest(values))
        judged, surprise = self._judged(vectors.values), self._group_surprise(vectors.values)
        shouts, score = judged[0] >= judged[1], judged.max(axis=0)
        values = self._split(0, vectors.values)[0]
        values[shouts] = 0.0
        share = self._shares(surprise, shouts)
        for number, weight in enumerate(share):
            rows = np.flatnonzero(weight)
            if len(rows):
                part = self._split(number + 1, np.ascontiguousarray(vectors.values[:, rows]))[0]
                values[rows] += part * weight[rows, None]
        said = (share * surprise).sum(axis=0) + np.where(shouts, 0.0, self.whole_surprise(vectors.values))
        values *= np.divide(score, said, out=np.ones_like(said), where=said > 0.0)[:, None]
        loudest = surprise.argmax(axis=0) if len(vectors) else np.zeros(0, np.intp)
        return Contributions(values, score - values.sum(axis=1), [self.group_names[n][0] for n in loudest])

    def whole_surprise(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """The whole forest's surprise in nats, float64 of shape (n,)."""
        return self._surprise(0, self.forests[0].path_length(values))

    def _shares(self, surprise: NDArray[np.float64], shouts: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How much of the opinion each small forest is, (n_groups, n): its part of the p-norm, or the loudest all."""
        shares = np.zeros(surprise.shape)
        if not surprise.size:
            return shares
        power = (surprise / np.maximum(surprise.max(axis=0), 1e-300)) ** self.settings.norm
        power /= power.sum(axis=0)
        shares[surprise.argmax(axis=0), np.arange(surprise.shape[1])] = 1.0
        return np.where(shouts, np.where(power >= _HEARD, power, 0.0), shares)

    def _judged(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Both opinions on the common scale, float64 of shape (2, n)."""
        shouting, adding, _ = self.raw_opinions(values)
        return np.stack([self.opinions[0](shouting), self.opinions[1](adding)])

    def _group_surprise(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Every small forest's surprise, float64 of shape (n_groups, n): for the few rows that are explained."""
        rows = [self._surprise(n, self.forests[n].path_length(values)) for n in range(1, len(self.forests))]
        return np.array(rows).reshape(len(rows), values.shape[1])

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
        settings, names = IsolationForest(**parts.settings), (parts.features, parts.families, parts.subjects)
        return cls(settings, *names, parts.forests, parts.tails, parts.opinions)

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
    model = Sklearn(n_estimators=trees, max_samples=min(samples, len(own)), random_state=seed)
    return pack([tree.tree_ for tree in model.fit(own).estimators_], conditioning)


def _families(vectors: Vectors) -> tuple[str, ...]:
    return tuple(feature.family for feature in vectors.features)


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
