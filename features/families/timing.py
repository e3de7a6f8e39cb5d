"""Timing: when things were done.

The share of events at night and at the weekend, the mean and the spread of the hour on the circle of the day, and how
unusual the hours are for this entity. The last is measured in bits: -log2 of the share that the hour has in the
entity's own horizon, where a few events of everyone's hours are mixed in so that a short history says little. Clocks
are those of the log's zone. Cost: one look at each event entering, being in, and leaving. Blind to minutes, and to
holidays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import kernel
from ..witness import window_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..snapshots import Snapshots
    from ..timeline import Timeline

__all__ = ["Timing"]

_MINUTE = 60_000_000
_MINUTES = 1440
_MORNING = 6 * 60
_HOURS = 24
_AN_HOUR = 60 * _MINUTE
_UNITS = float(1 << 38)  # what sines and cosines are counted in: sums of integers may slide, sums of floats may not
_COUNT = "timing.hours"


@dataclass(frozen=True)
class Timing:
    """When: night, weekend, the circle of the day, hours unusual for the entity.

    Attributes
    ----------
    prior_events : float
        How many events' worth of everyone's hours are mixed into the entity's own.
    """

    prior_events: float = 12.0

    name: ClassVar[str] = "timing"
    version: ClassVar[int] = 2

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Seven features, whatever the log."""
        rows = (
            ("night_share", "share", "Share of events from midnight to six", "{value} of the events at night", None),
            ("weekend_share", "share", "Share of events on Saturday and Sunday", "{value} of the events at the weekend",
             None),
            ("hour_sin", "sine", "Mean place on the day's circle, 1 at six in the morning and -1 at six in the evening",
             "", None),
            ("hour_cos", "cosine", "Mean place on the day's circle, 1 at midnight and -1 at noon", "", None),
            ("hour_spread", "circular variance", "Spread of the time of day: 0 all at one time, 1 all around the clock",
             "hours spread by {value}", None),
            ("hour_surprise_mean", "bits", "Mean surprise of the events' hours, against the entity's own horizon",
             "hours unusual for it by {value} bits on average", "_vs_own"),
            ("hour_surprise_max", "bits", "Surprise of the most unusual hour, against the entity's own horizon",
             "an hour unusual for it by {value} bits", "_vs_own"),
        )  # fmt: skip
        window = shape.window
        return tuple(
            Feature(
                f"{name}_{window}{against or ''}",
                self.name,
                unit,
                f"{meaning}, in the last {window}.",
                "never null",
                phrase,
                subject="hours",
            )
            for name, unit, meaning, phrase, against in rows
        )

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, NDArray[np.int64]]:  # noqa: ARG002
        """How many events fall into each hour of the day, over everyone."""
        return {_COUNT: _hours(timeline.wall)}

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """One pass for the window itself, one with the horizon sliding behind it."""
        snapshots, wall = context.snapshots, context.timeline.wall
        angle = np.arange(_MINUTES) * (2.0 * np.pi / _MINUTES)
        tables = np.rint(_UNITS * np.stack([np.sin(angle), np.cos(angle)])).astype(np.int64)
        _circle(columns[:5], wall, snapshots.start, snapshots.stop, tables)
        counts = context.population.counts.get(_COUNT, np.zeros(_HOURS, np.int64))
        prior = self.prior_events * (counts + 1.0) / (counts.sum() + _HOURS)
        bounds = (snapshots.history, snapshots.start, snapshots.stop)
        _surprise(columns[5:7], wall, snapshots.rows, bounds, prior)

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The events at night, at the weekend, at the unusual hours, far from the mean hour; all, where none is."""
        now, name = window_of(context, row), feature.name
        wall = context.timeline.wall[now]
        minute = wall // _MINUTE % _MINUTES
        if name.startswith("night_share"):
            return now[minute < _MORNING]
        if name.startswith("weekend_share"):
            return now[(wall // _MINUTE // _MINUTES + 3) % 7 >= 5]
        if name.startswith("hour_surprise"):
            bits = self._hour_bits(context, row)[minute // 60]
            return now[bits >= (bits.max() if "_max_" in name else bits.mean())]
        if name.startswith("hour_spread"):
            angle = minute * (2.0 * np.pi / _MINUTES)
            near = np.cos(angle) * np.cos(angle).mean() + np.sin(angle) * np.sin(angle).mean()
            return now[near <= near.mean()]
        return now

    def _hour_bits(self, context: Context, row: int) -> NDArray[np.float64]:
        """Of each hour of the day the -log2 of its share of the horizon before the window, up to a constant."""
        counts = context.population.counts.get(_COUNT, np.zeros(_HOURS, np.int64))
        prior = self.prior_events * (counts + 1.0) / (counts.sum() + _HOURS)
        before = context.timeline.wall[context.snapshots.history[row] : context.snapshots.start[row]]
        return -np.log2(np.bincount(before // _AN_HOUR % _HOURS, minlength=_HOURS) + prior)


@kernel
def _hours(wall: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.zeros(_HOURS, np.int64)
    for moment in wall:
        counts[moment // _AN_HOUR % _HOURS] += 1
    return counts


@kernel
def _circle(
    columns: NDArray[np.float32],
    wall: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    tables: NDArray[np.int64],
) -> None:
    """Means over the window; sines and cosines come from a table by the minute, a thousandth of the circle.

    They are counted in whole units, so that their sums may slide.
    """
    sums, lo, hi = np.zeros(4, np.int64), 0, 0
    for r in range(len(start)):
        if start[r] >= hi:
            sums[:] = 0
            lo, hi = start[r], start[r]
        for i in range(hi, stop[r]):
            _add(sums, wall[i] // _MINUTE, 1, tables)
        for i in range(lo, start[r]):
            _add(sums, wall[i] // _MINUTE, -1, tables)
        lo, hi = start[r], stop[r]
        n = hi - lo
        sine, cosine = sums[2] / (n * _UNITS), sums[3] / (n * _UNITS)
        columns[0, r], columns[1, r] = sums[0] / n, sums[1] / n
        columns[2, r], columns[3, r] = sine, cosine
        length = float(np.float32(np.sqrt(sine * sine + cosine * cosine)))  # so that one time has no spread at all
        columns[4, r] = max(0.0, 1.0 - length)


@kernel
def _add(sums: NDArray[np.int64], minutes: int, sign: int, tables: NDArray[np.int64]) -> None:
    """Let an event in or out of the counts of night and weekend and the sums of sine and cosine."""
    minute = minutes % _MINUTES
    sums[0] += sign if minute < _MORNING else 0
    sums[1] += sign if (minutes // _MINUTES + 3) % 7 >= 5 else 0  # 1 January 1970 was a Thursday
    sums[2] += sign * tables[0, minute]
    sums[3] += sign * tables[1, minute]


@kernel
def _surprise(
    columns: NDArray[np.float32],
    wall: NDArray[np.int64],
    rows: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    prior: NDArray[np.float64],
) -> None:
    """-log2 of each hour's share of the horizon before the window; both histograms are of integers and slide along.

    The window's own hours are counted first, so that a window costs 24 logarithms at most and not one per event; and
    as an hour's logarithm changes only with the hour's past, it is kept from one window to the next.
    """
    history, start, stop = bounds
    past, now, logs = np.zeros(_HOURS, np.int64), np.zeros(_HOURS, np.int64), np.log2(prior)
    weight = prior.sum()
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        past[:], now[:], logs[:] = 0, 0, np.log2(prior)
        old = history[rows[e]]
        lo = hi = old
        for r in range(rows[e], rows[e + 1]):
            for i in range(hi, stop[r]):
                now[wall[i] // _AN_HOUR % _HOURS] += 1
            for i in range(lo, start[r]):
                h = wall[i] // _AN_HOUR % _HOURS
                now[h] -= 1
                past[h] += 1
                logs[h] = np.log2(past[h] + prior[h])
            for i in range(old, history[r]):
                h = wall[i] // _AN_HOUR % _HOURS
                past[h] -= 1
                logs[h] = np.log2(past[h] + prior[h])
            old, lo, hi = history[r], start[r], stop[r]
            total, least = 0.0, np.inf
            for h in range(_HOURS):
                if now[h] > 0:
                    total += now[h] * logs[h]
                    least = min(least, logs[h])
            whole = np.log2(lo - old + weight)
            columns[0, r] = max(0.0, whole - total / (hi - lo))
            columns[1, r] = max(0.0, whole - least)
