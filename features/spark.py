"""The plan on Spark: any table or frame, however large, with the vectors of a log in one piece, bit for bit.

Entities are put into buckets by a hash, and each bucket is a group of ``applyInArrow``: the same door, the same order,
the same families as on one machine (:mod:`~peculiar.features.buckets`). What looks at everybody is made of integers or
bytes that add up in any order: days of the whole log, the population, and the notes of those who met at a value. Spark
brings rows together and reckons nothing.

One entity is never parted, so a worker holds all its events. Who has too many is set aside, counted, before anything is
moved: a bot with a twentieth of all events is a finding by itself.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from ..errors import ConfigError
from .buckets import HANDED, Building, Gate, Handing, Learning, Rejecting, Reporting
from .events import DataReport, nothing_fit
from .fitting import fit_passes
from .packed import unpacked
from .plan import FeaturePlan
from .population import Population
from .spark_log import checked, heavy_entities, sample_of, split, types_of, whole_of
from .spark_meeting import met, spurned_ids
from .visits import meeting_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyspark.sql import DataFrame

    from .buckets import Bucket
    from .roles import Roles
    from .sampled import Sample
    from .snapshots import WindowSpec
    from .timeline import Timeline
    from .whole import Whole

    Work = Callable[[Bucket], pa.Table | None]

__all__ = ["SparkEvents", "plan_for", "vector_schema"]

MOST_EVENTS = 5_000_000
_BUCKET_EVENTS = 250_000
_PART_EVENTS = 1_000_000
_SAMPLE = 2_000_000
_FAN = 16
_CONTENT = pa.schema({"place": pa.int64(), "content": pa.binary()})
_REPORT = pa.schema({"report": pa.string()})
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False)
class SparkEvents:
    """The events of a Spark frame, ready for a plan.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
        The rows in packed pieces, those of a bucket together: columns ``bucket`` and ``content``.
    gate : Gate
        What a worker has to know of the others.
    buckets : int
    columns : pyarrow.Schema
        Those that have a role, as they come to a worker.
    heavy : mapping of object to int
        Entities that were set aside, and how many rows each has.
    told : pyspark.sql.DataFrame or None
        Who else was at the values; None where no family asks.
    """

    frame: DataFrame
    gate: Gate
    buckets: int
    columns: pa.Schema
    heavy: Mapping[object, int] = field(default_factory=dict)
    told: DataFrame | None = None

    @property
    def plan(self) -> FeaturePlan:
        """The plan that the events are ready for."""
        return self.gate.plan

    @classmethod
    @contextmanager
    def over(
        cls,
        frame: DataFrame,
        plan: FeaturePlan,
        *,
        until: int | None = None,
        noted: Callable[[Timeline], Timeline] | None = None,
        buckets: int | None = None,
        most_events: int | None = MOST_EVENTS,
        unique_ids: bool = False,
        keep: bool = True,
    ) -> Iterator[Self]:
        """Look at everybody as far as the plan has to.

        Frames that are made of the events may be used afterwards, but are dearer then: what was kept is gone.

        Parameters
        ----------
        frame : pyspark.sql.DataFrame
            With the columns of the plan's roles; others are not read.
        plan : FeaturePlan
        until : int, optional
            Events from then on are not looked at, microseconds since 1970 UTC.
        noted : callable, optional
            Notes on a bucket's events what is known of them from elsewhere. It is sent to the workers.
        buckets : int, optional
            How many; no bit of any result depends on it. By default one for each 250,000 events.
        most_events : int or None
            Entities with more rows than that are set aside and counted; None takes everybody.
        unique_ids : bool
            True if each id is known to be of one event, which saves a shuffle of all ids.
        keep : bool
            Keep what was brought together on the executors' disks until the end.

        Raises
        ------
        SchemaError
            If the frame lacks a column, or a million ids are used again by other entities.
        ConfigError
            If windows end with events and the log has no ids: the rows of a frame have no numbers.
        """
        roles = plan.roles
        _need_ids(plan)
        frame = checked(frame, roles)
        whole = whole_of(frame, roles)
        heavy = {} if most_events is None else heavy_entities(frame, roles, most_events)
        buckets, columns = buckets or -(-_rows(whole) // _BUCKET_EVENTS) or 1, types_of(frame)
        kept = [_kept(split(frame, roles, columns, buckets, heavy), keep)]
        made = cls(kept[0], Gate(plan, whole, until, noted), buckets, columns, heavy)
        meet, ids = bool(meeting_places(plan)), None if unique_ids else roles.id
        handing = Handing(plan, -(-_rows(whole) // _PART_EVENTS) or 1, ids)
        try:
            if meet or ids is not None:
                handed = made.each(handing, HANDED, met=False)
                if meet:
                    kept.append(_kept(handed, keep))
                spurned = {} if ids is None else spurned_ids(made, handed)
                if spurned:  # whose events nobody is to see
                    made = replace(made, gate=replace(made.gate, spurned=spurned))
                    handed = made.each(replace(handing, ids=None), HANDED, met=False)
                if meet:
                    kept.append(_kept(met(made, handed), keep))
                    made = replace(made, told=kept[-1])
            yield made
        finally:
            for each in kept if keep else ():
                each.unpersist()

    def each(self, work: Work, schema: pa.Schema, *, met: bool = True) -> DataFrame:
        """What some work makes of every bucket.

        Parameters
        ----------
        work : callable
            Takes a :class:`~peculiar.features.buckets.Bucket` and gives a table, or None for nothing. It is sent to
            the workers, so it should be small; what it is made of has to be installed there.
        schema : pyarrow.Schema
            Of the tables.
        met : bool
            Whether the work asks what families note on events; not to ask is cheaper.
        """
        from pyspark.sql.pandas.types import from_arrow_schema

        gate, columns, kind = self.gate, self.columns, from_arrow_schema(schema, prefer_timestamp_ntz=False)

        def alone(key: tuple[Any, ...], pieces: pa.Table) -> pa.Table:
            bucket = gate.admit(key[0].as_py(), unpacked(pieces["content"], columns))
            return _done(work, gate.met(bucket, None) if met else bucket, schema)

        def among_others(key: tuple[Any, ...], pieces: pa.Table, told: pa.Table) -> pa.Table:
            bucket = gate.admit(key[0].as_py(), unpacked(pieces["content"], columns))
            return _done(work, gate.met(bucket, told), schema)

        groups = self.frame.groupBy("bucket")
        if met and self.told is not None:
            return groups.cogroup(self.told.groupBy("bucket")).applyInArrow(among_others, kind)
        return groups.applyInArrow(alone, kind)

    def fit(self) -> Population:
        """Learn what everyone does: the population that :meth:`FeaturePlan.fit` would learn of all events at once."""
        population = Population()
        for look in fit_passes(self.plan):
            parts = self.each(Learning(look, population.to_bytes()), _CONTENT)
            population = population.merged(_together(parts, self.buckets))
        return population

    def vectors(self, population: Population, *, since: int | None = None, sample: Sample | None = None) -> DataFrame:
        """The vectors of all windows, in no order.

        Parameters
        ----------
        population : Population
        since : int, optional
            Windows from then on, microseconds since 1970 UTC; what comes before is history.
        sample : Sample, optional
            Of some entities only, with a column ``weight``: how many entities each row's stands for. Entities meet
            everybody in any case.

        Returns
        -------
        pyspark.sql.DataFrame
            Columns entity, since, as_of, the id of the window's last event where windows are no days or hours, and the
            features; see :func:`vector_schema`.
        """
        work = Building(self.plan, population.to_bytes(), since, sample)
        return self.each(work, vector_schema(self, weighed=sample is not None))

    def report(self) -> DataReport:
        """What came to the door; one pass over the events.

        Raises
        ------
        SchemaError
            If no row at all is fit to be read.
        """
        parts = [
            DataReport(**json.loads(row["report"])) for row in self.each(Reporting(), _REPORT, met=False).collect()
        ]
        heavy = {f"of an entity with more rows than are allowed ({who})": n for who, n in self.heavy.items()}
        rows = sum(part.rows for part in parts) + sum(heavy.values())
        report = DataReport("Spark frame", rows, 0, heavy)
        for part in parts:
            report = report.joined(replace(part, notes=tuple(part.notes)))
        nothing_fit(report)
        return report

    def rejected(self) -> DataFrame:
        """The rows that stayed outside: ``reason``, and the columns that have a role; not those of heavy entities."""
        schema = pa.schema([("reason", pa.string()), *self.columns])
        return self.each(Rejecting(), schema, met=False)


def plan_for(
    frame: DataFrame,
    roles: Roles,
    windows: WindowSpec | None = None,
    *,
    noted: Callable[[Timeline], Timeline] | None = None,
) -> FeaturePlan:
    """The default plan for a frame, by some two million events of the entities whose hashes are the lowest.

    Up to two million rows it is that of :meth:`FeaturePlan.for_log`. They come to the driver.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
    roles : Roles
    windows : WindowSpec, optional
    noted : callable, optional
    """
    frame = checked(frame, roles)
    whole, parts = whole_of(frame, roles), 1
    while _rows(whole) > parts * _SAMPLE:
        parts *= 2
    gate = Gate(FeaturePlan(roles, families=()), whole, None, noted)
    return FeaturePlan.for_log(gate.admit(0, sample_of(frame, roles, parts)).timeline, roles, windows)


def vector_schema(events: SparkEvents, *, weighed: bool = False) -> pa.Schema:
    """The columns of vectors on Spark; those of a file of vectors, and the weight behind them."""
    keys, plan = key_columns(events), events.plan
    features = [(feature.name, pa.float32()) for feature in plan.features]
    return pa.schema([*keys, *features, *([("weight", pa.float64())] if weighed else [])])


def key_columns(events: SparkEvents) -> list[tuple[str, pa.DataType]]:
    """What tells a window from others: entity, since, as_of, and its last event where windows are no days or hours."""
    keys = [("entity", pa.string()), ("since", _TIME), ("as_of", _TIME)]
    name = events.plan.roles.id
    if events.plan.windows.calendar or name is None:
        return keys
    taken = {*(key for key, _ in keys), *(feature.name for feature in events.plan.features)}
    return [*keys, (f"event_{name}" if name in taken else name, events.columns.field(name).type)]


def _together(parts: DataFrame, number: int) -> Population:
    """Add up populations, some at a time, so that no machine ever holds many of them."""
    from pyspark.sql import functions as fn

    while number > _FAN:
        number = -(-number // _FAN)
        groups = parts.groupBy((fn.col("place") % number).alias("place"))
        parts = groups.applyInArrow(_added, "place long, content binary")
    population = Population()
    for row in parts.select("content").collect():
        population = population.merged(Population.from_bytes(bytes(row["content"])))
    return population


def _added(key: tuple[Any, ...], contents: pa.Table) -> pa.Table:
    population = Population()
    for content in contents["content"]:
        population = population.merged(Population.from_bytes(content.as_py()))
    return pa.table({"place": [key[0].as_py()], "content": [population.to_bytes()]}, _CONTENT)


def _done(work: Work, bucket: Bucket, schema: pa.Schema) -> pa.Table:
    """The table as Spark was told that it would be."""
    made = work(bucket)
    return schema.empty_table() if made is None else made.select(schema.names).cast(schema)


def _kept(frame: DataFrame, keep: bool) -> DataFrame:  # noqa: FBT001 - a private matter
    from pyspark import StorageLevel

    return frame.persist(StorageLevel.DISK_ONLY) if keep else frame


def _rows(whole: Whole) -> int:
    """How many rows have a believable time."""
    return sum(whole.zoned.values()) + sum(whole.zoneless.values())


def _need_ids(plan: FeaturePlan) -> None:
    if not plan.windows.calendar and plan.roles.id is None:
        message = (
            "expected a log with ids, since windows that end with events are told apart by them and rows of a Spark "
            "frame have no numbers; name a column of ids, or use days or hours"
        )
        raise ConfigError(message)
