"""The windows a candidate was judged on, kept beside its run so that versions can be compared later.

Each candidate's run has the artifact ``judged.parquet``: one row per window of the test period, with what the model
said of it and what became known. Versions that share windows can then be held against each other without the events.

It names entities and what was confirmed of them, as a scores file does: keep the store as safe, and delete a run's
artifacts when the log's retention says that its events must go. No model needs them; only comparisons do.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import BundleError
from ..features.output import beside

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .registry import Version
    from .store import Store

__all__ = ["JUDGED", "Judgement", "about_judged", "judged_table", "read_judged", "write_judged"]

JUDGED = "judged.parquet"
_ABOUT, _FORMAT = b"peculiar.judged", 1
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    {
        "entity": pa.string(),
        "since": _TIME,
        "as_of": _TIME,
        "day": pa.int32(),
        "score": pa.float64(),
        "p_value": pa.float64(),
        "confirmed": pa.bool_(),
        "cleared": pa.bool_(),
        "value": pa.float64(),
    }
)


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is known about rows beside their vectors; each part an array of shape (n,), or None if it is not known.

    Attributes
    ----------
    score : float64
        Higher is more anomalous.
    p_value : float64 or None
    confirmed, cleared : bool or None
        None without labels.
    value : float64 or None
        What was at stake, in the log's own unit.
    """

    score: NDArray[np.float64]
    p_value: NDArray[np.float64] | None = None
    confirmed: NDArray[np.bool_] | None = None
    cleared: NDArray[np.bool_] | None = None
    value: NDArray[np.float64] | None = None


def judged_table(vectors: Vectors, day: NDArray[np.int64], told: Judgement, about: dict[str, Any]) -> pa.Table:
    """Put windows and what was said of them into one table.

    Parameters
    ----------
    vectors : Vectors, n rows
    day : int64 array of shape (n,), days since 1970
        In the log's zone: the day that alerts are counted by.
    told : Judgement
    about : dict
        Plain data for the table's metadata: ``budget`` (alerts a day), ``zone``, ``data`` and ``plan`` (fingerprints).

    Returns
    -------
    pyarrow.Table
        ``entity``, ``since``, ``as_of`` (UTC), ``day``, ``score``, ``p_value`` (null if not calibrated), ``confirmed``
        (null without labels), ``cleared``, ``value`` (null if the log has none), in the order of the vectors. With one
        window per event (entity, since, as_of) may come twice, where an entity did two things at one instant.

    Examples
    --------
    >>> from peculiar.features.vectors import Vectors
    >>> entity = pa.array(["ann", "ben"]).dictionary_encode()
    >>> nothing = np.empty((0, 2), np.float32)
    >>> vectors = Vectors(entity, np.zeros(2, np.int64), np.full(2, 86_400_000_000), nothing, (), "plan")
    >>> table = judged_table(vectors, np.zeros(2, np.int64), Judgement(np.array([2.0, 1.0])), {"budget": 1})
    >>> table["score"].to_pylist(), table["confirmed"].to_pylist(), about_judged(table)["budget"]
    ([2.0, 1.0], [None, None], 1)
    """
    rows = len(vectors)
    none = np.zeros(rows, np.bool_)
    columns = [
        vectors.entity.dictionary_decode().cast(pa.string()),
        pa.array(vectors.since).cast(_TIME),
        pa.array(vectors.as_of).cast(_TIME),
        pa.array(day, pa.int32()),
        *(_or_null(values, rows) for values in (told.score, told.p_value, told.confirmed)),
        pa.array(none if told.cleared is None else told.cleared),
        _or_null(told.value, rows),
    ]
    metadata = {_ABOUT: json.dumps({"format": _FORMAT, **about}, sort_keys=True)}
    cast = [column.cast(field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.table(cast, schema=SCHEMA).replace_schema_metadata(metadata)


def about_judged(table: pa.Table) -> dict[str, Any]:
    """What the metadata of such a table say: ``format``, ``budget``, ``zone``, ``data``, ``plan``.

    Raises
    ------
    BundleError
        If it is another kind of table, or of another format.
    """
    try:
        about: dict[str, Any] = json.loads((table.schema.metadata or {})[_ABOUT])
    except (KeyError, ValueError) as error:
        raise BundleError(f"expected a table of judged windows, found none of its metadata ({error})") from error
    if about.get("format") != _FORMAT:
        message = f"expected judged windows of format {_FORMAT}, got {about.get('format')}; train the version again"
        raise BundleError(message)
    return about


def write_judged(path: Path, table: pa.Table) -> None:
    """Write a table of :func:`judged_table` as Parquet, whole or not at all."""
    import pyarrow.parquet as pq

    about_judged(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")


def read_judged(store: Store, version: Version) -> pa.Table:
    """The windows that a registered version was judged on.

    Raises
    ------
    BundleError
        If its run has no such file, or one that cannot be read.
    """
    import pyarrow.parquet as pq
    from mlflow.exceptions import MlflowException

    try:
        with tempfile.TemporaryDirectory() as folder:
            table = pq.read_table(store.client.download_artifacts(version.run_id, JUDGED, folder))
    except (MlflowException, OSError, pa.ArrowInvalid) as error:
        message = (
            f"{version.name} version {version.number} has no {JUDGED} that can be read ({error}); it was registered by "
            "other means or its artifacts were deleted: train again, or score the same events with both versions"
        )
        raise BundleError(message) from error
    about_judged(table)
    return table


def _or_null(values: NDArray[Any] | None, rows: int) -> pa.Array:
    return pa.nulls(rows) if values is None else pa.array(values, from_pandas=True)
