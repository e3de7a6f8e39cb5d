"""Everything of a simulated log that is settled before its first day: habits, incidents, names, events a day."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from .block import Block, concatenated
from .city import Calendar, City, Ints, draw_city, stream
from .days import Habits, events_of_day
from .event_files import Vocabulary, draw_vocabulary
from .habits import draw_devices, draw_places, draw_tastes
from .plants import Scene, planted
from .rhythm import Rhythm, draw_rhythm
from .scenarios import BY_STRANGERS, Incident, Scenarios, baskets, placed
from .visits import Agenda, Swap

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["World", "draw_world"]

# Purposes of the random streams.
_CITY, _RHYTHM, _PLACED, _BASKETS, _TASTES, _PLACES, _DEVICES, _PLANTS, _NAMES, _WEATHER, _DAY = range(11)

_FEWEST_USERS, _FEWEST_DAYS = 100, 7
_WEATHER_SPREAD = 0.06
# A shopping trip that carries planted items has at most 14 events.
_ROOM = 15


@dataclass(frozen=True)
class World:
    """A log about to happen.

    Attributes
    ----------
    seed
        Seed of all randomness.
    habits
        The population and its city.
    vocabulary
        Names of everything.
    incidents
        What is planted.
    agendas
        What is settled about each day.
    """

    seed: int
    habits: Habits
    vocabulary: Vocabulary
    incidents: list[Incident]
    agendas: list[Agenda]

    def blocks(self) -> Iterator[Block]:
        """Yield the events of each day, in time order."""
        for agenda in self.agendas:
            yield events_of_day(self.habits, agenda, stream(self.seed, _DAY, agenda.day))


def _swaps(incidents: list[Incident], city: City, rng: np.random.Generator) -> dict[int, list[Swap]]:
    """Return the planted purchases of each day: all four items on one day, or one on each of four."""
    odd = [index for index, incident in enumerate(incidents) if incident.scenario == "odd_basket"]
    swaps: dict[int, list[Swap]] = {}
    for index, items in zip(odd, baskets(len(odd), city, rng).tolist(), strict=True):
        days, user = incidents[index].days, incidents[index].user
        for day, part in zip(days, np.array_split(items, len(days)), strict=True):
            swaps.setdefault(day, []).append(Swap(index, user, tuple(part.tolist())))
    return swaps


def _totals(events: int, rhythm: Rhythm, added: list[Block], rng: np.random.Generator) -> Ints:
    """Share ``events`` exactly among the days, by rhythm, growth and the day's weather.

    Raises
    ------
    ConfigError
        If what is planted would be most of the log.
    """
    volume = np.array([rhythm.volume(day).sum() for day in range(rhythm.calendar.days)])
    volume *= np.exp(rng.normal(0.0, _WEATHER_SPREAD, len(volume)))
    planted_events = np.array([len(block) for block in added])
    rest = events - int(planted_events.sum())
    if 2 * rest < events:
        message = f"the planted incidents need {events - rest} events of {events}: raise events or plant fewer"
        raise ConfigError(message)
    reached = np.round(np.cumsum(volume) / volume.sum() * rest).astype(np.int64)
    totals: Ints = np.diff(reached, prepend=0) + planted_events
    return totals


def _check(events: int, users: int, days: int, seed: int) -> None:
    if users < _FEWEST_USERS or days < _FEWEST_DAYS or seed < 0:
        message = f"expected users >= {_FEWEST_USERS}, days >= {_FEWEST_DAYS}, seed >= 0; got {users}, {days}, {seed}"
        raise ConfigError(message)
    if events < max(20 * days, users):
        message = f"expected at least one event a user and 20 a day, got {events} for {users} users and {days} days"
        raise ConfigError(message)


def draw_world(*, events: int, users: int, calendar: Calendar, seed: int, stories: Scenarios | None) -> World:
    """Draw all that does not depend on a day.

    Raises
    ------
    ConfigError
        If a size is too small, or too small for the incidents to be planted.
    """
    _check(events, users, calendar.days, seed)
    city = draw_city(calendar, events=events, users=users, rng=stream(seed, _CITY))
    rhythm = draw_rhythm(calendar, events=events, users=users, rng=stream(seed, _RHYTHM))
    counts = (stories or Scenarios()).counts(users=users, most_baskets=city.per_taste**2)
    incidents = placed(counts, rhythm, stream(seed, _PLACED))
    odd = [incident for incident in incidents if incident.scenario == "odd_basket"]
    habits = Habits(
        city=city,
        rhythm=rhythm,
        tastes=draw_tastes(city, rhythm, without=_users(odd), rng=stream(seed, _TASTES)),
        places=draw_places(city, rhythm, settled=_users(incidents), rng=stream(seed, _PLACES)),
        devices=draw_devices(rhythm, rng=stream(seed, _DEVICES)),
    )
    return _staged(habits, incidents, events=events, seed=seed)


def _users(incidents: list[Incident]) -> Ints:
    return np.array([incident.user for incident in incidents], dtype=np.int64)


def _staged(habits: Habits, incidents: list[Incident], *, events: int, seed: int) -> World:
    """Stage the incidents, give every day its number of events and everything its name."""
    stolen = sum(incident.scenario in BY_STRANGERS for incident in incidents)
    # A ring uses a device for two victims or so.
    strangers = habits.devices.total + np.arange(1 + stolen // 2)
    scene = Scene(habits.city, habits.devices, habits.places, strangers, stream(seed, _PLANTS))
    added = _by_day(planted(incidents, scene), habits.city.calendar)
    totals = _totals(events, habits.rhythm, added, stream(seed, _WEATHER))
    swaps = _swaps(incidents, habits.city, stream(seed, _BASKETS))
    agendas = [
        Agenda(day, total, swaps.get(day, ()), block)
        for day, (total, block) in enumerate(zip(totals.tolist(), added, strict=True))
    ]
    _check_room(agendas)
    return World(
        seed=seed,
        habits=habits,
        vocabulary=draw_vocabulary(
            habits.city, users=habits.rhythm.users, devices=int(strangers[-1]) + 1, rng=stream(seed, _NAMES)
        ),
        incidents=incidents,
        agendas=agendas,
    )


def _check_room(agendas: list[Agenda]) -> None:
    """Refuse a log in which a day would hold little but what is planted."""
    for agenda in agendas:
        needed = _ROOM * len(agenda.swaps) + 1
        if agenda.quota < needed:
            message = (
                f"{agenda.total} events on day {agenda.day} leave {agenda.quota} for habits, but {needed} are needed "
                "beside what is planted: raise events, or plant fewer with Scenarios(fifty_buses=1, …)"
            )
            raise ConfigError(message)


def _by_day(blocks: list[Block], calendar: Calendar) -> list[Block]:
    """Split planted events by day."""
    everything = concatenated([Block.empty(), *blocks]).in_time_order()
    bounds = np.searchsorted(everything.at, [calendar.midnight(day) for day in range(calendar.days + 1)])
    return [everything.taken(slice(*pair)) for pair in pairwise(bounds)]
