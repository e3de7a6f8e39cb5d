"""Scores as tail probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from peculiar.training.tail import Tail

scores = arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1).map(lambda x: round(x, 3)))


@given(scores)
def test_it_never_falls_and_is_finite(fitting):
    """A higher score is never less surprising, whatever ties the fitting scores have, far beyond them too."""
    asked = np.sort(np.concatenate([fitting, np.linspace(-1, 3, 200)]))
    surprise = Tail.fit(fitting)(asked)
    assert np.isfinite(surprise).all()
    assert (np.diff(surprise) >= 0).all()
    assert surprise.min() >= 0


def test_it_is_the_empirical_share_below_the_99th_percentile():
    """Up to the 99th percentile p is the share of fitting rows that score as high, to the step of the knots."""
    fitting = np.random.default_rng(0).exponential(size=50_000)
    for share in (0.5, 0.1, 0.02):
        at = np.quantile(fitting, 1 - share)
        assert np.exp(-Tail.fit(fitting)(np.array([at])))[0] == pytest.approx(share, rel=0.02)


def test_beyond_it_is_exponential():
    """An exponential score's tail is continued at its true rate: p = e^-12 is told from rows that end near e^-11."""
    fitting = np.random.default_rng(1).exponential(size=50_000)
    assert Tail.fit(fitting)(np.array([12.0, 30.0])) == pytest.approx([12.0, 30.0], rel=0.1)


def test_scores_without_spread():
    """Where all fitting rows score alike that score is no surprise, and a higher one is."""
    tail = Tail.fit(np.full(100, 0.5))
    assert tail(np.array([0.4, 0.5]))[1] == 0.0
    assert tail(np.array([0.9]))[0] > 0.0


def test_columns_that_are_nearly_always_zero():
    """Of rows that nearly all score alike the few others are told by their share, not by the way to them."""
    fitting = np.concatenate([np.zeros(99_500), np.linspace(0.6, 0.7, 500)])
    tail = Tail.fit(fitting)
    assert np.exp(-tail(np.array([0.6, 0.65])))[0] == pytest.approx(0.005, rel=0.02)
    assert np.exp(-tail(np.array([0.6, 0.65])))[1] == pytest.approx(0.0025, rel=0.1)


@given(scores)
def test_capped_it_claims_no_more_than_the_rows_can_tell(fitting):
    """The cap changes nothing below it, and nothing lies above."""
    tail, most = Tail.fit(fitting), np.log1p(len(fitting))
    asked = np.linspace(-1, 30, 200)
    plain, capped = tail(asked), tail.capped(len(fitting))(asked)
    assert (capped <= most + 1e-9).all()
    below = plain < most - 1e-6
    assert np.allclose(capped[below], plain[below])
    assert np.allclose(capped[~below], most)
