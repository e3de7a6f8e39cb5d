"""The packed forest against scikit-learn's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length
from toys import awkward

from peculiar.training.conditioning import Conditioning
from peculiar.training.forest import average_path
from peculiar.training.packing import level_order, pack

if TYPE_CHECKING:
    from peculiar.training.forest import Forest


def both(values, *, trees=25, samples=256, seed=0) -> tuple[Forest, np.ndarray]:
    """A packed forest and the scores that scikit-learn gives the same rows."""
    conditioning = Conditioning.fit(values, knee=3.0, common=0.01)
    seen = conditioning.see(values)
    model = IsolationForest(n_estimators=trees, max_samples=min(samples, len(seen)), random_state=seed).fit(seen)
    return pack([tree.tree_ for tree in model.estimators_], conditioning), -model.score_samples(seen)


@pytest.mark.parametrize("samples", [2, 16, 256, 4096])
def test_scores_equal_those_of_scikit_learn(samples):
    """On awkward columns, of any size of tree, the scores are scikit-learn's to 1e-9."""
    values = awkward(3000)[0].values
    forest, expected = both(values, samples=samples)
    np.testing.assert_allclose(forest.score(values), expected, rtol=0, atol=1e-9)


def test_scores_equal_on_the_thresholds_themselves():
    """A row that lies exactly on a threshold, or one float32 beside it, goes where scikit-learn sends it."""
    rng = np.random.default_rng(5)
    values = np.exp(rng.normal(size=(3, 2000)) * 2).astype(np.float32)
    conditioning = Conditioning.fit(values, knee=3.0, common=0.01)
    model = IsolationForest(n_estimators=25, max_samples=1024, random_state=1).fit(conditioning.see(values))
    forest = pack([tree.tree_ for tree in model.estimators_], conditioning)
    cuts = np.array([forest.threshold[forest.feature == number][:300] for number in range(3)])
    for edge in (np.nextafter(cuts, np.float32(-np.inf)), cuts, np.nextafter(cuts, np.float32(np.inf))):
        expected = -model.score_samples(conditioning.see(edge))
        np.testing.assert_allclose(forest.score(edge), expected, rtol=0, atol=1e-9)


def test_constant_rows_score_one_half():
    """Where no question can be asked, scikit-learn's score is that of a tree without depth, and so is ours."""
    forest, expected = both(np.full((2, 50), 3.0, np.float32))
    np.testing.assert_allclose(forest.score(np.zeros((2, 3), np.float32)), expected[:3], rtol=0, atol=1e-12)


def test_threads_change_no_bit():
    """One thread or five, the path lengths are the same to the last bit."""
    values = awkward(20_000)[0].values
    forest, _ = both(values)
    alone = forest.path_length(values, threads=1)
    assert np.array_equal(alone, forest.path_length(values, threads=5))
    assert np.array_equal(alone[17:90], forest.path_length(values[:, 17:90], threads=2))


def test_average_path_is_scikit_learns():
    """The length that a leaf leaves out is the published one."""
    rows = np.arange(1, 5000)
    np.testing.assert_allclose(average_path(rows), _average_path_length(rows), rtol=1e-14)


def test_shapley_values_tell_the_whole_difference():
    """A row's values sum to its path length less the length expected at the root; unasked columns get none."""
    values = awkward()[0].values
    forest, _ = both(values)
    credited = forest.shapley(values)
    np.testing.assert_allclose(credited.sum(axis=1), forest.path_length(values) - forest.base_length, atol=1e-9)
    asked = np.unique(forest.inputs.column[forest.feature[forest.feature >= 0]])
    assert not np.delete(credited, asked, axis=1).any()


def test_expected_length_is_the_mean_over_fitting_rows():
    """The expectation at a root is the mean path length of the rows that the tree was grown from."""
    values = np.random.default_rng(2).normal(size=(4, 300)).astype(np.float32)
    conditioning = Conditioning.fit(values, knee=3.0, common=0.01)
    model = IsolationForest(n_estimators=1, max_samples=300, random_state=0).fit(conditioning.see(values))
    forest = pack([model.estimators_[0].tree_], conditioning)
    assert forest.base_length == pytest.approx(forest.path_length(values).mean(), rel=1e-12)


def test_nodes_lie_level_by_level():
    """Siblings are neighbours and children follow their parents, which is what makes pointers unnecessary."""
    values = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
    tree = IsolationForest(n_estimators=1, random_state=0).fit(values).estimators_[0].tree_
    order = level_order(tree)
    place = np.argsort(order)
    inner = np.flatnonzero(tree.feature >= 0)
    assert sorted(order) == list(range(tree.node_count))
    assert (place[tree.children_right[inner]] == place[tree.children_left[inner]] + 1).all()
    assert (place[tree.children_left[inner]] > place[inner]).all()


SCRIPT = """
import numpy as np, sys
sys.path.insert(0, sys.argv[1])
from toys import awkward
from peculiar.training.isolation_forest import IsolationForest
vectors, _ = awkward(130)
fitted = IsolationForest(trees=3, group_trees=2, samples=32).fit(vectors, seed=0)
print(fitted.score(vectors).tobytes().hex(), fitted.contributions(vectors).values.tobytes().hex())
"""


@pytest.mark.long
def test_it_works_without_the_compiler():
    """With compilation off the same code gives the same bits, so it can be read and debugged as plain Python."""
    folder = str(Path(__file__).parent)
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT, folder],
            env={**os.environ, "NUMBA_DISABLE_JIT": off},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for off in ("0", "1")
    ]
    assert said[0] == said[1]
    assert len(said[0]) > 1000
