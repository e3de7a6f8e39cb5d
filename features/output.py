"""Vectors as files: whole or not there, with their keys, and with the plan that says what each column means."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .plan import FeaturePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .events import DataReport, EventLog
    from .population import Population
    from .snapshots import WindowSpec
    from .timeline import Timeline
    from .vectors import Vectors

__all__ = [
    "WrittenVectors",
    "beside",
    "parquet_bytes",
    "plan_metadata",
    "repeating",
    "vector_table",
    "vectors_to_file",
    "with_event",
    "with_events",
    "write_parquet",
]

PLAN, FINGERPRINT, FEATURES = b"peculiar.plan", b"peculiar.plan_fingerprint", b"peculiar.features"
_ROW = "event_row"


@dataclass(frozen=True, eq=False)
class WrittenVectors:
    """Vectors that are on disk.

    Attributes
    ----------
    output : Path
    rows, entities : int
        How many were written, and of how many.
    plan : FeaturePlan
    report : DataReport
        What came to the door.
    fitted_here : bool
        True if the population is that of the log itself, so that the values are not those another log would give.
    vectors : Vectors or None
        The rows that were written; None if they were never all in memory.
    """

    output: Path
    rows: int
    entities: int
    plan: FeaturePlan
    report: DataReport
    fitted_here: bool
    vectors: Vectors | None = None

    @property
    def population(self) -> str:
        """Whose habits the values were held against, for a person."""
        return "this log itself" if self.fitted_here else "the model's training"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "output": str(self.output),
            "rows": self.rows,
            "entities": self.entities,
            "features": {family: len(features) for family, features in self.plan.by_family.items()},
            "plan": self.plan.fingerprint,
            "windows": asdict(self.plan.windows),
            "population": self.population,
            "data": self.report.to_dict(),
        }


def vectors_to_file(
    log: EventLog,
    output: Path,
    *,
    windows: WindowSpec | None = None,
    fitted: tuple[FeaturePlan, Population] | None = None,
    period: tuple[int | None, int | None] = (None, None),
    noted: Callable[[Timeline], Timeline] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> WrittenVectors:
    """Build the vectors of a log and write them as Parquet.

    Parameters
    ----------
    log : EventLog
    output : Path
        Columns entity, since, as_of, the event where windows are no days or hours (see :func:`with_event`), and the
        features, float32. The key-value metadata holds the plan as JSON, its fingerprint, and what each feature means.
    windows : WindowSpec, optional
        Of the default plan.
    fitted : pair of FeaturePlan and Population, optional
        A model's. By default the plan for such a log, with the population of the log itself.
    period : pair of int or None
        Write what lies in ``[since, until)``, microseconds since 1970 UTC; events from ``until`` on are not looked at,
        those before ``since`` are history.
    noted : callable, optional
        Notes on the events what is known of them, such as when their trouble became known.
    progress : callable, optional

    Raises
    ------
    SchemaError
        If the log lacks a column, or none of it can be read.
    """
    timeline, report, _ = log.read(None, period[1])
    timeline = timeline if noted is None else noted(timeline)
    if fitted is None:
        plan = FeaturePlan.for_log(timeline, log.roles, windows)
        population = plan.fit(timeline, progress=progress)
    else:
        plan, population = fitted
    vectors = plan.vectors(timeline, population, progress=progress).between(*period)
    table = with_event(vector_table(vectors), log, vectors, plan.windows)
    write_parquet(table.replace_schema_metadata(plan_metadata(plan)), output)
    entities = len(np.unique(vectors.entity.indices.to_numpy()))
    return WrittenVectors(output, len(vectors), entities, plan, report, fitted is None, vectors)


def plan_metadata(plan: FeaturePlan) -> dict[bytes, str]:
    """What a file of vectors says of its columns: the plan, its fingerprint, and what each feature means."""
    features = json.dumps([asdict(feature) for feature in plan.features])
    return {PLAN: plan.to_json(), FINGERPRINT: plan.fingerprint, FEATURES: features}


def with_event(table: pa.Table, log: EventLog, vectors: Vectors, windows: WindowSpec) -> pa.Table:
    """Add, after ``as_of``, the last event of each window, unless windows are days or hours.

    With it the key (entity, as_of, event) is unique, even where an entity does two things at one instant. The column
    is named as the log's id column and holds its values; without one it is ``event_row``, the position in the source.
    A name that the table has already gets ``event_`` before it.
    """
    if windows.calendar or vectors.last is None:
        return table
    rows = pa.array(vectors.last.astype(np.int64))
    name = log.roles.id
    return with_events(table, rows if name is None else log.source.read([name])[name].take(rows), name)


def with_events(table: pa.Table, events: pa.Array | pa.ChunkedArray, name: str | None) -> pa.Table:
    """Add a column of events after ``as_of``, called as the log's column of ids or ``event_row`` if it has none."""
    name = name or _ROW
    if pa.types.is_dictionary(events.type):
        events = events.cast(events.type.value_type)
    unused = f"event_{name}" if name in table.column_names else name
    return table.add_column(table.column_names.index("as_of") + 1, unused, events)


def write_parquet(table: pa.Table, path: Path, *, ready: Callable[[], None] | None = None) -> None:
    """Write beside the target and rename, so that a reader never meets half a file.

    ``ready`` is called when the file is whole and nobody can see it yet.
    """
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as unfinished:
        pq.write_table(table, unfinished, use_dictionary=repeating(table))
        if ready is not None:
            ready()


def parquet_bytes(table: pa.Table) -> pa.Buffer:
    """The same file in memory: equal tables give equal bytes, however their columns are cut into chunks.

    Codes of text are written as the text: the list of values behind them may hold more than the table does.
    """
    import pyarrow.parquet as pq

    coded = pa.types.is_dictionary
    plain = [field.with_type(field.type.value_type) if coded(field.type) else field for field in table.schema]
    table = table.cast(pa.schema(plain, table.schema.metadata)).combine_chunks()
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, use_dictionary=repeating(table))
    return sink.getvalue()


def repeating(table: pa.Table) -> list[str] | bool:
    """The columns to look for repeated values in: a feature's seldom do, and to look for them doubles the time."""
    plain = [field.name for field in table.schema if field.type != pa.float32()]
    return plain if len(plain) < table.num_columns else True


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; it becomes ``path`` once all is on disk, and is gone if writing fails."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        _force(unfinished)
        unfinished.replace(path)
        _force(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _force(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def vector_table(vectors: Vectors) -> pa.Table:
    """The vectors as a table whose entities are plain text."""
    table = vectors.to_arrow()
    return table.set_column(0, "entity", vectors.entity.dictionary_decode())
