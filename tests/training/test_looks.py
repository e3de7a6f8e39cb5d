"""The order of what a forest looks at: held to a plain search over all subjects, and to what was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import vectors_of

from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.looks import looks_of
from peculiar.training.rehearsal import Rehearsal
from peculiar.training.search import Search

FOREST = IsolationForest(trees=20, group_trees=10, samples=128)


def stage(seed: int = 0, planted: tuple[int, ...] = (4,), push: float = 5.0):
    """Nine columns of three families, real rows with noise in all of them, and ten cases that stand out in some."""
    rng = np.random.default_rng(seed)
    train = vectors_of(rng.normal(size=(500, 9)), day=np.sort(rng.integers(0, 10, 500)))
    matrix = rng.standard_t(3, size=(310, 9))
    matrix[:10] = rng.normal(size=(10, 9))
    matrix[:10, list(planted)] += push
    case = np.full(310, -1, np.int32)
    case[:10] = np.arange(10)
    cases = pa.table({"case": range(10), "kind": ["a"] * 5 + ["b"] * 5})
    return train, Rehearsal(vectors_of(matrix, day=np.full(310, 12)), case, cases, 3)


def test_the_telling_family_comes_first():
    """What is high in one column is found by its family, high side alone, and the last step is what there was."""
    train, rehearsal = stage()
    looks = looks_of(FOREST, train, [rehearsal], seed=0)
    assert looks.steps[0] == {"columns": ("f3", "f4", "f5"), "high": ("f3", "f4", "f5"), "low": ()}
    assert looks.steps[-1] == {"columns": (), "high": (), "low": ()}
    assert looks.best == 1
    assert [len(step["columns"]) for step in looks.steps] == [3, 6, 9, 0]


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_each_step_is_the_best_of_all(seed):
    """The first step's value is the largest gain that any family of either side has as a forest of its own."""
    train, rehearsal = stage(seed, planted=(0, 7), push=2.0)
    looks = looks_of(FOREST, train, [rehearsal], seed=seed)
    found = []
    for high in ((), ("*",)):
        fitted = replace(FOREST, high=high, trees=1).fit(train, seed=seed)
        found += [rehearsal.gain(own) for own in fitted.family_surprise(rehearsal.vectors)]
    assert looks.value[0] == pytest.approx(max(found))
    for number in range(1, 3):
        assert set(looks.steps[number - 1]["columns"]) < set(looks.steps[number]["columns"])


def test_nothing_is_looked_at_that_was_not():
    """Columns that the start leaves out stay out, and its sides are kept where they tell more."""
    train, rehearsal = stage(planted=(4, 8), push=-5.0)
    start = replace(FOREST, columns=("f4", "f5", "f8"), low=("f8",))
    looks = looks_of(start, train, [rehearsal], seed=0)
    assert set(looks.steps[-2]["columns"]) == {"f4", "f5", "f8"}
    assert all(set(step["columns"]) <= {"f4", "f5", "f8"} for step in looks.steps)
    assert "f8" in looks.steps[-2]["low"]
    plain = looks_of(replace(FOREST, grove=False), train, [rehearsal], seed=0)
    assert plain.steps == ({"columns": (), "high": (), "low": ()},)
    assert plain.best == 1


def test_the_order_of_rows_changes_no_step():
    """Rows in another order, to learn from and to search by, give the same steps and the same values."""
    train, rehearsal = stage(planted=(0, 7), push=2.0)
    rng = np.random.default_rng(0)
    mixed = rng.permutation(len(rehearsal.case))
    turned = replace(rehearsal, vectors=rehearsal.vectors.take(mixed), case=rehearsal.case[mixed])
    again = looks_of(FOREST, train.take(rng.permutation(len(train))), [turned], seed=0)
    assert again == looks_of(FOREST, train, [rehearsal], seed=0)


def test_the_search_finds_what_to_look_at():
    """A search without labels ends above the start by looking at the telling family, and numbers the steps it tried."""
    train, rehearsal = stage(push=2.5)
    found = Search(6, start=FOREST, objective="rehearsal_gain", budget=3).rehearsed(train, [rehearsal], seed=0)
    trials = found.trials
    assert trials["params_looked"].tolist()[:3] == [4, 1, 1]
    assert trials["params_opinion"].tolist()[:3] == ["either", "loudest", "adding"]
    assert found.value > trials.loc[0, "value"]
    assert "f4" in found.settings.columns
    assert rehearsal.gain(found.settings.fit(train, seed=0).score(rehearsal.vectors)) == pytest.approx(found.value)
