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
from .buckets import EVENTS, IDS, TROUBLES, named
from .noting import noted_there
from .repeated import later_ones, witnesses
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


@dataclass(frozen=True, eq=False)
class _Witnessing:
    """What decides who keeps an id, of the events in question."""

    column: str
    suspects: NDArray[np.uint64]

    def __call__(self, bucket: Bucket) -> pa.Table:
        found = witnesses(named(bucket, self.column), self.suspects)
        columns = [column.view(np.int64) for column in found]
        return pa.table([*columns, np.full(len(columns[0]), bucket.number)], names=_WITNESSES.names)


def spurned_ids(events: SparkEvents, handed: DataFrame) -> dict[int, NDArray[np.int64]]:
    """Places in the timeline of each bucket whose ids events of other buckets have; the earliest keeps its id.

    Parameters
    ----------
    events : SparkEvents
        Of whose ids nothing is known yet.
    handed : pyspark.sql.DataFrame
        What :class:`~peculiar.features.buckets.Handing` makes of them.

    Raises
    ------
    SchemaError
        If a million ids or more are used by several entities.
    """
    column = events.plan.roles.id
    assert column is not None
    again = handed.where(f"what = '{IDS}'").groupBy("part").applyInArrow(_again, "key long")
    found = again.limit(_MOST_SUSPECTS).toArrow()
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


def _again(handed: pa.Table) -> pa.Table:
    """The ids of a part that several buckets have; in each bucket they come once."""
    keys = np.sort(np.concatenate([np.frombuffer(piece.as_buffer(), np.int64) for piece in handed["content"]]))
    return pa.table({"key": np.unique(keys[1:][keys[1:] == keys[:-1]])}, _KEYS)


def met(events: SparkEvents, handed: DataFrame) -> DataFrame:
    """What the families note on the events of each bucket: columns ``bucket``, ``note``, ``told``.

    Parameters
    ----------
    events : SparkEvents
    handed : pyspark.sql.DataFrame
        What :class:`~peculiar.features.buckets.Handing` makes of them; in how many parts does not show.
    """
    troubles = np.empty(0, EVENT)
    if events.plan.risky and events.gate.noted is not None:
        troubles = _troubles(handed.where(f"what = '{TROUBLES}'").toArrow())
    work = _Telling(events.plan, troubles)

    def tell(key: tuple[Any, ...], handed: pa.Table) -> pa.Table:
        return work(key[0].as_py(), handed)

    groups = handed.where(f"what = '{EVENTS}'").groupBy("dimension", "part")
    return groups.applyInArrow(tell, "bucket long, note string, told binary")


@dataclass(frozen=True, eq=False)
class _Telling:
    """What the families note on the events of one part of a meeting place."""

    plan: FeaturePlan
    troubles: NDArray[np.void]

    def __call__(self, name: str, handed: pa.Table) -> pa.Table:
        # Within a bucket events are in order already, and buckets number who is in them.
        contents = handed.sort_by("bucket")["content"]
        events = np.concatenate([np.frombuffer(content.as_buffer(), EVENT) for content in contents])
        told = noted_there(self.plan, name, events, self.troubles, zone=self.plan.roles.time_zone)
        rows = [{"bucket": bucket, "note": note, "told": notes.tobytes()} for bucket, note, notes in told]
        return pa.Table.from_pylist(rows, _TOLD)


def _troubles(table: pa.Table) -> NDArray[np.void]:
    found = [np.frombuffer(content.as_buffer(), EVENT) for content in table.sort_by("bucket")["content"]]
    return np.concatenate([*found, np.empty(0, EVENT)])
