"""What a training keeps for later periods: counts in cells, how far days and weeks were apart, and no names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from peculiar.features.population import bins_of, histogram
from peculiar.training.references import load
from peculiar.training.usual import CELLS, Usual, cells_of, count_cells, ks, psi, tenths

counts = st.lists(st.integers(0, 200), min_size=3, max_size=20).map(lambda each: np.array(each, np.int64))


@given(counts, st.randoms())
def test_psi_is_symmetric_and_zero_only_for_equal_shares(before, random):
    """The sum written out; the same both ways; zero for multiples but for the half row that each bin gets."""
    now = before.copy()
    random.shuffle(now)
    p, q = (before + 0.5) / (before + 0.5).sum(), (now + 0.5) / (now + 0.5).sum()
    assert psi(before, now) == pytest.approx(sum((b - a) * np.log(b / a) for a, b in zip(p, q, strict=True)))
    assert psi(before, now) == pytest.approx(psi(now, before))
    assert psi(before, before) == 0


@given(st.lists(st.integers(0, 9), min_size=5, max_size=80), st.lists(st.integers(0, 9), min_size=5, max_size=80))
def test_ks_is_that_of_the_samples_where_each_value_is_a_bin(first, second):
    """The two-sample statistic of scipy, from counts alone."""
    one, other = (np.bincount(sample, minlength=10) for sample in (first, second))
    assert ks(one, other) == pytest.approx(ks_2samp(first, second, method="asymp").statistic)


def test_cells_hold_about_equal_counts_and_all_of_them():
    """At most 32 cells from the lowest bin on; a value that many rows have is a cell of its own."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.gamma(2.0, 5.0, 9_000), np.full(3_000, 7.0), np.full(50, np.nan)]).astype(np.float32)
    bins = histogram([values])[0]
    start = cells_of(bins)
    found = count_cells(values, start, np.zeros(len(values), np.int64), 1)[0]
    assert start[0] == 0
    assert len(start) <= CELLS
    assert found[-1] == 50
    assert found.sum() == len(values)
    assert np.array_equal(found[:-1], np.add.reduceat(bins, start))
    alone = np.searchsorted(start, bins_of(np.array([7.0], np.float32))[0], side="right") - 1
    assert found[alone] >= 3_000
    assert np.delete(found[:-1], alone).max() < 2 * len(values) / CELLS


@given(st.lists(st.floats(-1e6, 1e6, width=32) | st.just(np.nan), min_size=1, max_size=60), st.integers(1, 4))
def test_counting_by_group_is_counting_each_group(values, groups):
    """The kernel against a plain count of bins."""
    column = np.array(values, np.float32)
    group = np.arange(len(column)) % groups
    start = cells_of(histogram([column])[0])
    found = count_cells(column, start, group, groups)
    plain = np.zeros_like(found)
    for value, owner in zip(column, group, strict=True):
        cell = -1 if np.isnan(value) else np.searchsorted(start, bins_of(np.array([value]))[0], side="right") - 1
        plain[owner, cell] += 1
    assert np.array_equal(found, plain)


def test_tenths_cut_into_stretches_of_about_a_tenth():
    """Of equal cells exactly; nulls are a stretch of their own."""
    assert tenths(np.array([10] * 20 + [3])).tolist() == [*range(0, 20, 2), 20]
    assert tenths(np.array([5, 0])).tolist() == [0, 1]


def test_the_card_of_a_model_carries_it(trained):
    """It reads back from the registered model, is of the rows after the acquaintance, and knows its own spread."""
    model = load(trained.store, "models:/peculiar@champion").model
    usual = Usual.from_card(model.card)
    material, at = trained.result.material, trained.log.read()[0].at
    assert set(usual.cells) == {feature.name for feature in model.plan.features}
    assert all(cells.counts.sum() == usual.rows for cells in usual.cells.values())
    assert usual.since >= material.acquainted
    assert usual.until == material.test.as_of.max()
    assert usual.events.total == np.sum((at >= usual.since) & (at < usual.until))
    score = model.detector.score(material.test)
    assert np.sum(score >= usual.line) == pytest.approx(usual.alerts * len(np.unique(material.asides.day)), abs=1)
    assert usual.cells["events_count_1d"].daily[0] > 0


def test_it_holds_no_name_of_an_entity_or_a_value(trained):
    """Counts and hashes alone, small enough for a card."""
    text = json.dumps(load(trained.store, "models:/peculiar@champion").model.card["usual"])
    events = trained.log.source.read(["user_id", "vehicle", "item"])
    for name in events.column_names:
        assert not any(f'"{value}"' in text for value in events[name].unique().to_pylist() if value)
    assert len(text) < 300_000


def test_a_model_from_before_has_none():
    """No reference, no error: who monitors says so."""
    assert Usual.from_card({}) is None
    assert Usual.from_card({"usual": {"format": 99}}) is None
