"""The measurements of scale are of what they say: every figure is there, and what is compared is the same."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from peculiar.experiments.scale import exponent, main
from peculiar.training.references import load


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """A folder that has a model already, so that none is trained."""
    home = tmp_path_factory.mktemp("scale")
    load(trained.store, "models:/peculiar@champion").model.save(home / "model-isolation_forest")
    return home


def measured(folder, *options: str) -> tuple[dict, str]:
    """The figures of a run on a small log, and what it printed."""
    out = folder / "figures.json"
    given = ["--events", "20000", "--memory", "1GB", "--folder", str(folder), "--json", str(out), *options]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    return json.loads(out.read_text()), done.output


@pytest.mark.long
def test_a_log_is_taken_through(folder):
    """Rate, stages, memory and bytes of one size; of one size there is no exponent, and nothing but the log is left."""
    found, output = measured(folder)
    [run] = found["runs"]
    assert run["events_per_second"] == pytest.approx(20_000 / run["seconds"])
    assert run["seconds"] == pytest.approx(sum(run["stages"].values()))
    assert set(run["stages"]) == {"split", "meeting", "vectors and scores", "cleaning"}
    assert 50e6 < run["peak_bytes"] < 2e9
    assert run["vectors"] > 1_000
    assert run["written_bytes"] > run["vectors"] * 100
    assert (found["memory"], found["limited"], found["exponent"]) == (10**9, False, None)
    assert "20,000 events" in output
    assert not list((folder / "out-20000").iterdir())


def test_the_exponent_is_the_slope():
    """Twice the events in twice the time are linear, in four times the time quadratic; one size has no slope."""
    assert exponent([10, 20, 40], [1.0, 2.0, 4.0]) == pytest.approx(1.0)
    assert exponent([10, 20, 40], [1.0, 4.0, 16.0]) == pytest.approx(2.0)
    assert exponent([10], [1.0]) is None


@pytest.mark.long
def test_a_new_day_is_held_against_a_rebuild(folder):
    """The share is that of the seconds, the day is the log's last, and both made it the same in every bit."""
    found, output = measured(folder, "--increment")
    assert found["identical"] is True
    assert found["share"] == pytest.approx(found["new_day"]["seconds"] / found["rebuild"]["seconds"])
    assert found["cpu_share"] == pytest.approx(found["new_day"]["cpu_seconds"] / found["rebuild"]["cpu_seconds"])
    assert 0 < found["new_day"]["vectors"] < found["rebuild"]["vectors"] / 20
    assert 0 < found["day_events"] < 20_000 / 20
    assert found["day"] == "2025-04-05"
    assert "the same in every bit" in output
    assert not (folder / "store").exists()
    assert not (folder / "rebuilt").exists()


def test_a_day_that_differs_is_not_called_the_same(tmp_path):
    """The comparison finds a bit that differs, a row that is missing, and a file that is whole."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from peculiar.experiments.increment import _same

    day = np.datetime64("2025-04-05")
    rows = {"since": pa.array(np.array([day, day], "datetime64[us]")), "x": pa.array([0.0, 1.0])}
    for kind in ("vectors", "scores"):
        for name in ("all", "day"):
            pq.write_table(pa.table(rows), tmp_path / f"{name}-{kind}.parquet")
    assert _same(tmp_path, day.item())
    pq.write_table(pa.table({**rows, "x": [-0.0, 1.0]}), tmp_path / "day-scores.parquet")
    assert not _same(tmp_path, day.item())
    pq.write_table(pa.table(rows).slice(0, 1), tmp_path / "day-scores.parquet")
    assert not _same(tmp_path, day.item())
