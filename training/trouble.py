"""Labels as notes on events: which events were trouble, and since when that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..features.exchange import NEVER, TROUBLE
from ..features.kernels import kernel
from .labels import read_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..features.timeline import Timeline
    from .labels import Labels

__all__ = ["trouble_from", "with_trouble"]


def with_trouble(timeline: Timeline, labels: Labels) -> Timeline:
    """The timeline with a note on each event of when its trouble became known.

    Features count trouble from ``known_at`` on, so all labels may be given, later ones too. An event is in trouble if a
    confirmed label of its entity covers its instant; of several the one known first counts. Labels that clear somebody
    take nothing back: what was believed when a score was made is what that score may use.

    Parameters
    ----------
    timeline : Timeline
        Not yet annotated by a plan.
    labels : Labels

    Returns
    -------
    Timeline
        With the note ``trouble.known_at``, int64 microseconds since 1970 UTC, the largest int64 where there is none.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.events import EventLog
    >>> from peculiar.training.labels import read_labels
    >>> times = ["2025-03-01T08:00:00Z", "2025-03-02T09:00:00Z"]
    >>> timeline, _, _ = EventLog.open(pa.table({"user_id": ["ann", "ann"], "ts": times})).read()
    >>> labels = read_labels(pa.table({"user_id": ["ann"], "from": ["2025-03-02"], "to": ["2025-03-03"]}))
    >>> (with_trouble(timeline, labels).notes["trouble.known_at"] < 2**63 - 1).tolist()
    [False, True]
    """
    bad = labels.positive()
    names = timeline.entity.cast(pa.string())
    found = pc.index_in(bad.table["entity"].combine_chunks(), value_set=names)
    who = found.fill_null(-1).to_numpy(zero_copy_only=False)
    known_at = np.full(len(timeline), NEVER)
    spans = bad.column("from"), bad.column("to"), bad.column("known_at")
    _mark(known_at, (timeline.first, timeline.at), who, spans)
    return replace(timeline, notes={**timeline.notes, TROUBLE: known_at})


def trouble_from(labels: object, *, delay: int = 0) -> Callable[[Timeline], Timeline]:
    """What notes on the events of a timeline when their trouble became known, by labels that are read for it.

    Parameters
    ----------
    labels : path, or anything that speaks Arrow
        See :func:`~peculiar.training.labels.read_labels`.
    delay : int, microseconds
        Where the labels do not say when they became known: how long after.
    """

    def noted(timeline: Timeline) -> Timeline:
        return with_trouble(timeline, read_labels(labels, locate=timeline.locate, delay=delay, zone=timeline.zone))

    return noted


@kernel
def _mark(
    known_at: NDArray[np.int64],
    events: tuple[NDArray[np.int64], NDArray[np.int64]],
    who: NDArray[np.int32],
    spans: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """For each label a binary search among its entity's events, and a step over those it covers."""
    first, at = events
    start, stop, known = spans
    for n in range(len(who)):
        if who[n] < 0:
            continue
        own = at[first[who[n]] : first[who[n] + 1]]
        i = first[who[n]] + np.searchsorted(own, start[n])
        while i < first[who[n] + 1] and at[i] < stop[n]:
            known_at[i] = min(known_at[i], known[n])
            i += 1
