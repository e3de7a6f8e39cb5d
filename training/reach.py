"""Reach: how far a value lies beyond those of the fitting rows, which no forest over them can tell.

A tree sends everything beyond its last cut into one leaf: to a forest the largest value of the fitting rows and ten
times that are alike. So beside each forest stands the reach of its columns. On the conditioned scale, which is
logarithmic far out, the tail of each column beyond its 99th percentile is taken as exponential (a power law in the
column's own unit), on either side, and told in nats. The farthest tenth of the tail is censored: it counts that these
values are far out and not how far, so that some trouble among the fitting rows does not set the measure by which
trouble is told. Of several columns the farthest speaks, less what choosing among them is worth (Bonferroni).

Of a column of which one side alone is odd the whole of that side is told, from the median on, by how few of the fitting
rows lie as far out: a forest tells what is rare, and the low numbers of newcomers need not be.

The curve is kept as knots in the column's own unit, so that scoring is comparisons and interpolation, the same bits
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from ..features.ahead import side_by_side
from ..features.kernels import kernel
from .bundles import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .conditioning import Conditioning

__all__ = ["Reach"]

_KNOTS = 16
_TAIL, _FEW = 0.01, 20  # the share of rows that a tail is, and the least number of them
_CENSORED = 0.1  # of the tail, the farthest


@dataclass(frozen=True, eq=False)
class Reach:
    """The tails of all columns, in nats.

    Attributes
    ----------
    value : float32 array of shape (n_features, 2, n_knots)
        In the feature's unit; for the upper side rising, for the lower one falling. NaN for a side without a tail.
    nats : float64 array of shape (n_features, 2, n_knots)
        ``-log p`` at each of these values, less what choosing among the columns of the group is worth; rising.
    group : int32 array of shape (n_features,)
        The number of each feature's group.

    References
    ----------
    Hill, "A simple general approach to inference about the tail of a distribution", Annals of Statistics 1975.
    """

    value: NDArray[np.float32]
    nats: NDArray[np.float64]
    group: NDArray[np.int32]

    @classmethod
    def fit(
        cls,
        values: NDArray[np.float32],
        conditioning: Conditioning,
        groups: Sequence[NDArray[np.intp]],
        *,
        whole: NDArray[np.bool_],
        most: float,
    ) -> Self:
        """Measure the tails of the fitting rows.

        Parameters
        ----------
        values : float32 array of shape (n_features, n)
        conditioning : Conditioning
            Of these values.
        groups : sequence of int arrays
            The columns of each group.
        whole : bool array of shape (n_features, 2)
            Whether the upper and the lower side are told from the median on, where a column of its own says nothing.
        most : float
            Nats that no group goes beyond.
        """
        group, among = np.zeros(len(values), np.int32), np.ones(len(values))
        for number, columns in enumerate(groups):
            group[columns], among[columns] = number, 2.0 * len(columns)

        def tails(column: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
            seen = conditioning.see_column(column, values[column])
            known, far = seen[~np.isnan(seen)].astype(np.float64), most + np.log(among[column])
            return [
                _whole_side(sign * known, len(seen), tail) if all_of_it else tail
                for sign, all_of_it in zip((1.0, -1.0), whole[column], strict=True)
                for tail in [_tail(sign * known, len(seen), far)]
            ]

        made = np.array(side_by_side(tails, range(len(values)), steps=values.size))
        made = made.reshape(len(values), 2, 2, _KNOTS)
        places = made[:, :, 0] * np.array([[1.0], [-1.0]])
        nats = made[:, :, 1] - np.log(among)[:, None, None]
        asked = np.repeat(np.arange(len(values), dtype=np.int32), 2 * _KNOTS)
        raw = conditioning.raw_thresholds(asked, np.nan_to_num(places).ravel()).reshape(places.shape)
        return cls(np.where(np.isnan(places), np.float32(np.nan), raw), nats, group)

    def save(self, path: Path) -> None:
        """Write one Arrow file with the knots of every column."""
        knots = self.value.shape[1] * self.value.shape[2]
        columns = {"group": np.repeat(self.group, knots), "value": self.value.ravel(), "nats": self.nats.ravel()}
        table = pa.table(columns)
        with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, path: Path, n_features: int) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        BundleError
            If the file is missing or unreadable.
        """
        table = read_table(path)
        value, nats = (table[name].reshape(n_features, 2, -1).copy() for name in ("value", "nats"))
        return cls(value, nats, table["group"].reshape(n_features, -1)[:, 0].copy())

    def of(self, values: NDArray[np.float32], part: slice, n_groups: int) -> NDArray[np.float64]:
        """How far each group of columns reaches, in nats: float64 of shape (n_groups, rows of the part), 0 within.

        Parameters
        ----------
        values : float32 array of shape (n_features, n)
        part : slice
            The rows to look at.
        n_groups : int
        """
        found = np.zeros((n_groups, part.stop - part.start))
        _reach(found, (values, part.start), self.value, self.nats, self.group)
        return found

    def farthest(self, values: NDArray[np.float32], n_groups: int) -> NDArray[np.int64]:
        """The feature that reaches farthest in each group, int64 of shape (n_groups, n); -1 where none does."""
        found, most = np.full((n_groups, values.shape[1]), -1, np.int64), np.zeros((n_groups, values.shape[1]))
        for column, number in enumerate(self.group):
            alone, own = slice(column, column + 1), np.zeros((1, values.shape[1]))
            _reach(own, (values[alone], 0), self.value[alone], self.nats[alone], np.zeros(1, np.int32))
            farther = own[0] > most[number]
            found[number, farther], most[number, farther] = column, own[0, farther]
        return found


def _tail(values: NDArray[np.float64], rows: int, far: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots of the upper tail on the conditioned scale and their nats, up to ``far``; NaN where there is no tail."""
    nothing = np.full(_KNOTS, np.nan)
    last = len(values) - max(_FEW, int(_TAIL * len(values))) - 1
    if last < 0:
        return nothing, nothing
    begin = np.partition(values, last)[last]
    beyond = np.sort(values[values > begin]) - begin
    first = -np.log((1.0 + len(beyond)) / (1.0 + rows))
    if len(beyond) < _FEW or first >= far:
        return nothing, nothing
    told = beyond[: int(np.ceil((1.0 - _CENSORED) * len(beyond)))]
    excess = float((told.sum() + (len(beyond) - len(told)) * told[-1]) / len(told))
    nats = np.linspace(first, far, _KNOTS)
    return begin + (nats - first) * excess, nats


def _whole_side(
    values: NDArray[np.float64], rows: int, tail: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots from the median on: half of them tell the share of rows that lie as far out, the others the tail beyond."""
    known, half = np.sort(values), _KNOTS // 2
    if not len(known) or known[-1] <= known[0]:
        return tail
    tailed = bool(np.isfinite(tail[0][0]))
    shares = np.geomspace(0.5, _TAIL if tailed else 1.0 / len(known), half)
    begin = known[np.minimum((len(known) * (1.0 - shares)).astype(np.intp), len(known) - 1)]
    nats = -np.log((1.0 + len(known) - np.searchsorted(known, begin, side="left")) / (1.0 + rows))
    kept = np.linspace(0, _KNOTS - 1, half).astype(np.intp)
    far, beyond = (each[kept] for each in tail) if tailed else (np.repeat(begin[-1], half), np.repeat(nats[-1], half))
    return np.maximum.accumulate(np.append(begin, far)), np.maximum.accumulate(np.append(nats, beyond))


@kernel
def _reach(
    found: NDArray[np.float64],
    rows: tuple[NDArray[np.float32], int],
    value: NDArray[np.float32],
    nats: NDArray[np.float64],
    group: NDArray[np.int32],
) -> None:
    """Let each value beyond the first knot of a side speak for its group, if no other speaks louder."""
    (values, first), last = rows, value.shape[2] - 1
    for column in range(len(values)):
        own = found[group[column]]
        for side in range(2):
            sign = np.float32(1.0 if side == 0 else -1.0)
            knots, told = value[column, side], nats[column, side]
            begin = sign * knots[0]
            for row in range(found.shape[1]):
                x = sign * values[column, first + row]
                if not x > begin:  # nor where either is null
                    continue
                k = 1
                while k < last and x > sign * knots[k]:
                    k += 1
                low, high = np.float64(sign * knots[k - 1]), np.float64(sign * knots[k])
                share = min(1.0, (x - low) / (high - low)) if high > low else 1.0
                own[row] = max(own[row], told[k - 1] + share * (told[k] - told[k - 1]))
