"""The event store: encoded events on disk, by day and by partition of the entities.

    <folder>/manifest.json                     roles, partitions, what came to the door, files in the order of arrival
    <folder>/day=2025-03-03/<sha256>.events    a segment for each partition (features/segments.py)
    <folder>/rejected/day=2025-03-03/<sha256>.parquet  rows that stayed outside, by the last day that came with them

A log of any size passes through once, a piece at a time, and is worked on partition by partition afterwards. A file is
named by its content and appears whole; the manifest is replaced after each piece, and what it does not name does not
count. So an interrupted run goes on with the next piece, and the same events added twice change nothing.

Which partition an entity is in is told by its hash alone, so neither the number of partitions nor the order of arrival
shows in any vector. A day leaves the store by its folder being deleted.
"""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from . import columns as col
from .door import arrive
from .events import DataReport
from .holdings import Manifest, Stored, StoreError
from .output import beside, parquet_bytes
from .recall import Rows, admitted, arrivals_of, rows_of, stored_columns
from .segments import BARE, ENTITY, ID, MOST_PARTITIONS, ROW, Layout, Piece, read_segments, segment_file
from .sources import expected_rows, in_pieces, signature
from .texts import Vocabulary
from .timeline import sort_events
from .whole import Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from .events import EventLog
    from .roles import Roles
    from .segments import Segments
    from .timeline import Timeline

__all__ = ["EventStore", "delivery", "is_store"]

_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)
_PIECE = 4_000_000


@dataclass(frozen=True, eq=False)
class EventStore:
    """Encoded events on disk.

    Attributes
    ----------
    folder : Path
    manifest : Manifest

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from peculiar.features.events import EventLog
    >>> rows = {"user_id": ["ann", "ben"], "ts": ["2025-03-01T08:00:00Z", "2025-03-02T09:00:00Z"]}
    >>> log = EventLog.open(pa.table(rows))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = EventStore.create(Path(folder) / "store", log.roles, partitions=2).add(log)
    ...     sum(len(store.timeline(n)[0]) for n in range(2)), [str(day) for day in store.days()]
    (2, ['2025-03-01', '2025-03-02'])
    """

    folder: Path
    manifest: Manifest
    _known: dict[str, Layout] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def create(cls, folder: Path, roles: Roles, *, partitions: int) -> EventStore:
        """A new store in a folder that is not there yet.

        Raises
        ------
        StoreError
            If the number of partitions is no power of two up to 4,096, or there is something already.
        """
        if not 1 <= partitions <= MOST_PARTITIONS or partitions & (partitions - 1):
            message = f"expected 1, 2, 4 … {MOST_PARTITIONS} partitions, got {partitions}"
            raise StoreError(message)
        if folder.exists() and any(folder.iterdir()):
            message = f"expected a new folder for the event store, {folder} holds files; choose another"
            raise StoreError(message)
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder, Manifest(roles, partitions))
        _put(folder / "manifest.json", made.manifest.to_json())
        return made

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A store that is there.

        Raises
        ------
        StoreError
            If there is none, or it cannot be read.
        """
        try:
            content = (folder / "manifest.json").read_bytes()
        except OSError as error:
            message = f"expected an event store at {folder}, found none; make one with peculiar store add"
            raise StoreError(message) from error
        return cls(folder, Manifest.from_json(content, str(folder)))

    @property
    def partitions(self) -> int:
        """How many parts the entities are in."""
        return self.manifest.partitions

    @property
    def rows(self) -> int:
        """Events in the store, copies of others among them."""
        return sum(file.rows for file in self.manifest.files)

    @property
    def bytes(self) -> int:
        """Size of the events on disk."""
        return sum(file.bytes for file in self.manifest.files)

    @cached_property
    def filled(self) -> list[int]:
        """The partitions that have an event."""
        sizes = [np.diff(there.first) for there, _ in self.segments(range(self.partitions), columns=())]
        return np.flatnonzero(np.any(sizes, axis=0)).tolist() if sizes else []

    def days(self) -> list[date]:
        """The days that have events, in order."""
        return [_EPOCH + timedelta(days=day) for day in sorted({file.day for file in self.manifest.files})]

    def fullest(self, since: date | None = None, until: date | None = None) -> int:
        """The most events that a partition has on some days ``[since, until)``, as they are cut evenly by the hash."""
        within = (file.rows for file in self._files(since, until))
        return -(-sum(within) // self.partitions)

    def add(
        self,
        log: EventLog,
        *,
        rows: int = _PIECE,
        progress: Callable[[str, float], None] | None = None,
    ) -> EventStore:
        """Take in a log, a piece at a time; a log that was being added goes on where it stopped.

        Parameters
        ----------
        log : EventLog
        rows : int
            Rows in a piece: what is in memory at a time.
        progress : callable, optional
            Called with what is done and the share of it.

        Returns
        -------
        EventStore
            With the events. What equals a file that is there already is not added again.

        Raises
        ------
        StoreError
            If the store was made for other roles.
        SchemaError
            If the log lacks a column.
        """
        if log.roles != self.manifest.roles:
            message = f"expected a log with the store's roles, {self.manifest.roles}, got {log.roles}"
            raise StoreError(message)
        with FileLock(str(self.folder / ".lock")):
            store = type(self).open(self.folder)
            name, (before, in_already) = delivery(log, rows), store.manifest.coming
            done = in_already if name and before == name else 0
            total, here = max(1, expected_rows(log.source)), 0
            for number, piece in enumerate(in_pieces(log.source, log.roles.columns, rows), 1):
                if number > done:
                    store = _with(store, piece, (name, number))
                here += len(piece)
                if progress:
                    progress("splitting", min(1.0, here / total))
            return _saved(replace(store, manifest=replace(store.manifest, source=log.source.name)))

    def timeline(
        self, partition: int | range, since: date | None = None, until: date | None = None, *,
        entities: pa.Array | None = None, spurned: NDArray[np.int64] | None = None,
    ) -> tuple[Timeline, DataReport, dict[str, NDArray[np.int64]]]:  # fmt: skip
        """The events of a partition, sorted by entity and time, without copies.

        Parameters
        ----------
        partition : int, or range of int
            One, or several that follow each other.
        since, until : date, optional
            Days ``[since, until)`` in the log's zone.
        entities : pyarrow.Array of text, optional
            Only of these.
        spurned : int64 array, optional
            Rows that are not to come in: their ids are other events'.

        Returns
        -------
        timeline, report, dropped
            As :meth:`in_order` has them.
        """
        return self.in_order(self.raw(partition, since, until, entities=entities), spurned)

    def in_order(
        self, rows: Rows, spurned: NDArray[np.int64] | None = None
    ) -> tuple[Timeline, DataReport, dict[str, NDArray[np.int64]]]:
        """Stored rows as a timeline.

        Parameters
        ----------
        rows : Rows
            From :meth:`raw`.
        spurned : int64 array, optional
            Rows that are not to come in: their ids are other events'.

        Returns
        -------
        timeline : Timeline
            ``row`` is the position among the rows.
        report : DataReport
            Of the rows that came in.
        dropped : dict of str to int64 array
            Rows of the source that were dropped here, by reason.
        """
        kept, out = admitted(rows, self.manifest.whole, spurned)
        distinct = self.manifest.rising is not None
        timeline, copies = sort_events(arrivals_of(rows, self.manifest.roles, distinct=distinct), kept)
        nobody = np.empty(0, np.intp)
        both = {reason: (out.get(reason, nobody), copies.get(reason, nobody)) for reason in (*out, *copies)}
        dropped = {reason: rows.row[np.concatenate(at)] for reason, at in both.items() if sum(map(len, at))}
        counts = {reason: len(at) for reason, at in dropped.items()}
        span = (int(timeline.at.min()), int(timeline.at.max())) if len(timeline) else (None, None)
        there = int(np.count_nonzero(np.diff(timeline.first)))
        return timeline, DataReport(self.manifest.source, len(rows), len(timeline), counts, (), there, *span), dropped

    def raw(
        self,
        partition: int | range,
        since: date | None = None,
        until: date | None = None,
        *,
        entities: pa.Array | None = None,
        columns: Sequence[str] | None = None,
    ) -> Rows:
        """The rows of a partition as they are stored, by the position that :meth:`timeline` calls ``row``.

        All columns that timelines are made of, or some of them alone, which is faster.
        """
        there = stored_columns(self.manifest.roles)
        wanted = there if columns is None else {name: there[name] for name in columns}
        needed = {*wanted, BARE, *(() if entities is None else (ENTITY,))}
        return rows_of(self.segments(partition, since, until, columns=needed), wanted, entities)

    def only(self, files: Iterable[Stored]) -> EventStore:
        """The same store as if it had some of its files alone."""
        return replace(self, manifest=replace(self.manifest, files=tuple(files)))

    def touched(self, partition: int | range, since: date | None, until: date | None, name: str) -> Vocabulary:
        """The values of a dimension in the events of some days ``[since, until)``."""
        found = Vocabulary()
        for there, _ in self.segments(partition, since, until, columns={f"d:{name}"}):
            found.learn(there.texts[f"d:{name}"].values)
        return found

    def touching(self, day: date, name: str, values: Vocabulary) -> pa.Array:
        """The entities that have events at some values of a dimension on a day."""
        found = Vocabulary()
        for number in self.filled:
            there = self.raw(number, day, day + timedelta(days=1), columns=(ENTITY, f"d:{name}"))
            codes, who = there.codes[f"d:{name}"], there.codes[ENTITY]
            at = np.append(values.find(codes.values) >= 0, False)[codes.codes]  # the last is that of null
            found.learn(who.values.take(pa.array(np.unique(who.codes[at]))))
        return found.values

    def active(self, partition: int | range, since: date | None, until: date | None) -> pa.Array:
        """The entities of a partition that have events on some days ``[since, until)``, in no order that matters."""
        found = Vocabulary()
        for there, _ in self.segments(partition, since, until, columns={ENTITY}):
            found.learn(there.texts[ENTITY].values)
        return found.values

    def forget(self, before: date) -> EventStore:
        """Delete all days before one, for good; the names in them are gone with them."""
        edge = (before - _EPOCH).days
        with FileLock(str(self.folder / ".lock")):
            store = type(self).open(self.folder)
            kept = tuple(file for file in store.manifest.files if file.day >= edge)
            outside = tuple(name for name in store.manifest.rejected if name.split("/")[1] >= f"day={before}")
            store = _saved(replace(store, manifest=replace(store.manifest, files=kept, rejected=outside)))
            named = {*outside, *(file.path for file in kept)}
            for path in (*self.folder.glob("day=*/*.events"), *self.folder.glob("rejected/day=*/*")):
                if path.relative_to(self.folder).as_posix() not in named:
                    path.unlink()
            for folder in (*self.folder.glob("day=*"), *self.folder.glob("rejected/day=*")):
                if not any(folder.iterdir()):
                    folder.rmdir()
        return store

    def restore(self) -> EventStore:
        """Make the store again what it was when this was read; what came since does not count any more."""
        with FileLock(str(self.folder / ".lock")):
            return _saved(self)

    def delete(self) -> None:
        """Remove the store from the disk."""
        shutil.rmtree(self.folder)

    def _files(self, since: date | None, until: date | None) -> list[Stored]:
        first, last = (None if day is None else (day - _EPOCH).days for day in (since, until))
        held = self.manifest.files
        return [f for f in held if (first is None or f.day >= first) and (last is None or f.day < last)]

    def segments(
        self,
        partition: int | range,
        since: date | None = None,
        until: date | None = None,
        *,
        columns: Collection[str] | None = None,
    ) -> Iterator[tuple[Segments, int]]:
        """What each file holds of some partitions, and what is added to its rows to make them rows of all that came.

        By day, within a day in the order of arrival: that of the source, where nothing else tells events apart.
        """
        for file in sorted(self._files(since, until), key=lambda file: file.day):
            path = self.folder / file.path
            if file.path not in self._known:
                self._known[file.path] = Layout.of(path)
            yield read_segments(path, partition, columns, layout=self._known[file.path]), file.first


def is_store(place: object) -> bool:
    """Whether a path leads to an event store.

    Examples
    --------
    >>> is_store("events.parquet")
    False
    """
    if not isinstance(place, str | Path) or not (Path(place) / "manifest.json").is_file():
        return False
    return b'"partitions":' in (Path(place) / "manifest.json").read_bytes()  # a model has a manifest of that name, too


def delivery(log: EventLog, rows: int) -> str:
    """What tells a log in pieces of so many rows from others, so that an interrupted one is known; empty if none is."""
    told = signature(log.source)
    return f"{told} by {rows:,} rows" if told else ""


def _with(store: EventStore, table: pa.Table, coming: tuple[str, int]) -> EventStore:
    """The store with one more piece."""
    manifest, roles = store.manifest, store.manifest.roles
    arrivals, door, times = arrive(table, roles, Whole(mixed=False))
    raw: dict[str, Any] = {ROW: np.arange(len(table), dtype=np.int32)}
    raw |= {} if roles.id is None else {ID: _plain(table[roles.id])}
    raw |= {BARE: np.full(len(table), times.assumed, np.uint8)} if times.text else {}
    day = col.to_wall(arrivals.at, roles.time_zone) // _DAY
    piece = Piece.of(arrivals, raw, door.kept(), day, manifest.partitions)
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda number: _file(store, piece, number), range(len(piece.days))))
    there = {file.path for file in manifest.files}
    fresh = tuple(file for file in made if file.path not in there)
    if made and not fresh:
        return _saved(replace(store, manifest=replace(manifest, coming=coming)))
    counts = {reason: manifest.counts.get(reason, 0) + n for reason, n in door.counts.items()}
    manifest = replace(
        manifest,
        files=(*manifest.files, *fresh),
        rejected=tuple(dict.fromkeys((*manifest.rejected, *_aside(store, door.table(table), piece)))),
        counts={**manifest.counts, **counts},
        rows=manifest.rows + len(table),
        whole=manifest.whole.merged(Whole.of(times)),
        rising=_rising(manifest.rising, arrivals.ids),
        coming=coming,
        notes=tuple(dict.fromkeys((*manifest.notes, *door.notes))),
    )
    return _saved(replace(store, manifest=manifest))


def _file(store: EventStore, piece: Piece, number: int) -> Stored:
    content, sha256 = segment_file(piece.of_day(number))
    day = int(piece.days[number])
    path = f"day={_EPOCH + timedelta(days=day)}/{sha256[:32]}.events"
    rows = int(piece.ends[number, -1] - piece.ends[number, 0])
    _put(store.folder / path, content)
    return Stored(path, day, rows, len(content), store.manifest.rows)


def _aside(store: EventStore, rejected: pa.Table, piece: Piece) -> list[str]:
    """Write the rows that stayed outside, and name the file."""
    if not rejected.num_rows:
        return []
    rejected = rejected.set_column(0, "row", pc.add(rejected["row"], store.manifest.rows))
    content = parquet_bytes(rejected)
    day = _EPOCH + timedelta(days=int(piece.days[-1]) if len(piece.days) else 0)
    path = f"rejected/day={day}/{hashlib.sha256(content).hexdigest()[:32]}.parquet"
    _put(store.folder / path, content)
    return [path]


def _saved(store: EventStore) -> EventStore:
    _put(store.folder / "manifest.json", store.manifest.to_json())
    return store


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _rising(before: tuple[int, int] | tuple[()] | None, ids: col.Ids | None) -> tuple[int, int] | tuple[()] | None:
    """Whether ids only ever rise, so that none can be used again: their first and last, or None."""
    if before is None or ids is None or (len(ids.keys) and not ids.unique):
        return None
    if not len(ids.keys):
        return before
    first, last = int(ids.keys[0]), int(ids.keys[-1])
    return (first, last) if not before else (before[0], last) if first > before[1] else None


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as unfinished:
        unfinished.write_bytes(content)
