"""The city of the simulated log: its calendar, goods, lines, districts and the countries its people travel to.

Nothing here knows a person. A city is drawn once from the seed and shared by every day of the log.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ACTIONS", "COUNTRIES", "START", "Calendar", "City", "draw_city", "stream", "zipf"]

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

START = dt.date(2025, 1, 6)
"""The first day of a log unless another is asked for: a Monday."""

DAY_US = 86_400_000_000
"""Microseconds of a day."""

ACTIONS = (
    "ride", "purchase", "refund", "top_up", "login", "view",
    "search", "transfer", "withdraw", "update_profile", "change_device", "support",
)  # fmt: skip
(RIDE, PURCHASE, REFUND, TOP_UP, LOGIN, VIEW, SEARCH, TRANSFER, WITHDRAW, PROFILE, DEVICE, SUPPORT) = range(12)

COUNTRIES = tuple(
    (  # noqa: SIM905 - 170 quoted strings would be a page
        # The city's own country first, then roughly by how often its people travel there.
        "AT DE IT HR ES GR FR HU CZ SI CH TR GB NL PT PL SK EG TH US AE BE DK SE NO IE RO BG RS BA ME AL MK CY MT LU "
        "LI FI IS EE LV LT UA MD GE AM AZ IL JO LB SA QA KW BH OM MA TN DZ LY CV SN GM GH NG CI ML BF NE BJ TG CM GA "
        "CG CD AO NA BW ZA MZ MG MU SC TZ KE UG RW BI ET DJ ER SD TD CF GN GW SL LR MR ZM ZW MW LS SZ KM ST CA MX CU "
        "DO JM HT BS BB TT GD LC VC AG DM KN BZ GT SV HN NI CR PA CO VE GY SR EC PE BO PY UY AR CL BR JP KR CN MN TW "
        "VN LA KH MM MY SG ID PH BN TL PG FJ SB VU WS TO KI FM PW MH NR TV AU NZ IN PK LK NP BT MV"
    ).split()[:170]
)

TASTES = 4
"""Exclusive tastes: a person has one of them, or none, and buys the signature goods of no other."""

VEHICLES_A_LINE = 20

# (month, day) of the days on which the city behaves like a festive Sunday.
HOLIDAYS = {(1, 1), (1, 20), (2, 17), (3, 19), (4, 18), (5, 1), (6, 10), (8, 15), (9, 21), (11, 1), (12, 25), (12, 26)}
SUNDAY = 6


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """Return the random stream of one purpose, independent of every other purpose of the same seed.

    Examples
    --------
    >>> stream(7, 1).integers(100) == stream(7, 1).integers(100)
    np.True_
    """
    return np.random.default_rng([seed, *purpose])


def zipf(uniform: Floats, size: int) -> Ints:
    """Turn uniform numbers in [0, 1) into ranks 0 … ``size`` - 1 whose frequency falls as 1 / (rank + 1).

    The inverse of the continuous law: no table, so a draw costs one power whatever the size.

    Examples
    --------
    >>> zipf(np.array([0.0, 0.5, 0.999999]), 1000)
    array([  0,  30, 999], dtype=int32)
    """
    return (np.power(size + 1.0, uniform) - 1.0).astype(np.int32)


@dataclass(frozen=True)
class Calendar:
    """The days of a log, counted from 0.

    Parameters
    ----------
    start
        First day (UTC).
    days
        Number of days.

    Examples
    --------
    >>> Calendar(START, 30).weekday(0), Calendar(START, 30).is_holiday(14)
    (0, True)
    """

    start: dt.date
    days: int

    def date(self, day: int) -> dt.date:
        """Date of a day."""
        return self.start + dt.timedelta(days=day)

    def is_holiday(self, day: int) -> bool:
        """Whether the city celebrates on that day."""
        date = self.date(day)
        return (date.month, date.day) in HOLIDAYS

    def weekday(self, day: int) -> int:
        """0 (Monday) … 6 (Sunday); a holiday counts as a Sunday."""
        return SUNDAY if self.is_holiday(day) else self.date(day).weekday()

    def season(self, day: int) -> int:
        """Month of the day, 0 … 11: baskets shift with it."""
        return self.date(day).month - 1

    def midnight(self, day: int) -> int:
        """Microseconds since 1970 (UTC) at which the day begins."""
        return (self.date(day) - dt.date(1970, 1, 1)).days * DAY_US


@dataclass(frozen=True)
class City:
    """What the city offers.

    Attributes
    ----------
    calendar
        Days of the log.
    prices
        Price of each item in the city's currency, shape ``(items,)``.
    categories
        Category of each item, shape ``(items,)``, 0 … 199.
    per_taste
        Signature items of one taste. Items ``taste * per_taste`` … are those of ``taste``; all later ones are general.
    lines
        Bus and tram lines, each with 20 vehicles.
    districts
        Number of districts.
    """

    calendar: Calendar
    prices: Floats
    categories: Ints
    per_taste: int
    lines: int
    districts: int

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.prices)

    @property
    def general(self) -> int:
        """The first item that belongs to no taste."""
        return TASTES * self.per_taste

    @property
    def vehicles(self) -> int:
        """Number of vehicles."""
        return self.lines * VEHICLES_A_LINE

    def popular(self, rng: np.random.Generator, shape: int | tuple[int, ...]) -> Ints:
        """Draw general items, long-tailed."""
        return self.general + zipf(rng.random(shape), self.items - self.general)

    def seasonal(self, rng: np.random.Generator, size: int, day: int) -> Ints:
        """Draw from the shelf of the day's month: goods that hardly sell the rest of the year."""
        shelf = (self.items - self.general) // 24
        first = self.general + shelf * (12 + self.calendar.season(day))
        return first + zipf(rng.random(size), shelf)


def signatures_per_taste(events_a_month: float) -> int:
    """Choose how many signature items a taste has, so that each sells to over 2 % of users in a month.

    A prime, because planted baskets are rows of an orthogonal array over it (see ``scenarios.baskets``).
    """
    return 11 if events_a_month >= 20 else 7 if events_a_month >= 12 else 5


def draw_city(calendar: Calendar, *, events: int, users: int, rng: np.random.Generator) -> City:
    """Draw a city whose catalogue, network and districts fit its number of users.

    Examples
    --------
    >>> city = draw_city(Calendar(START, 90), events=10_000_000, users=100_000, rng=stream(7))
    >>> city.items, city.vehicles, city.districts, len(set(city.categories.tolist()))
    (50000, 2000, 60, 200)
    """
    items = int(np.clip(users // 2, 1_000, 50_000))
    return City(
        calendar=calendar,
        prices=np.round(np.exp(rng.normal(1.7, 0.9, items)), 2) + 0.19,
        categories=rng.permutation(np.arange(items) % 200).astype(np.int16),
        per_taste=signatures_per_taste(30 * events / users / calendar.days),
        lines=int(np.clip(users // 1_000, 12, 1_000)),
        districts=int(np.clip(users // 500, 8, 60)),
    )
