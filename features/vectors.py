"""Behavioural vectors: one row per snapshot, one column per feature.

A row is the pair (entity, as_of): what the entity did in the window ``[since, as_of)``, seen against the horizon before
it. Values lie feature by feature in memory (``values[f]`` is one contiguous column), because families write a column
at a time and detectors read a column at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import PlanMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from .family import Feature

__all__ = ["Vectors"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of many snapshots.

    Attributes
    ----------
    entity : pyarrow.DictionaryArray, length n
        Whose behaviour each row describes.
    since, as_of : int64 arrays of shape (n,), microseconds since 1970 UTC
        The current window, half-open. ``(entity, as_of)`` is unique.
    values : float32 array of shape (n_features, n)
        NaN is null; each feature says what its null means.
    features : tuple of Feature, length n_features
    plan : str
        Fingerprint of the plan that built these vectors.
    last : uint32 array of shape (n,), or None
        Where the window's last event stood in the source. With one vector per event it tells apart those of one entity
        at one instant.
    cut : "calendar", "run" or "event"
        Windows are days or hours; or unbroken runs; or they end with an event each and reach back over others.
    """

    entity: pa.DictionaryArray
    since: NDArray[np.int64]
    as_of: NDArray[np.int64]
    values: NDArray[np.float32]
    features: tuple[Feature, ...]
    plan: str
    last: NDArray[np.uint32] | None = None
    cut: str = "calendar"

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def fresh(self) -> NDArray[np.int64]:
        """From when on events are a row's own, int64 of shape (n,): its window's begin, or its one event's instant."""
        return self.as_of - 1 if self.cut == "event" else self.since

    @property
    def names(self) -> list[str]:
        """The features' names, in column order."""
        return [feature.name for feature in self.features]

    @property
    def matrix(self) -> NDArray[np.float32]:
        """A view of shape (n, n_features), for libraries that want rows."""
        return self.values.T

    def column(self, name: str) -> NDArray[np.float32]:
        """One feature over all rows, float32 of shape (n,).

        Raises
        ------
        PlanMismatchError
            If the vectors have no such feature.
        """
        try:
            return self.values[self.names.index(name)]
        except ValueError:
            message = f"no feature is called {name!r}; the plan {self.plan} has {', '.join(self.names)}"
            raise PlanMismatchError(message) from None

    def families(self) -> dict[str, NDArray[np.intp]]:
        """The column numbers of each family, families in plan order."""
        numbers: dict[str, list[int]] = {}
        for number, feature in enumerate(self.features):
            numbers.setdefault(feature.family, []).append(number)
        return {family: np.array(columns, np.intp) for family, columns in numbers.items()}

    def groups(self) -> dict[tuple[str, str], NDArray[np.intp]]:
        """The column numbers of each subject of each family, in the order of first appearance."""
        numbers: dict[tuple[str, str], list[int]] = {}
        for number, feature in enumerate(self.features):
            numbers.setdefault((feature.family, feature.subject), []).append(number)
        return {group: np.array(columns, np.intp) for group, columns in numbers.items()}

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Vectors:
        """Keep the given rows: positions, or a mask of shape (n,)."""
        positions = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return replace(
            self,
            entity=self.entity.take(pa.array(positions)),
            since=self.since[positions],
            as_of=self.as_of[positions],
            last=None if self.last is None else self.last[positions],
            values=np.ascontiguousarray(self.values[:, positions]),
        )

    def between(self, start: int | None, stop: int | None) -> Vectors:
        """Rows that are about ``[start, stop)``, microseconds since 1970 UTC; None leaves that side open.

        A day or an hour is about the period if the whole of it is. A window that ends with an event is about the
        period that this event is in, or one soon after midnight, which reaches back into the day before, would belong
        to no day.
        """
        keep = np.ones(len(self), np.bool_)
        if start is not None:
            keep &= self.since >= start if self.cut == "calendar" else self.as_of > start
        if stop is not None:
            keep &= self.as_of <= stop
        return self if keep.all() else self.take(keep)

    def to_arrow(self) -> pa.Table:
        """A table with columns entity, since, as_of (UTC) and one float32 column per feature; NaN becomes null."""
        time = pa.timestamp("us", tz="UTC")
        keys = [self.entity, pa.array(self.since).cast(time), pa.array(self.as_of).cast(time)]
        columns = [pa.array(column, from_pandas=True) for column in self.values]
        return pa.table(keys + columns, names=["entity", "since", "as_of", *self.names])

    def to_pandas(self) -> pd.DataFrame:
        """The same table as a pandas frame."""
        return self.to_arrow().to_pandas()

    @staticmethod
    def concat(parts: Sequence[Vectors]) -> Vectors:
        """Put the rows of several parts, all of one plan, in the order of (entity, as_of).

        Raises
        ------
        PlanMismatchError
            If the parts were not built by the same plan.
        """
        if len({part.plan for part in parts}) != 1:
            message = (
                f"expected vectors of one plan, got {sorted({part.plan for part in parts})}; rebuild them with one"
            )
            raise PlanMismatchError(message)
        entity = pa.concat_arrays([part.entity.dictionary_decode() for part in parts]).dictionary_encode()
        since, as_of = (np.concatenate([getattr(part, key) for part in parts]) for key in ("since", "as_of"))
        values = np.concatenate([part.values for part in parts], axis=1)
        rows = [part.last for part in parts if part.last is not None]
        last = np.concatenate(rows) if len(rows) == len(parts) else None
        joined = replace(parts[0], entity=entity, since=since, as_of=as_of, values=values, last=last)
        by_name = entity.dictionary.to_numpy(zero_copy_only=False).argsort(kind="stable").argsort(kind="stable")
        order = np.lexsort((as_of, by_name[entity.indices.to_numpy()]))
        return joined.take(order)
