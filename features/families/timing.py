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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..snapshots import Snapshots
    from ..timeline import Timeline

__all__ = ["Timing"]

_MINUTE = 60_000_000
_MINUTES = 1440
_HOURS = 24
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
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Seven features, whatever the log."""
        rows = (
            ("night_share", "share", "Share of events from midnight to six", "{value} of the events at night", None),
            ("weekend_share", "share", "Share of events on Saturday and Sunday", "{value} of the events at the weekend",
             None),
            ("hour_sin", "sine", "Mean over events of the sine of the time of day", "", None),
            ("hour_cos", "cosine", "Mean over events of the cosine of the time of day", "", None),
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
        _circle(columns[:5], wall, snapshots.start, snapshots.stop, (np.sin(angle), np.cos(angle)))
        counts = context.population.counts.get(_COUNT, np.zeros(_HOURS, np.int64))
        prior = self.prior_events * (counts + 1.0) / (counts.sum() + _HOURS)
        bounds = (snapshots.history, snapshots.start, snapshots.stop)
        _surprise(columns[5:7], wall, snapshots.rows, bounds, prior)


@kernel
def _hours(wall: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.zeros(_HOURS, np.int64)
    for moment in wall:
        counts[moment // (60 * _MINUTE) % _HOURS] += 1
    return counts


@kernel
def _circle(
    columns: NDArray[np.float32],
    wall: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    tables: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Means over the window; sines and cosines come from a table by the minute, a thousandth of the circle."""
    sines, cosines = tables
    for r in range(len(start)):
        night, weekend, sine, cosine = 0, 0, 0.0, 0.0
        for i in range(start[r], stop[r]):
            minutes = wall[i] // _MINUTE
            minute = minutes % _MINUTES
            night += minute < 6 * 60
            weekend += (minutes // _MINUTES + 3) % 7 >= 5  # 1 January 1970 was a Thursday
            sine += sines[minute]
            cosine += cosines[minute]
        n = stop[r] - start[r]
        sine, cosine = sine / n, cosine / n
        columns[0, r], columns[1, r] = night / n, weekend / n
        columns[2, r], columns[3, r] = sine, cosine
        columns[4, r] = 1.0 - min(1.0, np.sqrt(sine * sine + cosine * cosine))


@kernel
def _surprise(
    columns: NDArray[np.float32],
    wall: NDArray[np.int64],
    rows: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    prior: NDArray[np.float64],
) -> None:
    """-log2 of each hour's share of the horizon before the window, whose integer histogram slides along.

    The window's own hours are counted first, so that a window costs 24 logarithms at most and not one per event.
    """
    history, start, stop = bounds
    past, now = np.zeros(_HOURS, np.int64), np.zeros(_HOURS, np.int64)
    weight = prior.sum()
    for e in range(len(rows) - 1):
        past[:] = 0
        lo = hi = history[rows[e]] if rows[e] < rows[e + 1] else 0
        for r in range(rows[e], rows[e + 1]):
            while hi < start[r]:
                past[wall[hi] // (60 * _MINUTE) % _HOURS] += 1
                hi += 1
            while lo < history[r]:
                past[wall[lo] // (60 * _MINUTE) % _HOURS] -= 1
                lo += 1
            now[:] = 0
            for i in range(start[r], stop[r]):
                now[wall[i] // (60 * _MINUTE) % _HOURS] += 1
            total, worst = 0.0, 0.0
            for h in range(_HOURS):
                if now[h] > 0:
                    bits = -np.log2((past[h] + prior[h]) / (hi - lo + weight))
                    total += now[h] * bits
                    worst = max(worst, bits)
            columns[0, r], columns[1, r] = total / (stop[r] - start[r]), worst
