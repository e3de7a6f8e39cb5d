"""The grove hears what a single forest overhears."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from toys import awkward, vectors_of

from peculiar.errors import BundleError, ConfigError
from peculiar.training.isolation_forest import FittedIsolationForest, IsolationForest

SETTINGS = IsolationForest(trees=100, group_trees=50, samples=1024)


@pytest.fixture(scope="module")
def planted():
    """8,000 log-normal rows of 60 features in 10 families; rows 0-9 are odd in three features of family 7 alone."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(8000, 60))
    normal[:10, 42:45] = 6.0
    return vectors_of(np.exp(0.7 * normal), families=10)


def ranks(scores):
    """Places of the ten planted rows, 0 for the highest score."""
    return np.argsort(np.argsort(-scores, kind="stable"), kind="stable")[:10]


def test_the_grove_finds_what_the_plain_forest_dilutes(planted):
    """Rows odd in three features of sixty come first in the grove, and rank far lower in a plain forest."""
    grove = SETTINGS.fit(planted, seed=0)
    plain = replace(SETTINGS, grove=False).fit(planted, seed=0)
    assert np.median(ranks(grove.score(planted))) < 15  # of 8,000; two opinions let others in that shout, too
    assert np.median(ranks(plain.score(planted))) > 2 * np.median(ranks(grove.score(planted)))


def test_the_family_that_speaks_is_the_odd_one(planted):
    """The loudest family of the planted rows is the one they were planted in, and its features carry the score."""
    some = planted.take(np.arange(10))
    parts = SETTINGS.fit(planted, seed=0).contributions(some)
    assert parts.family == ["family 7"] * 10
    assert (np.sort(parts.values.argsort(axis=1)[:, -3:], axis=1) == [42, 43, 44]).all()


def test_the_score_is_the_stronger_of_two_opinions(planted):
    """Score = the tail of the p-norm of all groups' surprises, or that of the whole's surprise plus the loudest."""
    fitted = SETTINGS.fit(planted, seed=0)
    surprises = [tail(forest.score(planted.values)) for forest, tail in zip(fitted.forests, fitted.tails, strict=True)]
    reach = fitted.reach.of(planted.values, slice(0, len(planted)), len(fitted.group_names))
    groups, p = np.maximum(np.array(surprises[1:]), reach), SETTINGS.norm
    families = fitted.family_surprise(planted)
    assert families.shape == (10, len(planted))
    np.testing.assert_allclose(families, groups)  # the toy's families have one subject each
    shouting = fitted.opinions[0]((groups**p).sum(axis=0) ** (1 / p))
    adding = fitted.opinions[1](surprises[0] + families.max(axis=0))
    np.testing.assert_allclose(fitted.score(planted), np.maximum(shouting, adding), rtol=1e-9)


def test_threads_and_companions_change_no_bit(planted, monkeypatch):
    """Scores, their loudest families and contributions are the same for any threads and any choice of rows."""
    fitted, some = SETTINGS.fit(planted, seed=0), np.random.default_rng(4).permutation(len(planted))[:2500]
    told = {}
    for threads in (1, 5):
        monkeypatch.setattr("numba.get_num_threads", lambda threads=threads: threads)
        told[threads] = fitted.score(planted), fitted.family_surprise(planted)
    assert all(np.array_equal(*pair) for pair in zip(told[1], told[5], strict=True))
    assert np.array_equal(fitted.score(planted.take(some)), told[1][0][some])
    parts = fitted.contributions(planted.take(some[:50]))
    np.testing.assert_allclose(parts.values.sum(axis=1) + parts.base, told[1][0][some[:50]], rtol=1e-12)
    alone = fitted.contributions(planted.take(some[7:8]))
    assert np.array_equal(alone.values[0], parts.values[7])


def test_a_subject_of_a_family_has_a_forest_of_its_own(planted):
    """Three odd features among sixty of one family are heard if they are what the family says of one subject."""
    features = tuple(
        replace(feature, family="all", subject="odd" if n in (42, 43, 44) else f"other {n // 6}")
        for n, feature in enumerate(planted.features)
    )
    named = replace(planted, features=features)
    unnamed = replace(planted, features=tuple(replace(feature, family="all") for feature in planted.features))
    heard = np.median(ranks(SETTINGS.fit(named, seed=0).score(named)))
    assert heard < 10
    assert heard < np.median(ranks(SETTINGS.fit(unnamed, seed=0).score(unnamed)))


def test_the_plain_forest_is_the_published_score(planted):
    """Without the grove the score is Liu's: 2 to the minus path length, between 0 and 1."""
    fitted = replace(SETTINGS, grove=False).fit(planted, seed=0)
    assert (fitted.tails, len(fitted.forests)) == ((), 1)
    assert np.array_equal(fitted.score(planted), fitted.forests[0].score(planted.values))
    assert 0 < fitted.score(planted).min() < fitted.score(planted).max() < 1


def test_a_wild_value_does_not_hide_others():
    """One value of 1e30 in a column leaves a row that is ten times the usual in it as odd as before."""
    rng = np.random.default_rng(1)
    matrix = np.exp(0.5 * rng.normal(size=(3000, 6)))
    matrix[:5, 2] = 60.0
    tame = SETTINGS.fit(vectors_of(matrix), seed=0).score(vectors_of(matrix))
    matrix[2999, 2] = 1e30
    wild = SETTINGS.fit(vectors_of(matrix), seed=0).score(vectors_of(matrix))
    assert ranks(tame)[:5].max() < 20
    assert ranks(wild)[:5].max() < 20


def test_a_rare_null_is_heard_and_a_common_one_is_not():
    """Being null where 3 % are null is odder than being null where half are."""
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(4000, 4))
    matrix[rng.random(4000) < 0.03, 0] = np.nan
    matrix[rng.random(4000) < 0.5, 1] = np.nan
    scores = SETTINGS.fit(vectors_of(matrix), seed=0).score(vectors_of(matrix))
    rare, common = (scores[np.isnan(matrix[:, k])].mean() - scores[~np.isnan(matrix[:, k])].mean() for k in (0, 1))
    assert rare > common + 0.2


def test_no_more_rows_than_asked_are_fitted():
    """A long log is sampled by the seed: the trees cannot have seen more rows than the setting allows."""
    vectors, _ = awkward(2000)
    fitted = IsolationForest(trees=5, group_trees=2, samples=4096, rows=300).fit(vectors, seed=0)
    assert all((forest.rows[forest.root[:-1]] == 300).all() for forest in fitted.forests)


def test_settings_and_rows_that_make_no_forest_are_refused():
    """Counts below one, a single row, or no features are errors that say what was expected."""
    with pytest.raises(ConfigError, match=r"isolation_forest\.trees is 0"):
        IsolationForest(trees=0)
    with pytest.raises(ConfigError, match=r"isolation_forest\.knee is -1"):
        IsolationForest(knee=-1)
    with pytest.raises(ConfigError, match="at least 2 rows and 1 feature"):
        IsolationForest().fit(vectors_of(np.zeros((1, 3))), seed=0)


def test_another_format_is_refused(tmp_path):
    """A folder of a later format is refused, not misread."""
    vectors, _ = awkward()
    IsolationForest(trees=2, group_trees=1, samples=16).fit(vectors, seed=0).save(tmp_path)
    about = json.loads((tmp_path / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps({**about, "format": 99}))
    with pytest.raises(BundleError, match="in format 1"):
        FittedIsolationForest.load(tmp_path)
