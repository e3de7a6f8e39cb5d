"""What Spark takes is measured by Spark: a log is scored, and what was shuffled is read from its own record."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from peculiar.experiments.spark_scale import shuffled


@pytest.mark.spark
@pytest.mark.timeout(900)
def test_a_log_is_scored_and_the_shuffles_are_counted(tmp_path):
    """In a process of its own, as from the command line: every window has a score, and something was shuffled."""
    if shutil.which("java") is None:
        pytest.skip("no java on the PATH: install Java 17 or newer to run the Spark tests")
    out = tmp_path / "spark.json"
    command = ["-m", "peculiar.experiments.spark_scale", "--events", "25000", "--memory", "1g", "--cores", "1"]
    done = subprocess.run(
        [sys.executable, *command, "--folder", str(tmp_path), "--json", str(out)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert 1_000 < found["windows"] < 25_000
    assert found["shuffles"] >= 2
    assert found["shuffled_bytes"] > 25_000
    assert f"{found['windows']:,} windows" in done.stdout


def test_tasks_of_before_do_not_count(tmp_path):
    """Two stages of which one wrote, by tasks that were launched after the watch was started."""

    def task(stage: int, launched: int, size: int) -> str:
        metrics = {"Shuffle Write Metrics": {"Shuffle Bytes Written": size}}
        told = {"Event": "SparkListenerTaskEnd", "Stage ID": stage, "Task Info": {"Launch Time": launched}}
        return json.dumps({**told, "Task Metrics": metrics}, separators=(",", ":"))

    lines = [task(0, 900, 50), task(1, 1_000, 7), task(1, 1_500, 5), task(2, 2_000, 0), '{"Event":"Other"}']
    (tmp_path / "local-1").write_text("\n".join(lines))
    assert shuffled(tmp_path, since=1.0) == (1, 12)
    assert shuffled(tmp_path) == (2, 62)
