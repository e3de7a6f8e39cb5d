"""The visits of one simulated day: who does what kind of thing, how often, how much of it at a time.

Habitual visits are drawn with the probability of each user's activity of the day; honest bursts and the shopping trips
that carry odd baskets are set before them; then the list is cut where it reaches the day's exact number of events.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from .archetypes import BROWSING, RIDING, SHOPPING
from .block import NONE, Block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .city import Bools, Floats, Ints
    from .habits import Places
    from .rhythm import Rhythm

__all__ = ["Agenda", "Swap", "Visits", "visits_of_day"]

# One user in so many has an honest burst of each sort on an ordinary day; on holidays three times as many.
_TOUR, _HAUL, _BINGE = 3_000, 4_000, 4_000
_FESTIVE = 3


@dataclass(frozen=True)
class Swap:
    """Purchases of one day to be replaced by planted items.

    Attributes
    ----------
    incident
        Index of the incident.
    user
        User code; this user's only visit of the day is an ordinary shopping trip.
    items
        The planted items bought on that trip.
    """

    incident: int
    user: int
    items: tuple[int, ...]


@dataclass(frozen=True)
class Agenda:
    """What is settled about one day before it begins.

    Attributes
    ----------
    day
        Day of the log, from 0.
    total
        Its number of events.
    swaps
        Purchases to be replaced by planted items.
    added
        Events that planted incidents add, counted in ``total``.
    """

    day: int
    total: int
    swaps: Sequence[Swap]
    added: Block

    @property
    def quota(self) -> int:
        """Events left to habit."""
        return self.total - len(self.added)


@dataclass(frozen=True)
class Visits:
    """Visits of one day, one array a column.

    Attributes
    ----------
    user, kind, size
        Who, which of ``KINDS``, and how many events.
    roaming
        Whether rides are on any line rather than a habitual one.
    swap
        Index of the day's swap that the visit carries, or ``NONE``.
    """

    user: Ints
    kind: Ints
    size: Ints
    roaming: Bools
    swap: Ints

    @classmethod
    def of(cls, user: Ints, kind: Ints | int, size: Ints | int, *, roaming: bool = False) -> Visits:
        """Make visits that carry no swap, of one kind and size each or all alike."""
        number = len(user)
        kinds = np.full(number, kind) if isinstance(kind, int) else kind
        sizes = np.full(number, size) if isinstance(size, int) else size
        return cls(user, kinds, sizes, np.full(number, roaming), np.full(number, NONE))

    def cut(self, quota: int) -> Visits:
        """Keep the first visits that together hold ``quota`` events; the last one is shortened to fit."""
        ends = np.cumsum(self.size)
        number = int(np.searchsorted(ends, quota)) + 1
        kept = {field.name: getattr(self, field.name)[:number] for field in fields(self)}
        kept["size"] = np.diff(np.minimum(ends[:number], quota), prepend=0)
        return Visits(**kept)


def _stacked(visits: list[Visits]) -> Visits:
    return Visits(*(np.concatenate([getattr(each, field.name) for each in visits]) for field in fields(Visits)))


def _swapped(swaps: Sequence[Swap], rhythm: Rhythm, day: int, rng: np.random.Generator) -> Visits:
    """Return one shopping trip for each swap, of an ordinary size that has room for the planted items."""
    users = np.array([swap.user for swap in swaps], dtype=np.int64)
    room = np.array([len(swap.items) for swap in swaps], dtype=np.int64)
    kind = np.full(len(users), SHOPPING)
    size = rhythm.customs.sizes(rhythm.archetypes(day)[users], kind, rng.random(len(users)) * 0.9)
    # The exponential has no memory: a trip known to hold four items is as long as four and an ordinary rest.
    size = size + room - 1
    return Visits(users, kind, size, np.zeros(len(users), dtype=bool), np.arange(len(users)))


def _bursts(rhythm: Rhythm, occupied: Bools, day: int, rng: np.random.Generator) -> list[Visits]:
    """Return honest one-off days: city tours of 10 to 12 vehicles, shopping hauls, evenings lost in the app."""
    about = np.flatnonzero((rhythm.joined <= day) & rhythm.ordinary & ~occupied)
    often = _FESTIVE if rhythm.calendar.is_holiday(day) else 1

    def some(one_in: int) -> Ints:
        return rng.choice(about, min(len(about), rng.poisson(often * len(about) / one_in)), replace=False)

    tourists = some(_TOUR)
    tours = np.repeat(tourists, rng.integers(10, 13, len(tourists)))
    haulers, bingers = some(_HAUL), some(_BINGE)
    return [
        Visits.of(tours, RIDING, 1, roaming=True),
        Visits.of(haulers, SHOPPING, rng.integers(20, 56, len(haulers))),
        Visits.of(bingers, BROWSING, rng.integers(40, 121, len(bingers))),
    ]


def _habitual(rhythm: Rhythm, activity: Floats, day: int, number: int, rng: np.random.Generator) -> Visits:
    """Draw ``number`` visits, each by a user with the probability of their activity of the day."""
    reached = np.cumsum(activity)
    user = np.searchsorted(reached[:-1], rng.random(number) * reached[-1], side="right")
    archetype = rhythm.archetypes(day)[user]
    kind = rhythm.customs.kinds(archetype, rhythm.tilt[user], rng.random(number))
    return Visits.of(user, kind, rhythm.customs.sizes(archetype, kind, rng.random(number)))


def visits_of_day(rhythm: Rhythm, places: Places, agenda: Agenda, rng: np.random.Generator) -> Visits:
    """Return visits that together hold exactly ``agenda.quota`` events.

    Parameters
    ----------
    rhythm, places
        The habits of the population.
    agenda
        The day.
    rng
        The day's random stream.
    """
    day, busy = agenda.day, [swap.user for swap in agenda.swaps]
    activity = rhythm.drawn(day, rng)
    activity[busy] = 0.0
    if not activity.any():
        # A village on a quiet day: somebody has to make the day's events.
        activity = rhythm.expected(day)
    away = places.abroad(np.arange(rhythm.users), day) >= 0
    occupied = away.copy()
    occupied[busy] = True
    fixed = [_swapped(agenda.swaps, rhythm, day, rng), *_bursts(rhythm, occupied, day, rng)]
    # Each visit has an event at least, so `quota` visits are always enough.
    visits = _stacked([*fixed, _habitual(rhythm, activity, day, agenda.quota, rng)]).cut(agenda.quota)
    rides_abroad = (visits.kind == RIDING) & away[visits.user]
    visits.kind[rides_abroad] = SHOPPING
    return visits
