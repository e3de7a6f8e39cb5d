"""The search for settings."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from toys import DAY, vectors_of

from peculiar.errors import ConfigError, LabelError
from peculiar.training.labels import read_labels
from peculiar.training.lightgbm import LightGBM
from peculiar.training.search import SPACE, Search
from peculiar.training.splits import prequential_folds

START = LightGBM(rounds=20, patience=5, refit=False, threads=1)


def task(known=0):
    """Forty days of rows, and labels of the bad ones that become known so many days after."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(1500, 5))
    day = np.sort(rng.integers(0, 40, 1500))
    bad = np.flatnonzero(matrix[:, 0] + 0.7 * rng.normal(size=1500) > 1.8)
    vectors = vectors_of(matrix, day=day)
    at = vectors.since[bad]
    columns = {"entity": vectors.entity.take(pa.array(bad)), "at": at, "known_at": at + known * DAY + 1}
    return vectors, read_labels(pa.table(columns))


def test_it_is_seeded_and_tells_all_trials():
    """The same seed finds the same settings; the table has a row per trial, the first of them the start."""
    vectors, labels = task()
    folds = prequential_folds(vectors, folds=3)
    told = []
    run = [Search(6, start=START).run(vectors, labels, folds=folds, seed=1) for _ in range(2)]
    more = Search(6, start=START).run(
        vectors, labels, folds=folds, seed=2, progress=lambda n, best: told.append((n, best))
    )
    assert run[0].settings == run[1].settings
    timeless = [each.trials.drop(columns="seconds") for each in (*run, more)]
    assert timeless[0].equals(timeless[1])
    assert not timeless[0].equals(timeless[2])
    assert len(run[0].trials) == 6
    assert run[0].trials.loc[0, "params_leaves"] == START.leaves
    assert {f"params_{name}" for name in SPACE} < set(run[0].trials.columns)
    assert [number for number, _ in told] == list(range(1, 7))
    assert told[-1][1] == more.average_precision == more.trials["value"].max()


def test_the_best_is_no_worse_than_the_start():
    """The start is among the trials, so the search cannot end below it."""
    vectors, labels = task()
    found = Search(5, start=START).run(vectors, labels, folds=prequential_folds(vectors, folds=2), seed=3)
    assert found.average_precision >= found.trials.loc[0, "value"] > 0.3
    assert found.settings.rounds == START.rounds


def test_labels_not_known_in_time_are_not_learned():
    """When labels become known only after each test begins, no fold can be learned from, and it says so."""
    vectors, labels = task(known=100)
    with pytest.raises(LabelError, match="none of 2 folds has confirmed"):
        Search(2, start=START).run(vectors, labels, folds=prequential_folds(vectors, folds=2), seed=0)


def test_time_limits_the_search():
    """After its time no further trial begins."""
    vectors, labels = task()
    found = Search(500, seconds=0.2, start=START).run(
        vectors, labels, folds=prequential_folds(vectors, folds=2), seed=0
    )
    assert 1 <= len(found.trials) < 100
    with pytest.raises(ConfigError, match=r"search\.trials is 0"):
        Search(0)
