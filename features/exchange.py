"""What others did at the same value: the events of all entities met in the order of time.

The only place where entities meet. Notes made here are computed once over all entities and travel with the events into
any partition. They are point in time: an event sees what happened strictly before its own instant, so that events at
one instant do not see each other and their order, which nobody knows, cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from .columns import from_wall
from .kernels import picked
from .snapshots import micros
from .survey import holders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .snapshots import WindowSpec
    from .timeline import Timeline

__all__ = ["BLOCK", "NEVER", "TROUBLE", "Stream", "look_back", "look_backs", "places_of_few"]

TROUBLE = "trouble.known_at"  # the note that says when the trouble of an event became known, int64 microseconds
NEVER = int(np.iinfo(np.int64).max)
_DAY = 86_400_000_000
_CROWD = 2  # entities: one alone meets nobody
_STEPS = ("1d", "7d")
BLOCK = 1024  # events: what a sweep fetches, reckons and writes at a time


@dataclass(frozen=True, eq=False)
class Stream:
    """Events of all entities in the order of time, and how far back each may look.

    A sweep over it meets the events of every value in turn. What it needs of an event and what it writes is at
    ``order[k]``, the event's place in the timeline. How many events get out of sight between two events is at random,
    and a processor that guesses it wrong also stops to fetch ahead; so a sweep fetches a block of events first, and
    writes a block at once, and looks for two events to leave whatever comes of it before it asks if there are more.

    Attributes
    ----------
    order : uint32 array of shape (m,)
        Where each event stands in the timeline; those of one instant in no order that matters.
    at : int64 array of shape (m,), microseconds since 1970 UTC
    lower : int64 array of shape (m,), microseconds since 1970 UTC
        The earliest instant that an event may look at; it rises with time.
    """

    order: NDArray[np.uint32]
    at: NDArray[np.int64]
    lower: NDArray[np.int64]

    @classmethod
    def of(cls, timeline: Timeline, windows: WindowSpec, few: NDArray[np.uint32] | None = None) -> Self:
        """Sort by time: all events, or but the ``few`` at the given places in the timeline."""
        order = timeline.by_time if few is None else few[np.argsort(timeline.at[few], kind="stable")]
        at = picked(timeline.at, order)
        wall = picked(timeline.wall, order) if _by_the_wall(timeline, windows) else None
        return cls(order, at, _lower(at, wall, timeline.zone, windows))


def look_back(timeline: Timeline, windows: WindowSpec) -> NDArray[np.int64]:
    """How far back each event may look: a horizon before itself, int64 of shape (n,), microseconds since 1970 UTC.

    A vector of a day may know no more than the days of its horizon. Where clocks were put forward those are an hour
    shorter than as many times 24 hours, and the day's first events look back no further than they reach.
    """
    wall = timeline.wall if _by_the_wall(timeline, windows) else None
    return _lower(timeline.at, wall, timeline.zone, windows)


def look_backs(horizon: str) -> tuple[str, ...]:
    """The spans that an event looks back over: a day, a week, the horizon, as far as they are shorter than it.

    Examples
    --------
    >>> look_backs("28d"), look_backs("7d")
    (('1d', '7d', '28d'), ('1d', '7d'))
    """
    return (*(step for step in _STEPS if micros(step) < micros(horizon)), horizon)


def places_of_few(timeline: Timeline, names: Iterable[str], *, most: float) -> tuple[str, ...]:
    """The dimensions whose values are typically touched by few of all entities, in the given order.

    Parameters
    ----------
    timeline : Timeline
        The training period.
    names : iterable of str
        Dimensions to choose from.
    most : float
        At half of the events the value is touched by at most this share of all entities, or by one alone.
    """
    entities = int(np.count_nonzero(np.diff(timeline.first)))
    if entities < _CROWD:
        return ()
    return tuple(name for name in names if 0 < _typical_holders(timeline, name) <= max(1.0, most * entities))


def _typical_holders(timeline: Timeline, name: str) -> int:
    """How many entities touch the value of a typical event, the median over events; 0 if no event has a value."""
    codes, held = timeline.dimensions[name].codes, holders(timeline, name)
    events = np.bincount(codes[codes >= 0], minlength=len(held))
    if not events.any():
        return 0
    order = np.argsort(held, kind="stable")
    return int(held[order[np.searchsorted(np.cumsum(events[order]), (events.sum() + 1) // 2)]])


def _by_the_wall(timeline: Timeline, windows: WindowSpec) -> bool:
    """Whether windows are days of a zone whose clocks may change."""
    return windows.calendar and windows.every == "1d" and timeline.zone != "UTC"


def _lower(at: NDArray[np.int64], wall: NDArray[np.int64] | None, zone: str, windows: WindowSpec) -> NDArray[np.int64]:
    lower = at - windows.horizon_width
    if wall is None or not len(at):
        return lower
    day = wall // _DAY
    begins = from_wall(np.arange(day.min(), day.max() + 1) * _DAY - windows.horizon_width, zone)
    return np.maximum(lower, begins[day - day.min()])
