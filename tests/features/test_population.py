"""What everyone does: merged in any order the same, and as fine as its bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.errors import BundleError, PlanMismatchError
from peculiar.features.population import N_BINS, Population, histogram

NUMBERS = st.one_of(
    st.integers(-5, 60).map(float),
    st.floats(-1e9, 1e9, width=32, allow_subnormal=False),
    st.just(float("nan")),
)
COLUMNS = st.lists(NUMBERS, max_size=40)


def population(values, name="x", counts=()):
    """A population of one feature."""
    column = np.array(values, np.float32)
    return Population({"seen": np.array(counts, np.int64)} if len(counts) else {}, {name: histogram([column])[0]})


def plain(people):
    """All that a population holds, as plain values."""
    return [{name: counts.tolist() for name, counts in group.items()} for group in (people.counts, people.histograms)]


@given(st.lists(COLUMNS, min_size=1, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_merged_in_any_order_it_is_the_whole(parts, random):
    """Populations of partitions, merged in any order and grouping, are the population of all."""
    whole = population([value for part in parts for value in part])
    mixed = random.sample(parts, len(parts))
    forwards, backwards = Population(), Population()
    for part in mixed:
        forwards = forwards.merged(population(part))
        backwards = population(part).merged(backwards)
    assert plain(forwards) == plain(backwards) == plain(whole)


def test_merging_keeps_what_only_one_knows():
    """Counts add up by name; what only one of two knows stays as it is, and neither is changed."""
    ours, theirs = population([1.0], "a", [1, 2]), population([2.0], "b", [10, 20])
    both = ours.merged(theirs)
    assert both.counts["seen"].tolist() == [11, 22]
    assert set(both.histograms) == {"a", "b"}
    assert ours.counts["seen"].tolist() == [1, 2]
    assert set(ours.histograms) == {"a"}


@given(COLUMNS)
@settings(max_examples=40)
def test_each_value_is_counted_once_and_null_never(values):
    """The bins together hold as many as there are values that are not null."""
    counts = histogram([np.array(values, np.float32)])[0]
    assert counts.shape == (N_BINS,)
    assert counts.dtype == np.int64
    assert counts.sum() == np.count_nonzero(~np.isnan(values)) if values else counts.sum() == 0


@given(COLUMNS.filter(lambda values: not all(map(np.isnan, values))), st.floats(0, 1))
@settings(max_examples=60)
def test_quantiles_are_within_a_bin_of_numpys(values, share):
    """A quantile is the value that numpy finds by the same definition, to within a bin: a sixteenth of the value."""
    found = population(values).quantile("x", share)
    exact = np.nanquantile(np.array(values, np.float32), share, method="inverted_cdf").astype(np.float64)
    assert abs(found - exact) <= abs(exact) / 16 + 1e-37


@pytest.mark.parametrize("number", [0, 1, 2, 7, 16, 31])
def test_small_counts_have_bins_of_their_own(number):
    """Whole numbers up to 31 come back exactly, so that a median of counts is a count."""
    assert population([number] * 3).quantile("x", 0.5) == number


def test_the_ends_of_the_scale():
    """The share 0 is the smallest value and 1 the largest, and not the end of all that a bin could hold."""
    people = population([7.0, 0.0, 5.0])
    assert people.quantile("x", 0.0) == 0
    assert people.quantile("x", 1.0) == 7
    assert population([5.0, 7.0]).quantile("x", 0.0) == 5
    assert population([-2.0, 7.0]).quantile("x", 0.0) == pytest.approx(-2, rel=1 / 16)


def test_the_quantile_of_nothing_is_null():
    """A feature that was null throughout has no quantile, and no share lies below."""
    people = population([np.nan, np.nan])
    assert np.isnan(people.quantile("x", 0.5))
    assert people.share_below("x", np.array([3.0], np.float32)).tolist() == [0]


@given(COLUMNS, COLUMNS)
@settings(max_examples=40)
def test_share_below_is_the_share_of_smaller_values(values, asked):
    """The share below a value counts what is smaller by more than a bin and nothing larger; null stays null."""
    given_ = np.array([v for v in values if not np.isnan(v)], np.float32)
    shares = population(values).share_below("x", np.array(asked, np.float32))
    for value, share in zip(np.array(asked, np.float32).tolist(), shares, strict=True):
        if np.isnan(value):
            assert np.isnan(share)
            continue
        least = np.count_nonzero(given_ < value - abs(value) / 8 - 1e-37)
        most = np.count_nonzero(given_ < value)
        # Minus zero is the smaller of the two zeros here, and equal to the other for numpy.
        most += np.count_nonzero(given_ == 0) if value == 0 else 0
        assert least / max(1, len(given_)) <= share <= most / max(1, len(given_)) + 1e-12


def test_an_unknown_feature_is_refused():
    """A feature that the population was not fitted on comes from another plan."""
    with pytest.raises(PlanMismatchError, match="knows no feature 'y'; it was fitted with another plan"):
        population([1.0]).quantile("y", 0.5)
    with pytest.raises(PlanMismatchError, match="knows no feature 'y'"):
        population([1.0]).share_below("y", np.zeros(1, np.float32))


@given(COLUMNS, st.lists(st.integers(0, 2**60), min_size=1, max_size=30))
@settings(max_examples=20)
def test_saved_and_loaded_it_is_the_same(tmp_path_factory, values, counts):
    """A population comes back from its file bit for bit, empty bins and trailing zeros included."""
    people = population(values, "x", [*counts, 0, 0]).merged(population([], "empty"))
    path = tmp_path_factory.mktemp("people") / "population.arrow"
    people.save(path)
    assert plain(Population.load(path)) == plain(people)


def test_the_same_population_is_the_same_file(tmp_path):
    """The order in which features became known leaves the bytes of the file alone."""
    a, b = population([1.0], "a"), population([2.0], "b", [3])
    a.merged(b).save(tmp_path / "1")
    b.merged(a).save(tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("content", [b"", b"not arrow", b"ARROW1\0\0cut off"])
def test_a_broken_file_is_refused(tmp_path, content):
    """A file that is no population is refused by name."""
    (tmp_path / "population.arrow").write_bytes(content)
    with pytest.raises(BundleError, match=r"population\.arrow: expected a saved population, cannot read it"):
        Population.load(tmp_path / "population.arrow")
