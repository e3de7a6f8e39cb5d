"""The compiled parts against numpy and plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.kernels import enter, forget, leave, mad, median, rank_in, rank_out

FLOATS = st.lists(st.one_of(st.integers(0, 5).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=20)


@given(st.lists(st.integers(-1, 3), max_size=20), st.integers(1, 5))
@settings(max_examples=40)
def test_a_sliding_counter_counts_distinct_values(codes, width):
    """Entering and leaving keep the number of distinct values of a window, nulls aside; forgetting empties it."""
    codes = np.array(codes, np.int32)
    counter, distinct, lo = np.zeros(4, np.int32), 0, 0
    for hi in range(len(codes)):
        distinct += enter(counter, codes[hi])
        if hi - lo >= width:
            distinct -= leave(counter, codes[lo])
            lo += 1
        window = Counter(code for code in codes[lo : hi + 1].tolist() if code >= 0)
        assert distinct == len(window)
        assert counter.tolist() == [window[code] for code in range(4)]
    forget(counter, codes, lo, len(codes))
    assert not counter.any()


@given(FLOATS, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_a_ranked_window_stays_sorted(values, random):
    """Values come in and go out in any order, equal ones among them, and the rest stays sorted."""
    ranked, size, held = np.empty(len(values)), 0, []
    for value in values:
        size = rank_in(ranked, size, value)
        held.append(value)
        assert ranked[:size].tolist() == sorted(held)
    for value in random.sample(values, len(values)):
        size = rank_out(ranked, size, value)
        held.remove(value)
        assert ranked[:size].tolist() == sorted(held)


@given(FLOATS)
@settings(max_examples=40)
def test_median_and_mad(values):
    """Median and median absolute deviation are numpy's, for even and odd sizes, without a second sort."""
    ranked = np.sort(np.array(values))
    assert median(ranked, len(ranked)) == pytest.approx(np.median(ranked))
    wanted = np.median(np.abs(ranked - np.median(ranked)))
    assert mad(ranked, len(ranked)) == pytest.approx(wanted, abs=1e-9)


def test_nothing_has_no_median():
    """The median and spread of nothing are NaN, not zero."""
    assert np.isnan(median(np.empty(0), 0))
    assert np.isnan(mad(np.empty(3), 0))
