"""What is planted in the simulated log, in whom and when: the incidents that its labels name.

Planted users are ordinary ones with the card from the first day. How an incident looks is in ``plants``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..errors import ConfigError
from .archetypes import NIGHT_WORKER
from .city import SUNDAY, TASTES, Calendar, City, Ints
from .rhythm import NEVER, Rhythm

__all__ = ["SCENARIOS", "Incident", "Scenarios", "baskets", "placed"]

SCENARIOS = ("fifty_buses", "odd_basket", "account_takeover", "card_testing", "slow_drift", "exfiltration")

EVENT_BY_EVENT = frozenset({"odd_basket", "account_takeover", "card_testing"})
"""Scenarios whose labels name single events; the labels of the others name a user and a span of time."""

BY_STRANGERS = frozenset({"account_takeover", "card_testing"})
"""Scenarios in which someone else uses the card, from a device of theirs."""

_USERS_AN_INCIDENT = 1_000
_AT_LEAST = 3
# Earlier than this part of the period, nobody has habits to be unlike.
_NOT_BEFORE, _LAST_QUARTER = 0.15, 0.75
# Planted users are neither the quietest, who have no baskets to hide in, nor the busiest.
_ACTIVITY = (0.35, 0.95)
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Scenarios:
    """How many users each scenario is planted in.

    ``None`` scales with the population: one user in a thousand and at least three. Planted baskets are scaled up to
    121 only, the most that the signature items allow without two users sharing a pair; asking for more repeats pairs.

    Parameters
    ----------
    fifty_buses
        A card on fifty different vehicles in one day.
    odd_basket
        Four common items that nobody combines, half of the users in one visit, half over two weeks.
    account_takeover
        A stranger's device and country, at night, moving money.
    card_testing
        Dozens of tiny payments within minutes.
    slow_drift
        Use that grows a little every working day for weeks.
    exfiltration
        Forty to ninety different items viewed in a day, at an ordinary pace.

    Examples
    --------
    >>> Scenarios(odd_basket=20, slow_drift=0).counts(users=100_000, most_baskets=121)["odd_basket"]
    20
    >>> sum(Scenarios().counts(users=500, most_baskets=25).values())
    18
    """

    fifty_buses: int | None = None
    odd_basket: int | None = None
    account_takeover: int | None = None
    card_testing: int | None = None
    slow_drift: int | None = None
    exfiltration: int | None = None

    def counts(self, *, users: int, most_baskets: int) -> dict[str, int]:
        """Return the number of incidents of each scenario in a population of ``users``.

        Raises
        ------
        ConfigError
            If a number is negative.
        """
        scaled = max(_AT_LEAST, round(users / _USERS_AN_INCIDENT))
        chosen = {name: scaled if number is None else number for name, number in asdict(self).items()}
        if self.odd_basket is None:
            chosen["odd_basket"] = min(scaled, most_baskets)
        if min(chosen.values()) < 0:
            message = f"expected 0 or more users for each scenario, got {chosen}"
            raise ConfigError(message)
        return chosen


@dataclass(frozen=True)
class Incident:
    """One planted story of one user.

    Attributes
    ----------
    scenario
        One of :data:`SCENARIOS`.
    user
        The user's code.
    days
        The days on which it happens, ascending, counted from the start of the log.
    known_after
        Microseconds from its last event until an investigation has confirmed it.
    """

    scenario: str
    user: int
    days: tuple[int, ...]
    known_after: int


def _span(scenario: str, calendar: Calendar) -> int:
    """Return how many days before its last one an incident may begin."""
    if scenario == "slow_drift":
        return min(35, calendar.days // 2)
    return min(13, max(3, calendar.days // 3)) if scenario == "odd_basket" else 0


def _last_days(scenario: str, number: int, calendar: Calendar, rng: np.random.Generator) -> Ints:
    """Spread the incidents' last days over the period, the two last of them in its last quarter."""
    low = max(_NOT_BEFORE, _span(scenario, calendar) / calendar.days)
    spread = low + (0.99 - low) * (np.arange(number) + rng.random(number)) / max(number, 1)
    if scenario != "slow_drift":
        late = np.arange(number) >= number - 2
        spread = np.where(late, np.maximum(spread, _LAST_QUARTER + 0.02 + 0.2 * rng.random(number)), spread)
    # Rounded up, so that a short period's last quarter is not missed by a part of a day.
    return np.minimum(np.ceil(spread * calendar.days), calendar.days - 1).astype(np.int64)


def _days_of(scenario: str, last: int, order: int, calendar: Calendar) -> tuple[int, ...]:
    """Return the days of one incident that ends on day ``last``; every second basket is gathered over two weeks."""
    first = last - _span(scenario, calendar)
    if scenario == "slow_drift":
        return tuple(day for day in range(first, last + 1) if calendar.weekday(day) < SUNDAY - 1)
    if scenario == "odd_basket" and order % 2:
        return tuple(first + round(step * (last - first) / 3) for step in range(4))
    return (last,)


def _candidates(rhythm: Rhythm) -> Ints:
    low, high = np.quantile(rhythm.visits[rhythm.ordinary], _ACTIVITY)
    settled = (rhythm.joined == 0) & (rhythm.changes_on == NEVER) & (rhythm.archetype != NIGHT_WORKER)
    chosen = rhythm.ordinary & settled & (rhythm.visits > low) & (rhythm.visits < high)
    return np.flatnonzero(chosen)


def placed(counts: dict[str, int], rhythm: Rhythm, rng: np.random.Generator) -> list[Incident]:
    """Choose a user, distinct among all incidents, and days for each incident.

    Raises
    ------
    ConfigError
        If the population is too small for so many incidents.
    """
    candidates, wanted = _candidates(rhythm), sum(counts.values())
    if wanted > len(candidates):
        message = (
            f"{wanted} incidents need as many settled ordinary users, but a population of {rhythm.users} has "
            f"{len(candidates)}: raise users, or plant fewer with Scenarios(fifty_buses=1, …)"
        )
        raise ConfigError(message)
    users = iter(rng.choice(candidates, size=wanted, replace=False).tolist())
    incidents = []
    for scenario, number in counts.items():
        for order, last in enumerate(_last_days(scenario, number, rhythm.calendar, rng)[::-1].tolist()):
            known_after = int(rng.uniform(3 * 24, 10 * 24) * _HOUR_US)
            days = _days_of(scenario, last, order, rhythm.calendar)
            incidents.append(Incident(scenario, next(users), days, known_after))
    return incidents


def baskets(number: int, city: City, rng: np.random.Generator) -> Ints:
    """Choose four signature items, one of each taste, for each planted basket.

    The rows (a, b, a + b, a + 2b) modulo a prime p are an orthogonal array of strength two (Rao 1947): each pair of
    items occurs in exactly one of its p * p rows, so up to that many baskets share no pair.

    Returns
    -------
    array
        Item codes, shape ``(number, 4)``.
    """
    prime = city.per_taste
    rows = np.resize(rng.permutation(prime * prime), number)
    a, b = np.divmod(rows, prime)
    within = np.column_stack([a, b, (a + b) % prime, (a + 2 * b) % prime])
    return within + np.arange(TASTES) * prime
