"""What each person is used to: the goods they buy, the lines they ride, the devices they own, where they are.

Each class holds per-user arrays drawn once, and answers one question for many visits of a day at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .archetypes import COURIER, FAMILY, HUNTER, INSPECTOR
from .city import COUNTRIES, TASTES, VEHICLES_A_LINE, Bools, City, Floats, Ints, zipf
from .rhythm import NEVER, Rhythm

__all__ = ["Devices", "Places", "Tastes", "draw_devices", "draw_places", "draw_tastes"]

_FAVOURITES = 12
_NO_TASTE = 0.1
# Shares of what goes into a basket: signature items of the own taste, favourites, the season's shelf; the rest is
# whatever sells. A signature item must sell to over 2 % of users a month, which sets the first.
_SIGNATURE, _FAVOURITE, _SEASONAL = 0.30, 0.32, 0.08

_MOVES_HOUSE = 0.03
_TRIP_EVERY = 240
_ABROAD = 0.04
_PROXY = 0.002


@dataclass(frozen=True)
class Tastes:
    """What each user buys and looks at.

    Attributes
    ----------
    taste
        The user's exclusive taste, or -1, shape ``(users,)``.
    favourites
        Items bought again and again, shape ``(users, 12)``.
    curious
        Whether the user looks at anything there is rather than at favourites, shape ``(users,)``.
    """

    taste: Ints
    favourites: Ints
    curious: Bools

    def items(self, users: Ints, *, day: int, city: City, rng: np.random.Generator) -> Ints:
        """Draw one item for each of ``users``."""
        size = len(users)
        source, which = rng.random(size), rng.random(size)
        favourite = self.favourites[users, (which * which * _FAVOURITES).astype(np.int64)]
        items = np.where(source < _SIGNATURE + _FAVOURITE, favourite, city.popular(rng, size))
        seasonal = source > 1.0 - _SEASONAL
        items[seasonal] = city.seasonal(rng, int(seasonal.sum()), day)
        curious = self.curious[users]
        items[curious] = rng.integers(city.general, city.items, int(curious.sum()))
        # Without a taste the signature share of the basket goes to favourites.
        own = (source < _SIGNATURE) & (self.taste[users] >= 0)
        items[own] = self.taste[users[own]] * city.per_taste + (which[own] * city.per_taste).astype(np.int64)
        return items


def draw_tastes(city: City, rhythm: Rhythm, *, without: Ints, rng: np.random.Generator) -> Tastes:
    """Draw tastes and favourites; one user in ten has no taste, and neither have those in ``without``."""
    users = rhythm.users
    taste = rng.integers(0, TASTES, users).astype(np.int8)
    taste[rng.random(users) < _NO_TASTE] = -1
    taste[without] = -1
    return Tastes(taste, city.popular(rng, (users, _FAVOURITES)), rhythm.archetype == HUNTER)


@dataclass(frozen=True)
class Places:
    """Where each user lives, rides and travels.

    Attributes
    ----------
    lines
        Habitual lines, most used first, shape ``(users, 3)``.
    home, district
        Country the user's own internet line reports, and home district, shape ``(users,)``.
    moves_on
        Day of moving house: other lines, another district; mostly never. Shape ``(users,)``.
    trip_from, trip_to, trip_in
        First day, day after the last, and country of journeys, shape ``(users, trips)``.
    roams
        Whether the user rides any line of the city, shape ``(users,)``.
    """

    city: City
    lines: Ints
    home: Ints
    district: Ints
    moves_on: Ints
    trip_from: Ints
    trip_to: Ints
    trip_in: Ints
    roams: Bools

    def abroad(self, users: Ints, day: int) -> Ints:
        """Return the country each of ``users`` is travelling in, or -1."""
        away = (self.trip_from[users] <= day) & (day < self.trip_to[users])
        abroad: Ints = np.max(np.where(away, self.trip_in[users], -1), axis=1)
        return abroad

    def countries(self, users: Ints, *, day: int, rng: np.random.Generator) -> Ints:
        """Return the country that each event of ``users`` comes from; now and then a proxy server's."""
        abroad = self.abroad(users, day)
        countries = np.where(abroad >= 0, abroad, self.home[users])
        proxy = rng.random(len(users)) < _PROXY
        countries[proxy] = zipf(rng.random(int(proxy.sum())), len(COUNTRIES))
        return countries

    def vehicles(self, users: Ints, *, roaming: Bools, day: int, rng: np.random.Generator) -> Ints:
        """Return the vehicle of one ride of each of ``users``: mostly one of a habitual line's twenty."""
        size, lines = len(users), self.city.lines
        which = rng.random(size)
        line = self.lines[users, (which > 0.60).astype(np.int8) + (which > 0.86)].astype(np.int64)
        line = np.where(self.moves_on[users] <= day, (line + lines // 2) % lines, line)
        elsewhere = roaming | self.roams[users] | (rng.random(size) < 0.06)
        line[elsewhere] = rng.integers(0, lines, int(elsewhere.sum()))
        vehicle: Ints = line * VEHICLES_A_LINE + rng.integers(0, VEHICLES_A_LINE, size)
        return vehicle

    def districts(self, users: Ints, day: int) -> Ints:
        """Home district of each of ``users``."""
        moved = (self.moves_on[users] <= day).astype(np.int64) * (self.city.districts // 2)
        return (self.district[users] + moved) % self.city.districts


def draw_places(city: City, rhythm: Rhythm, *, settled: Ints, rng: np.random.Generator) -> Places:
    """Draw homes, habitual lines and journeys; the users in ``settled`` neither move house nor travel."""
    users, days = rhythm.users, city.calendar.days
    trips = (users, 1 + days // _TRIP_EVERY)
    district = rng.integers(0, city.districts, users)
    # Two lines serve the home district, the third leads to wherever the user works.
    near = (district[:, None] * 2 + rng.integers(0, 4, (users, 2))) % city.lines
    start = np.where(rng.random(trips) < days / _TRIP_EVERY, rng.integers(-3, days, trips), NEVER).astype(np.int32)
    start[~rhythm.ordinary] = NEVER
    moves = np.where(rng.random(users) < _MOVES_HOUSE, rng.integers(0, days, users), NEVER)
    moves[settled], start[settled] = NEVER, NEVER
    return Places(
        city=city,
        lines=np.column_stack([near, rng.integers(0, city.lines, users)]).astype(np.int16),
        home=np.where(rng.random(users) < _ABROAD, zipf(rng.random(users), len(COUNTRIES)), 0).astype(np.int16),
        district=district.astype(np.int16),
        moves_on=moves.astype(np.int32),
        trip_from=start,
        trip_to=np.where(start == NEVER, NEVER, start + rng.integers(3, 13, trips)).astype(np.int32),
        trip_in=(1 + zipf(rng.random(trips), len(COUNTRIES) - 1)).astype(np.int16),
        roams=np.isin(rhythm.archetype, (COURIER, INSPECTOR)),
    )


@dataclass(frozen=True)
class Devices:
    """The app installations of each user; every array has shape ``(users,)``.

    A user owns one to four at a time and renews the main one now and then, so about four appear per user in all.

    Attributes
    ----------
    first
        The user's first device; theirs are ``first`` … ``first + slots + renewals - 1``.
    slots
        Devices owned at a time.
    renewals, phase
        How often the main device is renewed over the period, and where in that rhythm the user stands at its start.
    lends
        Whose first device this user sometimes borrows; often nobody's but their own.
    total
        Devices of all users together.
    """

    days: int
    first: Ints
    slots: Ints
    renewals: Ints
    phase: Floats
    lends: Ints
    total: int

    def main(self, users: Ints, day: int) -> Ints:
        """Return the device that each of ``users`` mostly uses at that time."""
        renewed = np.floor((day / self.days + self.phase[users]) * self.renewals[users])
        main: Ints = (
            self.first[users] + self.slots[users] - 1 + np.minimum(renewed, self.renewals[users]).astype(np.int32)
        )
        return main

    def used(self, users: Ints, *, day: int, rng: np.random.Generator) -> Ints:
        """Return the device behind each of ``users``' events."""
        uniform = rng.random(len(users))
        device = self.main(users, day)
        other = uniform < 0.2
        device[other] = (self.first[users] + (uniform * 5.0 * self.slots[users]).astype(np.int32))[other]
        borrowed = uniform > 0.97
        device[borrowed] = self.first[self.lends[users[borrowed]]]
        return device


def draw_devices(rhythm: Rhythm, *, rng: np.random.Generator) -> Devices:
    """Draw the devices; three households in a hundred share one."""
    users = rhythm.users
    slots = np.where(rhythm.archetype == FAMILY, 4, rng.choice([1, 2, 3, 4], size=users, p=[0.2, 0.3, 0.3, 0.2]))
    renewals = rng.choice([0, 1, 2, 3], size=users, p=[0.15, 0.35, 0.35, 0.15])
    owned = np.cumsum(slots + renewals)
    everyone = np.arange(users)
    lends = np.where(rng.random(users) < 0.03, (everyone + 1) % users, everyone)
    return Devices(
        days=rhythm.calendar.days,
        first=(owned - slots - renewals).astype(np.int32),
        slots=slots.astype(np.int32),
        renewals=renewals.astype(np.int32),
        phase=rng.random(users),
        lends=lends.astype(np.int32),
        total=int(owned[-1]),
    )
