"""Breadth: how many different things were touched.

For each dimension the number of distinct values in the current and in the trailing windows, and the entropy of the
current window. Cost: each event enters and leaves each window once; an entity's own values stay in the cache. Blind to
which values they are: swapping one device for another changes nothing here (that is novelty).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature, plural
from ..kernels import enter, forget, kernel, leave
from ..sliding import distinct
from ..witness import firsts, window_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape

__all__ = ["Breadth"]

_TABLE = 4096
_UNITS = float(1 << 28)  # logarithms are counted in these: sums of integers may slide, sums of floats may not


@dataclass(frozen=True)
class Breadth:
    """How many different: distinct values of each dimension, and their entropy."""

    name: ClassVar[str] = "breadth"
    version: ClassVar[int] = 2

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """For each dimension the current window, the trailing ones, the entropy."""
        made: list[Feature] = []
        for name in shape.dimensions:
            made.append(_distinct(name, shape.window, level=True))
            made += [_distinct(name, window, level=False) for window in shape.trailing]
            made.append(_entropy(name, shape.window))
        return tuple(made)

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """One pass for each dimension and window."""
        snapshots, per_dimension = context.snapshots, 2 + len(context.shape.trailing)
        numbers = np.arange(_TABLE, dtype=np.float64)
        table = np.rint(_UNITS * numbers * np.log2(np.maximum(numbers, 1.0))).astype(np.int64)
        for number, name in enumerate(context.shape.dimensions):
            codes = context.timeline.dimensions[name]
            block = columns[number * per_dimension : (number + 1) * per_dimension]
            counter = np.zeros(len(codes.values), np.int32)
            _current(block, codes.codes, snapshots.start, snapshots.stop, (counter, table))
            with context.looked_at(block[1:-1]) as (longer, few):
                for column, lows in zip(longer, few.trailing, strict=True):
                    distinct(column, codes.codes, lows, few.stop, counter)

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """For each value one event, of the current window if it is there; of a narrow spread its main value."""
        snapshots, shape = context.snapshots, context.shape
        now, codes = window_of(context, row), context.timeline.dimensions[feature.subject].codes
        first = firsts(codes, now)
        for number, window in enumerate(shape.trailing):
            if feature.name == f"{feature.subject}_distinct_{window}":
                earlier = np.arange(snapshots.trailing[number, row], snapshots.start[row])
                return np.concatenate([first, firsts(codes, earlier[~np.isin(codes[earlier], codes[now])])])
        if feature.name != f"{feature.subject}_entropy_{shape.window}":
            return first
        values, counts = np.unique(codes[now][codes[now] >= 0], return_counts=True)
        if not len(values):
            return now[:0]
        shares = counts / counts.sum()
        narrow = -float(shares @ np.log2(shares)) < context.population.quantile(feature.name, 0.5)
        return now[codes[now] == values[counts.argmax()]] if narrow else first


def _distinct(name: str, window: str, *, level: bool) -> Feature:
    return Feature(
        name=f"{name}_distinct_{window}",
        family="breadth",
        unit="values",
        meaning=f"Number of different values of {name} in the last {window}.",
        null="never null",
        phrase=f"{{value}} different {plural(name)}" + ("" if level else f" in {window}"),
        subject=name,
        level=level,
    )


def _entropy(name: str, window: str) -> Feature:
    return Feature(
        name=f"{name}_entropy_{window}",
        family="breadth",
        unit="bits",
        meaning=f"Entropy of the values of {name} in the last {window}: 0 for one value, log2(n) for n equal ones.",
        null=f"no event of the window has {name}",
        phrase=f"values of {name} spread over {{value}} bits",
        subject=name,
    )


@kernel
def _current(
    block: NDArray[np.float32],
    codes: NDArray[np.int32],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    tools: tuple[NDArray[np.int32], NDArray[np.int64]],
) -> None:
    """Distinct values and entropy of the window, H = log2 n - (sum of c log2 c) / n.

    The sum is one of whole units, so that it may slide with the window and no order can change its bits.
    """
    counter, table = tools
    last, lo, hi = len(block) - 1, 0, 0
    different, n, total = 0, 0, 0
    for r in range(len(start)):
        if start[r] >= hi:
            forget(counter, codes, lo, hi)
            lo, hi = start[r], start[r]
            different, n, total = 0, 0, 0
        for i in range(hi, stop[r]):
            if codes[i] >= 0:
                different += enter(counter, codes[i])
                n += 1
                total += _weight(table, counter[codes[i]]) - _weight(table, counter[codes[i]] - 1)
        for i in range(lo, start[r]):
            if codes[i] >= 0:
                different -= leave(counter, codes[i])
                n -= 1
                total -= _weight(table, counter[codes[i]] + 1) - _weight(table, counter[codes[i]])
        lo, hi = start[r], stop[r]
        block[0, r] = different
        if n > 0:
            block[last, r] = max(0.0, np.log2(n) - total / (n * _UNITS)) if different > 1 else 0.0
    forget(counter, codes, lo, hi)


@kernel
def _weight(table: NDArray[np.int64], count: int) -> int:
    """C log2 c in whole units, off the table while it lasts."""
    return table[count] if count < len(table) else int(np.rint(_UNITS * count * np.log2(count)))
