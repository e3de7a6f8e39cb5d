"""What others did at the same value: the events of a dimension met in the order of value and time.

The only place where entities meet. Notes made here are computed once over all entities and travel with the events into
any partition. They are point in time: an event sees what happened strictly before its own instant, so that events at
one instant do not see each other and their order, which nobody knows, cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from .columns import from_wall
from .kernels import kernel
from .snapshots import micros
from .survey import holders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .snapshots import WindowSpec
    from .timeline import Timeline

__all__ = ["NEVER", "TROUBLE", "Meeting", "look_backs", "places_of_few"]

TROUBLE = "trouble.known_at"  # the note that says when the trouble of an event became known, int64 microseconds
NEVER = int(np.iinfo(np.int64).max)
_DAY = 86_400_000_000
_CROWD = 2  # entities: one alone meets nobody
_STEPS = ("1d", "7d")


@dataclass(frozen=True, eq=False)
class Meeting:
    """Events by value and time; those of one value are contiguous, those without a value are left out.

    Attributes
    ----------
    first : int64 array of shape (n_values + 1,)
        The events at value ``v`` are those at ``first[v]:first[v + 1]``.
    position : uint32 array of shape (m,)
        Where each event stands in the timeline.
    at : int64 array of shape (m,), microseconds since 1970 UTC
    """

    first: NDArray[np.int64]
    position: NDArray[np.uint32]
    at: NDArray[np.int64]

    @classmethod
    def of(cls, timeline: Timeline, codes: NDArray[np.int32], n_values: int) -> Self:
        """Sort by value; ``codes``, int32 of shape (n,), is -1 where there is none."""
        first, position = _by_value(codes, timeline.by_time, n_values)
        return cls(first, position, timeline.at[position])

    def look_back(self, timeline: Timeline, windows: WindowSpec) -> NDArray[np.int64]:
        """How far back each event may look: a horizon before itself, int64 of shape (m,), microseconds since 1970 UTC.

        A vector of a day may know no more than the days of its horizon. Where clocks were put forward those are an hour
        shorter than as many times 24 hours, and the day's first events look back no further than they reach.
        """
        lower = self.at - windows.horizon_width
        if not windows.calendar or windows.every != "1d" or timeline.zone == "UTC" or not len(self.at):
            return lower
        day = timeline.wall[self.position] // _DAY
        begins = from_wall(np.arange(day.min(), day.max() + 1) * _DAY - windows.horizon_width, timeline.zone)
        return np.maximum(lower, begins[day - day.min()])


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


@kernel
def _by_value(
    codes: NDArray[np.int32], order: NDArray[np.uint32], n_values: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """A counting sort: one pass counts, one pass places. Stable, so the order of time survives within a value."""
    first = np.zeros(n_values + 1, np.int64)
    for code in codes:
        if code >= 0:
            first[code + 1] += 1
    for v in range(n_values):
        first[v + 1] += first[v]
    place = first.copy()
    placed = np.empty(first[n_values], np.uint32)
    for position in order:
        code = codes[position]
        if code >= 0:
            placed[place[code]] = position
            place[code] += 1
    return first, placed
