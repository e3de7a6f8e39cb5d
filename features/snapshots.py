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


@dataclass(frozen=True)
class WindowSpec:
    """How time is cut.

    Attributes
    ----------
    every : "1d" or "1h"
        The current window: a calendar day in the log's zone, or an hour of UTC.
    horizon : str
        How much history a vector may know, in days: "28d".
    """

    every: str = "1d"
    horizon: str = "28d"

    def __post_init__(self) -> None:
        """Refuse windows that do not exist."""
        if self.every not in ("1d", "1h"):
            message = f"expected every = '1d' or '1h', got {self.every!r}"
            raise ConfigError(message)
        if not re.fullmatch(r"[1-9]\d*d", self.horizon) or self.horizon_width <= self.width:
            message = f"expected a horizon of whole days longer than {self.every}, such as '28d', got {self.horizon!r}"
            raise ConfigError(message)

    @property
    def width(self) -> int:
        """The current window's width in microseconds."""
        return micros(self.every)

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
    prior : int64 array of shape (n,)
        The first snapshot of the same entity within the horizon before the window.
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

    def __len__(self) -> int:
        return len(self.as_of)

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
    """Give a snapshot to each entity and window in which it has an event.

    Days are those of the timeline's zone; hours are those of UTC, which a change of the clocks does not repeat.
    """
    by_day = spec.every == "1d"
    clock = timeline.wall if by_day else timeline.at
    zone = timeline.zone if by_day else "UTC"
    rows = _count(timeline.first, clock, spec.width)
    widths = np.array([micros(name) for name in spec.trailing], np.int64)
    entity, start, window = _cut(timeline.first, clock, spec.width, rows)
    stop = np.append(start[1:], len(timeline)) if len(start) else start
    trailing, history = _reach(rows, timeline.first, clock, window, (spec.width, widths, spec.horizon_width))
    prior = _prior(rows, window, spec.horizon_width // spec.width)
    since, as_of = (from_wall((window + step) * spec.width, zone) for step in (0, 1))
    return Snapshots(rows, entity, since, as_of, start, stop, trailing, history, prior)


@kernel
def _count(first: NDArray[np.int64], clock: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """How many windows of each entity hold an event, as offsets."""
    rows = np.zeros(len(first), np.int64)
    for e in range(len(first) - 1):
        count = 0
        last = np.int64(-1)
        for i in range(first[e], first[e + 1]):
            window = clock[i] // width
            if window > last:  # a clock put back across midnight does not begin the day again
                count += 1
                last = window
        rows[e + 1] = rows[e] + count
    return rows


@kernel
def _cut(
    first: NDArray[np.int64], clock: NDArray[np.int64], width: int, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The entity, the first event and the window's number of each snapshot."""
    n = rows[-1]
    entity, start, window = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64)
    r = 0
    for e in range(len(first) - 1):
        for i in range(first[e], first[e + 1]):
            number = clock[i] // width
            if i == first[e] or number > window[r - 1]:
                entity[r], start[r], window[r] = e, i, number
                r += 1
    return entity, start, window


@kernel
def _reach(
    rows: NDArray[np.int64],
    first: NDArray[np.int64],
    clock: NDArray[np.int64],
    window: NDArray[np.int64],
    spans: tuple[int, NDArray[np.int64], int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each trailing window and the horizon begin: one pointer for each, which only moves forward."""
    width, widths, horizon = spans
    trailing = np.empty((len(widths), len(window)), np.int64)
    history = np.empty(len(window), np.int64)
    for e in range(len(rows) - 1):
        for w in range(len(widths) + 1):
            i = first[e]
            for r in range(rows[e], rows[e + 1]):
                bound = window[r] * width - horizon if w == len(widths) else (window[r] + 1) * width - widths[w]
                while clock[i] < bound:
                    i += 1
                if w == len(widths):
                    history[r] = i
                else:
                    trailing[w, r] = i
    return trailing, history


@kernel
def _prior(rows: NDArray[np.int64], window: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """The first snapshot of the entity that lies within ``reach`` windows before each."""
    prior = np.empty(len(window), np.int64)
    for e in range(len(rows) - 1):
        p = rows[e]
        for r in range(rows[e], rows[e + 1]):
            while window[p] < window[r] - reach:
                p += 1
            prior[r] = p
    return prior
