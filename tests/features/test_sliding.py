"""What slides against a fresh look at each window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.sliding import distinct, highest, turns, within

VALUES = st.sampled_from([np.nan, -2.0, 0.0, 0.0, 1.0, 3.5, 3.5, 7.0])


@st.composite
def windows(draw):
    """So many events, and windows over them that overlap, touch, leave gaps or are empty."""
    size = draw(st.integers(1, 60))
    lo = np.sort(draw(st.lists(st.integers(0, size), min_size=1, max_size=40)))
    lengths = draw(st.lists(st.integers(0, 20), min_size=len(lo), max_size=len(lo)))
    return size, lo, np.maximum.accumulate(np.minimum(lo + lengths, size))


@given(windows(), st.data())
@settings(max_examples=200, deadline=None)
def test_distinct_equals_the_size_of_a_set(drawn, data):
    """Whatever the windows, each gets the number of its different values, and the counter is left at zero."""
    size, lo, hi = drawn
    codes = np.array(data.draw(st.lists(st.integers(-1, 5), min_size=size, max_size=size)), np.int32)
    made, counter = np.full(len(lo), -1, np.int64), np.zeros(6, np.int32)
    distinct(made, codes, lo, hi, counter)
    assert made.tolist() == [len(set(codes[a:b].tolist()) - {-1}) for a, b in zip(lo, hi, strict=True)]
    assert not counter.any()


@given(windows(), st.data())
@settings(max_examples=200, deadline=None)
def test_highest_equals_the_largest_of_each_window(drawn, data):
    """Whatever the windows, each gets its largest value; nulls are none, and what has none is left as it is."""
    size, lo, hi = drawn
    values = np.array(data.draw(st.lists(VALUES, min_size=size, max_size=size)))
    made = np.full(len(lo), -99.0)
    highest(made, values, lo, hi)
    held = [values[a:b][~np.isnan(values[a:b])] for a, b in zip(lo, hi, strict=True)]
    assert made.tolist() == [max(found, default=-99.0) for found in held]


def test_no_window_at_all():
    """Without windows there is nothing to fill, and nothing fails."""
    none = np.empty(0, np.int64)
    highest(np.empty(0), np.empty(0), none, none)
    distinct(np.empty(0), np.empty(0, np.int32), none, none, np.zeros(1, np.int32))
    assert turns(none, none, none).tolist() == []


@pytest.mark.parametrize("span", [1, 3, 100])
@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=20), min_size=1, max_size=3), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_the_fullest_span_of_a_window_is_told_by_its_turn(span, gaps, width):
    """Spans from the turn on, as they are, and the stretch before it hold the most events that any span can."""
    at = np.concatenate([np.cumsum(own) for own in gaps])
    ends = np.cumsum([len(own) for own in gaps])
    first = ends - [len(own) for own in gaps]
    begin = within(at, span, first, ends)
    owner = np.repeat(np.arange(len(gaps)), [len(own) for own in gaps])
    hi = np.arange(1, len(at) + 1)
    lo = np.maximum(first[owner], hi - width)
    turn = turns(begin, lo, hi)
    found = np.full(len(at), 0.0)
    highest(found, hi - begin, turn, hi)
    for r, (a, b) in enumerate(zip(lo, hi, strict=True)):
        inside = at[a:b]
        assert max(found[r], turn[r] - a) == max(((inside >= t) & (inside < t + span)).sum() for t in inside)
