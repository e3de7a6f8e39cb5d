"""The kinds of people in the simulated city: when they are about, what they do, how much of it.

Each row is a sentence that a reader can check: commuters ride at eight and at five, night workers live at night,
shop owners fill big baskets every day, couriers and inspectors ride dozens of vehicles because it is their job,
bargain hunters look at a hundred goods a day because they like to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .city import Floats, Ints

__all__ = ["ARCHETYPES", "KINDS", "Archetype", "Customs", "customs"]

KINDS = ("ride", "shop", "browse", "money", "account")
"""What a visit is about. A visit is one thing done at one time: a ride, a basket, a look into the app."""
RIDING, SHOPPING, BROWSING, MONEY, ACCOUNT = range(5)

Peaks = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Archetype:
    """One kind of person.

    Attributes
    ----------
    name
        What they are called in the documentation.
    share
        Fraction of users.
    week
        Activity by weekday, Monday first, 1 being usual.
    mix
        Shares of the five :data:`KINDS` of visit, in that order.
    work, leisure
        Peaks of the day as (hour, spread in hours, weight): `work` for rides on working days, `leisure` for all else.
    basket
        Smallest basket, and the mean of the exponential added to it, in items.
    daily
        Range of visits a day for people whose job this is; None for ordinary people, whose activity is scaled so that
        the log has the size asked for.
    """

    name: str
    share: float
    week: tuple[float, ...]
    mix: tuple[float, ...]
    work: Peaks
    leisure: Peaks
    basket: tuple[float, float] = (1.0, 2.6)
    daily: tuple[float, float] | None = None


_EVENING: Peaks = ((18.5, 1.8, 0.6), (13.0, 2.0, 0.3), (21.0, 1.2, 0.1))
_DAYTIME: Peaks = ((10.5, 1.8, 0.5), (15.5, 2.0, 0.4), (19.0, 1.5, 0.1))
_NIGHT: Peaks = ((21.5, 1.2, 0.45), (6.2, 1.0, 0.4), (2.0, 1.8, 0.15))

ARCHETYPES = (
    Archetype("commuter", 0.43, (1.1, 1.1, 1.1, 1.1, 1.2, 0.8, 0.5), (0.46, 0.23, 0.19, 0.08, 0.04),
              ((8.0, 0.7, 0.48), (17.3, 1.0, 0.47), (12.5, 1.0, 0.05)), _EVENING),
    Archetype("student", 0.18, (1.0, 1.0, 1.1, 1.1, 1.3, 1.0, 0.7), (0.40, 0.20, 0.29, 0.07, 0.04),
              ((9.5, 1.3, 0.45), (15.5, 2.0, 0.40), (22.0, 1.2, 0.15)), ((14.0, 2.5, 0.4), (20.5, 2.0, 0.6))),
    Archetype("night worker", 0.07, (1.0, 1.0, 1.0, 1.0, 1.2, 1.1, 0.9), (0.44, 0.24, 0.20, 0.08, 0.04),
              _NIGHT, ((23.0, 2.0, 0.5), (4.0, 2.0, 0.5))),
    Archetype("weekender", 0.14, (0.4, 0.4, 0.4, 0.5, 1.1, 2.4, 2.0), (0.33, 0.34, 0.21, 0.08, 0.04),
              _DAYTIME, ((12.0, 2.2, 0.5), (17.0, 2.4, 0.5))),
    Archetype("retiree", 0.12, (1.1, 1.1, 1.2, 1.1, 1.1, 0.9, 0.6), (0.42, 0.37, 0.10, 0.07, 0.04),
              _DAYTIME, _DAYTIME),
    Archetype("family card", 0.05, (1.0, 1.0, 1.0, 1.0, 1.2, 1.5, 0.9), (0.41, 0.33, 0.16, 0.07, 0.03),
              ((7.8, 0.8, 0.4), (14.0, 1.5, 0.3), (17.5, 1.5, 0.3)), _EVENING, basket=(2.0, 4.0)),
    Archetype("courier", 0.0015, (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0), (0.95, 0.03, 0.0, 0.02, 0.0),
              ((10.5, 1.8, 0.5), (15.5, 2.2, 0.5)), ((13.0, 3.0, 1.0),), daily=(19.0, 32.0)),
    Archetype("shop owner", 0.002, (1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.0), (0.15, 0.55, 0.15, 0.10, 0.05),
              ((6.0, 0.8, 0.7), (19.0, 1.0, 0.3)), ((6.5, 1.0, 0.6), (15.0, 2.0, 0.4)), basket=(9.0, 9.0),
              daily=(2.0, 4.0)),
    Archetype("inspector", 0.0005, (1.0, 1.0, 1.0, 1.0, 1.0, 0.7, 0.3), (0.98, 0.02, 0.0, 0.0, 0.0),
              ((9.0, 1.8, 0.5), (14.0, 2.5, 0.5)), ((12.0, 3.0, 1.0),), daily=(38.0, 54.0)),
    Archetype("bargain hunter", 0.0007, (1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.6), (0.04, 0.06, 0.88, 0.01, 0.01),
              _DAYTIME, ((9.5, 1.5, 0.3), (14.5, 2.5, 0.4), (20.5, 1.8, 0.3)), daily=(20.0, 40.0)),
)  # fmt: skip
ORDINARY = 6
"""Archetypes below this index are ordinary people; the others do it for a living."""
NIGHT_WORKER, FAMILY, COURIER, INSPECTOR, HUNTER = 2, 5, 6, 8, 9

# (smallest size, mean of the exponential added) of a visit of each kind; a basket's comes from its archetype.
_SIZES = ((1.0, 0.55), (0.0, 0.0), (2.0, 2.8), (1.0, 0.0), (1.0, 0.7))
_NEVER = 1e-9


@dataclass(frozen=True)
class Customs:
    """The archetypes as arrays, so that a whole day of visits is drawn at once.

    Attributes
    ----------
    week
        Activity, shape ``(archetypes, 7)``.
    mix
        Cumulated shares of the kinds, shape ``(archetypes, 5)``.
    peaks
        Hour, spread and cumulated weight of the peaks, shape ``(2, archetypes, 3, 3)``: leisure 0, work 1.
    smallest, extra
        Size of a visit: smallest, and mean of the exponential added, shape ``(archetypes, 5)``.
    mean
        Expected events of a visit, shape ``(archetypes,)``.
    """

    week: Floats
    mix: Floats
    peaks: Floats
    smallest: Floats
    extra: Floats
    mean: Floats

    def kinds(self, archetype: Ints, tilt: Floats, uniform: Floats) -> Ints:
        """Choose kinds of visit; a person's ``tilt`` leans the whole mix towards rides (> 1) or the app (< 1)."""
        kind: Ints = (np.power(uniform, tilt)[:, None] > self.mix[archetype][:, :-1]).sum(axis=1, dtype=np.int8)
        return kind

    def sizes(self, archetype: Ints, kind: Ints, uniform: Floats) -> Ints:
        """Choose how many events each visit has, at least one and at most 80."""
        extra = -np.log1p(-uniform) * self.extra[archetype, kind]
        return np.minimum(self.smallest[archetype, kind] + np.floor(extra), 80).astype(np.int64)

    def hours(self, archetype: Ints, *, working: Ints, rng: np.random.Generator) -> Floats:
        """Draw hours of the day around the archetype's peaks; may fall outside 0 … 24."""
        peaks = self.peaks[working, archetype]
        which = (rng.random(len(archetype))[:, None] > peaks[:, :-1, 2]).sum(axis=1)
        chosen = peaks[np.arange(len(archetype)), which]
        hours: Floats = chosen[:, 0] + chosen[:, 1] * rng.standard_normal(len(archetype))
        return hours


def _peaks(peaks: Peaks) -> Floats:
    hours, spreads, weights = np.array(peaks + (peaks[-1],) * (3 - len(peaks))).T
    weights[len(peaks) :] = 0.0
    return np.stack([hours, spreads, np.cumsum(weights)], axis=1)


def customs() -> Customs:
    """Return the archetypes as arrays.

    Examples
    --------
    >>> customs().mean.round(1).tolist()
    [2.2, 2.5, 2.3, 2.5, 2.2, 3.1, 1.2, 10.6, 1.2, 4.1]
    """
    sizes = np.array([[*_SIZES[:1], kind.basket, *_SIZES[2:]] for kind in ARCHETYPES])
    mix = np.array([kind.mix for kind in ARCHETYPES])
    smallest, extra = sizes[..., 0], np.maximum(sizes[..., 1], _NEVER)
    mean = smallest + 1.0 / np.expm1(np.minimum(1.0 / extra, 700.0))
    return Customs(
        week=np.array([kind.week for kind in ARCHETYPES]),
        mix=np.cumsum(mix, axis=1),
        peaks=np.array([[_peaks(k.leisure) for k in ARCHETYPES], [_peaks(k.work) for k in ARCHETYPES]]),
        smallest=smallest,
        extra=extra,
        mean=(mix * mean).sum(axis=1),
    )
