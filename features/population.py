"""What everyone does: integer counts, fitted once and frozen into the model.

Only sums of integers are kept, so that merging partitions in any order gives the same bits. A feature's distribution is
a histogram whose bins are the same for every log and every feature: the leading bits of the float32 itself (sign,
exponent, four bits of mantissa), which in order of value are a logarithmic scale with bins 3 to 6 % wide.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeVar, cast

import numpy as np
import pyarrow as pa

from ..errors import BundleError, PlanMismatchError
from .kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["BIN_BITS", "LOWER_EDGES", "N_BINS", "Keyed", "Population", "bins_of", "histogram"]

Derived = TypeVar("Derived")
BIN_BITS = 13
N_BINS = 1 << BIN_BITS
_DROP = 32 - BIN_BITS


@dataclass(frozen=True, eq=False)
class Keyed:
    """Counts by the hash of a value.

    Attributes
    ----------
    keys : uint64 array of shape (k,), rising
    counts : int64 array of shape (k,)

    Examples
    --------
    >>> seen = Keyed.of(np.array([9, 4, 9], np.uint64), np.ones(3, np.int64))
    >>> seen.of_keys(np.array([4, 9, 5], np.uint64))
    array([1, 2, 0])
    """

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> Self:
        """Add up the counts of equal keys."""
        unique, place = np.unique(keys, return_inverse=True)
        total = np.zeros(len(unique), np.int64)
        np.add.at(total, place, counts)
        return cls(unique, total)

    def of_keys(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The count of each key; 0 for one that was never seen."""
        if not len(self.keys):
            return np.zeros(len(keys), np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.counts[place], 0)

    def merged(self, other: Keyed) -> Keyed:
        """The counts of both together."""
        return Keyed.of(np.concatenate([self.keys, other.keys]), np.concatenate([self.counts, other.counts]))


@dataclass(frozen=True, eq=False)
class Population:
    """Counts over all entities.

    Attributes
    ----------
    counts : mapping of str to int64 array
        What families observed in the events, by the name they gave it.
    keyed : mapping of str to Keyed
        What families observed of single values, by the name they gave it.
    histograms : mapping of str to int64 array of shape (N_BINS,)
        How often each feature fell into each bin; nulls are not counted.
    """

    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    histograms: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    keyed: Mapping[str, Keyed] = field(default_factory=dict)
    _derived: dict[str, object] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def observed(cls, counts: Mapping[str, NDArray[np.int64] | Keyed]) -> Self:
        """What a family counted."""
        dense = {name: count for name, count in counts.items() if not isinstance(count, Keyed)}
        return cls(dense, keyed={name: count for name, count in counts.items() if isinstance(count, Keyed)})

    def merged(self, other: Population) -> Population:
        """The population of both together; the order of merging does not matter."""
        keyed = dict(self.keyed)
        for name, counts in other.keyed.items():
            keyed[name] = keyed[name].merged(counts) if name in keyed else counts
        return Population(_sums(self.counts, other.counts), _sums(self.histograms, other.histograms), keyed)

    def derive(self, name: str, make: Callable[[], Derived]) -> Derived:
        """Something worked out of the counts, made once and kept as long as the population is."""
        if name not in self._derived:
            self._derived[name] = make()
        return cast("Derived", self._derived[name])

    def quantile(self, feature: str, share: float) -> float:
        """The value below which ``share`` of the population lies, to the width of a bin; NaN for an empty histogram.

        Raises
        ------
        PlanMismatchError
            If the population knows no such feature.
        """
        below = self._below(feature)
        total = int(below[-1])
        if total == 0:
            return float("nan")
        bin_number = int(np.searchsorted(below[1:], max(share * total, 1.0), side="left"))
        return float(LOWER_EDGES[min(bin_number, N_BINS - 1)])

    def share_below(self, feature: str, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """The share of the population strictly below the bin of each value; NaN where the value is null."""
        below, null = self._below(feature), np.isnan(values)
        shares = below[bins_of(np.where(null, np.float32(0.0), values))] / max(1, int(below[-1]))
        return np.where(null, np.nan, shares)

    def _below(self, feature: str) -> NDArray[np.int64]:
        """How many values lie below each bin, and after the last bin all of them; int64 of shape (N_BINS + 1,)."""
        counts = self.histogram_of(feature)
        return self.derive(f"below {feature}", lambda: np.concatenate([[0], np.cumsum(counts)]))

    def save(self, path: Path) -> None:
        """Write one Arrow file; empty bins are left out."""
        path.write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """What :meth:`save` writes."""
        names, kinds, places, counts = [], [], [], []
        for kind, group in (("counts", self.counts), ("histogram", self.histograms)):
            for name in sorted(group):
                where = np.flatnonzero(group[name])
                names.append(name)
                kinds.append(kind)
                places.append(where.astype(np.int64))
                counts.append(group[name][where])
        for name in sorted(self.keyed):
            names.append(name)
            kinds.append("keyed")
            places.append(self.keyed[name].keys.view(np.int64))
            counts.append(self.keyed[name].counts)
        sizes = {name: len(values) for name, values in self.counts.items()}
        lists = pa.list_(pa.int64())
        table = pa.table([pa.array(names, pa.string()), pa.array(kinds, pa.string()), pa.array(places, lists),
                          pa.array(counts, lists)], names=["name", "kind", "place", "count"])  # fmt: skip
        table = table.replace_schema_metadata({"sizes": json.dumps(sizes, sort_keys=True)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        return cls.from_bytes(path.read_bytes(), str(path))

    @classmethod
    def from_bytes(cls, content: bytes, where: str = "bytes") -> Self:
        """Read what :meth:`to_bytes` gave.

        Raises
        ------
        BundleError
            If it is nothing of the kind.
        """
        try:
            table = pa.ipc.open_file(pa.py_buffer(content)).read_all()
            sizes = json.loads(table.schema.metadata[b"sizes"])
        except (pa.ArrowInvalid, KeyError, TypeError) as error:
            message = f"{where}: expected a saved population, cannot read it: {error}"
            raise BundleError(message) from error
        dense: dict[str, dict[str, NDArray[np.int64]]] = {"counts": {}, "histogram": {}}
        keyed: dict[str, Keyed] = {}
        for n in range(table.num_rows):
            name, kind = table["name"][n].as_py(), table["kind"][n].as_py()
            place, count = (table[column][n].values.to_numpy() for column in ("place", "count"))
            if kind == "keyed":
                keyed[name] = Keyed(place.view(np.uint64), count)
                continue
            dense[kind][name] = np.zeros(sizes[name] if kind == "counts" else N_BINS, np.int64)
            dense[kind][name][place] = count
        return cls(dense["counts"], dense["histogram"], keyed)

    def histogram_of(self, feature: str) -> NDArray[np.int64]:
        """How often a feature fell into each bin, int64 of shape (N_BINS,).

        Raises
        ------
        PlanMismatchError
            If the population knows no such feature.
        """
        if feature not in self.histograms:
            message = f"the population knows no feature {feature!r}; it was fitted with another plan"
            raise PlanMismatchError(message)
        return self.histograms[feature]


def histogram(columns: Sequence[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
    """Count the values of each column into the fixed bins.

    Parameters
    ----------
    columns : sequence of float32 arrays of shape (n,)

    Returns
    -------
    list of int64 arrays of shape (N_BINS,)
    """
    return [_count(np.ascontiguousarray(column).view(np.uint32), _DROP, N_BINS) for column in columns]


@kernel
def _count(words: NDArray[np.uint32], drop: int, n_bins: int) -> NDArray[np.int64]:
    """Bin by the leading bits. Flipping all bits of a negative, and the sign bit of others, puts floats in order."""
    counts = np.zeros(n_bins, np.int64)
    for word in words:
        if (word & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
            continue
        flipped = ~word if word >> np.uint32(31) else word | np.uint32(0x80000000)
        counts[flipped >> np.uint32(drop)] += 1
    return counts


def bins_of(values: NDArray[np.float32]) -> NDArray[np.intp]:
    """The bin of each value; one of its own for null, which no histogram counts."""
    words = np.asarray(values, np.float32).view(np.uint32)
    flipped = np.where(words >> np.uint32(31), ~words, words | np.uint32(0x80000000))
    return (flipped >> np.uint32(_DROP)).astype(np.intp)


def _edges() -> NDArray[np.float32]:
    flipped = np.arange(N_BINS, dtype=np.uint32) << np.uint32(_DROP)
    words = np.where(flipped >> np.uint32(31), flipped & np.uint32(0x7FFFFFFF), ~flipped)
    return words.astype(np.uint32).view(np.float32)


LOWER_EDGES = _edges()


def _sums(
    ours: Mapping[str, NDArray[np.int64]], theirs: Mapping[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.int64]]:
    joined = dict(ours)
    for name, counts in theirs.items():
        joined[name] = joined[name] + counts if name in joined else counts
    return joined
