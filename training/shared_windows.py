"""The windows that two versions have in common, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .metrics import JudgedRows, entity_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SharedWindows"]

_KEY = ("code", "since", "as_of", "nth")


@dataclass(frozen=True, eq=False)
class SharedWindows:
    """Windows that two versions were judged on, with what each said of them and what became known.

    Attributes
    ----------
    entity : pyarrow.Array of string, n rows
    keys : uint64 array of shape (n,)
        Of the entities, the same on every machine.
    day : int64 array of shape (n,), days since 1970
    scores : pair of float64 arrays of shape (n,)
    p : pair of float64 arrays of shape (n,) or None
        p-values; None where a version is not calibrated.
    y : bool array of shape (n,), or None without labels
    value : float64 array of shape (n,), 0 or more, or None
    disagree : int
        Windows of which the two versions were told different things.
    """

    entity: pa.Array
    keys: NDArray[np.uint64]
    day: NDArray[np.int64]
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    p: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]
    y: NDArray[np.bool_] | None
    value: NDArray[np.float64] | None
    disagree: int

    @classmethod
    def of(cls, first: pa.Table, second: pa.Table, *, newest: int = 1) -> Self:
        """Join two tables of judged windows; the truth of the ``newest`` (0 or 1) counts where both were told one."""
        tables = [table.take(rows) for table, rows in zip((first, second), _matched(first, second), strict=True)]
        scores = tables[0]["score"].to_numpy(), tables[1]["score"].to_numpy()
        p = _known(tables[0]["p_value"]), _known(tables[1]["p_value"])
        truths = [_known(tables[place]["confirmed"]) for place in (newest, 1 - newest)]
        there = [truth for truth in truths if truth is not None]
        value = next((each for each in (_known(table["value"]) for table in tables) if each is not None), None)
        entity = tables[0]["entity"].combine_chunks()
        return cls(
            entity, entity_keys(entity), tables[0]["day"].to_numpy().astype(np.int64), scores, p,
            there[0].astype(np.bool_) if there else None,
            None if value is None else np.maximum(np.nan_to_num(value), 0.0),  # a refund puts nothing at stake
            int((there[0] != there[1]).sum()) if len(there) > 1 else 0,
        )  # fmt: skip

    def rows(self, which: NDArray[np.bool_]) -> SharedWindows:
        """Some of the windows."""
        p = tuple(None if each is None else each[which] for each in self.p)
        y, value = None if self.y is None else self.y[which], None if self.value is None else self.value[which]
        scores, entity = (self.scores[0][which], self.scores[1][which]), self.entity.filter(pa.array(which))
        return SharedWindows(entity, self.keys[which], self.day[which], scores, (p[0], p[1]), y, value, 0)

    def judged(self) -> JudgedRows:
        """Rows and truth; without labels nothing is confirmed."""
        return JudgedRows(np.zeros(len(self.day), np.bool_) if self.y is None else self.y, self.day, self.entity)


def _matched(first: pa.Table, second: pa.Table) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of both that are the same window, in the order of the first."""
    import pandas as pd

    names = pc.unique(first["entity"])
    frames = []
    for table in (first, second):
        code = pc.index_in(table["entity"], value_set=names).fill_null(-1).to_numpy()
        times = {name: table[name].cast(pa.int64()).to_numpy() for name in ("since", "as_of")}
        frame = pd.DataFrame({"code": code, **times, "row": np.arange(len(table))})
        frame["nth"] = frame.groupby(["code", "since", "as_of"]).cumcount()
        frames.append(frame[frame["code"] >= 0])
    both = frames[0].merge(frames[1], on=list(_KEY), validate="one_to_one").sort_values("row_x")
    return both["row_x"].to_numpy(), both["row_y"].to_numpy()


def _known(column: pa.ChunkedArray) -> NDArray[Any] | None:
    """The values; None if none is known. A truth that is not known is not confirmed, another figure NaN."""
    if column.null_count == len(column):
        return None
    if pa.types.is_boolean(column.type):
        column = column.fill_null(False)
    return np.asarray(column.to_numpy())
