"""LightGBM on labelled vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import feature, vectors_of

from peculiar.errors import ConfigError, LabelError
from peculiar.training.lightgbm import LightGBM

SETTINGS = LightGBM(rounds=60, patience=10)


def task(rows=2000, seed=0):
    """Rows whose label follows two of six features."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 6))
    labels = matrix[:, 1] + matrix[:, 4] + 0.5 * rng.normal(size=rows) > 2.5
    return vectors_of(matrix, day=np.sort(rng.integers(0, 40, rows))), labels


def test_threads_change_no_bit():
    """One thread or two, the model is the same text."""
    vectors, labels = task()
    models = [replace(SETTINGS, threads=threads).fit(vectors, labels, seed=1) for threads in (1, 2)]
    assert models[0].text == models[1].text


def test_the_score_is_the_margin_and_ranks():
    """The score is a log-odds margin, not a probability, and tells the two kinds apart in rows not learned from."""
    vectors, labels = task()
    fitted = SETTINGS.fit(vectors, labels, seed=1)
    fresh, truth = task(seed=9)
    scores = fitted.score(fresh)
    assert scores.min() < -2
    assert np.quantile(scores[truth], 0.2) > np.quantile(scores[~truth], 0.9)
    assert set(np.argsort(fitted.importance())[-2:]) == {1, 4}


def test_without_a_last_part_all_rounds_are_grown_on_all_rows():
    """With ``last_part`` 0 nothing is held out: just so many trees, on every row."""
    vectors, labels = task()
    fitted = replace(SETTINGS, last_part=0.0, rounds=33).fit(vectors, labels, seed=1)
    assert fitted.booster.num_trees() == 33


def test_early_stopping_judges_by_the_last_part_in_time():
    """When the last days contradict the earlier ones it stops at once, as a random part would not make it."""
    vectors, labels = task()
    last = vectors.as_of > np.quantile(vectors.as_of, 0.78)
    turned = labels.copy()
    turned[last] = vectors.values[1][last] < -1.5
    settings = replace(SETTINGS, refit=False, rounds=200)
    trees = [settings.fit(vectors, y, seed=1).booster.num_trees() for y in (labels, turned)]
    assert trees[1] < trees[0] / 2


def test_refitting_keeps_the_number_of_trees():
    """The refit learns all rows with as many trees as were found, so it differs in content and not in size."""
    vectors, labels = task()
    once, again = (replace(SETTINGS, refit=refit).fit(vectors, labels, seed=1) for refit in (False, True))
    assert once.booster.num_trees() == again.booster.num_trees()
    assert once.text != again.text


def test_one_moment_is_never_on_both_sides():
    """Where all rows are of one moment nothing is held out, and all the rounds are used."""
    vectors, labels = task()
    moment = replace(vectors, since=np.zeros_like(vectors.since), as_of=np.full_like(vectors.as_of, 5))
    assert SETTINGS.fit(moment, labels, seed=1).booster.num_trees() == SETTINGS.rounds


def test_names_that_lightgbm_refuses():
    """Feature names with JSON's characters are no trouble, and come back from the folder as they were."""
    vectors, labels = task()
    odd = [feature(f'{{"{number}": [a, b]}}', "family 0") for number in range(6)]
    fitted = SETTINGS.fit(replace(vectors, features=tuple(odd)), labels, seed=1)
    assert list(fitted.features) == [each.name for each in odd]
    assert np.isfinite(fitted.score(replace(vectors, features=tuple(odd)))).all()


def test_a_weight_on_the_confirmed_raises_scores():
    """With more weight on confirmed rows every score rises on average."""
    vectors, labels = task()
    light, heavy = (replace(SETTINGS, positive_weight=w, patience=60).fit(vectors, labels, seed=1) for w in (1.0, 20.0))
    assert heavy.score(vectors).mean() > light.score(vectors).mean() + 1


def test_labels_it_cannot_learn_from_are_refused():
    """None, none confirmed, all confirmed, and labels of another shape are errors that tell the way out."""
    vectors, labels = task(200)
    with pytest.raises(LabelError, match="got none; give labels"):
        SETTINGS.fit(vectors, seed=0)
    with pytest.raises(LabelError, match="of 200 rows 0 are confirmed"):
        SETTINGS.fit(vectors, np.zeros(200, bool), seed=0)
    with pytest.raises(LabelError, match="of 200 rows 200 are confirmed"):
        SETTINGS.fit(vectors, np.ones(200, bool), seed=0)
    with pytest.raises(LabelError, match=r"shape \(200,\), got bool of shape \(199,\)"):
        SETTINGS.fit(vectors, labels[1:], seed=0)
    with pytest.raises(ConfigError, match="rounds >= 1"):
        LightGBM(rounds=0)


@pytest.fixture(scope="module")
def directed():
    """One fit in which the first feature, unlike its labels, has to rise and the family of the last two to fall."""
    vectors, labels = task()
    values = vectors.values.copy()
    values[0] = np.where(np.random.default_rng(5).random(len(vectors)) < 0.1, np.nan, -values[1])
    return replace(SETTINGS, rising=("f0", "f4"), falling=("family 2",), leaves=63, min_leaf=2).fit(
        replace(vectors, values=values), labels, seed=1
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-4, 4, width=32), min_size=6, max_size=6), st.data())
def test_a_direction_is_kept_everywhere(directed, row, data):
    """More of a rising feature never lowers a score, more of a falling one never raises it, also if it is both."""
    number = data.draw(st.sampled_from([0, 4, 5]))
    path = np.repeat(np.array([row], np.float32), 9, axis=0)
    path[:, number] = np.linspace(-5, 5, 9)
    steps = np.diff(directed.score(replace(vectors_of(path), features=task()[0].features)))
    assert (steps >= 0).all() if number == 0 else (steps <= 0).all()


def test_without_a_direction_it_would_not_be_kept():
    """Left free, scores rise with the feature that has to fall above, so that the test above can fail."""
    vectors, labels = task()
    path = np.full((9, 6), 1.5)
    path[:, 4] = np.linspace(-3, 3, 9)
    scores = SETTINGS.fit(vectors, labels, seed=1).score(vectors_of(path))
    assert scores[-1] > scores[0] + 1


def test_directions_come_from_names_and_families():
    """A pattern is held against names and families; what none fits is free, and then LightGBM is told nothing."""
    features = task()[0].features
    told = LightGBM(rising=["f[12]", "family 2"], falling=["f5"]).directions(features)
    assert told["monotone_constraints"] == [0, 1, 1, 0, 1, -1]
    assert LightGBM().directions(features) == {}


def test_a_direction_that_fits_nothing_is_named():
    """A pattern of a feature that is not there is a slip, and the error names it."""
    vectors, labels = task(200)
    with pytest.raises(ConfigError, match=r"no feature or family fits 'trouble_\*'; the families are family 0"):
        LightGBM(rising=("trouble_*",)).fit(vectors, labels, seed=0)
