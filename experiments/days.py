"""The events of one simulated day: visits played out into rides, baskets and clicks.

A day depends on the habits of the population and on the day's own random stream, on nothing before it. So a log is
written day by day in bounded memory, and a day needs nothing that another day left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .archetypes import BROWSING, KINDS, RIDING
from .block import NONE, Block, concatenated
from .city import (
    DAY_US,
    DEVICE,
    LOGIN,
    PROFILE,
    PURCHASE,
    REFUND,
    RIDE,
    SEARCH,
    SUPPORT,
    TOP_UP,
    TRANSFER,
    VIEW,
    WITHDRAW,
    Bools,
    City,
    Floats,
    Ints,
)  # fmt: skip
from .plants import FARES
from .visits import Agenda, Swap, Visits, visits_of_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .habits import Devices, Places, Tastes
    from .rhythm import Rhythm

__all__ = ["Habits", "events_of_day"]

_HOUR_US = 3_600_000_000
_SECOND_US = 1_000_000

# Seconds between the events of one visit, by kind: a change of bus, a till, a screen, a machine, a form.
_GAPS = np.array([780.0, 35.0, 32.0, 60.0, 75.0])

# What is done on a visit, by kind, with cumulated shares. A look into the app begins with a login (the last row).
_DONE = np.array([
    (RIDE, RIDE, RIDE),
    (PURCHASE, REFUND, REFUND),
    (VIEW, SEARCH, LOGIN),
    (TOP_UP, TRANSFER, WITHDRAW),
    (SUPPORT, PROFILE, DEVICE),
    (LOGIN, LOGIN, LOGIN),
])  # fmt: skip
_SHARES = np.array([(1.0, 1.0), (0.98, 1.0), (0.71, 0.97), (0.55, 0.79), (0.50, 0.90), (1.0, 1.0)])
_OPENING = len(KINDS)

_TOP_UPS = np.array([10.0, 20.0, 20.0, 50.0, 100.0])
_WITHDRAWALS = np.array([20.0, 20.0, 40.0, 50.0, 100.0, 200.0])


@dataclass(frozen=True)
class Habits:
    """The city and all that its people are used to; drawn once for a log."""

    city: City
    rhythm: Rhythm
    tastes: Tastes
    places: Places
    devices: Devices


def _times(habits: Habits, visits: Visits, visit: Ints, day: int, rng: np.random.Generator) -> Ints:
    """Start each visit at the user's habitual hour and let its events follow one another."""
    hours = habits.rhythm.hours(visits.user, day=day, riding=visits.kind == RIDING, rng=rng)
    pause = rng.standard_exponential(len(visit)) * _GAPS[visits.kind[visit]]
    passed = np.cumsum(pause)
    first = np.cumsum(visits.size) - visits.size
    within = (hours[visit] * _HOUR_US + (passed - passed[first][visit]) * _SECOND_US).astype(np.int64)
    # A visit that would run past midnight ends before it: mirrored, so that no minute gets a pile of them.
    within = np.where(within >= DAY_US, 2 * DAY_US - 1 - within, within)
    at: Ints = within + habits.city.calendar.midnight(day)
    return at


def _actions(visits: Visits, visit: Ints, rng: np.random.Generator) -> Ints:
    kind = visits.kind[visit].astype(np.int64)
    opens = np.concatenate([[True], visit[1:] != visit[:-1]])
    row = np.where(opens & (kind == BROWSING), _OPENING, kind)
    which = (rng.random(len(visit))[:, None] > _SHARES[row]).sum(axis=1)
    which[visits.swap[visit] != NONE] = 0
    action: Ints = _DONE[row, which]
    return action


def _swap_in(swaps: Sequence[Swap], swap_of: Ints, item: Ints, rng: np.random.Generator) -> Ints:
    """Replace purchases by planted items, in place; return the incident of each event."""
    incident = np.full(len(item), NONE)
    for index, swap in enumerate(swaps):
        rows = rng.choice(np.flatnonzero(swap_of == index), len(swap.items), replace=False)
        item[rows] = swap.items
        incident[rows] = swap.incident
    return incident


def _amounts(action: Ints, item: Ints, city: City, rng: np.random.Generator) -> Floats:
    """Return what each event costs, NaN where no money moves."""
    amount, uniform = np.full(len(action), np.nan), rng.random(len(action))
    goods = np.flatnonzero((action == PURCHASE) | (action == REFUND))
    pieces = 1.0 + (uniform[goods] > 0.8) + (uniform[goods] > 0.95)
    amount[goods] = np.round(city.prices[item[goods]] * pieces, 2)
    for what, choices in ((RIDE, FARES), (TOP_UP, _TOP_UPS), (WITHDRAW, _WITHDRAWALS)):
        rows = np.flatnonzero(action == what)
        amount[rows] = choices[(uniform[rows] * len(choices)).astype(np.int64)]
    rows = np.flatnonzero(action == TRANSFER)
    amount[rows] = np.round(np.exp(rng.normal(3.7, 1.5, len(rows))) + 0.5, 2)
    return amount


def _where(mask: Bools, values: Ints) -> Ints:
    """Scatter ``values``, one for each true entry of the mask, into a column that is else empty."""
    column = np.full(len(mask), NONE)
    column[mask] = values
    return column


def _played(habits: Habits, visits: Visits, agenda: Agenda, rng: np.random.Generator) -> Block:
    """Play visits out into events; a visit is made with one device in one country."""
    day, visit = agenda.day, np.repeat(np.arange(len(visits.size)), visits.size)
    user = visits.user[visit]
    action = _actions(visits, visit, rng)
    chooses, rides = np.isin(action, (PURCHASE, REFUND, VIEW)), action == RIDE
    item = _where(chooses, habits.tastes.items(user[chooses], day=day, city=habits.city, rng=rng))
    incident = _swap_in(agenda.swaps, visits.swap[visit], item, rng)
    roaming = visits.roaming[visit][rides]
    return Block(
        at=_times(habits, visits, visit, day, rng),
        user=user,
        action=action,
        item=item,
        vehicle=_where(rides, habits.places.vehicles(user[rides], roaming=roaming, day=day, rng=rng)),
        device=habits.devices.used(visits.user, day=day, rng=rng)[visit],
        country=habits.places.countries(visits.user, day=day, rng=rng)[visit],
        amount=_amounts(action, item, habits.city, rng),
        incident=incident,
    )


def events_of_day(habits: Habits, agenda: Agenda, rng: np.random.Generator) -> Block:
    """Return the events of one day in time order.

    Parameters
    ----------
    habits
        The population.
    agenda
        What is settled about the day.
    rng
        The day's random stream.
    """
    visits = visits_of_day(habits.rhythm, habits.places, agenda, rng)
    return concatenated([_played(habits, visits, agenda, rng), agenda.added]).in_time_order()
