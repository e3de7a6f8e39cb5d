"""p-values beside scores, alerts by false-discovery rate, and a warning when p-values stop meaning what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from peculiar.errors import ConfigError
from peculiar.serving.scoring import score_batch, score_events
from peculiar.training.asides import days_of
from peculiar.training.calibration import Calibration, alerts_at_rate
from peculiar.training.references import load

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 86_400_000_000
START = 20_094 * DAY  # 6 January 2025, the first day of the simulated city
PERIOD = {"since": START + 28 * DAY, "until": START + 42 * DAY}


@pytest.fixture(scope="module")
def model(trained):
    """The registered forest."""
    version = next(version for version in trained.result.versions if version.kind == "isolation_forest")
    return load(trained.store, version.uri).model


def column(table: pa.Table, name: str) -> np.ndarray:
    """A column as an array."""
    return table[name].to_numpy()


def test_scores_have_the_p_values_of_the_model(city, trained, model):
    """A scored window has the p-value that it had when the candidate was judged, which is in its run."""
    split = trained.result.material.split
    table = score_events(
        model, city.events, labels=city.labels, since=split.test_from, until=split.test_until, explain=0
    )
    candidate = next(each for each in trained.result.candidates if each.kind == "isolation_forest")
    assert column(table, "p_value").tobytes() == candidate.judged.p_value.tobytes()


def test_a_model_without_a_calibration_scores_without_p_values(city, model):
    """The column is there and null; ranks and alerts are as ever."""
    bare = score_events(replace(model, calibration=None), city.events, **PERIOD, explain=0)
    full = score_events(model, city.events, **PERIOD, explain=0)
    assert bare["p_value"].null_count == bare.num_rows
    assert bare.schema == full.schema
    assert bare["alert"].equals(full["alert"])


def test_alerts_by_rate_take_the_place_of_the_budget(city, model):
    """Without a budget the alerts are those of the procedure; with one, too, those that both would raise."""
    coarse = replace(model, calibration=Calibration.fit(np.linspace(-50.0, 50.0, 100_000)))
    batch = score_batch(coarse, city.events, **PERIOD, explain=0, fdr=0.9)
    vectors, p = batch.vectors, column(batch.table, "p_value")
    day = days_of(vectors, model.plan.windows, "UTC")
    expected = alerts_at_rate(p, day=day, entity=vectors.entity, rate=0.9)
    assert column(batch.table, "alert").tolist() == expected.tolist()
    sharp = replace(model, calibration=Calibration.fit(np.full(100_000, -1e9)))
    everyone = score_batch(sharp, city.events, **PERIOD, explain=0, fdr=0.5).table
    assert column(everyone, "alert").all()
    both = score_batch(sharp, city.events, **PERIOD, explain=0, fdr=0.5, budget=3).table
    assert column(both, "alert").tolist() == (column(both, "rank") <= 3).tolist()


def test_a_rate_asked_of_an_uncalibrated_model_is_refused(city, model):
    """The message names the way out."""
    with pytest.raises(ConfigError, match=r"expected a calibrated model .* ask for a budget"):
        score_batch(replace(model, calibration=None), city.events, **PERIOD, explain=0, fdr=0.1)


def test_a_drift_is_noted_for_rows_after_the_calibration_alone(city, model):
    """Where every new row beats the calibration the report warns; where no row is new it has nothing to say."""
    drifted = replace(model, calibration=Calibration.fit(np.full(5000, -1e9)))
    warned = score_batch(drifted, city.events, **PERIOD, explain=0).report.notes
    assert any("p <= 0.01 was promised for" in note for note in warned)
    until = model.card["calibration"]["until"]
    before = score_batch(drifted, city.events, since=START + 7 * DAY, until=until, explain=0).report.notes
    assert not any("was promised" in note for note in before)
