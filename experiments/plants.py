"""How each planted incident looks, event by event.

Odd baskets are not here: they replace ordinary purchases (see ``visits``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .block import NONE, Block
from .city import (
    COUNTRIES,
    DAY_US,
    DEVICE,
    LOGIN,
    PROFILE,
    PURCHASE,
    RIDE,
    SEARCH,
    TRANSFER,
    VIEW,
    WITHDRAW,
    City,
    Floats,
    Ints,
    zipf,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .habits import Devices, Places
    from .scenarios import Incident

__all__ = ["FARES", "Scene", "planted"]

FARES = np.array([2.4, 2.4, 2.4, 3.6, 5.1])
"""What a ride costs, by how far it goes."""

_HOUR_US = 3_600_000_000
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Scene:
    """What an incident is staged in: the city, the user's devices and home, and a random stream of its own."""

    city: City
    devices: Devices
    places: Places
    strangers: Ints
    rng: np.random.Generator

    def spread(self, day: int, number: int, hours: tuple[float, float]) -> Ints:
        """Return ``number`` times in order, evenly paced but never regular, between two hours of a day."""
        fraction = (np.arange(number) + self.rng.random(number)) / number
        return self._at(day, hours[0] + fraction * (hours[1] - hours[0]))

    def _at(self, day: int, hours: Floats) -> Ints:
        return self.city.calendar.midnight(day) + (hours * _HOUR_US).astype(np.int64)

    def rush(self, day: int, hour: float, number: int, gap: float) -> Ints:
        """Return ``number`` times from an hour on, ``gap`` seconds apart on average."""
        return self._at(day, np.full(number, hour)) + (
            np.cumsum(self.rng.exponential(gap, number)) * _SECOND_US
        ).astype(np.int64)

    def other_items(self, number: int) -> Ints:
        """Return ``number`` different items that belong to no taste, popular or not."""
        return self.city.general + self.rng.choice(self.city.items - self.city.general, number, replace=False)

    def events(self, incident: Incident, at: Ints, **columns: Ints | Floats | int) -> Block:
        """Make a block of the user's events; a column not given is what the user's own phone would report."""
        users, day = np.full(len(at), incident.user), incident.days[-1]
        empty = {
            "item": NONE, "vehicle": NONE, "amount": np.nan, "incident": NONE,
            "device": self.devices.main(users, day), "country": self.places.home[users],
        }  # fmt: skip
        filled = {name: np.broadcast_to(values, len(at)) for name, values in {**empty, **columns}.items()}
        return Block(at=at, user=users, **filled)


def fifty_buses(incident: Incident, scene: Scene) -> Block:
    """Fifty rides on fifty vehicles from six in the morning to eleven at night, one about every twenty minutes."""
    return scene.events(
        incident,
        scene.spread(incident.days[0], 50, (6.0, 23.0)),
        action=RIDE,
        vehicle=scene.rng.choice(scene.city.vehicles, 50, replace=False),
        amount=scene.rng.choice(FARES, 50),
    )


def account_takeover(incident: Incident, scene: Scene) -> Block:
    """A stranger logs in at night from far away, changes the profile and moves money for a few hours."""
    rng = scene.rng
    number = int(rng.integers(8, 21))
    action = rng.choice([TRANSFER, WITHDRAW, PURCHASE, LOGIN], number, p=[0.4, 0.2, 0.3, 0.1])
    action[:3] = LOGIN, PROFILE, DEVICE
    bought, paid = action == PURCHASE, np.isin(action, (TRANSFER, WITHDRAW, PURCHASE))
    start = rng.uniform(1.0, 3.5)
    return scene.events(
        incident,
        scene.spread(incident.days[0], number, (start, start + rng.uniform(0.7, 3.0))),
        action=action,
        item=np.where(bought, scene.other_items(number), NONE),
        device=rng.choice(scene.strangers),
        country=10 + zipf(rng.random(1), len(COUNTRIES) - 10),
        amount=np.where(paid, np.round(np.exp(rng.normal(4.7, 0.6, number)), 2), np.nan),
    )


def card_testing(incident: Incident, scene: Scene) -> Block:
    """Dozens of payments of less than two, seconds apart, from a stranger's device."""
    rng = scene.rng
    number = int(rng.integers(15, 41))
    return scene.events(
        incident,
        scene.rush(incident.days[0], rng.uniform(8.0, 22.5), number, rng.uniform(8.0, 20.0)),
        action=PURCHASE,
        item=scene.city.popular(rng, number),
        device=rng.choice(scene.strangers),
        amount=np.round(rng.uniform(0.5, 2.0, number), 2),
    )


def slow_drift(incident: Incident, scene: Scene) -> Block:
    """Look-ups and withdrawals in working hours that grow, working day by working day, from one to a dozen."""
    rng, days = scene.rng, incident.days
    numbers = np.round(1.0 + 11.0 * np.linspace(0.0, 1.0, len(days)) * rng.uniform(0.7, 1.2, len(days))).astype(int)
    at = np.concatenate([scene.spread(day, number, (8.0, 18.0)) for day, number in zip(days, numbers, strict=True)])
    action = rng.choice([VIEW, SEARCH, WITHDRAW], len(at), p=[0.6, 0.25, 0.15])
    return scene.events(
        incident,
        at,
        action=action,
        item=np.where(action == VIEW, scene.city.popular(rng, len(at)), NONE),
        amount=np.where(action == WITHDRAW, rng.choice([20.0, 40.0, 60.0], len(at)), np.nan),
    )


def exfiltration(incident: Incident, scene: Scene) -> Block:
    """From forty to ninety different items looked at in one working day, minutes apart."""
    number = int(scene.rng.integers(40, 91))
    at = scene.spread(incident.days[0], number, (8.5, 18.5))
    return scene.events(incident, at, action=VIEW, item=scene.other_items(number))


_PLANTS: dict[str, Callable[[Incident, Scene], Block]] = {
    plant.__name__: plant for plant in (fifty_buses, account_takeover, card_testing, slow_drift, exfiltration)
}


def planted(incidents: list[Incident], scene: Scene) -> list[Block]:
    """Return the events of every incident that adds events, each marked with its incident's place in the list."""
    blocks = []
    for index, incident in enumerate(incidents):
        if incident.scenario in _PLANTS:
            block = _PLANTS[incident.scenario](incident, scene)
            within = np.minimum(block.at, scene.city.calendar.midnight(incident.days[-1]) + DAY_US - 1)
            blocks.append(replace(block, at=within, incident=np.full(len(block), index)))
    return blocks
