"""What scored windows looked at, and how they would score had some of it not happened.

A vector depends on its window and the horizon before it, so the events of both, cut out of the timeline, give the same
vector again; with some of them left out, the vector of a day on which these had not happened. Many such days are
rebuilt at once, by the plan itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow.compute as pc

from ..features.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..features.plan import FeaturePlan
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model

    Positions = NDArray[np.int64]

__all__ = ["Pasts"]

_DAY = 86_400_000_000
_MOST_EVENTS = 2_000_000  # that are cut out at once


@dataclass(frozen=True, eq=False)
class Pasts:
    """The events that each of some rows looked at.

    Attributes
    ----------
    plan : FeaturePlan
    timeline : Timeline
        With the plan's notes.
    begin, start, stop : int64 arrays of shape (n,)
        The window is at ``start:stop``; all that its vector depends on lies in ``begin:stop``.
    """

    plan: FeaturePlan
    timeline: Timeline
    begin: Positions
    start: Positions
    stop: Positions

    def __len__(self) -> int:
        return len(self.stop)

    @classmethod
    def of(cls, plan: FeaturePlan, timeline: Timeline, vectors: Vectors) -> Self:
        """Find the rows' events in the timeline that their vectors were built from."""
        first, last = _entities(timeline, vectors)
        reach = plan.windows.horizon_width + plan.windows.width + 2 * _DAY  # the clocks may change in between
        begin, start, stop = (np.empty(len(vectors), np.int64) for _ in range(3))
        for n, (lo, hi) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            stop[n] = _after_last(timeline, vectors, n, (lo, hi))
            at = timeline.at[lo : stop[n]]
            begin[n], start[n] = lo + np.searchsorted(at, [vectors.since[n] - reach, vectors.since[n]])
        if plan.windows.by is not None:
            runs = timeline.dimensions[plan.windows.by].codes
            start = _run_begins(runs, first, stop - 1)
            begin = _run_begins(runs, first, np.minimum(begin, start))
        return cls(plan, plan.annotated(timeline), begin, start, stop)

    def take(self, rows: NDArray[np.intp]) -> Pasts:
        """Of the given rows."""
        return replace(self, begin=self.begin[rows], start=self.start[rows], stop=self.stop[rows])

    def pieces(self, removed: Sequence[Positions] | None = None) -> list[Positions]:
        """The positions of each row's events, without some of them."""
        if removed is None:
            return [np.arange(lo, hi) for lo, hi in zip(self.begin.tolist(), self.stop.tolist(), strict=True)]
        left = []
        for lo, hi, gone in zip(self.begin.tolist(), self.stop.tolist(), removed, strict=True):
            keep = np.ones(hi - lo, np.bool_)
            keep[gone[(gone >= lo) & (gone < hi)] - lo] = False
            left.append(lo + np.flatnonzero(keep))
        return left

    def batches(self) -> Iterator[NDArray[np.intp]]:
        """Rows in their order, in batches of a bounded number of events."""
        total = np.cumsum(self.stop - self.begin) // _MOST_EVENTS
        yield from (rows for rows in np.split(np.arange(len(self)), np.flatnonzero(np.diff(total)) + 1) if len(rows))

    def rebuilt(self, model: Model, removed: Sequence[Positions]) -> tuple[NDArray[np.bool_], list[Vectors]]:
        """The vectors that the rows would have, had some events not happened.

        Parameters
        ----------
        model : Model
        removed : sequence of n int64 arrays
            Positions in the timeline; those that a row did not look at change nothing.

        Returns
        -------
        there : bool array of shape (n,)
            False for a window of which nothing is left; a window that ends with an event is gone with this event.
        vectors : list of Vectors
            Of the windows that are there, in their order, cut into batches.
        """
        there, made = np.zeros(len(self), np.bool_), []
        for rows in self.batches():
            part = self.take(rows)
            pieces = part.pieces([removed[row] for row in rows])
            least = part.stop - 1 if self.plan.windows.cut == "event" else part.start
            alive = np.array([len(piece) > 0 and piece[-1] >= lo for piece, lo in zip(pieces, least, strict=True)])
            there[rows] = alive
            left = excerpt(self.timeline, [pieces[n] for n in np.flatnonzero(alive)])
            if len(left.entity):
                made.append(self.plan.vectors(left, model.population, last=True))
        return there, made

    def scores(self, model: Model, removed: Sequence[Positions]) -> NDArray[np.float64]:
        """The scores that the rows would have, float64 of shape (n,); minus infinity where nothing is left to score."""
        there, made = self.rebuilt(model, removed)
        scores = np.full(len(self), -np.inf)
        scores[there] = np.concatenate([*(model.detector.score(vectors) for vectors in made), np.empty(0)])
        return scores


def _entities(timeline: Timeline, vectors: Vectors) -> tuple[Positions, Positions]:
    """Where the events of each row's entity begin and end."""
    names = vectors.entity.dictionary
    if not names.equals(timeline.entity):
        names = pc.index_in(names, timeline.entity).to_numpy(zero_copy_only=False)
        code = names[vectors.entity.indices.to_numpy()].astype(np.int64)
    else:
        code = vectors.entity.indices.to_numpy().astype(np.int64)
    return timeline.first[code], timeline.first[code + 1]


def _after_last(timeline: Timeline, vectors: Vectors, row: int, stretch: tuple[int, int]) -> int:
    """The position after the window's last event."""
    lo, hi = stretch
    if vectors.last is None:
        return lo + int(np.searchsorted(timeline.at[lo:hi], vectors.as_of[row]))
    return lo + int(np.flatnonzero(timeline.row[lo:hi] == vectors.last[row])[0]) + 1


def _run_begins(runs: NDArray[np.int32], first: Positions, position: Positions) -> Positions:
    """Where the unbroken run begins that each position is in."""
    begins = position.copy()
    for n, lo in enumerate(first.tolist()):
        other = np.flatnonzero(runs[lo : position[n]] != runs[position[n]])
        begins[n] = lo + int(other[-1]) + 1 if len(other) else lo
    return begins
