"""What the door must know of the whole log before it can judge a part of it.

Two rules look at all rows at once: times far in the future are told by a year of silence before them, and a time
without a zone is refused only among times that have one. Counts of days answer both. They add up over the parts of a
log in any order, so that a log in parts is judged as it would be whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Times

__all__ = ["EARLIEST", "Whole", "straggling_from"]

DAY = 86_400_000_000
EARLIEST = 365 * DAY  # 1971: what comes before is a zero that somebody's system wrote for "unknown"
_SILENCE = 366  # days
_STRAGGLERS = 0.01


@dataclass(frozen=True)
class Whole:
    """Days of all rows that have a believable time.

    Attributes
    ----------
    zoned, zoneless : mapping of int to int
        Rows by day since 1970 UTC: those whose time has a zone, or is taken to be in the log's; and those without one
        in a column of text, which count if no row has a zone.
    mixed : bool
        Whether some text carries a zone.
    ends : pair of pairs of int, or None
        The earliest and the latest time of either kind, microseconds since 1970 UTC.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.columns import times
    >>> parts = [pa.chunked_array([[text]]) for text in ("2025-03-01", "2025-03-02T08:00Z")]
    >>> early, late = (Whole.of(times(part, "UTC")) for part in parts)
    >>> early.mixed, early.merged(late).mixed
    (False, True)
    """

    zoned: dict[int, int] = field(default_factory=dict)
    zoneless: dict[int, int] = field(default_factory=dict)
    mixed: bool = False
    ends: tuple[tuple[int, int] | None, tuple[int, int] | None] = (None, None)

    @classmethod
    def of(cls, times: Times) -> Self:
        """Look at some times."""
        usable = ~(times.null | times.unreadable) & (times.at >= EARLIEST)
        bare = times.zoneless | times.assumed if times.text else np.zeros(len(times.at), np.bool_)
        kinds = [times.at[usable & mask] for mask in (~bare, bare)]
        zoned, zoneless = (_days(at) for at in kinds)
        ends = tuple((int(at.min()), int(at.max())) if len(at) else None for at in kinds)
        return cls(zoned, zoneless, times.text and not times.assumed, (ends[0], ends[1]))

    def merged(self, other: Whole) -> Whole:
        """What is known of both together."""
        zoned, zoneless = (
            dict(sorted((Counter(ours) + Counter(theirs)).items()))
            for ours, theirs in ((self.zoned, other.zoned), (self.zoneless, other.zoneless))
        )
        ends = tuple(_both(ours, theirs) for ours, theirs in zip(self.ends, other.ends, strict=True))
        return Whole(zoned, zoneless, self.mixed or other.mixed, (ends[0], ends[1]))

    @property
    def limit(self) -> int | None:
        """The time from which events are stragglers, microseconds since 1970 UTC; None if none are."""
        counts, ends = (self.zoned, self.ends[0]) if self.mixed else (self._all, _both(*self.ends))
        if ends is None:
            return None
        return _far_future(np.array(list(counts), np.int64), np.array(list(counts.values()), np.int64), ends)

    @property
    def _all(self) -> dict[int, int]:
        return dict(sorted((Counter(self.zoned) + Counter(self.zoneless)).items()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        counts = [[[day, n] for day, n in days.items()] for days in (self.zoned, self.zoneless)]
        return {"zoned": counts[0], "zoneless": counts[1], "mixed": self.mixed, "ends": self.ends}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote."""
        zoned, zoneless = ({day: n for day, n in plain[kind]} for kind in ("zoned", "zoneless"))  # noqa: C416 - lists, not pairs
        first, second = (None if pair is None else (int(pair[0]), int(pair[1])) for pair in plain["ends"])
        return cls(zoned, zoneless, bool(plain["mixed"]), (first, second))


def straggling_from(times: Times, usable: NDArray[np.bool_] | None) -> int | None:
    """The same limit for a log that is all here; most span less than a year, and need no counting.

    Parameters
    ----------
    times : Times, n rows
    usable : bool array of shape (n,), or None for all
        Which rows have a believable time.
    """
    at = times.at if usable is None else times.at[usable]
    if not len(at) or int(at.max()) - int(at.min()) <= _SILENCE * DAY:
        return None
    return Whole.of(times).limit


def _far_future(days: NDArray[np.int64], counts: NDArray[np.int64], ends: tuple[int, int]) -> int | None:
    """The first event beyond a year of silence, if few come after it; None in a log without such a gap."""
    if ends[1] - ends[0] <= _SILENCE * DAY:
        return None
    after = counts[::-1].cumsum()[::-1][1:]
    few = after <= max(1, int(_STRAGGLERS * counts.sum()))
    gaps = np.flatnonzero((np.diff(days) > _SILENCE) & few)
    return int(days[gaps[0] + 1] * DAY) if len(gaps) else None


def _days(at: NDArray[np.int64]) -> dict[int, int]:
    """Rows by day."""
    if not len(at):
        return {}
    day = at // DAY
    first, last = int(day.min()), int(day.max())
    if last - first > 100_000:  # centuries: few days of many
        days, counts = np.unique(day, return_counts=True)
    else:
        all_counts = np.bincount(day - first)
        days = np.flatnonzero(all_counts)
        counts, days = all_counts[days], days + first
    return dict(zip(days.tolist(), counts.tolist(), strict=True))


def _both(ours: tuple[int, int] | None, theirs: tuple[int, int] | None) -> tuple[int, int] | None:
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    return min(ours[0], theirs[0]), max(ours[1], theirs[1])
