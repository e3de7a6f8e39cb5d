"""Breadth: how many different things were touched.

For each dimension the number of distinct values in the current and in the trailing windows, and the entropy of the
current window. Cost: each event enters and leaves each window once; an entity's own values stay in the cache. Blind to
which values they are: swapping one device for another changes nothing here (that is novelty).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import enter, forget, kernel, leave

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape

__all__ = ["Breadth"]

_TABLE = 4096


@dataclass(frozen=True)
class Breadth:
    """How many different: distinct values of each dimension, and their entropy."""

    name: ClassVar[str] = "breadth"
    version: ClassVar[int] = 1

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
        table = numbers * np.log2(np.maximum(numbers, 1.0))
        for number, name in enumerate(context.shape.dimensions):
            codes = context.timeline.dimensions[name]
            block = columns[number * per_dimension : (number + 1) * per_dimension]
            counter = np.zeros(len(codes.values), np.int32)
            _current(block, codes.codes, snapshots.start, snapshots.stop, (counter, table))
            for column, lows in enumerate(snapshots.trailing, 1):
                _trailing(block[column], codes.codes, snapshots.rows, (lows, snapshots.stop), counter)


def _distinct(name: str, window: str, *, level: bool) -> Feature:
    return Feature(
        name=f"{name}_distinct_{window}",
        family="breadth",
        unit="values",
        meaning=f"Number of different values of {name} in the last {window}.",
        null="never null",
        phrase=f"{{value}} different values of {name}" + ("" if level else f" in {window}"),
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
    tools: tuple[NDArray[np.int32], NDArray[np.float64]],
) -> None:
    """Distinct values and entropy of the window, H = log2 n - (sum of c log2 c) / n.

    The sum is kept up to date as events enter, in the order of time, so that no order of codes can change its bits.
    """
    counter, table = tools
    last = len(block) - 1
    for r in range(len(start)):
        distinct, n, total = 0, 0, 0.0
        for i in range(start[r], stop[r]):
            code = codes[i]
            if code < 0:
                continue
            distinct += enter(counter, code)
            n += 1
            c = counter[code]
            if c < len(table):
                total += table[c] - table[c - 1]
            else:
                total += c * np.log2(c) - (c - 1) * np.log2(c - 1)
        forget(counter, codes, start[r], stop[r])
        block[0, r] = distinct
        if n > 0:
            block[last, r] = max(0.0, np.log2(n) - total / n)


@kernel
def _trailing(
    column: NDArray[np.float32],
    codes: NDArray[np.int32],
    rows: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    counter: NDArray[np.int32],
) -> None:
    """The sliding counter: the window's ends only move forward within an entity."""
    lows, stop = bounds
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        lo = hi = lows[rows[e]]
        distinct = 0
        for r in range(rows[e], rows[e + 1]):
            while hi < stop[r]:
                distinct += enter(counter, codes[hi])
                hi += 1
            while lo < lows[r]:
                distinct -= leave(counter, codes[lo])
                lo += 1
            column[r] = distinct
        forget(counter, codes, lo, hi)
