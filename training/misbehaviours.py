"""The kinds of misbehaviour that can be rehearsed: what fraud, abuse and insider-threat teams look for.

A kind is one class and its place in ``KINDS``. It says what a log must have for it, and what it does to one entity on
one day: from mild, where it hardly differs from a busy day, to blatant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from ..features.exchange import NEVER, TROUBLE
from .scenes import Act, Scene, Victim, graded

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KINDS", "Misbehaviour"]

_MINUTE, _HOUR, _DAY = 60_000_000, 3_600_000_000, 86_400_000_000
_CANDIDATES = 48  # days of others to choose from
_WIDE = 12  # values that a dimension must have to spread over
_DRIFT = 14  # days
_APART = 0.5  # of chance
_REMEMBERED = 1_000  # events in trouble, the latest, whose values are taken


class Misbehaviour(Protocol):
    """One way of misbehaving."""

    name: ClassVar[str]

    def missing(self, scene: Scene) -> str:
        """What the log lacks for it, for a person; empty if nothing."""

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """What the victim does, or None if it is not one who could."""


class AnotherDay:
    """A day of somebody who leads another life, beside the entity's own day or in its place."""

    name: ClassVar[str] = "another_day"

    def missing(self, scene: Scene) -> str:
        """It needs values that people differ in."""
        return "" if scene.things else "a dimension other than the action"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """Of some days of others, one whose values the victim does not know: the blatant know none of them."""
        donor = _stranger(scene, victim, rng)
        if donor is None:
            return None
        hours = scene.hours(donor)
        removed = victim.own if rng.random() < 0.5 else victim.own[:0]
        told = f"{'instead of' if len(removed) else 'beside'} its own day that of another, {len(donor)} events"
        return Act(donor, scene.at(victim.day, hours), told, removed=removed)


class Burst:
    """Many events within minutes, each of them usual."""

    name: ClassVar[str] = "burst"

    def missing(self, scene: Scene) -> str:  # noqa: ARG002 - part of the protocol
        """It needs nothing but events."""
        return ""

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From two events more than usual in an hour to sixty in two minutes."""
        number = scene.busy(victim) + round(graded(victim.strength, 2, 60))
        minutes = graded(victim.strength, 60, 2)
        begin = scene.timeline.at[rng.choice(victim.own)]
        at = _rush(begin, number, minutes, rng)
        return Act(rng.choice(victim.usual, number), at, f"{number} events within {minutes:.0f} minutes")


class Probing:
    """Many tiny amounts in quick succession, as someone tries out what they stole."""

    name: ClassVar[str] = "probing"

    def missing(self, scene: Scene) -> str:
        """It needs amounts."""
        return "" if scene.measures else "a measure with amounts above zero"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From two to forty events, some twenty seconds apart, at a few hundredths of what is usual."""
        name = str(rng.choice(scene.measures))
        like = _paid(scene, victim, name)
        if not len(like):
            return None
        number = round(graded(victim.strength, 2, 40))
        tiny = np.median(scene.timeline.measures[name][like]) * rng.uniform(0.01, 0.08, number)
        at = _rush(scene.timeline.at[rng.choice(victim.own)], number, number / 3, rng)
        return Act(rng.choice(like, number), at, f"{number} events of tiny {name}", amounts={name: tiny})


class ManyValues:
    """Many different values of one dimension in a day: fifty buses."""

    name: ClassVar[str] = "many_values"

    def missing(self, scene: Scene) -> str:
        """It needs a dimension with many values."""
        return "" if self._wide(scene) else f"a dimension with {_WIDE} values"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From two values more than events on a usual day to fifty more, over the hours that are the victim's."""
        name = str(rng.choice(self._wide(scene)))
        like = victim.usual[scene.codes(name).codes[victim.usual] >= 0]
        if not len(like):
            return None
        used = scene.in_use[name]
        number = min(scene.busy(victim) + round(graded(victim.strength, 2, 50)), len(used))
        values = rng.choice(used, number, replace=False).astype(np.int32)
        hours = np.sort(rng.uniform(*_about(scene, victim), number))
        told = f"{number} different values of {name} in a day"
        return Act(rng.choice(like, number), scene.at(victim.day, hours), told, values={name: values})

    def _wide(self, scene: Scene) -> list[str]:
        return [name for name in scene.things if len(scene.in_use[name]) >= _WIDE]


class RareBasket:
    """Values that are each common, and that hardly anyone has had together."""

    name: ClassVar[str] = "rare_basket"

    def missing(self, scene: Scene) -> str:
        """It needs values that many have in common."""
        return "" if scene.company else "a dimension of which entities have several values in common"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From six values down to three that hardly go together, within the hour of one of the victim's own."""
        name = str(rng.choice(list(scene.company)))
        like = victim.usual[scene.codes(name).codes[victim.usual] >= 0]
        if not len(like):
            return None
        common, held, both = scene.company[name]
        chosen = _apart(held, both, round(graded(victim.strength, 3, 6)), rng)
        if len(chosen) < 3:
            return None
        values = common[chosen].astype(np.int32)
        most = int(both[np.ix_(chosen, chosen)][np.triu_indices(len(chosen), 1)].max())
        at = _rush(scene.timeline.at[rng.choice(victim.own)], len(values), 30.0, rng)
        told = f"{len(values)} common values of {name}, no two of which more than {most} entities have had together"
        return Act(np.full(len(values), rng.choice(like)), at, told, values={name: values})


class UnusualHours:
    """The entity's own events of the day, at an hour at which it is never about."""

    name: ClassVar[str] = "unusual_hours"

    def missing(self, scene: Scene) -> str:  # noqa: ARG002 - part of the protocol
        """It needs nothing but events."""
        return ""

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From an hour next to usual ones to the hour farthest from them."""
        seen = np.unique(scene.hours(victim.usual).astype(np.int64))
        apart = np.abs(np.arange(24)[:, None] - seen)
        distance = np.minimum(apart, 24 - apart).min(axis=1)
        order = np.lexsort((rng.random(24), distance))
        free = order[distance[order] >= 2]
        if not len(free):
            return None
        hour = int(free[min(int(victim.strength * len(free)), len(free) - 1)])
        extra = rng.choice(victim.usual, max(0, 3 - len(victim.own)))
        like = np.concatenate([victim.own, extra])
        at = scene.at(victim.day, hour + np.sort(rng.random(len(like))))
        return Act(like, at, f"{len(like)} of its own events, but at {hour} o'clock", removed=victim.own)


class SlowDrift:
    """Amounts, or numbers of events, that grow a little every day of two weeks."""

    name: ClassVar[str] = "slow_drift"

    def missing(self, scene: Scene) -> str:  # noqa: ARG002 - part of the protocol
        """It needs nothing but events."""
        return ""

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From half as much again at the end to four times as much."""
        final, days = graded(victim.strength, 1.5, 4.0), min(_DRIFT, max(2, scene.horizon_days // 2))
        first = scene.at(victim.day - days + 1, np.zeros(1))[0]
        grown = victim.usual[scene.timeline.at[victim.usual] >= first]
        share = (scene.timeline.at[grown] - first) / max(1, victim.until - first)
        factor = final**share
        name = str(rng.choice([*scene.measures, "events"]))
        if name == "events":
            return self._more(scene, victim, (grown, factor), rng)
        paid = scene.timeline.measures[name][grown] > 0
        like, scaled = grown[paid], scene.timeline.measures[name][grown[paid]] * factor[paid]
        told = f"{name} that grows to {final:.1f} times the usual over {days} days"
        return Act(like, scene.timeline.at[like], told, amounts={name: scaled}, removed=like, within=True)

    @staticmethod
    def _more(
        scene: Scene,
        victim: Victim,
        grown: tuple[NDArray[np.int64], NDArray[np.float64]],
        rng: np.random.Generator,
    ) -> Act:
        """Each event again, as many times as its day's factor says, moments after it."""
        own, factor = grown
        times = np.floor(factor - 1.0 + rng.random(len(own))).astype(np.int64)
        times[own >= victim.start] += times[own >= victim.start].sum() == 0
        like = np.repeat(own, times)
        after = np.append(scene.timeline.at[1:], np.iinfo(np.int64).max)[like]
        after = np.where(like + 1 < scene.timeline.first[victim.entity + 1], after, victim.until)
        at = scene.timeline.at[like]
        room = np.minimum(np.minimum(after, victim.until) - at, 30 * _MINUTE)
        at = at + (rng.random(len(like)) * np.maximum(room, 1)).astype(np.int64)
        return Act(like, at, f"events that grow to {factor.max():.1f} times the usual", within=True)


class HighAmounts:
    """The entity's own events of the day, some of them at a multiple of their amounts; nothing else is odd."""

    name: ClassVar[str] = "high_amounts"

    def missing(self, scene: Scene) -> str:
        """It needs amounts."""
        return "" if scene.measures else "a measure with amounts above zero"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From one event at twice its amount to all of the day's at twelve times theirs."""
        name = str(rng.choice(scene.measures))
        amounts = scene.timeline.measures[name]
        paid = victim.own[amounts[victim.own] > 0]
        if not len(paid):
            return None
        own = np.sort(rng.choice(paid, max(1, round(victim.strength * len(paid))), replace=False))
        times = graded(victim.strength, 2, 12)
        told = f"{len(own)} of its own events, at {times:.1f} times their {name}"
        return Act(own, scene.timeline.at[own], told, amounts={name: amounts[own] * times}, removed=own, within=True)


class NewDeviceHighAmounts:
    """Values that are new to the entity, with amounts far above its usual, or many events if there are no amounts."""

    name: ClassVar[str] = "new_device_high_amounts"

    def missing(self, scene: Scene) -> str:
        """It needs a dimension that can be new."""
        return "" if scene.things else "a dimension other than the action"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From one amount a little above the largest to eight of thirty times it, or from three events to forty."""
        name = str(rng.choice(scene.scarce or scene.things))
        measure = str(rng.choice(scene.measures)) if scene.measures else ""
        like = _paid(scene, victim, measure) if measure else victim.usual
        value = _new_value(scene, victim, name, rng)
        if value is None or not len(like):
            return None
        number = round(graded(victim.strength, *((1, 8) if measure else (3, 40))))
        times = graded(victim.strength, 1.3, 30) * rng.uniform(0.8, 1.25, number)
        amounts = {measure: scene.timeline.measures[measure][like].max() * times} if measure else {}
        at = scene.at(victim.day, np.sort(rng.uniform(*_about(scene, victim), number)))
        told = f"{number} events with a {name} that is new to it"
        told += f" and {measure} up to {max(times):.0f} times its largest" if measure else ""
        return Act(rng.choice(like, number), at, told, {name: np.full(number, value, np.int32)}, amounts)


class Takeover:
    """Somebody else acts in the entity's name: everything is another's at once, and it goes fast."""

    name: ClassVar[str] = "takeover"

    def missing(self, scene: Scene) -> str:
        """It needs values that people differ in."""
        return "" if scene.things else "a dimension other than the action"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From two events in three hours to thirty in ten minutes, at any hour."""
        donor = _stranger(scene, victim, rng)
        if donor is None:
            return None
        number, minutes = round(graded(victim.strength, 2, 30)), graded(victim.strength, 180, 10)
        like = donor[np.sort(rng.integers(0, len(donor), number))]
        begin = scene.at(victim.day, rng.uniform(0.0, 21.0, 1))[0]
        values = {name: np.full(number, scene.fresh(name, victim.number), np.int32) for name in scene.scarce}
        told = f"{number} events of another within {minutes:.0f} minutes"
        told += f", all with a {' and a '.join(scene.scarce)} that nobody has used" if values else ""
        return Act(like, _rush(begin, number, minutes, rng), told, values)


class Awakening:
    """After weeks in which nothing happens, more than ever."""

    name: ClassVar[str] = "awakening"

    def missing(self, scene: Scene) -> str:
        """It needs a history that is long enough to sleep in."""
        return "" if scene.horizon_days >= 14 else "a horizon of two weeks"

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """Half a horizon of silence, then from a usual day to ten times the events of one."""
        days = scene.horizon_days // 2
        asleep = scene.at(victim.day - days, np.zeros(1))[0]
        before = np.arange(victim.past, victim.start)
        awake = scene.timeline.at[before] < asleep
        if not awake.any():
            return None
        number = max(2, round(scene.busy(victim) * graded(victim.strength, 1, 10)))
        at = scene.at(victim.day, np.sort(rng.uniform(*_about(scene, victim), number)))
        told = f"{number} events after {days} days without any"
        return Act(rng.choice(before[awake], number), at, told, removed=before[~awake])


class KnownTrouble:
    """The entity's own events of the day, at values where trouble is known; it uses labels known before the day."""

    name: ClassVar[str] = "known_trouble"

    def missing(self, scene: Scene) -> str:
        """It needs notes of trouble."""
        return _without_trouble(scene)

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From one event to all of the day's, at values of others' trouble that is known when the day begins."""
        known = _latest_trouble(scene, victim)
        if not len(known):
            return None
        number = max(1, round(victim.strength * len(victim.own)))
        own, met = np.sort(rng.choice(victim.own, number, replace=False)), rng.choice(known, number)
        values = {name: scene.codes(name).codes[met] for name in scene.things}
        told = f"{number} of its own events, at values of others that are known to be trouble"
        return Act(own, scene.timeline.at[own], told, values, removed=own, within=True)


class Replay:
    """Events of others that are known to be trouble happen again; it uses labels known before the day."""

    name: ClassVar[str] = "replay"

    def missing(self, scene: Scene) -> str:
        """It needs notes of trouble."""
        return _without_trouble(scene)

    def act(self, scene: Scene, victim: Victim, rng: np.random.Generator) -> Act | None:
        """From one event to six, at the hours at which the victim is about."""
        known = _latest_trouble(scene, victim)
        if not len(known):
            return None
        number = round(graded(victim.strength, 1, 6))
        at = scene.at(victim.day, np.sort(rng.uniform(*_about(scene, victim), number)))
        return Act(rng.choice(known, number), at, f"{number} events of others that are known to be trouble, again")


KINDS: tuple[Misbehaviour, ...] = (
    AnotherDay(),
    Burst(),
    ManyValues(),
    RareBasket(),
    UnusualHours(),
    SlowDrift(),
    HighAmounts(),
    NewDeviceHighAmounts(),
    Takeover(),
    Probing(),
    Awakening(),
    KnownTrouble(),
    Replay(),
)
"""Every kind there is."""


def _stranger(scene: Scene, victim: Victim, rng: np.random.Generator) -> NDArray[np.int64] | None:
    """The events of a day of another entity, at most half of whose values the victim knows; None if there is none."""
    days = scene.days
    drawn = np.unique(rng.integers(0, len(days.day), _CANDIDATES))
    long = days.stop[drawn] - days.start[drawn] >= 3
    drawn = drawn[(days.entity[drawn] != victim.entity) & (long if long.any() else True)]
    own = [np.unique(scene.codes(name).codes[victim.usual]) for name in scene.things]
    known = np.array([_known_share(scene, own, int(day)) for day in drawn])
    order = np.argsort(known, kind="stable")
    order = order[known[order] <= 0.5]
    if not len(order):
        return None
    day = drawn[order[round((1.0 - victim.strength) * (len(order) - 1))]]
    return np.arange(days.start[day], days.stop[day])


def _known_share(scene: Scene, own: list[NDArray[np.int32]], day: int) -> float:
    """Which share of a day's different values the victim knows; nulls say nothing."""
    here, known, different = slice(scene.days.start[day], scene.days.stop[day]), 0, 0
    for name, mine in zip(scene.things, own, strict=True):
        values = np.unique(scene.codes(name).codes[here])
        values = values[values >= 0]
        known, different = known + int(np.isin(values, mine).sum()), different + len(values)
    return known / different if different else 1.0


def _apart(
    held: NDArray[np.int64], both: NDArray[np.float64], number: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Places of values of which no two go together as often as half of chance: one after the other, the worst match."""
    chosen = [int(rng.integers(len(held)))]
    lift = both * max(1, held.max()) / np.maximum(np.outer(held, held), 1)
    while len(chosen) < number:
        match = lift[chosen].max(axis=0)
        match[chosen] = np.inf
        fits = np.flatnonzero(match <= min(_APART, match.min() + 0.02))
        if not len(fits):
            break
        chosen.append(int(rng.choice(fits)))
    return np.array(chosen, np.intp)


def _new_value(scene: Scene, victim: Victim, name: str, rng: np.random.Generator) -> int | None:
    """A value that is new to the victim: nobody's, or, as often, another's."""
    others = scene.unknown(name, victim)
    if name in scene.scarce and (rng.random() < 0.5 or not len(others)):
        return scene.fresh(name, victim.number)
    return int(rng.choice(others)) if len(others) else None


def _paid(scene: Scene, victim: Victim, measure: str) -> NDArray[np.int64]:
    """The victim's events with an amount above zero."""
    return victim.usual[scene.timeline.measures[measure][victim.usual] > 0]


def _about(scene: Scene, victim: Victim) -> tuple[float, float]:
    """From when to when the victim is about, in hours of the day; two hours at least."""
    hours = scene.hours(victim.usual)
    low, high = float(hours.min()), float(hours.max())
    return max(0.0, min(low, high - 2.0)), min(23.99, max(high, low + 2.0))


def _without_trouble(scene: Scene) -> str:
    noted = scene.timeline.notes.get(TROUBLE)
    found = noted is not None and (noted < NEVER).any() and scene.things
    return "" if found else "events that are known to be trouble, and a dimension other than the action"


def _latest_trouble(scene: Scene, victim: Victim) -> NDArray[np.int64]:
    """The latest events whose trouble is known when the victim's day begins."""
    known = np.flatnonzero(scene.timeline.notes[TROUBLE] < victim.since)
    return known[np.argsort(-scene.timeline.at[known], kind="stable")[:_REMEMBERED]]


def _rush(begin: int, number: int, minutes: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many instants from one on within so many minutes, at no regular pace."""
    gaps = np.cumsum(rng.exponential(size=number + 1))
    return np.int64(begin) + (gaps[:-1] / gaps[-1] * minutes * _MINUTE).astype(np.int64)
