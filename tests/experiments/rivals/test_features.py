"""The race is over one course: every column that a rival builds under our name holds our values, on random logs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rival_logs import held, raced, written

from peculiar.experiments.rivals import duckdb_features, pandas_apply, pandas_features, polars_features

pytestmark = pytest.mark.long

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(seed=seeds, n=st.integers(300, 2500))
def test_pandas_builds_our_features(tmp_path, seed, n):
    """Vectorised pandas: every feature of velocity, breadth, timing, baseline, and all but five a measure of volume."""
    path = written(tmp_path, seed, n)
    ours, recipe = raced(path, pandas_features.FAMILIES)
    held(pandas_features.build(pandas_features.read(path, recipe), recipe), ours, least=60)


@few
@given(seed=seeds, n=st.integers(300, 2500))
def test_duckdb_builds_our_features(tmp_path, seed, n):
    """DuckDB: every feature of breadth and timing, and the counts, sums, means and maxima of volume."""
    path = written(tmp_path, seed, n)
    ours, recipe = raced(path, duckdb_features.FAMILIES)
    with duckdb_features.connect(2) as database:
        rows = duckdb_features.build(database, path, recipe)
        theirs = duckdb_features.fetch(database).to_pandas()
    assert rows == len(ours)
    held(theirs, ours, least=30)


@few
@given(seed=seeds, n=st.integers(300, 2500))
def test_polars_builds_our_features(tmp_path, seed, n):
    """Polars: the same features as DuckDB."""
    path = written(tmp_path, seed, n)
    ours, recipe = raced(path, polars_features.FAMILIES)
    held(polars_features.build(path, recipe).to_pandas(), ours, least=30)


@pytest.mark.parametrize("seed", [1, 2])
def test_groupby_apply_builds_our_features(tmp_path, seed):
    """A Python function for each user: the same features as DuckDB, straight from the definitions."""
    path = written(tmp_path, seed, 300)
    ours, recipe = raced(path, pandas_apply.FAMILIES)
    theirs = pandas_apply.build(pandas_apply.read(path, recipe), recipe)
    held(theirs.assign(as_of=theirs["as_of"].astype("int64")), ours, least=30)


def test_sql_rivals_build_the_same_columns(tmp_path):
    """DuckDB, Polars and groupby-apply run over one course: their columns are the same."""
    path = written(tmp_path, 3, 200)
    _, recipe = raced(path, polars_features.FAMILIES)
    with duckdb_features.connect(2) as database:
        duckdb_features.build(database, path, recipe)
        tables = [duckdb_features.fetch(database).to_pandas(), polars_features.build(path, recipe).to_pandas()]
    tables.append(pandas_apply.build(pandas_apply.read(path, recipe), recipe))
    names = [set(table.columns) for table in tables]
    assert names[0] == names[1] == names[2]
