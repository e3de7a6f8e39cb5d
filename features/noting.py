"""What families note where entities meet: on the events of a part of a dimension, as they would on a whole log."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .columns import Codes
from .exchange import TROUBLE
from .family import Annotator
from .holdings import StoreError
from .kernels import SPREAD, kernel
from .timeline import Timeline
from .visits import EVENT, NOBODY, meeting_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .plan import FeaturePlan

__all__ = ["TOLD", "note_names", "noted_there", "put_back"]

TOLD = np.dtype([("place", "u4"), ("note", "f4")])


def noted_there(
    plan: FeaturePlan, name: str, events: NDArray[np.void], troubles: NDArray[np.void], *, zone: str
) -> Iterator[tuple[int, str, NDArray[np.void]]]:
    """What the families note on the events of one part, for each partition they came from.

    Parameters
    ----------
    plan : FeaturePlan
    name : str
        The dimension.
    events : array of ``EVENT``
        In the order of (who, at).
    troubles : array of ``EVENT``
        All that are known, at any value.
    zone : str

    Yields
    ------
    partition : int
    note : str
    told : array of ``TOLD``
    """
    notes = _notes_at(plan, name, _timeline(name, events, troubles, zone))
    told = np.flatnonzero(events["place"] != NOBODY)
    partition, place = events["who"][told] >> 32, events["place"][told]
    edges = np.append(np.flatnonzero(np.diff(partition, prepend=-1)), len(told))
    for note, values in notes.items():
        rows = np.empty(len(told), TOLD)
        rows["place"], rows["note"] = place, values[told]
        for lo, hi in pairwise(edges.tolist()):
            yield int(partition[lo]), note, rows[lo:hi]


def note_names(plan: FeaturePlan, zone: str) -> tuple[str, ...]:
    """The notes that a plan's families make where entities meet.

    Examples
    --------
    >>> from peculiar.features.plan import FeaturePlan
    >>> from peculiar.features.roles import Roles
    >>> roles = Roles(entity="user_id", at="ts", dimensions=("device",))
    >>> note_names(FeaturePlan(roles, shared=("device",)), "UTC")
    ('sharing.device.horizon', 'sharing.device.day')
    """
    nothing = np.empty(0, EVENT)
    made = (_notes_at(plan, name, _timeline(name, nothing, nothing, zone)) for name in meeting_places(plan))
    return tuple(note for notes in made for note in notes)


def put_back(
    told: Iterable[tuple[str, NDArray[np.void]]], events: int, names: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """What was noted on the events of a partition, in the order of its timeline; null where nothing was.

    Parameters
    ----------
    told : iterable of (str, array of ``TOLD``)
        All of a note together.
    events : int
        How many the partition has.
    names : tuple of str
        Of all notes: of those that nothing was told of, too.

    Raises
    ------
    StoreError
        If more was told than there are events.

    Examples
    --------
    >>> told = np.array([(1, 0.5)], TOLD)
    >>> put_back([("sharing.device.day", told)], 2, ("sharing.device.day",))
    {'sharing.device.day': array([nan, 0.5], dtype=float32)}
    """
    found = {name: np.full(events, np.nan, np.float32) for name in names}
    for name, rows in told:
        if len(rows) > events:
            message = f"expected notes on {events:,} events at most, found {len(rows):,}; start again"
            raise StoreError(message)
        found[name][rows["place"]] = rows["note"]
    return found


def _notes_at(plan: FeaturePlan, name: str, timeline: Timeline) -> dict[str, NDArray[np.float32]]:
    """What the families note at a dimension."""
    there = _at_one(plan, name)
    notes: dict[str, NDArray[np.float32]] = {}
    for family in there.families:
        if isinstance(family, Annotator):
            notes |= family.annotate(timeline, there.shape, there.windows)
    return notes


def _at_one(plan: FeaturePlan, name: str) -> FeaturePlan:
    """The plan for a log with one meeting place."""
    shared, risky = ((name,) if name in places else () for places in (plan.shared, plan.risky))
    return replace(plan, shared=shared, risky=risky)


def _timeline(name: str, events: NDArray[np.void], troubles: NDArray[np.void], zone: str) -> Timeline:
    """The events as a timeline of their own; all trouble follows as that of one who was at no value."""
    late = troubles[np.argsort(troubles["at"], kind="stable")]
    code, values = _coded(np.ascontiguousarray(events["key"]))
    begins = np.flatnonzero(np.diff(events["who"], prepend=-1))
    first = np.append(begins, [len(events), len(events) + len(late)] if len(late) else [len(events)])
    return Timeline(
        entity=pa.nulls(len(first) - 1, pa.string()),
        first=first,
        at=np.concatenate([events["at"], late["at"]]),
        dimensions={name: Codes(np.append(code, np.full(len(late), -1, np.int32)), pa.nulls(values, pa.string()))},
        measures={},
        ids=None,
        row=np.arange(len(events) + len(late), dtype=np.uint32),
        zone=zone,
        notes={TROUBLE: np.concatenate([events["known"], late["known"]])},
    )


@kernel
def _coded(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int32], int]:
    """Number the keys in the order in which they come; and how many they are."""
    bits = 1
    while (1 << bits) < 2 * len(keys):
        bits += 1
    table, codes = np.full(1 << bits, -1, np.int32), np.empty(len(keys), np.int32)
    own = np.empty(len(keys), np.uint64)  # of each number
    values, mask, shift = 0, np.uint64((1 << bits) - 1), np.uint64(64 - bits)
    for i in range(len(keys)):
        place = (keys[i] * SPREAD) >> shift
        while table[place] >= 0 and own[table[place]] != keys[i]:
            place = (place + np.uint64(1)) & mask
        if table[place] < 0:
            table[place], own[values] = values, keys[i]
            values += 1
        codes[i] = table[place]
    return codes, values
