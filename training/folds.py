"""One round of a trial: settings are fitted and judged, on a fold with labels or on a rehearsal without.

Whatever does not depend on the settings is done once: rows are drawn, and LightGBM's features are cut into bins. Where
rows without a confirmed label are very many, a search learns from and judges by some of them, each of which weighs as
many as it stands for; all confirmed rows are kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .binned import BinnedRows
from .labels import confirmed
from .lightgbm import LightGBM
from .metrics import entity_keys
from .rehearsal import content
from .rows import time_order
from .truth import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .detector import Detector, FittedDetector
    from .labels import Labels
    from .rehearsal import Rehearsal
    from .splits import TimeSplit

__all__ = ["Fold", "Round", "Sampling", "Stage", "Verdict", "recall_at_budget"]

_DAY = 86_400_000_000


@dataclass(frozen=True)
class Verdict:
    """What a round made of settings.

    Attributes
    ----------
    value : float
        Higher is better.
    kinds : mapping of str to float
        The recall of each kind of rehearsed misbehaviour.
    labelled : float or None
        What labels say of the same fit, where there are some beside.
    """

    value: float
    kinds: Mapping[str, float]
    labelled: float | None = None


class Round(Protocol):
    """Where settings are tried."""

    @property
    def fingerprint(self) -> str:
        """A digest of all that a verdict depends on but the settings and the seed."""

    def judge(self, settings: Detector, seed: int) -> Verdict:
        """Fit the settings and say how good they are."""


@dataclass(frozen=True)
class Sampling:
    """How much of the data a search works on.

    Attributes
    ----------
    rows : int
        LightGBM learns from at most about so many rows of a fold; all confirmed ones are kept, and two others for each.
    judged : int
        Rows that a fold is judged by, likewise.
    rounds, patience : int
        LightGBM's while searching, if they are less than its own.
    """

    rows: int = 30_000
    judged: int = 30_000
    rounds: int = 150
    patience: int = 15


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to learn from and, later ones, to judge by.

    Attributes
    ----------
    train, test : Vectors
    truth, judged_by : bool arrays
        What is confirmed of each.
    weight, counts : float64 arrays
        How many rows each row to learn from, and each to judge by, stands for.
    objective : "average_precision" or "recall_at_budget"
    budget : int
    """

    train: Vectors
    truth: NDArray[np.bool_]
    weight: NDArray[np.float64]
    test: Vectors
    judged_by: NDArray[np.bool_]
    counts: NDArray[np.float64]
    objective: str
    budget: int
    sampling: Sampling

    @classmethod
    def of(  # noqa: PLR0913 - the data, the split and how to measure are separate questions
        cls,
        data: tuple[Vectors, Labels],
        split: TimeSplit,
        start: Detector,
        *,
        measure: tuple[str, int],
        sampling: Sampling,
        seed: int,
        since: int | None,
    ) -> Fold:
        """Take a fold's rows; a detector without labels learns from those since a moment."""
        vectors, labels = data
        train, test = split.train(vectors), split.test(vectors)
        if not start.supervised and since is not None:
            train = train.between(since, None)
        known = truth_of(train, labels, known_by=split.known_by)
        judged_by = confirmed(test, labels, known_by=None)
        truth, weight = known.confirmed, known.weight
        if isinstance(start, LightGBM):
            train, truth, weight = _thinned(train, truth, sampling.rows, seed, weight)
        test, judged_by, counts = _thinned(test, judged_by, sampling.judged, seed + 1)
        return cls(train, truth, weight, test, judged_by, counts, *measure, sampling)

    def usable(self, settings: Detector) -> bool:
        """Whether there is something to learn and something to tell apart."""
        learned = self.truth.any() and not self.truth.all() if settings.supervised else len(self.train) > 1
        return bool(learned and self.judged_by.any() and not self.judged_by.all())

    @cached_property
    def fingerprint(self) -> str:
        """A digest of rows, labels, weights and the measure."""
        told = hashlib.sha256(repr((self.objective, self.budget, self.sampling)).encode())
        for vectors, truth, weight in ((self.train, self.truth, self.weight), (self.test, self.judged_by, self.counts)):
            told.update(content(vectors).encode() + truth.tobytes() + weight.tobytes())
        return told.hexdigest()[:32]

    def judge(self, settings: Detector, seed: int) -> Verdict:
        """Fit on the earlier rows, score the later ones."""
        if isinstance(settings, LightGBM):
            most = self.sampling
            shorter = replace(
                settings, rounds=min(settings.rounds, most.rounds), patience=min(settings.patience, most.patience)
            )
            score = self._learned.fit(shorter, seed=seed)(self._judged)
        else:
            score = settings.fit(self.train, self.truth if settings.supervised else None, seed=seed).score(self.test)
        return Verdict(self._measured(score), {})

    def _measured(self, score: NDArray[np.float64]) -> float:
        if self.objective == "average_precision":
            from sklearn.metrics import average_precision_score

            return float(average_precision_score(self.judged_by, score, sample_weight=self.counts))
        return recall_at_budget(self.judged_by, score, self.test, budget=self.budget, counts=self.counts)

    @cached_property
    def _judged(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.test.matrix)

    @cached_property
    def _learned(self) -> BinnedRows:
        return BinnedRows.of(self.train, self.truth, self.weight)


@dataclass(frozen=True, eq=False)
class Stage:
    """A rehearsal as a round: fitted on ordinary rows, judged by the misbehaviour that is found.

    Attributes
    ----------
    train : Vectors
        Of days before the rehearsal's.
    truth : bool array or None
        For detectors that learn from labels.
    rehearsal : Rehearsal
    objective : "rehearsal_recall", "rehearsal_credit" or "rehearsal_gain"
    witness : callable, optional
        What labels say of a fit; recorded beside the value, and never searched by.
    """

    train: Vectors
    truth: NDArray[np.bool_] | None
    rehearsal: Rehearsal
    objective: str
    witness: Callable[[FittedDetector], float] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A digest of rows, truth, rehearsal and the measure."""
        truth = b"" if self.truth is None else self.truth.tobytes()
        told = f"{content(self.train)} {self.rehearsal.fingerprint} {self.objective} {self.witness is not None} "
        return hashlib.sha256(told.encode() + truth).hexdigest()[:32]

    def judge(self, settings: Detector, seed: int) -> Verdict:
        """Fit, score the rehearsal, and see who is found."""
        fitted = settings.fit(self.train, self.truth, seed=seed)
        score = fitted.score(self.rehearsal.vectors)
        told = {"rehearsal_recall": "mean", "rehearsal_credit": "credit", "rehearsal_gain": "gain"}
        measured = getattr(self.rehearsal, told[self.objective])
        labelled = None if self.witness is None else float(self.witness(fitted))
        return Verdict(float(measured(score)), self.rehearsal.recall(score), labelled)


def recall_at_budget(
    y: NDArray[np.bool_],
    score: NDArray[np.float64],
    vectors: Vectors,
    *,
    budget: int,
    counts: NDArray[np.float64] | None = None,
) -> float:
    """The share of confirmed rows among the ``budget`` highest rows of each day, where rows may stand for several.

    Parameters
    ----------
    y : bool array of shape (n,)
    score : float64 array of shape (n,)
        Of rows that tie, those of one entity with the unconfirmed first, and entities in the order of a hash.
    vectors : Vectors, n rows
    budget : int
        Alerts a day.
    counts : float64 array of shape (n,), optional
        How many rows each row stands for; one each, if not given.
    """
    if not y.any():
        return float("nan")
    day = (vectors.as_of - 1) // _DAY
    order = np.lexsort((y, entity_keys(vectors.entity), -score, day))
    each = np.ones(len(y)) if counts is None else counts[order]
    above = np.cumsum(each) - each
    ordered = day[order]
    place = above - above[np.searchsorted(ordered, ordered, side="left")]
    return float((y[order] & (place < budget)).sum() / y.sum())


def _thinned(
    vectors: Vectors, truth: NDArray[np.bool_], rows: int, seed: int, weight: NDArray[np.float64] | None = None
) -> tuple[Vectors, NDArray[np.bool_], NDArray[np.float64]]:
    """All confirmed rows and so many others that there are about ``rows``, with what each stands for."""
    others = np.flatnonzero(~truth)
    weight = np.ones(len(truth)) if weight is None else weight
    wanted = max(rows - int(truth.sum()), 2 * int(truth.sum()), 1)
    if len(others) <= wanted:
        return vectors, truth, weight
    order = time_order(vectors)
    others = order[~truth[order]]
    drawn = np.random.default_rng(seed).choice(len(others), wanted, replace=False)
    kept = truth.copy()
    kept[others[drawn]] = True
    standing = np.where(truth, weight, weight * len(others) / wanted)
    return vectors.take(kept), truth[kept], standing[kept]
