"""Velocity: how fast things were done.

The busiest ten minutes and hour of the window, the shortest and median gap between events, burstiness (Goh and
Barabási, 2008: (s - m) / (s + m) of the gaps, -1 for a clock, 0 for chance, towards 1 for bursts), the time since the
previous event, and the most different values of each dimension within any hour. Cost: one two-pointer pass for each
span and dimension, and a sort of the window's gaps. Blind to what was done, and to anything slower than an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..amounts import quantiles
from ..family import Feature, plural
from ..kernels import kernel
from ..sliding import distinct, highest, turns, within
from ..witness import both_ends, firsts, window_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..snapshots import Snapshots

__all__ = ["Velocity"]

_TEN_MINUTES = 600_000_000
_HOUR = 3_600_000_000
_BITS = 18  # of a gap's low part
_PART = float(1 << _BITS)
_SPANS = {"10m": _TEN_MINUTES, "1h": _HOUR}


@dataclass(frozen=True)
class Velocity:
    """How fast: busiest spans, gaps, burstiness, most different values within an hour."""

    name: ClassVar[str] = "velocity"
    version: ClassVar[int] = 2

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Spans, gaps, then one column per dimension."""
        window = shape.window
        busiest = [_busiest(span, window) for span in _spans(window)]
        distinct = [_distinct(name, window) for name in shape.dimensions] if window != "1h" else []
        return (*busiest, *_gap_features(window), *distinct)

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """The spans of each width, then the gaps."""
        at, window, snapshots = context.timeline.at, context.shape.window, context.snapshots
        rows, start, stop = snapshots.rows, snapshots.start, snapshots.stop
        there = np.flatnonzero(rows[1:] > rows[:-1])
        entities = (start[rows[there]], stop[rows[there + 1] - 1])
        lo, hi = int(start[0]), int(stop[-1])
        inside, count = (start - lo, stop - lo), len(_spans(window))
        begin = np.empty(0, np.int64)
        for column, span in enumerate(_spans(window)):
            begin = within(at, _SPANS[span], *entities) - lo
            _busiest_spans(columns[column], begin, inside)
        with context.looked_at(columns[count:]) as (rest, few):
            _gap_statistics(rest[:4], at, few)
            busy = _Spans.of_windows(begin, few.start - lo, few.stop - lo)
            for column, name in zip(rest[4:], context.shape.dimensions, strict=False):
                codes = context.timeline.dimensions[name]
                busy.distinct(column, codes.codes[lo:hi], np.zeros(len(codes.values), np.int32))

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The events of the busiest span; the two of the shortest gap, those around short ones; each value's first."""
        now, window = window_of(context, row), context.shape.window
        at, name = context.timeline.at[now], feature.name
        if feature.subject in context.shape.dimensions and name == f"{feature.subject}_distinct_max_1h_{window}":
            return _various(context.timeline.dimensions[feature.subject].codes, now, at)
        for span in _spans(window):
            if name == f"events_max_{span}_{window}":
                begin = np.searchsorted(at, at - _SPANS[span], side="right")
                last = int((np.arange(len(now)) - begin).argmax())
                return now[begin[last] : last + 1]
        if name == f"gap_before_{window}":
            return now[:1] if context.snapshots.history[row] == now[0] else np.array([now[0] - 1, now[0]])
        gaps = np.diff(at)
        if not len(gaps):
            return now
        bar = gaps.min() if name == f"gap_min_{window}" else np.median(gaps)
        steps = np.flatnonzero(gaps <= bar)[: 1 if name == f"gap_min_{window}" else None]
        return both_ends(now[steps + 1])


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
         ""),
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
        phrase=f"{{value}} different {plural(name)} within one hour",
        subject=name,
    )


def _busiest_spans(
    column: NDArray[np.float32], begin: NDArray[np.int64], inside: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> None:
    """The most events of a span: of those that lie in the window as they are, or of that which it cuts short."""
    turn = turns(begin, *inside)
    highest(column, np.arange(1, len(begin) + 1) - begin, turn, inside[1])
    np.fmax(column, turn - inside[0], out=column, casting="same_kind")


@dataclass(frozen=True, eq=False)
class _Spans:
    """The spans of :func:`_busiest_spans`: those that lie in a window as they are, and the one that each cuts short.

    Attributes
    ----------
    begin, end : int64 arrays of shape (m,)
        The spans that end with an event from some window's turn on, each once.
    lo, hi : int64 arrays of shape (n,)
        Those of window ``r`` are ``lo[r]:hi[r]``.
    start, turn : int64 arrays of shape (n,)
        The events of the span that window ``r`` cuts short are ``start[r]:turn[r]``.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    lo: NDArray[np.int64]
    hi: NDArray[np.int64]
    start: NDArray[np.int64]
    turn: NDArray[np.int64]

    @classmethod
    def of_windows(cls, begin: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]) -> Self:
        """The spans of windows, given where the span that ends with each event begins."""
        turn = turns(begin[start[0] :], start, stop) if len(start) else start
        fresh = np.maximum(turn, np.concatenate([turn[:1], stop[:-1]]))  # windows may overlap
        hi = np.cumsum(stop - fresh)
        last = np.arange(hi[-1] if len(hi) else 0) + np.repeat(stop - hi, stop - fresh)
        return cls(begin[last], last + 1, hi - (stop - turn), hi, start, turn)

    def distinct(self, column: NDArray[np.float32], codes: NDArray[np.int32], counter: NDArray[np.int32]) -> None:
        """The most distinct values of a span."""
        found, cut = np.empty(len(self.begin), np.int32), np.empty(len(self.turn), np.int32)
        distinct(found, codes, self.begin, self.end, counter)
        distinct(cut, codes, self.start, self.turn, counter)
        highest(column, found, self.lo, self.hi)
        np.fmax(column, cut, out=column, casting="same_kind")


def _gap_statistics(columns: NDArray[np.float32], at: NDArray[np.int64], snapshots: Snapshots) -> None:
    """Shortest, median and burstiness of the window's gaps, and the gap before it if the horizon holds one."""
    lo, hi = int(snapshots.start[0]), int(snapshots.stop[-1])
    gaps, start = np.diff(at[lo:hi]), snapshots.start - lo
    stop = np.maximum(snapshots.stop - lo - 1, start)
    seconds, middle = gaps * 1e-6, np.full((2, len(start)), np.nan, np.float32)
    highest(columns[0], -seconds, start, stop)
    np.subtract(np.float32(0.0), columns[0], out=columns[0])  # a null keeps its sign, and so its bits
    quantiles(middle, seconds, (snapshots.rows, start, stop))
    columns[1] = middle[0]
    _burstiness(columns[2], gaps, start, stop)
    known = np.flatnonzero(snapshots.history < snapshots.start)
    first = snapshots.start[known]
    columns[3, known] = (at[first] - at[first - 1]) * 1e-6


@kernel
def _burstiness(
    column: NDArray[np.float32], gaps: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> None:
    """Mean and spread of the gaps from sums of integers, which may slide: of each gap's high and low part and squares.

    A square of microseconds would not fit into 64 bits. In n times the sum of squares less the square of the sum, like
    parts are taken together, so that gaps of one length have no spread at all.
    """
    lo = hi = 0
    sums = np.zeros(5, np.int64)
    for r in range(len(start)):
        if start[r] >= hi:
            lo, hi = start[r], start[r]
            sums[:] = 0
        for i in range(hi, stop[r]):
            _add(sums, gaps[i], 1)
        for i in range(lo, start[r]):
            _add(sums, gaps[i], -1)
        lo, hi = start[r], max(stop[r], hi)
        n = float(stop[r] - start[r])
        if n > 1.0:
            high, low, highs, both, lows = sums[0], sums[1], sums[2], sums[3], sums[4]
            square = (n * highs - float(high) * high) * _PART * _PART
            square += (n * both - float(high) * low) * 2.0 * _PART + (n * lows - float(low) * low)
            total, spread = high * _PART + low, np.sqrt(max(0.0, square))
            column[r] = (spread - total) / (spread + total) if spread + total > 0.0 else 0.0


@kernel
def _add(sums: NDArray[np.int64], gap: int, sign: int) -> None:
    """Let a gap in or out of the sums of parts, their squares and their product."""
    high, low = gap >> _BITS, gap & ((1 << _BITS) - 1)
    sums[0] += sign * high
    sums[1] += sign * low
    sums[2] += sign * high * high
    sums[3] += sign * high * low
    sums[4] += sign * low * low


def _various(codes: NDArray[np.int32], now: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first event of each value in that hour of the window that has most values."""
    begin = np.searchsorted(at, at - _HOUR, side="right")
    values, which = np.unique(codes[now], return_inverse=True)
    few = (which - (values[0] < 0)).astype(np.int32)  # a null stays -1
    found = np.empty(len(now), np.int32)
    distinct(found, few, begin, np.arange(1, len(now) + 1), np.zeros(len(values), np.int32))
    last = int(found.argmax())
    return firsts(codes, now[begin[last] : last + 1])
