"""Alerts of a log that is larger than memory: those who may be alerts are looked at again, together.

Alerts are few, and who may be one is known when all are scored: a day's windows of the highest scores, some more than
there are places, since suppressions may hide some. The events of their entities fit into memory, so what makes an alert
of a score is done as for a small batch, with the ranks of the large one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from .alerts import Scored, raise_alerts
from .calibrated import p_values_of
from .score_table import score_table
from .scoring import reasons_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..features.partitions import Partitions
    from ..features.timeline import Timeline
    from ..training.model import Model
    from .alerts import AlertRules, Alerts
    from .large import Ranking

__all__ = ["Candidates", "alerts_of", "check_rules"]

_SPARE = 2.0  # times as many windows as places are looked at first
_FURTHER = 4.0


@dataclass(frozen=True, eq=False)
class Candidates:
    """All windows of the entities who may have an alert.

    Attributes
    ----------
    rows : int64 array of shape (k,), rising
        Where they stand among all windows, in the order of (hash of the entity, as_of).
    table : pyarrow.Table, k rows
        As :class:`~peculiar.serving.scoring.ScoredBatch` describes it, with the event where windows are no days.
    rank : int64 array
        Of all windows, 1 for the highest score of its day.
    notes : tuple of str
    """

    rows: NDArray[np.int64]
    table: pa.Table
    rank: NDArray[np.int64]
    notes: tuple[str, ...]


def check_rules(rules: AlertRules) -> None:
    """Refuse rules that need all windows at once.

    Raises
    ------
    ConfigError
        If alerts are dealt out to teams, drawn at random, or bounded by a false-discovery rate.
    """
    asked = {"a false-discovery rate": rules.fdr is not None, "teams": rules.team_by is not None,
             "random picks": rules.explore.share > 0.0}  # fmt: skip
    if any(asked.values()):
        named = ", ".join(name for name, given in asked.items() if given)
        message = f"expected alerts by budget alone where memory is bounded, got {named}; score without --memory"
        raise ConfigError(message)


def alerts_of(  # noqa: PLR0913 - the rules, the depth and the period are separate questions
    model: Model,
    parts: Partitions,
    ranking: Ranking,
    *,
    rules: AlertRules,
    most: int = 3,
    period: tuple[int | None, int | None] = (None, None),
) -> Candidates:
    """Turn the scores of all partitions into alerts with reasons and evidence.

    Parameters
    ----------
    model : Model
    parts : Partitions
    ranking : Ranking
        Of all windows of the period.
    rules : AlertRules
        See :func:`check_rules`.
    most : int
        Reasons per alert.
    period : pair of int or None
        As :func:`~peculiar.serving.large.score_partitions` has it.
    """
    check_rules(rules)
    rank, places = ranking.ranks(), rules.limit() or 0
    looked_at = int(_SPARE * places)
    while True:
        found = _among(model, parts, ranking, rank, looked_at, period)
        alerts = raise_alerts(model, found.scored, rules=rules, most=most)
        if not _beyond(ranking, rank, alerts, found, places, looked_at):
            break
        looked_at = int(_FURTHER * max(1, looked_at))
    reasons = reasons_of(model, found.scored, alerts, most, ids=found.ids)
    table = score_table(model, found.scored, alerts, rules, reasons)
    return Candidates(found.rows, table, rank, alerts.notes)


@dataclass(frozen=True, eq=False)
class _Found:
    scored: Scored
    rows: NDArray[np.int64]
    ids: Callable[[NDArray[np.int64]], list[str]]


def _among(  # noqa: PLR0913, PLR0917 - what is looked at, and where it stands
    model: Model,
    parts: Partitions,
    ranking: Ranking,
    rank: NDArray[np.int64],
    looked_at: int,
    period: tuple[int | None, int | None],
) -> _Found:
    """Build again all windows of the entities whose rank on some day, ties included, is among so many."""
    day, score, whose = ranking.day, ranking.score, ranking.whose
    chosen = np.unique(whose[_highest(day, score, rank, looked_at)])
    rows = np.flatnonzero(np.isin(whose, chosen))
    names = ranking.names.take(pa.array(chosen)).cast(pa.string())
    timeline = parts.timeline_of(names)
    vectors = model.vectors(timeline, since=period[0]).between(*period)
    p = p_values_of(model, vectors, timeline, score[rows])
    days, lowest = day[rows].astype(np.int64), _lowest(day, score)[rows]
    scored = Scored(vectors, timeline, score[rows], p, days, rank[rows], lowest)
    return _Found(scored, rows, _ids(parts, timeline, names))


def _lowest(day: NDArray[np.int32], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lowest score of the day of each window."""
    _, of = np.unique(day, return_inverse=True)
    lowest = np.full(int(of.max(initial=-1)) + 1, np.inf)
    np.minimum.at(lowest, of, score)
    return lowest[of]


def _highest(
    day: NDArray[np.int32], score: NDArray[np.float64], rank: NDArray[np.int64], most: int
) -> NDArray[np.bool_]:
    """The windows of the highest ranks of each day, and those that tie with the last of them."""
    _, of = np.unique(day, return_inverse=True)
    last = np.full(int(of.max(initial=-1)) + 1, np.inf)
    inside = rank <= most
    np.minimum.at(last, of[inside], score[inside])
    return score >= last[of]


def _beyond(  # noqa: PLR0913, PLR0917 - as _among
    ranking: Ranking, rank: NDArray[np.int64], alerts: Alerts, found: _Found, places: int, looked_at: int
) -> bool:
    """Whether a day has places left and windows that were not looked at: too many were hidden."""
    hidden = np.unique(found.scored.day[alerts.suppressed > 0])
    if not len(hidden) or not (rank > looked_at).any():
        return False
    days, windows = np.unique(ranking.day, return_counts=True)
    taken = np.bincount(np.searchsorted(days, found.scored.day[alerts.picks.by_rank]), minlength=len(days))
    return bool(((taken < places) & (windows > looked_at) & np.isin(days, hidden)).any())


def _ids(parts: Partitions, timeline: Timeline, names: pa.Array) -> Callable[[NDArray[np.int64]], list[str]]:
    """What the log calls events by their position in the timeline; the row in the source if it has no ids."""
    everywhere = range(parts.store.partitions)

    def ids(positions: NDArray[np.int64]) -> list[str]:
        raw = parts.store.raw(everywhere, *parts.days, entities=names)
        at = timeline.row[positions]
        rows = raw.row[at].tolist()
        found = rows if raw.ids is None else raw.ids.take(pa.array(at)).to_pylist()
        return [str(row) if name is None else str(name) for row, name in zip(rows, found, strict=True)]

    return ids
