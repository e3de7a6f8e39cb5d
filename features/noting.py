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
from .kernels import kernel
from .timeline import Timeline
from .visits import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .plan import FeaturePlan

__all__ = ["TOLD", "noted_there", "put_back"]

TOLD = np.dtype([("place", "u4"), ("note", "f4")])
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


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
    there, timeline = _at_one(plan, name), _timeline(name, events, troubles, zone)
    notes: dict[str, NDArray[np.float32]] = {}
    for family in there.families:
        if isinstance(family, Annotator):
            notes |= family.annotate(timeline, there.shape, there.windows)
    partition = events["who"] >> 32
    edges = np.append(np.flatnonzero(np.diff(partition, prepend=-1)), len(events))
    for note, values in notes.items():
        told = np.empty(len(events), TOLD)
        told["place"], told["note"] = events["place"], values[: len(events)]
        for lo, hi in pairwise(edges.tolist()):
            yield int(partition[lo]), note, told[lo:hi][events["place"][lo:hi] != NOBODY]


def put_back(told: Iterable[tuple[str, NDArray[np.void]]], events: int) -> dict[str, NDArray[np.float32]]:
    """What was noted on the events of a partition, in the order of its timeline.

    Parameters
    ----------
    told : iterable of (str, array of ``TOLD``)
        All of a note together.
    events : int
        How many the partition has.

    Raises
    ------
    StoreError
        If an event was told nothing, or twice.
    """
    found = {}
    for name, rows in told:
        if len(rows) != events:
            message = f"expected a note on each of {events:,} events, found {len(rows):,}; start again"
            raise StoreError(message)
        found[name] = np.empty(events, np.float32)
        found[name][rows["place"]] = rows["note"]
    return found


def _at_one(plan: FeaturePlan, name: str) -> FeaturePlan:
    """The plan for a log with one meeting place."""
    shared, risky = ((name,) if name in places else () for places in (plan.shared, plan.risky))
    return replace(plan, shared=shared, risky=risky)


def _timeline(name: str, events: NDArray[np.void], troubles: NDArray[np.void], zone: str) -> Timeline:
    """The events as a timeline of their own; all trouble follows as that of one who was at no value."""
    late = troubles[np.argsort(troubles["at"], kind="stable")]
    both = np.concatenate([events, late])
    both["who"][len(events) :], both["there"][len(events) :] = np.iinfo(np.int64).max, False
    code, values = _coded(np.ascontiguousarray(both["key"]), np.ascontiguousarray(both["there"]))
    begins = np.flatnonzero(np.diff(both["who"], prepend=-1))
    return Timeline(
        entity=pa.nulls(len(begins), pa.string()),
        first=np.append(begins, len(both)),
        at=both["at"].copy(),
        dimensions={name: Codes(code, pa.nulls(values, pa.string()))},
        measures={},
        ids=None,
        row=np.arange(len(both), dtype=np.uint32),
        zone=zone,
        notes={TROUBLE: both["known"].copy()},
    )


@kernel
def _coded(keys: NDArray[np.uint64], there: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the keys in the order in which they come, -1 where there is none; and how many they are."""
    bits = 1
    while (1 << bits) < 2 * len(keys):
        bits += 1
    table, codes = np.full(1 << bits, -1, np.int32), np.full(len(keys), -1, np.int32)
    own = np.empty(len(keys), np.uint64)  # of each number
    values, mask, shift = 0, np.uint64((1 << bits) - 1), np.uint64(64 - bits)
    for i in range(len(keys)):
        if not there[i]:
            continue
        place = (keys[i] * _SPREAD) >> shift
        while table[place] >= 0 and own[table[place]] != keys[i]:
            place = (place + np.uint64(1)) & mask
        if table[place] < 0:
            table[place], own[values] = values, keys[i]
            values += 1
        codes[i] = table[place]
    return codes, values
