"""What a training learns from and is judged by: vectors and truth of two periods, and the population of the first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..features.plan import FeaturePlan
from ..features.snapshots import snapshots_of
from .asides import Asides, asides_of, audited, measure_at_stake, peer_groups
from .calibration import LEAST
from .labels import DAY, confirmed, entities_known_bad
from .rehearsal import rehearse
from .splits import TimeSplit, acquaintance, split_by_time
from .trouble import with_trouble
from .truth import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from ..features.events import EventLog
    from ..features.population import Population
    from ..features.roles import Roles
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from .labels import Labels
    from .rehearsal import Rehearsal
    from .settings import TrainingSettings
    from .usual import Usual

__all__ = ["Later", "Material", "prepare", "with_audited"]


@dataclass(frozen=True, eq=False)
class Later:
    """Rows of a held-out time after the training, by which scores are calibrated.

    Attributes
    ----------
    vectors : Vectors
        Without those known to be in trouble when the log ends. By then, unlike at the end of their own time, labels
        have arrived: trouble that nobody knew of would stand where the 1 % of highest scores begin, and make p-values
        too large. The model goes to work after the log's end, so nothing is used that it would not have had. Where
        there are no labels p-values are too large by as much as there is trouble: too few alerts, not too many.
    group : pyarrow.DictionaryArray of length n, or None
        Peer group of each row, if the log names peers.
    since, until : int, microseconds since 1970 UTC
        Between training and test; until the middle of the test, if too little lies between.
    """

    vectors: Vectors
    group: pa.DictionaryArray | None
    since: int
    until: int


@dataclass(frozen=True, eq=False)
class Material:
    """Vectors and truth of the training and of the test period.

    Attributes
    ----------
    plan : FeaturePlan
    population : Population
        Of the events before ``acquainted``, and no later ones.
    split : TimeSplit
    train, test : Vectors
    train_truth : bool array of shape (n_train,), or None without labels
        Confirmed by what was known when the test begins.
    test_truth : bool array of shape (n_test,), or None without labels
        Confirmed in hindsight.
    labels : Labels or None
    acquainted : int, microseconds since 1970 UTC
        Until when the population was learned; at most the training period's end.
    train_weight : float64 array of shape (n_train,), or None without labels
        How many rows like it each stands for, see :class:`~peculiar.training.truth.Truth`.
    test_cleared : bool array of shape (n_test,), or None without labels
        Looked at and found harmless, in hindsight.
    asides : Asides of n_test rows, or None
        What is known of the test rows beside their vectors.
    later : Later or None
        What scores are calibrated by; None if no row is left for it.
    rehearsal : Rehearsal or None
        The test period with misbehaviours staged in it, if that was asked for.
    practice : pair of Vectors and Rehearsal, or None
        What settings of detectors without labels are searched by: earlier and staged later training rows.
    usual : Usual or None
        What a later period is held against.
    """

    plan: FeaturePlan
    population: Population
    split: TimeSplit
    train: Vectors
    test: Vectors
    train_truth: NDArray[np.bool_] | None
    test_truth: NDArray[np.bool_] | None
    labels: Labels | None
    acquainted: int
    train_weight: NDArray[np.float64] | None = None
    test_cleared: NDArray[np.bool_] | None = None
    asides: Asides | None = None
    later: Later | None = None
    rehearsal: Rehearsal | None = None
    practice: tuple[Vectors, Rehearsal] | None = None
    usual: Usual | None = None

    @property
    def unseen(self) -> Vectors:
        """The training rows that the population was not learned from: those that are like rows yet to come."""
        later = self.train.between(self.acquainted, None)
        return later if len(later) > 1 else self.train

    @property
    def learnable(self) -> bool:
        """Whether there is something for a detector with labels to learn: rows of both kinds."""
        return self.train_truth is not None and bool(self.train_truth.any()) and not bool(self.train_truth.all())


def prepare(
    timeline: Timeline,
    roles: Roles,
    labels: Labels | None,
    *,
    settings: TrainingSettings,
    progress: Callable[[str, float], None] | None = None,
) -> Material:
    """Split in time, learn the population of what comes first, and build the vectors of all periods.

    Labels become notes on the events, too, which features read from the instant at which each became known.

    Raises
    ------
    ConfigError
        If a period is empty or holds no event, or the log has no measure of the name that is at stake.
    """
    gap = 0 if labels is None else settings.label_delay
    timeline = timeline if labels is None else with_trouble(timeline, labels)
    windows = snapshots_of(timeline, settings.windows)
    split = split_by_time(windows, gap=gap, train=settings.train, test=settings.test)
    value = measure_at_stake(roles, settings.value)
    before = timeline.until(split.train_until)
    plan = FeaturePlan.for_log(before, roles, settings.windows)
    acquainted = acquaintance(split, windows, horizon=settings.windows.horizon_width)
    population = plan.fit(timeline.until(acquainted), progress=progress)
    timeline = timeline.until(split.test_until)
    vectors = plan.vectors(timeline, population, progress=progress)
    train, test = split.train(vectors), split.test(vectors)
    for name, rows in (("training", train), ("test", test)):
        if not len(rows):
            message = f"the {name} period holds no event ({split}); name other days"
            raise ConfigError(message)
    if labels is not None and settings.leave_out_known:
        test = test.take(~entities_known_bad(test, labels, since=split.train_from))
    asides = asides_of(test, timeline, roles, settings.windows, value)
    material = Material(plan, population, split, train, test, None, None, labels, acquainted, asides=asides)
    material = replace(material, later=_later(material, vectors, timeline, settings))
    material = _rehearsed(material, timeline, settings) if settings.rehearse else material
    return material if labels is None else _told(material, labels)


def with_audited(material: Material, log: EventLog) -> Material:
    """The material with the attributes that the log keeps for audits, of each test row."""
    if material.asides is None:
        return material
    return replace(material, asides=replace(material.asides, audited=audited(material.test, log)))


def _rehearsed(material: Material, timeline: Timeline, settings: TrainingSettings) -> Material:
    """The material with a rehearsal of the test, and one of the last third of the unseen training to search by."""
    split = material.split

    def staged(since: int, until: int) -> Rehearsal:
        return rehearse(
            material.plan, material.population, timeline, period=(since, until), per_kind=settings.rehearse,
            budget=settings.budget, seed=settings.seed, kinds=settings.rehearse_kinds or None,
        )  # fmt: skip

    material = replace(material, rehearsal=staged(split.test_from, split.test_until))
    cut = split.train_until - max(1, (split.train_until - material.acquainted) // (3 * DAY)) * DAY
    earlier = material.unseen.between(None, cut)
    if not settings.trials or not len(earlier):
        return material
    return replace(material, practice=(earlier, staged(cut, split.train_until)))


def _told(material: Material, labels: Labels) -> Material:
    """The material with the truth: of the training as known when the test begins, of the test in hindsight."""
    known = truth_of(material.train, labels, known_by=material.split.known_by)
    last = truth_of(material.test, labels, known_by=None)
    told = replace(material, train_truth=known.confirmed, train_weight=known.weight)
    return replace(told, test_truth=last.confirmed, test_cleared=last.cleared)


def _later(material: Material, vectors: Vectors, timeline: Timeline, settings: TrainingSettings) -> Later | None:
    """The time between training and test if enough rows lie in it, else that and the first half of the test."""
    split = material.split
    since = split.train_until
    for until in (split.test_from, _middle(material.test)):
        rows = _calm(vectors.between(since, until), material, leave_out_known=settings.leave_out_known)
        if len(rows) >= LEAST or (until > split.test_from and len(rows)):
            return Later(rows, peer_groups(rows, timeline, settings.windows), since, until)
    return None


def _calm(rows: Vectors, material: Material, *, leave_out_known: bool) -> Vectors:
    """The rows that nobody knows to be in trouble when the log ends."""
    if material.labels is None:
        return rows
    calm = ~confirmed(rows, material.labels, known_by=material.split.test_until)
    if leave_out_known:
        calm &= ~entities_known_bad(rows, material.labels, since=material.split.train_from)
    return rows.take(calm)


def _middle(test: Vectors) -> int:
    """The end of a window nearest to the middle of the test; of one day only, its end."""
    first, last = int(test.since.min()) if test.cut == "calendar" else int(test.as_of.min()), int(test.as_of.max())
    middle = (first + last) // 2
    if test.cut != "calendar":  # windows end when they end, and days are those of UTC
        return max(middle // DAY, -(-first // DAY)) * DAY
    ends = np.unique(test.as_of)
    return int(ends[np.abs(ends - middle).argmin()])
