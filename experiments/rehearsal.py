"""Whether a search without labels ends above the defaults where labels can judge it, and how far its figure agrees.

``python -m peculiar.experiments.rehearsal --log fraud_handbook --json rehearsal.json`` learns from a week of payments,
rehearses misbehaviour in the next, searches settings of the Isolation Forest by what is found of it, and only then asks
the labels of a third week what they think of the defaults, of what was found, and of every trial. No label of the third
week is seen by the search; frauds at terminals that were known by then are features, as in the book, and are what the
kind ``known_trouble`` is made of. ``--log simulated`` does the same on a simulated city card, whose vectors are days.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import load_config
from ..features.events import EventLog
from ..features.plan import FeaturePlan
from ..features.snapshots import WindowSpec
from ..training.isolation_forest import IsolationForest
from ..training.labels import DAY, confirmed, entities_known_bad, read_labels
from ..training.metrics import evaluate
from ..training.rehearsal import proxy_agreement, rehearse
from ..training.search import Search
from ..training.trouble import with_trouble
from .benchmarks import data_folder
from .simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..features.population import Population
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.detector import FittedDetector
    from ..training.rehearsal import Rehearsal
    from ..training.search import Found

__all__ = ["Task", "main", "measure", "payments", "simulated"]

_CONFIG = Path(__file__).parent / "configs" / "fraud_handbook.toml"
_WEEK = 7 * DAY
_METRICS = {
    "roc_auc": "ranking/roc_auc",
    "average_precision": "ranking/average_precision",
    "card_precision": "budget/card_precision_at_k",
}
_QUICK = 100  # trees of the whole forest while searching


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to learn from, later ones with misbehaviour in them to search by, and still later ones that labels judge.

    Attributes
    ----------
    train : Vectors
    rehearsal : Rehearsal
    test : Vectors
    truth : bool array of shape (n_test,)
        What turned out to be trouble.
    """

    train: Vectors
    rehearsal: Rehearsal
    test: Vectors
    truth: NDArray[np.bool_]

    @property
    def budget(self) -> int:
        """Alerts a day."""
        return self.rehearsal.budget

    def judge(self, fitted: FittedDetector) -> dict[str, float]:
        """What labels say of a fit: ``roc_auc``, ``average_precision``, ``card_precision``."""
        day = (self.test.as_of - 1) // DAY
        found = evaluate(self.truth, fitted.score(self.test), day=day, entity=self.test.entity, budget=self.budget)
        return {name: found[key] for name, key in _METRICS.items()}


def payments(
    folder: Path, test_from: date, *, per_kind: int, kinds: Sequence[str] | None = None, seed: int = 0
) -> Task:
    """The Fraud Detection Handbook's payments: learn from a week, rehearse in the next, judge the one after that.

    Parameters
    ----------
    folder : Path
        Holds events.parquet and labels.parquet.
    test_from : date
        The first day that is judged.
    per_kind : int
        Cases of each kind of misbehaviour.
    kinds : sequence of str, optional
        See :func:`~peculiar.training.rehearsal.rehearse`.
    seed : int
    """
    config = load_config(_CONFIG)
    log = EventLog.open(folder / "events.parquet", config.roles())
    timeline, _, _ = log.read()
    labels = read_labels(folder / "labels.parquet", locate=timeline.locate)
    timeline = with_trouble(timeline, labels)
    begin = int(datetime(test_from.year, test_from.month, test_from.day, tzinfo=UTC).timestamp()) * 1_000_000
    learn_from = begin - 2 * _WEEK
    earlier = timeline.until(learn_from)
    plan = FeaturePlan.for_log(earlier, log.roles, config.windows_spec())
    population = plan.fit(earlier)
    needed = timeline.since(learn_from - plan.windows.horizon_width - 2 * DAY).until(begin + _WEEK)
    vectors = plan.vectors(needed, population)
    test = vectors.between(begin, begin + _WEEK)
    test = test.take(~entities_known_bad(test, labels, since=learn_from))
    asked = {"per_kind": per_kind, "kinds": kinds, "budget": 100, "seed": seed}
    rehearsal = _staged((plan, population, timeline), (begin - _WEEK, begin), asked)
    train = vectors.between(learn_from, begin - _WEEK)
    return Task(train, rehearsal, test, confirmed(test, labels, known_by=None))


def simulated(events: int, *, per_kind: int, kinds: Sequence[str] | None = None, seed: int = 0) -> Task:
    """A simulated city card of ninety days: learn from the third tenth to the sixth, rehearse, judge the last quarter.

    Labels are asked in the end alone; no feature is made of them.

    Parameters
    ----------
    events : int
        Length of the log; a hundredth of it are users.
    per_kind, kinds, seed
        As in :func:`payments`.
    """
    made = simulate(events=events, users=max(100, events // 100), days=90, seed=seed)
    log = EventLog.open(made.events)
    timeline, _, _ = log.read()
    labels = read_labels(made.labels, locate=timeline.locate)
    first = int(timeline.at.min()) // DAY * DAY
    learn_from, until, test_from = (first + days * DAY for days in (28, 54, 68))
    earlier = timeline.until(learn_from)
    plan = FeaturePlan.for_log(earlier, log.roles, WindowSpec())
    population = plan.fit(earlier)
    vectors = plan.vectors(timeline, population)
    test = vectors.between(test_from, None)
    asked = {"per_kind": per_kind, "kinds": kinds, "budget": 20, "seed": seed}
    rehearsal = _staged((plan, population, timeline), (until, test_from), asked)
    return Task(vectors.between(learn_from, until), rehearsal, test, confirmed(test, labels, known_by=None))


def _staged(
    known: tuple[FeaturePlan, Population, Timeline], period: tuple[int, int], asked: dict[str, Any]
) -> Rehearsal:
    plan, population, timeline = known
    return rehearse(plan, population, timeline, period=period, **asked)


def measure(task: Task, *, trials: int, seed: int = 0) -> dict[str, Any]:
    """Search without labels, then let labels judge.

    Returns
    -------
    dict
        Plain data: ``default`` and ``found`` with what labels say and the recall of each kind, the ``agreement`` of
        all trials' figure with the labelled average precision, what was ``chosen``, ``seconds`` and ``cpu_seconds``.
    """
    begun, cpu = time.perf_counter(), time.process_time()
    start = IsolationForest()
    search = Search(trials, start=replace(start, trees=_QUICK), objective="rehearsal_gain", budget=task.budget)
    found = search.rehearsed(
        task.train, [task.rehearsal], seed=seed, witness=lambda fitted: task.judge(fitted)["average_precision"]
    )
    spent = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu}
    chosen = replace(found.settings, trees=start.trees)  # type: ignore[type-var]
    fits = {"default": start.fit(task.train, seed=seed), "found": chosen.fit(task.train, seed=seed)}
    return {
        **{name: _judged(task, fitted) for name, fitted in fits.items()},
        "agreement": asdict(proxy_agreement(found.trials["value"], found.trials["labelled"])),
        "best_trial": float(found.trials["labelled"].max()),
        "chosen": _changed(start, chosen),
        "trials": _plain_trials(found),
        "left_out": task.rehearsal.left_out,
        "rows": {"train": len(task.train), "rehearsal": len(task.rehearsal.vectors), "test": len(task.test)},
        "positives": int(task.truth.sum()),
        **spent,
    }


def _judged(task: Task, fitted: FittedDetector) -> dict[str, Any]:
    score = fitted.score(task.rehearsal.vectors)
    return {
        "labelled": task.judge(fitted),
        "gain": task.rehearsal.gain(score),
        "kinds": task.rehearsal.table(score),
    }


def _changed(start: object, chosen: object) -> dict[str, Any]:
    """The settings that differ from the defaults."""
    before, after = vars(start), vars(chosen)
    return {name: value for name, value in after.items() if value != before[name]}


def _plain_trials(found: Found) -> list[dict[str, Any]]:
    told = found.trials.astype(object).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in told]


def _print(name: str, result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    before, after, console = result["default"], result["found"], Console(width=110)
    judged = Table("labels say", "default", "found", title=name)
    for metric in _METRICS:
        judged.add_row(metric, *(f"{each['labelled'][metric]:.3f}" for each in (before, after)))
    console.print(judged)
    kinds = Table("kind", "cases", "recall, default", "found", "median rank, default", "found")
    for n, kind in enumerate(before["kinds"]["kind"]):
        recalls = (f"{each['kinds']['recall'][n]:.2f}" for each in (before, after))
        ranks = (f"{each['kinds']['median_rank'][n]:.0f}" for each in (before, after))
        kinds.add_row(kind, str(before["kinds"]["cases"][n]), *recalls, *ranks)
    console.print(kinds)
    told = result["agreement"]
    console.print(f"agreement over {told['n']} trials: Spearman {told['spearman']:.2f}, Kendall {told['kendall']:.2f}; "
                  f"{result['seconds']:.0f} s, {result['cpu_seconds']:.0f} CPU-s")  # fmt: skip
    console.print(f"chosen: {result['chosen']}")


@click.command()
@click.option("--log", "log", type=click.Choice(["fraud_handbook", "simulated"]), default="fraud_handbook")
@click.option("--week", "weeks", multiple=True, default=["2018-08-08"], show_default=True,
              help="First day that is judged, of fraud_handbook; may be given again.")  # fmt: skip
@click.option("--events", default=200_000, show_default=True, help="Length of the simulated log.")
@click.option("--trials", default=50, show_default=True)
@click.option("--per-kind", default=200, show_default=True, help="Cases of each kind.")
@click.option("--kind", "kinds", multiple=True, help="A kind or purpose to rehearse; the usual ones by default.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
def main(  # noqa: PLR0913, PLR0917 - as many parameters as options
    log: str,
    weeks: tuple[str, ...],
    events: int,
    trials: int,
    per_kind: int,
    kinds: tuple[str, ...],
    seed: int,
    json_path: Path | None,
) -> None:
    """Search settings without labels, and let labels judge what was found."""
    results: dict[str, Any] = {}
    for week in weeks if log == "fraud_handbook" else ("",):
        if log == "simulated":
            name, task = (
                f"simulated, {events:,} events",
                simulated(events, per_kind=per_kind, kinds=kinds or None, seed=seed),
            )
        else:
            name = f"fraud_handbook, a week from {week}"
            folder = data_folder(log)
            task = payments(folder, date.fromisoformat(week), per_kind=per_kind, kinds=kinds or None, seed=seed)
        results[name] = measure(task, trials=trials, seed=seed)
        _print(name, results[name])
    if json_path is not None:
        json_path.write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
