"""Who was when at which value of a dimension: events as they travel from the partitions to where entities meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .exchange import NEVER, TROUBLE
from .family import Annotator
from .kernels import SPREAD, counted_out, kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .columns import Codes
    from .plan import FeaturePlan
    from .timeline import Timeline

__all__ = ["EVENT", "NOBODY", "events_by_part", "handed_over", "meeting_places", "troubles_of"]

NOBODY = int(np.iinfo(np.uint32).max)  # the place of an event that is told nothing
EVENT = np.dtype([("key", "u8"), ("at", "i8"), ("who", "i8"), ("known", "i8"), ("place", "u4")])


def meeting_places(plan: FeaturePlan) -> tuple[str, ...]:
    """The dimensions at whose values the plan's families look at who else was there.

    Examples
    --------
    >>> from peculiar.features.plan import FeaturePlan
    >>> from peculiar.features.roles import Roles
    >>> roles = Roles(entity="user_id", at="ts", dimensions=("device", "shop"))
    >>> meeting_places(FeaturePlan(roles, shared=("device",), risky=("shop", "device")))
    ('device', 'shop')
    """
    if not any(isinstance(family, Annotator) for family in plan.families):
        return ()
    return tuple(dict.fromkeys((*plan.shared, *plan.risky)))


def handed_over(
    plan: FeaturePlan, partition: int, timeline: Timeline, parts: int
) -> Iterator[tuple[str, int, NDArray[np.void]]]:
    """The events of a partition that have a value there, as each part of each meeting place wants them, in their order.

    Yields
    ------
    dimension : str
    part : int
    events : array of ``EVENT``
        At least one.
    """
    known = timeline.notes.get(TROUBLE, np.full(len(timeline), NEVER))
    every = np.arange(len(timeline), dtype=np.uint32)
    for name in meeting_places(plan):
        columns = timeline.owner, timeline.at, known, every
        for number, events in events_by_part(timeline.dimensions[name], columns, every, partition, parts):
            yield name, number, events


def events_by_part(
    values: Codes,
    columns: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint32]],
    rows: NDArray[np.uint32],
    partition: int,
    parts: int,
) -> Iterator[tuple[int, NDArray[np.void]]]:
    """Some events of a partition as the parts of a meeting place want them, in the order that they have.

    Events without a value meet nobody.

    Parameters
    ----------
    values : Codes, n rows
        The dimension.
    columns : tuple of arrays of shape (n,)
        Whose each event is, int32; when it was and its trouble became known, int64; its place, uint32.
    rows : uint32 array
        Which events.
    partition, parts : int

    Yields
    ------
    part : int
    events : array of ``EVENT``
        At least one.
    """
    part = (_mixed(values.keys) % np.uint64(parts)).astype(np.int64)
    there = _valued(values.codes, rows)
    order, first = counted_out(_parts(values.codes, part), there, parts)
    events = np.empty(len(order), EVENT)
    _fill(events, order, values.codes, values.keys, columns, partition << 32)
    for number in np.flatnonzero(np.diff(first)).tolist():
        yield number, events[first[number] : first[number + 1]]


@kernel
def _valued(codes: NDArray[np.int32], rows: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The rows that have a value."""
    there, n = np.empty(len(rows), np.uint32), 0
    for i in range(len(rows)):
        there[n] = rows[i]
        n += codes[rows[i]] >= 0
    return there[:n].copy()


@kernel
def _parts(codes: NDArray[np.int32], part: NDArray[np.int64]) -> NDArray[np.int32]:
    """The part of each event: that of its value, -1 if it has none."""
    found = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        found[i] = part[codes[i]] if codes[i] >= 0 else -1
    return found


@kernel
def _fill(
    events: NDArray[np.void],
    rows: NDArray[np.uint32],
    codes: NDArray[np.int32],
    keys: NDArray[np.uint64],
    columns: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint32]],
    others: int,
) -> None:
    """Fill in the events of a partition, whose entities come after so many others."""
    who, at, known, place = columns
    for i in range(len(rows)):
        row, event = rows[i], events[i]
        event["key"] = keys[codes[row]]
        event["at"], event["known"], event["place"] = at[row], known[row], place[row]
        event["who"] = others + who[row]


def troubles_of(partition: int, timeline: Timeline) -> NDArray[np.void]:
    """The events of a partition that are known trouble, at whatever value; an array of ``EVENT``."""
    if TROUBLE not in timeline.notes:
        return np.empty(0, EVENT)
    known = timeline.notes[TROUBLE]
    rows = np.flatnonzero(known != NEVER)
    events = np.zeros(len(rows), EVENT)
    events["at"], events["known"], events["place"] = timeline.at[rows], known[rows], rows
    events["who"] = timeline.owner[rows].astype(np.int64) + (partition << 32)
    return events


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread keys that may be numbers in a row."""
    mixed: NDArray[np.uint64] = (keys ^ (keys >> np.uint64(31))) * SPREAD
    return mixed >> np.uint64(33)
