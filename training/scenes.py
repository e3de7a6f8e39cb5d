"""Where misbehaviour is rehearsed: a log, the one who is to misbehave, and what is usual for them and for everyone.

Whatever is drawn here is drawn from lists in an order that the order of rows in the source has no part in: entities by
name, events by time, values by a hash of their text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..features.columns import Codes, from_wall, to_wall
from ..features.exchange import places_of_few
from ..features.survey import holders, in_common

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..features.roles import Roles
    from ..features.snapshots import WindowSpec
    from ..features.timeline import Timeline

__all__ = ["Act", "ActiveDays", "Scene", "Victim", "graded"]

_DAY, _HOUR = 86_400_000_000, 3_600_000_000
_TOP = 128  # values whose company is known
_BLOCK = 65_536  # entities whose values are laid out at a time
_OTHERS = 1.0  # other values that who holds one holds on average
_SCARCE = 0.05  # of the entities touch a value that is somebody's own


@dataclass(frozen=True, eq=False)
class Act:
    """What a misbehaviour changes: events like others, and what is different about them.

    Attributes
    ----------
    like : int64 array of shape (k,)
        Positions of the events that are copied, of the entity itself or of another.
    at : int64 array of shape (k,), microseconds since 1970 UTC
    told : str
        What happens, for a person.
    values : mapping of str to int32 array of shape (k,)
        Dimensions that differ from the copied events.
    amounts : mapping of str to float64 array of shape (k,)
        Measures that differ.
    removed : int64 array
        Positions of events that do not happen.
    within : bool
        True if events join the sessions of those they are like; else they are a session of their own.
    """

    like: NDArray[np.int64]
    at: NDArray[np.int64]
    told: str
    values: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    amounts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    removed: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    within: bool = False


@dataclass(frozen=True)
class Victim:
    """An ordinary entity on the day on which it is to misbehave.

    Attributes
    ----------
    entity : int
        Its code.
    number : int
        Of the case, from 0 on.
    day : int
        Days since 1970 on the clock of the log's zone.
    since, until : int, microseconds since 1970 UTC
        The day, half-open.
    past, start, stop : int
        Its events of the horizon before the day are at ``past:start``, those of the day at ``start:stop``.
    strength : float
        0 is mild, 1 blatant.
    """

    entity: int
    number: int
    day: int
    since: int
    until: int
    past: int
    start: int
    stop: int
    strength: float

    @property
    def usual(self) -> NDArray[np.int64]:
        """Positions of its events, those of the day too."""
        return np.arange(self.past, self.stop)

    @property
    def own(self) -> NDArray[np.int64]:
        """Positions of its events of the day."""
        return np.arange(self.start, self.stop)


@dataclass(frozen=True, eq=False)
class ActiveDays:
    """Who did something on which day, in the order of entity and day; arrays of shape (n,).

    Attributes
    ----------
    entity : int32 array
    day : int64 array
        Days since 1970 on the clock of the log's zone.
    start, stop : int64 arrays
        The day's events are at ``start:stop``.
    """

    entity: NDArray[np.int32]
    day: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @classmethod
    def of(cls, timeline: Timeline) -> ActiveDays:
        """Cut the events into days."""
        day = timeline.wall // _DAY
        new = np.ones(len(day), np.bool_)
        new[1:] = (day[1:] != day[:-1]) | (timeline.owner[1:] != timeline.owner[:-1])
        start = np.flatnonzero(new)
        return cls(timeline.owner[start], day[start], start, np.append(start[1:], len(day))[: len(start)])

    def before(self, days: int) -> NDArray[np.int64]:
        """Where the days begin that lie at most so many days before each, int64 of shape (n,)."""
        if not len(self.day):
            return np.empty(0, np.int64)
        low, width = int(self.day.min()) - days, int(np.ptp(self.day)) + days + 1
        keys = self.entity.astype(np.int64) * width + self.day - low
        return np.searchsorted(keys, keys - days)


@dataclass(frozen=True, eq=False)
class Scene:
    """A log, and what is known of it.

    Attributes
    ----------
    timeline : Timeline
    roles : Roles
    windows : WindowSpec
    cases : int
        At most so many cases are staged: each has a value of its own that nobody has used.
    """

    timeline: Timeline
    roles: Roles
    windows: WindowSpec
    cases: int
    _made: dict[str, object] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def days(self) -> ActiveDays:
        """Who did something on which day."""
        return ActiveDays.of(self.timeline)

    @cached_property
    def horizon_days(self) -> int:
        """How many days a vector may know."""
        return self.windows.horizon_width // _DAY

    @cached_property
    def things(self) -> tuple[str, ...]:
        """The dimensions that can take another value: neither the action, nor what makes sessions or peers."""
        fixed = {self.roles.action, self.roles.peer_by, self.windows.by}
        return tuple(name for name in self.roles.dimensions if name not in fixed)

    @cached_property
    def scarce(self) -> tuple[str, ...]:
        """Those of them whose values are typically somebody's own: devices, accounts."""
        return places_of_few(self.timeline, self.things, most=_SCARCE)

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The measures that have some amount above zero."""
        return tuple(name for name in self.roles.measures if (self.timeline.measures[name] > 0).any())

    @cached_property
    def in_use(self) -> dict[str, NDArray[np.int64]]:
        """The values of each such dimension that occur, in the order of their hashes."""
        used = {name: np.flatnonzero(self._holders(name)) for name in self.things}
        return {name: codes[np.argsort(self.codes(name).keys[codes], kind="stable")] for name, codes in used.items()}

    @cached_property
    def company(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        """Of dimensions that entities share several values of: the commonest, and how many hold each, and each two."""
        met = {name: self._company(name) for name in self.things if in_common(self.timeline, name)}
        return {name: (common, held, both) for name, (common, held, both) in met.items() if _mixes(held, both)}

    def codes(self, name: str) -> Codes:
        """A dimension as it is in the log."""
        return self.timeline.dimensions[name]

    def fresh(self, name: str, case: int) -> int:
        """The code of a value that nobody has used and that belongs to one case; see :meth:`extended`."""
        return len(self.codes(name).values) + case

    def extended(self, name: str) -> pa.StringArray:
        """The values of a dimension, and after them the one of each case that nobody has used."""
        values = self.codes(name).values
        mark = "rehearsed"
        while pc.any(pc.starts_with(values, mark)).as_py():
            mark += "'"
        return pa.concat_arrays([values, pa.array([f"{mark} {case}" for case in range(self.cases)], pa.string())])

    def at(self, day: int, hours: NDArray[np.float64]) -> NDArray[np.int64]:
        """The instants at which clocks of the log's zone show so many hours of a day."""
        return from_wall(day * _DAY + (np.asarray(hours) * _HOUR).astype(np.int64), self.timeline.zone)

    def hours(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """The hour of the day of events, on the clock of the log's zone."""
        return to_wall(self.timeline.at[positions], self.timeline.zone) % _DAY / _HOUR

    def busy(self, victim: Victim) -> int:
        """How many events the victim has on a usual day with any."""
        mine = slice(*np.searchsorted(self.days.start, [victim.past, victim.start]))
        counts = self.days.stop[mine] - self.days.start[mine]
        return round(float(np.median(counts))) if len(counts) else 1

    def unknown(self, name: str, victim: Victim) -> NDArray[np.int64]:
        """Values in use that the victim has not touched, in the order of their hashes."""
        used = self.in_use[name]
        return used[~np.isin(used, self.codes(name).codes[victim.usual])]

    def _holders(self, name: str) -> NDArray[np.int64]:
        if name not in self._made:
            self._made[name] = holders(self.timeline, name)
        return np.asarray(self._made[name])

    def _company(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        held, used, codes = self._holders(name), self.in_use[name], self.codes(name).codes
        common = used[np.argsort(-held[used], kind="stable")[:_TOP]]
        slot = np.full(len(held) + 1, -1)  # a null falls into the last place
        slot[common] = np.arange(len(common))
        places, first = slot[codes], self.timeline.first
        both = np.zeros((len(common), len(common)))
        for begin in range(0, len(first) - 1, _BLOCK):
            here = slice(first[begin], first[min(begin + _BLOCK, len(first) - 1)])
            kept = places[here] >= 0
            seen = np.zeros((min(_BLOCK, len(first) - 1 - begin), len(common)), np.float32)
            seen[self.timeline.owner[here][kept] - begin, places[here][kept]] = 1.0
            both += seen.T @ seen
        return common, held[common], both


def _mixes(held: NDArray[np.int64], both: NDArray[np.float64]) -> bool:
    """Whether who holds one of the values typically holds others too: a basket of home towns would mean nothing."""
    return bool((both.sum() - held.sum()) >= _OTHERS * held.sum())


def graded(strength: float, mild: float, blatant: float) -> float:
    """A number between two, in equal ratios from mild (strength 0) to blatant (strength 1).

    Examples
    --------
    >>> round(graded(0.5, 2.0, 50.0), 9)
    10.0
    """
    return float(mild * (blatant / mild) ** strength)
