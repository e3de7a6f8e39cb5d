"""A log that is larger than memory, split on disk for as long as it is worked on.

The split log lies beside the output. If a run is killed, the same run goes on with the split where it stopped; whatever
else a killed run left there is removed by the next run that writes into that folder.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from glob import escape
from typing import TYPE_CHECKING

from filelock import Timeout

from .claims import claimed, sweep
from .holdings import StoreError
from .meeting import MEETING_BYTES
from .memory import Room
from .sources import expected_rows
from .store import EventStore, delivery
from .visits import meeting_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .events import EventLog
    from .plan import FeaturePlan

__all__ = ["alone", "passing_store"]

_MARK = ".events-of-"
_EVENT_BYTES = 56  # of an event on disk, roughly: what is missing shows before anything is written


@contextmanager
def passing_store(
    log: EventLog,
    output: Path,
    *,
    memory: int,
    plan: FeaturePlan | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Iterator[EventStore]:
    """Split a log into partitions that fit into memory; they are gone afterwards.

    Parameters
    ----------
    log : EventLog
    output : Path
        What is being made of it; the split log lies beside.
    memory : int
        Bytes that the whole process may take.
    plan : FeaturePlan, optional
        Needs more room on disk if entities meet in it.
    progress : callable, optional

    Raises
    ------
    StoreError
        If the disk has too little room, or another run is making the same output.
    ConfigError
        If the memory is too little for any log.
    """
    room, events = Room.of(memory, log.roles), expected_rows(log.source)
    folder = output.parent / f"{_MARK}{output.name}"
    output.parent.mkdir(parents=True, exist_ok=True)
    sweep(output.parent, f"{_MARK}*", but=folder)
    with alone(output):
        try:
            store = _begun(folder, log, room.piece, room.partitions(events))
            each = _EVENT_BYTES + MEETING_BYTES * len(meeting_places(plan) if plan else ())
            _room_for(output.parent, events * each - store.bytes)
            yield store.add(log, rows=room.piece, progress=progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _begun(folder: Path, log: EventLog, rows: int, partitions: int) -> EventStore:
    """The store of an interrupted run on the same log, or a new one."""
    with suppress(StoreError):
        store = EventStore.open(folder)
        held, coming = store.manifest, delivery(log, rows)
        if coming and (held.roles, held.partitions, held.coming[0]) == (log.roles, partitions, coming):
            return store
    shutil.rmtree(folder, ignore_errors=True)
    return EventStore.create(folder, log.roles, partitions=partitions)


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Be the only run that makes an output, and remove half-written files of it that killed runs left.

    Raises
    ------
    StoreError
        If another run is making it.
    """
    folder = output.parent / f"{_MARK}{output.name}"
    try:
        with claimed(folder):
            for path in output.parent.glob(f".*{escape(output.name)}*.unfinished"):
                path.unlink()
            yield
    except Timeout as error:
        message = f"another run is making {output.name}; wait for it, or choose another output"
        raise StoreError(message) from error


def _room_for(home: Path, size: int) -> None:
    free = shutil.disk_usage(home).free
    if free < size:
        message = (
            f"expected {size / 1e9:.1f} GB of room for the split log at {home}, found {free / 1e9:.1f} GB; write the "
            "output to a larger disk"
        )
        raise StoreError(message)
