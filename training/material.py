"""What a training learns from and is judged by: vectors and truth of two periods, and the population of the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..features.plan import FeaturePlan
from ..features.snapshots import snapshots_of
from .labels import confirmed, entities_known_bad
from .splits import TimeSplit, acquaintance, split_by_time
from .trouble import with_trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..features.population import Population
    from ..features.roles import Roles
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from .labels import Labels
    from .settings import TrainingSettings

__all__ = ["Material", "prepare"]


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
    """Split in time, learn the population of what comes first, and build the vectors of both periods.

    Labels become notes on the events, too, which features read from the instant at which each became known.

    Raises
    ------
    ConfigError
        If a period is empty or holds no event.
    """
    gap = 0 if labels is None else settings.label_delay
    timeline = timeline if labels is None else with_trouble(timeline, labels)
    windows = snapshots_of(timeline, settings.windows)
    split = split_by_time(windows, gap=gap, train=settings.train, test=settings.test)
    before = timeline.until(split.train_until)
    plan = FeaturePlan.for_log(before, roles, settings.windows)
    acquainted = acquaintance(split, windows, horizon=settings.windows.horizon_width)
    population = plan.fit(timeline.until(acquainted), progress=progress)
    vectors = plan.vectors(timeline.until(split.test_until), population, progress=progress)
    train, test = split.train(vectors), split.test(vectors)
    for name, rows in (("training", train), ("test", test)):
        if not len(rows):
            message = f"the {name} period holds no event ({split}); name other days"
            raise ConfigError(message)
    if labels is None:
        return Material(plan, population, split, train, test, None, None, None, acquainted)
    if settings.leave_out_known:
        test = test.take(~entities_known_bad(test, labels, since=split.train_from))
    truths = confirmed(train, labels, known_by=split.known_by), confirmed(test, labels, known_by=None)
    return Material(plan, population, split, train, test, *truths, labels, acquainted)
