"""Reviewing: from scores that were written to a page of their alerts, on disk and in MLflow, with the use on record.

The line in the record of use comes before the page can be seen. It says how many people the page names: whoever asks
later who could look at whose behaviour finds the answer there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..audit import Use, record
from ..errors import BundleError, SchemaError
from ..features.columns import to_wall
from ..features.events import EventLog
from ..features.sources import open_source
from ..training.asides import days_of
from ..training.references import load
from .alert_lists import line_of
from .dataset import DatasetError, ScoreDataset, is_dataset, read_scores
from .leads import noun_of
from .review import Provenance, leads_in, write_review
from .review_run import Reviewed, log_page
from .scoring import score_batch
from .traces import model_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from numpy.typing import NDArray

    from ..training.model import Model
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .leads import Lead
    from .review import WrittenReview
    from .scoring import ScoredBatch

__all__ = ["ReviewRequest", "review_batch", "review_scores"]

_NEEDED = ("entity", "since", "as_of", "score", "rank", "alert", "pick")
_DAY = 86_400_000_000


@dataclass(frozen=True)
class ReviewRequest:
    """Which scores to put on a page.

    Attributes
    ----------
    scores : Path or str
        What ``peculiar score`` wrote: a file, or a dataset.
    events : object
        The log that was scored: a path, glob, frame, or anything that speaks Arrow.
    output : Path
        The HTML file to write.
    model_uri : str or None
        By default the version that the scores name.
    reasons : int
        Per alert.
    most_events : int
        Shown per alert.
    labels : object, optional
        Confirmed trouble, if the scores were made with it.
    blind : bool, optional
        Whether to leave out scores, ranks and picks; by default where there are random picks.
    days : pair of date or None
        The first day and the day after the last, in the zone of the model's roles; None leaves a side open.
    tracked : bool
        Whether MLflow gets the page, too.
    """

    scores: Path | str
    events: object
    output: Path
    model_uri: str | None = None
    reasons: int = 3
    most_events: int = 50
    labels: object | None = None
    blind: bool | None = None
    days: tuple[date | None, date | None] = (None, None)
    tracked: bool = True

    def has(self, day: date) -> bool:
        """Whether a day is asked for."""
        first, end = self.days
        return (first is None or first <= day) and (end is None or day < end)


def review_scores(
    request: ReviewRequest, store: Store, *, progress: Callable[[str, float], None] | None = None
) -> WrittenReview:
    """Put the alerts of written scores on a page, and the use on record.

    The scored days are scored again: a page that tells other reasons than those that raised the alert would be worse
    than none.

    Raises
    ------
    BundleError
        If there is no such model, or the scores do not name the one that made them.
    SchemaError
        If there are no scores, or the events are not those that were scored.
    DatasetError
        If a dataset has none of the days, or a file of it is missing or altered.
    """
    scores = _read(request)
    loaded = load(store, request.model_uri or _model_of(scores, request.scores))
    log = EventLog.open(request.events, loaded.model.plan.roles)
    counts = scores.num_rows, _count(scores)
    scores = _on_days(scores, request, loaded.model)
    batch, notes = _again(loaded.model, log, scores, request, progress)
    return review_batch(loaded, batch, log, request, store, notes=notes, counts=counts)


def review_batch(  # noqa: PLR0913 - what was scored by what, what of it is asked for, and where it was written
    loaded: LoadedModel,
    batch: ScoredBatch,
    log: EventLog,
    request: ReviewRequest,
    store: Store,
    *,
    notes: tuple[str, ...] = (),
    counts: tuple[int, int] | None = None,
) -> WrittenReview:
    """Put the alerts of a batch on a page, without scoring it again.

    Parameters
    ----------
    loaded : LoadedModel
    batch : ScoredBatch
        Made by the model, of the log.
    log : EventLog
    request : ReviewRequest
        Its scores are what the batch was written to.
    store : Store
        That has the scoring run.
    notes : tuple of str
        What a reader should be told beside what the data has to say.
    counts : pair of int, optional
        Rows and alerts of all the scores, by which their run is known; by default those of the batch.
    """
    roles, picks = loaded.model.plan.roles, batch.table["pick"].to_pylist()
    made = Provenance(
        model=model_name(loaded),
        sha256=loaded.source.sha256,
        data=batch.fingerprint,
        scores=str(request.scores),
        zone=roles.time_zone,
        noun=noun_of(loaded.model),
        notes=(*(note.strip() for note in batch.report.notes), *notes),
    )
    blind = "random" in picks if request.blind is None else request.blind
    leads = leads_in(loaded.model, batch, log, reasons=request.reasons, most_events=request.most_events, blind=blind)
    digests: list[str] = []

    def ready() -> None:
        digests.append(_on_record(loaded, made, leads, request, store))

    written = write_review(leads, made, request.output, blind=blind, ready=ready)
    if not request.tracked:
        return written
    days = days_of(batch.vectors, loaded.model.plan.windows, roles.time_zone)
    counts = (batch.table.num_rows, _count(batch.table)) if counts is None else counts
    scored = Reviewed(made, *counts, (int(days.min()), int(days.max())), digests[-1])
    run_id, untracked = log_page(store, written, scored)
    return replace(written, run_id=run_id, untracked=untracked)


def _read(request: ReviewRequest) -> pa.Table:
    where = request.scores
    if is_dataset(where) and not Path(where).is_file():
        return _of_dataset(request)
    source = open_source(str(where))
    names = source.schema().names
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        message = f"{where}: expected a file that peculiar score wrote, it has no {', '.join(missing)}"
        raise SchemaError(message)
    return _not_empty(source.read(names), where)


def _of_dataset(request: ReviewRequest) -> pa.Table:
    there = ScoreDataset.open(request.scores).days()
    asked = [day for day in there if request.has(day)]
    if there and not asked:
        message = (
            f"{request.scores} has no scores of the days that were asked for; it has {len(there)} days from "
            f"{there[0]} to {there[-1]}"
        )
        raise DatasetError(message)
    table = read_scores(request.scores, asked or None)
    return _not_empty(table.drop_columns(["day"]) if table.num_rows else table, request.scores)


def _not_empty(scores: pa.Table, where: Path | str) -> pa.Table:
    if not scores.num_rows:
        message = f"{where}: expected scores, found no row"
        raise SchemaError(message)
    return scores


def _on_days(scores: pa.Table, request: ReviewRequest, model: Model) -> pa.Table:
    """The scores of the days that are asked for."""
    windows, zone = model.plan.windows, model.plan.roles.time_zone
    instant = scores["since"].cast(pa.int64()).to_numpy()
    if not windows.calendar:
        instant = scores["as_of"].cast(pa.int64()).to_numpy() - 1
    days = (to_wall(instant, zone) // _DAY).astype("datetime64[D]").astype(object).tolist()
    kept = scores.filter(pa.array([request.has(day) for day in days], pa.bool_()))
    if not kept.num_rows:
        message = f"{request.scores} has no scores of the days asked for; it has days from {min(days)} to {max(days)}"
        raise SchemaError(message)
    return kept


def _count(scores: pa.Table) -> int:
    return int(np.count_nonzero(scores["alert"].to_numpy()))


def _model_of(scores: pa.Table, path: Path | str) -> str:
    """The version that the scores name."""
    names = scores["model"].unique().to_pylist() if "model" in scores.column_names else []
    if len(names) != 1 or "/" not in str(names[0]):
        told = ", ".join(map(str, names)) or "none"
        message = f"{path}: expected scores of one registered model, they name {told}; say which with --model"
        raise BundleError(message)
    return f"models:/{names[0]}"


def _again(
    model: Model,
    log: EventLog,
    scores: pa.Table,
    request: ReviewRequest,
    progress: Callable[[str, float], None] | None,
) -> tuple[ScoredBatch, tuple[str, ...]]:
    """The batch behind a file of scores, with the file's own table, and what differs."""
    since, as_of = (scores[name].cast(pa.int64()).to_numpy() for name in ("since", "as_of"))
    first = int(since.min()) if model.plan.windows.calendar else int(as_of.min()) - 1
    given: dict[str, Any] = {
        "labels": request.labels,
        "since": first,
        "until": int(as_of.max()),
        "budget": 0,
        "explain": 0,
    }
    batch = score_batch(model, log, **given, progress=progress)
    place = _places(batch, scores, request.scores)
    kept = scores.select([name for name in scores.column_names if name != "model"])
    was, now = scores["score"].to_numpy(), batch.table["score"].to_numpy()[place]
    moved = int(np.count_nonzero((was != now) & scores["alert"].to_numpy()))
    said = f"{moved:,} alerts have another score now: events came late, or labels were given only once"
    chosen = batch.vectors.take(place)
    zone = model.plan.roles.time_zone
    line = _lines(kept, days_of(chosen, model.plan.windows, zone))
    return replace(batch, table=kept, vectors=chosen, line=line), (said,) if moved else ()


def _lines(scores: pa.Table, day: NDArray[np.int64]) -> NDArray[np.float64]:
    """The score that each row has to be under to be no alert on its day, in its team; NaN where there is none."""
    bare = pa.chunked_array([pa.nulls(len(day), pa.string())])
    team, hidden, pick = (
        scores[name].cast(pa.string()) if name in scores.column_names else bare
        for name in ("team", "suppressed", "pick")
    )
    codes = team.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy().astype(np.int64)
    by_rank = pc.fill_null(pc.equal(pick, "rank"), fill_value=False).to_numpy()
    lists = day * (int(codes.max(initial=0)) + 1) + codes
    return line_of(lists, scores["score"].to_numpy(), by_rank, hidden.is_valid().to_numpy())


def _places(batch: ScoredBatch, scores: pa.Table, path: Path | str) -> NDArray[np.intp]:
    """Where each row of the file stands in the batch."""
    after = scores.column_names[scores.column_names.index("as_of") + 1]
    keys = ["entity", "since", "as_of", *([] if after == "score" else [after])]
    there = {key: n for n, key in enumerate(_keys(batch.table, keys))}
    wanted = _keys(scores, keys)
    missing = [key for key in wanted if key not in there]
    if missing:
        message = (
            f"{path}: {len(missing):,} of {len(wanted):,} windows are not in the events, the first is "
            f"{missing[0][0]!r}; give the log that was scored"
        )
        raise SchemaError(message)
    return np.array([there[key] for key in wanted], np.intp)


def _keys(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    times = ("since", "as_of")
    columns = [table[name].cast(pa.int64() if name in times else pa.string()).to_pylist() for name in names]
    return list(zip(*columns, strict=True))


def _on_record(loaded: LoadedModel, made: Provenance, leads: list[Lead], request: ReviewRequest, store: Store) -> str:
    """Put the page on record, and say that it names people, and how many."""
    version = loaded.source.version
    told: dict[str, Any] = {
        "scores": made.scores,
        "days": [day and str(day) for day in request.days],
        "names_entities": len({lead.entity for lead in leads}),
        "mlflow": request.tracked,
    }
    use = Use(
        verb="review",
        model=version.name if version else made.model,
        version=version.number if version else "",
        sha256=made.sha256,
        data=made.data,
        rows=len(leads),
        output=str(request.output),
        parameters=told,
    )
    return record(store.home, use)
