"""Tail probabilities, added up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys import feature, vectors_of

from peculiar.errors import ConfigError
from peculiar.training.tails import Tails


@pytest.fixture(scope="module")
def counts():
    """20,000 rows of two independent standard normal columns, each a subject of its own."""
    vectors = vectors_of(np.random.default_rng(0).normal(size=(20_000, 2)))
    made = [feature(name, family=name) for name in ("few", "many")]
    return replace(vectors, features=tuple(replace(each, subject=each.name) for each in made))


def test_the_odd_side_alone_counts(counts):
    """With few events told odd below and many above, the other sides say nothing."""
    fitted = Tails(low=("few",), high=("many",)).fit(counts, seed=0)
    asked = replace(counts.take(np.arange(4)), values=np.array([[-2, 2, 0, -2], [0, 0, 2, 2]], np.float32))
    one = -np.log(2 * 0.0228)
    assert fitted.score(asked) == pytest.approx([one, 0.0, one, 2 * one], abs=0.25)


def test_without_a_side_both_are_odd(counts):
    """Of a column whose both sides are odd either is told."""
    fitted = Tails(columns=("few",)).fit(counts, seed=0)
    asked = replace(counts.take(np.arange(2)), values=np.array([[-2, 2], [9, 9]], np.float32))
    assert fitted.score(asked) == pytest.approx(2 * [-np.log(2 * 0.0228)], abs=0.15)


def test_what_each_column_says_is_the_score(counts):
    """Each subject's loudest column is credited with just what it adds; nothing is left over."""
    fitted = Tails().fit(counts, seed=0)
    told = fitted.contributions(counts)
    assert told.values.sum(axis=1) == pytest.approx(fitted.score(counts), abs=1e-12)
    loudest = [fitted.families[number] for number in told.values.argmax(axis=1)]
    said = told.values.max(axis=1) > 0
    assert (np.array(told.family)[said] == np.array(loudest)[said]).all()


def test_a_subject_speaks_once(counts):
    """Two columns about one subject are not added up: the farther one speaks, less what choosing is worth."""
    same = replace(counts, features=tuple(replace(each, family="all", subject="all") for each in counts.features))
    fitted = Tails(high=("*",)).fit(same, seed=0)
    asked = replace(same.take(np.arange(1)), values=np.array([[2.5], [2.5]], np.float32))
    assert fitted.score(asked) == pytest.approx([-np.log(4 * 0.0062)], abs=0.25)


def test_a_null_says_nothing(counts):
    """A value that is not there adds nothing."""
    asked = replace(counts.take(np.arange(1)), values=np.array([[np.nan], [-1.0]], np.float32))
    assert Tails(high=("*",)).fit(counts, seed=0).score(asked).tolist() == [0.0]


def test_a_pattern_that_fits_nothing_is_refused(counts):
    """A misspelt column is told, with the families there are."""
    with pytest.raises(ConfigError, match="fits 'fw'; the families are few, many"):
        Tails(low=("fw",)).fit(counts, seed=0)
