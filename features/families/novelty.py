"""Novelty: never before.

For each dimension, which values of the current window are new: to the entity, that is, not among its events of the
horizon before the window; and to everyone, that is, new to it and used in training by no one else as far as anyone can
tell. How rare is the rarest of the new ones, in bits: -log2 of the share of entities that used it in training. How long
nothing new had come up before the window.

Two choices. A value that training did not know counts as used by one entity, the one that uses it now: so the first
use of an own new phone looks the same in training, where the population holds it already, as in serving, where it
cannot, and no detector learns from a column that training leaves constant. And no column is a level: what is new
depends on the horizon before the window, so a baseline of it over the horizon's windows would reach two horizons back.

Cost: each event enters the window, passes into the history and leaves it once. Blind to how often a new thing is done,
and to a return after the horizon, which looks new. A newcomer is new to everything; the length of its history stands
beside it, in the baseline. First contacts as a sign of an intruder, and why it matters how rare they are among all:
Metelli and Heard (2019), "On Bayesian new edge prediction and anomaly detection in computer networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import enter, forget, kernel, leave
from ..population import Keyed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..columns import Codes
    from ..family import Context, Observation, Shape
    from ..population import Population
    from ..snapshots import Snapshots
    from ..timeline import Timeline

__all__ = ["Novelty"]

_DAY = 86_400e6
_ENTITIES = "novelty"  # the values of each dimension are counted under a name of their own
_PER_DIMENSION = 6


@dataclass(frozen=True)
class Novelty:
    """Never before: values of each dimension that are new to the entity or to everyone, and how rare they are.

    Attributes
    ----------
    few : int
        How many entities of training may have used a value that counts as new to everyone: one, since that one may be
        the entity itself.
    """

    few: int = 1

    name: ClassVar[str] = "novelty"
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Six for each dimension."""
        window, horizon = shape.window, shape.trailing[-1]
        return tuple(made for name in shape.dimensions for made in _features(name, window, horizon))

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, Observation]:  # noqa: ARG002
        """How many entities used each value, and how many there are."""
        found: dict[str, Observation] = {
            _ENTITIES: np.array([np.count_nonzero(np.diff(timeline.first))], np.int64),
        }
        for name in shape.dimensions:
            codes = timeline.dimensions[name]
            users = _users(codes.codes, timeline.first, np.full(len(codes.values), -1, np.int32))
            used = np.flatnonzero(users)
            found[f"novelty.{name}"] = Keyed.of(codes.keys[used], users[used])
        return found

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Two passes for each dimension: what is new, and when something last was."""
        snapshots, at = context.snapshots, context.timeline.at
        rows, bounds = snapshots.rows, (snapshots.history, snapshots.start, snapshots.stop)
        begin, end = int(snapshots.history[0]), int(snapshots.stop[-1])
        entities = int(context.population.counts.get(_ENTITIES, np.zeros(1, np.int64))[0])
        link = np.empty(_longest(snapshots), np.int32)
        for number, name in enumerate(context.shape.dimensions):
            codes = context.timeline.dimensions[name]
            block = columns[number * _PER_DIMENSION : (number + 1) * _PER_DIMENSION]
            known = _known(codes, slice(begin, end), context.population, name)
            counters = np.zeros((2, len(codes.values)), np.int32)
            _fresh(block, codes.codes, (rows, *bounds), counters, (known, self.few, entities))
            _last_new(block[5], codes.codes, (rows, *bounds), at, (np.zeros(len(codes.values), np.int32), link))


def _features(name: str, window: str, horizon: str) -> tuple[Feature, ...]:
    values, new = f"different values of {name} in the last {window}", "that are new to the entity"
    alone = f"{new}, and that no other is known to have used in training"
    rarity = f"Largest -log2 of the share of entities, at least one, that used in training one of the {values} {new}"
    before = (
        f"Days from when a value of {name} last came up that the {horizon} before the window had not held until then"
    )
    nothing, no_new = f"no event of the window has {name}", f"no value of {name} in the window is new to the entity"
    rows = (
        ("new_count", "values", f"Number of {values} {new}: not among its events of the {horizon} before",
         "never null", f"{{value}} values of {name} new to it"),
        ("new_share", "share", f"Share of the {values} {new}",
         nothing, f"{{value}} of its values of {name} new to it"),
        ("unheard_count", "values", f"Number of {values} {alone}",
         "never null", f"{{value}} values of {name} new to everyone"),
        ("unheard_share", "share", f"Share of the {values} {alone}",
         nothing, f"{{value}} of its values of {name} new to everyone"),
        ("new_rarity", "bits", rarity,
         no_new, f"a value of {name} new to it and rare by {{value}} bits"),
        ("new_before", "days", f"{before}, to the first event of the last {window}",
         f"no event of the {horizon} before the window has {name}", f"nothing new in {name} for {{value}} days before"),
    )  # fmt: skip
    return tuple(
        Feature(f"{name}_{what}_{window}", "novelty", unit, f"{meaning}.", null, phrase, subject=name)
        for what, unit, meaning, null, phrase in rows
    )


def _longest(snapshots: Snapshots) -> int:
    """The most events that lie between the first and the last an entity's snapshots look at."""
    active = np.flatnonzero(np.diff(snapshots.rows))
    firsts, lasts = snapshots.rows[active], snapshots.rows[active + 1] - 1
    return int((snapshots.stop[lasts] - snapshots.history[firsts]).max(initial=0))


def _known(codes: Codes, events: slice, population: Population, name: str) -> NDArray[np.int64]:
    """How many entities used each value in training; looked up for the values of these events only."""
    used = np.zeros(len(codes.values) + 1, np.bool_)  # a null falls into the last place
    used[codes.codes[events]] = True
    which = np.flatnonzero(used[:-1])
    known = np.zeros(len(codes.values), np.int64)
    if f"novelty.{name}" in population.keyed:
        known[which] = population.keyed[f"novelty.{name}"].of_keys(codes.keys[which])
    return known


@kernel
def _users(codes: NDArray[np.int32], first: NDArray[np.int64], stamp: NDArray[np.int32]) -> NDArray[np.int64]:
    """Entities per value: each entity leaves its stamp on a value and counts where the stamp is not yet its own."""
    users = np.zeros(len(stamp), np.int64)
    for e in range(len(first) - 1):
        for i in range(first[e], first[e + 1]):
            code = codes[i]
            if code >= 0 and stamp[code] != e:
                stamp[code] = e
                users[code] += 1
    return users


@kernel
def _fresh(
    block: NDArray[np.float32],
    codes: NDArray[np.int32],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    counters: NDArray[np.int32],
    prior: tuple[NDArray[np.int64], int, int],
) -> None:
    """History and window side by side: three pointers that only move forward, and a counter for each of the two.

    An event enters the window at ``hi``, passes into the history at ``mid``, leaves it at ``lo``. A value is fresh
    while the window has it and the history does not, so at each step at most one value begins or ceases to be. The
    window is looked through for its rarest only when some value did: in a routine, and while the windows of single
    events overlap, that is seldom.
    """
    rows, history, start, stop = bounds
    past, now = counters[0], counters[1]
    known, few, entities = prior
    for e in range(len(rows) - 1):
        lo = mid = hi = history[rows[e]] if rows[e] < rows[e + 1] else 0
        distinct, fresh, unheard, rarest, stale = 0, 0, 0, np.nan, False
        for r in range(rows[e], rows[e + 1]):
            while hi < stop[r]:
                code = codes[hi]
                first = enter(now, code)
                distinct += first
                if first and past[code] == 0:
                    fresh, unheard, stale = fresh + 1, unheard + (known[code] <= few), True
                hi += 1
            while mid < start[r]:
                code = codes[mid]
                distinct -= leave(now, code)
                if enter(past, code):
                    fresh, unheard, stale = fresh - 1, unheard - (known[code] <= few), True
                mid += 1
            while lo < history[r]:
                code = codes[lo]
                if leave(past, code) and now[code] > 0:
                    fresh, unheard, stale = fresh + 1, unheard + (known[code] <= few), True
                lo += 1
            if stale:
                rarest, stale = _bits(codes, (mid, hi), past, (known, fresh, entities)), False
            block[0, r], block[2, r], block[4, r] = fresh, unheard, rarest
            block[1, r] = fresh / distinct if distinct > 0 else np.nan
            block[3, r] = unheard / distinct if distinct > 0 else np.nan
        forget(past, codes, lo, mid)
        forget(now, codes, mid, hi)


@kernel
def _bits(
    codes: NDArray[np.int32],
    window: tuple[int, int],
    past: NDArray[np.int32],
    prior: tuple[NDArray[np.int64], int, int],
) -> float:
    """-log2 of the share of entities that used the rarest fresh value of the window; NaN if none is fresh."""
    known, fresh, entities = prior
    if fresh == 0:
        return np.nan
    fewest = max(1, entities)
    for i in range(window[0], window[1]):
        code = codes[i]
        if code >= 0 and past[code] == 0:
            fewest = min(fewest, known[code])
    return np.log2(max(1, entities) / max(1, fewest))


@kernel
def _last_new(
    column: NDArray[np.float32],
    codes: NDArray[np.int32],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    at: NDArray[np.int64],
    tools: tuple[NDArray[np.int32], NDArray[np.int32]],
) -> None:
    """The latest event of the history whose value the history does not hold earlier.

    An event is such a first either as it comes in, if its value was last seen before the history; or when the first
    before it leaves. So each event is linked to the next of its value, and the latest first only ever moves forward.
    Places count from 1, and 0 is none.
    """
    rows, history, start, _ = bounds
    seen, link = tools
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        base = lo = mid = history[rows[e]]
        latest = base - 1
        for r in range(rows[e], rows[e + 1]):
            while mid < start[r]:
                code, place = codes[mid], mid - base + 1
                link[place - 1] = 0
                if code >= 0:
                    before = seen[code]
                    if before <= lo - base:
                        latest = mid
                    else:
                        link[before - 1] = place
                    seen[code] = place
                mid += 1
            while lo < history[r]:
                latest = max(latest, base + link[lo - base] - 1) if link[lo - base] > 0 else latest
                lo += 1
            if latest >= lo:
                column[r] = (at[start[r]] - at[latest]) / _DAY
        forget(seen, codes, base, mid)
