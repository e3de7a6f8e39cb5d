"""What a stretch of events is like as data: its days and hours, blanks, values, amounts, repeats, newcomers.

Features tell how people behave; this tells how the log arrives. A column that has gone blank, an amount in another unit
or a clock that is an hour off shows here, event by event, before it shows in any behaviour. It holds counts, amounts at
quantiles and hashes of values; no name of an entity.

References
----------
Breck et al., "Data validation for machine learning", MLSys 2019, for what can go wrong with data at the door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .columns import Codes
    from .timeline import Timeline

__all__ = ["LEVELS", "SLOTS", "EventProfile", "newcomers", "profile_of"]

_DAY = 86_400_000_000
SLOTS = 48  # half hours: some zones are off by one
LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_MOST_VALUES = 256
_SOURCE = 0.02  # of the events: a value that as many have may be a source of its own
_LEAST_AMOUNTS = 100


@dataclass(frozen=True, eq=False)
class EventProfile:
    """The events of some whole days.

    Attributes
    ----------
    actions : tuple of str
        What blanks and amounts are told by; events of another action, or of none, come last.
    entities : int
    day, events, active : int64 arrays of shape (n_days,)
        Days since 1970 of the log's zone that have an event; their events, and entities.
    slots : int64 array of shape (n_days, SLOTS)
        Events by the half hour of the day, as the clock of the log's zone shows it.
    by_action : int64 array of shape (n_actions + 1,)
    repeats : int
        Events that equal another in all but the id.
    blanks : mapping of str to int64 array of shape (n_actions + 1,)
        Nulls of each dimension and measure.
    amounts : mapping of str to float64 array of shape (n_actions + 1, len(LEVELS))
        Each measure's positive values at LEVELS; NaN where there are fewer than 100.
    constant : mapping of str to float
        The share of the commonest value of each measure among those that are not null.
    values : mapping of str to dict of str to int
        Each dimension's commonest values: hash, in hexadecimal, to count.
    holders : mapping of str to dict of str to int
        By how many entities those values were had that at least 2 % of the events have.
    names : mapping of str to str
        What those hashes stand for; known while the events are there, and never written down.
    hours : int64 array of shape (n_actions + 1, SLOTS), or None
        Events of each action by the half hour of the day; None for a profile that was kept before this was counted.
    """

    actions: tuple[str, ...]
    entities: int
    day: NDArray[np.int64]
    events: NDArray[np.int64]
    active: NDArray[np.int64]
    slots: NDArray[np.int64]
    by_action: NDArray[np.int64]
    repeats: int = 0
    blanks: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    amounts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    constant: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    holders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    hours: NDArray[np.int64] | None = None

    @property
    def total(self) -> int:
        """How many events."""
        return int(self.events.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; without names."""
        amounts = {name: [_text(row) for row in rows] for name, rows in self.amounts.items()}
        return {
            "actions": list(self.actions),
            "entities": self.entities,
            "day": self.day.tolist(),
            "events": self.events.tolist(),
            "active": self.active.tolist(),
            "slots": [_text(row) for row in self.slots],
            "by_action": self.by_action.tolist(),
            "repeats": self.repeats,
            "blanks": {name: counts.tolist() for name, counts in self.blanks.items()},
            "amounts": amounts,
            "constant": dict(self.constant),
            "values": {name: dict(counts) for name, counts in self.values.items()},
            "holders": {name: dict(counts) for name, counts in self.holders.items()},
            "hours": None if self.hours is None else [_text(row) for row in self.hours],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote."""
        day, events, active, by_action = (
            np.array(plain[name], np.int64) for name in ("day", "events", "active", "by_action")
        )
        slots = np.array([_numbers(row) for row in plain["slots"]], np.int64).reshape(len(day), SLOTS)
        amounts = {name: np.array([_numbers(row) for row in rows]) for name, rows in plain["amounts"].items()}
        blanks = {name: np.array(counts, np.int64) for name, counts in plain["blanks"].items()}
        columns = (blanks, amounts, plain["constant"], plain["values"], plain["holders"])
        counted = (day, events, active, slots, by_action, plain["repeats"])
        kept = plain.get("hours")
        hours = None if kept is None else np.array([_numbers(row) for row in kept], np.int64)
        return cls(tuple(plain["actions"]), plain["entities"], *counted, *columns, hours=hours)


def profile_of(
    timeline: Timeline, period: tuple[int, int], *, action: str | None = None, actions: tuple[str, ...] = ()
) -> EventProfile:
    """Look at the events of a period.

    Parameters
    ----------
    timeline : Timeline
    period : pair of int
        ``[since, until)``, microseconds since 1970 UTC.
    action : str, optional
        The dimension that says what was done, and whose values ``actions`` are.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.events import EventLog
    >>> rows = {"user_id": ["ann", "ben"], "ts": ["2025-03-01T08:10:00Z"] * 2, "amount": [2.4, None]}
    >>> timeline, _, _ = EventLog.open(pa.table(rows)).read()
    >>> profile = profile_of(timeline, (0, 2**62))
    >>> profile.total, profile.blanks["amount"].tolist(), int(profile.slots[0].argmax())
    (2, [1], 16)
    """
    rows = np.flatnonzero((timeline.at >= period[0]) & (timeline.at < period[1]))
    wall = timeline.wall[rows]
    days, place = np.unique(wall // _DAY, return_inverse=True)
    slot = place * SLOTS + wall % _DAY * SLOTS // _DAY
    owner = timeline.owner[rows].astype(np.int64)
    who = np.unique(owner * max(1, len(days)) + place)
    done = _done(timeline, rows, action, actions)
    kinds = len(actions) + 1
    tables = {name: _values(codes, rows) for name, codes in timeline.dimensions.items()}
    return EventProfile(
        actions=actions,
        entities=len(np.unique(owner)),
        day=days,
        events=np.bincount(place, minlength=len(days)),
        active=np.bincount(who % max(1, len(days)), minlength=len(days)),
        slots=np.bincount(slot, minlength=len(days) * SLOTS).reshape(len(days), SLOTS),
        by_action=np.bincount(done, minlength=kinds),
        repeats=_repeats(timeline, rows),
        blanks={name: np.bincount(done[null], minlength=kinds) for name, null in _nulls(timeline, rows)},
        amounts={name: _amounts(values[rows], done, kinds) for name, values in timeline.measures.items()},
        constant={name: _commonest(values[rows]) for name, values in timeline.measures.items()},
        values={name: counts for name, (counts, _) in tables.items()},
        holders={name: _holders(codes, timeline, rows) for name, codes in timeline.dimensions.items()},
        names={key: name for _, names in tables.values() for key, name in names.items()},
        hours=np.bincount(done * SLOTS + slot % SLOTS, minlength=kinds * SLOTS).reshape(kinds, SLOTS),
    )


def newcomers(timeline: Timeline, since: int, until: int, horizon: int) -> float | None:
    """The share of a period's entities that did nothing in the horizon before it; None if that far back is unknown.

    Parameters
    ----------
    timeline : Timeline
    since, until : int, microseconds since 1970 UTC
    horizon : int, microseconds
    """
    if not len(timeline) or int(timeline.at.min()) > since - horizon + _DAY:
        return None
    now = (timeline.at >= since) & (timeline.at < until)
    before = (timeline.at >= since - horizon) & (timeline.at < since)
    here, earlier = (np.bincount(timeline.owner[mask], minlength=len(timeline.entity)) > 0 for mask in (now, before))
    active = int(np.count_nonzero(here))
    return int(np.count_nonzero(here & ~earlier)) / active if active else None


def _done(timeline: Timeline, rows: NDArray[np.intp], action: str | None, actions: tuple[str, ...]) -> NDArray[np.intp]:
    """Which of the actions each event is; the number of actions where it is none of them."""
    if action is None or action not in timeline.dimensions:
        return np.zeros(len(rows), np.intp) + len(actions)
    codes = timeline.dimensions[action]
    number = {name: place for place, name in enumerate(actions)}
    of = np.array([number.get(name, len(actions)) for name in codes.values.to_pylist()] + [len(actions)], np.intp)
    return of[codes.codes[rows]]


def _nulls(timeline: Timeline, rows: NDArray[np.intp]) -> list[tuple[str, NDArray[np.bool_]]]:
    blank = [(name, codes.codes[rows] < 0) for name, codes in timeline.dimensions.items()]
    return blank + [(name, np.isnan(values[rows])) for name, values in timeline.measures.items()]


def _amounts(values: NDArray[np.float64], done: NDArray[np.intp], kinds: int) -> NDArray[np.float64]:
    found = np.full((kinds, len(LEVELS)), np.nan)
    positive = values > 0
    for kind in range(kinds):
        here = values[positive & (done == kind)]
        if len(here) >= _LEAST_AMOUNTS:
            found[kind] = np.quantile(here, LEVELS)
    return found


def _commonest(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(np.unique(there, return_counts=True)[1].max() / len(there)) if len(there) else 0.0


def _values(codes: Codes, rows: NDArray[np.intp]) -> tuple[dict[str, int], dict[str, str]]:
    """The commonest values by their hash, and what the hashes stand for."""
    taken = codes.codes[rows]
    counts = np.bincount(taken[taken >= 0], minlength=len(codes.values))
    top = np.lexsort((codes.keys, -counts))[:_MOST_VALUES]
    top = top[counts[top] > 0]
    keys = [f"{key:016x}" for key in codes.keys[top].tolist()]
    names = codes.values.take(top).to_pylist() if len(top) else []
    return dict(zip(keys, counts[top].tolist(), strict=True)), dict(zip(keys, names, strict=True))


def _holders(codes: Codes, timeline: Timeline, rows: NDArray[np.intp]) -> dict[str, int]:
    """How many entities had each value that many events have: one flag for each such value and entity."""
    taken = codes.codes[rows]
    counts = np.bincount(taken[taken >= 0], minlength=len(codes.values))
    top = np.flatnonzero((counts > 0) & (counts >= _SOURCE * len(rows)))
    place = np.full(len(codes.values) + 1, len(top))
    place[top] = np.arange(len(top))
    had = np.zeros((len(timeline.entity), len(top) + 1), np.bool_)
    had[timeline.owner[rows], place[taken]] = True
    keys = [f"{key:016x}" for key in codes.keys[top].tolist()]
    return dict(zip(keys, had[:, :-1].sum(axis=0).tolist(), strict=True))


def _repeats(timeline: Timeline, rows: NDArray[np.intp]) -> int:
    """Events of one entity at one instant that do the same as the one before them: copies under another id."""
    if len(rows) < 2:
        return 0
    first, second = rows[:-1], rows[1:]
    same = (timeline.at[first] == timeline.at[second]) & (timeline.owner[first] == timeline.owner[second])
    for codes in timeline.dimensions.values():
        same &= codes.codes[first] == codes.codes[second]
    for values in timeline.measures.values():
        one, other = values[first], values[second]
        same &= (one == other) | (np.isnan(one) & np.isnan(other))
    return int(np.count_nonzero(same))


def _text(row: NDArray[Any]) -> str:
    """Numbers in one line: an indented file of thousands of them would be a line each."""
    return " ".join(f"{value:.6g}" if row.dtype.kind == "f" else str(value) for value in row.tolist())


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]
