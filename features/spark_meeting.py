"""Where buckets know of each other on Spark: whose id an event bears, and who else was at a value.

As over partitions on disk (:mod:`~peculiar.features.repeated`, :mod:`~peculiar.features.meeting`), and by the same
code; only the way is another. What one bucket tells a part travels as one row of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import SchemaError
from .buckets import HANDED, Handing
from .noting import noted_there
from .repeated import Named, later_ones, witnesses
from .visits import EVENT

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from .buckets import Bucket
    from .plan import FeaturePlan
    from .spark import SparkEvents

__all__ = ["met", "spurned_ids"]

_TOLD = pa.schema({"bucket": pa.int64(), "note": pa.string(), "told": pa.binary()})
_KEYS = pa.schema({"key": pa.int64()})
_WITNESSES = pa.schema(dict.fromkeys(("key", "at", "who", "content", "place", "bucket"), pa.int64()))
_MOST_SUSPECTS = 1_000_000


@dataclass(frozen=True)
class _Naming:
    """The keys of a bucket's ids, each once."""

    column: str

    def __call__(self, bucket: Bucket) -> pa.Table:
        return pa.table({"key": _named(bucket, self.column).keys.view(np.int64)})


@dataclass(frozen=True, eq=False)
class _Witnessing:
    """What decides who keeps an id, of the events in question."""

    column: str
    suspects: NDArray[np.uint64]

    def __call__(self, bucket: Bucket) -> pa.Table:
        found = witnesses(_named(bucket, self.column), self.suspects)
        columns = [column.view(np.int64) for column in found]
        return pa.table([*columns, np.full(len(columns[0]), bucket.number)], names=_WITNESSES.names)


def spurned_ids(events: SparkEvents) -> dict[int, NDArray[np.int64]]:
    """Places in the timeline of each bucket whose ids events of other buckets have; the earliest keeps its id.

    Parameters
    ----------
    events : SparkEvents
        Of which nothing is known yet.

    Raises
    ------
    SchemaError
        If a million ids or more are used by several entities.
    """
    column = events.plan.roles.id
    if column is None:
        return {}
    named = events.each(_Naming(column), _KEYS, met=False).groupBy("key").count()
    found = named.where("count > 1").select("key").limit(_MOST_SUSPECTS).toArrow()
    if not len(found):
        return {}
    if len(found) == _MOST_SUSPECTS:
        message = (
            f"expected ids that are unique to an event, but {_MOST_SUSPECTS:,} or more of column {column} "
            "are used by several entities; leave the role out, or name a column that is unique"
        )
        raise SchemaError(message)
    suspects = np.sort(found["key"].to_numpy().view(np.uint64))
    table = events.each(_Witnessing(column, suspects), _WITNESSES, met=False).toArrow()
    key, at, who, content, place, bucket = (table[name].to_numpy() for name in _WITNESSES.names)
    later = later_ones(key.view(np.uint64), at, who.view(np.uint64), content.view(np.uint64))
    return {number: place[later[bucket[later] == number]] for number in np.unique(bucket[later]).tolist()}


def met(events: SparkEvents, parts: int) -> DataFrame:
    """What the families note on the events of each bucket: columns ``bucket``, ``note``, ``told``.

    Parameters
    ----------
    events : SparkEvents
    parts : int
        How many parts a meeting place is cut into; the notes do not depend on it.
    """
    handed = events.each(Handing(events.plan, parts), HANDED, met=False)
    troubles = np.empty(0, EVENT)
    if events.plan.risky and events.gate.noted is not None:
        troubles = _troubles(handed.where("dimension IS NULL").toArrow())
    work = _Telling(events.plan, troubles)

    def tell(key: tuple[Any, ...], handed: pa.Table) -> pa.Table:
        return work(key[0].as_py(), handed)

    groups = handed.where("dimension IS NOT NULL").groupBy("dimension", "part")
    return groups.applyInArrow(tell, "bucket long, note string, told binary")


@dataclass(frozen=True, eq=False)
class _Telling:
    """What the families note on the events of one part of a meeting place."""

    plan: FeaturePlan
    troubles: NDArray[np.void]

    def __call__(self, name: str, handed: pa.Table) -> pa.Table:
        # Within a bucket events are in order already, and buckets number who is in them.
        contents = handed.sort_by("bucket")["events"].to_pylist()
        events = np.concatenate([np.frombuffer(content, EVENT) for content in contents])
        told = noted_there(self.plan, name, events, self.troubles, zone=self.plan.roles.time_zone)
        rows = [{"bucket": bucket, "note": note, "told": notes.tobytes()} for bucket, note, notes in told]
        return pa.Table.from_pylist(rows, _TOLD)


def _troubles(table: pa.Table) -> NDArray[np.void]:
    found = [np.frombuffer(content, EVENT) for content in table.sort_by("bucket")["events"].to_pylist()]
    return np.concatenate([*found, np.empty(0, EVENT)])


def _named(bucket: Bucket, column: str) -> Named:
    there = bucket.raw[column].is_valid().to_numpy()
    return Named(bucket.timeline, there[bucket.timeline.row], np.arange(len(bucket.timeline)))
