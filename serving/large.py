"""Scores of a log that is larger than memory: partition by partition, with ranks over all of a day's windows.

A score looks at one vector, so it is made where the vector is. A rank looks at everybody's scores of a day; of those a
few numbers a window are kept in memory until the last partition is scored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..features.large import door_report, with_last_event
from ..features.output import plan_metadata, vector_table
from ..features.row_groups import row_groups
from ..training.asides import days_of
from .calibrated import p_values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from ..features.events import DataReport
    from ..features.partitions import Partitions
    from ..features.row_groups import RowGroups
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model

    Progress = Callable[[str, float], None]

__all__ = ["ScoredPartitions", "score_partitions", "scores_of"]

_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class ScoredPartitions:
    """What was written.

    Attributes
    ----------
    rows, entities : int
    report : DataReport
        Of what came in.
    """

    rows: int
    entities: int
    report: DataReport


def score_partitions(  # noqa: PLR0913 - what is scored, where to, and how much of it at a time
    model: Model,
    parts: Partitions,
    output: Path,
    *,
    vectors: Path | None = None,
    period: tuple[int | None, int | None] = (None, None),
    most_bytes: int | None = None,
    progress: Progress | None = None,
) -> ScoredPartitions:
    """Score all partitions of a log, and rank each day's windows.

    Parameters
    ----------
    model : Model
    parts : Partitions
        Of the model's plan.
    output : Path
        Parquet to write: entity, since, as_of, the event where windows are no days or hours, score, p_value (null if
        the model was not calibrated), rank (1 is the oddest of its day), in the order of (hash of the entity, as_of).
    vectors : Path, optional
        Parquet to write the vectors to.
    period : pair of int or None
        Score what lies in ``[since, until)``, microseconds since 1970 UTC.
    most_bytes : int, optional
        About so many bytes of vectors in memory at a time.
    progress : callable, optional

    Returns
    -------
    ScoredPartitions
    """
    report, ranking = door_report(parts.store, parts.days[1]), _Ranking()
    unranked = output.with_name(f".{output.name}.unranked")
    try:
        with row_groups(unranked) as out, _maybe(vectors, model) as kept:
            for partition in parts.all("scoring", progress):
                timeline, part, _ = parts.timeline(partition)
                report = report.joined(part)
                for events, built in parts.vectors(timeline, model.population, most_bytes=most_bytes):
                    rows = built.between(*period)
                    scores = scores_of(model, events, rows)
                    out.write(with_last_event(scores, parts, partition, rows))
                    ranking.add(model, rows, scores)
                    if kept is not None:
                        kept.write(with_last_event(vector_table(rows), parts, partition, rows))
        _ranked(unranked, output, ranking.ranks())
    finally:
        unranked.unlink(missing_ok=True)
    return ScoredPartitions(ranking.rows, ranking.entities, report)


def _maybe(path: Path | None, model: Model) -> AbstractContextManager[RowGroups | None]:
    from contextlib import nullcontext

    return nullcontext() if path is None else row_groups(path, plan_metadata(model.plan))


def scores_of(model: Model, events: Timeline, vectors: Vectors) -> pa.Table:
    """Entity, window, score and p-value of some vectors; ``events`` are those that they were built from."""
    score = model.detector.score(vectors)
    p = p_values_of(model, vectors, events, score)
    return pa.table(
        {
            "entity": vectors.entity.dictionary_decode().cast(pa.string()),
            "since": pa.array(vectors.since).cast(_TIME),
            "as_of": pa.array(vectors.as_of).cast(_TIME),
            "score": score,
            "p_value": pa.nulls(len(score), pa.float64()) if p is None else pa.array(p),
        }
    )


@dataclass
class _Ranking:
    """Day, score and whose, of every window: 16 bytes each."""

    rows: int = 0
    entities: int = 0
    _days: list[NDArray[np.int32]] = field(default_factory=list)
    _scores: list[NDArray[np.float64]] = field(default_factory=list)
    _whose: list[NDArray[np.int32]] = field(default_factory=list)
    _names: list[pa.Array] = field(default_factory=list)

    def add(self: Self, model: Model, vectors: Vectors, scores: pa.Table) -> None:
        there, whose = np.unique(vectors.entity.indices.to_numpy(), return_inverse=True)
        self._whose.append((whose + self.entities).astype(np.int32))
        self._names.append(vectors.entity.dictionary.take(pa.array(there)).cast(pa.large_string()))
        self._days.append(days_of(vectors, model.plan.windows, model.plan.roles.time_zone).astype(np.int32))
        self._scores.append(scores["score"].to_numpy())
        self.entities += len(there)
        self.rows += len(vectors)

    def ranks(self) -> NDArray[np.int32]:
        """Rank within the day, 1 for the highest score; equal scores in the order of the entity's name and time."""
        if not self.rows:
            return np.empty(0, np.int32)
        names = pa.concat_arrays(self._names)
        by_name = np.empty(len(names), np.int32)
        by_name[np.argsort(names.to_numpy(zero_copy_only=False), kind="stable")] = np.arange(len(names))
        day, score = np.concatenate(self._days), np.concatenate(self._scores)
        order = np.lexsort((by_name[np.concatenate(self._whose)], -score, day))
        begins = np.concatenate([[True], np.diff(day[order]) != 0])
        place = np.arange(len(order))
        rank = np.empty(len(order), np.int32)
        rank[order] = place - np.maximum.accumulate(np.where(begins, place, 0)) + 1
        return rank


def _ranked(unranked: Path, output: Path, rank: NDArray[np.int32]) -> None:
    """The same rows with their ranks, a row group at a time."""
    with row_groups(output) as out:
        done = 0
        for table in _row_groups(unranked):
            out.write(table.append_column("rank", pa.array(rank[done : done + len(table)].astype(np.int64))))
            done += len(table)


def _row_groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)
