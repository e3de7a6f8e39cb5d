"""The race is fair: the rival builds the same features, every figure is there, and each run is measured alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.experiments.rivals import entrants, pandas_features
from peculiar.experiments.rivals.recipe import Recipe
from peculiar.experiments.rivals.stopwatch import Run, Stopwatch, middle, run_apart
from peculiar.experiments.speed import _PANDAS_FAMILIES, main
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan

DAY = 86_400_000_000
START = 1_735_689_600_000_000  # 1 January 2025


def random_log(seed: int) -> pa.Table:
    """A small log with nulls, ties, gaps of weeks, and users of one event."""
    rng = np.random.default_rng(seed)
    n = 4000
    at = np.sort(np.append(rng.integers(0, 70 * DAY, n // 2), rng.integers(0, 70 * 24, n // 2) * (DAY // 24)))
    at[rng.random(n) < 0.1] //= 60_000_000 * 60
    at = np.sort(np.where(at < DAY, at * 3600, at))

    def names(prefix: str, size: int, share_null: float = 0.0) -> pa.Array:
        values = [f"{prefix}{int(code)}" for code in size * rng.random(n) ** 2]
        return pa.array(values, mask=rng.random(n) < share_null)

    columns = {
        "event_id": np.arange(n),
        "user_id": names("u", 40),
        "ts": pa.array(at + START).cast(pa.timestamp("us", "UTC")),
        "action": names("act", 20, 0.05),
        "device": names("d", 30),
        "item": names("i", 9, 0.6),
        "amount": pa.array(np.round(rng.lognormal(3, 1, n), 2), mask=rng.random(n) < 0.7),
        "bytes": rng.integers(0, 50, n).astype(float),
    }
    return pa.table(columns)


@pytest.mark.parametrize("seed", [1, 2])
def test_pandas_builds_the_same_features(tmp_path, seed):
    """Every feature of the five families comes out of pandas as out of the kernels, so the race is over one course."""
    path = tmp_path / "events.parquet"
    pq.write_table(random_log(seed), path, row_group_size=1000)
    log = EventLog.open(str(path))
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles)
    shared = tuple(family for family in plan.families if family.name in pandas_features.FAMILIES)
    plan = replace(plan, families=shared)  # as the race has it: a baseline of other families' levels is not on course
    population = plan.fit(timeline)
    ours = plan.vectors(timeline, population)
    recipe = Recipe.of(plan, population)
    theirs = pandas_features.build(pandas_features.read(path, recipe), recipe).sort_values(["entity", "as_of"])
    assert theirs["entity"].tolist() == ours.entity.to_pylist()
    np.testing.assert_array_equal(theirs["as_of"], ours.as_of)
    assert sorted(ours.names) == sorted(set(theirs.columns) - {"entity", "as_of"})
    for name in ours.names:
        np.testing.assert_allclose(theirs[name], ours.column(name), rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_command_asks_for_the_families_that_pandas_has():
    """The command does not import the rival to learn its families, so both must say the same."""
    assert _PANDAS_FAMILIES == pandas_features.FAMILIES


def test_the_command_writes_every_figure(tmp_path):
    """A run on a small log gives all that others read from its JSON, and the figures agree with each other."""
    out = tmp_path / "speed.json"
    options = ["--events", "20000", "--users", "300", "--days", "30", "--repeats", "1", "--no-compile"]
    done = CliRunner().invoke(main, [*options, "--folder", str(tmp_path), "--json", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["events_per_second"] == pytest.approx(found["events"] / found["seconds"])
    assert found["ratio_to_scan"] == pytest.approx(found["seconds"] / found["scan"]["seconds"])
    assert found["ratio_over_pandas"] == pytest.approx(found["pandas"]["seconds"] / found["pandas"]["ours"]["seconds"])
    assert found["shared_features"] == found["pandas"]["ours"]["features"] <= found["features"]
    assert found["seconds"] == pytest.approx(sum(found["stages"].values()))
    assert {"read", "timeline", *_PANDAS_FAMILIES} <= set(found["stages"])
    assert 50e6 < found["peak_rss_bytes"] < 2e9
    assert found["compile_seconds"] is None
    assert "times as fast as vectorised pandas" in done.output


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
