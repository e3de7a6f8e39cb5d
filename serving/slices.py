"""A period slice by slice: peer groups, and attributes kept for audits, which slice a report and never feed a model.

For each slice: how large it is and was, how many of its entities are new, how many alerts it gets, whether p-values
hold, and how far the feature that moved most would have moved without it. So a reader sees where a change sits, and
whether a group bears more alerts than its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..features.columns import stable_hash
from ..training.calibration import validity
from ..training.usual import count_cells, psi, tenths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from ..training.calibration import Validity
    from .drift import Drift

__all__ = ["Rows", "Slice", "sliced"]

_MOST = 12
_LEAST = 20  # entities: about fewer nothing is told


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of n scored windows.

    Attributes
    ----------
    vectors : Vectors
    day : int64 array of shape (n,), days since 1970
    alert, calm, new : bool arrays of shape (n,)
        Alerts; rows that nobody knows to be trouble; rows of newcomers.
    p : float64 array of shape (n,), or None
    """

    vectors: Vectors
    day: NDArray[np.int64]
    alert: NDArray[np.bool_]
    calm: NDArray[np.bool_]
    new: NDArray[np.bool_]
    p: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Slice:
    """One value of an attribute.

    Attributes
    ----------
    by, name : str
        The attribute and its value.
    rows, entities, newcomers, alerts : int
    share : float
        Of all windows.
    before : float or None
        Its share in training, where that is known.
    alerts_share : float
        Of all alerts.
    validity : Validity or None
        How often its calm windows reach p <= 0.01.
    without : float or None
        PSI of the feature that moved most, over all windows but these.
    """

    by: str
    name: str
    rows: int
    entities: int
    newcomers: int
    alerts: int
    share: float
    before: float | None
    alerts_share: float
    validity: Validity | None
    without: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        watched = self.validity
        p01 = None if watched is None else {**vars(watched.share), "holds": watched.holds}
        return {**{name: value for name, value in vars(self).items() if name != "validity"}, "p01": p01}


def sliced(
    rows: Rows,
    by: Mapping[str, pa.DictionaryArray],
    drifts: Sequence[Drift],
    *,
    before: Mapping[str, Mapping[str, int]],
) -> list[Slice]:
    """The largest slices of each attribute; those of fewer than 20 entities are left out, for their sake.

    Parameters
    ----------
    rows : Rows
    by : mapping of str to pyarrow.DictionaryArray of length n
    drifts : sequence of Drift
        Of all features; the one with the largest PSI is looked at slice by slice.
    before : mapping of str to mapping of str to int
        Rows of each value in training, by attribute and hash.
    """
    moved = [drift for drift in drifts if drift.moved]
    most = max(moved, key=lambda drift: drift.psi) if moved else None
    return [each for name, column in by.items() for each in _of(rows, name, column, most, before.get(name, {}))]


def _of(rows: Rows, by: str, column: pa.DictionaryArray, most: Drift | None, before: Mapping[str, int]) -> list[Slice]:
    code = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = np.flatnonzero(code >= 0)
    counts = np.bincount(code[known], minlength=len(column.dictionary))
    without = _without(rows.vectors, most, code, len(counts))
    keys = [f"{key:016x}" for key in stable_hash(column.dictionary).tolist()]
    values, total = column.dictionary.cast(pa.string()).to_pylist(), sum(before.values())
    found = []
    for place in np.argsort(-counts, kind="stable")[:_MOST].tolist():
        share = before.get(keys[place], 0) / total if total else None
        one = _one(rows, (by, str(values[place])), code == place, (share, without[place]))
        found += [one] if one.entities >= _LEAST else []
    return found


def _one(
    rows: Rows, called: tuple[str, str], mask: NDArray[np.bool_], known: tuple[float | None, float | None]
) -> Slice:
    entity = rows.vectors.entity.indices.to_numpy()
    alerts, size = int(np.count_nonzero(rows.alert & mask)), int(np.count_nonzero(mask))
    calm = mask & rows.calm
    watched = None
    if rows.p is not None and calm.any():
        watched = validity(rows.p[calm], day=rows.day[calm], entity=rows.vectors.entity.filter(pa.array(calm)))
    return Slice(
        *called,
        size,
        len(np.unique(entity[mask])),
        len(np.unique(entity[mask & rows.new])),
        alerts,
        size / max(1, len(mask)),
        known[0],
        alerts / max(1, int(np.count_nonzero(rows.alert))),
        watched,
        known[1],
    )


def _without(vectors: Vectors, most: Drift | None, code: NDArray[np.int64], n_values: int) -> list[float] | list[None]:
    """PSI of a feature over all rows but those of one value, for each value."""
    if most is None:
        return [None] * n_values
    group = np.where(code < 0, n_values, code)
    counts = count_cells(vectors.column(most.feature.name), most.cells.start, group, n_values + 1)
    if not most.now[-1]:
        counts[:, -1] = 0
    rest, cut = counts.sum(axis=0) - counts[:-1], tenths(most.cells.counts)
    found: list[float] = psi(np.add.reduceat(most.cells.counts, cut), np.add.reduceat(rest, cut, axis=1)).tolist()  # type: ignore[attr-defined]
    return found
