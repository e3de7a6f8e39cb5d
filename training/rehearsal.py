"""How much of a rehearsed misbehaviour a score finds within what a team can read in a day: a figure without labels.

A case is found if its best row would be among the day's alerts had it happened alone: it is ranked among the *real*
rows of its day, those of entities to whom nothing was done, and is found if fewer than the budget of them score as
high. So cases do not crowd each other out, however many are staged, and real trouble in the log takes its place in the
budget as it will when the model works. Rows that tie with real ones come after them.

What this cannot tell: how common each kind is, or what nobody has thought of. It compares settings of detectors, and
ranks them as labels would only as far as what is rehearsed is what is looked for; it does not promise a recall.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError, LabelError
from ..features.snapshots import snapshots_of
from .injections import CASE, inject
from .metrics import entity_keys
from .purposes import usual_kinds, weights_of
from .rows import time_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from ..features.plan import FeaturePlan
    from ..features.population import Population
    from ..features.snapshots import Snapshots
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors

__all__ = ["Agreement", "Rehearsal", "content", "proxy_agreement", "rehearse"]

_DAY = 86_400_000_000
_REAL, _ASIDE = -1, -2
_TOP = 0.1  # of the budget


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """The vectors of a period in which some misbehave, and who does.

    Attributes
    ----------
    vectors : Vectors, n rows
        Score these.
    case : int32 array of shape (n,)
        The case that the row is part of; -1 for a real row; -2 for another row of somebody who misbehaves, which is
        neither.
    cases : pyarrow.Table
        See :class:`~peculiar.training.injections.Injected`.
    budget : int
        Alerts a day.
    left_out : dict of str to str
        Kinds that could not be staged, or not so often as was asked for, and why.
    weights : mapping of str to float
        How much each kind counts in :meth:`mean`, :meth:`credit` and :meth:`gain`; 1 where none is told.
    """

    vectors: Vectors
    case: NDArray[np.int32]
    cases: pa.Table
    budget: int
    left_out: dict[str, str] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> dict[str, NDArray[np.intp]]:
        """The cases of each kind, in the order of first appearance."""
        names = np.array(self.cases["kind"].to_pylist(), np.str_)
        return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all that a recall depends on but the score, 32 hexadecimal digits."""
        told = hashlib.sha256(content(self.vectors).encode())
        told.update(
            self.case.tobytes() + repr((self.cases["kind"].to_pylist(), self.budget, self._weight.tolist())).encode()
        )
        return told.hexdigest()[:32]

    def ranks(self, score: NDArray[np.float64]) -> NDArray[np.int64]:
        """The place that the best row of each case would have among the real rows of its day, int64 of shape (cases,).

        Parameters
        ----------
        score : float64 array of shape (n,)
            Higher is more anomalous.

        Raises
        ------
        LabelError
            If there is not one number for each row.
        """
        if score.shape != self.case.shape or np.isnan(score).any():
            message = f"expected a score for each of {len(self.case)} rows, got {score.shape}, or some that are NaN"
            raise LabelError(message)
        ranks = np.full(len(self.cases), np.iinfo(np.int64).max)
        for day, rows in self._days:
            real = np.sort(score[day])
            place = 1 + len(real) - np.searchsorted(real, score[rows], side="left")
            np.minimum.at(ranks, self.case[rows], place)
        return ranks

    def recall(self, score: NDArray[np.float64]) -> dict[str, float]:
        """The share of the cases of each kind that are found."""
        found = self.ranks(score) <= self.budget
        return {kind: float(found[cases].mean()) for kind, cases in self.kinds.items()}

    def mean(self, score: NDArray[np.float64]) -> float:
        """The mean of the kinds' recalls by their weights, however many cases of each could be staged."""
        return float(np.average(list(self.recall(score).values()), weights=self._weight))

    def credit(self, score: NDArray[np.float64]) -> float:
        """Like :meth:`mean`, but a case that is not found counts for the share of its rank that the budget is.

        A case at rank 200 counts for a half where a hundred can be read, so settings that find the same cases differ.
        """
        worth = self.budget / np.maximum(self.ranks(score), self.budget)
        return float(np.average([worth[cases].mean() for cases in self.kinds.values()], weights=self._weight))

    def gain(self, score: NDArray[np.float64]) -> float:
        """How near to the top cases come, in equal ratios of their rank: 1 is the first tenth of the budget, 0 the end.

        Cases within the budget differ, too, and those far outside count for something: settings can be told apart by
        it where nearly all or nearly none of the cases are found. Within the first tenth they do not differ, for that
        is where real trouble belongs. The mean over kinds, by their weights.
        """
        rows = float(np.mean([len(real) for real, _ in self._days]))
        top = max(1.0, _TOP * self.budget)
        rank = np.clip(self.ranks(score), top, max(rows, top))
        gain = 1.0 - np.log(rank / top) / np.log(max(rows, 2.0 * top) / top)
        return float(np.average([gain[cases].mean() for cases in self.kinds.values()], weights=self._weight))

    def thinned(self, rows: int) -> Rehearsal:
        """The same cases among about so many of the real rows, and a budget as much smaller: to compare many scores.

        Real rows are drawn evenly in the order of time.

        Parameters
        ----------
        rows : int
        """
        order = time_order(self.vectors)
        real = order[self.case[order] == _REAL]
        step = max(1, -(-len(real) // rows))
        kept = np.sort(np.concatenate([real[::step], np.flatnonzero(self.case >= 0)]))
        budget = max(1, round(self.budget / step))
        return replace(self, vectors=self.vectors.take(kept), case=self.case[kept], budget=budget)

    def table(self, score: NDArray[np.float64]) -> dict[str, list[object]]:
        """Columns ``kind``, ``cases``, ``found``, ``recall``, ``median_rank``, one row per kind."""
        ranks = self.ranks(score)
        rows = [(kind, ranks[cases]) for kind, cases in self.kinds.items()]
        found = [int((own <= self.budget).sum()) for _, own in rows]
        return {
            "kind": [kind for kind, _ in rows],
            "cases": [len(own) for _, own in rows],
            "found": list(found),
            "recall": [number / len(own) for number, (_, own) in zip(found, rows, strict=True)],
            "median_rank": [float(np.median(own)) for _, own in rows],
        }

    @cached_property
    def _weight(self) -> NDArray[np.float64]:
        return np.array([self.weights.get(kind, 1.0) for kind in self.kinds], np.float64)

    @cached_property
    def _days(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """The real rows, and the rows of cases, of each day that has any of a case."""
        day = (self.vectors.as_of - 1) // _DAY
        acted = self.case >= 0
        real = np.flatnonzero(self.case == _REAL)
        real = real[np.argsort(day[real], kind="stable")]
        ordered, found = day[real], []
        for each in np.unique(day[acted]):
            low, high = np.searchsorted(ordered, [each, each + 1])
            found.append((real[low:high], np.flatnonzero(acted & (day == each))))
        return found


def rehearse(  # noqa: PLR0913 - what to stage, where, how often and with which chance are separate questions
    plan: FeaturePlan,
    population: Population,
    timeline: Timeline,
    *,
    period: tuple[int, int],
    per_kind: int,
    budget: int,
    seed: int,
    kinds: Sequence[str] | Mapping[str, float] | None = None,
    threads: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Rehearsal:
    """Let some entities misbehave in a period, and build its vectors; detectors are then tried on these alone.

    Parameters
    ----------
    plan : FeaturePlan
    population : Population
        As the plan learned it from days before the period.
    timeline : Timeline
        The log; only the period and what vectors may know before it are used. Entities that are known to be in
        trouble when the period begins do not misbehave.
    period : pair of int, microseconds since 1970 UTC
        Half-open; later than what a detector that is tried learns from.
    per_kind : int
        Cases of each kind.
    budget : int
        Alerts a day.
    seed : int
    kinds : sequence of str, or mapping of str to float, optional
        Names of kinds, or of purposes, which stand for their kinds; with weights above 0, if some matter more. By
        default see :func:`~peculiar.training.purposes.usual_kinds`. Those that the log cannot express are left out.
    threads : int, optional
        As many as the machine has cores, if not given; the result does not depend on it.
    progress : callable, optional
        See :meth:`~peculiar.features.plan.FeaturePlan.vectors`.

    Raises
    ------
    ConfigError
        If the budget, the number of cases or a weight is not positive, or no case can be staged.
    """
    weights = weights_of(usual_kinds(plan, timeline) if kinds is None else kinds)
    if budget < 1 or per_kind < 1:
        message = f"expected a budget and a number of cases of at least 1, got {budget} and {per_kind}"
        raise ConfigError(message)
    before = plan.windows.horizon_width + plan.windows.width + _DAY
    needed = timeline.since(period[0] - before).until(period[1])
    made = inject(needed, plan.roles, period=period, per_kind=per_kind, seed=seed, windows=plan.windows,
                  kinds=tuple(weights))  # fmt: skip
    if not len(made.cases):
        why = "; ".join(f"{kind}: {reason}" for kind, reason in made.left_out.items())
        message = f"no misbehaviour can be rehearsed ({why}); rehearse a longer period"
        raise ConfigError(message)
    built = plan.vectors(made.timeline, population, threads=threads, progress=progress)
    case = _cases_of(made.timeline, snapshots_of(made.timeline, plan.windows))
    inside = _inside(built, period)
    return Rehearsal(built.take(inside), case[inside], made.cases, budget, made.left_out, weights)


def _inside(vectors: Vectors, period: tuple[int, int]) -> NDArray[np.intp]:
    """Where the rows of the period are; see :meth:`~peculiar.features.vectors.Vectors.between`."""
    late = vectors.since >= period[0] if vectors.cut == "calendar" else vectors.as_of > period[0]
    return np.flatnonzero(late & (vectors.as_of <= period[1]))


def _cases_of(timeline: Timeline, snapshots: Snapshots) -> NDArray[np.int32]:
    """The case of each row: of a window that holds an event of the case's day, or that ends with one."""
    note = timeline.notes[CASE]
    acted = np.concatenate([[0], np.cumsum(note >= 0)])
    begin = snapshots.stop - 1 if snapshots.cut == "event" else snapshots.start
    of_entity = np.full(len(timeline.entity), -1, np.int32)
    np.maximum.at(of_entity, timeline.owner, note)
    own = of_entity[snapshots.entity]
    return np.where(own < 0, _REAL, np.where(acted[snapshots.stop] > acted[begin], own, _ASIDE)).astype(np.int32)


def content(vectors: Vectors) -> str:
    """A digest of vectors, 32 hexadecimal digits."""
    told = hashlib.sha256(repr((vectors.plan, vectors.names, vectors.cut)).encode())
    for column in (entity_keys(vectors.entity), vectors.since, vectors.as_of, *vectors.values):
        told.update(np.ascontiguousarray(column).view(np.uint8).data)
    return told.hexdigest()[:32]


@dataclass(frozen=True)
class Agreement:
    """How alike two figures order the same settings.

    Attributes
    ----------
    spearman, kendall : float
        Rank correlations, NaN where a figure is the same for all settings or there are fewer than three.
    n : int
        Settings compared.
    """

    spearman: float
    kendall: float
    n: int


def proxy_agreement(proxy: ArrayLike, labelled: ArrayLike) -> Agreement:
    """Whether settings that do well without labels do well by labels, where there are some.

    Parameters
    ----------
    proxy, labelled : arrays of shape (trials,)
        The two figures of each trial, such as the columns ``value`` and ``labelled`` of a search's trials; trials that
        lack one (NaN) are passed over.

    Raises
    ------
    LabelError
        If they differ in length.

    Examples
    --------
    >>> proxy_agreement([0.1, 0.5, 0.3, 0.9], [0.2, 0.4, 0.3, 0.8])
    Agreement(spearman=1.0, kendall=1.0, n=4)
    """
    from scipy.stats import kendalltau, spearmanr

    x, y = np.asarray(proxy, np.float64), np.asarray(labelled, np.float64)
    if x.shape != y.shape:
        message = f"expected two figures of each trial, got {x.shape} and {y.shape}"
        raise LabelError(message)
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < 3 or not np.ptp(x) or not np.ptp(y):
        return Agreement(float("nan"), float("nan"), len(x))
    return Agreement(round(float(spearmanr(x, y)[0]), 12), round(float(kendalltau(x, y)[0]), 12), len(x))
