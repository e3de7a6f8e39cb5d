"""Novelty: never before.

For each dimension, which values of the current window are new: to the entity, that is, not among its events of the
horizon before the window; and to everyone, that is, new to it and used in training by no one else as far as anyone can
tell. How rare is the rarest of the new ones, in bits: -log2 of the share of entities that used it in training. How long
nothing new had come up before the window.

Two choices. A value that training did not know counts as used by one entity, the one that uses it now: so the first
use of an own new phone looks the same in training, where the population holds it already, as in serving, where it
cannot, and no detector learns from a column that training leaves constant. And no column is a level: what is new
depends on the horizon before the window, so a baseline of it over the horizon's windows would reach two horizons back.

Cost: one pass, in which each event is tied to the one before and the one after of its value, enters the window, passes
into the history and leaves it once. Blind to how often a new thing is done,
and to a return after the horizon, which looks new. A newcomer is new to everything; the length of its history stands
beside it, in the baseline. First contacts as a sign of an intruder, and why it matters how rare they are among all:
Metelli and Heard (2019), "On Bayesian new edge prediction and anomaly detection in computer networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import kernel
from ..population import Keyed
from ..witness import firsts, window_of

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
_NONE = int(np.iinfo(np.int32).max)


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
        """One pass for each dimension."""
        snapshots, at = context.snapshots, context.timeline.at
        rows, bounds = snapshots.rows, (snapshots.history, snapshots.start, snapshots.stop)
        begin, end = int(snapshots.history[0]), int(snapshots.stop[-1])
        entities = int(context.population.counts.get(_ENTITIES, np.zeros(1, np.int64))[0])
        ties = np.empty((2, _longest(snapshots)), np.int32)
        for number, name in enumerate(context.shape.dimensions):
            codes = context.timeline.dimensions[name]
            block = columns[number * _PER_DIMENSION : (number + 1) * _PER_DIMENSION]
            known = _known(codes, slice(begin, end), context.population, name)
            last = np.zeros(len(codes.values), np.int64)
            _novel(block, (codes.codes, at), (rows, *bounds), (last, ties[0], ties[1]), (known, self.few, entities))

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The first event of each new value, of each that is new to everyone, of the rarest new one.

        Of a silence before the window all its events, since it ended with them.
        """
        now, population = window_of(context, row), context.population
        codes = context.timeline.dimensions[feature.subject]
        before = codes.codes[context.snapshots.history[row] : now[0]]
        fresh = firsts(codes.codes, now)
        fresh = fresh[~np.isin(codes.codes[fresh], before)]
        if "_new_before_" in feature.name:
            return now
        if not len(fresh):
            return now[:0]
        seen = population.keyed.get(f"novelty.{feature.subject}")
        keys = codes.keys[codes.codes[fresh]]
        known = np.zeros(len(fresh), np.int64) if seen is None else seen.of_keys(keys)
        what = feature.name.removeprefix(f"{feature.subject}_")
        if what.startswith("unheard"):
            return fresh[known <= self.few]
        if what.startswith("new_rarity"):
            users = np.maximum(known, 1)
            return fresh[users == users.min()]
        return fresh


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
def _novel(
    block: NDArray[np.float32],
    events: tuple[NDArray[np.int32], NDArray[np.int64]],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    tools: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]],
    prior: tuple[NDArray[np.int64], int, int],
) -> None:
    """History and window side by side: three pointers that only move forward.

    An event enters the window at ``hi``, passes into the history at ``mid``, leaves it at ``lo``. Each is tied to the
    one before and the one after of its value, counted from the entity's ``base``. So a value is fresh by that event of
    the window whose one before is none, or has left the history; an event of the history whose one before has left is
    the first of its value, and the latest of the first only ever moves forward. ``last`` tells where a value came up
    last, counted from 1; places before ``base`` are another entity's.
    """
    codes, at = events
    rows, history, start, stop = bounds
    _, before, after = tools
    news = np.zeros(4, np.int64)
    for e in range(len(rows) - 1):
        lo = mid = hi = base = history[rows[e]] if rows[e] < rows[e + 1] else 0
        latest, distinct = base - 1, 0
        _forget(news)
        for r in range(rows[e], rows[e + 1]):
            while hi < stop[r]:
                _tie(tools, codes[hi], hi, base)
                distinct += before[hi - base] < mid - base
                if before[hi - base] < lo - base:
                    _turn(news, 1, codes[hi], prior)
                hi += 1
            while mid < start[r]:
                if before[mid - base] < lo - base:
                    latest = mid
                    _turn(news, -1, codes[mid], prior)
                distinct -= after[mid - base] == _NONE
                mid += 1
            latest = max(latest, _succeed(news, codes, (after, base), (lo, history[r], mid), prior))
            lo = history[r]
            block[0, r], block[2, r] = news[0], news[1]
            if distinct > 0:
                block[1, r], block[3, r] = news[0] / distinct, news[1] / distinct
            if news[0] > 0:
                block[4, r] = _bits(news, codes, (before, base), (lo, mid, hi), prior)
            if latest >= lo:
                block[5, r] = (at[start[r]] - at[latest]) / _DAY


@kernel
def _tie(
    tools: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]], code: int, position: int, base: int
) -> None:
    """Tie an event to the one of its value before it, -1 for none; a null to none on either side, and never first."""
    last, before, after = tools
    place = position - base
    if code < 0:
        before[place], after[place] = _NONE, -1
        return
    tied = max(last[code] - 1 - base, -1)
    last[code] = position + 1
    before[place], after[place] = tied, _NONE
    if tied >= 0:
        after[tied] = place


@kernel
def _forget(news: NDArray[np.int64]) -> None:
    """Nothing is fresh."""
    news[0], news[1], news[2], news[3] = 0, 0, _NONE, 0


@kernel
def _turn(news: NDArray[np.int64], sign: int, code: int, prior: tuple[NDArray[np.int64], int, int]) -> None:
    """A value becomes fresh or ceases to be.

    ``news`` holds how many are fresh, how many of them unheard of, the fewest that used one of them, and how many
    have so few; if those are 0 the fewest is out of date, and no more than what it says.
    """
    known, few, _ = prior
    users = max(known[code], 1)
    news[0] += sign
    news[1] += sign * (known[code] <= few)
    if users < news[2]:
        news[2], news[3] = users, 1
    elif users == news[2]:
        news[3] += sign
    if news[0] == 0:
        _forget(news)


@kernel
def _succeed(
    news: NDArray[np.int64],
    codes: NDArray[np.int32],
    ties: tuple[NDArray[np.int32], int],
    places: tuple[int, int, int],
    prior: tuple[NDArray[np.int64], int, int],
) -> int:
    """Let events leave the history: the next of its value is the first there, or is fresh if it is in the window.

    Returns the latest of those firsts, -1 if there is none.
    """
    after, base = ties
    lo, until, mid = places
    latest = -1
    for i in range(lo, until):
        tied = after[i - base]
        if 0 <= tied < mid - base:
            latest = max(latest, base + tied)
        elif mid - base <= tied < _NONE:
            _turn(news, 1, codes[base + tied], prior)
    return latest


@kernel
def _bits(
    news: NDArray[np.int64],
    codes: NDArray[np.int32],
    ties: tuple[NDArray[np.int32], int],
    window: tuple[int, int, int],
    prior: tuple[NDArray[np.int64], int, int],
) -> float:
    """-log2 of the share of entities that used the rarest fresh value of the window.

    The window is looked through only when the last of the rarest ceased to be fresh while others are.
    """
    known, _, entities = prior
    if news[3] == 0:
        before, base = ties
        lo, mid, hi = window
        news[2] = _NONE
        for i in range(mid, hi):
            if before[i - base] < lo - base:
                users = max(known[codes[i]], 1)
                news[3] = 1 if users < news[2] else news[3] + (users == news[2])
                news[2] = min(news[2], users)
    return np.log2(max(1, entities) / min(news[2], max(1, entities)))
