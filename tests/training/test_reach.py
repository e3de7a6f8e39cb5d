"""How far values lie beyond those of the fitting rows."""

from __future__ import annotations

import numpy as np
import pytest

from peculiar.training.conditioning import Conditioning
from peculiar.training.reach import Reach

MOST = np.log(1e6)


def reach_of(values: np.ndarray, groups: list[list[int]], most: float = MOST, side: list[int] | None = None) -> Reach:
    """The reach of some columns (n_features, n)."""
    conditioning = Conditioning.fit(values, knee=3.0, common=0.01)
    groups = [np.array(columns) for columns in groups]
    whole = np.array([[each > 0, each < 0] for each in side or [0] * len(values)])
    return Reach.fit(values, conditioning, groups, whole=whole, most=most)


def asked(reach: Reach, *rows: list[float], groups: int = 1) -> np.ndarray:
    """The reach of rows that are given as lists of their columns."""
    values = np.ascontiguousarray(np.array(rows, np.float32).T)
    return reach.of(values, slice(0, len(rows)), groups)


@pytest.fixture(scope="module")
def heavy():
    """100,000 Pareto amounts of index 2 in one column."""
    return (np.random.default_rng(0).pareto(2.0, (1, 100_000)) + 1).astype(np.float32)


def test_a_power_law_is_continued(heavy):
    """The tail of a power law is told far beyond the rows: twice as far is twice the logarithm of two less likely."""
    reach = reach_of(heavy, [[0]], most=40.0)
    at = np.array([30.0, 300.0, 3000.0])
    told = asked(reach, *[[x] for x in at])[0]
    assert told == pytest.approx(2.0 * np.log(at) - np.log(2.0), rel=0.1)  # of two sides the upper was chosen


def test_within_the_bulk_nothing_reaches(heavy):
    """The middle of the column says nothing, and neither does a null."""
    told = asked(reach_of(heavy, [[0]]), [1.2], [2.0], [np.nan])[0]
    assert told.tolist() == [0.0, 0.0, 0.0]


def test_trouble_among_the_rows_does_not_set_the_measure(heavy):
    """One in two thousand rows far out, as trouble may be: another such row is still told as far beyond the rest."""
    spoilt = heavy.copy()
    spoilt[0, ::2000] = 1e6
    told = asked(reach_of(spoilt, [[0]]), [1e6])[0, 0]
    assert told > np.log(2000) + 3.0


def test_no_row_is_told_beyond_the_most(heavy):
    """However far a value lies, the reach stays at the most, and rises up to it."""
    reach = reach_of(heavy, [[0]])
    told = asked(reach, *[[x] for x in np.geomspace(1.5, 1e30, 200)])[0]
    assert (np.diff(told) >= 0).all()
    assert told[-1] == pytest.approx(MOST)


def test_the_lower_side_counts_as_well():
    """A value far below the others reaches as far as one above."""
    values = np.random.default_rng(1).normal(size=(1, 50_000)).astype(np.float32)
    told = asked(reach_of(values, [[0]]), [-8.0], [8.0])[0]
    assert told.min() > np.log(50_000)
    assert told[0] == pytest.approx(told[1], rel=0.2)


def test_choosing_among_many_columns_costs_what_it_is_worth():
    """Of ordinary rows of forty columns no more than promised reach as far as five nats."""
    values = np.random.default_rng(2).laplace(size=(40, 100_000)).astype(np.float32)
    reach = reach_of(values[:, :50_000].copy(), [list(range(40))])
    told = reach.of(values, slice(50_000, 100_000), 1)[0]
    assert (told >= 5.0).mean() <= 1.3 * np.exp(-5.0)


def test_rare_counts_are_told_by_steps_of_their_own_size():
    """Of a count that is nearly always zero, two are told farther than one, and not as far as a miracle."""
    values = (np.random.default_rng(3).random((1, 100_000)) < 0.004).astype(np.float32)
    one, two = asked(reach_of(values, [[0]]), [1.0], [2.0])[0]
    assert np.log(250) - 1 < one < two < one + 3.0


def test_groups_speak_for_themselves_and_the_farthest_column_is_known():
    """Each group is told by its own columns; where none reaches there is no farthest."""
    values = np.random.default_rng(4).laplace(size=(3, 20_000)).astype(np.float32)
    reach = reach_of(values, [[0, 1], [2]])
    told = asked(reach, [0.0, 30.0, 0.0], [0.0, 0.0, -30.0], groups=2)
    assert told[0, 0] > 8
    assert told[1, 1] > 8
    assert told[1, 0] == told[0, 1] == 0.0
    rows = np.array([[0.0, 30.0, 0.0], [40.0, 30.0, -30.0]], np.float32).T.copy()
    assert reach.farthest(rows, 2).tolist() == [[1, 0], [-1, 2]]


def test_columns_that_have_no_tail():
    """Constant columns, empty ones and those of a few rows reach nowhere."""
    values = np.array([[7.0] * 50, [np.nan] * 50], np.float32)
    reach = reach_of(values, [[0], [1]])
    assert not asked(reach, [1e9, 1e9], groups=2).any()
    assert not asked(reach_of(values[:, :2].copy(), [[0], [1]]), [1e9, 1e9], groups=2).any()


def test_a_part_of_the_rows_is_told_as_in_the_whole():
    """The rows asked for are told, in their places, whatever stands around them."""
    values = np.random.default_rng(5).standard_cauchy((4, 5_000)).astype(np.float32)
    reach = reach_of(values, [[0, 2], [1, 3]])
    whole = reach.of(values, slice(0, 5_000), 2)
    assert np.array_equal(reach.of(values, slice(1_234, 3_000), 2), whole[:, 1_234:3_000])


@pytest.mark.parametrize("sign", [1, -1])
def test_of_an_odd_side_all_is_told_by_the_share_of_rows(sign):
    """Where one side alone is odd a value there is told by the share of rows as far out, the other side by nothing."""
    values = sign * np.random.default_rng(0).normal(size=(1, 50_000)).astype(np.float32)
    reach = reach_of(values, [[0]], side=[sign])
    for share in (0.3, 0.1, 0.02):
        at = np.quantile(values, 1 - share if sign > 0 else share)
        assert asked(reach, [at])[0, 0] == pytest.approx(-np.log(2 * share), abs=0.15)
    assert asked(reach, [-sign * 2.0])[0, 0] == 0.0


def test_a_sided_column_of_few_values_is_told_too():
    """A count that is nearly always nothing has no tail to fit, and its few ones still count as rare."""
    values = np.zeros((1, 1000), np.float32)
    values[0, :10] = 1.0
    assert asked(reach_of(values, [[0]], side=[1]), [0.0], [1.0])[0].round(1).tolist() == [0.0, 3.8]
