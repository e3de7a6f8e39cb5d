"""The measurement of a night's work does what it says, at a size that takes little time."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.experiments.end_to_end import Stages, main


@pytest.mark.long
def test_the_command_writes_every_figure(tmp_path):
    """Every stage has its time and its memory, and the scores that were timed are there."""
    out = tmp_path / "end.json"
    options = ["--events", "20000", "--detectors", "tails", "--runs", "1", "--folder", str(tmp_path / "night")]
    done = CliRunner().invoke(main, [*options, "--json", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    told, scores = found["tails"], pq.read_table(tmp_path / "night" / "scores.parquet")
    assert (told["snapshots"], found["events"]) == (scores.num_rows, 20000)
    assert told["alerts"] == sum(scores["alert"].to_pylist()) > 0
    stages = told["stages"]
    assert {"start", "reading", "vectors", "scoring", "reasons", "writing", "recording"} <= set(stages)
    assert told["seconds"] == pytest.approx(sum(stage["seconds"] for stage in stages.values()))
    assert all(stage["peak_bytes"] > 1e8 for name, stage in stages.items() if name != "start")
    assert told["peak_bytes"] == max(stage.get("peak_bytes", 0) for stage in stages.values())
    assert "tails: 20,000 events" in done.output


def test_what_a_stage_took_is_added_up():
    """The families of features are one stage, and a stage may come twice."""
    stages = Stages()
    for what in ("reading", "volume", "breadth", "scoring", "reading"):
        stages.done(what)
    assert list(stages.seconds) == ["reading", "vectors", "scoring"]
    assert all(seconds >= 0 for seconds in stages.seconds.values())
