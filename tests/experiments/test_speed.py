"""The race is fair: the rival builds the same features, every figure is there, and each run is measured alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from peculiar.experiments.rivals import entrants
from peculiar.experiments.rivals.duels import RIVALS, Rival, duel
from peculiar.experiments.rivals.stopwatch import Run, Stopwatch, middle, run_apart
from peculiar.experiments.rivals.track import Track
from peculiar.experiments.speed import _book, main


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A run on a small log against everyone who lives in our own environment: its figures and what it printed."""
    folder = tmp_path_factory.mktemp("speed")
    out = folder / "speed.json"
    options = ["--events", "20000", "--users", "300", "--days", "30", "--repeats", "1", "--no-compile", "--no-book"]
    rivals = ["--rivals", "pandas,polars,duckdb"]
    done = CliRunner().invoke(main, [*options, *rivals, "--folder", str(folder), "--json", str(out)])
    assert done.exit_code == 0, done.output
    return json.loads(out.read_text()), done.output


@pytest.mark.long
def test_the_command_writes_every_figure(raced):
    """A run on a small log gives all that others read from its JSON, and the figures agree with each other."""
    found, output = raced
    assert found["events_per_second"] == pytest.approx(found["events"] / found["seconds"])
    assert found["ratio_to_scan"] == pytest.approx(found["seconds"] / found["scan"]["seconds"])
    assert found["shared_features"] == found["pandas"]["features"] <= found["pandas"]["ours"]["features"]
    assert found["pandas"] == found["rivals"]["pandas"]
    assert found["seconds"] == pytest.approx(sum(found["stages"].values()))
    assert {"read", "timeline", "volume", "breadth"} <= set(found["stages"])
    assert 50e6 < found["peak_rss_bytes"] < 2e9
    assert found["compile_seconds"] is None
    assert found["book_12_features_seconds"] is None
    assert "times as fast as vectorised pandas" in output


@pytest.mark.long
@pytest.mark.parametrize("name", ["pandas", "polars", "duckdb"])
def test_a_rival_on_the_same_log_is_compared_by_its_time(raced, name):
    """The ratio is that of the two times, over features that are all ours, and at least forty of them."""
    rival = raced[0]["rivals"][name]
    assert rival["events"] == 20_000
    assert raced[0][f"ratio_over_{name}"] == pytest.approx(rival["seconds"] / rival["ours"]["seconds"])
    assert raced[0][f"ratio_over_{name}_cpu"] == pytest.approx(rival["cpu_seconds"] / rival["ours"]["cpu_seconds"])
    assert 40 <= rival["features"] == rival["built"] <= rival["ours"]["features"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["groupby_apply", "featuretools", "tsfresh"])
def test_who_is_left_out_is_said(raced, name):
    """A rival that did not race has null for its ratio, and the reason stands in the file and on the screen."""
    found, output = raced
    assert found[f"ratio_over_{name}"] is None
    assert found["left_out"][name] == "not asked for"
    assert f"{RIVALS[name].said} is left out: not asked for" in output


@pytest.mark.long
def test_windows_of_events_leave_rivals_out(tmp_path):
    """One vector for each event: ours is measured, the rivals say why they are not."""
    out = tmp_path / "speed.json"
    options = ["--events", "20000", "--users", "300", "--days", "30", "--repeats", "1", "--no-compile", "--no-book"]
    windows = ["--every", "event", "--families", "volume,breadth"]
    done = CliRunner().invoke(main, [*options, *windows, "--folder", str(tmp_path), "--json", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["snapshots"] == found["events"] == 20_000
    assert found["ratio_over_duckdb"] is None
    assert "DuckDB is left out: it is written for windows of days only" in done.output


def test_an_unknown_rival_is_refused():
    """The error names the rivals there are."""
    done = CliRunner().invoke(main, ["--rivals", "spark"])
    assert done.exit_code != 0
    assert "duckdb" in done.output


@pytest.mark.parametrize(("way", "work"), [("extrapolated", 0.01), ("per feature computed", 0.005)])
def test_a_smaller_sample_is_scaled_to_the_whole(monkeypatch, tmp_path, way, work):
    """Seconds for each event, or for each event and feature, are held against ours on the whole log."""
    whole = entrants.Size(1_000_000, 10_000, 90, 7)
    track = Track(tmp_path, 1, "1d", compiling=False, console=Console(quiet=True))
    ours = Run({"all": 2.0}, 4.0, 1, 1, ("a", "b", "c", "d"))
    theirs = Run({"all": 3.0}, 3.0, 1, 1, ("entity", "as_of", "a", "z"))
    monkeypatch.setattr(Track, "ours", lambda *_: (ours, [ours]))
    monkeypatch.setattr(Track, "course", lambda *_: None)
    monkeypatch.setattr(Track, "run", lambda *_: [theirs])
    met = duel(Rival("somebody", (), 10_000, way, entrants.pandas), whole, track)
    assert (met["events"], met["built"], met["features"]) == (10_000, 2, 1)
    assert met["ratio"] == pytest.approx(3.0 / (2.0 * work))
    assert met["ratio_cpu"] == pytest.approx(3.0 / (4.0 * work))


@pytest.mark.benchmark_data
@pytest.mark.long
def test_the_books_features_are_timed(benchmark_data, monkeypatch, tmp_path):
    """With its payments there, the twelve features and the default families are measured on all of them."""
    monkeypatch.setenv("PECULIAR_DATA", str(benchmark_data))
    found = _book(Track(tmp_path, 1, "1d", compiling=False, console=Console(quiet=True)))
    assert found["book"]["events"] == 1_754_155
    assert 0.0 < found["book_12_features_seconds"] == found["book"]["twelve"]["seconds"]
    assert found["book"]["default_families"]["features"] > 14


def test_without_its_data_the_book_is_null(monkeypatch, tmp_path):
    """Where the payments are absent the figure is null and the reason is told."""
    monkeypatch.setenv("PECULIAR_DATA", str(tmp_path))
    found = _book(Track(tmp_path, 1, "1d", compiling=False, console=Console(quiet=True)))
    assert found["book_12_features_seconds"] is None
    assert "PECULIAR_DATA" in found["book"]["left_out"]


def test_a_sample_is_as_dense_as_the_log():
    """A smaller log for a slow rival has fewer users, not quieter ones."""
    whole = entrants.Size(10_000_000, 100_000, 90, 7)
    assert whole.scaled(2_000_000) == entrants.Size(2_000_000, 20_000, 90, 7)


def test_a_run_does_not_see_the_memory_of_another(tmp_path):
    """Each run has a process of its own: what the process that starts it holds does not count as the run's."""
    held = np.ones(800 * 2**17)
    run = run_apart(entrants.simulate, tmp_path, entrants.Size(20_000, 300, 30, 7))
    assert held.nbytes > 0.8e9
    assert run.rows == 20_000
    assert 20e6 < run.peak_rss_bytes < 0.6e9
    assert list(run.stages) == ["simulate"]


def test_the_middle_run_is_the_median():
    """Of three runs the one reported is neither the luckiest nor the unluckiest."""
    runs = [Run({"read": seconds}, seconds, 1, 1, ()) for seconds in (5.0, 1.0, 3.0)]
    assert middle(runs).seconds == 3.0


def test_a_part_of_a_stage_can_have_a_name_of_its_own():
    """What a stage loses to its part, the sum keeps."""
    watch = Stopwatch(seconds={"timeline": 3.0})
    watch.move(1.0, stage="read", out_of="timeline")
    assert watch.seconds == {"read": 1.0, "timeline": 2.0}
