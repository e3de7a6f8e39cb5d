"""Histories cut out of a timeline, whole or with events left out: what would be, had these not happened.

Each piece becomes an entity of its own, so that many histories of one entity, each altered in another way, are rebuilt
at once by the same plan. What was noted on an event from other entities stays as it was: the others did what they did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .columns import Codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .timeline import Timeline

__all__ = ["excerpt"]


def excerpt(timeline: Timeline, pieces: Sequence[NDArray[np.int64]]) -> Timeline:
    """A timeline of one entity for each piece, which did the events of the piece and nothing else.

    A vector of the excerpt is, bit for bit, that of the timeline, if the piece holds all events of its window and of
    the horizon before it; and, where windows are runs, those of a run that the horizon cuts short.

    Parameters
    ----------
    timeline : Timeline
        With its notes, if the plan makes any.
    pieces : sequence of int64 arrays
        Positions of events of one entity each, rising. An empty piece is an entity without events.

    Returns
    -------
    Timeline
        Entities are named by the number of their piece. ``row`` tells where each event stood in the source; one that
        is in several pieces is there several times.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.events import EventLog
    >>> times = ["2025-03-01T08:00:00Z", "2025-03-02T09:00:00Z"]
    >>> timeline, _, _ = EventLog.open(pa.table({"user_id": ["ann", "ann"], "ts": times})).read()
    >>> excerpt(timeline, [np.array([0, 1]), np.array([1])]).first
    array([0, 2, 3])
    """
    taken = np.concatenate([*pieces, np.empty(0, np.int64)]).astype(np.int64)
    digits = len(str(len(pieces)))
    return replace(
        timeline,
        entity=pa.array([f"{number:0{digits}}" for number in range(len(pieces))], pa.string()),
        first=np.concatenate([[0], np.cumsum([len(piece) for piece in pieces], dtype=np.int64)]).astype(np.int64),
        at=timeline.at[taken],
        dimensions={name: _few(codes, taken) for name, codes in timeline.dimensions.items()},
        measures={name: np.take(values, taken) for name, values in timeline.measures.items()},
        ids=None if timeline.ids is None else timeline.ids[taken],
        row=timeline.row[taken],
        # There are dozens of notes, and np.take is twice as fast as values[taken].
        notes={name: np.take(values, taken) for name, values in timeline.notes.items()},
        place=None if timeline.place is None else timeline.place[:, taken],
        peer=None if timeline.peer is None else _few(timeline.peer, taken),
    )


def _few(codes: Codes, taken: NDArray[np.int64]) -> Codes:
    """The codes of some events, numbered anew: families keep counters of all values there are."""
    here = codes.codes[taken]
    used = np.zeros(len(codes.values) + 1, np.bool_)  # a null, which is -1, falls into the last place
    used[here] = True
    which = np.flatnonzero(used[:-1])
    number = np.full(len(used), -1, np.int32)
    number[which] = np.arange(len(which))
    return Codes(number[here], codes.values.take(pa.array(which)))
