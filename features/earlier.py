"""Which earlier windows of an entity its own usual is taken over.

Days, hours and sessions share no event, so all that lie within the horizon count. Windows of single events overlap:
thirty payments on one day are thirty windows that hold nearly the same day, and would outweigh a month of others. Of
those the last of each day counts (the last of each hour, where windows reach back an hour), so that the usual is one of
days, as it is where windows are days, and changes once a day and not with each event.

Whether a window is the last of its day is told by the entity's next event, which is never later than the event that
asks: a window that ended before another began has that other's event, or one before it, as its next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .family import Shape
    from .snapshots import Snapshots
    from .timeline import Timeline

__all__ = ["Earlier", "which_count"]

_HOUR, _DAY = 3_600_000_000, 86_400_000_000


@dataclass(frozen=True, eq=False)
class Earlier:
    """The snapshots that count, and of each snapshot the range of them that lies within the horizon before its window.

    Attributes
    ----------
    rows : int64 array of shape (n_entities + 1,)
        The snapshots of entity ``e`` are ``rows[e]:rows[e + 1]``, as in the snapshots.
    counted : int64 array of shape (m,), rising
        The numbers of the snapshots that count.
    first, last : int64 arrays of shape (n,)
        To snapshot ``r`` those at ``counted[first[r]:last[r]]`` are earlier; both only rise within an entity.
    """

    rows: NDArray[np.int64]
    counted: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @classmethod
    def all(cls, snapshots: Snapshots) -> Earlier:
        """Every window within the horizon counts."""
        return cls(snapshots.rows, np.arange(len(snapshots)), snapshots.prior, snapshots.settled)

    @classmethod
    def apart(cls, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Earlier:
        """Of windows that end with each event the last of each day counts, or of each hour; of others every one.

        Parameters
        ----------
        timeline : Timeline
            Days are those of its zone, hours those of UTC.
        snapshots : Snapshots
            Any part of those of the timeline.
        shape : Shape
        """
        if shape.cut != "event":
            return cls.all(snapshots)
        hourly = shape.window == "1h"
        clock = (timeline.at if hourly else timeline.wall)[snapshots.stop - 1] // (_HOUR if hourly else _DAY)
        counts = np.ones(len(snapshots), np.bool_)
        counts[:-1] = (clock[1:] > clock[:-1]) | (snapshots.entity[1:] != snapshots.entity[:-1])
        before = np.concatenate([[0], np.cumsum(counts)])
        counted = np.flatnonzero(counts)
        return cls(snapshots.rows, counted, before[snapshots.prior], before[snapshots.settled])

    @property
    def number(self) -> NDArray[np.int64]:
        """How many windows are earlier, of each snapshot."""
        return self.last - self.first

    @property
    def room(self) -> int:
        """How many windows are earlier at most, and one."""
        return int(self.number.max(initial=0)) + 1


def which_count(shape: Shape) -> str:
    """Words for which of the earlier windows count, to follow them in a feature's meaning; empty where all do."""
    if shape.cut != "event":
        return ""
    return f" (the last of each {'hour' if shape.window == '1h' else 'day'})"
