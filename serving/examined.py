"""Reasons with their evidence put to the test, and the smallest change, for some rows of a scored batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..features.snapshots import snapshots_of
from .evidence import weighed
from .reasons import explain
from .replay import smallest_change

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model
    from .reasons import Reason
    from .scoring import ScoredBatch

__all__ = ["examine", "is_low", "places_of"]


def examine(
    model: Model, batch: ScoredBatch, rows: NDArray[np.intp], *, most: int = 5, tested: bool = True
) -> tuple[list[list[Reason]], list[str]]:
    """The reasons of some rows of a batch, and what would have made each no alert.

    Parameters
    ----------
    model : Model
    batch : ScoredBatch
    rows : int array of shape (k,)
    most : int
        Reasons per row.
    tested : bool
        Whether to see if alerts by rank would be alerts without their evidence; what comes of it tells a random pick
        from an alert by rank.

    Returns
    -------
    reasons : list of k lists of Reason
    changes : list of k str
        Empty where all the evidence is not enough, or nothing was tested.
    """
    chosen = batch.vectors.take(rows)
    by_rank = batch.table["pick"].to_numpy(zero_copy_only=False)[rows] == "rank"
    line = np.where(by_rank & tested, batch.line[rows], np.nan)
    reasons = weighed(model, batch.timeline, chosen, explain(model, chosen, most=most), line)
    if np.isnan(line).all():
        return reasons, [""] * len(rows)
    changes = smallest_change(model, batch.timeline, chosen, reasons, line)
    return reasons, ["" if change is None else change.text for change in changes]


def is_low(model: Model, reason: Reason) -> bool:
    """Whether what was seen is less than half of the population has."""
    return bool(reason.seen < model.population.quantile(reason.feature, 0.5))


def places_of(model: Model, timeline: Timeline, vectors: Vectors) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of each window's events in the timeline: two int64 arrays of shape (n,), half-open."""
    snapshots = snapshots_of(timeline, model.plan.windows)
    place = np.zeros(int(timeline.row.max(initial=0)) + 1, np.int64)
    place[timeline.row] = np.arange(len(timeline))
    last = np.empty(0, np.uint32) if vectors.last is None else vectors.last
    which = np.searchsorted(snapshots.stop, place[last] + 1)
    return snapshots.start[which], snapshots.stop[which]
