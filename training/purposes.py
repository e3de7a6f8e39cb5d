"""Which kinds of misbehaviour are rehearsed, and how much each counts.

A rehearsal finds the settings that find what is rehearsed. Somebody who looks for a wrong payment is not served by the
settings that find busy days: each thing that is looked for takes places among the alerts from all others. So kinds are
told by purpose, and by default by what the vectors are of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..features.exchange import TROUBLE
from .injections import BY_REQUEST
from .misbehaviours import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..features.plan import FeaturePlan
    from ..features.timeline import Timeline

__all__ = ["PURPOSES", "usual_kinds", "weights_of"]

PURPOSES: Mapping[str, tuple[str, ...]] = {
    "payments": ("high_amounts", "new_device_high_amounts", "known_trouble"),
    "abuse": ("burst", "many_values", "rare_basket", "probing", "awakening"),
    "insider": ("another_day", "takeover", "unusual_hours", "slow_drift", "many_values", "awakening"),
}
"""What teams look for, by their trade: names of kinds."""


def usual_kinds(plan: FeaturePlan, timeline: Timeline) -> tuple[str, ...]:
    """The kinds that are rehearsed if none are named.

    Of a log of payments, whose vectors are made for single events with an amount, those of ``PURPOSES["payments"]``: a
    score for each payment is asked which payment is wrong, not which day was busy. Of other logs all kinds, each alike.

    Where the plan has features of known trouble, events at values with known trouble are among them. They use what such
    features see: trouble that is known when the case's day begins, never what became known of the judged days.
    """
    risky = bool(plan.risky) and TROUBLE in timeline.notes
    payments = plan.windows.every == "event" and plan.windows.by is None and plan.roles.measures
    names = PURPOSES["payments"] if payments else [kind.name for kind in KINDS if kind.name not in BY_REQUEST]
    others = tuple(name for name in names if name not in BY_REQUEST)
    return (*others, "known_trouble") if risky else others


def weights_of(kinds: Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """The weight of each kind; a purpose hands its own to each of its kinds.

    Parameters
    ----------
    kinds : sequence of str, or mapping of str to float
        Names of kinds or purposes; each weighs 1 where no weights are given.

    Raises
    ------
    ConfigError
        If there are none, or a weight is not a number above 0.

    Examples
    --------
    >>> weights_of({"payments": 1.0, "burst": 2.0})
    {'high_amounts': 1.0, 'new_device_high_amounts': 1.0, 'known_trouble': 1.0, 'burst': 2.0}
    """
    asked = kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds, 1.0)
    if not asked or not all(0.0 < weight < np.inf for weight in asked.values()):
        message = f"expected some kinds of misbehaviour with weights above 0, got {dict(asked)}"
        raise ConfigError(message)
    found: dict[str, float] = {}
    for name, weight in asked.items():
        for kind in PURPOSES.get(name, (name,)):
            found[kind] = found.get(kind, 0.0) + float(weight)
    return found
