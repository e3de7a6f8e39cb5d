"""From an event log to a registered champion: read, split in time, fit, judge, track, register."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..audit import Use, record
from ..errors import ConfigError
from .candidates import Candidate, fit_candidate, record_of
from .detectors import DETECTORS
from .labels import Labels, read_labels
from .material import Material, prepare
from .model import Model
from .registry import Version, log_model, register, set_alias
from .tracking import RunRecord, close_orphans, log_inputs, running, write_record
from .views import save_views

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..features.events import DataReport, EventLog
    from ..features.timeline import Timeline
    from .dataset import EventLogDataset
    from .settings import TrainingSettings
    from .store import Store
    from .tracking import LiveRun

__all__ = ["TrainingResult", "train"]

_DECIDES = "test/average_precision"


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
        The registered versions, in the same order; the first is the champion.
    run_id : str
        The study's run.
    """

    report: DataReport
    material: Material
    candidates: tuple[Candidate, ...]
    versions: tuple[Version, ...]
    run_id: str

    @property
    def champion(self) -> Version:
        """The version that scores from now on."""
        return self.versions[0]

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
            told = ", ".join(f"{name.removeprefix('test/')} {value:.3f}" for name, value in candidate.metrics.items())
            alias = " ".join(f"@{alias}" for alias in version.aliases)
            lines.append(
                f"{version.name} version {version.number} {alias}: {candidate.kind}; {told or 'no labels to judge by'}"
            )
            lines += [f"  note: {note}" for note in candidate.notes]
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
    """Train the detectors on a log, track and register them, and make the best one the champion.

    With labels the best has the highest average precision on the later period; without, nothing can be compared and
    the Isolation Forest is the champion.

    Parameters
    ----------
    log : EventLog
    labels : path, or anything that speaks Arrow, optional
        See :func:`~peculiar.training.labels.read_labels`.
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
    known = None if labels is None else _labels(labels, timeline, settings)
    material = prepare(timeline, log.roles, known, settings=settings, progress=progress)
    close_orphans(store)
    dataset = _dataset(log, timeline, report)
    with running(store, "study", name=f"train on {_short(report.source)}") as study:
        log_inputs(study, dataset=dataset)
        kinds = _fitting(settings, material)
        tried = [_try(kind, material, settings, (study, dataset, report), progress) for kind in kinds]
        ranked = sorted(tried, key=lambda pair: _rank(pair[0]), reverse=True)
        candidates, versions = [pair[0] for pair in ranked], _register(store, ranked, settings)
        result = TrainingResult(report, material, tuple(candidates), versions, study.run_id)
        write_record(study, _study_record(result))
    save_views(store)
    use = Use(verb="train", model=result.champion.name, version=result.champion.number, sha256=result.champion.sha256,
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
    about: tuple[LiveRun, EventLogDataset, DataReport],
    progress: Callable[[str, float], None] | None,
) -> tuple[Candidate, Any, Model]:
    study, dataset, report = about
    if progress:
        progress(f"fitting {kind}", 0.0)
    with running(study.store, "candidate", name=kind, kind=kind, parent=study) as run:
        candidate = fit_candidate(kind, material, settings, progress=progress)
        told = record_of(candidate, material, settings)
        write_record(run, replace(told, metrics={}, curves={}, figures={}, tables={}, texts={}))
        card = {**_card(candidate, material, report), "label_delay": settings.label_delay}
        model = Model(material.plan, material.population, candidate.fitted, card)
        logged = log_model(run, model, name=kind)
        write_record(run, replace(told, params={}), model_id=logged.model_id, dataset=dataset)
    return candidate, logged, model


def _register(
    store: Store, ranked: list[tuple[Candidate, Any, Model]], settings: TrainingSettings
) -> tuple[Version, ...]:
    """Versions in the order of merit; the aliases move last, when every version is whole."""
    versions = [
        register(store, logged, name=settings.model_name, description=f"{candidate.kind}, {_told(candidate)}")
        for candidate, logged, _ in ranked
    ]
    for place, alias in list(enumerate(("champion", "challenger")))[: len(versions)]:
        versions[place] = set_alias(store, versions[place], alias)
    return tuple(versions)


def _rank(candidate: Candidate) -> float:
    value = candidate.metrics.get(_DECIDES, float("nan"))
    return -np.inf if np.isnan(value) else value


def _told(candidate: Candidate) -> str:
    value = candidate.metrics.get(_DECIDES)
    return "no labels to judge by" if value is None else f"average precision {value:.3f} on the later period"


def _card(candidate: Candidate, material: Material, report: DataReport) -> dict[str, Any]:
    return {
        "kind": candidate.kind,
        "purpose": "Leads for a person to check: who behaves unlike themselves or unlike everyone. Never a verdict.",
        "split": str(material.split),
        "train_rows": len(material.train),
        "test_rows": len(material.test),
        "metrics": {name: value for name, value in candidate.metrics.items() if np.isfinite(value)},
        "events": report.admitted,
        "entities": report.entities,
    }


def _dataset(log: EventLog, timeline: Timeline, report: DataReport) -> EventLogDataset:
    from .dataset import EventLogDataset, LogProfile

    shown = report.to_dict()
    profile = LogProfile(
        events=report.admitted,
        entities=report.entities,
        first=shown["first"],
        last=shown["last"],
        roles=_typed_roles(log),
    )
    uri = report.source if "/" in report.source or "." in report.source else ""
    return EventLogDataset(_short(report.source), fingerprint=timeline.fingerprint, profile=profile, uri=uri)


def _typed_roles(log: EventLog) -> dict[str, str]:
    schema, roles = log.source.schema(), log.roles
    parts = {roles.entity: "entity", roles.at: "at", **({roles.id: "id"} if roles.id else {})}
    parts |= dict.fromkeys(roles.place or (), "place") | ({} if roles.peer_by is None else {roles.peer_by: "peers"})
    parts |= dict.fromkeys(roles.dimensions, "dimension") | dict.fromkeys(roles.measures, "measure")
    return {name: f"{part}: {_plain_type(schema.field(name).type)}" for name, part in parts.items()}


def _plain_type(kind: pa.DataType) -> str:
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _short(source: str) -> str:
    return "/".join(source.split("/")[-2:])


def _study_record(result: TrainingResult) -> RunRecord:
    best = result.candidates[0]
    return RunRecord(
        note=f"{result.summary()}\n",
        params={"candidates": ", ".join(candidate.kind for candidate in result.candidates), "champion": best.kind},
        metrics=dict(best.metrics),
    )


def _plain(settings: TrainingSettings) -> dict[str, object]:
    return {
        "seed": settings.seed,
        "budget": settings.budget,
        "trials": settings.trials,
        "every": settings.windows.every,
    }
