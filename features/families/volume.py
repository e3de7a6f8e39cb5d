"""Volume: how much was done.

Counts of events, in all and per action, over the current and the trailing windows, and the sum, mean and maximum of
each measure. Cost: one look at each event of the window per column read. Blind to order, to variety and to who the user
usually is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape

__all__ = ["Volume"]

_STATISTICS = ("sum", "mean", "max")


@dataclass(frozen=True)
class Volume:
    """How much: events, events per action, sum, mean and maximum of each measure."""

    name: ClassVar[str] = "volume"
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Counts first, then the measures."""
        counts = [_count("events", "events", shape.window, level=True)]
        counts += [_count("events", "events", window, level=False) for window in shape.trailing]
        counts += [_count(action, f"{action} events", shape.window, level=True) for action in shape.actions]
        return (*counts, *(_measure(name, how, shape.window) for name in shape.measures for how in _STATISTICS))

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Counts by subtracting positions, the rest by one pass over the window."""
        snapshots, shape = context.snapshots, context.shape
        columns[0] = snapshots.stop - snapshots.start
        counts = 1 + len(shape.trailing)
        columns[1:counts] = snapshots.stop - snapshots.trailing
        row = counts
        if shape.action is not None and shape.actions:
            codes = context.timeline.dimensions[shape.action]
            slots = _slots(codes.values.to_pylist(), shape.actions)
            _per_action(columns[row : row + len(shape.actions)], codes.codes, slots, snapshots.start, snapshots.stop)
            row += len(shape.actions)
        for name in shape.measures:
            _statistics(columns[row : row + 3], context.timeline.measures[name], snapshots.start, snapshots.stop)
            row += len(_STATISTICS)


def _count(what: str, noun: str, window: str, *, level: bool) -> Feature:
    return Feature(
        name=f"{what}_count_{window}",
        family="volume",
        unit="events",
        meaning=f"Number of {noun} in the last {window}.",
        null="never null",
        phrase=f"{{value}} {noun}" + ("" if level else f" in {window}"),
        subject=what,
        level=level,
    )


def _measure(name: str, statistic: str, window: str) -> Feature:
    word = {"sum": "total", "mean": "mean", "max": "largest"}[statistic]
    return Feature(
        name=f"{name}_{statistic}_{window}",
        family="volume",
        unit=name,
        meaning=f"The {word} {name} in the last {window}, over events that have one.",
        null=f"no event of the window has {name}",
        phrase=f"{word} {name} {{value}}",
        subject=name,
        level=True,
    )


def _slots(values: list[str], actions: tuple[str, ...]) -> NDArray[np.int64]:
    """The column of each action code; -1 for the rarer actions that have none, and for null at the end."""
    number = {action: column for column, action in enumerate(actions)}
    return np.array([number.get(value, -1) for value in values] + [-1], np.int64)


@kernel
def _per_action(
    columns: NDArray[np.float32],
    codes: NDArray[np.int32],
    slots: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> None:
    """One histogram over a dozen actions per window: each event adds one to its column."""
    for r in range(len(start)):
        columns[:, r] = 0.0
        for i in range(start[r], stop[r]):
            slot = slots[codes[i]]
            if slot >= 0:
                columns[slot, r] += np.float32(1.0)


@kernel
def _statistics(
    columns: NDArray[np.float32], values: NDArray[np.float64], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> None:
    """Sum, mean and maximum in double precision, in the order of time, which is the same however rows arrive."""
    for r in range(len(start)):
        total, largest, n = 0.0, -np.inf, 0
        for i in range(start[r], stop[r]):
            if not np.isnan(values[i]):
                total += values[i]
                largest = max(largest, values[i])
                n += 1
        if n > 0:
            columns[0, r], columns[1, r], columns[2, r] = total, total / n, largest
