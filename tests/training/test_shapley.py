"""Shapley values against their definition: all coalitions of the columns of tiny trees, one by one."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from toys import awkward, vectors_of

from peculiar.training.conditioning import Conditioning
from peculiar.training.lightgbm import LightGBM
from peculiar.training.packing import pack
from peculiar.training.shapley import LANES


def by_definition(worth, columns: int) -> np.ndarray:
    """What each column adds to a coalition of others, averaged over all sizes and coalitions of each size."""
    values = np.zeros(columns)
    for column in range(columns):
        others = [other for other in range(columns) if other != column]
        for size in range(columns):
            for known in map(set, combinations(others, size)):
                gain = worth(known | {column}) - worth(known)
                values[column] += gain / (columns * comb(columns - 1, size))
    return values


def packed(values, *, trees: int, seed: int):
    """A small forest; columns with nulls have a second input, which tells whether they are null."""
    conditioning = Conditioning.fit(values, knee=3.0, common=0.01)
    seen = conditioning.see(values)
    model = IsolationForest(n_estimators=trees, max_samples=min(24, len(seen)), random_state=seed).fit(seen)
    return pack([tree.tree_ for tree in model.estimators_], conditioning)


def expected_length(forest, row: np.ndarray, known: set[int], node: int) -> float:
    """The path length from a node on: questions about known columns are answered, others split as the fit did."""
    asked = int(forest.feature[node])
    if asked < 0:
        return float(forest.length[node])
    column, left = int(forest.inputs.column[asked]), int(forest.left[node])
    below = [expected_length(forest, row, known, child) for child in (left, left + 1)]
    if column in known:
        value, null = row[column], bool(np.isnan(row[column]))
        seen = float(null) if forest.inputs.indicator[asked] else forest.inputs.fill[asked] if null else value
        return below[0] if seen <= forest.threshold[node] else below[1]
    share = forest.rows[left] / forest.rows[node]
    return share * below[0] + (1.0 - share) * below[1]


@given(seed=st.integers(0, 2**32 - 1), nulls=st.sampled_from([0.0, 0.3]), columns=st.integers(1, 4))
@settings(max_examples=20)
def test_they_are_the_average_over_all_orders(seed, nulls, columns):
    """For trees of a few columns, with and without nulls, each value is that of the definition to 1e-10."""
    dice = np.random.default_rng(seed)
    values = dice.normal(size=(columns, 60)).astype(np.float32)
    values[dice.random(values.shape) < nulls] = np.nan
    forest = packed(values, trees=2, seed=seed % 1000)
    told = forest.shapley(values[:, :3])
    for row in range(3):
        for column, value in enumerate(by_definition(
            lambda known, row=row: np.mean([
                expected_length(forest, values[:, row], known, int(root)) for root in forest.root[:-1]
            ]),
            columns,
        )):  # fmt: skip
            np.testing.assert_allclose(told[row, column], value, rtol=0, atol=1e-10)


def test_a_row_has_its_values_alone_and_in_any_lane():
    """Whichever rows go through the trees with it, and in how many threads, a row's values are the same bits."""
    values = awkward(3 * LANES + 5)[0].values
    forest = packed(values, trees=5, seed=0)
    whole = forest.shapley(values, threads=1)
    assert whole.tobytes() == forest.shapley(values, threads=3).tobytes()
    for row in (0, 1, LANES - 1, LANES, 3 * LANES + 4):
        assert forest.shapley(values[:, row : row + 1])[0].tobytes() == whole[row].tobytes()


def margin(node: dict, row: np.ndarray, known: set[int]) -> float:
    """What a tree of LightGBM's expects from a node on, as its own TreeSHAP does: by the rows of the fit."""
    if "leaf_value" in node:
        return float(node["leaf_value"])
    sides = [node["left_child"], node["right_child"]]
    if node["split_feature"] in known:
        return margin(sides[0] if row[node["split_feature"]] <= node["threshold"] else sides[1], row, known)
    rows = [side.get("internal_count", side.get("leaf_count")) for side in sides]
    return sum(count * margin(side, row, known) for count, side in zip(rows, sides, strict=True)) / sum(rows)


@given(seed=st.integers(0, 2**16))
@settings(max_examples=8)
def test_those_of_lightgbm_are_exact_too(seed):
    """The contributions to LightGBM's margin are those of the definition, over all coalitions of four columns."""
    dice = np.random.default_rng(seed)
    matrix = dice.normal(size=(400, 4))
    labels = dice.random(400) < np.where(matrix[:, 0] * matrix[:, 1] > 0.3, 0.7, 0.1)
    vectors = vectors_of(matrix, day=np.sort(dice.integers(0, 20, 400)))
    fitted = LightGBM(rounds=3, patience=3).fit(vectors, labels, seed=seed)
    trees = [each["tree_structure"] for each in fitted.booster.dump_model()["tree_info"]]
    told = fitted.contributions(vectors.take(np.arange(2)))
    assert told.values.any()
    for row in range(2):
        seen = vectors.values[:, row]
        wanted = by_definition(lambda known, seen=seen: sum(margin(tree, seen, known) for tree in trees), 4)
        np.testing.assert_allclose(told.values[row], wanted, rtol=0, atol=1e-9)
