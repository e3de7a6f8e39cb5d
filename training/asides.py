"""What is known of a window beside its vector: its day, its peer group, what was at stake, attributes kept for audits.

None of it is a feature. It is found through :attr:`~peculiar.features.vectors.Vectors.last`, where the window's last
event stood in the source, so that nothing has to travel with every vector and only who judges pays for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from ..features.columns import encode, to_wall
from ..features.snapshots import snapshots_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..features.events import EventLog
    from ..features.roles import Roles
    from ..features.snapshots import Snapshots, WindowSpec
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors

__all__ = ["Asides", "asides_of", "audited", "days_of", "measure_at_stake", "peer_groups"]

_DAY = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Asides:
    """What is known of n windows beside their vectors.

    Attributes
    ----------
    day : int64 array of shape (n,), days since 1970
        See :func:`days_of`.
    group : pyarrow.DictionaryArray of length n, or None
        Peer group; null is none. None if the log names no peers.
    value : float64 array of shape (n,), or None
        What was at stake, in the measure's unit, never negative. None if the log has no measure.
    audited : mapping of str to pyarrow.DictionaryArray of length n
        Attributes that may slice a report, and nothing else.
    """

    day: NDArray[np.int64]
    group: pa.DictionaryArray | None = None
    value: NDArray[np.float64] | None = None
    audited: Mapping[str, pa.DictionaryArray] = field(default_factory=dict)

    def take(self, rows: NDArray[np.bool_]) -> Asides:
        """Keep the rows of a mask of shape (n,)."""
        mask = pa.array(rows)
        return Asides(
            self.day[rows],
            None if self.group is None else self.group.filter(mask),
            None if self.value is None else self.value[rows],
            {name: column.filter(mask) for name, column in self.audited.items()},
        )


def asides_of(vectors: Vectors, timeline: Timeline, roles: Roles, windows: WindowSpec, value: str | None) -> Asides:
    """All that the events tell of windows beside their vectors; :func:`audited` looks into the source for the rest.

    Parameters
    ----------
    vectors : Vectors
        Of this timeline, or of a part of it.
    timeline : Timeline
    roles : Roles
    windows : WindowSpec
    value : str or None
        The measure that is at stake, as :func:`measure_at_stake` names it.
    """
    day = days_of(vectors, windows, roles.time_zone)
    group = None if roles.peer_by is None else peer_groups(vectors, timeline, windows)
    return Asides(day, group, None if value is None else _value(vectors, timeline, windows, value))


def days_of(vectors: Vectors | Snapshots, windows: WindowSpec, zone: str) -> NDArray[np.int64]:
    """The calendar day of each row in a zone, as days since 1970: of its window, or of the event that ends it."""
    return to_wall(vectors.since if windows.calendar else vectors.as_of - 1, zone) // _DAY


def peer_groups(vectors: Vectors, timeline: Timeline, windows: WindowSpec) -> pa.DictionaryArray | None:
    """The peer group of each window: that of its last event that has one, or else of the horizon before it.

    It is the group that the family ``peers`` holds the window against, as of the window's end.

    Returns
    -------
    pyarrow.DictionaryArray of length n, or None
        Null where no event has a group; None if the events were read without any.
    """
    if timeline.peer is None:
        return None
    snapshots = snapshots_of(timeline, windows)
    rows = _rows(vectors, timeline, snapshots)
    known = np.where(timeline.peer.codes >= 0, np.arange(len(timeline)), -1)
    latest = np.maximum.accumulate(known)[snapshots.stop[rows] - 1]
    codes = np.where(latest >= snapshots.history[rows], timeline.peer.codes[latest], -1)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), timeline.peer.values)


def measure_at_stake(roles: Roles, named: str | None) -> str | None:
    """The measure that tells what is at stake in a window: the one that is named, else the log's first.

    Raises
    ------
    ConfigError
        If the log has no measure of this name.
    """
    if named is not None and named not in roles.measures:
        message = f"expected training.value to name a measure ({', '.join(roles.measures) or 'none'}), got {named!r}"
        raise ConfigError(message)
    return named or next(iter(roles.measures), None)


def audited(vectors: Vectors, log: EventLog) -> dict[str, pa.DictionaryArray]:
    """Attributes kept for audits, as they stood at each window's last event; null where unknown.

    Read from the source when a model is judged, and nowhere else: a timeline does not hold them.
    """
    names = [name for name in log.roles.audit_only if name in log.source.schema().names]
    if vectors.last is None or not names:
        return {}
    table = log.source.read(names)
    found = {}
    for name in names:
        column = encode(table[name])
        codes = column.codes[vectors.last]
        found[name] = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), column.values)
    return found


def _value(vectors: Vectors, timeline: Timeline, windows: WindowSpec, name: str) -> NDArray[np.float64]:
    """The sum over the window, of a window per event that of its event; null counts as 0, and so does a sum below."""
    amounts = np.nan_to_num(timeline.measures[name], nan=0.0)
    snapshots = snapshots_of(timeline, windows)
    if snapshots.cut != "event" and len(amounts):
        amounts = np.add.reduceat(amounts, np.concatenate([[0], snapshots.stop[:-1]]))
    return np.maximum(amounts[_rows(vectors, timeline, snapshots)], 0.0)


def _rows(vectors: Vectors, timeline: Timeline, snapshots: Snapshots) -> NDArray[np.intp]:
    """Which snapshot each vector is: the one that stops after the vector's last event."""
    if vectors.last is None:
        raise ConfigError("expected vectors that know their last event, as a plan makes them; build them again")
    place = np.zeros(int(timeline.row.max(initial=0)) + 1, np.int64)
    place[timeline.row] = np.arange(len(timeline))
    return np.searchsorted(snapshots.stop, place[vectors.last] + 1)
