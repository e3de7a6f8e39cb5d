"""Windows judged afresh: a registered version on events that it was not trained with, so that two can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..features.columns import from_wall
from ..features.events import EventLog
from ..training.asides import days_of
from ..training.judged import Judgement, judged_table
from ..training.labels import read_labels
from ..training.references import load
from ..training.truth import truth_of
from .scoring import score_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    import pyarrow as pa

    from ..features.vectors import Vectors
    from ..training.model import Model
    from ..training.registry import Version
    from ..training.store import Store
    from ..training.truth import Truth

__all__ = ["judged_on", "windows_of"]


def judged_on(
    events: object,
    *,
    labels: object | None = None,
    days: tuple[date | None, date | None] = (None, None),
    budget: int = 100,
) -> Callable[[Store, Version], pa.Table]:
    """Return what judges any version on the same events, in the place of what it was judged on in its training.

    Parameters
    ----------
    events : path, glob, frame, or anything that speaks Arrow
        With the horizon before the first day.
    labels : path, or anything that speaks Arrow, optional
        What became known. A version that knows risk reads each from its ``known_at`` on; the truth is all of them.
    days : pair of date or None
        The first day to judge and the day after the last, in the zone of the model's roles; None leaves a side open.
    budget : int
        Alerts a day.
    """

    def judged(store: Store, version: Version) -> pa.Table:
        model = load(store, version.uri).model
        since, until = (_instant(day, model.plan.roles.time_zone) for day in days)
        return windows_of(model, events, labels=labels, period=(since, until), budget=budget)

    return judged


def windows_of(
    model: Model, events: object, *, labels: object | None, period: tuple[int | None, int | None], budget: int
) -> pa.Table:
    """Score events with a model and put what labels say beside it, as training does for its test period.

    Returns
    -------
    pyarrow.Table
        See :func:`~peculiar.training.judged.judged_table`; ``value`` is null.

    Raises
    ------
    SchemaError
        If the events lack a column, or none can be read.
    LabelError
        If the labels cannot be tied to the events.
    """
    since, until = period
    batch = score_batch(model, events, labels=labels, since=since, until=until, budget=budget, explain=0)
    truth = None if labels is None else _truth(model, events, labels, batch.vectors)
    zone, windows = model.plan.roles.time_zone, model.plan.windows
    p = batch.table["p_value"] if "p_value" in batch.table.column_names else None
    told = Judgement(
        score=batch.table["score"].to_numpy(),
        p_value=None if p is None or p.null_count == len(p) else np.asarray(p.to_numpy()),
        confirmed=None if truth is None else truth.confirmed,
        cleared=None if truth is None else truth.cleared,
    )
    about = {"budget": budget, "zone": zone, "data": batch.fingerprint, "plan": model.plan.fingerprint}
    return judged_table(batch.vectors, days_of(batch.vectors, windows, zone), told, about)


def _truth(model: Model, events: object, labels: object, vectors: Vectors) -> Truth:
    """What the labels say in hindsight; labels by event need the log once more."""
    source = events.source if isinstance(events, EventLog) else events
    timeline, _, _ = EventLog.open(source, model.plan.roles).read()
    delay = int(model.card.get("label_delay", 0))
    known = read_labels(labels, locate=timeline.locate, delay=delay, zone=timeline.zone)
    return truth_of(vectors, known, known_by=None)


def _instant(day: date | None, zone: str) -> int | None:
    """When a day begins in a zone."""
    if day is None:
        return None
    return int(from_wall(np.array([np.datetime64(day, "us").astype(np.int64)]), zone)[0])
