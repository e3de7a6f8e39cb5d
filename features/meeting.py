"""Where entities meet, in parts: the events of one value of a dimension go into one part, whoever did them.

Families that note on events what others did (:class:`~peculiar.features.family.Annotator`) need the events at a value
and no others. So the partitions of the entities hand over who was when at which value, each dimension is cut into parts
by the hashes of its values, and the families annotate each part as they would annotate a whole log. What they note goes
back to the partition it came from. Beside the events of its values a part is told of all known trouble, of which there
is little, since from when on news can have come is told by trouble anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .ahead import ahead
from .columns import Codes
from .exchange import NEVER, TROUBLE
from .family import Annotator
from .holdings import StoreError
from .kernels import counted_out, kernel
from .timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from .plan import FeaturePlan

__all__ = [
    "EVENT",
    "MEETING_BYTES",
    "NOBODY",
    "TOLD",
    "Meeting",
    "events_by_part",
    "handed_over",
    "meeting_places",
    "noted_there",
    "put_back",
    "troubles_of",
]

_HELD = 64 << 20  # bytes: what is gathered before it goes to disk
_ROWS = "rows.npy"
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
NOBODY = int(np.iinfo(np.uint32).max)  # the place of an event that is told nothing
EVENT = np.dtype([("key", "u8"), ("at", "i8"), ("who", "i8"), ("known", "i8"), ("place", "u4"), ("there", "?")])
TOLD = np.dtype([("place", "u4"), ("note", "f4")])
MEETING_BYTES = EVENT.itemsize + 8 * TOLD.itemsize  # of an event at one meeting place, on its way and with its notes


def meeting_places(plan: FeaturePlan) -> tuple[str, ...]:
    """The dimensions at whose values the plan's families look at who else was there."""
    if not any(isinstance(family, Annotator) for family in plan.families):
        return ()
    return tuple(dict.fromkeys((*plan.shared, *plan.risky)))


@dataclass(eq=False)
class Meeting:
    """The events at the values of all meeting places, in parts on disk.

    Attributes
    ----------
    folder : Path
        For the parts; deleted by whoever made it.
    plan : FeaturePlan
    zone : str
    parts : int
        How many parts a dimension is cut into; the notes do not depend on it.
    """

    folder: Path
    plan: FeaturePlan
    zone: str
    parts: int
    _held: dict[str, list[NDArray[np.void]]] = field(default_factory=dict)
    _troubles: list[NDArray[np.void]] = field(default_factory=list)
    _bytes: int = 0

    def bring(self, partition: int, timeline: Timeline, rows: NDArray[np.int64]) -> None:
        """Hand over the events of a partition, which stood in these rows of all that came; partitions rise."""
        self.expect(partition, rows)
        for name, number, events in handed_over(self.plan, partition, timeline, self.parts):
            self.hand_over(name, number, events)
        self._troubles.append(troubles_of(partition, timeline))

    def expect(self, partition: int, rows: NDArray[np.int64]) -> None:
        """Say which rows of all that came the events of a partition are that are told something, by their places."""
        if len(rows):
            path = self._path(f"told/{partition}/{_ROWS}")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, rows)

    def hand_over(self, name: str, number: int, events: NDArray[np.void]) -> None:
        """Hand over events of a partition at the values of a part of a dimension, in the order of (who, at).

        Those whose place is ``NOBODY`` are seen by others and told nothing.
        """
        self._hold(f"{_quoted(name)}/{number}/events", events)

    def meet(self) -> None:
        """Let the families annotate each part, and send the notes to the partitions they belong to."""
        troubles = np.concatenate([*self._troubles, np.empty(0, EVENT)])
        places = [(name, part) for name in meeting_places(self.plan) for part in range(self.parts)]
        held, self._held, self._bytes = self._held, {}, 0
        for _, told in ahead(partial(self._annotated, held, troubles), places, most=2):
            for partition, note, rows in told:
                self._hold(f"told/{partition}/{_quoted(note)}.notes", rows)
        self._flush()

    def notes(self, partitions: Iterable[int], rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """What was noted on some events, null on those that were told nothing.

        Parameters
        ----------
        partitions : iterable of int
            Those that the events are in, in rising order.
        rows : int64 array of shape (n,)
            Which rows of all that came the events are.

        Returns
        -------
        dict of str to float32 array of shape (n,)

        Raises
        ------
        StoreError
            If a partition was told less than it asked.
        """
        own: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        told: dict[str, list[NDArray[np.float32]]] = {}
        for place in (self.folder / f"told/{partition}" for partition in partitions):
            if (place / _ROWS).exists():
                own.append(np.load(place / _ROWS))
                kept = ((_named(path.stem), np.fromfile(path, TOLD)) for path in sorted(place.glob("*.notes")))
                for name, note in put_back(kept, len(own[-1])).items():
                    told.setdefault(name, []).append(note)
        asked, notes = np.concatenate(own), {name: np.concatenate(each) for name, each in told.items()}
        if np.array_equal(asked, rows):
            return notes
        at, which = _among(rows, asked)
        found = {name: np.full(len(rows), np.nan, np.float32) for name in notes}
        for name, note in notes.items():
            found[name][at] = note[which]
        return found

    def _annotated(
        self, held: dict[str, list[NDArray[np.void]]], troubles: NDArray[np.void], place: tuple[str, int]
    ) -> list[tuple[int, str, NDArray[np.void]]]:
        """What is noted at the values of a part of a dimension; its events are not needed any more then."""
        name, part = place
        called = f"{_quoted(name)}/{part}/events"
        path, late = self._path(called), held.pop(called, [])
        early = [np.fromfile(path, EVENT)] if path.exists() else []
        path.unlink(missing_ok=True)
        if not early and not late:
            return []
        return list(noted_there(self.plan, name, np.concatenate([*early, *late]), troubles, zone=self.zone))

    def _hold(self, name: str, rows: NDArray[np.void]) -> None:
        if len(rows):
            self._held.setdefault(name, []).append(rows)
            self._bytes += rows.nbytes
        if self._bytes > _HELD:
            self._flush()

    def _flush(self) -> None:
        for name, rows in self._held.items():
            path = self._path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                np.concatenate(rows).tofile(file)
        self._held, self._bytes = {}, 0

    def _path(self, name: str) -> Path:
        return self.folder / name


def handed_over(
    plan: FeaturePlan, partition: int, timeline: Timeline, parts: int
) -> Iterator[tuple[str, int, NDArray[np.void]]]:
    """The events of a partition as each part of each meeting place wants them, in the order of the timeline.

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
    part = (_mixed(np.append(values.keys, np.uint64(0))) % np.uint64(parts)).astype(np.int64)
    order, first = counted_out(_parts(values.codes, part, parts), rows, parts)
    events = np.empty(len(order), EVENT)
    _fill(events, order, values.codes, values.keys, columns, partition << 32)
    for number in np.flatnonzero(np.diff(first)).tolist():
        yield number, events[first[number] : first[number + 1]]


@kernel
def _parts(codes: NDArray[np.int32], part: NDArray[np.int64], parts: int) -> NDArray[np.int32]:
    """The part of each event: that of its value, any if it has none."""
    found = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        found[i] = part[codes[i]] if codes[i] >= 0 else i % parts
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
        code = codes[row]
        event["there"] = code >= 0
        event["key"] = keys[code] if code >= 0 else np.uint64(i)
        event["at"], event["known"], event["place"] = at[row], known[row], place[row]
        event["who"] = others + who[row]


def troubles_of(partition: int, timeline: Timeline) -> NDArray[np.void]:
    """The events of a partition that are known trouble, at whatever value; an array of ``EVENT``."""
    if TROUBLE not in timeline.notes:
        return np.empty(0, EVENT)
    known = timeline.notes[TROUBLE]
    rows = np.flatnonzero(known != NEVER).astype(np.uint32)
    events, nothing = np.empty(len(rows), EVENT), np.full(len(timeline), -1, np.int32)
    columns = timeline.owner, timeline.at, known, np.arange(len(timeline), dtype=np.uint32)
    _fill(events, rows, nothing, np.empty(0, np.uint64), columns, partition << 32)
    return events


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


def _among(rows: NDArray[np.int64], asked: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of the rows are among others, each there once at most, and at which place of these."""
    if not len(asked):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    near = np.flatnonzero((rows >= asked.min()) & (rows <= asked.max()))
    order = np.argsort(asked)
    place = order[np.searchsorted(asked, rows[near], sorter=order)]
    there = asked[place] == rows[near]
    return near[there], place[there]


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


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread keys that may be numbers in a row."""
    mixed: NDArray[np.uint64] = (keys ^ (keys >> np.uint64(31))) * _SPREAD
    return mixed >> np.uint64(33)


def _quoted(name: str) -> str:
    """The name of a note as that of a file: a column may be called anything."""
    return name.encode().hex()


def _named(stem: str) -> str:
    return bytes.fromhex(stem).decode()
