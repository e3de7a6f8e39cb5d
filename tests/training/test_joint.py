"""LightGBM without labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import vectors_of

from peculiar.errors import ConfigError
from peculiar.training.joint import Joint

SETTINGS = Joint(rounds=60)


def together(rows=4000, seed=0):
    """Two columns that go together, and a third that knows nothing of them."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=rows)
    return vectors_of(np.stack([first, first + 0.1 * rng.normal(size=rows), rng.normal(size=rows)], axis=1))


def asked(*rows):
    """Rows to be scored, of the features above."""
    return vectors_of(np.array(rows, float))


@pytest.fixture(scope="module")
def counts():
    """A fit on two columns of which many is odd in the one and few in the other, half of all rows being at an end."""
    rng = np.random.default_rng(1)
    matrix = rng.exponential(size=(4000, 3))
    matrix[:, 1] = np.minimum(matrix[:, 1], 1.0)
    matrix[rng.random(4000) < 0.2, 0] = np.nan
    return replace(SETTINGS, high=("f0",), low=("f1",)).fit(vectors_of(matrix), seed=0)


def test_what_does_not_belong_together_is_odd():
    """Values that are common each, and never met in one row, score above the same values in company they keep."""
    score = SETTINGS.fit(together(), seed=0).score(
        asked([1.5, 1.5, 0], [-1.5, -1.5, 0], [1.5, -1.5, 0], [-1.5, 1.5, 0])
    )
    assert score[2:].min() > score[:2].max() + 2


def test_what_is_far_out_is_odd():
    """A rare value of a column that goes with no other is odd as well, but not where no value is drawn evenly."""
    rows = asked([0, 0, 4], [0, 0, 0])
    even, never = (replace(SETTINGS, even=share).fit(together(), seed=0).score(rows) for share in (0.25, 0.0))
    assert even[0] > even[1] + 2
    assert never[0] < even[0] - 2


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-3, 6, width=32), min_size=3, max_size=3), st.sampled_from([0, 1]))
def test_it_only_rises_towards_the_odd_side(counts, row, column):
    """Towards the side that is odd the score never falls, and on the other side of the median it does not move."""
    path = np.repeat(np.array([row]), 40, axis=0)
    path[:, column] = np.linspace(-1.0, 6.0, 40)
    score = counts.score(vectors_of(path))
    steps = np.diff(score) * (1 if column == 0 else -1)
    assert (steps >= 0).all()
    tame = path[:, column] < 0.5 if column == 0 else path[:, column] > 0.8
    assert np.ptp(score[tame]) == 0


def test_the_odd_side_tells(counts):
    """A large value of the first column and a small one of the second are odder than the medians."""
    score = counts.score(asked([0.7, 0.7, 0.7], [5.0, 0.7, 0.7], [0.7, 0.01, 0.7]))
    assert score[1] > score[0] + 1
    assert score[2] > score[0]


def test_columns_that_are_not_looked_at_say_nothing():
    """Of a chosen column alone the score depends, and it alone is credited."""
    fitted = replace(SETTINGS, columns=("f2",)).fit(together(), seed=0)
    score = fitted.score(asked([0, 0, 3], [9, -9, 3], [0, 0, 0]))
    assert score[0] == score[1] != score[2]
    credit = fitted.contributions(asked([9, -9, 3])).values[0]
    assert credit[:2].tolist() == [0, 0]
    assert credit[2] != 0


def test_labels_change_nothing():
    """It needs none, and those it is given it does not look at."""
    vectors = together()
    labels = np.arange(len(vectors)) % 7 == 0
    assert SETTINGS.fit(vectors, labels, seed=0).learned.text == SETTINGS.fit(vectors, seed=0).learned.text


def test_threads_change_no_bit():
    """One thread or two, the model is the same text."""
    texts = {replace(SETTINGS, threads=threads).fit(together(), seed=0).learned.text for threads in (1, 2)}
    assert len(texts) == 1


def test_no_more_rows_than_wanted_are_fitted():
    """Rows beyond the limit are not learned from, as the weight of the leaves of the first tree tells."""
    fitted = replace(SETTINGS, rows=500, rounds=1, row_share=1.0).fit(together(), seed=0)
    told = fitted.learned.booster.trees_to_dataframe()
    assert told.loc[0, "count"] == 1000


def test_settings_it_cannot_work_with_are_refused():
    """A share beyond 1, no rounds, too few rows and a pattern that fits nothing are errors that name them."""
    with pytest.raises(ConfigError, match=r"joint.even is 1.5"):
        Joint(even=1.5)
    with pytest.raises(ConfigError, match=r"joint.rounds is 0"):
        Joint(rounds=0)
    with pytest.raises(ConfigError, match=r"joint.knee is 0"):
        Joint(knee=0.0)
    with pytest.raises(ConfigError, match="at least 2 rows"):
        SETTINGS.fit(together(1), seed=0)
    with pytest.raises(ConfigError, match="fits 'speed'"):
        replace(SETTINGS, columns=("speed",)).fit(together(100), seed=0)
