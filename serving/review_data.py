"""What the review page holds of each lead: short keys and numbers, since a page may hold thousands of events.

Values of a dimension are listed once and named by their place in the list. Times are seconds from the begin of the
window on the log's own clock, so that the page needs no time zones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features.columns import stable_hash, to_wall
from .leads import local, odds, said, window_text
from .reasons import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .history import History
    from .leads import EventTable, Lead
    from .reasons import Reason

__all__ = ["page_data"]

_SECOND = 1_000_000


def page_data(leads: Sequence[Lead], zone: str, noun: str, *, blind: bool) -> dict[str, Any]:
    """Plain data for the page's script.

    Parameters
    ----------
    leads : sequence of Lead
    zone : str
        The zone of all times.
    noun : str
        What windows are called.
    blind : bool
        Leave out what tells a random pick from an alert by rank, and put leads of a day in an order of no meaning.

    Returns
    -------
    dict
        ``leads`` (a list, see the script for the keys), ``values`` (of each dimension), ``columns`` (names of
        dimensions and measures), ``blind``, ``noun``.
    """
    shown = _shuffled(leads) if blind else list(leads)
    words = _Words()
    made = [_lead(lead, zone, noun, words, blind=blind) for lead in shown]
    first = leads[0].events if leads else None
    columns = {
        "dimensions": [] if first is None else list(first.dimensions),
        "measures": [] if first is None else list(first.measures),
    }
    return {"leads": made, "values": words.lists(), "columns": columns, "blind": blind, "noun": noun}


class _Words:
    """Each value of each dimension once, in the order of first use."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, int]] = {}

    def place(self, dimension: str, value: str | None) -> int:
        """Where a value stands in the list of its dimension; -1 for none."""
        own = self._places.setdefault(dimension, {})
        return -1 if value is None else own.setdefault(value, len(own))

    def lists(self) -> dict[str, list[str]]:
        """The values of each dimension."""
        return {name: list(places) for name, places in self._places.items()}


def _shuffled(leads: Sequence[Lead]) -> list[Lead]:
    """The latest day first, within a day by a hash of the entity's name."""
    import pyarrow as pa

    keys = stable_hash(pa.array([lead.entity for lead in leads], pa.string())).tolist()
    order = sorted(range(len(leads)), key=lambda n: (-leads[n].as_of, keys[n], leads[n].since))
    return [leads[n] for n in order]


def _lead(lead: Lead, zone: str, noun: str, words: _Words, *, blind: bool) -> dict[str, Any]:
    begin = local(lead.since, zone)
    standing = lead.standing
    plain: dict[str, Any] = {
        "e": lead.entity,
        "s": _utc(lead.since),
        "a": _utc(lead.as_of),
        "w": window_text(lead.since, lead.as_of, zone),
        "d": f"{begin:%Y-%m-%d}",
        "f": lead.reasons[0].family if lead.reasons else "",
        "t": standing.team,
        "k": standing.case,
        "v": lead.event,
        "why": [
            _reason(reason, blind=blind, low=low) | {"q": values}
            for reason, low, values in zip(lead.reasons, lead.low, lead.values, strict=True)
        ],
        "un": lead.untold,
        "h": _history(lead.history),
        "ev": _events(lead.events, to_wall(np.array([lead.since]), zone)[0], zone, words),
        "no": list(lead.against) if blind else [*lead.against, *lead.doubts],
    }
    if blind:
        return plain
    return plain | {
        "n": standing.rank,
        "of": standing.among,
        "sc": _number(standing.score),
        "p": _number(standing.p),
        "o": odds(standing.p, noun),
        "li": _number(standing.line),
        "r": standing.pick == "random",
        "c": _number(standing.chance),
        "ch": lead.change,
    }


def _reason(reason: Reason, *, blind: bool, low: bool) -> dict[str, Any]:
    numbers = (reason.seen, reason.usual, reason.everyone)
    return {
        "f": reason.family,
        "n": reason.feature,
        "x": said(reason),
        "y": [_number(value) for value in numbers],
        "z": ["" if math.isnan(value) else say(value, reason.unit) for value in numbers],
        "lo": low,
        "weak": bool(reason.weak) and not blind,
        "ev": len(reason.events),
    }


def _history(history: History) -> dict[str, Any] | None:
    if not history.feature:
        return None
    edges = (*history.usual, history.everyone)
    return {
        "l": history.label,
        "d": str(np.datetime64(history.first, "D")),
        "y": [_number(value) for value in history.values.tolist()],
        "b": [_number(value) for value in edges],
        "z": ["" if math.isnan(value) else say(value, history.unit) for value in (*edges, history.values[-1])],
    }


def _events(events: EventTable, begin: int, zone: str, words: _Words) -> dict[str, Any]:
    """The columns of the events, and how many there are; a column that is empty throughout is left out."""
    wall = (to_wall(events.at, zone) - begin) // _SECOND
    start = np.datetime64(int(begin) // _SECOND, "s")
    dimensions = {
        name: [words.place(name, value) for value in values]
        for name, values in events.dimensions.items()
        if any(value is not None for value in values)
    }
    measures = {
        name: [_exact(value) for value in values.tolist()]
        for name, values in events.measures.items()
        if not np.isnan(values).all()
    }
    return {
        "b": str(start),
        "t": wall.tolist(),
        "i": list(events.ids),
        "d": dimensions,
        "m": measures,
        "w": [sum(1 << number for number in by) for by in events.reasons],
        "n": events.named,
        "of": events.window,
    }


def _utc(instant: int) -> str:
    return local(instant, "UTC").isoformat().replace("+00:00", "Z")


def _number(value: float) -> float | int | None:
    """As short as it can be told: six digits, no decimals for whole numbers, None for what is no number."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def _exact(value: float) -> float | int | None:
    """What the log says, to the last digit; whole numbers without decimals."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 1e15 else value
