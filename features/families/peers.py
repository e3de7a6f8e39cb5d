"""Peers: unlike those who are like them.

Each level of the current window is held against the windows of the entity's peer group in the training period: a robust
z, (x - median) / spread, with median and spread read off the group's histogram, and for the main levels (all events,
distinct values, sums) the share of the group's windows that stayed strictly below. The share is no new order within a
group, and says no more once nobody lies above; it is there where one number for all groups and scales helps, and not
for every action's count and every statistic of an amount, whose z tells enough.

With a ``peer_by`` column (a branch, a department) the group is its value at the last event of the window that has one,
or else of the horizon. Without one, groups are learned from habits: how many events a day the entity had in the horizon
before the window, by the quarters of everyone's, and what it did most. The window itself has no say in that, or fifty
rides in a day would make somebody a peer of those who ride a lot. A group of few windows is no measure: its members are
held against everyone. Comparison with peer groups follows Bolton and Hand ("Unsupervised profiling methods for fraud
detection", 2001), though groups here are frozen and do not drift with those they judge.

Cost: a few numbers for each window and level, and a histogram for each group and level in the model. Blind to a
whole group that goes astray together before the model is trained, and to an entity whose habits already moved it among
those who do as it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from ..columns import stable_hash
from ..family import Feature
from ..kernels import kernel
from ..population import N_BINS, Population, bins_of, histogram
from ..strata import Strata, count_in_groups
from ..witness import window_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..family import Context, Observation, Shape
    from ..snapshots import Snapshots
    from ..timeline import Timeline

__all__ = ["Peers"]

_DAY = 86_400e6
_ACTIVITY = "peers.activity"
_QUARTERS = (0.25, 0.5, 0.75)
_FARTHEST = 1e30  # beyond it a float32 would soon be infinite


@dataclass(frozen=True)
class Peers:
    """Unlike their peers: robust z of each level against the peer group, and the share of it that stays below.

    Attributes
    ----------
    least_windows : int
        A group with fewer windows (that have the level) in the training period is not used, but everyone.
    actions : int
        Where groups are learned: how many of the commonest actions can be an entity's habit.
    """

    least_windows: int = 100
    actions: int = 6

    name: ClassVar[str] = "peers"
    version: ClassVar[int] = 1
    judges: ClassVar[bool] = True

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:
        """For each level of the families before a z, for the main ones the share below."""
        whose = "of like habits" if shape.peer_by is None else f"of the same {shape.peer_by}"
        levels = [feature for feature in before if feature.level]
        return tuple(made for base in levels for made in _against(base, whose, shape.window))

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, Observation]:
        """How much entities do a day in the horizon before a window, if groups are to be learned from it."""
        if shape.peer_by is not None:
            return {}
        return {_ACTIVITY: histogram([_per_day(timeline, snapshots)])[0]}

    def learn(self, context: Context) -> Mapping[str, Observation]:
        """The histogram of each level in each group."""
        names, group = self._groups(context)
        groups = names[group]
        return {f"peers.{level}": count_in_groups(groups, context.earlier[level]) for level in context.levels}

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """One look at each window for each level."""
        names, group = self._groups(context)
        row = 0
        for level in context.levels:
            strata = _strata(context.population, level, self.least_windows)
            place, values = strata.place(names), context.earlier[level]
            _judge(columns[row], values, (group, place), *strata.usual)
            row += 1
            if _is_main(level, context.shape.window):
                groups = (strata.lo, strata.hi, strata.bins, strata.before)
                _share_below(columns[row], values, bins_of(values), (group, place), groups)
                row += 1

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:  # noqa: ARG002
        """The events of the window; whoever knows the plan asks the family of the base, which knows them better."""
        return window_of(context, row)

    def _groups(self, context: Context) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The hashes of the groups there can be, and the number of each snapshot's among them."""
        snapshots, peer = context.snapshots, context.timeline.peer
        if context.shape.peer_by is not None and peer is not None:
            latest = _latest(peer.codes, snapshots.history, snapshots.stop)
            return np.append(peer.keys, np.uint64(0)), np.where(latest < 0, len(peer.keys), latest)
        quarter = _quarter(_per_day(context.timeline, snapshots), context.population)
        usual, actions = self._usual_action(context)
        names = [f"{number} {action}" for number in range(len(_QUARTERS) + 2) for action in ("", *actions)]
        return stable_hash(pa.array(names)), quarter * (len(actions) + 1) + usual + 1

    def _usual_action(self, context: Context) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """What each snapshot's entity did most in the horizon before, as a number among the actions; -1 for nothing."""
        shape, snapshots = context.shape, context.snapshots
        actions = shape.actions[: self.actions]
        if shape.action is None or not actions:
            return np.full(len(snapshots), -1, np.int64), ()
        codes = context.timeline.dimensions[shape.action]
        number = {action: place for place, action in enumerate(actions)}
        slots = np.array([number.get(value, -1) for value in codes.values.to_pylist()] + [-1], np.int64)
        bounds = (snapshots.history, snapshots.start)
        return _favourite(codes.codes, slots, snapshots.rows, bounds, np.zeros(len(actions), np.int64)), actions


def _is_main(level: str, window: str) -> bool:
    return level == f"events_count_{window}" or level.endswith((f"_distinct_{window}", f"_sum_{window}"))


def _against(base: Feature, whose: str, window: str) -> tuple[Feature, ...]:
    z = Feature(
        name=f"{base.name}_vs_peers",
        family="peers",
        unit="robust z",
        meaning=f"Robust z of {base.name} against the windows of entities {whose} in the training period.",
        null=base.null,
        phrase=base.phrase,
        base=base.name,
        subject=base.subject,
    )
    if not _is_main(base.name, window):
        return (z,)
    below = Feature(
        name=f"{base.name}_below_vs_peers",
        family="peers",
        unit="share",
        meaning=f"Share of the windows of entities {whose} in the training period whose {base.name} was less.",
        null=base.null,
        phrase=base.phrase,
        base=base.name,
        subject=base.subject,
    )
    return z, below


def _strata(population: Population, level: str, least: int) -> Strata:
    def made() -> Strata:
        return Strata.of(population.keyed.get(f"peers.{level}"), population.histogram_of(level), least)

    return population.derive(f"peers.{level}.{least}", made)


def _per_day(timeline: Timeline, snapshots: Snapshots) -> NDArray[np.float32]:
    """Events a day from the first in the horizon to the window's begin, a day at least; NaN without any before."""
    events = snapshots.start - snapshots.history
    if not len(events):
        return np.empty(0, np.float32)
    days = (snapshots.since - timeline.at[snapshots.history]) / _DAY
    return np.where(events > 0, events / np.maximum(days, 1.0), np.nan).astype(np.float32)


def _quarter(habit: NDArray[np.float32], population: Population) -> NDArray[np.int64]:
    """0 for an entity without a past yet, else 1 to 4 by how much it does."""
    activity = Population(histograms={_ACTIVITY: population.counts.get(_ACTIVITY, np.zeros(N_BINS, np.int64))})
    edges = [activity.quantile(_ACTIVITY, share) for share in _QUARTERS]
    number = 1 + sum(((habit >= edge).astype(np.int64) for edge in edges), start=np.zeros(len(habit), np.int64))
    return np.where(np.isnan(habit), 0, number)


@kernel
def _latest(codes: NDArray[np.int32], history: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last value in ``[history, stop)``, most often that of the last event; -1 if there is none."""
    latest = np.full(len(stop), -1, np.int64)
    for r in range(len(stop)):
        i = stop[r] - 1
        while i >= history[r] and codes[i] < 0:
            i -= 1
        if i >= history[r]:
            latest[r] = codes[i]
    return latest


@kernel
def _favourite(
    codes: NDArray[np.int32],
    slots: NDArray[np.int64],
    rows: NDArray[np.int64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    past: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Slide the counts of a few actions over the horizon; the largest wins, of equals the commoner among everyone."""
    history, start = bounds
    favourite = np.full(len(start), -1, np.int64)
    for e in range(len(rows) - 1):
        past[:] = 0
        lo = hi = history[rows[e]] if rows[e] < rows[e + 1] else 0
        for r in range(rows[e], rows[e + 1]):
            while hi < start[r]:
                if slots[codes[hi]] >= 0:
                    past[slots[codes[hi]]] += 1
                hi += 1
            while lo < history[r]:
                if slots[codes[lo]] >= 0:
                    past[slots[codes[lo]]] -= 1
                lo += 1
            most = np.argmax(past)
            if past[most] > 0:
                favourite[r] = most
    return favourite


@kernel
def _judge(
    column: NDArray[np.float32],
    level: NDArray[np.float32],
    groups: tuple[NDArray[np.int64], NDArray[np.int64]],
    centre: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    """The robust z of each value against the group it falls into."""
    group, place = groups
    for r in range(len(level)):
        if not np.isnan(level[r]):
            g = place[group[r]]
            column[r] = min(max((level[r] - centre[g]) / spread[g], -_FARTHEST), _FARTHEST)


@kernel
def _share_below(
    column: NDArray[np.float32],
    level: NDArray[np.float32],
    bins: NDArray[np.int64],
    groups: tuple[NDArray[np.int64], NDArray[np.int64]],
    strata: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Halve the bins of the group until the value's own, or the first above it, is found."""
    group, place = groups
    first, last, seen, before = strata
    for r in range(len(level)):
        if np.isnan(level[r]):
            continue
        g = place[group[r]]
        lo, hi = first[g], last[g]
        while lo < hi:
            mid = (lo + hi) // 2
            if seen[mid] < bins[r]:
                lo = mid + 1
            else:
                hi = mid
        total = before[last[g]] - before[first[g]]
        column[r] = (before[lo] - before[first[g]]) / max(total, 1)
