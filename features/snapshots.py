"""Which (entity, as_of) get a vector, and which events each of them may look at.

Everything a family needs to know about time is settled here, as positions in the sorted events: the current window
``[start, stop)``, the trailing windows that end with it, and the horizon before it. So a kernel never compares times,
and no kernel can look past ``as_of``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from .columns import from_wall
from .kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .timeline import Timeline

__all__ = ["Snapshots", "WindowSpec", "snapshots_of"]

_UNITS = {"h": 3_600_000_000, "d": 86_400_000_000}
_STEPS = ("1d", "7d")
_CALENDAR = ("1d", "1h")


@dataclass(frozen=True)
class WindowSpec:
    """How time is cut into windows.

    Attributes
    ----------
    every : "1d", "1h" or "event"
        One vector per calendar day in the log's zone, per hour of UTC, or per event, as of that event.
    horizon : str
        How much history a vector may know, in days: "28d".
    by : str or None
        A dimension, such as a session's id: one vector per unbroken run of events of an entity with one value of it,
        instead of one per ``every``.
    span : str
        With one vector per event, how far back the current window reaches: the event and what came before it in "1d".
    """

    every: str = "1d"
    horizon: str = "28d"
    by: str | None = None
    span: str = "1d"

    def __post_init__(self) -> None:
        """Refuse windows that do not exist."""
        if self.every not in (*_CALENDAR, "event"):
            message = f"expected every = '1d', '1h' or 'event', got {self.every!r}"
            raise ConfigError(message)
        if self.span not in _CALENDAR:
            message = f"expected span = '1d' or '1h', got {self.span!r}"
            raise ConfigError(message)
        if not re.fullmatch(r"[1-9]\d*d", self.horizon) or self.horizon_width <= self.width:
            message = f"expected a horizon of whole days longer than {self.name}, such as '28d', got {self.horizon!r}"
            raise ConfigError(message)

    @property
    def name(self) -> str:
        """What features call the current window."""
        if self.by is not None:
            return "session"
        return self.span if self.every == "event" else self.every

    @property
    def calendar(self) -> bool:
        """Whether windows are days or hours, the same for everyone."""
        return self.by is None and self.every in _CALENDAR

    @property
    def cut(self) -> str:
        """Windows of the "calendar", the same for everyone; or a "run" of events; or one "event" and those before."""
        return "run" if self.by is not None else "event" if self.every == "event" else "calendar"

    @property
    def width(self) -> int:
        """The current window's width in microseconds; 0 for runs, which last as long as they last."""
        return 0 if self.by is not None else micros(self.name)

    @property
    def horizon_width(self) -> int:
        """The horizon's width in microseconds."""
        return micros(self.horizon)

    @property
    def trailing(self) -> tuple[str, ...]:
        """The names of the longer windows that end with the current one, shortest first."""
        between = [step for step in _STEPS if self.width < micros(step) < self.horizon_width]
        return (*between, self.horizon)


@dataclass(frozen=True, eq=False)
class Snapshots:
    """The rows of vectors to be, sorted by entity and time.

    Attributes
    ----------
    rows : int64 array of shape (n_entities + 1,)
        The snapshots of entity ``e`` are ``rows[e]:rows[e + 1]``.
    entity : int32 array of shape (n,)
    since, as_of : int64 arrays of shape (n,), microseconds since 1970 UTC
        The current window, half-open.
    start, stop : int64 arrays of shape (n,)
        Positions of the current window's events; both only rise within an entity.
    trailing : int64 array of shape (n_trailing, n)
        The first event of each trailing window; each ends at ``stop``.
    history : int64 array of shape (n,)
        The first event of the horizon before the window, which ends at ``start``.
    prior, settled : int64 arrays of shape (n,)
        The snapshots ``prior:settled`` of the same entity lie wholly within the horizon before the window.
    cut : "calendar", "run" or "event"
        See :attr:`WindowSpec.cut`.
    """

    rows: NDArray[np.int64]
    entity: NDArray[np.int32]
    since: NDArray[np.int64]
    as_of: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    trailing: NDArray[np.int64]
    history: NDArray[np.int64]
    prior: NDArray[np.int64]
    settled: NDArray[np.int64]
    cut: str = "calendar"

    def __len__(self) -> int:
        return len(self.as_of)

    def only(self, keep: NDArray[np.bool_]) -> Snapshots:
        """Some of the snapshots, given as a mask; which earlier ones lie within a horizon is not known of these."""
        before = np.concatenate([[0], np.cumsum(keep)])
        names = ("entity", "since", "as_of", "start", "stop", "history")
        none = np.zeros(int(before[-1]), np.int64)
        columns = {name: getattr(self, name)[keep] for name in names}
        return replace(
            self, rows=before[self.rows], trailing=self.trailing[:, keep], prior=none, settled=none, **columns
        )

    def part(self, first: int, last: int) -> Snapshots:
        """The snapshots of entities ``first:last``; their ``rows`` and ``prior`` count from the part's own start."""
        lo, hi = int(self.rows[first]), int(self.rows[last])
        columns = {
            name: getattr(self, name)[lo:hi] for name in ("entity", "since", "as_of", "start", "stop", "history")
        }
        return replace(
            self,
            rows=self.rows[first : last + 1] - lo,
            trailing=self.trailing[:, lo:hi],
            prior=self.prior[lo:hi] - lo,
            settled=self.settled[lo:hi] - lo,
            **columns,
        )


def micros(window: str) -> int:
    """The width of a window such as "1h" or "28d", in microseconds.

    Examples
    --------
    >>> micros("1h")
    3600000000
    """
    return int(window[:-1]) * _UNITS[window[-1]]


def snapshots_of(timeline: Timeline, spec: WindowSpec) -> Snapshots:
    """Cut a timeline into snapshots: one for each window in which an entity has an event.

    Days are those of the timeline's zone; hours are those of UTC, which a change of the clocks does not repeat.

    Raises
    ------
    ConfigError
        If windows go by a dimension that the log does not have.
    """
    by_day = spec.calendar and spec.every == "1d"
    clock, zone = (timeline.wall, timeline.zone) if by_day else (timeline.at, "UTC")
    rows, stop, since, as_of = _windows(timeline, clock, spec)
    widths = np.array([micros(name) for name in spec.trailing], np.int64)
    start, trailing, history = _reach(rows, timeline.first, clock, (since, as_of), (widths, spec.horizon_width))
    if spec.by is not None:  # a run begins where it begins, though an event of another run may bear the same time
        start = stop - np.diff(np.concatenate([[0], stop]))
    prior, settled = _priors(rows, since, as_of, spec.horizon_width)
    entity = np.repeat(np.arange(len(rows) - 1, dtype=np.int32), np.diff(rows))
    since, as_of = from_wall(since, zone), from_wall(as_of, zone)
    return Snapshots(rows, entity, since, as_of, start, stop, trailing, history, prior, settled, spec.cut)


def _windows(
    timeline: Timeline, clock: NDArray[np.int64], spec: WindowSpec
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Offsets of each entity's windows, and of each window its last event and its edges on the clock."""
    if spec.calendar:
        keys = clock // spec.width
        rows, stop = _runs(timeline.first, keys, rising=1)
        number = keys[stop - 1]
        return rows, stop, number * spec.width, (number + 1) * spec.width
    if spec.by is None:
        stop = np.arange(1, len(timeline) + 1)
        as_of = timeline.at + 1  # the event itself belongs to its window
        return timeline.first, stop, as_of - spec.width, as_of
    if spec.by not in timeline.dimensions:
        message = f"expected windows by one of {', '.join(timeline.dimensions)}, got {spec.by!r}; make it a dimension"
        raise ConfigError(message)
    rows, stop = _runs(timeline.first, timeline.dimensions[spec.by].codes.astype(np.int64), rising=0)
    start = stop - np.diff(np.concatenate([[0], stop]))
    return rows, stop, timeline.at[start], timeline.at[stop - 1] + 1


@kernel
def _runs(
    first: NDArray[np.int64], keys: NDArray[np.int64], rising: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unbroken runs of one key within an entity: offsets by entity, and where each run stops.

    Where keys are times they must rise: a clock put back across midnight does not begin the day again.
    """
    rows, stop = np.zeros(len(first), np.int64), np.empty(len(keys), np.int64)
    n = 0
    for e in range(len(first) - 1):
        key = np.int64(0)
        for i in range(first[e], first[e + 1]):
            if i == first[e] or (keys[i] > key if rising else keys[i] != key):
                key = keys[i]
                n += 1
            stop[n - 1] = i + 1
        rows[e + 1] = n
    return rows, stop[:n].copy()


@kernel
def _reach(
    rows: NDArray[np.int64],
    first: NDArray[np.int64],
    clock: NDArray[np.int64],
    edges: tuple[NDArray[np.int64], NDArray[np.int64]],
    spans: tuple[NDArray[np.int64], int],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where the window, each trailing window and the horizon begin: one pointer for each, which only moves forward."""
    since, as_of = edges
    widths, horizon = spans
    start, history = np.empty(len(since), np.int64), np.empty(len(since), np.int64)
    trailing = np.empty((len(widths), len(since)), np.int64)
    for e in range(len(rows) - 1):
        for w in range(len(widths) + 2):
            i = first[e]
            for r in range(rows[e], rows[e + 1]):
                if w < len(widths):
                    bound = as_of[r] - widths[w]
                else:
                    bound = since[r] if w == len(widths) else since[r] - horizon
                while i < first[e + 1] and clock[i] < bound:
                    i += 1
                if w < len(widths):
                    trailing[w, r] = i
                elif w == len(widths):
                    start[r] = i
                else:
                    history[r] = i
    return start, trailing, history


@kernel
def _priors(
    rows: NDArray[np.int64], since: NDArray[np.int64], as_of: NDArray[np.int64], horizon: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The entity's snapshots that lie wholly within the horizon before each: two pointers."""
    prior, settled = np.empty(len(since), np.int64), np.empty(len(since), np.int64)
    for e in range(len(rows) - 1):
        p = s = rows[e]
        for r in range(rows[e], rows[e + 1]):
            while since[p] < since[r] - horizon:
                p += 1
            while s < r and as_of[s] <= since[r]:
                s += 1
            prior[r], settled[r] = p, max(p, s)
    return prior, settled
