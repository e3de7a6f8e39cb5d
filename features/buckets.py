"""A bucket: the events of some entities that somebody else's shuffle brought together.

Spark groups rows by a hash of the entity and hands over one group after the other as Arrow tables, each to whichever
worker is free. What happens to a group is here, and there is nothing of Spark in it: the door, the order of events, the
families are those of a log in one piece. A group comes in no order; since the order of events is total, nothing that is
made of it depends on that.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .door import arrive, by_name
from .events import DataReport
from .kernels import counted_out
from .noting import TOLD, note_names, put_back
from .output import vector_table, with_events
from .partitions import in_parts
from .population import Population
from .recall import CLASH
from .repeated import Named
from .timeline import sort_events
from .visits import handed_over, troubles_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from .fitting import Look
    from .plan import FeaturePlan
    from .sampled import Sample
    from .timeline import Timeline
    from .vectors import Vectors
    from .whole import Whole

__all__ = [
    "HANDED",
    "Bucket",
    "Building",
    "Gate",
    "Handing",
    "Learning",
    "Rejecting",
    "Reporting",
    "built",
    "named",
    "population_of",
    "with_last_id",
]


@dataclass(frozen=True, eq=False)
class Bucket:
    """Events behind the door.

    Attributes
    ----------
    number : int
    timeline : Timeline
        ``row`` is the position in ``raw``.
    report : DataReport
    rejected : pyarrow.Table
        The rows set aside: ``row``, ``reason``, and the columns that have a role.
    raw : pyarrow.Table
        The rows as they came.
    """

    number: int
    timeline: Timeline
    report: DataReport
    rejected: pa.Table
    raw: pa.Table


@dataclass(frozen=True, eq=False)
class Gate:
    """All that a worker has to know to let the events of a bucket in; small, and sent to each of them.

    Attributes
    ----------
    plan : FeaturePlan
    whole : Whole
        What is known of the log that the bucket is a part of.
    until : int or None
        Events from then on are not looked at, microseconds since 1970 UTC.
    noted : callable, optional
        Notes on the events what is known of them from elsewhere, such as when their trouble became known.
    spurned : mapping of int to int64 array
        Of a bucket, places in its timeline whose ids are other entities' events'.
    """

    plan: FeaturePlan
    whole: Whole
    until: int | None = None
    noted: Callable[[Timeline], Timeline] | None = None
    spurned: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)

    def admit(self, number: int, events: pa.Table) -> Bucket:
        """Let the events of a bucket in, as they are before anybody else's are known."""
        roles = self.plan.roles
        raw = events.select(list(dict.fromkeys(roles.columns)))
        arrivals, door, _ = arrive(raw, roles, self.whole)
        arrivals = replace(arrivals, entity=by_name(arrivals.entity))
        kept = door.kept(None if self.until is None else arrivals.at >= self.until)
        timeline, dropped = sort_events(arrivals, kept)
        places = self.spurned.get(number, np.empty(0, np.int64))
        dropped[CLASH] = np.concatenate([dropped[CLASH], timeline.row[places].astype(np.intp)])
        for reason, rows in dropped.items():
            door.reject_rows(reason, rows)
        timeline = timeline.only(~np.isin(np.arange(len(timeline)), places))
        timeline = timeline if self.noted is None else self.noted(timeline)
        span = (int(timeline.at.min()), int(timeline.at.max())) if len(timeline) else (None, None)
        there = int(np.count_nonzero(np.diff(timeline.first)))
        said = DataReport("", door.rows, len(timeline), dict(door.counts), tuple(door.notes), there, *span)
        return Bucket(number, timeline, said, door.table(raw), raw)

    def met(self, bucket: Bucket, told: pa.Table | None) -> Bucket:
        """With what families note on its events, ``told`` (columns ``note``, ``told``) where entities met."""
        timeline = bucket.timeline
        arrays: dict[str, list[NDArray[np.void]]] = {}
        if told is not None:
            for note, content in zip(told["note"].to_pylist(), told["told"].to_pylist(), strict=True):
                arrays.setdefault(note, []).append(np.frombuffer(content, TOLD))
        kept = [(note, np.concatenate(rows)) for note, rows in arrays.items()]
        names = () if told is None else note_names(self.plan, self.plan.roles.time_zone)
        notes = put_back(kept, len(timeline), names)
        timeline = replace(timeline, notes={**timeline.notes, **notes})
        return replace(bucket, timeline=self.plan.annotated(timeline))


@lru_cache(maxsize=1)
def population_of(content: bytes) -> Population:
    """Read a population once for all the buckets that a worker is given."""
    return Population.from_bytes(content)


def built(
    plan: FeaturePlan, population: Population, bucket: Bucket, *, since: int | None, most_bytes: int | None = None
) -> Iterator[tuple[Timeline, Vectors]]:
    """The vectors of a bucket in the order of (entity, as_of), some entities at a time, on one thread.

    A worker has a core to itself only if it does not take its neighbours'.
    """
    for part in in_parts(bucket.timeline, plan, most_bytes):
        vectors = plan.vectors(part, population, threads=1, since=since).between(since, None)
        if len(vectors):
            yield part, vectors


def with_last_id(table: pa.Table, plan: FeaturePlan, bucket: Bucket, vectors: Vectors) -> pa.Table:
    """Add the last event of each window unless windows are days or hours."""
    if plan.windows.calendar or vectors.last is None or plan.roles.id is None:
        return table
    return with_events(table, bucket.raw[plan.roles.id].take(pa.array(vectors.last.astype(np.int64))), plan.roles.id)


@dataclass(frozen=True)
class Learning:
    """What a look finds in a bucket: columns ``place`` and ``content``, a population."""

    look: Look
    population: bytes

    def __call__(self, bucket: Bucket) -> pa.Table:
        """One row."""
        found = self.look(bucket.timeline, population_of(self.population), 1).to_bytes()
        return pa.table({"place": pa.array([bucket.number]), "content": pa.array([found], pa.binary())})


@dataclass(frozen=True)
class Building:
    """The vectors of a bucket."""

    plan: FeaturePlan
    population: bytes
    since: int | None
    sample: Sample | None

    def __call__(self, bucket: Bucket) -> pa.Table | None:
        """Columns as in a file of vectors; those of a sample with their weights."""
        if self.sample is not None:
            chosen = self.sample.weights(bucket.timeline.entity) > 0
            bucket = replace(bucket, timeline=bucket.timeline.of_entities(chosen))
        tables = []
        for _, vectors in built(self.plan, population_of(self.population), bucket, since=self.since):
            table = with_last_id(vector_table(vectors), self.plan, bucket, vectors)
            if self.sample is not None:
                weights = self.sample.weights(vectors.entity.dictionary)[vectors.entity.indices.to_numpy()]
                table = table.append_column("weight", pa.array(weights))
            tables.append(table)
        return pa.concat_tables(tables) if tables else None


class Reporting:
    """The report of a bucket as JSON: column ``report``."""

    def __call__(self, bucket: Bucket) -> pa.Table:
        """One row."""
        return pa.table({"report": pa.array([json.dumps(asdict(bucket.report))])})


class Rejecting:
    """The rows of a bucket that stayed outside, with their reasons."""

    def __call__(self, bucket: Bucket) -> pa.Table:
        """As they came, after ``reason``."""
        return bucket.rejected.drop_columns(["row"])


@dataclass(frozen=True)
class Handing:
    """What others have to know of a bucket's events, as bytes for each part of where they are brought together.

    Attributes
    ----------
    plan : FeaturePlan
    parts : int
        How many parts of each meeting place there are, and of all ids.
    ids : str or None
        The column of ids, if they may be used again.
    """

    plan: FeaturePlan
    parts: int
    ids: str | None

    def __call__(self, bucket: Bucket) -> pa.Table:
        """A row for each part of each meeting place, for known trouble, and for each part of the ids."""
        rows = [
            _handed(EVENTS, name, part, bucket, events)
            for name, part, events in handed_over(self.plan, bucket.number, bucket.timeline, self.parts)
        ]
        troubles = troubles_of(bucket.number, bucket.timeline)
        if self.plan.risky and len(troubles):
            rows.append(_handed(TROUBLES, None, 0, bucket, troubles))
        if self.ids is not None:
            keys = named(bucket, self.ids).keys
            part = (keys % np.uint64(self.parts)).astype(np.int64)
            order, first = counted_out(part, np.arange(len(keys), dtype=np.uint32), self.parts)
            for number in np.flatnonzero(np.diff(first)).tolist():
                own = keys[order[first[number] : first[number + 1]]]
                rows.append(_handed(IDS, None, number, bucket, own))
        return pa.Table.from_pylist(rows, HANDED)


def named(bucket: Bucket, column: str) -> Named:
    """The events of a bucket that have an id in a column."""
    there = bucket.raw[column].is_valid().to_numpy()
    return Named(bucket.timeline, there[bucket.timeline.row], np.arange(len(bucket.timeline)))


EVENTS, TROUBLES, IDS = "events", "troubles", "ids"
HANDED = pa.schema(
    {"what": pa.string(), "dimension": pa.string(), "part": pa.int64(), "bucket": pa.int64(), "content": pa.binary()}
)


def _handed(what: str, dimension: str | None, part: int, bucket: Bucket, content: NDArray[Any]) -> dict[str, Any]:
    plain = {"what": what, "dimension": dimension, "part": part, "bucket": bucket.number}
    return plain | {"content": content.tobytes()}
