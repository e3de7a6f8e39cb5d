"""One scoring run: load the registered model, score, write, and put the use on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..audit import Use, record
from ..features.columns import from_wall
from ..features.output import write_parquet
from ..training.references import load
from ..training.tracking import RunRecord, log_inputs, running, write_record
from .scoring import score_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from ..features.events import DataReport
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .picks import Exploration
    from .scoring import ScoredBatch

__all__ = ["ScoringRequest", "WrittenScores", "score_to_file"]

_DAY = 86_400_000_000


@dataclass(frozen=True)
class ScoringRequest:
    """What to score, with which model, and where to.

    Attributes
    ----------
    events : object
        A path, glob, frame, or anything that speaks Arrow; with the horizon before the first scored day.
    model_uri : str
        ``models:/<name>@<alias>``, ``models:/<name>/<number>``, ``runs:/…`` or a folder.
    output : Path
        The Parquet file to write.
    budget : int
        Alerts a day; None asks for as many as ``fdr`` allows.
    days : pair of date or None
        The first day to score and the day after the last, in the zone of the model's roles; None leaves a side open.
    reasons : int
        Reasons per alert.
    labels : object, optional
        Confirmed trouble: a path, or anything that speaks Arrow; for a model that knows risk.
    fdr : float, optional
        Alerts by false-discovery rate: about this share of them false; with a budget, too, no more than that.
    explore : Exploration, optional
        What part of the budget goes to random picks; none by default.
    """

    events: object
    model_uri: str
    output: Path
    budget: int | None = 100
    days: tuple[date | None, date | None] = (None, None)
    reasons: int = 3
    labels: object | None = None
    fdr: float | None = None
    explore: Exploration | None = None


@dataclass(frozen=True, eq=False)
class WrittenScores:
    """A scored batch that is on disk.

    Attributes
    ----------
    batch : ScoredBatch
    output : Path
    model : str
        Name and version of the model.
    run_id : str
        The scoring run in MLflow.
    """

    batch: ScoredBatch
    output: Path
    model: str
    run_id: str

    @property
    def table(self) -> pa.Table:
        """The rows that were written."""
        return self.batch.table

    @property
    def report(self) -> DataReport:
        """What came to the door."""
        return self.batch.report

    @property
    def alerts(self) -> int:
        """How many rows are alerts."""
        return int(np.count_nonzero(self.table["alert"].to_numpy()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "rows": self.table.num_rows,
            "alerts": self.alerts,
            "model": self.model,
            "output": str(self.output),
            "run_id": self.run_id,
            "data": self.report.to_dict(),
        }


def score_to_file(
    request: ScoringRequest, store: Store, *, progress: Callable[[str, float], None] | None = None
) -> WrittenScores:
    """Score a batch of events, write the scores, log a scoring run, and put the use on record.

    The output appears whole or not at all. Rows of events that were set aside stand beside it, in
    ``<output>.rejected.parquet``, if there are any.

    Raises
    ------
    BundleError
        If there is no such model, or its files are not those that were registered.
    SchemaError
        If the events lack a column, or none can be read.
    LabelError
        If the labels cannot be tied to the events.
    """
    loaded = load(store, request.model_uri)
    since, until = (_instant(day, loaded.model.plan.roles.time_zone) for day in request.days)
    batch = score_batch(
        loaded.model,
        request.events,
        labels=request.labels,
        since=since,
        until=until,
        budget=request.budget,
        explain=request.reasons,
        fdr=request.fdr,
        explore=request.explore,
        progress=progress,
    )
    name = _name(loaded)
    table = batch.table.append_column("model", pa.array([name] * batch.table.num_rows, pa.string()))
    write_parquet(table, request.output)
    _write_rejected(batch, request.output)
    run_id = _track(loaded, batch, request, store)
    return WrittenScores(batch, request.output, name, run_id)


def _instant(day: date | None, zone: str) -> int | None:
    if day is None:
        return None
    return int(from_wall(np.array([np.datetime64(day, "us").astype(np.int64)]), zone)[0])


def _name(loaded: LoadedModel) -> str:
    version = loaded.source.version
    return f"{version.name}/{version.number}" if version else loaded.source.sha256[:12]


def _write_rejected(batch: ScoredBatch, output: Path) -> None:
    path = output.with_name(f"{output.stem}.rejected.parquet")
    if batch.rejected.num_rows:
        write_parquet(batch.rejected, path)
    else:
        path.unlink(missing_ok=True)


def _asked(request: ScoringRequest) -> dict[str, Any]:
    drawn = {} if request.explore is None else {"explore": request.explore.share, "seed": request.explore.seed}
    drawn |= {} if request.fdr is None else {"fdr": request.fdr}
    return {"budget": request.budget, "days": [day and str(day) for day in request.days], **drawn}


def _track(loaded: LoadedModel, batch: ScoredBatch, request: ScoringRequest, store: Store) -> str:
    alerts, version = int(np.count_nonzero(batch.table["alert"].to_numpy())), loaded.source.version
    told = RunRecord(
        note=f"{batch.report}\n\n{batch.table.num_rows:,} windows scored by {_name(loaded)}, {alerts:,} alerts.",
        params={"model/version": _name(loaded), "budget_per_day": request.budget, "output": str(request.output)},
        metrics={
            "score/rows": float(batch.table.num_rows),
            "score/alerts": float(alerts),
            "score/events": float(batch.report.admitted),
            "score/rejected": float(sum(batch.report.rejected.values())),
        },
        tags={"peculiar.sha256": loaded.source.sha256},
    )
    with running(store, "score", name=f"score {request.output.name}") as run:
        if loaded.source.model_id:
            log_inputs(run, model_id=loaded.source.model_id, context="scoring")
        use = Use(
            verb="score",
            model=version.name if version else request.model_uri,
            version=version.number if version else "",
            sha256=loaded.source.sha256,
            data=batch.fingerprint,
            rows=batch.table.num_rows,
            output=str(request.output),
            parameters=_asked(request),
        )
        digest = record(store.home, use)
        write_record(run, RunRecord(**{**vars(told), "tags": {**told.tags, "peculiar.audit": digest}}))
    return run.run_id
