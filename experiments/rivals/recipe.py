"""All that a rival needs to know to build the features of a plan: names, windows, and what everyone does.

Our side of a race gets its plan and population frozen, so a rival does too: as plain numbers, read before the clock
starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...features.plan import FeaturePlan
    from ...features.population import Population
    from ...features.roles import Roles

__all__ = ["Recipe"]

_PRIOR_EVENTS = 12.0


@dataclass(frozen=True)
class Recipe:
    """A plan as a rival reads it.

    Attributes
    ----------
    roles : Roles
    actions : tuple of str
        The actions that get a count each.
    trailing : tuple of int
        The widths of the windows that end with the current day, in days, shortest first; the last is the horizon.
    hours : float64 array of shape (24,)
        How many events' worth of everyone's hours are mixed into the entity's own.
    usual : mapping of str to (centre, spread, offset)
        Of each level: everyone's median and spread, and the offset that keeps ratios of small numbers calm.
    """

    roles: Roles
    actions: tuple[str, ...]
    trailing: tuple[int, ...]
    hours: NDArray[np.float64]
    usual: Mapping[str, tuple[float, float, float]]

    @property
    def columns(self) -> list[str]:
        """The columns of the log that the features are made of, and the id."""
        return list(self.roles.columns)

    @property
    def text(self) -> list[str]:
        """Those of them that hold text."""
        return [self.roles.entity, *self.roles.dimensions]

    @classmethod
    def of(cls, plan: FeaturePlan, population: Population) -> Self:
        """Take from a plan over days, and from its population, what a rival needs."""
        levels = [feature.name for feature in plan.features if feature.level]
        counts = population.counts["timing.hours"]
        return cls(
            roles=plan.roles,
            actions=plan.actions,
            trailing=tuple(int(window.removesuffix("d")) for window in plan.windows.trailing),
            hours=_PRIOR_EVENTS * (counts + 1.0) / (counts.sum() + len(counts)),
            usual={level: _usual(population, level) for level in levels},
        )


def _usual(population: Population, level: str) -> tuple[float, float, float]:
    """The baseline family's rule, written out anew: a rival that shared its code would prove nothing."""
    low, centre, high, top = (population.quantile(level, share) for share in (0.159, 0.5, 0.841, 0.99))
    centre = centre if np.isfinite(centre) else 0.0
    spreads = ((high - low) / 2.0, (top - centre) / 2.326, abs(centre))
    spread = next((spread for spread in spreads[:2] if spread > 0.0), max(spreads[2], 1.0))
    return centre, spread, centre if 0.0 < centre < 1.0 else max(centre, 1.0)
