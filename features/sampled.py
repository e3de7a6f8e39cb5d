"""Vectors of some entities in the place of all, each with its weight.

Training needs to see many kinds of behaviour, not everybody. A sample is of whole entities, chosen by a hash of their
name: the same ones on every machine, whatever else is in the log, with all their windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ConfigError
from .columns import stable_hash
from .vectors import Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .plan import FeaturePlan

__all__ = ["Sample", "collected"]

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Sample:
    """A share of all entities.

    Attributes
    ----------
    share : float
        In (0, 1].
    always : tuple of str
        Entities that come in any case, such as those with labels; they stand for themselves alone.
    seed : int
        Another number, other entities.

    Examples
    --------
    >>> import pyarrow as pa
    >>> names = pa.array([f"user {n}" for n in range(1000)])
    >>> weights = Sample(0.25, always=("user 7",)).weights(names)
    >>> sorted(set(weights.tolist())), float(weights[7])
    ([0.0, 1.0, 4.0], 1.0)
    """

    share: float
    always: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0 < self.share <= 1:
            message = f"expected a share of the entities in (0, 1], got {self.share!r}"
            raise ConfigError(message)

    def weights(self, entity: pa.Array) -> NDArray[np.float64]:
        """How many entities each of some stands for, float64; 0 for those that are not in the sample.

        Parameters
        ----------
        entity : pyarrow.Array of text
        """
        mixed = (stable_hash(entity) ^ (np.array([self.seed], np.uint64) * _MIX)) * _MIX
        chosen = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53 < self.share
        named = pc.is_in(entity, value_set=pa.array(self.always, entity.type)).to_numpy(zero_copy_only=False)
        return np.where(named, 1.0, np.where(chosen, 1.0 / self.share, 0.0))


def collected(table: pa.Table, plan: FeaturePlan) -> tuple[Vectors, NDArray[np.float64] | None]:
    """Vectors that were built elsewhere, as a detector learns from them, in the order of (entity, as_of).

    Parameters
    ----------
    table : pyarrow.Table, n rows
        Columns entity, since, as_of, and the plan's features.
    plan : FeaturePlan
        That built them.

    Returns
    -------
    vectors : Vectors
    weight : float64 array of shape (n,), or None
        How many each row stands for, if the table has a column ``weight``.
    """
    entity = table["entity"].cast(pa.string()).combine_chunks().dictionary_encode()
    names = entity.dictionary.to_numpy(zero_copy_only=False).astype(object)
    place = np.empty(len(names), np.int64)
    place[np.argsort(names, kind="stable")] = np.arange(len(names))
    since, as_of = (
        table[name].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy() for name in ("since", "as_of")
    )
    order = np.lexsort((as_of, place[entity.indices.to_numpy()]))
    values = np.empty((len(plan.features), len(table)), np.float32)
    for row, feature in zip(values, plan.features, strict=True):
        row[:] = table[feature.name].to_numpy()
    made = (values[:, order], plan.features, plan.fingerprint)
    vectors = Vectors(entity.take(pa.array(order)), since[order], as_of[order], *made, cut=plan.windows.cut)
    return vectors, table["weight"].to_numpy()[order] if "weight" in table.column_names else None
