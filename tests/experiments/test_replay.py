"""Evidence carries alerts: the measurement does what it says, and small models' alerts stand on theirs."""

from __future__ import annotations

import json
from datetime import date

import pytest
from click.testing import CliRunner

from peculiar.experiments.replay import Learned, main, measure


def test_without_their_evidence_alerts_are_none(trained, city):
    """Of a week of alerts of LightGBM and of the Isolation Forest nine in ten fall below the line; others say so."""
    versions = {version.kind: int(version.number) for version in trained.result.versions}
    assert set(versions) == {"isolation_forest", "lightgbm"}
    days = (date(2025, 2, 8), date(2025, 2, 15))
    found = measure(Learned(city.events, city.labels, trained.store, versions, days), budget=10)
    for told in found.values():
        assert told["alerts"] == 70
        assert told["below"] + told["weak"] + told["untold"] == pytest.approx(1.0)
        assert told["below"] >= 0.9  # of seventy; one of the two reaches 0.943
        assert told["emptied"] < told["below"]
        assert 0.0 <= told["shares"][0] <= told["shares"][-1] <= 1.0


@pytest.mark.long
def test_the_command_writes_every_figure(tmp_path):
    """A small run gives for the detector that is asked for all that the screen shows."""
    out = tmp_path / "replay.json"
    options = ["--events", "20000", "--detectors", "tails", "--budget", "3", "--json", str(out)]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert (found["log"], found["events"], found["budget"]) == ("simulated", 20000, 3)
    assert found["tails"]["alerts"] == 120
    assert found["tails"]["replay_per_1000"]["cpu_seconds"] > 0.0
    assert "tails: 120 alerts" in done.output
