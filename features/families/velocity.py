"""Velocity: how fast things were done.

The busiest ten minutes and hour of the window, the shortest and median gap between events, burstiness (Goh and
Barabási, 2008: (s - m) / (s + m) of the gaps, -1 for a clock, 0 for chance, towards 1 for bursts), the time since the
previous event, and the most different values of each dimension within any hour. Cost: one two-pointer pass for each
span and dimension, and a sort of the window's gaps. Blind to what was done, and to anything slower than an hour.
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

__all__ = ["Velocity"]

_TEN_MINUTES = 600_000_000
_HOUR = 3_600_000_000
_SPANS = {"10m": _TEN_MINUTES, "1h": _HOUR}


@dataclass(frozen=True)
class Velocity:
    """How fast: busiest spans, gaps, burstiness, most different values within an hour."""

    name: ClassVar[str] = "velocity"
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Spans, gaps, then one column per dimension."""
        window = shape.window
        busiest = [_busiest(span, window) for span in _spans(window)]
        distinct = [_distinct(name, window) for name in shape.dimensions] if window != "1h" else []
        return (*busiest, *_gap_features(window), *distinct)

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Each column group is one pass."""
        at, window = context.timeline.at, context.shape.window
        start, stop = context.snapshots.start, context.snapshots.stop
        spans = np.array([_SPANS[span] for span in _spans(window)], np.int64)
        _busiest_spans(columns[: len(spans)], at, spans, start, stop)
        longest = int((stop - start).max()) if len(start) else 0
        bounds = (context.snapshots.history, start, stop)
        _gaps(columns[len(spans) : len(spans) + 4], at, bounds, np.empty(longest, np.int64))
        if window == "1h":
            return
        for column, name in enumerate(context.shape.dimensions, len(spans) + 4):
            codes = context.timeline.dimensions[name]
            counter = np.zeros(len(codes.values), np.int32)
            _distinct_in_span(columns[column], at, codes.codes, (start, stop, _HOUR), counter)


def _spans(window: str) -> tuple[str, ...]:
    return ("10m",) if window == "1h" else ("10m", "1h")


def _busiest(span: str, window: str) -> Feature:
    words = {"10m": "ten minutes", "1h": "one hour"}[span]
    return Feature(
        name=f"events_max_{span}_{window}",
        family="velocity",
        unit="events",
        meaning=f"Most events within any {words} of the last {window}.",
        null="never null",
        phrase=f"{{value}} events within {words}",
        subject="events",
        level=True,
    )


def _gap_features(window: str) -> tuple[Feature, ...]:
    rows = (
        ("gap_min", "seconds", "Shortest time between two events", "fewer than two events",
         "{value} between two events"),
        ("gap_median", "seconds", "Median time between events", "fewer than two events", "median gap of {value}"),
        ("gap_burstiness", "index from -1 to 1", "Burstiness of the gaps, (s - m) / (s + m)", "fewer than three events",
         "gaps of burstiness {value} (-1 a clock, 0 chance, 1 bursts)"),
        ("gap_before", "seconds", "Time from the previous event to the first one", "no event in the horizon before",
         "{value} since the event before"),
    )  # fmt: skip
    return tuple(
        Feature(f"{name}_{window}", "velocity", unit, f"{meaning} of the last {window}.", null, phrase, subject="gaps")
        for name, unit, meaning, null, phrase in rows
    )


def _distinct(name: str, window: str) -> Feature:
    return Feature(
        name=f"{name}_distinct_max_1h_{window}",
        family="velocity",
        unit="values",
        meaning=f"Most different values of {name} within any hour of the last {window}.",
        null="never null",
        phrase=f"{{value}} different values of {name} within one hour",
        subject=name,
    )


@kernel
def _busiest_spans(
    columns: NDArray[np.float32],
    at: NDArray[np.int64],
    spans: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> None:
    """Two pointers: the span that ends at each event begins where the span before it began, or later."""
    for r in range(len(start)):
        for s in range(len(spans)):
            lo, best = start[r], 0
            for i in range(start[r], stop[r]):
                while at[i] - at[lo] >= spans[s]:
                    lo += 1
                best = max(best, i - lo + 1)
            columns[s, r] = best


@kernel
def _gaps(
    columns: NDArray[np.float32],
    at: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    gaps: NDArray[np.int64],
) -> None:
    """Shortest, median and burstiness of the window's gaps, and the gap before it if the horizon holds one."""
    history, start, stop = bounds
    for r in range(len(start)):
        if history[r] < start[r]:
            columns[3, r] = (at[start[r]] - at[start[r] - 1]) * 1e-6
        n = stop[r] - start[r] - 1
        if n < 1:
            continue
        for i in range(n):
            gaps[i] = at[start[r] + i + 1] - at[start[r] + i]
        ordered = np.sort(gaps[:n])
        columns[0, r] = ordered[0] * 1e-6
        columns[1, r] = 0.5e-6 * (ordered[(n - 1) // 2] + ordered[n // 2])
        if n > 1:
            mean = (at[stop[r] - 1] - at[start[r]]) / n
            square = 0.0
            for gap in ordered:
                square += (gap - mean) ** 2
            spread = np.sqrt(square / n)
            columns[2, r] = (spread - mean) / (spread + mean) if spread + mean > 0.0 else 0.0


@kernel
def _distinct_in_span(
    column: NDArray[np.float32],
    at: NDArray[np.int64],
    codes: NDArray[np.int32],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], int],
    counter: NDArray[np.int32],
) -> None:
    """The sliding counter of distinct values, over the spans of :func:`_busiest_spans`."""
    start, stop, span = bounds
    for r in range(len(start)):
        lo, distinct, best = start[r], 0, 0
        for i in range(start[r], stop[r]):
            while at[i] - at[lo] >= span:
                distinct -= leave(counter, codes[lo])
                lo += 1
            distinct += enter(counter, codes[i])
            best = max(best, distinct)
        forget(counter, codes, lo, stop[r])
        column[r] = best
