"""Monitoring in use: read a period, judge it, put the use on record, write the page, and draw on the lines in MLflow.

MLflow gets two kinds of runs. One of the role ``watch`` for each version of a model lasts: every monitored period adds
a point to its metrics, at the period's last day, so that they are lines over time. Below it each period is a run of the
role ``monitor`` with its verdict, its figures and its page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audit import Use, record
from ..errors import ConfigError
from ..features.columns import to_wall
from ..features.events import EventLog
from ..features.output import beside
from ..training.labels import read_labels
from ..training.references import load
from ..training.tracking import RunRecord, close_orphans, lasting_run, log_inputs, running, write_points, write_record
from ..training.usual import Usual
from ..training.views import save_views
from .as_scored import as_scored
from .batch import day_begins
from .monitor_page import ADVICE, HEADLINES, monitor_page
from .monitoring import monitored
from .period import Period
from .scoring import score_batch
from .traces import model_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..training.labels import Labels
    from ..training.model import Model
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .alerts import AlertRules
    from .monitoring import Monitored
    from .scoring import ScoredBatch

__all__ = ["MonitorRequest", "WatchedPeriod", "metrics_of", "monitor"]

_DAY = 86_400_000_000
PAGE, FEATURES = "monitor.html", "tables/features.json"


@dataclass(frozen=True)
class MonitorRequest:
    """What to monitor.

    Attributes
    ----------
    events : object
        A path, glob, frame, or anything that speaks Arrow; with the horizon before the first day.
    rules : AlertRules
        What becomes an alert, if no scores are given.
    model_uri : str
    days : pair of date or None
        The first day and the day after the last, in the zone of the model's roles. By default from the end of what the
        model was trained and tested with, until the last event's day.
    labels : object, optional
        Known trouble: its windows do not speak against p-values.
    scores : str or Path, optional
        A file or dataset that ``peculiar score`` wrote: scores and alerts are then those that reviewers saw.
    output : Path, optional
        The HTML file to write.
    """

    events: object
    rules: AlertRules
    model_uri: str = "models:/peculiar@champion"
    days: tuple[date | None, date | None] = (None, None)
    labels: object | None = None
    scores: str | Path | None = None
    output: Path | None = None


@dataclass(frozen=True, eq=False)
class WatchedPeriod:
    """A period that was looked at.

    Attributes
    ----------
    monitored : Monitored
    model : str
        Name and version.
    output : Path or None
        The page.
    run_id : str
        The run in MLflow; empty if it could not be written.
    untracked : str
        Why there is none; empty if there is one.
    """

    monitored: Monitored
    model: str
    output: Path | None
    run_id: str
    untracked: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        page = None if self.output is None else str(self.output)
        return {**self.monitored.to_dict(), "model": self.model, "output": page, "run_id": self.run_id}


def monitor(
    request: MonitorRequest, store: Store, *, progress: Callable[[str, float], None] | None = None
) -> WatchedPeriod:
    """Monitor a period: the use is on record before the page is there; if MLflow fails, the page stays.

    Raises
    ------
    BundleError
        If there is no such model, its files are not those that were registered, or the scores are of another.
    ConfigError
        If no first day is given and the model does not say when its training ended, or the period has no window.
    SchemaError
        If the events or scores lack a column, or none can be read.
    """
    loaded = load(store, request.model_uri)
    model = loaded.model
    log = EventLog.open(request.events, model.plan.roles)
    since, until = _bounds(model, request.days)
    labels = request.labels if model.plan.risky else None
    batch = score_batch(
        model, log, labels=labels, since=since, until=until, explain=0, rules=request.rules, progress=progress
    )
    if not len(batch.vectors):
        message = f"expected events from {_date(model, since)} on, found no window; name days with --since or --day"
        raise ConfigError(message)
    span = since, _last(model, batch) if until is None else until
    batch, notes = as_scored(batch, request.scores, model_name(loaded), _dates(model, span))
    found = monitored(Period(model, batch, log, span, _known(model, batch, request)))
    found = replace(found, notes=(*found.notes, *notes))
    return _written(found, batch, loaded, request, store)


def metrics_of(found: Monitored) -> dict[str, float]:
    """What is drawn over time.

    Returns
    -------
    dict of str to float
        ``monitor/…``: counts of findings, moved features, the largest PSI, scores, newcomers, events and entities a
        day, rows set aside; ``psi/<family>``: the largest PSI of each family. What is not known is left out.
    """
    lie, days = found.scores.whole, max(1, found.days[1] - found.days[0])
    kinds = [finding.kind for finding in found.findings if finding.sure != "low"]
    told = {
        "faults": kinds.count("fault"),
        "changes": kinds.count("change"),
        "mixes": kinds.count("mix"),
        "features_moved": len(found.moved),
        "psi_largest": max((drift.psi for drift in found.drifts), default=None),
        "score_psi": lie.psi,
        "p01_share": lie.p01,
        "alerts_a_day": found.scores.alerts / days,
        "above_line_of_due": None if not lie.due else lie.above / lie.due,
        "newcomers": found.newcomers[0],
        "events_a_day": found.now.total / days,
        "entities": found.entities,
        "rejected_share": sum(found.rejected[0].values()),
    }
    families: dict[str, float] = {}
    for drift in found.drifts:
        families[drift.feature.family] = max(drift.psi, families.get(drift.feature.family, 0.0))
    named = {f"monitor/{name}": float(value) for name, value in told.items() if value is not None}
    return named | {f"psi/{family}": value for family, value in families.items()}


def _written(
    found: Monitored, batch: ScoredBatch, loaded: LoadedModel, request: MonitorRequest, store: Store
) -> WatchedPeriod:
    zone = loaded.model.plan.roles.time_zone
    made = {"sha256": loaded.source.sha256, "data": batch.fingerprint, "zone": zone}
    page = monitor_page(found, model=model_name(loaded), made=made)
    digest = _on_record(found, batch, loaded, request, store)
    if request.output is not None:
        request.output.parent.mkdir(parents=True, exist_ok=True)
        with beside(request.output) as unfinished:
            unfinished.write_text(page, encoding="utf-8")
    run_id, untracked = _tracked(found, page, loaded, store, digest)
    return WatchedPeriod(found, model_name(loaded), request.output, run_id, untracked)


def _on_record(found: Monitored, batch: ScoredBatch, loaded: LoadedModel, request: MonitorRequest, store: Store) -> str:
    version = loaded.source.version
    use = Use(
        verb="monitor",
        model=version.name if version else request.model_uri,
        version=version.number if version else "",
        sha256=loaded.source.sha256,
        data=batch.fingerprint,
        rows=found.rows,
        output="" if request.output is None else str(request.output),
        parameters={"days": list(found.dates), "scores": request.scores and str(request.scores)},
    )
    return record(store.home, use)


def _tracked(found: Monitored, page: str, loaded: LoadedModel, store: Store, digest: str) -> tuple[str, str]:
    """Run and error of MLflow; one of the two is empty."""
    from mlflow.exceptions import MlflowException

    name, metrics = model_name(loaded), metrics_of(found)
    tags = {"peculiar.verdict": found.verdict, "peculiar.audit": digest, "peculiar.sha256": loaded.source.sha256}
    span = " to ".join(dict.fromkeys(found.dates))
    try:
        close_orphans(store)
        lasting = lasting_run(store, "watch", name=f"watch {name}", about=name)
        with running(store, "monitor", name=f"{found.verdict}, {span}", parent=lasting) as run:
            if loaded.source.model_id:
                log_inputs(run, model_id=loaded.source.model_id, context="monitoring")
            params = {"model/version": name, "from": found.dates[0], "to": found.dates[1]}
            record_of = RunRecord(note=_note(found, name), params=params, metrics=metrics, tags=tags,
                                  tables={FEATURES: _features(found)}, texts={PAGE: page})  # fmt: skip
            write_record(run, record_of)
        write_points(lasting, metrics, day=found.days[1] - 1)
        save_views(store)
    except (MlflowException, OSError) as error:
        return "", f"the period was judged, but MLflow has no whole run about it: {error}"
    return run.run_id, ""


def _note(found: Monitored, model: str) -> str:
    lines = [f"**{HEADLINES[found.verdict]}**, held against the training of {model}. {ADVICE[found.verdict]}"]
    lines += [f"- {finding.kind}, {finding.code}: {finding.what}" for finding in found.findings]
    return "\n".join([*lines, "", f"The page is the artifact `{PAGE}`."])


def _features(found: Monitored) -> Mapping[str, list[object]]:
    rows = [drift.to_dict() for drift in found.drifts]
    names = ("feature", "family", "moved", "psi", "psi_limit", "psi_without_newcomers", "ks", "ks_limit")
    return {name: [row[name] for row in rows] for name in names}


def _known(model: Model, batch: ScoredBatch, request: MonitorRequest) -> Labels | None:
    """The labels, whether the model knows risk or not."""
    if request.labels is None:
        return None
    delay = int(model.card.get("label_delay", 0))
    return read_labels(request.labels, locate=batch.timeline.locate, delay=delay, zone=batch.timeline.zone)


def _bounds(model: Model, days: tuple[date | None, date | None]) -> tuple[int, int | None]:
    zone, usual = model.plan.roles.time_zone, Usual.from_card(model.card)
    since, until = (day_begins(day, zone) for day in days)
    if since is None and usual is None:
        message = (
            "expected --since or --day: this model was trained before it kept when its training ended; got neither"
        )
        raise ConfigError(message)
    if since is None and usual is not None:
        ended = -(-int(to_wall(np.array([usual.until]), zone)[0]) // _DAY)
        since = day_begins(_day(ended), zone)
    return since or 0, until


def _last(model: Model, batch: ScoredBatch) -> int:
    """The end of the last event's day."""
    zone = model.plan.roles.time_zone
    day = int(to_wall(np.array([batch.timeline.at.max()]), zone)[0]) // _DAY
    return day_begins(_day(day + 1), zone) or 0


def _dates(model: Model, span: tuple[int, int]) -> list[date]:
    zone = model.plan.roles.time_zone
    first, last = (int(day) for day in -(-to_wall(np.array(span), zone) // _DAY))
    return [_day(day) for day in range(first, last)]


def _date(model: Model, instant: int) -> date:
    return _dates(model, (instant, instant + _DAY))[0]


def _day(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=number)
