"""A lead: one scored window with all that a person needs to check it. The dossier and the review page both show leads.

Reasons name events; here those events get back their words (time in the log's zone, dimensions, measures, id), and the
window is set beside the entity's own days before it. What speaks against suspicion stands next to what speaks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from ..training.asides import days_of
from .examined import is_low, places_of
from .history import histories_of
from .named import values_behind
from .reasons import untold
from .weakening import doubts, weakening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.events import EventLog
    from ..features.timeline import Timeline
    from ..training.model import Model
    from .history import History
    from .reasons import Reason
    from .scoring import ScoredBatch

__all__ = ["EventTable", "Lead", "Standing", "leads_of", "local", "noun_of", "odds", "said", "window_text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a window stands among all that were scored.

    Attributes
    ----------
    score : float
    p : float
        How often a normal window scores as high; NaN if the model was not calibrated.
    rank, among : int
        1 is the oddest of ``among`` windows of its day.
    pick : str
        "rank", "random", or empty where it is no alert.
    chance : float
        How likely it was to be an alert; NaN where it is none.
    line : float
        The lowest score that was an alert by rank on its day; NaN where none was.
    team, case : str
        Empty where alerts are not dealt out to teams or gathered in cases.
    suppressed : str
        The number and reason of the suppression that took it off the list; empty where none did.
    """

    score: float
    p: float
    rank: int
    among: int
    pick: str = ""
    chance: float = float("nan")
    line: float = float("nan")
    team: str = ""
    case: str = ""
    suppressed: str = ""


@dataclass(frozen=True, eq=False)
class EventTable:
    """Events that reasons name, in the order of time.

    Attributes
    ----------
    at : int64 array of shape (k,), microseconds since 1970 UTC
    ids : tuple of str, length k
        The log's own ids; the row in the source where it has none.
    dimensions : mapping of str to tuple of str or None, length k
    measures : mapping of str to float64 array of shape (k,)
    reasons : tuple of tuples of int, length k
        The numbers, from 0, of the reasons that name each event.
    named : int
        How many events the reasons name; more than k if the table was cut short.
    window : int
        How many events the window has.
    """

    at: NDArray[np.int64]
    ids: tuple[str, ...]
    dimensions: Mapping[str, tuple[str | None, ...]]
    measures: Mapping[str, NDArray[np.float64]]
    reasons: tuple[tuple[int, ...], ...]
    named: int
    window: int

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, eq=False)
class Lead:
    """One window to check.

    Attributes
    ----------
    entity : str
    since, as_of : int, microseconds since 1970 UTC
    event : str
        The event that ends the window where windows are no days or hours, else empty.
    standing : Standing
    reasons : tuple of Reason
    low : tuple of bool
        Of each reason whether what was seen is little, so that 99 of 100 windows are at or over ``everyone``.
    events : EventTable
    history : History
    against : tuple of str
        What speaks against suspicion, without telling how high the score is.
    doubts : tuple of str
        What does so by telling.
    change : str
        The smallest change that would have made it no alert; empty where none was looked for.
    values : tuple of str
        Of each reason which values of a dimension it is about; empty where it is about none.
    untold : str
        Why no reason can be told; empty where there is one.
    """

    entity: str
    since: int
    as_of: int
    event: str
    standing: Standing
    reasons: tuple[Reason, ...]
    low: tuple[bool, ...]
    events: EventTable
    history: History
    against: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    change: str = ""
    values: tuple[str, ...] = ()
    untold: str = ""


def leads_of(  # noqa: PLR0913 - what was scored, what of it, and how much of that
    model: Model,
    batch: ScoredBatch,
    log: EventLog,
    rows: NDArray[np.intp],
    reasons: Sequence[Sequence[Reason]],
    *,
    most_events: int = 50,
    changes: Sequence[str] = (),
) -> list[Lead]:
    """Put together what is known of some rows of a scored batch.

    Parameters
    ----------
    model : Model
    batch : ScoredBatch
        With all windows of the days in question: what everyone did on a day is part of the answer.
    log : EventLog
        The events that were scored, to look up their ids.
    rows : int array of shape (k,)
        Positions in ``batch.table``.
    reasons : sequence of k sequences of Reason
    most_events : int
        Events shown per lead; of more, each reason keeps its share.
    changes : sequence of k str, optional
        The smallest change that would have made each no alert.

    Returns
    -------
    list of k Lead
    """
    chosen = batch.vectors.take(rows)
    start, stop = places_of(model, batch.timeline, chosen)
    standings = _standings(model, batch, rows)
    tables = _tables(batch.timeline, log, reasons, stop - start, most_events)
    histories = histories_of(model, batch.timeline, chosen, reasons)
    against = weakening(model, batch, rows, reasons)
    noun, features = noun_of(model), {feature.name: feature for feature in model.plan.features}
    silent = np.array([n for n, told in enumerate(reasons) if not told], np.intp)
    why = dict(zip(silent.tolist(), untold(model, chosen.take(silent)), strict=True)) if len(silent) else {}
    entity, event = chosen.entity.dictionary_decode().to_pylist(), _last_events(batch, rows)
    return [
        Lead(
            entity[n],
            int(chosen.since[n]),
            int(chosen.as_of[n]),
            event[n],
            standings[n],
            tuple(reasons[n]),
            tuple(is_low(model, reason) for reason in reasons[n]),
            tables[n],
            histories[n],
            against[n],
            doubts(standings[n], reasons[n], noun),
            changes[n] if changes else "",
            tuple(values_behind(batch.timeline, features, reason) for reason in reasons[n]),
            why.get(n, ""),
        )
        for n in range(len(rows))
    ]


def local(instant: int, zone: str) -> datetime:
    """An instant as the clock of a zone shows it.

    Examples
    --------
    >>> local(0, "Asia/Kolkata").isoformat()
    '1970-01-01T05:30:00+05:30'
    """
    return (_EPOCH + timedelta(microseconds=int(instant))).astimezone(ZoneInfo(zone))


def noun_of(model: Model) -> str:
    """What the model's windows are called: "days", "hours", or "windows"."""
    windows = model.plan.windows
    return {"1d": "days", "1h": "hours"}.get(windows.every, "windows") if windows.by is None else "windows"


def said(reason: Reason) -> str:
    """A reason's sentence without the words that say that it is weak, which are shown beside it."""
    return reason.text.partition("; weak: ")[0] if reason.weak else reason.text


def window_text(since: int, as_of: int, zone: str) -> str:
    """A window in words: a day by its date, anything else from when to when.

    Examples
    --------
    >>> window_text(0, 86_400_000_000, "UTC")
    'Thursday 1 January 1970'
    >>> window_text(0, 3_600_000_000, "UTC")
    'Thursday 1 January 1970, 00:00:00 to 01:00:00'
    """
    begin, end = local(since, zone), local(as_of, zone)
    day = f"{begin:%A} {begin.day} {begin:%B} {begin.year}"
    midnight = (begin.hour, begin.minute, begin.second, end.hour, end.minute, end.second) == (0,) * 6
    if midnight and (end.date() - begin.date()).days == 1:
        return day
    if end.date() == begin.date():
        return f"{day}, {begin:%H:%M:%S} to {end:%H:%M:%S}"
    return f"{day}, {begin:%H:%M:%S}, to {end:%A} {end.day} {end:%B} {end.year}, {end:%H:%M:%S}"


def odds(p: float, noun: str) -> str:
    """A p-value in words.

    Examples
    --------
    >>> odds(0.0025, "days")
    '1 of 400 normal days scores as high'
    >>> odds(0.62, "days")
    '62 of 100 normal days score as high'
    >>> odds(float("nan"), "days")
    'the model was not calibrated, so how often normal days score as high is not known'
    """
    if np.isnan(p):
        return f"the model was not calibrated, so how often normal {noun} score as high is not known"
    if p > 0.1:
        return f"{100 * p:.0f} of 100 normal {noun} score as high"
    of = 1.0 / max(p, 1e-12)
    return f"1 of {round(of, 1 - int(np.log10(of))):,.0f} normal {noun} scores as high"


def _standings(model: Model, batch: ScoredBatch, rows: NDArray[np.intp]) -> list[Standing]:
    table = batch.table
    day = days_of(batch.vectors, model.plan.windows, model.plan.roles.time_zone)
    _, of, among = np.unique(day, return_inverse=True, return_counts=True)
    told = table.take(pa.array(rows)).to_pylist()
    return [_standing(row, int(among[of[n]]), float(batch.line[n])) for row, n in zip(told, rows, strict=True)]


def _standing(row: Mapping[str, Any], among: int, line: float) -> Standing:
    def number(name: str) -> float:
        return float("nan") if row[name] is None else float(row[name])

    return Standing(
        number("score"),
        number("p_value"),
        row["rank"],
        among,
        row["pick"] or "",
        number("chance"),
        line,
        row.get("team") or "",
        row.get("case") or "",
        row.get("suppressed") or "",
    )


def _last_events(batch: ScoredBatch, rows: NDArray[np.intp]) -> list[str]:
    """The column that with_event puts after as_of, if windows are no days or hours."""
    names = batch.table.column_names
    after = names[names.index("as_of") + 1]
    if after == "score":
        return [""] * len(rows)
    return [str(value) for value in batch.table[after].take(pa.array(rows)).to_pylist()]


def _tables(
    timeline: Timeline,
    log: EventLog,
    reasons: Sequence[Sequence[Reason]],
    width: NDArray[np.int64],
    most: int,
) -> list[EventTable]:
    """The events that the reasons name; all ids are looked up at once."""
    shown = [_shown([np.asarray(reason.events, np.int64) for reason in told], most) for told in reasons]
    positions = np.concatenate([np.empty(0, np.int64), *(kept for kept, _, _ in shown)]).astype(np.int64)
    ids = _ids(timeline, log, positions)
    tables, begun = [], 0
    for (kept, by, named), window in zip(shown, width, strict=True):
        dimensions = {
            name: tuple(codes.values.take(pa.array(codes.codes[kept], mask=codes.codes[kept] < 0)).to_pylist())
            for name, codes in timeline.dimensions.items()
        }
        measures = {name: values[kept] for name, values in timeline.measures.items()}
        own = ids[begun : begun + len(kept)]
        tables.append(EventTable(timeline.at[kept], own, dimensions, measures, by, named, int(window)))
        begun += len(kept)
    return tables


def _shown(
    pieces: Sequence[NDArray[np.int64]], most: int
) -> tuple[NDArray[np.int64], tuple[tuple[int, ...], ...], int]:
    """Positions to show in the order of time, the reasons that name each, and how many there are in all.

    Reasons take turns, so that one with many events leaves room for the others.
    """
    by: dict[int, tuple[int, ...]] = {}
    for number, piece in enumerate(pieces):
        for position in piece.tolist():
            by[position] = (*by.get(position, ()), number)
    turns = sorted((turn, number) for number, piece in enumerate(pieces) for turn in range(len(piece)))
    kept = np.sort(np.array(list(dict.fromkeys(int(pieces[n][turn]) for turn, n in turns))[:most], np.int64))
    return kept, tuple(by[position] for position in kept.tolist()), len(by)


def _ids(timeline: Timeline, log: EventLog, positions: NDArray[np.int64]) -> tuple[str, ...]:
    rows = timeline.row[positions]
    if log.roles.id is None or not len(rows):
        return tuple(f"row {row}" for row in rows.tolist())
    column = log.source.read([log.roles.id])[log.roles.id].take(pa.array(rows.astype(np.int64)))
    return tuple("" if value is None else str(value) for value in column.to_pylist())
