"""Evidence: the events behind each reason, by position and by the log's own ids.

The family that a reason's number comes from says which events make it what it is. If the alert would stand without
them, more is taken in: the events behind all the numbers that carry the reason's weight, and those of the window at the
same values again. If it stands even so, the reasons say that they are weak.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..features.excerpt import excerpt
from ..features.family import Context, Witness
from ..features.snapshots import snapshots_of
from ..features.witness import alike
from ..training.packaging import EVIDENCE
from .pasts import Pasts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.events import EventLog
    from ..features.family import Feature
    from ..features.plan import FeaturePlan
    from ..features.population import Population
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model
    from .reasons import Reason

    Positions = NDArray[np.int64]
    Ids = Callable[[Positions], list[str]]

__all__ = ["columns", "evidence_of", "ids_of", "weighed", "with_events"]

_MOST_IDS = 200  # of a reason are told
_FIGURES = ("weight", "seen", "usual", "everyone")


def weighed(  # noqa: PLR0913 - what events are called is a question of its own
    model: Model,
    timeline: Timeline,
    vectors: Vectors,
    reasons: Sequence[Sequence[Reason]],
    line: NDArray[np.float64],
    *,
    ids: Ids | None = None,
) -> list[list[Reason]]:
    """The reasons with their evidence, and whether that evidence carries the alert.

    Parameters
    ----------
    model : Model
    timeline : Timeline
        What the vectors were built from, with the plan's notes.
    vectors : Vectors of n rows
    reasons : sequence of n sequences of Reason
    line : float64 array of shape (n,)
        The score that the row has to be under to be no alert by rank; NaN for one that is none, whose evidence is not
        put to the test.
    ids : callable, optional
        What the log calls events, from :func:`ids_of`.

    Returns
    -------
    list of n lists of Reason
    """
    from .replay import replay

    told = replay(model, timeline, vectors, reasons, line).reasons
    if ids is None:
        return told
    shown = [np.array(reason.events[:_MOST_IDS], np.int64) for reasons in told for reason in reasons]
    names = ids(np.concatenate([*shown, np.empty(0, np.int64)]))
    pieces = iter(np.split(np.array(names, object), np.cumsum([len(events) for events in shown])))
    return [[replace(reason, ids=tuple(next(pieces))) for reason in reasons] for reasons in told]


def columns(
    reasons: Sequence[Sequence[Reason] | None], without: Mapping[int, str] = MappingProxyType({})
) -> dict[str, pa.Array]:
    """The columns ``reasons`` (sentences) and ``evidence`` of a table of scores; null where no reasons were asked for.

    Parameters
    ----------
    reasons : sequence of n sequences of Reason, or None
    without : mapping of int to str
        Of rows that have no reason why none can be told: the one sentence in the place of reasons.

    Returns
    -------
    dict of str to pyarrow.Array
        ``evidence`` holds for each reason its numbers, whether it is weak, how many events there are, and the ids of
        the first two hundred.
    """
    texts = [None if told is None else [reason.text for reason in told] for told in reasons]
    texts = [[without[row]] if row in without else said for row, said in enumerate(texts)]
    return {
        "reasons": pa.array(texts, pa.list_(pa.string())),
        "evidence": pa.array([None if told is None else list(map(_plain, told)) for told in reasons], EVIDENCE),
    }


def _plain(reason: Reason) -> dict[str, object]:
    figures = {name: getattr(reason, name) for name in _FIGURES}
    figures = {name: None if np.isnan(figure) else figure for name, figure in figures.items()}
    about = {"feature": reason.feature, "family": reason.family, "unit": reason.unit, "weak": reason.weak}
    return {**about, **figures, "count": len(reason.events), "events": list(reason.ids)}


def ids_of(log: EventLog, timeline: Timeline) -> Ids:
    """What gives the log's own ids of events by their positions, as text; the row in the source if it has no ids."""

    def ids(positions: Positions) -> list[str]:
        rows = timeline.row[positions].astype(np.int64)
        if log.roles.id is None or not len(rows):
            return [str(row) for row in rows.tolist()]
        found = log.source.read([log.roles.id])[log.roles.id].take(pa.array(rows)).to_pylist()
        return [str(row) if name is None else str(name) for row, name in zip(rows.tolist(), found, strict=True)]

    return ids


def with_events(
    pasts: Pasts,
    population: Population,
    reasons: Sequence[Sequence[Reason]],
    *,
    widely: bool = False,
) -> list[list[Reason]]:
    """The reasons with the positions of their events; ``widely`` takes in all that carries their weight."""
    found = _found(pasts, population, reasons, widely=widely)
    return [
        [replace(reason, events=tuple(events.tolist())) for reason, events in zip(told, positions, strict=True)]
        for told, positions in zip(reasons, found, strict=True)
    ]


def evidence_of(
    plan: FeaturePlan,
    population: Population,
    timeline: Timeline,
    vectors: Vectors,
    reasons: Sequence[Sequence[Reason]],
) -> list[list[NDArray[np.int64]]]:
    """The events behind the reasons of some windows.

    Parameters
    ----------
    plan : FeaturePlan
    population : Population
    timeline : Timeline
        What the vectors were built from.
    vectors : Vectors of n rows
    reasons : sequence of n sequences of Reason

    Returns
    -------
    list of n lists of int64 arrays
        Positions in the timeline, one array a reason, the most telling first; the window's events where no event
        stands out.
    """
    return _found(Pasts.of(plan, timeline, vectors), population, reasons, widely=False)


def _found(
    pasts: Pasts, population: Population, reasons: Sequence[Sequence[Reason]], *, widely: bool
) -> list[list[Positions]]:
    """One excerpt holds the pasts of a whole batch, so that windows are cut once."""
    found: list[list[Positions]] = []
    for rows in pasts.batches():
        part = pasts.take(rows)
        whole = excerpt(part.timeline, part.pieces())
        snapshots = snapshots_of(whole, part.plan.windows)
        context = Context(whole, snapshots, population, part.plan.shape, {}, ())
        asked, moved = _Asked(part.plan, context), part.begin - whole.first[:-1]
        for n, row in enumerate(rows):
            here = int(snapshots.rows[n + 1]) - 1
            found.append([asked.about(reason, here, widely=widely) + moved[n] for reason in reasons[row]])
    return found


class _Asked:
    """Knows which family to ask about a feature: that of the number which it judges."""

    def __init__(self, plan: FeaturePlan, context: Context) -> None:
        self.context = context
        self.features = {feature.name: feature for feature in plan.features}
        self.families = {family.name: family for family in plan.families if isinstance(family, Witness)}

    def about(self, reason: Reason, row: int, *, widely: bool) -> Positions:
        """The events behind a reason; the window's, if none stands out, or if what is told is how little there was."""
        feature, snapshots = self.features[reason.feature], self.context.snapshots
        now = np.arange(snapshots.start[row], snapshots.stop[row])
        if feature.level and reason.seen < reason.usual:
            return now
        found = self._witnesses(feature, row)
        if widely:
            found = self._again(feature, now, self._by_weight(reason, row, found))
        return found if len(found) else now

    def _by_weight(self, reason: Reason, row: int, found: Positions) -> Positions:
        """The events behind all that carries the weight, those that bear most first, then those behind what is told."""
        bears: dict[int, float] = dict.fromkeys(found.tolist(), 0.0)
        for name, weight in reason.behind:
            events = self._witnesses(self.features[name], row).tolist()
            for event in events:
                bears[event] = bears.get(event, 0.0) + weight / len(events)
        return np.array(sorted(bears, key=lambda event: -bears[event]), np.int64)

    def _witnesses(self, feature: Feature, row: int) -> Positions:
        feature = self.features[feature.base or feature.name]
        family = self.families.get(feature.family)
        return np.empty(0, np.int64) if family is None else family.witnesses(feature, self.context, row)

    def _again(self, feature: Feature, now: Positions, found: Positions) -> Positions:
        """With the window's events at the values of those that were found, if the feature is about a dimension."""
        if feature.subject not in self.context.timeline.dimensions:
            return found
        codes = self.context.timeline.dimensions[feature.subject].codes
        return np.concatenate([found, (more := alike(codes, now, codes[found]))[~np.isin(more, found)]])
