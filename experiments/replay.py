"""Whether the evidence carries the alerts: how many fall below the line once the events behind their reasons are gone.

``python -m peculiar.experiments.replay --events 1000000 --json replay.json`` writes a simulated log, trains on one user
in five, scores all of it with each registered version, and replays every alert: the events that its reasons name are
taken out of the window, the vector is built anew, and scored again. ``--log fraud_handbook`` does so with the test week
of the Fraud Detection Handbook, one window per payment.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..serving.scoring import ScoredBatch
    from ..training.model import Model
    from ..training.store import Store

__all__ = ["Learned", "measure", "payments", "simulated"]

_EVENTS_A_USER, _DAYS, _ONE_IN = 80, 40, 5
_TENTHS = np.arange(1, 10) / 10
_WEEK = (date(2018, 8, 8), date(2018, 8, 15))


@dataclass(frozen=True)
class Learned:
    """A log and the models that were trained on a part of it.

    Attributes
    ----------
    events, labels : object
        Paths or tables; labels are for models that know risk.
    store : Store
    versions : mapping of str to int
        The registered version that each kind of detector got.
    days : pair of date or None
        What is scored, from the first day up to the last; None leaves a side open.
    """

    events: object
    labels: object
    store: Store
    versions: Mapping[str, int]
    days: tuple[date | None, date | None] = (None, None)


def simulated(folder: Path, *, events: int, detectors: Sequence[str], seed: int = 0) -> Learned:
    """Write a simulated log of forty days, and train on one user in five."""
    from ..training.store import open_store
    from .end_to_end import learned_from
    from .simulate import write_simulation

    write_simulation(folder, events=events, users=max(200, events // _EVENTS_A_USER), days=_DAYS, seed=seed)
    versions = learned_from(folder, detectors, one_in=_ONE_IN, seed=seed)
    return Learned(folder / "events.parquet", folder / "labels.parquet", open_store(folder), versions)


def payments(folder: Path, *, detectors: Sequence[str], seed: int = 0) -> Learned:
    """Train on the Fraud Detection Handbook's week, with its checked-in settings and no search."""
    from ..config import load_config
    from ..features.events import EventLog
    from ..training.store import open_store
    from ..training.train import train
    from .benchmarks import data_folder

    data, config = data_folder("fraud_handbook"), load_config(Path(__file__).parent / "configs" / "fraud_handbook.toml")
    log, store = EventLog.open(data / "events.parquet", config.roles()), open_store(folder)
    settings = replace(config.training_settings(log.roles.time_zone), detectors=tuple(detectors), trials=0, seed=seed)
    trained = train(log, data / "labels.parquet", settings=settings, store=store)
    pairs = zip(trained.candidates, trained.versions, strict=True)
    versions = {candidate.fitted.kind: int(version.number) for candidate, version in pairs}
    return Learned(data / "events.parquet", data / "labels.parquet", store, versions, _WEEK)


def measure(learned: Learned, *, budget: int = 100) -> dict[str, Any]:
    """Replay the alerts of each version.

    Parameters
    ----------
    learned : Learned
    budget : int
        Alerts a day.

    Returns
    -------
    dict
        For each kind of detector: ``alerts``; of these the shares ``below`` the line without their evidence, ``weak``,
        ``untold`` (without any reason: as odd as others that places were too few for), and ``emptied`` (below since
        nothing of the window is left); the median of ``taken`` events, and the deciles of their ``shares`` of the
        window; wall and CPU seconds for a thousand alerts, to tell reasons and to replay them.
    """
    from ..training.references import load

    found = {}
    for kind, version in learned.versions.items():
        model = load(learned.store, f"models:/peculiar/{version}").model
        found[kind] = _replayed(model, _scored(model, learned, budget))
    return found


def _scored(model: Model, learned: Learned, budget: int) -> ScoredBatch:
    from ..serving.batch import day_begins
    from ..serving.scoring import score_batch

    since, until = (day_begins(day, model.plan.roles.time_zone) for day in learned.days)
    labels = learned.labels if model.plan.risky else None
    return score_batch(model, learned.events, labels=labels, since=since, until=until, budget=budget, explain=0)


def _replayed(model: Model, batch: ScoredBatch) -> dict[str, Any]:
    from ..serving.pasts import Pasts
    from ..serving.reasons import explain
    from ..serving.replay import replay

    rows = np.flatnonzero(batch.table["alert"].to_numpy())
    vectors, line = batch.vectors.take(rows), batch.line[rows]
    begun = _now()
    reasons = explain(model, vectors)
    told = _now()
    done = replay(model, batch.timeline, vectors, reasons, line)
    ended, windows = _now(), Pasts.of(model.plan, batch.timeline, vectors)
    taken = np.array([len(events) for events in done.taken])
    return {
        "alerts": len(rows),
        "below": float(done.below.mean()),
        "weak": float(np.mean([any(reason.weak for reason in each) for each in done.reasons])),
        "untold": float(np.mean([not each for each in done.reasons])),
        "emptied": float(np.isneginf(done.after).mean()),
        "taken": float(np.median(taken)),
        "shares": np.quantile(taken / (windows.stop - windows.start), _TENTHS).tolist(),
        "reasons_per_1000": _per_thousand(begun, told, len(rows)),
        "replay_per_1000": _per_thousand(told, ended, len(rows)),
    }


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _per_thousand(begun: tuple[float, float], ended: tuple[float, float], alerts: int) -> dict[str, float]:
    wall, cpu = (1000.0 * (after - before) / alerts for before, after in zip(begun, ended, strict=True))
    return {"seconds": wall, "cpu_seconds": cpu}


@click.command()
@click.option("--log", type=click.Choice(["simulated", "fraud_handbook"]), default="simulated", show_default=True)
@click.option("--events", type=click.IntRange(min=20_000), default=1_000_000, show_default=True, help="If simulated.")
@click.option("--detectors", default="isolation_forest,lightgbm,joint,tails", show_default=True)
@click.option("--budget", type=click.IntRange(min=1), default=100, show_default=True, help="Alerts a day.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def main(log: str, events: int, detectors: str, budget: int, seed: int, out: Path | None) -> None:  # noqa: PLR0913, PLR0917 - options
    """Measure how many alerts fall below the line without the events behind their reasons."""
    chosen = [each.strip() for each in detectors.split(",")]
    with tempfile.TemporaryDirectory() as passing:
        home = Path(passing)
        simulation = log == "simulated"
        learned = (
            simulated(home, events=events, detectors=chosen, seed=seed)
            if simulation
            else payments(home, detectors=chosen, seed=seed)
        )
        found = measure(learned, budget=budget)
    for kind, told in found.items():
        print(
            f"{kind}: {told['alerts']:,} alerts; {100 * told['below']:.1f} % fall below the line without the evidence "
            f"({100 * told['emptied']:.1f} % with nothing left), {100 * told['weak']:.1f} % are called weak; "
            f"{told['taken']:.0f} events taken (median), shares of the window by tenths of the alerts: "
            f"{', '.join(f'{100 * share:.0f}' for share in told['shares'])} %; "
            f"{told['replay_per_1000']['seconds']:.1f} s for 1,000, {told['replay_per_1000']['cpu_seconds']:.1f} CPU-s"
        )
    if out is not None:
        out.write_text(
            json.dumps({"log": log, "events": events, "budget": budget, **found}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
