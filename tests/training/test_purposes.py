"""What is rehearsed: by purpose, by weight, and by default by what vectors are of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.errors import ConfigError
from peculiar.features.events import EventLog
from peculiar.features.exchange import TROUBLE
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec
from peculiar.training.misbehaviours import KINDS
from peculiar.training.purposes import PURPOSES, usual_kinds, weights_of

DAY = 86_400_000_000


def planned(city):
    """The plan of the city's days, and its timeline."""
    log = EventLog.open(city.events)
    timeline = log.read()[0]
    return FeaturePlan.for_log(timeline, log.roles, WindowSpec()), timeline


def test_what_is_rehearsed_by_default(city):
    """Scores of days rehearse all kinds that need no label; scores of payments what can be wrong with a payment."""
    plan, timeline = planned(city)
    free = {kind.name for kind in KINDS} - {"known_trouble", "replay"}
    assert set(usual_kinds(plan, timeline)) == free
    single = replace(plan, windows=WindowSpec(every="event"))
    assert usual_kinds(single, timeline) == ("high_amounts", "new_device_high_amounts")
    assert {name for names in PURPOSES.values() for name in names} <= {kind.name for kind in KINDS}
    noted = replace(timeline, notes={TROUBLE: np.full(len(timeline), 20_094 * DAY)})
    risky = FeaturePlan.for_log(noted, plan.roles, WindowSpec(every="event"))
    assert risky.risky
    assert usual_kinds(risky, noted) == PURPOSES["payments"]


@given(
    st.dictionaries(
        st.sampled_from([*PURPOSES, *(kind.name for kind in KINDS)]), st.floats(0.01, 100.0), min_size=1, max_size=6
    )
)
def test_purposes_stand_for_their_kinds(asked):
    """The weight of a kind is the sum of its own and of those of the purposes that name it."""
    found = weights_of(asked)
    for kind in KINDS:
        own = [weight for name, weight in asked.items() if kind.name in (name, *PURPOSES.get(name, ()))]
        assert found.get(kind.name, 0.0) == pytest.approx(sum(own))
    assert weights_of(list(asked)) == weights_of(dict.fromkeys(asked, 1.0))


@pytest.mark.parametrize("wrong", [{"burst": 0.0}, {"burst": float("nan")}, {"burst": float("inf")}, {}, ()])
def test_weights_are_above_zero(wrong):
    """No kinds at all, and weights that are not numbers above zero, are refused."""
    with pytest.raises(ConfigError, match="weights above 0"):
        weights_of(wrong)
