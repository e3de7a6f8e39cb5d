"""How long a night's work takes: a log on disk to scores and alerts on disk, with a registered model.

``python -m peculiar.experiments.end_to_end --events 10000000 --json end.json`` writes a simulated log, trains on one
user in twenty, and scores all of it with each registered version in a fresh process: start, imports and the loading of
the model count. Every day's alerts get their reasons. The most memory is that of each stage, by what the system tells.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..features.columns import stable_hash
from ..features.families import FAMILIES
from .rivals.stopwatch import run_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rivals.stopwatch import Run, Stopwatch

__all__ = ["Stages", "learned_from", "measure"]

_EVENTS_A_USER, _DAYS = 80, 40
_ONE_IN = 20
_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Stages:
    """Wall and CPU seconds and the most memory of each stage, told apart by what scoring says that it has done.

    Attributes
    ----------
    seconds, cpu_seconds : dict of str to float
    peak_bytes : dict of str to int
        The most memory that the process held during the stage; of all stages so far where the system cannot forget.

    Examples
    --------
    >>> stages = Stages()
    >>> stages.done("volume", 0.1)
    >>> stages.done("reading", 1.0)
    >>> list(stages.seconds)
    ['vectors', 'reading']
    """

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=time.process_time)

    def done(self, what: str, share: float = 1.0) -> None:
        """End a stage: the families of features are one."""
        del share
        stage = "vectors" if what in FAMILIES else what
        wall, cpu = time.perf_counter(), time.process_time()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + wall - self._wall
        self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + cpu - self._cpu
        self.peak_bytes[stage] = max(self.peak_bytes.get(stage, 0), _peak())
        self._wall, self._cpu = wall, cpu


def measure(folder: Path, *, events: int, detectors: Sequence[str], runs: int = 3, seed: int = 0) -> dict[str, Any]:
    """Simulate, train on a part, score all, and tell what each stage took.

    Parameters
    ----------
    folder : Path
        Where the log, the store and the scores go.
    events : int
    detectors : sequence of str
        "isolation_forest", "lightgbm" and others that can be trained.
    runs : int
        Fresh processes per detector; the figures are those of the median run.
    seed : int

    Returns
    -------
    dict
        Plain data: the sizes, and for each detector ``seconds``, ``cpu_seconds`` and ``peak_bytes`` per stage and in
        all, with the seconds of every run.
    """
    from .simulate import write_simulation

    write_simulation(folder, events=events, users=max(200, events // _EVENTS_A_USER), days=_DAYS, seed=seed)
    versions = learned_from(folder, detectors, seed=seed)
    found: dict[str, Any] = {"events": events, "cores": os.cpu_count(), "runs": runs}
    for kind, version in versions.items():
        told = sorted((_scored(folder, version) for _ in range(runs)), key=lambda run: run["seconds"])
        median = told[len(told) // 2]
        found[kind] = median | {"all_seconds": [run["seconds"] for run in told]}
    return found


def learned_from(folder: Path, detectors: Sequence[str], *, one_in: int = _ONE_IN, seed: int = 0) -> dict[str, int]:
    """Train on a part of the users of ``events.parquet`` and ``labels.parquet``; the version that each detector got."""
    from ..config import Config
    from ..features.events import EventLog
    from ..training.store import open_store
    from ..training.train import train

    events, labels = folder / "part.parquet", folder / "part-labels.parquet"
    for source, who, part in (("events", "user_id", events), ("labels", "entity", labels)):
        table = pq.read_table(folder / f"{source}.parquet")
        names = table[who].cast(pa.string()).combine_chunks().dictionary_encode()
        chosen = stable_hash(names.dictionary) % np.uint64(one_in) == 0
        pq.write_table(table.filter(pa.array(chosen[names.indices.to_numpy()])), part)
    settings = Config().training_settings("UTC")
    settings = type(settings)(**{**vars(settings), "detectors": tuple(detectors), "trials": 0, "seed": seed})
    trained = train(EventLog.open(str(events)), labels, settings=settings, store=open_store(folder))
    pairs = zip(trained.candidates, trained.versions, strict=True)
    return {candidate.fitted.kind: int(version.number) for candidate, version in pairs}


def _scored(folder: Path, version: int) -> dict[str, Any]:
    begun = time.perf_counter()
    run = run_apart(_score, str(folder), version)
    return _told(run, time.perf_counter() - begun)


def _score(watch: Stopwatch, folder: str, version: int) -> tuple[int, tuple[str, ...]]:
    from ..serving.batch import ScoringRequest, score_to_file
    from ..training.store import open_store

    del watch
    stages, home = Stages(), Path(folder)
    model = f"models:/peculiar/{version}"
    request = ScoringRequest(home / "events.parquet", model, home / "scores.parquet", shadow=False)  # of one alone
    written = score_to_file(request, open_store(home), progress=stages.done)
    stages.done("recording")
    figures = {"seconds": stages.seconds, "cpu_seconds": stages.cpu_seconds, "peak_bytes": stages.peak_bytes}
    return written.table.num_rows, (json.dumps(figures | {"alerts": written.alerts}),)


def _told(run: Run, seconds: float) -> dict[str, Any]:
    stages = json.loads(run.names[0])
    inside = sum(stages["seconds"].values())
    peak = max(stages["peak_bytes"].values())
    return {
        "snapshots": run.rows,
        "alerts": stages["alerts"],
        "seconds": seconds,
        "cpu_seconds": sum(stages["cpu_seconds"].values()),
        "peak_bytes": peak,
        "stages": {"start": {"seconds": seconds - inside}} | {
            stage: {name: stages[name][stage] for name in ("seconds", "cpu_seconds", "peak_bytes")}
            for stage in stages["seconds"]
        },
    }  # fmt: skip


def _peak() -> int:
    """The most memory held since the last call, where the system can tell and forget."""
    if not _STATUS.is_file():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines())
    peak = int(lines["VmHWM"].split()[0]) * 1024
    try:
        _FORGET.write_text("5", encoding="ascii")
    except OSError:
        return peak
    return peak


@click.command()
@click.option("--events", type=click.IntRange(min=20_000), default=10_000_000, show_default=True)
@click.option(
    "--detectors", default="isolation_forest,lightgbm", show_default=True, help="Which to train and to score with."
)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="Of each; the median is told.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the files here.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def main(events: int, detectors: str, runs: int, seed: int, folder: Path | None, out: Path | None) -> None:  # noqa: PLR0913, PLR0917 - options
    """Measure a night's work from a log on disk to scores on disk."""
    with tempfile.TemporaryDirectory() as passing:
        chosen = tuple(each.strip() for each in detectors.split(","))
        found = measure(folder or Path(passing), events=events, detectors=chosen, runs=runs, seed=seed)
    for kind in chosen:
        told = found[kind]
        print(
            f"{kind}: {events:,} events, {told['snapshots']:,} vectors, {told['alerts']:,} alerts with reasons: "
            f"{told['seconds']:.1f} s, {told['cpu_seconds']:.1f} CPU-s, {told['peak_bytes'] / 1e9:.1f} GB"
        )
        for stage, figures in told["stages"].items():
            print(f"  {stage:<12}{figures['seconds']:7.2f} s")
    if out is not None:
        out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
