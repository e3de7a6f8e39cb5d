"""Replay: whether it would be an alert had the evidence not happened, and how little of it would have to be missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .evidence import with_events
from .pasts import Pasts
from .reasons import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model
    from .reasons import Reason

    Positions = NDArray[np.int64]

__all__ = ["Change", "Replay", "replay", "smallest_change"]

_PARTS = (0.125, 0.25, 0.5, 0.75, 1.0)
_WEAK = "weak: taking these events away would not change the alert"


@dataclass(frozen=True, eq=False)
class Replay:
    """What became of alerts as their evidence was taken away.

    Attributes
    ----------
    after : float64 array of shape (n,)
        The score without what was taken away; minus infinity where nothing of the window is left, NaN where nothing was
        tried.
    below : bool array of shape (n,)
        Whether that is below the alert line.
    taken : list of n int64 arrays
        Positions in the timeline of the events that were taken away, those that bear most first.
    reasons : list of n lists of Reason
        With their events; weak where the row stayed at or above the line.
    """

    after: NDArray[np.float64]
    below: NDArray[np.bool_]
    taken: list[Positions]
    reasons: list[list[Reason]]


def replay(
    model: Model,
    timeline: Timeline,
    vectors: Vectors,
    reasons: Sequence[Sequence[Reason]],
    line: NDArray[np.float64],
) -> Replay:
    """Score each window again as if events behind its reasons had not happened on that day.

    Parts of the evidence are taken away, those events first that bear most: an eighth, then more and more as long as it
    would be an alert still. So what is taken is about the least that helps, and a window is emptied last of all. To
    take away all can be as odd as what was seen, of one who rides fifty buses every day; and what a reason tells may
    not be what it weighs by. So at last parts are tried of all that carries the weight. If that does not help either,
    the reasons are weak, and say so.

    Parameters
    ----------
    model : Model
    timeline : Timeline
        What the vectors were built from.
    vectors : Vectors of n rows
    reasons : sequence of n sequences of Reason
    line : float64 array of shape (n,)
        The lowest score that was an alert by rank; NaN where there is none to stay under, so that nothing is tried.
    """
    pasts = Pasts.of(model.plan, timeline, vectors)
    told, after = with_events(pasts, model.population, reasons), np.full(len(vectors), np.nan)
    taken = [np.empty(0, np.int64) for _ in reasons]

    def standing(rows: NDArray[np.intp], order: Mapping[int, Positions]) -> NDArray[np.intp]:
        """The rows that would be alerts without any part of these events of their windows."""
        tried = dict.fromkeys(rows.tolist(), 0)
        for part in _PARTS:
            many = {row: math.ceil(part * len(order[row])) for row in rows.tolist()}
            more = np.array([row for row in rows.tolist() if many[row] > tried[row]], np.intp)
            tried |= many
            chosen = [order[row][: many[row]] for row in more.tolist()]
            for row, events, score in zip(more.tolist(), chosen, pasts.take(more).scores(model, chosen), strict=True):
                if np.isnan(after[row]) or score < after[row]:
                    after[row], taken[row] = score, events
            rows = rows[~(after[rows] < line[rows])]
        return rows

    tested = np.flatnonzero(~np.isnan(line))
    left = standing(tested, {row: _within(pasts, row, _by_leverage(told[row])) for row in tested.tolist()})
    wider = with_events(pasts.take(left), model.population, [reasons[row] for row in left.tolist()], widely=True)
    extended = dict(zip(left.tolist(), wider, strict=True))
    weak = standing(left, {row: _within(pasts, row, _by_leverage(more)) for row, more in extended.items()})
    for row in np.setdiff1d(left, weak).tolist():
        told[row] = extended[row]
    for row in weak.tolist():
        told[row] = [replace(each, weak=True, text=f"{each.text}; {_WEAK}") for each in told[row]]
    return Replay(after, after < line, taken, told)


def _within(pasts: Pasts, row: int, events: Positions) -> Positions:
    """Those of the events that are the window's own."""
    return events[events >= pasts.start[row]]


@dataclass(frozen=True, slots=True)
class Change:
    """The fewest of the evidence events without which a window would not have been an alert.

    Attributes
    ----------
    fewer, of : int
        So many of so many.
    feature : str
        A number that would be another; empty if the window would be gone.
    seen, then : float
        The number as it was, and as it would have been.
    events : tuple of int
        Positions in the timeline of those that would be missing.
    text : str
        The same in words.
    """

    fewer: int
    of: int
    feature: str
    seen: float
    then: float
    events: tuple[int, ...]
    text: str


def smallest_change(
    model: Model,
    timeline: Timeline,
    vectors: Vectors,
    reasons: Sequence[Sequence[Reason]],
    line: NDArray[np.float64],
) -> list[Change | None]:
    """The least that would have had to be missing, of the events behind the reasons, for each row not to be an alert.

    Events are taken away in the order of what they bear: the weight of their reasons, shared among the events of each.
    Halving finds how many are enough, for all rows at once; where a score does not fall with each event it is a number
    that suffices, and one less does not.

    Parameters
    ----------
    model : Model
    timeline : Timeline
    vectors : Vectors of n rows
    reasons : sequence of n sequences of Reason
        With their events, as :func:`replay` gives them.
    line : float64 array of shape (n,)
        The score to come below; NaN where there is none.

    Returns
    -------
    list of n Change, or None
        None where all evidence is not enough.
    """
    pasts = Pasts.of(model.plan, timeline, vectors)
    order = [_within(pasts, row, _by_leverage(told)) for row, told in enumerate(reasons)]
    too_few, enough, able = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64), np.zeros(len(order), bool)
    for part in _PARTS:
        rows = np.flatnonzero(~able & ~np.isnan(line))
        enough[rows] = [math.ceil(part * len(order[row])) for row in rows]
        able[rows] = pasts.take(rows).scores(model, [order[row][: enough[row]] for row in rows]) < line[rows]
        too_few[rows[~able[rows]]] = enough[rows[~able[rows]]]
    while len(rows := np.flatnonzero(able & (enough - too_few > 1))):
        tried = (too_few[rows] + enough[rows]) // 2
        scores = pasts.take(rows).scores(model, [order[row][:n] for row, n in zip(rows, tried, strict=True)])
        below = scores < line[rows]
        enough[rows[below]], too_few[rows[~below]] = tried[below], tried[~below]
    rows = np.flatnonzero(able)
    removed = [order[row][: enough[row]] for row in rows]
    there, made = pasts.take(rows).rebuilt(model, removed)
    then = iter([vectors.values[:, n] for vectors in made for n in range(len(vectors))])
    changes: list[Change | None] = [None] * len(order)
    for row, gone, still in zip(rows.tolist(), removed, there, strict=True):
        values = next(then) if still else None
        changes[row] = _told(model, reasons[row], (vectors.values[:, row], values), gone, len(order[row]))
    return changes


def _told(
    model: Model,
    reasons: Sequence[Reason],
    values: tuple[NDArray[np.float32], NDArray[np.float32] | None],
    gone: Positions,
    of: int,
) -> Change:
    """The change in words, with the first told number that would be another."""
    fewer, (now, then) = len(gone), values
    start = "without this event" if of == 1 else f"without these {of:,} events"
    start = start if fewer == of else f"with {fewer:,} of these {of:,} events fewer"
    text = f"{start} it would not have been an alert"
    events = tuple(gone.tolist())
    number = {feature.name: n for n, feature in enumerate(model.plan.features)}
    if then is None:
        return Change(fewer, of, "", float("nan"), float("nan"), events, text)
    for reason in reasons:
        n = number[reason.feature]
        feature, was, would = model.plan.features[n], float(now[n]), float(then[n])
        if np.isnan(was) or np.isnan(would) or say(was, feature.unit) == say(would, feature.unit):
            continue
        both = feature.told(f"{say(would, feature.unit)} instead of {say(was, feature.unit)}")
        return Change(fewer, of, reason.feature, was, would, events, f"{text}: {both}")
    return Change(fewer, of, "", float("nan"), float("nan"), events, text)


def _by_leverage(reasons: Sequence[Reason]) -> Positions:
    """All events of the reasons, those that bear most first; within a reason as it has them, the later the less."""
    bears: dict[int, float] = {}
    for reason in reasons:
        for place, event in enumerate(reason.events):
            share = max(reason.weight, 0.0) / len(reason.events)
            bears[event] = bears.get(event, 0.0) + share * (1.0 - 0.5 * place / len(reason.events))
    return np.array(sorted(bears, key=lambda event: -bears[event]), np.int64)
