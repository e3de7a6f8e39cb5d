"""Splits in time, and no others."""

from __future__ import annotations

import ast
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import DAY, vectors_of

import peculiar.training
from peculiar.errors import ConfigError, LeakageError
from peculiar.training.splits import Period, TimeSplit, acquaintance, prequential_folds, split_by_time

TWENTY = vectors_of(np.zeros((40, 1)), day=np.arange(40) // 2)


def test_the_last_quarter_of_the_days_is_the_test():
    """Of twenty days the last five are judged, and the gap before them is nobody's."""
    split = split_by_time(TWENTY, gap=2 * DAY)
    assert split == TimeSplit(0, 13 * DAY, 15 * DAY, 20 * DAY)
    assert (split.gap, split.known_by) == (2 * DAY, 15 * DAY)
    assert (len(split.train(TWENTY)), len(split.test(TWENTY))) == (26, 10)


def test_given_periods_are_kept():
    """What is given is taken as it is; only what is open is chosen."""
    split = split_by_time(TWENTY, train=Period(3 * DAY, 8 * DAY), test=Period(start=12 * DAY), gap=DAY)
    assert split == TimeSplit(3 * DAY, 8 * DAY, 12 * DAY, 20 * DAY)


def test_a_window_across_a_boundary_is_on_neither_side():
    """Windows count as a whole."""
    split = TimeSplit(0, 5 * DAY + 1, 5 * DAY + 1, 20 * DAY)
    assert len(split.train(TWENTY)) + len(split.test(TWENTY)) == 38


@given(st.integers(1, 6), st.integers(0, 3), st.none() | st.integers(1, 9))
def test_every_fold_learns_strictly_before_it_judges(folds, gap, length):
    """Folds follow one another without a hole, end with the log, and leave the gap before each test."""
    try:
        splits = prequential_folds(
            TWENTY, folds=folds, gap=gap * DAY, train_length=None if length is None else length * DAY
        )
    except ConfigError:
        return
    assert len(splits) == folds
    assert splits[-1].test_until == 20 * DAY
    assert all(one.test_until == next_.test_from for one, next_ in pairwise(splits))
    for split in splits:
        assert split.train(TWENTY).as_of.max() + gap * DAY <= split.test(TWENTY).since.min()
        assert length is None or split.train_until - split.train_from <= length * DAY


def test_events_are_split_by_whole_days():
    """With one vector per event days are those of UTC, from the first event's to the last's."""
    events = replace(TWENTY, cut="event", as_of=TWENTY.as_of - DAY // 3)
    split = split_by_time(events)
    assert split == TimeSplit(0, 15 * DAY, 15 * DAY, 20 * DAY)
    assert len(split.train(events)) + len(split.test(events)) == len(events)
    assert prequential_folds(events, folds=2)[-1].test_until == 20 * DAY


def test_the_population_is_learned_before_the_training_where_the_log_goes_back_far_enough():
    """A horizon of history is enough; with less, the first three fifths of all days until the training's end."""
    late, early = TimeSplit(15 * DAY, 18 * DAY, 18 * DAY, 20 * DAY), TimeSplit(0, 15 * DAY, 15 * DAY, 20 * DAY)
    assert acquaintance(late, TWENTY, horizon=15 * DAY) == 15 * DAY
    assert acquaintance(early, TWENTY, horizon=15 * DAY) == 9 * DAY
    assert acquaintance(late, TWENTY, horizon=16 * DAY) == 15 * DAY


def test_of_a_short_training_the_population_sees_all():
    """A day cannot be parted, and of two days the last is left to judge by."""
    one, two = TimeSplit(0, DAY, DAY, 20 * DAY), TimeSplit(0, 2 * DAY, 2 * DAY, 20 * DAY)
    assert acquaintance(one, TWENTY, horizon=28 * DAY) == DAY
    assert acquaintance(two, TWENTY, horizon=28 * DAY) == DAY


def test_a_test_before_the_training_is_a_leak():
    """Periods that overlap are refused, and so are empty ones."""
    with pytest.raises(LeakageError, match="begins before the training ends"):
        TimeSplit(0, 10, 9, 20)
    with pytest.raises(ConfigError, match="a period is empty"):
        split_by_time(TWENTY, gap=15 * DAY)
    with pytest.raises(ConfigError, match="ends after it begins"):
        Period(5, 5)
    with pytest.raises(ConfigError, match="30 folds do not fit into 20 days"):
        prequential_folds(TWENTY, folds=30)
    with pytest.raises(ConfigError, match="no vectors to split"):
        split_by_time(TWENTY.take(np.zeros(0, np.intp)))


def test_no_random_split_exists():
    """Nothing in the package names one of scikit-learn's splitters, all of which forget time."""
    banned = {"train_test_split", "KFold", "StratifiedKFold", "GroupKFold", "ShuffleSplit", "cross_val_score", "cv"}
    root = Path(next(iter(peculiar.training.__path__))).parent
    files = [path for folder in ("training", "serving", "experiments") for path in (root / folder).rglob("*.py")]
    assert len(files) > 10
    for path in files:
        tree = ast.parse(path.read_text())
        names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names}
        names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert not names & banned, path
