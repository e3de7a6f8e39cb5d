"""A batch with the scores and alerts that reviewers saw, in the place of those it was just given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import BundleError, SchemaError
from ..features.sources import open_source
from .dataset import ScoreDataset, is_dataset, read_scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from .scoring import ScoredBatch

__all__ = ["as_scored"]

_NEEDED = ("entity", "since", "as_of", "score", "p_value", "alert", "model")


def as_scored(
    batch: ScoredBatch, scores: str | Path | None, model: str, days: Sequence[date]
) -> tuple[ScoredBatch, tuple[str, ...]]:
    """Put written scores and alerts in the place of a batch's own.

    Parameters
    ----------
    batch : ScoredBatch
        Of the same days, scored by the model.
    scores : str, Path or None
        A file or a dataset that ``peculiar score`` wrote; None leaves the batch as it is.
    model : str
        Name and version.
    days : sequence of date
        The days of the batch.

    Returns
    -------
    batch : ScoredBatch
    notes : tuple of str
        How many windows have no written score, or another than the model gives by now.

    Raises
    ------
    BundleError
        If the scores are of another model.
    SchemaError
        If they are no scores, or none is of a window of the batch.
    """
    if scores is None:
        return batch, ()
    table = _read(scores, days)
    others = sorted({str(name) for name in table["model"].unique().to_pylist()} - {model})
    if others:
        message = f"{scores}: expected scores of {model}, got those of {', '.join(others)}; name it with --model"
        raise BundleError(f"{message} models:/{others[0]}")
    after = batch.table.column_names[batch.table.column_names.index("as_of") + 1]
    keys = ["entity", "since", "as_of", *([] if after == "score" else [after])]
    there = {key: row for row, key in enumerate(_keys(batch.table, keys))}
    pairs = [(there[key], row) for row, key in enumerate(_keys(table, keys)) if key in there]
    if not pairs:
        message = f"{scores}: none of its {table.num_rows:,} windows is of the events and days given; give those"
        raise SchemaError(message)
    return _with(batch, table, np.array(pairs, np.intp).T)


def _read(scores: str | Path, days: Sequence[date]) -> pa.Table:
    if is_dataset(scores):
        there = set(ScoreDataset.open(scores).days())
        return read_scores(scores, [day for day in days if day in there] or None)
    source = open_source(str(scores))
    missing = [name for name in _NEEDED if name not in source.schema().names]
    if missing:
        message = f"{scores}: expected a file that peculiar score wrote, it has no {', '.join(missing)}"
        raise SchemaError(message)
    return source.read(source.schema().names)


def _with(batch: ScoredBatch, table: pa.Table, places: Any) -> tuple[ScoredBatch, tuple[str, ...]]:
    here, row = places
    made, notes = batch.table, []
    alert = np.zeros(len(made), np.bool_)
    alert[here] = table["alert"].to_numpy()[row]
    columns: dict[str, Any] = {"alert": alert}
    for name in ("score", "p_value"):
        own = made[name].to_numpy().astype(np.float64)
        own[here] = table[name].to_numpy()[row]
        columns[name] = pa.array(own, from_pandas=True)
    moved = int(np.count_nonzero(made["score"].to_numpy()[here] != columns["score"].to_numpy()[here]))
    if moved:
        notes.append(f"{moved:,} windows have another score now than was written: events came late, or other labels")
    if len(here) < len(made):
        notes.append(f"{len(made) - len(here):,} of {len(made):,} windows have no written score; they are no alerts")
    for name, values in columns.items():
        made = made.set_column(made.column_names.index(name), name, pa.array(values))
    return replace(batch, table=made), tuple(notes)


def _keys(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    times = ("since", "as_of")
    columns = [table[name].cast(pa.int64() if name in times else pa.string()).to_pylist() for name in names]
    return list(zip(*columns, strict=True))
