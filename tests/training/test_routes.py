"""The layout of a forest and the compiled pass over it, against a walk in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.training import routes
from peculiar.training.conditioning import Inputs
from peculiar.training.descent import BLOCK, distinct_rows
from peculiar.training.forest import NARROW, Forest

GRID = np.linspace(-2, 2, 9, dtype=np.float32)  # few values, so that rows lie on thresholds and equal each other


def random_tree(rng, inputs, rows, deepest):
    """Columns feature, threshold and rows of one tree, level by level; splits are as lopsided as they come."""
    feature, threshold, reached = [], [], []
    level = [rows]
    for depth in range(deepest + 1):
        below = []
        for count in level:
            splits = count > 1 and depth < deepest and rng.random() < 0.9
            feature.append(rng.integers(inputs) if splits else -1)
            threshold.append(rng.choice(GRID) if splits else 0.0)
            reached.append(count)
            left = rng.integers(1, count) if splits and rng.random() < 0.5 else 1
            below += [left, count - left] if splits else []
        level = below
    return feature, threshold, reached


def random_forest(seed, *, inputs, columns, rows, deepest, trees=4):
    """A forest that no fit made: any shape of tree, inputs in any order, some of them null indicators."""
    rng = np.random.default_rng(seed)
    grown = [random_tree(rng, inputs, rows, deepest) for _ in range(trees)]
    root = np.cumsum([0, *(len(tree[0]) for tree in grown)]).astype(np.int32)
    feature, threshold, reached = (np.concatenate(parts) for parts in zip(*grown, strict=True))
    seen = Inputs(
        rng.integers(columns, size=inputs).astype(np.int32), rng.random(inputs) < 0.2, rng.choice(GRID, inputs)
    )
    return Forest(seen, root, feature.astype(np.int32), threshold.astype(np.float32), reached.astype(np.int32))


def random_values(seed, columns, rows):
    """Values on the grid, a tenth of them null."""
    rng = np.random.default_rng(seed)
    values = rng.choice(GRID, (columns, rows))
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


def walked(forest, row):
    """The path length of one row, tree after tree, by the definition."""
    raw = row[forest.inputs.column]
    null = np.isnan(raw)
    seen = np.where(forest.inputs.indicator, null, np.where(null, forest.inputs.fill, raw))
    total = 0.0
    for root in forest.root[:-1]:
        node = root
        while forest.feature[node] >= 0:
            node = forest.left[node] + (seen[forest.feature[node]] > forest.threshold[node])
        total += forest.length[node]
    return total / forest.trees


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    inputs=st.integers(1, 8),
    rows=st.integers(1, 3000),
    deepest=st.integers(0, 30),
    n=st.integers(0, 40),
    crowd=st.sampled_from([0.0, 1 / 64, 0.2, 2.0]),
)
def test_every_row_ends_where_a_plain_walk_ends(seed, inputs, rows, deepest, n, crowd):
    """Whatever the trees, and whichever questions count as crowded (all, some, none), the lengths are bit-identical."""
    forest = random_forest(seed, inputs=inputs, columns=4, rows=rows, deepest=deepest)
    values = random_values(seed, 4, n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "CROWD", crowd)
        assert forest.path_length(values).tolist() == [walked(forest, row) for row in values.T]


@pytest.mark.parametrize("columns", [5, 2 * NARROW])
@pytest.mark.parametrize("n", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_blocks_do_not_show(n, columns):
    """Rows at the seams of blocks, and rows that have equals, get what they get alone, in narrow and wide forests."""
    forest = random_forest(n, inputs=3 * NARROW, columns=columns, rows=500, deepest=9)
    values = random_values(n, columns, n)
    together = forest.path_length(values, threads=1)
    for row in {0, n // 2, min(n, BLOCK) - 1, n - 1}:
        assert together[row] == forest.path_length(values[:, row : row + 1])[0] == walked(forest, values[:, row])
    assert np.array_equal(together, forest.path_length(values, threads=3))


def test_stops_are_the_rest_of_the_crowded_part():
    """A tree's crowded part has one stop more than questions, and each side of a question has a stop."""
    forest = random_forest(7, inputs=3, columns=3, rows=2000, deepest=12)
    own = forest.routes
    assert (np.diff(own.stop) == np.diff(own.question) + 1).all()
    assert (own.first < own.split).all()
    inner = np.flatnonzero(forest.feature >= 0)
    share = forest.rows[inner] / 2000
    assert len(own.asked) == (share >= routes.CROWD).sum() < len(inner)
    assert sorted(own.beyond[own.beyond >= 0]) == sorted(set(own.beyond[own.beyond >= 0]))


@given(st.lists(st.lists(st.sampled_from([0, 1, 2**31, 2**32 - 1]), min_size=3, max_size=3), max_size=60))
def test_distinct_rows_are_found_in_order(rows):
    """Rows are numbered by first appearance, and equal rows share a number."""
    bits = np.array(rows, np.uint32).reshape(-1, 3).T.copy()
    first, place = np.empty((2, len(rows)), np.int32)
    found = distinct_rows(bits, first, place)
    seen = list(dict.fromkeys(map(tuple, rows)))
    assert [tuple(rows[k]) for k in first[:found]] == seen
    assert place.tolist() == [seen.index(tuple(row)) for row in rows]


def test_many_distinct_rows_are_told_apart():
    """Fifty thousand rows that differ in one bit pattern or another are as many as a sort finds."""
    values = np.random.default_rng(1).normal(size=(3, 50_000)).round(1).astype(np.float32)
    first, place = np.empty((2, 50_000), np.int32)
    found = distinct_rows(values.view(np.uint32), first, place)
    assert found == len(np.unique(values.view(np.uint32), axis=1).T)
    assert np.array_equal(values[:, first[:found]][:, place].view(np.uint32), values.view(np.uint32))
