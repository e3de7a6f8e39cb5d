"""Scores of a log that is larger than memory: partition by partition, with ranks over all of a day's windows.

A score looks at one vector, so it is made where the vector is. A rank looks at everybody's scores of a day; of those a
few numbers a window are kept in memory until the last partition is scored.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..features.large import door_report, with_last_event
from ..features.output import plan_metadata, vector_table
from ..features.row_groups import row_groups
from ..training.asides import days_of
from .calibrated import p_values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from ..features.events import DataReport
    from ..features.partitions import Partitions, Portion
    from ..features.row_groups import RowGroups
    from ..features.store import EventStore
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model

    Progress = Callable[[str, float], None]

__all__ = ["Ranking", "row_groups_of", "score_partitions", "scores_of", "scores_of_partitions"]

_FEW = "events are those of entities with a window in the period; of nobody else was anything read"
_TIME = pa.timestamp("us", tz="UTC")


@dataclass
class Ranking:
    """Day, score and whose, of every window in the order of (hash of the entity, as_of): 16 bytes each.

    Attributes
    ----------
    report : DataReport
        Of what came in.
    rows, entities : int
        So far.
    digest : tuple of int
        Sum, parity and number of the hashes of all events; see :attr:`~peculiar.features.timeline.Timeline.digest`.
    """

    report: DataReport
    rows: int = 0
    entities: int = 0
    digest: tuple[int, int, int] = (0, 0, 0)
    _dropped: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)
    _days: list[NDArray[np.int32]] = field(default_factory=list)
    _scores: list[NDArray[np.float64]] = field(default_factory=list)
    _whose: list[NDArray[np.int32]] = field(default_factory=list)
    _names: list[pa.Array] = field(default_factory=list)

    def add(self, model: Model, vectors: Vectors, score: NDArray[np.float64]) -> None:
        """Take in the next windows."""
        there, whose = np.unique(vectors.entity.indices.to_numpy(), return_inverse=True)
        self._whose.append((whose + self.entities).astype(np.int32))
        self._names.append(vectors.entity.dictionary.take(pa.array(there)).cast(pa.large_string()))
        self._days.append(days_of(vectors, model.plan.windows, model.plan.roles.time_zone).astype(np.int32))
        self._scores.append(score)
        self.entities += len(there)
        self.rows += len(vectors)

    def read(self, portion: Portion) -> None:
        """Take in what is known of some partitions' events, and which rows did not come in."""
        for reason, rows in portion.dropped.items():
            self._dropped.setdefault(reason, []).append(rows)
        self.report = self.report.joined(portion.report)
        total, parity, events = portion.timeline.digest
        self.digest = (self.digest[0] + total) % 2**64, self.digest[1] ^ parity, self.digest[2] + events

    def rejected(self, store: EventStore) -> pa.Table:
        """The rows that stayed outside: ``row``, ``reason``, and the columns of those that the door turned away."""
        tables = [pq.read_table(store.folder / name) for name in store.manifest.rejected]
        for reason, pieces in self._dropped.items():
            rows = np.concatenate(pieces)
            tables.append(pa.table({"row": rows, "reason": pa.array([reason] * len(rows))}))
        return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})

    @property
    def day(self) -> NDArray[np.int32]:
        """Days since 1970, of each window."""
        return _joined(self._days, np.int32)

    @property
    def score(self) -> NDArray[np.float64]:
        """The score of each window."""
        return _joined(self._scores, np.float64)

    @property
    def whose(self) -> NDArray[np.int32]:
        """The number of each window's entity among the names."""
        return _joined(self._whose, np.int32)

    @property
    def names(self) -> pa.Array:
        """The entities that have windows, large_string."""
        return pa.concat_arrays(self._names) if self._names else pa.array([], pa.large_string())

    def ranks(self) -> NDArray[np.int64]:
        """Rank within the day, 1 for the highest score; equal scores in the order of the entity's name and time."""
        names, day = self.names, self.day
        if not len(day):
            return np.empty(0, np.int64)
        by_name = np.empty(len(names), np.int32)
        by_name[np.argsort(names.to_numpy(zero_copy_only=False), kind="stable")] = np.arange(len(names))
        order = np.lexsort((by_name[self.whose], -self.score, day))
        begins = np.concatenate([[True], np.diff(day[order]) != 0])
        place = np.arange(len(order))
        rank = np.empty(len(order), np.int64)
        rank[order] = place - np.maximum.accumulate(np.where(begins, place, 0)) + 1
        return rank


def score_partitions(  # noqa: PLR0913 - what is scored, where to, and how much of it at a time
    model: Model,
    parts: Partitions,
    output: Path,
    *,
    vectors: Path | None = None,
    period: tuple[int | None, int | None] = (None, None),
    most_bytes: int | None = None,
    progress: Progress | None = None,
) -> Ranking:
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
    Ranking
    """
    unranked = output.with_name(f".{output.name}.unranked")
    how = {"vectors": vectors, "period": period, "most_bytes": most_bytes, "progress": progress}
    try:
        ranking = scores_of_partitions(model, parts, unranked, **how)  # type: ignore[arg-type]
        rank, done = ranking.ranks(), 0
        with row_groups(output) as out:
            for table in row_groups_of(unranked):
                out.write(table.append_column("rank", pa.array(rank[done : done + len(table)])))
                done += len(table)
    finally:
        unranked.unlink(missing_ok=True)
    return ranking


def scores_of_partitions(  # noqa: PLR0913 - as score_partitions
    model: Model,
    parts: Partitions,
    output: Path,
    *,
    vectors: Path | None = None,
    period: tuple[int | None, int | None] = (None, None),
    most_bytes: int | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """The same without ranks, which are known when all is scored; see :func:`score_partitions`."""
    ranking = Ranking(door_report(parts.store, parts.days[1]))
    with row_groups(output) as out, _maybe(vectors, model) as kept:
        for portion in parts.portions("scoring", progress):
            ranking.read(portion)
            for events, built in parts.vectors(portion.timeline, model.population, most_bytes=most_bytes):
                rows = built.between(*period)
                scores = scores_of(model, events, rows)
                out.write(with_last_event(scores, parts, portion, rows))
                ranking.add(model, rows, scores["score"].to_numpy())
                if kept is not None:
                    kept.write(with_last_event(vector_table(rows), parts, portion, rows))
    if parts.since is not None:
        ranking.report = replace(ranking.report, notes=(*ranking.report.notes, _FEW))
    return ranking


def row_groups_of(path: Path) -> Iterator[pa.Table]:
    """The rows of a Parquet file, a row group at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def _maybe(path: Path | None, model: Model) -> AbstractContextManager[RowGroups | None]:
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


def _joined(pieces: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(pieces) if pieces else np.empty(0, kind)
