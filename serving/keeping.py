"""An event store as one keeps it: a delivery comes in, the use is on record, and what left the horizon is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..audit import Use, record
from ..errors import ConfigError
from ..features.daily import take_in
from ..features.memory import Room
from ..features.sources import expected_rows
from ..features.store import EventStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from ..features.daily import Increment
    from ..features.events import EventLog
    from ..features.plan import FeaturePlan
    from ..features.snapshots import WindowSpec

__all__ = ["Delivered", "Keeping", "add_to_store", "stored"]


@dataclass(frozen=True)
class Keeping:
    """How an event store is kept.

    Attributes
    ----------
    folder : Path
    memory : int
        Bytes that the process may take in all.
    partitions : int or None
        Of a store that is made anew; None for as many as the first log takes in this much memory.
    late : int
        Days before the first new one that are built again if events come late.
    keep : int
        Days that stay before those, if that is more than their windows look at.
    """

    folder: Path
    memory: int = 2 * 10**9
    partitions: int | None = None
    late: int = 0
    keep: int = 0


@dataclass(frozen=True, eq=False)
class Delivered:
    """What became of a delivery.

    Attributes
    ----------
    store : EventStore
        As it is now.
    came : int
        Rows of the delivery that were not there yet, those that stayed outside among them.
    changed : mapping of date to int or None
        How many entities have other vectors on which day; None where all have, or nobody can tell.
    gone : tuple of date
        Days that left.
    """

    store: EventStore
    came: int
    changed: dict[date, int | None]
    gone: tuple[date, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        told = {"came": self.came, "gone": [str(day) for day in self.gone]}
        return {**stored(self.store), **told, "changed": {str(day): n for day, n in self.changed.items()}}


def add_to_store(
    log: EventLog,
    plan: FeaturePlan | WindowSpec,
    keeping: Keeping,
    *,
    home: Path,
    progress: Callable[[str, float], None] | None = None,
) -> Delivered:
    """Add a log to an event store, which is made if it is not there, and put the use on record.

    Parameters
    ----------
    log : EventLog
    plan : FeaturePlan or WindowSpec
        Tells how far back windows look, and, if it is a plan, whose vectors change.
    keeping : Keeping
    home : Path
        Where the record of use is.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If the memory is too little, or a store that is there has another number of partitions.
    SchemaError, StoreError
        As :func:`~peculiar.features.daily.take_in` raises them.
    """
    room = Room.of(keeping.memory, log.roles)
    store = _opened(log, keeping, room)
    before, rows = set(store.days()), store.manifest.rows
    how: dict[str, Any] = {"late": keeping.late, "keep": keeping.keep, "progress": progress}
    grown = take_in(store, log, plan, rows=room.piece, **how)
    came, gone = grown.store.manifest.rows - rows, before - set(grown.store.days())
    asked = {
        "events": log.source.name,
        "late": keeping.late,
        "keep": keeping.keep,
        "gone": [str(d) for d in sorted(gone)],
    }
    record(home, Use(verb="store add", rows=came, output=str(keeping.folder), parameters=asked))
    return Delivered(grown.store, came, _sizes(grown), tuple(sorted(gone)))


def stored(store: EventStore) -> dict[str, Any]:
    """What a store holds, as plain data: days, rows, bytes, partitions, rows that stayed outside by reason."""
    held = store.manifest
    return {
        "store": str(store.folder),
        "partitions": store.partitions,
        "days": {str(day): n for day, n in _by_day(store).items()},
        "rows": store.rows,
        "bytes": store.bytes,
        "rejected": dict(held.counts),
    }


def _opened(log: EventLog, keeping: Keeping, room: Room) -> EventStore:
    """The store that is there, or a new one."""
    if not (keeping.folder / "manifest.json").exists():
        partitions = keeping.partitions or room.partitions(expected_rows(log.source))
        return EventStore.create(keeping.folder, log.roles, partitions=partitions)
    store = EventStore.open(keeping.folder)
    if keeping.partitions not in {None, store.partitions}:
        message = f"expected the {store.partitions} partitions that {keeping.folder} has, got {keeping.partitions}"
        raise ConfigError(message)
    return store


def _by_day(store: EventStore) -> dict[date, int]:
    days = store.days()
    numbers = dict.fromkeys((file.day for file in sorted(store.manifest.files, key=lambda file: file.day)), 0)
    for file in store.manifest.files:
        numbers[file.day] += file.rows
    return dict(zip(days, numbers.values(), strict=True))


def _sizes(grown: Increment) -> dict[date, int | None]:
    return {day: None if who is None else len(who) for day, who in grown.days.items()}
