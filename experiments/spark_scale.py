"""From a log on disk to scores on disk by Spark on this machine: events a second, and what is shuffled.

``python -m peculiar.experiments.spark_scale --events 1000000 --json spark.json`` writes a simulated log, trains a model
on a small part of the users of another, and scores the log with as many Python workers as there are cores. Spark's
start, and that of its workers, does not count: a small log is scored first. What was shuffled is read from Spark's own
event log.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .scale import trained_model, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from ..training.model import Model

__all__ = ["measure", "shuffled"]

_FEW = 20_000  # events, to start everything with


def measure(
    folder: Path, events: int, *, cores: int, memory: str = "4g", detector: str = "isolation_forest"
) -> dict[str, Any]:
    """Score a log by Spark.

    Parameters
    ----------
    folder : Path
        Where logs, model, output and Spark's event log go; what is there already is taken as it is.
    events : int
    cores : int
        Tasks at a time, each with a Python worker.
    memory : str
        Of the virtual machine alone, as Spark writes sizes.
    detector : str

    Returns
    -------
    dict
        Plain data: ``events``, ``windows``, ``seconds``, ``events_per_second``, ``shuffles`` (stages that wrote for
        others), ``shuffled_bytes`` (compressed, as they are written), ``cores``.
    """
    from ..training.model import Model

    model, told = Model.load(trained_model(folder, detector)), folder / "spark-events"
    shutil.rmtree(told, ignore_errors=True)
    told.mkdir()
    with _session(cores, memory, told) as spark:
        _score(spark, model, written(folder, _FEW), folder / "spark-few", buckets=4 * cores)  # some for each worker
        log, began, start = written(folder, events), time.time(), time.perf_counter()
        _score(spark, model, log, folder / "spark-scores")
        seconds = time.perf_counter() - start
        windows = spark.read.parquet(str(folder / "spark-scores")).count()
    stages, size = shuffled(told, since=began)
    return {
        "events": events,
        "windows": windows,
        "seconds": seconds,
        "events_per_second": events / seconds,
        "shuffles": stages,
        "shuffled_bytes": size,
        "cores": cores,
    }


def shuffled(folder: Path, *, since: float = 0.0) -> tuple[int, int]:
    """How many stages wrote for others, and how many bytes, by the event logs in a folder.

    Parameters
    ----------
    folder : Path
    since : float
        Only of tasks that were launched from then on, seconds since 1970 UTC.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as home:
    ...     told = {"Event": "SparkListenerTaskEnd", "Stage ID": 3, "Task Info": {"Launch Time": 1000}}
    ...     told["Task Metrics"] = {"Shuffle Write Metrics": {"Shuffle Bytes Written": 70}}
    ...     written_bytes = (Path(home) / "log").write_text(json.dumps(told))
    ...     shuffled(Path(home)), shuffled(Path(home), since=2.0)
    ((1, 70), (0, 0))
    """
    found: dict[int, int] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if '"SparkListenerTaskEnd"' in line:
                    stage, launched, size = _task(json.loads(line))
                    if launched >= since and size:
                        found[stage] = found.get(stage, 0) + size
    return len(found), sum(found.values())


def _task(told: dict[str, Any]) -> tuple[int, float, int]:
    """The stage of a task that ended, when it was launched, and what it wrote for others."""
    metrics = told.get("Task Metrics") or {}
    size = metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
    return int(told["Stage ID"]), told["Task Info"]["Launch Time"] / 1000.0, int(size)


def _score(spark: SparkSession, model: Model, log: Path, out: Path, *, buckets: int | None = None) -> None:
    from ..features.spark import SparkEvents
    from ..serving.spark import score_frame

    with SparkEvents.over(spark.read.parquet(str(log)), model.plan, buckets=buckets) as events:
        score_frame(model, events).write.mode("overwrite").parquet(str(out))


@contextmanager
def _session(cores: int, memory: str, told: Path) -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    settings = {
        "spark.driver.memory": memory,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": str(4 * cores),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": told.absolute().as_uri(),
    }
    builder = SparkSession.builder.master(f"local[{cores}]").appName("peculiar")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()


@click.command()
@click.option("--events", type=click.IntRange(min=20_000), default=1_000_000, show_default=True)
@click.option("--cores", type=click.IntRange(min=1), default=os.cpu_count() or 1, help="Tasks at a time.")
@click.option("--memory", default="4g", show_default=True, help="Of Spark's virtual machine alone.")
@click.option("--detector", default="isolation_forest", show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep logs and model here.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def main(folder: Path | None, out: Path | None, **asked: Any) -> None:
    """Measure a log's way to scores by Spark on this machine."""
    with tempfile.TemporaryDirectory() as passing:
        found = measure(folder or Path(passing), **asked)
    print(
        f"{found['events']:,} events, {found['windows']:,} windows: {found['seconds']:.1f} s, "
        f"{found['events_per_second']:,.0f} events/s on {found['cores']} cores; "
        f"{found['shuffled_bytes'] / 1e6:,.1f} MB shuffled in {found['shuffles']} stages"
    )
    if out is not None:
        out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
