"""Batch scoring: raw events in, scores with ranks, alerts and reasons out.

Only the scored period and the horizon before it are needed; the vectors are, bit for bit, those that training would
have built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from ..features.columns import from_wall, to_wall
from ..features.events import EventLog
from ..features.output import with_event
from ..training.labels import read_labels
from ..training.trouble import with_trouble
from .reasons import explain as tell_reasons

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..features.events import DataReport
    from ..features.snapshots import WindowSpec
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model

__all__ = ["Budget", "ScoredBatch", "score_batch", "score_events"]

_DAY = 86_400_000_000


@dataclass(frozen=True)
class Budget:
    """How many alerts a team can read in a day.

    Examples
    --------
    >>> Budget.parse("100/day")
    Budget(per_day=100)
    """

    per_day: int

    @classmethod
    def parse(cls, text: str | int) -> Self:
        """Read "100/day", "100" or 100.

        Raises
        ------
        ConfigError
            If it is nothing of the kind.
        """
        match = re.fullmatch(r"\s*(\d+)\s*(?:/\s*(?:day|d))?\s*", str(text))
        if not match:
            message = f"expected a budget such as '100/day', got {text!r}"
            raise ConfigError(message)
        return cls(int(match[1]))


@dataclass(frozen=True, eq=False)
class ScoredBatch:
    """What scoring made of a batch of events.

    Attributes
    ----------
    table : pyarrow.Table
        One row per snapshot: entity, since, as_of (UTC), score, rank (1 is the oddest of its day), alert, family (which
        speaks loudest), reasons (list of str); family and reasons are null where no alert was asked for. Windows that
        are no days or hours have the id of their last event after as_of (``event_row`` if the log has no ids).
    vectors : Vectors
        The vectors behind the rows, in the same order.
    report : DataReport
    rejected : pyarrow.Table
        The events that were set aside, with reasons.
    fingerprint : str
        Of the events that were read, whatever their order.
    """

    table: pa.Table
    vectors: Vectors
    report: DataReport
    rejected: pa.Table
    fingerprint: str


def score_events(  # noqa: PLR0913 - as score_batch
    model: Model,
    events: object,
    *,
    labels: object | None = None,
    since: int | None = None,
    until: int | None = None,
    budget: int | None = None,
    explain: int = 3,
) -> pa.Table:
    """Score raw events; the table of :func:`score_batch` alone."""
    return score_batch(model, events, labels=labels, since=since, until=until, budget=budget, explain=explain).table


def score_batch(  # noqa: PLR0913 - the period, the budget and the depth are separate questions
    model: Model,
    events: object,
    *,
    labels: object | None = None,
    since: int | None = None,
    until: int | None = None,
    budget: int | None = None,
    explain: int = 3,
    progress: Callable[[str, float], None] | None = None,
) -> ScoredBatch:
    """Score raw events with a model.

    Parameters
    ----------
    model : Model
    events : EventLog, path, glob, frame, or anything that speaks Arrow
        With the columns that the model's roles name, from at least the horizon before ``since``.
    labels : path, or anything that speaks Arrow, optional
        Confirmed trouble, for a model that knows risk; each label counts from its ``known_at`` on. Without them such a
        model takes it that no trouble is known, and the report says so.
    since, until : int, optional
        Score the windows that lie within ``[since, until)``, microseconds since 1970 UTC; all of them by default. A
        window that ends with an event lies where its event does.
    budget : int, optional
        Alerts a day; 100 if not given.
    explain : int
        Reasons per alert.
    progress : callable, optional
        Called with what is done and the share of the vectors built.

    Raises
    ------
    SchemaError
        If the events lack a column, or none can be read.
    LabelError
        If the labels cannot be tied to the events.
    """
    source = events.source if isinstance(events, EventLog) else events
    log = EventLog.open(source, model.plan.roles)
    timeline, report, rejected = log.read(_reach(model, since), until)
    timeline, notes = _with_known_trouble(model, timeline, labels)
    report = replace(report, notes=(*report.notes, *notes))
    windows = model.plan.windows
    vectors = model.vectors(timeline, progress=progress).between(since, until)
    score = model.detector.score(vectors)
    rank = _ranks(days_of(vectors, windows, model.plan.roles.time_zone), score)
    alert = rank <= (100 if budget is None else budget)
    table = with_event(_table(model, vectors, (score, rank, alert), explain), log, vectors, windows)
    return ScoredBatch(table, vectors, report, rejected, timeline.fingerprint)


def _with_known_trouble(model: Model, timeline: Timeline, labels: object | None) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with what labels say of its events, and what a reader of the scores has to know about that."""
    if not model.plan.risky:
        return timeline, () if labels is None else ("the model was trained without labels; those given change nothing",)
    if labels is None:
        return timeline, ("the model knows risk, but no labels were given: it takes it that no trouble is known",)
    delay = int(model.card.get("label_delay", 0))
    known = read_labels(labels, locate=timeline.locate, delay=delay, zone=timeline.zone)
    return with_trouble(timeline, known), tuple(str(known).splitlines())


def days_of(vectors: Vectors, windows: WindowSpec, zone: str) -> NDArray[np.int64]:
    """The calendar day of each row in a zone, as days since 1970: of its window, or of the event that ends it."""
    return to_wall(vectors.since if windows.calendar else vectors.as_of - 1, zone) // _DAY


def _reach(model: Model, since: int | None) -> int | None:
    """The first event a scored window can see, with a day to spare for changes of the clock.

    A run of events may have begun at any time before.
    """
    if since is None or model.plan.windows.by is not None:
        return None
    windows, zone = model.plan.windows, model.plan.roles.time_zone
    wall = to_wall(np.array([since]), zone) - windows.horizon_width - windows.width - _DAY
    return int(from_wall(wall, zone)[0])


def _ranks(days: NDArray[np.int64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank within the day, 1 for the highest score; equal scores in the order of entity and time."""
    order = np.lexsort((np.arange(len(score)), -score, days))
    first = np.concatenate([[True], days[order][1:] != days[order][:-1]])[: len(order)]
    position = np.arange(len(order))
    rank = np.empty(len(order), np.int64)
    rank[order] = position - np.maximum.accumulate(np.where(first, position, 0)) + 1
    return rank


def _table(
    model: Model,
    vectors: Vectors,
    judged: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]],
    most: int,
) -> pa.Table:
    score, rank, alert = judged
    told = np.flatnonzero(alert) if most else np.empty(0, np.intp)
    reasons = tell_reasons(model, vectors.take(told), most=most)
    texts: list[list[str] | None] = [None] * len(vectors)
    families: list[str | None] = [None] * len(vectors)
    for row, said in zip(told, reasons, strict=True):
        texts[row] = [reason.text for reason in said]
        families[row] = said[0].family if said else None
    time = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "entity": vectors.entity.dictionary_decode(),
            "since": pa.array(vectors.since).cast(time),
            "as_of": pa.array(vectors.as_of).cast(time),
            "score": score,
            "rank": rank,
            "alert": alert,
            "family": pa.array(families, pa.string()),
            "reasons": pa.array(texts, pa.list_(pa.string())),
        }
    )
