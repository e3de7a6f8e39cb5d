"""From an event log to a registered champion: read, split in time, fit, judge, track, register."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audit import Use, record
from ..errors import ConfigError
from .candidates import Candidate, fit_candidate, plain_forest
from .card import card_of, pages_of
from .detectors import DETECTORS
from .feedback import with_feedback
from .inputs import dataset_of, short_name
from .labels import Labels, read_labels
from .material import Material, prepare, with_audited
from .model import Model
from .records import record_of
from .registry import Version, champion, log_model, register, set_alias
from .tracking import RunRecord, close_orphans, log_inputs, running, write_record, write_trials
from .usual import usual_of
from .views import save_views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..features.events import DataReport, EventLog
    from ..features.timeline import Timeline
    from .dataset import EventLogDataset
    from .settings import TrainingSettings
    from .store import Store
    from .tracking import LiveRun

__all__ = ["TrainingResult", "train"]

_DECIDES = "test/average_precision"
_SHOWN = ("average_precision", "roc_auc", "precision_at_budget", "recall_at_budget", "value_recall_at_budget")


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a training came to.

    Attributes
    ----------
    report : DataReport
    material : Material
    candidates : tuple of Candidate
        The best first.
    versions : tuple of Version
        The registered versions, in the same order.
    run_id : str
        The study's run.
    standing : Version or None
        The champion of an earlier training, if it stays.
    plain : mapping of str to float
        How a plain, single forest does on the same windows, ``plain_forest/…``; empty without labels.
    """

    report: DataReport
    material: Material
    candidates: tuple[Candidate, ...]
    versions: tuple[Version, ...]
    run_id: str
    standing: Version | None = None
    plain: Mapping[str, float] = field(default_factory=dict)

    @property
    def best(self) -> Version:
        """The best version of this training."""
        return self.versions[0]

    @property
    def champion(self) -> Version:
        """The version that scores from now on."""
        return self.standing or self.best

    def summary(self) -> str:
        """A few lines for a person."""
        material = self.material
        lines = [str(material.split) + " (UTC)"]
        lines.append(f"  {len(material.train):,} windows to learn from, {len(material.test):,} to judge by, "
                     f"{len(material.plan.features)} features")  # fmt: skip
        if material.labels is not None and material.train_truth is not None and material.test_truth is not None:
            lines.append(f"  {material.labels}")
            known, hidden = int(material.train_truth.sum()), int(material.test_truth.sum())
            lines.append(f"  confirmed windows: {known:,} known in time, {hidden:,} to find")
        for candidate, version in zip(self.candidates, self.versions, strict=True):
            told = ", ".join(_figures(candidate.metrics))
            alias = "".join(f" @{alias}" for alias in version.aliases)
            lines.append(
                f"{version.name} version {version.number}{alias}: {candidate.kind}; {told or 'no labels to judge by'}"
            )
            lines += [f"  note: {note}" for note in candidate.notes]
        if self.plain:
            told = ", ".join(_figures({name.replace("plain_forest/", "test/"): v for name, v in self.plain.items()}))
            lines.append(f"for comparison, a plain forest: {told}")
        if self.standing is not None:
            number, names = self.best.number, f"@champion {self.best.number}"
            lines.append(
                f"the champion stays {self.standing.name} version {self.standing.number} ({self.standing.kind}); "
                f"next: peculiar compare {names}, then peculiar promote {number}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        pairs = zip(self.candidates, self.versions, strict=True)
        return {
            "data": self.report.to_dict(),
            "split": vars(self.material.split),
            "features": len(self.material.plan.features),
            "plan": self.material.plan.fingerprint,
            "train_rows": len(self.material.train),
            "test_rows": len(self.material.test),
            "candidates": {c.kind: {**c.metrics, "version": v.number, "aliases": list(v.aliases)} for c, v in pairs},
            "champion": {"name": self.champion.name, "version": self.champion.number, "sha256": self.champion.sha256},
            "best": {"name": self.best.name, "version": self.best.number, "sha256": self.best.sha256},
            "plain_forest": {name.removeprefix("plain_forest/"): value for name, value in self.plain.items()},
            "run_id": self.run_id,
        }


def train(
    log: EventLog,
    labels: object | None = None,
    *,
    settings: TrainingSettings,
    store: Store,
    progress: Callable[[str, float], None] | None = None,
) -> TrainingResult:
    """Train the detectors on a log, track and register them, and name the best one.

    With labels the best has the highest average precision on the later period; without, nothing can be compared and
    it is the Isolation Forest. Where there is no champion yet the best becomes it; one that is in use stays, and the
    best becomes its challenger: what scores from tomorrow on is for a person to decide.

    Parameters
    ----------
    log : EventLog
    labels : path, or anything that speaks Arrow, optional
        See :func:`~peculiar.training.labels.read_labels`. Reviewers' verdicts in the project's folder count beside
        them, or without them.
    settings : TrainingSettings
    store : Store
        Where runs and models go.
    progress : callable, optional
        Called with what is being done and the share of it that is done.

    Raises
    ------
    SchemaError
        If the log cannot be read.
    LabelError
        If the labels cannot be tied to the log.
    ConfigError
        If a period is empty, or no detector can be fitted.
    """
    timeline, report, _ = log.read()
    given = None if labels is None else _labels(labels, timeline, settings)
    known = with_feedback(given, store.home)
    material = prepare(timeline, log.roles, known, settings=settings, progress=progress)
    material = replace(with_audited(material, log), usual=usual_of(material, timeline, report))
    close_orphans(store)
    with running(store, "study", name=f"train on {short_name(report.source)}") as study:
        log_inputs(study, dataset=dataset_of(log, timeline, report))
        kinds = _fitting(settings, material)
        split = material.split
        learned = dataset_of(log, timeline, report, period=("learned", split.train_from, split.train_until))
        judged = dataset_of(log, timeline, report, period=("judged", split.test_from, split.test_until))
        tried = [_try(kind, material, settings, (study, (learned, judged), report), progress) for kind in kinds]
        ranked = sorted(tried, key=lambda pair: _rank(pair[0]), reverse=True)
        candidates, versions = tuple(pair[0] for pair in ranked), _register(store, ranked, settings)
        standing = champion(store, settings.model_name) if settings.promote == "first" else None
        versions = _named(store, versions, standing)
        plain = plain_forest(material, settings)
        result = TrainingResult(report, material, candidates, versions, study.run_id, standing, plain)
        write_record(study, _study_record(result))
    save_views(store)
    use = Use(verb="train", model=result.best.name, version=result.best.number, sha256=result.best.sha256,
              data=timeline.fingerprint, rows=len(timeline), parameters=_plain(settings))  # fmt: skip
    record(store.home, use)
    return result


def _labels(source: object, timeline: Timeline, settings: TrainingSettings) -> Labels:
    return read_labels(source, locate=timeline.locate, delay=settings.label_delay, zone=timeline.zone)


def _fitting(settings: TrainingSettings, material: Material) -> list[str]:
    """The kinds that can be fitted: those that learn from labels need some."""
    kinds = [kind for kind in settings.detectors if material.learnable or not DETECTORS[kind].supervised]
    if not kinds:
        message = (
            f"none of {', '.join(settings.detectors)} can be fitted without confirmed labels in the training period"
        )
        raise ConfigError(message)
    return kinds


def _try(
    kind: str,
    material: Material,
    settings: TrainingSettings,
    about: tuple[LiveRun, tuple[EventLogDataset, EventLogDataset], DataReport],
    progress: Callable[[str, float], None] | None,
) -> tuple[Candidate, Any, Model]:
    study, (learned, judged), report = about
    if progress:
        progress(f"fitting {kind}", 0.0)
    with running(study.store, "candidate", name=kind, kind=kind, parent=study) as run:
        candidate = fit_candidate(kind, material, settings, studies=study.store.home / "studies", progress=progress)
        told = record_of(candidate, material, settings, data=judged.digest)
        write_record(run, RunRecord(note=told.note, params=told.params, tags=told.tags))
        card = card_of(candidate, material, settings, report, data=learned.digest)
        pages, calibration = pages_of(card), candidate.judged.calibration
        model = Model(material.plan, material.population, candidate.fitted, card, calibration, pages)
        logged = log_model(run, model, name=kind)
        size = {name: value for name, value in told.metrics.items() if name.startswith("data/train")}
        write_record(run, RunRecord(metrics=size), model_id=logged.model_id, dataset=learned, context="training")
        rest = {name: value for name, value in told.metrics.items() if name not in size}
        told = replace(told, params={}, metrics=rest, texts={**told.texts, **pages})
        write_record(run, told, model_id=logged.model_id, dataset=judged)
        if candidate.trials is not None:
            write_trials(run, candidate.trials)
    return candidate, logged, model


def _register(
    store: Store, ranked: list[tuple[Candidate, Any, Model]], settings: TrainingSettings
) -> tuple[Version, ...]:
    """Versions in the order of merit; each one's run is named after it, for that is what people speak of."""
    made = []
    for candidate, logged, _ in ranked:
        version = register(store, logged, name=settings.model_name, description=f"{candidate.kind}, {_told(candidate)}")
        store.client.update_run(logged.run_id, name=f"{candidate.kind}, version {version.number}")
        made.append(version)
    return tuple(made)


def _named(store: Store, versions: tuple[Version, ...], standing: Version | None) -> tuple[Version, ...]:
    """The versions with aliases, which move last, when every version is whole; a champion in use keeps its own."""
    free = ("champion", "challenger") if standing is None else ("challenger",)
    named = [set_alias(store, version, alias) for version, alias in zip(versions, free, strict=False)]
    return (*named, *versions[len(named) :])


def _rank(candidate: Candidate) -> float:
    value = candidate.metrics.get(_DECIDES, float("nan"))
    return -np.inf if np.isnan(value) else value


def _figures(metrics: Mapping[str, float]) -> list[str]:
    """The figures that a line has room for; the rest is in MLflow and on the card."""
    told = []
    for name in _SHOWN:
        value, low, high = (metrics.get(f"test/{name}{end}") for end in ("", "_low", "_high"))
        if value is not None:
            span = "" if low is None or high is None or np.isnan(low) else f" ({low:.3f} to {high:.3f})"
            told.append(f"{name} {value:.3f}{span}")
    return told


def _told(candidate: Candidate) -> str:
    value = candidate.metrics.get(_DECIDES)
    return "no labels to judge by" if value is None else f"average precision {value:.3f} on the later period"


def _study_record(result: TrainingResult) -> RunRecord:
    best = result.candidates[0]
    return RunRecord(
        note=f"{result.summary()}\n",
        params={"candidates": ", ".join(candidate.kind for candidate in result.candidates), "champion": best.kind},
        metrics={**best.metrics, **result.plain},
    )


def _plain(settings: TrainingSettings) -> dict[str, object]:
    return {
        "seed": settings.seed,
        "budget": settings.budget,
        "trials": settings.trials,
        "every": settings.windows.every,
    }
