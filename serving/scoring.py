"""Batch scoring: raw events in, scores with ranks, alerts and reasons out.

Only the scored period and the horizon before it are needed; the vectors are, bit for bit, those that training would
have built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from ..errors import ConfigError
from ..features.columns import from_wall, to_wall
from ..features.events import EventLog
from ..features.output import with_event
from ..training.asides import days_of
from ..training.labels import confirmed, read_labels
from ..training.trouble import with_trouble
from .alerts import AlertRules, Scored, raise_alerts
from .calibrated import drift_notes, p_values_of
from .evidence import ids_of, weighed
from .picks import Exploration
from .reasons import explain as tell_reasons
from .score_table import score_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from ..features.events import DataReport
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.labels import Labels
    from ..training.model import Model
    from .alerts import Alerts
    from .evidence import Ids
    from .reasons import Reason

__all__ = ["Budget", "ScoredBatch", "ranks_of", "reach_of", "reasons_of", "score_batch", "score_events"]

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
        One row per snapshot: entity, since, as_of (UTC), score, p_value (how often a normal window scores as high, null
        if the model was not calibrated), rank (1 is the oddest of its day), alert, pick ("rank" or "random", why it is
        an alert), chance (how likely it was to be one: 1 by rank; a random pick's own), team (whose
        it is, by the rules' column), case (which of the entity's cases an alert by rank is of: its name and the day it
        began), suppressed (the number and reason of the suppression that took it off the list), family (which speaks
        loudest), reasons (list of str; one sentence that says why, if none can be told), evidence (list of struct, one
        a reason: its numbers, the count and the ids of its events, and whether it is weak, see
        :func:`~peculiar.serving.evidence.columns`; empty if no reason can be told). Pick, chance, family, reasons and
        evidence are null where there is no alert, the last three also where none were asked for. Windows that are no
        days or hours have the id of their last event after as_of (``event_row`` if the log has no ids).
    vectors : Vectors
        The vectors behind the rows, in the same order.
    report : DataReport
    rejected : pyarrow.Table
        The events that were set aside, with reasons.
    fingerprint : str
        Of the events that were read, whatever their order.
    timeline : Timeline
        The events behind the vectors, with what is known of each from elsewhere.
    line : float64 array of shape (n,)
        The score that the row has to be under to be no alert by rank; NaN where its day and team have none.
    hidden : mapping of int to int
        How many windows each suppression took off the list, by its number.
    """

    table: pa.Table
    vectors: Vectors
    report: DataReport
    rejected: pa.Table
    fingerprint: str
    timeline: Timeline
    line: NDArray[np.float64]
    hidden: Mapping[int, int]


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
    """Score raw events; the table of :func:`score_batch` alone, without random picks."""
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
    fdr: float | None = None,
    explore: Exploration | None = None,
    rules: AlertRules | None = None,
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
        Alerts a day; 100 if neither it nor ``fdr`` is given.
    explain : int
        Reasons per alert.
    fdr : float, optional
        Alert as many as the evidence allows so that about this share of a day's alerts is false; with a budget, too, no
        more than that.
    explore : Exploration, optional
        What part of the budget goes to random picks; none by default.
    rules : AlertRules, optional
        All that makes an alert, in the place of ``budget``, ``fdr`` and ``explore``: teams, suppressions, cases, too.
    progress : callable, optional
        Called with what is done and the share of the vectors built: "reading", each family, "scoring", "reasons".

    Raises
    ------
    SchemaError
        If the events lack a column, or none can be read.
    LabelError
        If the labels cannot be tied to the events.
    ConfigError
        If a false-discovery rate is asked for of a model that was not calibrated, the rules do not fit the model, or
        some are given twice.
    """
    rules = _rules(rules, budget, fdr, explore)
    source = events.source if isinstance(events, EventLog) else events
    log = EventLog.open(source, model.plan.roles)
    done = progress or _untold
    timeline, report, rejected = log.read(reach_of(model, since), until)
    done("reading", 0.0)
    timeline, known, notes = _with_known_trouble(model, timeline, labels)
    timeline = model.plan.annotated(timeline)
    windows = model.plan.windows
    vectors = model.vectors(timeline, progress=progress).between(since, until)
    score = model.detector.score(vectors)
    p = p_values_of(model, vectors, timeline, score)
    day = days_of(vectors, windows, model.plan.roles.time_zone)
    scored = Scored(vectors, timeline, score, p, day, ranks_of(day, score))
    alerts = raise_alerts(model, scored, rules=rules, most=explain)
    done("scoring", 1.0)
    reasons = reasons_of(model, scored, alerts, explain, ids=ids_of(log, timeline))
    table = with_event(score_table(model, scored, alerts, rules, reasons), log, vectors, windows)
    calm = np.ones(len(vectors), np.bool_) if known is None else ~confirmed(vectors, known, known_by=None)
    report = replace(report, notes=(*report.notes, *notes, *alerts.notes, *drift_notes(model, p, vectors, day, calm)))
    done("reasons", 1.0)
    return ScoredBatch(table, vectors, report, rejected, timeline.fingerprint, timeline, alerts.line, alerts.hidden)


def _rules(rules: AlertRules | None, budget: int | None, fdr: float | None, explore: Exploration | None) -> AlertRules:
    if rules is None:
        return AlertRules(budget=budget, fdr=fdr, explore=explore or Exploration())
    if (budget, fdr, explore) != (None, None, None):
        raise ConfigError("expected rules, or budget, fdr and explore, got both; put all of it into the rules")
    return rules


def _with_known_trouble(
    model: Model, timeline: Timeline, labels: object | None
) -> tuple[Timeline, Labels | None, tuple[str, ...]]:
    """The timeline with what labels say of its events, the labels, and what a reader of the scores has to know."""
    if not model.plan.risky:
        unused = "the model was trained without labels; those given change nothing"
        return timeline, None, () if labels is None else (unused,)
    if labels is None:
        return timeline, None, ("the model knows risk, but no labels were given: it takes it that no trouble is known",)
    delay = int(model.card.get("label_delay", 0))
    known = read_labels(labels, locate=timeline.locate, delay=delay, zone=timeline.zone)
    return with_trouble(timeline, known), known, tuple(str(known).splitlines())


def reach_of(model: Model, since: int | None) -> int | None:
    """The first event a scored window can see, with a day to spare for changes of the clock.

    A run of events may have begun at any time before.
    """
    if since is None or model.plan.windows.by is not None:
        return None
    windows, zone = model.plan.windows, model.plan.roles.time_zone
    wall = to_wall(np.array([since]), zone) - windows.horizon_width - windows.width - _DAY
    return int(from_wall(wall, zone)[0])


def ranks_of(days: NDArray[np.int64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank within the day, 1 for the highest score; equal scores in the order of entity and time."""
    order = np.lexsort((np.arange(len(score)), -score, days))
    first = np.concatenate([[True], days[order][1:] != days[order][:-1]])[: len(order)]
    position = np.arange(len(order))
    rank = np.empty(len(order), np.int64)
    rank[order] = position - np.maximum.accumulate(np.where(first, position, 0)) + 1
    return rank


def reasons_of(model: Model, scored: Scored, alerts: Alerts, most: int, *, ids: Ids) -> dict[int, list[Reason]]:
    """The reasons of each alert with their evidence, by row; those that had to be told before are not told again.

    Of a random pick there is no line to stay under, so its evidence is not put to the test.

    Parameters
    ----------
    model : Model
    scored : Scored
    alerts : Alerts
    most : int
        Reasons an alert; none are looked for if it is 0.
    ids : callable
        What the log calls events.
    """
    if not most:
        return {}
    rows, vectors = np.flatnonzero(alerts.picks.alert), scored.vectors
    left = np.array([row for row in rows.tolist() if row not in alerts.told], np.intp)
    said = dict(alerts.told) | dict(zip(left.tolist(), tell_reasons(model, vectors.take(left), most=most), strict=True))
    line, reasons = np.where(alerts.picks.by_rank, alerts.line, np.nan)[rows], [said[row] for row in rows.tolist()]
    told = weighed(model, scored.timeline, vectors.take(rows), reasons, line, ids=ids)
    return dict(zip(rows.tolist(), told, strict=True))


def _untold(what: str, share: float) -> None:
    """Progress that nobody watches."""
