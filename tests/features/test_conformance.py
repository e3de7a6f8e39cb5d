"""Every family keeps every promise, whatever the windows."""

from __future__ import annotations

import pytest
from cases import WINDOWS, Case
from conformance import CHECKS

from peculiar.features.families import FAMILIES, Breadth, Peers, Travel, Volume


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("every", WINDOWS)
@pytest.mark.parametrize("family", FAMILIES)
def test_family_conforms(family, every, check):
    """The family keeps the promise that the check is named for, to the last bit."""
    CHECKS[check](Case.of(family, every))


def case_of_groups(every: str, peer_by: str | None) -> Case:
    """Peers in groups small enough for the rich log to have."""
    return Case.last_of((Volume(), Breadth(), Travel(), Peers(least_windows=20)), every, peer_by)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("every", WINDOWS)
@pytest.mark.parametrize("peer_by", ["team", None])
def test_peers_in_small_groups_conform(peer_by, every, check):
    """With groups of a few windows, by a column or learned, the family keeps the same promises."""
    CHECKS[check](case_of_groups(every, peer_by))
