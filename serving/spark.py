"""Scores on Spark: the model goes to the events.

The model is read once where the job is started and sent along as the bytes of its files; each worker process reads it
once, and scores whole buckets of entities. So executors need the package, and neither the registry nor a folder. The
registered model is not called row by row: a row by itself has no history.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from ..errors import PlanMismatchError
from ..features.buckets import built, with_last_id
from ..features.spark import key_columns
from ..training.asides import days_of
from ..training.model import Model
from .large import scores_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from ..features.buckets import Bucket
    from ..features.spark import SparkEvents

__all__ = ["Shipped", "score_frame"]

_VECTOR_BYTES = 256 << 20


@dataclass(frozen=True)
class Shipped:
    """A model on its way to the workers.

    Attributes
    ----------
    sha256 : str
        Of the whole; equal ones are the same model.
    files : tuple of pair of str and bytes
        Path within the model's folder, and content.
    """

    sha256: str
    files: tuple[tuple[str, bytes], ...] = field(compare=False, repr=False)

    @classmethod
    def of(cls, model: Model) -> Self:
        """Pack a model."""
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home) / "model"
            model.save(folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            return cls(model.fingerprint, tuple((p.relative_to(folder).as_posix(), p.read_bytes()) for p in paths))

    def unpacked(self) -> Model:
        """The model, with every file held against its manifest; a process that has it already keeps it."""
        return _unpacked(self)


@lru_cache(maxsize=2)
def _unpacked(shipped: Shipped) -> Model:
    with tempfile.TemporaryDirectory() as home:
        for name, content in shipped.files:
            path = Path(home) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return Model.load(Path(home))


@dataclass(frozen=True)
class _Scoring:
    """The scores of a bucket, with what ranks go by: ``day``, and ``turn`` in the order of (entity, as_of)."""

    model: Shipped
    since: int | None

    def __call__(self, bucket: Bucket) -> pa.Table | None:
        from numba import set_num_threads

        set_num_threads(1)  # as vectors are built: a worker has a core to itself if it leaves its neighbours theirs
        model, tables, turn = self.model.unpacked(), [], 0
        parts = built(model.plan, model.population, bucket, since=self.since, most_bytes=_VECTOR_BYTES)
        for events, vectors in parts:
            table = with_last_id(scores_of(model, events, vectors), model.plan, bucket, vectors)
            day = days_of(vectors, model.plan.windows, model.plan.roles.time_zone)
            table = table.append_column("day", pa.array(day))
            tables.append(table.append_column("turn", pa.array(np.arange(turn, turn + len(vectors)))))
            turn += len(vectors)
        return pa.concat_tables(tables) if tables else None


def score_frame(model: Model, events: SparkEvents, *, since: int | None = None) -> DataFrame:
    """Score the windows of all entities, and rank each day's.

    Parameters
    ----------
    model : Model
    events : SparkEvents
        Of the model's plan.
    since : int, optional
        Windows from then on, microseconds since 1970 UTC; what comes before is history.

    Returns
    -------
    pyspark.sql.DataFrame
        Entity, since, as_of, the id of the window's last event where windows are no days or hours, score, p_value (null
        if the model was not calibrated), rank (1 is the oddest of its day; equal scores by the entity's name and time).

    Raises
    ------
    PlanMismatchError
        If the events were made ready for another plan.

    Examples
    --------
    .. code-block:: python

        model = Model.load(Path("model"))
        with SparkEvents.over(spark.table("events"), model.plan) as events:
            score_frame(model, events).write.saveAsTable("scores")
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    if events.plan.fingerprint != model.plan.fingerprint:
        message = (
            f"expected events for the model's plan {model.plan.fingerprint}, got those for {events.plan.fingerprint}; "
            "give SparkEvents.over the plan of the model"
        )
        raise PlanMismatchError(message)
    keys, numbers = key_columns(events), [("score", pa.float64()), ("p_value", pa.float64())]
    order = [("day", pa.int64()), ("turn", pa.int64())]
    scores = events.each(_Scoring(Shipped.of(model), since), pa.schema([*keys, *numbers, *order]))
    within = Window.partitionBy("day").orderBy(fn.col("score").desc(), "entity", "turn")
    return scores.withColumn("rank", fn.row_number().over(within).cast("long")).drop("day", "turn")
