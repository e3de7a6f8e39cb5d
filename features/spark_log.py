"""A table of Spark's as a log: what is known of the whole of it, who is too heavy, and how it is split into buckets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from . import columns as col
from .packed import PACKED, Packing
from .segments import partition_of
from .whole import Whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyspark.sql import Column, DataFrame

    from .roles import Roles

__all__ = ["checked", "heavy_entities", "sample_of", "split", "types_of", "whole_of"]


def checked(frame: DataFrame, roles: Roles) -> DataFrame:
    """The columns that have a role.

    Raises
    ------
    SchemaError
        If one is missing or cannot play its part.
    """
    there = frame.select(*(_column(name) for name in dict.fromkeys(roles.columns) if name in frame.columns))
    roles.check(types_of(there), "Spark frame")
    return there


def types_of(frame: DataFrame) -> pa.Schema:
    """The columns as they come to a worker."""
    return frame.limit(0).toArrow().schema


def whole_of(frame: DataFrame, roles: Roles) -> Whole:
    """Days of the whole log; reads the column of times and nothing else."""
    rows = frame.select(_column(roles.at)).mapInArrow(_Looking(roles.time_zone).at_times, "whole string").collect()
    whole = Whole()
    for row in rows:
        whole = whole.merged(Whole.from_dict(json.loads(row["whole"])))
    return whole


def heavy_entities(frame: DataFrame, roles: Roles, most: int) -> dict[object, int]:
    """The entities that have more than so many rows, and how many; counted before anything is moved."""
    counts = frame.groupBy(_column(roles.entity).alias("entity")).count()
    rows = counts.where(f"count > {most:d} AND entity IS NOT NULL").collect()
    return {row["entity"]: row["count"] for row in rows}


def split(frame: DataFrame, roles: Roles, columns: pa.Schema, buckets: int, heavy: Mapping[object, int]) -> DataFrame:
    """The rows of all entities but the heavy ones, packed, with those of a bucket together: see :mod:`.packed`."""
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    if heavy:
        entity = _column(roles.entity)
        frame = frame.where(entity.isNull() | ~entity.isin(list(heavy)))
    packing = Packing(roles, buckets, columns)
    return frame.mapInArrow(packing.among, from_arrow_schema(PACKED)).repartition(buckets, fn.col("bucket"))


def sample_of(frame: DataFrame, roles: Roles, parts: int) -> pa.Table:
    """The rows of the entities with the lowest hashes, one of so many, on the driver."""
    if parts == 1:
        return frame.toArrow()
    return frame.mapInArrow(_Lowest(roles.entity, parts).among, frame.schema).toArrow()


@dataclass(frozen=True)
class _Looking:
    zone: str

    def at_times(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row for all batches."""
        found = Whole()
        for batch in batches:
            found = found.merged(Whole.of(col.times(pa.chunked_array([batch.column(0)]), self.zone)))
        yield pa.RecordBatch.from_pydict({"whole": [json.dumps(found.to_dict())]})


@dataclass(frozen=True)
class _Lowest:
    entity: str
    parts: int

    def among(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows to keep; a row without an entity belongs to nobody."""
        for batch in batches:
            entity = col.encode(pa.chunked_array([batch.column(self.entity)]))
            lowest = np.append(partition_of(entity.keys, self.parts) == 0, [False])
            yield batch.filter(pa.array(lowest[entity.codes]))


def _column(name: str) -> Column:
    from pyspark.sql import functions as fn

    return fn.col("`" + name.replace("`", "``") + "`")
