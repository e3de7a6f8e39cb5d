"""Learning what everyone does from a log in parts: which looks it takes, and what is learned in each.

A family may need to know what was observed of everyone before it relates, and one that judges others (the baseline
shrinks towards everyone's usual) needs how their numbers are spread over all entities before it can be filled. So a log
in parts is looked at several times, and after each look the integers of all parts are added up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .family import Context, Judge, Learner, Observer, Relator
from .population import Population, histogram
from .snapshots import snapshots_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .plan import FeaturePlan
    from .timeline import Timeline

    Look = Callable[[Timeline, Population, int | None], Population]

__all__ = ["fit_passes"]


def fit_passes(plan: FeaturePlan) -> list[Look]:
    """The looks at all parts of a log, in order.

    Each takes the annotated events of some entities, the population of the looks before, and the number of threads, and
    gives the counts that this part adds.

    Parameters
    ----------
    plan : FeaturePlan

    Returns
    -------
    list of callable

    Examples
    --------
    >>> from peculiar.features.plan import FeaturePlan
    >>> from peculiar.features.roles import Roles
    >>> len(fit_passes(FeaturePlan(Roles("user", "at"))))
    5
    """
    judges = [n for n, family in enumerate(plan.families) if isinstance(family, Judge)]
    cuts = [*judges, len(plan.families)]
    looks: list[Look] = [_Observing(plan), _Relating(plan)]
    return looks + [_Filling(plan, begin, end) for begin, end in zip([0, *cuts], cuts, strict=False) if end > begin]


@dataclass(frozen=True)
class _Observing:
    plan: FeaturePlan

    def __call__(self, timeline: Timeline, population: Population, threads: int | None) -> Population:
        del population, threads
        snapshots, found = snapshots_of(timeline, self.plan.windows), Population()
        for family in self.plan.families:
            if isinstance(family, Observer):
                found = found.merged(Population.observed(family.observe(timeline, snapshots, self.plan.shape)))
        return found


@dataclass(frozen=True)
class _Relating:
    plan: FeaturePlan

    def __call__(self, timeline: Timeline, population: Population, threads: int | None) -> Population:
        del threads
        snapshots, found = snapshots_of(timeline, self.plan.windows), Population()
        for family in self.plan.families:
            if isinstance(family, Relator):
                counts = family.relate(timeline, snapshots, self.plan.shape, population)
                found = found.merged(Population.observed(counts))
        return found


@dataclass(frozen=True)
class _Filling:
    """How the numbers of the families ``begin:end`` are spread; and what the next one learns of all before it."""

    plan: FeaturePlan
    begin: int
    end: int

    def __call__(self, timeline: Timeline, population: Population, threads: int | None) -> Population:
        plan, own = self._needed(), self.plan.families[self.begin : self.end]
        vectors = plan.vectors(timeline, population, threads=threads)
        names = {feature.name for family in own for feature in plan.by_family[family.name]}
        counts = {
            feature.name: histogram([column])[0]
            for feature, column in zip(vectors.features, vectors.values, strict=True)
            if feature.name in names
        }
        found = Population(histograms=counts)
        following = self.plan.families[self.end : self.end + 1]
        for family in following:
            if isinstance(family, Learner):
                snapshots = snapshots_of(timeline, plan.windows)
                earlier = dict(zip(vectors.names, vectors.values, strict=True))
                levels = tuple(feature.name for feature in vectors.features if feature.level)
                context = Context(timeline, snapshots, population, plan.shape, earlier, levels)
                found = found.merged(Population.observed(family.learn(context)))
        return found

    def _needed(self) -> FeaturePlan:
        """The plan up to here without families before it whose numbers nobody judges."""
        if not self.begin:
            return replace(self.plan, families=self.plan.families[: self.end])
        earlier = [family for family in self.plan.families[: self.begin] if family in self.plan.judged.families]
        return replace(self.plan, families=(*earlier, *self.plan.families[self.begin : self.end]))
