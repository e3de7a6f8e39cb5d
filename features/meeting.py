"""Where entities meet, in parts: the events of one value of a dimension go into one part, whoever did them.

Families that note on events what others did (:class:`~peculiar.features.family.Annotator`) need the events at a value
and no others. So the partitions of the entities hand over who was when at which value, each dimension is cut into parts
by the hashes of its values, and the families annotate each part as they would annotate a whole log. What they note goes
back to the partition it came from. Beside the events of its values a part is told of all known trouble, of which there
is little, since from when on news can have come is told by trouble anywhere.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from .ahead import ahead
from .holdings import StoreError
from .kernels import SPREAD, kernel
from .noting import TOLD, note_names, noted_there, put_back
from .visits import EVENT, handed_over, meeting_places, troubles_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .plan import FeaturePlan
    from .timeline import Timeline

__all__ = ["MEETING_BYTES", "Meeting"]

_HELD = 64 << 20  # bytes: what is gathered before it goes to disk
_ROWS = "rows.npy"
MEETING_BYTES = EVENT.itemsize + 8 * TOLD.itemsize  # of an event at one meeting place, on its way and with its notes


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
    _asking: list[range] = field(default_factory=list)
    _held: dict[str, list[NDArray[np.void]]] = field(default_factory=dict)
    _written: Counter[str] = field(default_factory=Counter)
    _troubles: list[NDArray[np.void]] = field(default_factory=list)
    _bytes: int = 0

    def bring(self, partition: int, timeline: Timeline, rows: NDArray[np.int64]) -> None:
        """Hand over the events of a partition, which stood in these rows of all that came; partitions rise."""
        self.expect(range(partition, partition + 1), rows)
        for name, number, events in handed_over(self.plan, partition, timeline, self.parts):
            self.hand_over(name, number, events)
        self._troubles.append(troubles_of(partition, timeline))

    def expect(self, partitions: range, rows: NDArray[np.int64]) -> None:
        """Say which rows of all that came the events are that are told something, by their places.

        Parameters
        ----------
        partitions : range
            Those that the events are in; each is in one range alone. What they are told is addressed to the first.
        rows : int64 array
        """
        if len(rows):
            self._asking.append(partitions)
            path = self._path(f"told/{partitions.start}/{_ROWS}")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, rows)

    def hand_over(self, name: str, number: int, events: NDArray[np.void]) -> None:
        """Hand over events of some partitions at the values of a part of a dimension, in the order of (who, at).

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
                self._hold(_notes(partition, note), rows)
        self._flush()

    def notes(self, partitions: range, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """What was noted on some events, null on those that were told nothing.

        Parameters
        ----------
        partitions : range
            Those that the events are in.
        rows : int64 array of shape (n,)
            Which rows of all that came the events are.

        Returns
        -------
        dict of str to float32 array of shape (n,)

        Raises
        ------
        StoreError
            If what was written for a partition is not there.
        """
        own: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        told: dict[str, list[NDArray[np.float32]]] = {}
        for asking in self._asking:
            if asking.start < partitions.stop and partitions.start < asking.stop:
                place = self.folder / f"told/{asking.start}"
                own.append(np.load(place / _ROWS))
                kept = [(name, self._read(_notes(asking.start, name), TOLD)) for name in self._names]
                for name, note in put_back(kept, len(own[-1]), self._names).items():
                    told.setdefault(name, []).append(note)
        nothing: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        asked, notes = np.concatenate(own), {name: np.concatenate(told.get(name, nothing)) for name in self._names}
        if np.array_equal(asked, rows):
            return notes
        at = _among(asked, rows)
        return {name: _spread(note, at) for name, note in notes.items()}

    def _annotated(
        self, held: dict[str, list[NDArray[np.void]]], troubles: NDArray[np.void], place: tuple[str, int]
    ) -> list[tuple[int, str, NDArray[np.void]]]:
        """What is noted at the values of a part of a dimension; its events are not needed any more then."""
        name, part = place
        called = f"{_quoted(name)}/{part}/events"
        events = np.concatenate([self._read(called, EVENT), *held.pop(called, [])])
        self._path(called).unlink(missing_ok=True)
        return list(noted_there(self.plan, name, events, troubles, zone=self.zone)) if len(events) else []

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
                for each in rows:
                    each.tofile(file)
                    self._written[name] += len(each)
        self._held, self._bytes = {}, 0

    def _read(self, name: str, kind: np.dtype[np.void]) -> NDArray[np.void]:
        """What was written under a name, all of it."""
        written = self._written[name]
        rows = np.fromfile(self._path(name), kind) if written else np.empty(0, kind)
        if len(rows) != written:
            message = f"{self._path(name)}: expected {written:,} rows, found {len(rows):,}; start again"
            raise StoreError(message)
        return rows

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return note_names(self.plan, self.zone)

    def _path(self, name: str) -> Path:
        return self.folder / name


@kernel
def _among(asked: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each row among those that asked, each of which is there once; -1 where it is none of these."""
    bits = 1
    while (1 << bits) < 2 * len(asked):
        bits += 1
    table, places = np.full(1 << bits, -1, np.int32), np.full(len(rows), -1, np.int64)
    if len(asked) == 0:
        return places
    mask, shift, least, most = np.int64((1 << bits) - 1), np.uint64(64 - bits), asked[0], asked[0]
    for i in range(len(asked)):
        slot = np.int64((np.uint64(asked[i]) * SPREAD) >> shift)
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = i
        least, most = min(least, asked[i]), max(most, asked[i])
    for k in range(len(rows)):
        if least <= rows[k] <= most:
            slot = np.int64((np.uint64(rows[k]) * SPREAD) >> shift)
            while table[slot] >= 0 and asked[table[slot]] != rows[k]:
                slot = (slot + 1) & mask
            places[k] = table[slot]
    return places


@kernel
def _spread(note: NDArray[np.float32], place: NDArray[np.int64]) -> NDArray[np.float32]:
    """The note at each place, null where there is none."""
    found = np.empty(len(place), np.float32)
    for i in range(len(place)):
        found[i] = note[place[i]] if place[i] >= 0 else np.nan
    return found


def _notes(partition: int, note: str) -> str:
    return f"told/{partition}/{_quoted(note)}.notes"


def _quoted(name: str) -> str:
    """The name of a note as that of a file: a column may be called anything."""
    return name.encode().hex()
