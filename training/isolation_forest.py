"""The Isolation Forest as a grove: one forest over the whole vector, and one for each subject of each family.

A forest picks its columns at random, so a few loud columns drown among many quiet ones; a forest over the handful of
columns in which a family speaks of one subject (its rides, its items) hears them. Each forest's score becomes a tail
probability, its surprise in nats; where a value lies far beyond those of all fitting rows, which no forest can tell,
the reach of its column speaks instead. Two opinions are formed of these: that *something shouts*, the p-norm of all the
small forests' surprises, that of the loudest and more where several agree; and that *the whole is odd, and something in
it*, the whole forest's surprise and the loudest small one's added up. Each opinion is brought onto the scale of tail
probabilities in its turn, and the score is the stronger of the two.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..errors import ConfigError
from .conditioning import Conditioning
from .detector import Contributions
from .forest import in_threads
from .looked import Looked, as_tuples
from .opinions import join
from .packing import grow
from .reach import Reach
from .rows import require_features, time_order
from .tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .forest import Forest

__all__ = ["FittedIsolationForest", "IsolationForest"]

_OPINIONS = {"either": (True, True), "loudest": (True, False), "adding": (False, True)}
_HEARD = 0.01  # a forest that is less of the opinion than this is not told
_LEAST_MOVED = 1 / 8  # of all that is told for and against a row, the least that the secant is taken over
_WORTH_A_THREAD = 64  # rows to explain
_TENFOLD = 10.0  # how much less likely than the fitting rows can tell a reach may make a row


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
    columns : tuple of str
        Names of features or families that are looked at, as shell patterns ("amount_*", "risk"); all by default.
    high, low : tuple of str
        The same for columns of which only values above the median are odd, and only those below it: few earlier events
        tell a newcomer, many tell nothing.
    opinion : {"either", "loudest", "adding"}
        Which opinion is the score: the stronger of the two, the small forests' alone, or the whole's plus the loudest.

    References
    ----------
    Liu, Ting, Zhou, "Isolation Forest", ICDM 2008. The grove: docs/decisions/2026-11-23-grove.md.
    """

    kind: ClassVar[str] = "isolation_forest"
    supervised: ClassVar[bool] = False

    trees: int = 300
    group_trees: int = 30
    samples: int = 8192
    grove: bool = True
    rows: int = 131_072
    norm: float = 5.0
    knee: float = 3.0
    common_null: float = 0.01
    columns: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()
    opinion: str = "either"

    def __post_init__(self) -> None:
        as_tuples(self, "columns", "high", "low")
        if self.opinion not in _OPINIONS:
            message = f"isolation_forest.opinion is {self.opinion!r}; expected one of {', '.join(_OPINIONS)}"
            raise ConfigError(message)
        small = [name for name in ("trees", "group_trees", "samples", "rows", "norm") if getattr(self, name) < 1]
        if small or not self.knee > 0.0:
            name = (small or ["knee"])[0]
            message = f"isolation_forest.{name} is {getattr(self, name)}; expected a positive number"
            raise ConfigError(message)

    def fit(
        self,
        vectors: Vectors,
        labels: NDArray[np.bool_] | None = None,
        *,
        weight: NDArray[np.float64] | None = None,
        seed: int,
    ) -> FittedIsolationForest:
        """Learn what rows usually look like; labels and weights are ignored.

        Raises
        ------
        ConfigError
            If there are fewer than two rows, or no feature.
        """
        del labels, weight
        values = np.take(vectors.values, self._drawn(vectors, seed), axis=1)
        looked = self.looked([(each.name, each.family, each.subject) for each in vectors.features])
        groups = [looked.columns, *(looked.groups.values() if self.grove else ())]
        conditioning = Conditioning.fit(values, knee=self.knee, common=self.common_null)
        sided, inputs = looked.sided(values, conditioning.center), conditioning.of(looked.columns).alone()
        seen = inputs.see(sided)

        def grown(number: int) -> Forest:
            trees = self.group_trees if number else self.trees
            own = inputs.of(groups[number])
            return grow(own, seen, trees=trees, samples=self.samples, seed=_seed(seed, number))

        with ThreadPoolExecutor() as pool:
            forests = tuple(pool.map(grown, range(len(groups))))
            heard = list(pool.map(partial(_measured, values), forests)) if self.grove else []
        most = float(np.log(_TENFOLD * (1 + values.shape[1])))
        whole = looked.odd & (looked.side != 0)[:, None]
        reach = Reach.fit(sided, conditioning, groups[1:], whole=whole, most=most)
        tails, surprises = tuple(tail for tail, _ in heard), (surprise for _, surprise in heard)
        families, subjects = _families(vectors), tuple(each.subject for each in vectors.features)
        fitted = FittedIsolationForest(self, tuple(vectors.names), families, subjects, forests, tails, (), reach)
        if not self.grove:
            return fitted
        reached = fitted.reached(surprises, values, slice(0, values.shape[1]))
        shouting, adding, _ = fitted.combined(reached, values.shape[1])
        return replace(fitted, opinions=(Tail.fit(shouting), Tail.fit(adding)))

    def looked(self, features: Sequence[tuple[str, str, str]]) -> Looked:
        """Which columns are looked at, and how, of features given by name, family and subject.

        Raises
        ------
        ConfigError
            If a pattern fits no feature.
        """
        return Looked.of(features, columns=self.columns, high=self.high, low=self.low)

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
    reach : Reach
        Of the columns of each small forest.
    """

    kind: ClassVar[str] = "isolation_forest"

    settings: IsolationForest
    features: tuple[str, ...]
    families: tuple[str, ...]
    subjects: tuple[str, ...]
    forests: tuple[Forest, ...]
    tails: tuple[Tail, ...]
    opinions: tuple[Tail, ...]
    reach: Reach

    @property
    def family_names(self) -> list[str]:
        """The families, in the order of the vector."""
        return list(dict.fromkeys(self.families))

    @cached_property
    def group_names(self) -> list[tuple[str, str]]:
        """Family and subject of each small forest, in the order of the forests."""
        features = list(zip(self.features, self.families, self.subjects, strict=True))
        return list(self.settings.looked(features).groups)

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
        values, score = np.ascontiguousarray(vectors.values), np.empty(len(vectors))

        def work(part: slice) -> None:
            opinions = self.combined(self._surprises(values, part), part.stop - part.start)
            score[part] = self._judged(*opinions[:2]).max(axis=0)

        in_threads(work, len(score))
        return score

    def family_surprise(self, vectors: Vectors) -> NDArray[np.float64]:
        """How surprising the loudest subject of each family is, in nats: float64 of shape (n_families, n)."""
        values = np.ascontiguousarray(vectors.values)
        loudest = np.empty((len(self.family_names), len(vectors)))

        def work(part: slice) -> None:
            loudest[:, part] = self.combined(self._surprises(values, part), part.stop - part.start)[2]

        in_threads(work, len(vectors))
        return loudest

    def combined(
        self, surprises: Iterable[NDArray[np.float64]], rows: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The p-norm of the small forests' surprises, the whole's plus the loudest, and the loudest of each family.

        Parameters
        ----------
        surprises : iterable of float64 arrays of shape (rows,), one per forest, the whole vector's first
        rows : int

        Returns
        -------
        shouting, adding : float64 arrays of shape (rows,)
        loudest : float64 array of shape (n_families, rows)
        """
        names, norm = self.family_names, float(self.settings.norm)
        power, loudest = np.zeros(rows), np.zeros((len(names), rows))
        each = iter(surprises)
        whole = next(each)
        for (family, _), surprise in zip(self.group_names, each, strict=True):
            join(power, loudest[names.index(family)], surprise, norm)
        return power ** (1.0 / norm), whole + loudest.max(axis=0), loudest

    def contributions(self, vectors: Vectors) -> Contributions:
        """Split each score among the features: Shapley values of path lengths, on the scale of the score.

        Where something shouts, the small forests' path lengths are told by their part of the p-norm, else the whole
        forest's and the loudest's. Each is split exactly, and brought onto the scale of the score by one factor a row
        and forest: the secant of its surprise from the base to the row.

        Raises
        ------
        PlanMismatchError
            If the vectors have other features than the fit.
        """
        require_features(self.features, vectors)
        values, rows = np.ascontiguousarray(vectors.values), len(vectors)
        parts, score, loudest = np.zeros((rows, len(self.features))), np.zeros(rows), np.zeros(rows, np.intp)

        def work(part: slice) -> None:
            parts[part], score[part], loudest[part] = self._explained(np.ascontiguousarray(values[:, part]))

        in_threads(work, rows, shortest=_WORTH_A_THREAD)
        base = score - parts.sum(axis=1)
        if not self.tails:
            return Contributions(parts, base, self._largest(parts))
        return Contributions(parts, base, [self.group_names[number][0] for number in loudest])

    def _explained(
        self, values: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
        """Contributions (n, n_features), scores and the loudest small forests of some rows (n_features, n)."""
        rows = values.shape[1]
        lengths = np.array([forest.path_length(values, threads=1) for forest in self.forests])
        if not self.tails:
            return self._credits(0, values, lengths[0]), self.forests[0].scale(lengths[0]), np.zeros(rows, np.intp)
        heard = [self._surprise(number, length) for number, length in enumerate(lengths)]
        whole, *groups = self.reached(iter(heard), values, slice(0, rows))
        surprise = np.array(groups).reshape(len(groups), rows)
        judged = self._judged(*self.combined([whole, *groups], rows)[:2])
        shouts, score = judged[0] >= judged[1], judged.max(axis=0)
        share = self._shares(surprise, shouts)
        farther = surprise > np.array(heard[1:]).reshape(surprise.shape)
        parts = self._reach_credits(values, np.where(farther, share * surprise, 0.0))
        for number, weight in enumerate([np.where(shouts, 0.0, 1.0), *np.where(farther, 0.0, share)]):
            told = np.flatnonzero(weight)
            if len(told):
                credited = self._credits(number, np.take(values, told, axis=1), lengths[number, told])
                parts[told] += credited * weight[told, None]
        said = _added(share * surprise) + np.where(shouts, 0.0, whole)
        parts *= np.divide(score, said, out=np.ones_like(said), where=said > 0.0)[:, None]
        return parts, score, surprise.argmax(axis=0)

    def _shares(self, surprise: NDArray[np.float64], shouts: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How much of the opinion each small forest is, (n_groups, n): its part of the p-norm, or the loudest all."""
        shares = np.zeros(surprise.shape)
        if not surprise.size:
            return shares
        power = (surprise / np.maximum(surprise.max(axis=0), 1e-300)) ** self.settings.norm
        power /= np.maximum(_added(power), 1e-300)
        shares[surprise.argmax(axis=0), np.arange(surprise.shape[1])] = 1.0
        return np.where(shouts, np.where(power >= _HEARD, power, 0.0), shares)

    def _judged(self, shouting: NDArray[np.float64], adding: NDArray[np.float64]) -> NDArray[np.float64]:
        """Both opinions on the common scale, float64 of shape (2, n); one that is not asked is minus infinity."""
        heard = np.array(_OPINIONS[self.settings.opinion])[:, None]
        return np.where(heard, np.stack([self.opinions[0](shouting), self.opinions[1](adding)]), -np.inf)

    def _surprises(self, values: NDArray[np.float32], part: slice) -> Iterator[NDArray[np.float64]]:
        """Every forest's surprise at the rows of a part; equal rows are judged once."""
        return self.reached(self._heard(values, part), values, part)

    def _heard(self, values: NDArray[np.float32], part: slice) -> Iterator[NDArray[np.float64]]:
        for number, forest in enumerate(self.forests):
            length, place = forest.distinct_path_length(values, part)
            yield self._surprise(number, length)[place]

    def reached(
        self, surprises: Iterator[NDArray[np.float64]], values: NDArray[np.float32], part: slice
    ) -> Iterator[NDArray[np.float64]]:
        """The surprises of the forests, the whole vector's first, or the reach of their columns where that is more."""
        yield next(surprises)
        for surprise, reach in zip(surprises, self.reach.of(values, part, len(self.group_names)), strict=True):
            yield np.maximum(surprise, reach)

    def _reach_credits(self, values: NDArray[np.float32], credit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Credit (n_groups, n) given to the feature of the group that reaches farthest, (n, n_features)."""
        parts = np.zeros((values.shape[1], len(self.features)))
        group, row = np.nonzero(credit)
        if len(row):
            np.add.at(parts, (row, self.reach.farthest(values, len(credit))[group, row]), credit[group, row])
        return parts

    def save(self, folder: Path) -> None:
        """Write detector.json, nodes.arrow, inputs.arrow, tails.arrow and reach.arrow."""
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
        return cls(settings, *names, parts.forests, parts.tails, parts.opinions, parts.reach)

    def _credits(self, number: int, values: NDArray[np.float32], length: NDArray[np.float64]) -> NDArray[np.float64]:
        """One forest's surprise at rows, less that at its base, split among the features (n, n_features)."""
        levels = self.forests[number].shapley(values, threads=1)
        return levels * self._secant(number, length, np.abs(levels).sum(axis=1) * _LEAST_MOVED)[:, None]

    def _secant(self, number: int, length: NDArray[np.float64], least: NDArray[np.float64]) -> NDArray[np.float64]:
        """Nats per level from the base to a row, or to so many levels from the base if the row is nearer, (n,).

        The curve of surprise has steps. Where what is told for and against a row nearly cancels out, a step next to the
        base would blow up both.
        """
        start = np.array([self.forests[number].base_length])
        moved = length - start
        moved = np.where(np.abs(moved) < least, np.where(moved > 0.0, least, -least), moved)
        rise = self._surprise(number, start + moved) - self._surprise(number, start)
        return np.divide(rise, moved, out=np.zeros_like(moved), where=moved != 0.0)

    def _surprise(self, number: int, length: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = self.forests[number].scale(length)
        return self.tails[number](scores) if self.tails else scores

    def _largest(self, values: NDArray[np.float64]) -> list[str]:
        names = self.family_names
        member = np.array([[family == name for name in names] for family in self.families], np.float64)
        return [names[number] for number in (values @ member).argmax(axis=1)]


def _measured(values: NDArray[np.float32], forest: Forest) -> tuple[Tail, NDArray[np.float64]]:
    """The tail of a forest's scores of the fitting rows, and how surprising each of them is."""
    length, place = forest.distinct_path_length(values, slice(0, values.shape[1]))
    scores = forest.scale(length)
    tail = Tail.fit(scores[place]).capped(len(place))
    return tail, tail(scores)[place]


def _added(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over the first axis, in its order, so that what a row gets does not depend on what comes with it."""
    total = np.zeros(rows.shape[1])
    for each in rows:
        total += each
    return total


def _families(vectors: Vectors) -> tuple[str, ...]:
    return tuple(feature.family for feature in vectors.features)


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
