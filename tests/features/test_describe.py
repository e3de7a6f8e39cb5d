"""Descriptions: the same figures from memory, from a file and from a population, each as numpy would give them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_logs import rich_log, roles, table_of

from peculiar.errors import PlanMismatchError, SchemaError
from peculiar.features.describe import (
    SHARES,
    describe,
    describe_file,
    describe_population,
    family_line,
    holds_vectors,
)
from peculiar.features.events import EventLog
from peculiar.features.families import FAMILIES
from peculiar.features.output import vectors_to_file
from peculiar.features.snapshots import WindowSpec


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The vectors of the rich log, in a file."""
    log = EventLog.open(table_of(rich_log()), roles())
    return vectors_to_file(log, tmp_path_factory.mktemp("written") / "vectors.parquet", windows=WindowSpec("event"))


def test_every_feature_is_described(written):
    """Each feature of the plan comes once, in its order, with unit, meaning and null in its own words."""
    description = describe(written.vectors)
    assert [portrait.feature for portrait in description.portraits] == list(written.plan.features)
    assert list(description.by_family) == [name for name, made in written.plan.by_family.items() if made]
    plain = description.to_dict()
    for feature, told in zip(written.plan.features, plain["features"], strict=True):
        assert {key: told[key] for key in ("name", "family", "unit", "meaning", "null")} == {
            key: getattr(feature, key) for key in ("name", "family", "unit", "meaning", "null")
        }
    json.dumps(plain)


def test_figures_are_those_of_the_values(written):
    """Nulls and quantiles are what numpy says of the column; a quantile is a value that some vector has."""
    for portrait, column in zip(describe(written.vectors).portraits, written.vectors.values, strict=True):
        held = column[~np.isnan(column)]
        assert portrait.nulls == pytest.approx(np.isnan(column).mean())
        if len(held):
            assert portrait.quantiles == tuple(np.quantile(held, SHARES, method="inverted_cdf").tolist())
            assert set(portrait.points) <= set(held.astype(float))
            assert (np.diff(portrait.points) >= 0).all()


def test_a_file_describes_itself(written):
    """What is written gives the same description as what was in memory, whatever plan this version would make."""
    ours, theirs = describe(written.vectors), describe_file(written.output)
    told = [json.dumps({**description.to_dict(), "source": ""}) for description in (ours, theirs)]
    assert told[0] == told[1]
    assert theirs.source == str(written.output)
    assert theirs.plan == written.plan.fingerprint


def test_a_population_is_described_to_the_width_of_a_bin(written):
    """Quantiles from histograms lie within a bin, a sixteenth, below those of the values; nulls are the same."""
    log = EventLog.open(table_of(rich_log()), roles())
    population = written.plan.fit(log.read()[0])
    described = describe_population(written.plan, population, "m")
    assert described.rows == len(written.vectors)
    for ours, exact in zip(described.portraits, describe(written.vectors).portraits, strict=True):
        assert ours.nulls == pytest.approx(exact.nulls)
        if len(exact.points):
            assert np.allclose(ours.quantiles, exact.quantiles, rtol=0.07, atol=1e-6), ours.feature.name


def test_a_feature_that_is_always_null_has_no_figures(written):
    """Nothing is made up where there is no value: null in all, no quantile, no point."""
    vectors = written.vectors.take(np.arange(3))
    vectors.values[0] = np.nan
    portrait = describe(vectors).portraits[0]
    assert portrait.nulls == 1.0
    assert np.isnan(portrait.quantiles).all()
    assert len(portrait.points) == 0


def test_files_of_vectors_are_told_from_logs(written, tmp_path):
    """A file of vectors is known by its metadata; a log, a text and a name of nothing are none."""
    pq.write_table(table_of(rich_log()), tmp_path / "events.parquet")
    (tmp_path / "text.csv").write_text("a,b\n")
    assert holds_vectors(written.output)
    for name in ("events.parquet", "text.csv", "nothing.parquet", "*.parquet"):
        assert not holds_vectors(tmp_path / name)


def test_a_file_that_is_no_file_of_vectors_is_refused(written, tmp_path):
    """Parquet without the metadata, without a column it names, or with another kind of metadata is named."""
    table = pq.read_table(written.output)
    path = tmp_path / "vectors.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(SchemaError, match=r"vectors\.parquet: expected vectors as 'peculiar features' writes them"):
        describe_file(path)
    pq.write_table(table.drop_columns([written.vectors.names[0]]), path)
    with pytest.raises(SchemaError, match=f"expected the columns {written.vectors.names[0]}, found none"):
        describe_file(path)
    odd = {**table.schema.metadata, b"peculiar.features": b'[{"colour": "red"}]'}
    pq.write_table(table.replace_schema_metadata(odd), path)
    with pytest.raises(PlanMismatchError, match="its features are told in another way"):
        describe_file(path)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_says_what_it_is(name):
    """The line under a family's name is a sentence of its own docstring."""
    assert family_line(name).endswith(".")
    assert family_line("no such family") == ""
