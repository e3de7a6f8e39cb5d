"""Vectors of a log that is larger than memory: split, worked through partition by partition, written as they come."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from .columns import day_at, stable_hash, to_wall
from .events import DataReport, nothing_fit
from .memory import Room
from .output import WrittenVectors, plan_metadata, vector_table, with_events
from .partitions import Partitions
from .passing import passing_store
from .plan import FeaturePlan
from .row_groups import row_groups
from .segments import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .events import EventLog
    from .partitions import Portion
    from .population import Population
    from .snapshots import WindowSpec
    from .store import EventStore
    from .timeline import Timeline
    from .vectors import Vectors

    Progress = Callable[[str, float], None]

__all__ = ["day_of", "door_report", "planned", "vectors_by_partition", "with_last_event"]

_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)
_SAMPLE = 2_000_000


def vectors_by_partition(
    log: EventLog,
    output: Path,
    *,
    memory: int,
    windows: WindowSpec | None = None,
    fitted: tuple[FeaturePlan, Population] | None = None,
    period: tuple[int | None, int | None] = (None, None),
    noted: Callable[[Timeline], Timeline] | None = None,
    progress: Progress | None = None,
) -> WrittenVectors:
    """Build the vectors of a log within so much memory, and write them as Parquet.

    The rows are those of :func:`~peculiar.features.output.vectors_to_file`, bit for bit, in the order of (hash of the
    entity, as_of). Without a model the plan is that for some of the entities, see :func:`planned`.

    Parameters
    ----------
    log, output, windows, fitted, period, noted, progress
        As :func:`~peculiar.features.output.vectors_to_file` has them; a period begins and ends with days.
    memory : int
        Bytes that the process may take in all.

    Raises
    ------
    ConfigError
        If the memory is too little, or the period does not begin or end with a day.
    SchemaError
        If the log lacks a column, or none of it can be read.
    StoreError
        If the disk has too little room for the split log.
    """
    room, until = Room.of(memory, log.roles), day_of(period[1], log.roles.time_zone)
    model_plan = None if fitted is None else fitted[0]
    with passing_store(log, output, memory=memory, plan=model_plan, progress=progress) as store:
        plan = model_plan or planned(store, windows, noted=noted)
        with Partitions.over(store, plan, days=(None, until), noted=noted, progress=progress) as parts:
            population = parts.fit(progress=progress) if fitted is None else fitted[1]
            report, rows, entities = door_report(store, until), 0, 0
            with row_groups(output, plan_metadata(plan)) as out:
                for portion in parts.portions("vectors", progress):
                    report = report.joined(portion.report)
                    for _, built in parts.vectors(portion.timeline, population, most_bytes=room.vectors):
                        vectors = built.between(*period)
                        entities += len(np.unique(vectors.entity.indices.to_numpy()))
                        out.write(with_last_event(vector_table(vectors), parts, portion, vectors))
                rows = out.rows
                nothing_fit(report)
    return WrittenVectors(output, rows, entities, plan, report, fitted is None)


def planned(
    store: EventStore, windows: WindowSpec | None, *, noted: Callable[[Timeline], Timeline] | None = None
) -> FeaturePlan:
    """The default plan for a store's log, by some two million events of entities whose hashes are the lowest.

    It depends on the log alone: neither on the number of partitions nor on the memory.

    Parameters
    ----------
    store : EventStore
    windows : WindowSpec, optional
    noted : callable, optional
    """
    parts = 1
    while store.rows > parts * _SAMPLE:
        parts *= 2
    timeline, _, _ = store.timeline(range(max(1, store.partitions // parts)))
    if parts > store.partitions:
        timeline = timeline.of_entities(partition_of(stable_hash(timeline.entity), parts) == 0)
    timeline = timeline if noted is None else noted(timeline)
    return FeaturePlan.for_log(timeline, store.manifest.roles, windows)


def door_report(store: EventStore, until: date | None) -> DataReport:
    """What came to the door and stayed outside, before any partition was looked at."""
    held = store.manifest
    late = 0 if until is None else sum(file.rows for file in held.files if file.day >= (until - _EPOCH).days)
    said = (f"{late:,} rows lie outside the period that was asked for",) if late else ()
    return DataReport(held.source, held.rows, 0, dict(held.counts), (*held.notes, *said))


def with_last_event(table: pa.Table, parts: Partitions, portion: Portion, vectors: Vectors) -> pa.Table:
    """Add the last event of each window unless windows are days or hours, as a file from a log in one piece has it."""
    if parts.plan.windows.calendar or vectors.last is None:
        return table
    raw = parts.store.raw(portion.partitions, *parts.days, entities=portion.entities)
    ids = pa.chunked_array([pa.array(raw.row)]) if raw.ids is None else raw.ids
    return with_events(table, ids.take(pa.array(vectors.last.astype(np.int64))), parts.plan.roles.id)


def day_of(instant: int | None, zone: str) -> date | None:
    """The day that begins at an instant.

    Raises
    ------
    ConfigError
        If none does.

    Examples
    --------
    >>> str(day_of(86_400_000_000, "UTC"))
    '1970-01-02'
    """
    if instant is None:
        return None
    if int(to_wall(np.array([instant]), zone)[0]) % _DAY:
        message = f"expected a period of whole days of {zone}, since partitions are read by day"
        raise ConfigError(message)
    return day_at(instant, zone)
