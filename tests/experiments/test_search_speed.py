"""The measurement of the search does what it says, at a size that takes no time."""

from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner

from peculiar.experiments.search_speed import drawn, main


def test_the_command_writes_every_figure(tmp_path):
    """A tiny search tells its time, its trials and its size, on the screen and in the file."""
    out = tmp_path / "search.json"
    options = ["--rows", "3000", "--features", "10", "--positives", "0.05", "--trials", "3", "--folds", "2"]
    done = CliRunner().invoke(main, [*options, "--learn", "1000", "--json", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert (found["rows"], found["features"], found["positives"], found["trials"]) == (3000, 10, 150, 3)
    assert found["value"] >= found["start_value"] > 0.05
    assert 0 < found["first_seconds"] <= found["seconds"]
    assert found["sampling"]["rows"] == 1000
    assert "3 trials" in done.output


def test_what_is_drawn_can_be_learned():
    """The labels are of rows that the telling features are high in, and the seed decides."""
    vectors, labels = drawn(2000, 20, positives=0.02, seed=1)
    assert len(labels) == 40
    again = drawn(2000, 20, positives=0.02, seed=1)[0]
    assert np.array_equal(vectors.values, again.values, equal_nan=True)
    assert not np.array_equal(vectors.values, drawn(2000, 20, positives=0.02, seed=2)[0].values, equal_nan=True)
