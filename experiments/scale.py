"""From a log on disk to vectors and scores on disk within a promise of memory, and how that grows with the log.

``python -m peculiar.experiments.scale --events 100000000 --memory 4GB --json scale.json`` writes simulated logs of a
hundredth, a tenth and the whole of so many events, trains a model on a small part of the users of the smallest, and
takes each log through all of it in a fresh process: split, meet, vectors, scores. Start and imports do not count. The
exponent is the slope of the logarithm of seconds over that of events: 1 is linear.

With ``--limit`` the process runs in a control group that is killed beyond the promise (where the machine lets us make
one); with ``--increment`` the last day is added to a store of the days before it and compared with a full rebuild.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..errors import BundleError, ConfigError, PlanMismatchError
from ..features.memory import bytes_of
from .rivals.stopwatch import run_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..features.store import EventStore
    from ..serving.large import Ranking
    from ..training.model import Model
    from .rivals.stopwatch import Stopwatch

__all__ = ["exponent", "measure", "scores_on_disk", "trained_model", "warm_up", "written"]

_EVENTS_A_USER, _DAYS = 100, 60
_LEARNED_FROM = 200_000  # events
_GROUPS = Path("/sys/fs/cgroup/memory")


def measure(
    folder: Path, sizes: Sequence[int], *, memory: int, detector: str = "isolation_forest", limit: bool = False
) -> dict[str, Any]:
    """Take logs of several sizes to vectors and scores.

    Parameters
    ----------
    folder : Path
        Where logs, store and output go; logs that are there already are taken as they are.
    sizes : sequence of int
        Events, rising.
    memory : int
        Bytes that the process may take.
    detector : str
    limit : bool
        Let the system kill a process that takes more.

    Returns
    -------
    dict
        Plain data: for each size ``events``, ``vectors``, ``seconds``, ``stages``, ``events_per_second``,
        ``peak_bytes``, ``written_bytes``; the ``exponent``; the promise.
    """
    model = trained_model(folder, detector)
    told: list[dict[str, Any]] = []
    for events in sizes:
        log = written(folder, events)
        out = folder / f"out-{events}"
        out.mkdir(exist_ok=True)
        how = ("limited",) if limit else ()
        run = run_apart(_through, (str(log), str(model), str(out)), memory, *how)
        size = sum(path.stat().st_size for path in out.iterdir())
        told.append(
            {
                "events": events,
                "vectors": run.rows,
                "seconds": run.seconds,
                "stages": run.stages,
                "cpu_seconds": run.cpu_seconds,
                "events_per_second": events / run.seconds,
                "peak_bytes": run.peak_rss_bytes,
                "written_bytes": size,
            }
        )
        for path in out.iterdir():
            path.unlink()
    return {
        "memory": memory,
        "limited": limit,
        "cores": os.cpu_count(),
        "detector": detector,
        "runs": told,
        "exponent": exponent([run["events"] for run in told], [run["seconds"] for run in told]),
    }


def exponent(events: Sequence[int], seconds: Sequence[float]) -> float | None:
    """The slope of log seconds over log events; None for a single size.

    Examples
    --------
    >>> round(exponent([10, 100, 1000], [1.0, 10.0, 100.0]), 6)
    1.0
    """
    if len(events) < 2:
        return None
    return float(np.polyfit(np.log(events), np.log(seconds), 1)[0])


def written(folder: Path, events: int, days: int = _DAYS) -> Path:
    """The file of a simulated log of so many events, written if it is not there yet."""
    from .simulate import write_simulation

    home = folder / (f"log-{events}" if days == _DAYS else f"log-{events}-{days}d")
    if not (home / "events.parquet").is_file():
        write_simulation(home, events=events, users=max(200, events // _EVENTS_A_USER), days=days, seed=0)
    return home / "events.parquet"


def trained_model(folder: Path, detector: str) -> Path:
    """The saved model of a training on a small log; one of another plan that was kept is made again."""
    from ..config import Config
    from ..features.events import EventLog
    from ..training.model import Model
    from ..training.references import load
    from ..training.store import open_store
    from ..training.train import train

    model = folder / f"model-{detector}"
    with suppress(PlanMismatchError, BundleError):
        Model.load(model)
        return model
    shutil.rmtree(model, ignore_errors=True)
    log = written(folder, _LEARNED_FROM)
    settings = Config().training_settings("UTC")
    settings = type(settings)(**{**vars(settings), "detectors": (detector,), "trials": 0, "seed": 0})
    labels = log.with_name("labels.parquet") if detector == "lightgbm" else None
    store = open_store(folder)
    trained = train(EventLog.open(str(log)), labels, settings=settings, store=store)
    load(store, trained.versions[0].uri).model.save(model)
    return model


def _through(watch: Stopwatch, paths: tuple[str, str, str], memory: int, *how: str) -> tuple[int, tuple[str, ...]]:
    from ..features.events import EventLog
    from ..features.passing import passing_store
    from ..training.model import Model

    loaded, target = Model.load(Path(paths[1])), Path(paths[2])
    warm_up(loaded)
    with _confined(memory) if "limited" in how else nullcontext():
        watch.start()
        opened = EventLog.open(paths[0], loaded.plan.roles)
        with passing_store(opened, target / "scores.parquet", memory=memory, plan=loaded.plan) as store:
            watch.lap("split")
            scored = scores_on_disk(loaded, store, target, memory=memory, lap=watch.lap)
            watch.lap("vectors and scores")
        watch.lap("cleaning")
    return scored.rows, tuple(loaded.plan.by_family)


def warm_up(model: Model) -> None:
    """Load or compile every kernel on the first few events of a small log: of all its days, and of the last alone."""
    from ..features.daily import take_in
    from ..features.events import EventLog
    from ..features.store import EventStore
    from ..serving.batch import day_begins
    from .simulate import write_simulation

    plan = model.plan
    with tempfile.TemporaryDirectory() as passing:
        home = Path(passing)
        write_simulation(home, events=20_000, users=200, days=_DAYS, seed=1)
        log = EventLog.open(str(home / "events.parquet"), plan.roles)
        store = take_in(EventStore.create(home / "store", plan.roles, partitions=2), log, plan).store
        for since in (None, day_begins(store.days()[-1], plan.roles.time_zone)):
            scores_on_disk(model, store, home, since=since, memory=2 * 10**9)


def scores_on_disk(  # noqa: PLR0913 - what is scored, where to, and in how much memory
    model: Model,
    store: EventStore,
    home: Path,
    *,
    since: int | None = None,
    memory: int,
    named: str = "",
    lap: Callable[[str], None] | None = None,
) -> Ranking:
    """Write ``vectors.parquet`` and ``scores.parquet`` of a store's windows, or of those from an instant on."""
    from ..features.daily import reach_days
    from ..features.memory import Room
    from ..features.partitions import Partitions
    from ..serving.large import score_partitions

    plan, room = model.plan, Room.of(memory, model.plan.roles)
    first = None if since is None else store.days()[-1] - timedelta(days=reach_days(plan.windows))
    how: dict[str, Any] = {"days": (first, None), "since": since, "together": room.partition}
    with Partitions.over(store, plan, **how) as parts:
        if lap:
            lap("meeting")
        out: dict[str, Any] = {"most_bytes": room.vectors, "period": (since, None)}
        return score_partitions(
            model, parts, home / f"{named}scores.parquet", vectors=home / f"{named}vectors.parquet", **out
        )


@contextmanager
def _confined(memory: int) -> Iterator[None]:
    """Move this process into a control group that ends it beyond so much memory.

    Raises
    ------
    ConfigError
        If the machine lets us make none.
    """
    group, home = _GROUPS / f"peculiar-{os.getpid()}", _GROUPS / "cgroup.procs"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(memory))
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError as error:
        message = f"expected a machine that lets us limit memory by a control group in {_GROUPS}: {error}"
        raise ConfigError(message) from error
    try:
        yield
    finally:
        home.write_text(str(os.getpid()))
        with suppress(OSError):
            group.rmdir()


def _sizes(events: int) -> list[int]:
    """A hundredth, a tenth and all of so many events, as far as a log can be that small."""
    return [size for size in (events // 100, events // 10, events) if size >= 100_000 or size == events]


@click.command()
@click.option("--events", type=click.IntRange(min=20_000), default=10_000_000, show_default=True)
@click.option("--memory", default="2GB", show_default=True, help="What the process may take in all.")
@click.option("--detector", default="isolation_forest", show_default=True)
@click.option("--limit", is_flag=True, help="End the process if it takes more.")
@click.option("--increment", is_flag=True, help="A new day against a full rebuild, on a log of 90 days.")
@click.option("--once", is_flag=True, help="This size alone, without smaller ones.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep logs and model here.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def main(**options: Any) -> None:
    """Measure a log's way to vectors and scores within a promise of memory."""
    events, folder, out = options["events"], options["folder"], options["out"]
    with tempfile.TemporaryDirectory() as passing:
        home = folder or Path(passing)
        given: dict[str, Any] = {"memory": bytes_of(options["memory"]), "detector": options["detector"]}
        if options["increment"]:
            from .increment import measure_increment

            found = measure_increment(home, events, **given)
            _tell_increment(found)
        else:
            sizes = [events] if options["once"] else _sizes(events)
            found = measure(home, sizes, limit=options["limit"], **given)
            _tell(found)
    if out is not None:
        out.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _tell(found: dict[str, Any]) -> None:
    for run in found["runs"]:
        print(
            f"{run['events']:>13,} events, {run['vectors']:,} vectors: {run['seconds']:.1f} s, "
            f"{run['events_per_second']:,.0f} events/s, at most {run['peak_bytes'] / 1e9:.2f} GB, "
            f"{run['written_bytes'] / 1e9:.2f} GB written"
        )
        for stage, seconds in run["stages"].items():
            print(f"    {stage:<20}{seconds:8.1f} s")
    if found["exponent"] is not None:
        print(f"exponent {found['exponent']:.3f}")


def _tell_increment(found: dict[str, Any]) -> None:
    for name in ("rebuild", "new_day"):
        run = found[name]
        size, cores = run["vectors"], run["cpu_seconds"]
        print(f"{name:<8}{size:>12,} vectors: {run['seconds']:.2f} s, {cores:.2f} s of all cores")
        for stage, seconds in run["stages"].items():
            print(f"    {stage:<20}{seconds:8.2f} s")
    told = "the same in every bit" if found["identical"] else "NOT the same"
    print(f"share {found['share']:.2%}, of CPU seconds {found['cpu_share']:.2%}; vectors and scores are {told}")


if __name__ == "__main__":
    main()
