"""Judging a candidate: calibrated on rows after its training, measured in full, sliced without pointing at persons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from peculiar.training.candidates import fit_candidate
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.judgement import judge
from peculiar.training.labels import confirmed
from peculiar.training.material import prepare
from peculiar.training.metrics import average_precision_interval
from peculiar.training.records import record_of


@pytest.fixture(scope="module")
def material(trained):
    """What the training learned from and was judged by."""
    return trained.result.material


@pytest.fixture(scope="module")
def candidate(trained):
    """The forest of the training."""
    return next(candidate for candidate in trained.result.candidates if candidate.kind == "isolation_forest")


def judged(candidate, material, **changes):
    """The forest judged anew on changed material."""
    return judge(candidate.fitted, candidate.score, replace(material, **changes), budget=10, seed=0)


def test_the_calibration_is_of_rows_after_the_training(material):
    """Its rows begin no earlier than the training ends, and are calm by what is known when the log ends."""
    later, split = material.later, material.split
    assert later.since == split.train_until
    assert later.vectors.since.min() >= later.since
    assert later.vectors.as_of.max() <= later.until
    assert not confirmed(later.vectors, material.labels, known_by=split.test_until).any()
    assert len(later.vectors) >= 1500 or later.until > split.test_from


def test_p_values_are_those_of_the_calibration(candidate, material):
    """They count how many calibration rows score as high."""
    kept = candidate.fitted.score(material.later.vectors)
    rows = np.arange(0, len(material.test), 37)
    plain = [(1 + (kept >= score).sum()) / (1 + len(kept)) for score in candidate.score[rows]]
    assert candidate.judged.p_value[rows] == pytest.approx(plain, abs=1e-15)


def test_validity_is_watched_on_later_normal_rows(candidate, material):
    """Only rows after the calibration count, without those that turned out to be trouble."""
    told, p = candidate.judged, candidate.judged.p_value
    normal = (material.test.as_of > material.later.until) & ~material.test_truth
    assert np.array_equal(told.normal, normal)
    assert told.metrics["calibration/share_at_1pct"] == pytest.approx((p[normal] <= 0.01).mean())
    assert told.metrics["calibration/rows"] == normal.sum() == sum(told.weeks["rows"])
    low, high = (told.metrics[f"calibration/share_at_1pct_{end}"] for end in ("low", "high"))
    assert low <= told.metrics["calibration/share_at_1pct"] <= high
    assert told.weeks["day"][0].startswith("2025-0")


def test_a_drift_is_told(candidate, material):
    """If later rows score much higher than those of the calibration, the guard speaks and the promise does not hold."""
    drifted = judge(candidate.fitted, candidate.score + 5.0, material, budget=10, seed=0)
    assert drifted.metrics["calibration/holds"] == 0.0
    assert any("p <= 0.01 was promised for" in note for note in drifted.notes)


def test_without_rows_to_calibrate_by_it_is_said(candidate, material):
    """No later row: no p-value, no calibration metric, a note."""
    told = judged(candidate, material, later=None)
    assert (told.calibration, told.p_value, told.validity) == (None, None, None)
    assert not any(name.startswith("calibration/") for name in told.metrics)
    assert any("not calibrated" in note for note in told.notes)


def test_metrics_have_intervals_value_and_time(candidate, material):
    """Average precision has its interval over entities; value is what alerts found of what was at stake."""
    metrics, truth, value = candidate.judged.metrics, material.test_truth, material.asides.value
    expected = average_precision_interval(truth, candidate.score, entity=material.test.entity, seed=0)
    assert metrics["test/average_precision"] == pytest.approx(expected.value)
    assert metrics["test/average_precision_low"] == expected.low < expected.high
    place = np.lexsort((-candidate.score, material.asides.day))
    day = material.asides.day[place]
    alert = np.zeros(len(day), bool)
    alert[place] = np.arange(len(day)) - np.searchsorted(day, day) < 10
    assert metrics["test/value_recall_at_budget"] == pytest.approx(value[truth & alert].sum() / value[truth].sum())
    found = set(np.array(material.test.entity.to_pylist())[truth & alert])
    bad = set(np.array(material.test.entity.to_pylist())[truth])
    assert metrics["test/never_detected"] == pytest.approx(1 - len(found) / len(bad))


def test_reviewed_alerts_are_counted_among_those_looked_at(candidate, material):
    """Where somebody was cleared, precision is also told among confirmed and cleared alerts; else it is not."""
    assert "test/reviewed_precision_at_budget" not in candidate.judged.metrics
    everyone = judged(candidate, material, test_cleared=~material.test_truth)
    precision = everyone.metrics["test/reviewed_precision_at_budget"]
    assert precision == pytest.approx(everyone.metrics["test/precision_at_budget"])
    nobody = judged(candidate, material, test_cleared=np.zeros(len(material.test), bool))
    assert "test/reviewed_precision_at_budget" not in nobody.metrics


def test_slices_add_up_and_hide_the_few(candidate, material):
    """Rows and alerts of the slices are those of the whole; a value of fewer than 20 entities has no slice."""
    entity = np.array(material.test.entity.to_pylist())
    names = np.unique(entity)
    sort = {name: "rare" if place < 19 else "even" if place % 2 else "odd" for place, name in enumerate(names)}
    column = pa.array([sort[name] for name in entity]).dictionary_encode()
    told = judged(candidate, material, asides=replace(material.asides, audited={"sort": column}, group=column))
    assert set(told.slices) == {"peer_group", "sort"}
    table = told.slices["sort"].set_index("slice")
    assert set(table.index) == {"even", "odd", "(others)"}
    assert table["rows"].sum() == len(entity)
    assert table.loc["(others)", "entities"] == 19
    assert table["alerts"].sum() == 10 * len(np.unique(material.asides.day))
    assert (table["alert_share"] == table["alerts"] / table["rows"]).all()


def test_without_labels_slices_tell_only_how_alerts_fall(candidate, material):
    """No truth: no precision, no recall, but still who gets the alerts."""
    column = pa.array(["all"] * len(material.test)).dictionary_encode()
    asides = replace(material.asides, audited={"sort": column})
    told = judged(candidate, material, test_truth=None, test_cleared=None, asides=asides)
    assert list(told.slices["sort"].columns) == ["slice", "rows", "entities", "alerts", "alert_share"]
    assert {name.split("/")[0] for name in told.metrics} == {"calibration"}


def test_a_rehearsal_is_searched_by_and_told(trained):
    """Without labels settings are searched by staged misbehaviour before the test, and what is found in it is told."""
    small = IsolationForest(trees=30, group_trees=5, samples=256)
    settings = replace(trained.settings, trials=2, rehearse=2, chosen=(small,))
    timeline, _, _ = trained.log.read()
    staged = prepare(timeline, trained.log.roles, None, settings=settings)
    learned, practice = staged.practice
    assert learned.as_of.max() <= practice.vectors.since.min()
    assert practice.vectors.as_of.max() <= staged.split.train_until
    assert staged.rehearsal.vectors.since.min() >= staged.split.test_from
    found = fit_candidate("isolation_forest", staged, settings)
    assert list(found.trials["number"]) == [0, 1]
    score = found.fitted.score(staged.rehearsal.vectors)
    assert found.judged.kinds == staged.rehearsal.table(score)
    assert found.metrics["rehearsal/recall"] == pytest.approx(np.mean(list(staged.rehearsal.recall(score).values())))
    assert record_of(found, staged, settings).tables["tables/injected_kinds.json"] == found.judged.kinds
