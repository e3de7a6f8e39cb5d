"""One scoring run: load the registered model, score, write, and put the use on record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..features.columns import from_wall
from ..features.output import parquet_bytes, write_parquet
from ..features.places import is_remote
from ..training.references import load
from ..training.tracking import RunRecord
from .alerts import AlertRules
from .folders import open_folder
from .picks import Exploration
from .scoring import score_batch
from .shadow import Companion, difference_of
from .traces import Trace, model_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from ..features.events import DataReport
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .scoring import ScoredBatch
    from .shadow import Shadow

__all__ = [
    "ScoringRequest",
    "WrittenScores",
    "counts_of",
    "day_begins",
    "named",
    "noted",
    "score_to_file",
    "told_of",
    "with_shadow",
]


@dataclass(frozen=True)
class ScoringRequest:
    """What to score, with which model, and where to.

    Attributes
    ----------
    events : object
        A path, glob, frame, or anything that speaks Arrow; with the horizon before the first scored day.
    model_uri : str
        ``models:/<name>@<alias>``, ``models:/<name>/<number>``, ``runs:/…`` or a folder.
    output : Path or str
        The Parquet file to write, or the folder of a dataset: a path of this machine, or an object store's address.
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
    late : int
        So many days before the first one are scored again if a dataset has them, for events that came late.
    block : int
        Days of a dataset that are scored in one pass and held in memory; they are committed when it is done.
    rules : AlertRules, optional
        All that makes an alert, in the place of ``budget``, ``fdr`` and ``explore``.
    shadow : bool
        Whether the champion's challenger, if there is one, scores the same windows in its shadow.
    """

    events: object
    model_uri: str
    output: Path | str
    budget: int | None = 100
    days: tuple[date | None, date | None] = (None, None)
    reasons: int = 3
    labels: object | None = None
    fdr: float | None = None
    explore: Exploration | None = None
    late: int = 0
    block: int = 60
    rules: AlertRules | None = None
    shadow: bool = True

    @property
    def alert_rules(self) -> AlertRules:
        """All that makes an alert."""
        plain = AlertRules(budget=self.budget, fdr=self.fdr, explore=self.explore or Exploration())
        return plain if self.rules is None else self.rules


@dataclass(frozen=True, eq=False)
class WrittenScores:
    """A scored batch that is on disk.

    Attributes
    ----------
    batch : ScoredBatch
    output : Path or str
    model : str
        Name and version of the model.
    run_id : str
        The scoring run in MLflow; empty if it could not be written.
    untracked : str
        Why there is no whole run; empty if there is one.
    """

    batch: ScoredBatch
    output: Path | str
    model: str
    run_id: str
    untracked: str = ""

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
            **counts_of(self.table),
            "model": self.model,
            "output": str(self.output),
            "run_id": self.run_id,
            "data": self.report.to_dict(),
        }


def score_to_file(
    request: ScoringRequest, store: Store, *, progress: Callable[[str, float], None] | None = None
) -> WrittenScores:
    """Score a batch of events, put the use on record, write the scores, and log a scoring run.

    The output appears whole or not at all, after the use is on record. Rows of events that were set aside stand beside
    it, in ``<output>.rejected.parquet``, if there are any, and what a challenger makes of the same windows in
    ``<output>.shadow.parquet``. If MLflow fails after that, the scores stay.

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
    companion = Companion.of(store, loaded, wanted=request.shadow)
    since, until = (day_begins(day, loaded.model.plan.roles.time_zone) for day in request.days)
    batch = score_batch(
        loaded.model,
        request.events,
        labels=request.labels,
        since=since,
        until=until,
        explain=request.reasons,
        rules=request.alert_rules,
        progress=progress,
    )
    batch = noted(batch, companion)
    shadow = companion.shadow(loaded.model, batch, request.alert_rules)
    if progress is not None and shadow is not None:
        progress("shadow", 1.0)
    asked = request.alert_rules.to_dict() | companion.asked | {"days": [day and str(day) for day in request.days]}
    trace = Trace(store, loaded, request.model_uri, str(request.output), asked)
    table = named(batch.table, loaded)
    digests: list[str] = []
    use = partial(trace.use, data=batch.fingerprint, rows=len(table))
    beside_it = {"rejected": batch.rejected, "shadow": None if shadow is None else shadow.beside(table)}
    _write(table, beside_it, request.output, lambda: digests.append(use()))
    if progress is not None:
        progress("writing", 1.0)
    told = with_shadow(told_of(batch.report, loaded, counts_of(table)), companion, [(shadow, table)])
    told = replace(told, params={**told.params, "budget_per_day": request.alert_rules.limit()})
    run_id, untracked = trace.run(told, digest=digests[-1])
    return WrittenScores(batch, request.output, model_name(loaded), run_id, untracked)


def day_begins(day: date | None, zone: str) -> int | None:
    """When a day begins in a zone, microseconds since 1970 UTC; None stays None."""
    if day is None:
        return None
    return int(from_wall(np.array([np.datetime64(day, "us").astype(np.int64)]), zone)[0])


def named(table: pa.Table, loaded: LoadedModel) -> pa.Table:
    """Scores with a last column that names their model."""
    return table.append_column("model", pa.array([model_name(loaded)] * table.num_rows, pa.string()))


def told_of(report: DataReport, loaded: LoadedModel, counts: Mapping[str, int]) -> RunRecord:
    """What MLflow is told of a scoring run.

    Parameters
    ----------
    report : DataReport
    loaded : LoadedModel
    counts : mapping of str to int
        At least ``rows`` and ``alerts``; each becomes a metric ``score/…``.
    """
    all_counts = {**counts, "events": report.admitted, "rejected": sum(report.rejected.values())}
    return RunRecord(
        note=f"{report}\n\n{counts['rows']:,} windows scored by {model_name(loaded)}, {counts['alerts']:,} alerts.",
        metrics={f"score/{name}": float(count) for name, count in all_counts.items()},
    )


def noted(batch: ScoredBatch, companion: Companion) -> ScoredBatch:
    """The batch with a note on why a challenger casts no shadow, if that is so."""
    if not companion.note:
        return batch
    return replace(batch, report=replace(batch.report, notes=(*batch.report.notes, companion.note)))


def with_shadow(told: RunRecord, companion: Companion, parts: Sequence[tuple[Shadow | None, pa.Table]]) -> RunRecord:
    """What MLflow is told, with how champion and challenger differ.

    Parameters
    ----------
    told : RunRecord
    companion : Companion
    parts : sequence of pair of Shadow or None, and pyarrow.Table
        As :func:`~peculiar.serving.shadow.difference_of` takes them.
    """
    if companion.challenger is None:
        return told
    differ, name = difference_of(parts), model_name(companion.challenger)
    note = f"{told.note}\n\nIn the shadow: {name}."
    return replace(told, note=note, metrics={**told.metrics, **differ}, params={**told.params, "challenger": name})


def _write(
    table: pa.Table, beside_it: Mapping[str, pa.Table | None], output: Path | str, put_on_record: Callable[[], None]
) -> None:
    """Write what stands beside the scores and the scores, visible last; the use is on record before any of them."""
    where, stem = str(output), PurePosixPath(output).stem
    folder = open_folder(where.rpartition("/")[0] if is_remote(where) else Path(output).parent)

    def ready() -> None:
        put_on_record()
        for word, content in beside_it.items():
            if content is not None and content.num_rows:
                folder.put(f"{stem}.{word}.parquet", parquet_bytes(content))
            else:
                folder.remove(f"{stem}.{word}.parquet")

    if is_remote(where):
        content = parquet_bytes(table)
        ready()
        folder.put(PurePosixPath(where).name, content)
    else:
        write_parquet(table, Path(output), ready=ready)


def counts_of(table: pa.Table) -> dict[str, int]:
    """How many rows, alerts, cases, and windows that a suppression took off the list, scores hold.

    Examples
    --------
    >>> said = {"case": ["ann@2025-03-03"] * 2 + [None], "suppressed": [None, None, "1: on leave"]}
    >>> counts_of(pa.table({"alert": [True, True, False], **said}))
    {'rows': 3, 'alerts': 2, 'cases': 1, 'suppressed': 1}
    """
    return {
        "rows": table.num_rows,
        "alerts": int(np.count_nonzero(table["alert"].to_numpy())),
        "cases": int(pc.count_distinct(table["case"]).as_py()),
        "suppressed": table.num_rows - table["suppressed"].null_count,
    }
