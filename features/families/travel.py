"""Travel: impossible movement.

From events that have a place: the largest speed between consecutive ones, the distance covered, how far the window's
places spread around their centre (the radius of gyration of González, Hidalgo and Barabási, "Understanding individual
human mobility patterns", Nature 453, 2008), how far that centre lies from where the entity usually is, and the cells of
a grid that it visited, in all and for the first time within the horizon.

Speed takes in the step from the last place in the horizon before the window, since it is the first event far from home
that shows an impossible journey; distance does not, so that it tells of the window alone and can have a baseline. Two
events at one instant would be infinitely fast: a step never counts as shorter than a minute, so that a phone that hops
between two antennas is no aeroplane.

Distances are great circles on a sphere of 6,371.0088 km (the haversine, written with the chord between two points:
2 R asin(chord / 2)). Centres are means of points in space, so that neither the date line nor a pole is a special
place; the usual place is the median, coordinate by coordinate, of the centres of the entity's windows in the horizon
(of windows that end with each event the last of each day counts, as for the baseline). The grid has 2,000 rows of
latitude, 10 km high, and in each row as many equal cells as make them about 10 km wide in its middle.

Cost: a few trigonometric functions for each event, a look at each event of the window (its whole length for each event,
where windows end with each), and a sorted array of at most the horizon's days. Blind to how one travels: a place is
where the event says it was, and somebody else's network or a shop's head office tells little of where a person is. Two
users on one account in one town never move fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..earlier import Earlier, which_count
from ..family import Feature
from ..kernels import enter, forget, kernel, leave, median, rank_in, rank_out
from ..witness import firsts, window_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape

__all__ = ["Travel"]

_RADIUS = 6371.0088  # km, the mean radius of the Earth
_ROWS = 2000  # 180 degrees in cells of 10 km
_AROUND = 4000  # cells around the equator
_HOUR = 3_600_000_000
_SHORTEST = 60_000_000  # microseconds
_RADIAL, _AWAY, _NEW = 2, 3, 4  # columns


@dataclass(frozen=True)
class Travel:
    """Impossible movement: speed, distance, radius, distance from the usual place, cells visited and new ones."""

    name: ClassVar[str] = "travel"
    version: ClassVar[int] = 2

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Six features if events can have a place, else none."""
        if not shape.located:
            return ()
        window, horizon = shape.window, shape.trailing[-1]
        no_step = f"fewer than two events with a place, counting the last of the {horizon} before"
        no_path = "fewer than two events of the window have a place"
        no_place = "no event of the window has a place"
        rows = (
            ("speed_max", "km/h", "Largest speed from one place to the next, no step taken as shorter than a minute",
             no_step, "{value} km/h between two places", "speed", False),
            ("distance_sum", "km", "Distance from each place to the next", no_path,
             "{value} km travelled", "distance", True),
            ("radius", "km", "Radius of gyration: root mean square distance of the places from their centre",
             no_place, "places {value} km around their centre", "distance", False),
            ("away", "km", f"Distance of the places' centre from the median place of the windows of {horizon} before"
             + which_count(shape), f"{no_place}, or none of {horizon} before",
             "{value} km from its usual place", "places", False),
            ("cell_new", "cells", f"Number of cells of 10 km visited now and not in the {horizon} before",
             f"no event of the {horizon} before has a place", "{value} places it had not been to", "places", False),
            ("cell_distinct", "cells", "Number of different cells of 10 km visited", "never null",
             "{value} different places", "places", True),
        )  # fmt: skip
        return tuple(
            Feature(
                f"travel_{name}_{window}",
                self.name,
                unit,
                f"{meaning}, in the last {window}.",
                null,
                phrase,
                subject=subject,
                level=level,
            )
            for name, unit, meaning, null, phrase, subject, level in rows
        )

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Places become points on a sphere and cells once; then a pass each for steps, centres and cells."""
        snapshots, timeline = context.snapshots, context.timeline
        if timeline.place is None:
            return
        lo, hi = int(snapshots.history[0]), int(snapshots.stop[-1])
        points, cells, latest = _points(timeline.place[:, lo:hi])
        bounds = (snapshots.history - lo, snapshots.start - lo, snapshots.stop - lo)
        _steps(columns[:2], timeline.at[lo:hi], points, latest, bounds)
        centres = _centres(columns[_RADIAL], points, latest, bounds)
        earlier = Earlier.apart(timeline, snapshots, context.shape)
        windows = (earlier.rows, earlier.first, earlier.last)
        _away(columns[_AWAY], centres, centres[earlier.counted], windows, np.empty((3, earlier.room), np.float64))
        counters = (np.zeros(_ROWS * _AROUND, np.int32), np.zeros(_ROWS * _AROUND, np.int32))
        _visited(columns[_NEW:], cells, bounds, counters)

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The two events of the fastest jump, the ends of long steps, events far out, the first in each (new) cell."""
        now, history, place = window_of(context, row), int(context.snapshots.history[row]), context.timeline.place
        if place is None:
            return now[:0]
        points, cells, latest = _points(place[:, history : now[-1] + 1])
        located = history + np.flatnonzero(latest == np.arange(len(latest)))
        here, what = located[located >= now[0]], feature.name.removeprefix("travel_")
        if what.startswith("cell"):
            first = firsts(cells, now - history)
            new = ~np.isin(cells[first], cells[: now[0] - history])
            return history + (first[new] if what.startswith("cell_new") else first)
        if what.startswith("speed"):
            return _long_steps(located, points, history, context.timeline.at, now[0])
        if what.startswith("distance"):
            return _long_steps(here, points, history, None, now[0])
        found = points[here - history]
        if not len(found) or what.startswith("away"):
            return here
        far = np.linalg.norm(found - found.mean(axis=0), axis=1)
        return here[far >= far.mean()]


@kernel
def _points(place: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int64]]:
    """Of each event its point on the unit sphere, its cell (-1 for none), and the last event so far with a place."""
    n = place.shape[1]
    points, cells, latest = np.empty((n, 3)), np.full(n, -1, np.int32), np.empty(n, np.int64)
    last = -1
    for i in range(n):
        if not np.isnan(place[0, i]):
            last = i
            latitude, longitude = np.radians(place[0, i]), np.radians(place[1, i])
            points[i, 0] = np.cos(latitude) * np.cos(longitude)
            points[i, 1] = np.cos(latitude) * np.sin(longitude)
            points[i, 2] = np.sin(latitude)
            row = min(int((place[0, i] + 90.0) / 180.0 * _ROWS), _ROWS - 1)
            around = max(1, int(_AROUND * np.cos(np.pi * ((row + 0.5) / _ROWS - 0.5))))
            cells[i] = row * _AROUND + int((place[1, i] + 180.0) / 360.0 * around) % around
        latest[i] = last
    return points, cells, latest


@kernel
def _kilometres(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The great circle between two points of the unit sphere; of points inside it that of their chord."""
    chord = np.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2)
    return 2.0 * _RADIUS * np.arcsin(min(1.0, 0.5 * chord))


@kernel
def _steps(
    columns: NDArray[np.float32],
    at: NDArray[np.int64],
    points: NDArray[np.float64],
    latest: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Largest speed from each place to the next, the one before the window first, and the distance within the window.

    What comes before an event is known from the pass that made the points, so that a silence costs nothing.
    """
    history, start, stop = bounds
    for r in range(len(start)):
        before = latest[start[r] - 1] if start[r] > history[r] else -1
        before = before if before >= history[r] else -1
        steps, inside, fastest, total = 0, 0, 0.0, 0.0
        for i in range(start[r], stop[r]):
            if latest[i] != i:
                continue
            if before >= 0:
                distance = _kilometres(points[before], points[i])
                fastest = max(fastest, distance * _HOUR / max(at[i] - at[before], _SHORTEST))
                steps += 1
                if before >= start[r]:
                    total += distance
                    inside += 1
            before = i
        if steps > 0:
            columns[0, r] = fastest
        if inside > 0:
            columns[1, r] = total


@kernel
def _centres(
    column: NDArray[np.float32],
    points: NDArray[np.float64],
    latest: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.float64]:
    """The mean point of each window, summed in the order of time, and the radius of gyration around it."""
    _, start, stop = bounds
    centres = np.full((len(start), 3), np.nan)
    for r in range(len(start)):
        total, n = np.zeros(3), 0
        for i in range(start[r], stop[r]):
            if latest[i] == i:
                total += points[i]
                n += 1
        if n == 0:
            continue
        centres[r] = total / n
        square = 0.0
        for i in range(start[r], stop[r]):
            if latest[i] == i:
                square += _kilometres(points[i], centres[r]) ** 2
        column[r] = np.sqrt(square / n)
    return centres


@kernel
def _take_in(ranked: NDArray[np.float64], size: int, centre: NDArray[np.float64]) -> int:
    """Insert a centre, if it is one, into the three sorted arrays; their new size."""
    if np.isnan(centre[0]):
        return size
    for axis in range(3):
        rank_in(ranked[axis], size, centre[axis])
    return size + 1


@kernel
def _take_out(ranked: NDArray[np.float64], size: int, centre: NDArray[np.float64]) -> int:
    """Remove a centre, if it is one, from the three sorted arrays; their new size."""
    if np.isnan(centre[0]):
        return size
    for axis in range(3):
        rank_out(ranked[axis], size, centre[axis])
    return size - 1


@kernel
def _away(
    column: NDArray[np.float32],
    centres: NDArray[np.float64],
    past: NDArray[np.float64],
    windows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    ranked: NDArray[np.float64],
) -> None:
    """Slide a sorted array of each coordinate over the entity's earlier windows, and measure to their medians."""
    rows, first, last = windows
    usual = np.empty(3)
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        size, lo, hi = 0, first[rows[e]], first[rows[e]]
        for r in range(rows[e], rows[e + 1]):
            for i in range(lo, min(first[r], hi)):
                size = _take_out(ranked, size, past[i])
            for i in range(max(first[r], hi), last[r]):
                size = _take_in(ranked, size, past[i])
            lo, hi = first[r], last[r]
            if size > 0 and not np.isnan(centres[r, 0]):
                for axis in range(3):
                    usual[axis] = median(ranked[axis], size)
                column[r] = _kilometres(usual, centres[r])


@kernel
def _visited(
    columns: NDArray[np.float32],
    cells: NDArray[np.int32],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    counters: tuple[NDArray[np.int32], NDArray[np.int32]],
) -> None:
    """Slide a counter over the window's cells and one over those of the horizon before, and count what only one holds.

    A cell is new while the window holds it and the past does not; that changes as the last event at it goes or comes.
    """
    history, start, stop = bounds
    past, now = counters
    old = lo = hi = known = new = different = 0
    for r in range(len(start)):
        if history[r] >= hi:  # another entity, or one that was silent for longer than the horizon
            forget(past, cells, old, lo)
            forget(now, cells, lo, hi)
            old, lo, hi = history[r], history[r], history[r]
            known, new, different = 0, 0, 0
        for i in range(hi, stop[r]):
            come = enter(now, cells[i])
            different += come
            new += come if past[cells[i]] == 0 else 0
        for i in range(lo, start[r]):
            gone, first = leave(now, cells[i]), enter(past, cells[i])
            different -= gone
            known += first
            new -= first  # it was new until now, whether or not the window still holds it
        for i in range(old, history[r]):
            gone = leave(past, cells[i])
            known -= gone
            new += gone if now[cells[i]] > 0 else 0
        old, lo, hi = history[r], start[r], stop[r]
        columns[1, r] = different
        if known > 0:
            columns[0, r] = new
    forget(past, cells, old, lo)
    forget(now, cells, lo, hi)


def _long_steps(
    located: NDArray[np.int64],
    points: NDArray[np.float64],
    history: int,
    at: NDArray[np.int64] | None,
    start: int,
) -> NDArray[np.int64]:
    """Both ends of the fastest step that ends in the window, where times are given; else of all that reach the mean."""
    before, after = located[:-1][located[1:] >= start], located[1:][located[1:] >= start]
    if not len(after):
        return located[located >= start]
    chord = np.linalg.norm(points[after - history] - points[before - history], axis=1)
    distance = 2.0 * _RADIUS * np.arcsin(np.minimum(1.0, 0.5 * chord))
    if at is None:
        long = distance >= distance.mean()
    else:
        speed = distance * _HOUR / np.maximum(at[after] - at[before], _SHORTEST)
        long = np.arange(len(speed)) == speed.argmax()
    return np.unique(np.concatenate([before[long], after[long]]))
