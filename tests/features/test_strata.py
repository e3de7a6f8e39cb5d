"""Groups within one set of counts: each is what a population of its own would be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.population import Population, histogram
from peculiar.features.strata import USUAL_SHARES, Strata, count_in_groups, usual

GROUPS = np.array([5, 9, 2**40, 2**50], np.uint64) << np.uint64(13)
NUMBERS = st.one_of(
    st.integers(0, 40).map(float), st.floats(-1e9, 1e9, width=32, allow_subnormal=False), st.just(np.nan)
)
VALUES = st.lists(st.tuples(st.integers(0, 3), NUMBERS), max_size=60)


def arrays(pairs):
    """Groups and values."""
    return GROUPS[[group for group, _ in pairs]], np.array([value for _, value in pairs], np.float32)


@given(pairs=VALUES, least=st.integers(1, 6))
@settings(max_examples=60)
def test_each_group_is_a_population_of_its_own(pairs, least):
    """Centre and spread of a group of enough values are read off its own quantiles, those of others off everyone's."""
    groups, values = arrays(pairs)
    everyone = histogram([values])[0]
    strata = Strata.of(count_in_groups(groups, values), everyone, least)
    place, (centre, spread) = strata.place(GROUPS), strata.usual
    for number, group in enumerate(GROUPS):
        own = values[(groups == group) & ~np.isnan(values)]
        assert (place[number] < len(strata.groups)) == (len(own) >= least)
        people = Population(histograms={"x": histogram([own])[0] if len(own) >= least else everyone})
        wanted = usual(np.array([people.quantile("x", share) for share in USUAL_SHARES]))
        assert (centre[place[number]], spread[place[number]]) == wanted


@given(pairs=VALUES, cut=st.integers(0, 60))
@settings(max_examples=40)
def test_counts_of_parts_add_up(pairs, cut):
    """Parts counted apart and merged are the whole counted at once."""
    whole, *parts = (count_in_groups(*arrays(some)) for some in (pairs, pairs[:cut], pairs[cut:]))
    merged = parts[1].merged(parts[0])
    assert merged.keys.tolist() == whole.keys.tolist()
    assert merged.counts.tolist() == whole.counts.tolist()


def test_no_group_is_not_a_group():
    """A value of no group is counted in none, and is held against everyone."""
    values = np.ones(9, np.float32)
    assert count_in_groups(np.zeros(9, np.uint64), values).counts.tolist() == []
    strata = Strata.of(count_in_groups(GROUPS[[0] * 9], values), histogram([values])[0], 1)
    assert strata.place(np.array([0, GROUPS[0], GROUPS[1]], np.uint64)).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("quantiles", "wanted"),
    [((1, 2, 4, 9), (2, 1.5)), ((2, 2, 2, 4.326), (2, 1)), ((3, 3, 3, 3), (3, 3)), ((0, 0, 0, 0), (0, 1)),
     ((np.nan,) * 4, (0, 1)), ((0, 0, 1e-30, 2.326), (0, 1))],
)  # fmt: skip
def test_the_usual_of_many_alike(quantiles, wanted):
    """Where most are alike the upper tail gives the spread, where all are their size, and 1 where nothing is known."""
    assert tuple(map(float, usual(np.array(quantiles, float)))) == pytest.approx(wanted)
