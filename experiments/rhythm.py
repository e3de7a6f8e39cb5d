"""Who is about on which day, and how often: activity, weekly rhythm, growth, and honest changes of life."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .archetypes import ARCHETYPES, FAMILY, NIGHT_WORKER, ORDINARY, Customs, customs

if TYPE_CHECKING:
    from .city import Bools, Calendar, Floats, Ints

__all__ = ["Rhythm", "draw_rhythm"]

NEVER = np.int32(2**31 - 1)
"""A day that no log reaches."""

JOINED_BEFORE = 0.7
"""Share of users who hold a card on the first day; the others join until 85 % of the period is over."""

_CHANGES_JOB = 0.03
_GROWTH = 0.2
_VISITS_WHEN_OUT = 2.2
_SPECIAL_SHARE = 0.25


@dataclass(frozen=True)
class Rhythm:
    """When each user is about; every array has shape ``(users,)``.

    Attributes
    ----------
    joined
        First day with the card.
    archetype, later
        Index into ``ARCHETYPES`` before and after the user's change of life.
    changes_on
        Day of that change; :data:`NEVER` for nearly everyone.
    visits
        Mean visits a day.
    tilt
        Exponent that leans the archetype's mix of visits to this user's own.
    shift
        Hours by which the user is later than the archetype.
    """

    calendar: Calendar
    customs: Customs
    joined: Ints
    archetype: Ints
    later: Ints
    changes_on: Ints
    visits: Floats
    tilt: Floats
    shift: Floats

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.joined)

    @property
    def ordinary(self) -> Bools:
        """Whether the user is neither courier, shop owner nor inspector."""
        return self.archetype < ORDINARY

    def archetypes(self, day: int) -> Ints:
        """Archetype of every user on a day."""
        return np.where(self.changes_on <= day, self.later, self.archetype)

    def expected(self, day: int) -> Floats:
        """Mean visits of every user on a day."""
        week = self.customs.week[self.archetypes(day), self.calendar.weekday(day)]
        growth = np.where(self.ordinary, 1.0 + _GROWTH * day / self.calendar.days, 1.0)
        return np.where(self.joined <= day, self.visits * week * growth, 0.0)

    def volume(self, day: int) -> Floats:
        """Mean events of every user on a day."""
        return self.expected(day) * self.customs.mean[self.archetypes(day)]

    def drawn(self, day: int, rng: np.random.Generator) -> Floats:
        """Mean visits of every user on a day, given who leaves the house on it.

        A light user is not out a little every day but fully on some: the chance of a day out saturates with activity.
        """
        expected = self.expected(day)
        chance = np.where(self.ordinary, -np.expm1(-expected / _VISITS_WHEN_OUT), np.minimum(0.96, expected))
        out = rng.random(self.users) < chance
        noise = np.where(self.ordinary, rng.standard_gamma(4.0, self.users) / 4.0, rng.normal(1.0, 0.12, self.users))
        return np.where(out, expected / np.maximum(chance, 1e-12) * np.maximum(noise, 0.05), 0.0)

    def hours(self, users: Ints, *, day: int, riding: Bools, rng: np.random.Generator) -> Floats:
        """Draw the hour of the day of one visit for each of ``users``; rides of a working day keep working hours."""
        working = (riding & (self.calendar.weekday(day) < 5)).astype(np.int8)
        drawn = self.customs.hours(self.archetypes(day)[users], working=working, rng=rng)
        return np.mod(drawn + self.shift[users], 24.0)


def _draw_archetypes(users: int, rng: np.random.Generator) -> Ints:
    """Give every special archetype its share, at least one user, and let ordinary ones fill the rest."""
    special = [np.full(max(1, round(k.share * users)), i) for i, k in enumerate(ARCHETYPES) if i >= ORDINARY]
    rest = users - sum(map(len, special))
    shares = np.array([kind.share for kind in ARCHETYPES[:ORDINARY]])
    ordinary = rng.choice(ORDINARY, size=rest, p=shares / shares.sum())
    return rng.permutation(np.concatenate([ordinary, *special])).astype(np.int8)


def _draw_visits(archetype: Ints, rng: np.random.Generator) -> Floats:
    """Long-tailed activity for ordinary people; a working day's number of visits for the others."""
    visits = np.exp(rng.normal(0.0, 0.8, len(archetype))) * np.where(archetype == FAMILY, 1.6, 1.0)
    for index, kind in enumerate(ARCHETYPES):
        if kind.daily is not None:
            theirs = archetype == index
            visits[theirs] = rng.uniform(*kind.daily, int(theirs.sum()))
    return visits


def _scaled(rhythm: Rhythm, events: int) -> Rhythm:
    """Scale ordinary activity so that the period holds ``events``; special people keep their habit if they fit."""
    volume = sum(rhythm.volume(day) for day in range(rhythm.calendar.days))
    ordinary = rhythm.ordinary
    special = float(np.sum(volume, where=~ordinary))
    kept = min(special, _SPECIAL_SHARE * events)
    factor = np.where(ordinary, (events - kept) / np.sum(volume, where=ordinary), kept / special)
    return replace(rhythm, visits=rhythm.visits * factor)


def draw_rhythm(calendar: Calendar, *, events: int, users: int, rng: np.random.Generator) -> Rhythm:
    """Draw the rhythm of a population whose log is expected to hold ``events`` events.

    Examples
    --------
    >>> from peculiar.experiments.city import START, Calendar, stream
    >>> rhythm = draw_rhythm(Calendar(START, 30), events=20_000, users=500, rng=stream(7))
    >>> round(sum(rhythm.volume(day).sum() for day in range(30)))
    20000
    """
    archetype = _draw_archetypes(users, rng)
    ordinary = archetype < ORDINARY
    late = rng.random(users) >= JOINED_BEFORE
    changes = ordinary & (rng.random(users) < _CHANGES_JOB)
    later = np.where(rng.random(users) < 0.4, NIGHT_WORKER, rng.integers(0, ORDINARY, users))
    rhythm = Rhythm(
        calendar=calendar,
        customs=customs(),
        joined=np.where(late & ordinary, rng.integers(1, max(2, int(0.85 * calendar.days)), users), 0),
        archetype=archetype,
        later=later.astype(np.int8),
        changes_on=np.where(changes, rng.integers(0, calendar.days, users), NEVER).astype(np.int32),
        visits=_draw_visits(archetype, rng),
        tilt=np.where(ordinary, np.exp(rng.normal(0.0, 0.3, users)), 1.0),
        shift=rng.normal(0.0, 0.7, users),
    )
    return _scaled(rhythm, events)
