"""One scoring run within a promise of memory: split, score, alert, write, and put the use on record."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from ..features.events import EventLog, nothing_fit
from ..features.holdings import StoreError
from ..features.large import day_of
from ..features.memory import Room
from ..features.output import write_parquet
from ..features.partitions import Partitions
from ..features.passing import alone, passing_store
from ..features.places import is_remote
from ..features.row_groups import row_groups
from ..features.store import EventStore, is_store
from ..features.timeline import fingerprint_of
from ..training.references import load
from ..training.trouble import trouble_from
from .batch import counts_of, day_begins, told_of
from .large import row_groups_of, scores_of_partitions
from .large_alerts import alerts_of, check_rules
from .scoring import reach_of
from .traces import Trace, model_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import date

    from numpy.typing import NDArray

    from ..features.events import DataReport
    from ..features.plan import FeaturePlan
    from ..features.timeline import Timeline
    from ..training.model import Model
    from ..training.store import Store
    from .batch import ScoringRequest
    from .large import Ranking
    from .large_alerts import Candidates

__all__ = ["LargeScores", "score_within"]


@dataclass(frozen=True, eq=False)
class LargeScores:
    """Scores on disk that were never all in memory.

    Attributes
    ----------
    output : Path
    counts : dict of str to int
        Rows, alerts, cases, suppressed windows.
    listed : pyarrow.Table
        The alerts.
    report : DataReport
    model : str
        Name and version of the model.
    run_id : str
        The scoring run in MLflow; empty if it could not be written.
    untracked : str
        Why there is no whole run; empty if there is one.
    """

    output: Path
    counts: dict[str, int]
    listed: pa.Table
    report: DataReport
    model: str
    run_id: str
    untracked: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            **self.counts,
            "model": self.model,
            "output": str(self.output),
            "run_id": self.run_id,
            "data": self.report.to_dict(),
        }


def score_within(
    request: ScoringRequest,
    store: Store,
    *,
    memory: int,
    progress: Callable[[str, float], None] | None = None,
) -> LargeScores:
    """Score a log that may be larger than memory into one file.

    The rows are those of :func:`~peculiar.serving.batch.score_to_file`, in the order of (hash of the entity, as_of).
    If the events are an event store, it is read where it lies: the days asked for and the horizon before them. No
    challenger scores in its shadow, and whether p-values still mean what they say is not looked at.

    Parameters
    ----------
    request : ScoringRequest
    store : Store
    memory : int
        Bytes that the process may take in all.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If the memory is too little, the output is no file of this machine, or the rules need all windows at once.
    BundleError, SchemaError, LabelError
        As :func:`~peculiar.serving.batch.score_to_file` raises them.
    StoreError
        If the disk has too little room for the split log, or an event store does not fit the model, the memory or the
        days.
    """
    check_rules(request.alert_rules)
    if is_remote(str(request.output)):
        raise ConfigError("expected a file of this machine as output where memory is bounded, got an object store's")
    loaded, output = load(store, request.model_uri), Path(request.output)
    model, roles = loaded.model, loaded.model.plan.roles
    period = (day_begins(request.days[0], roles.time_zone), day_begins(request.days[1], roles.time_zone))
    noted, notes = _noted(model, request.labels)
    room = Room.of(memory, roles)
    days = day_of(reach_of(model, period[0]), roles.time_zone), request.days[1]
    unranked = output.with_name(f".{output.name}.unranked")
    try:
        with (
            _events(request.events, output, model.plan, memory=memory, days=days, progress=progress) as events,
            Partitions.over(
                events, model.plan, days=days, noted=noted, since=period[0], together=room.partition, progress=progress
            ) as parts,
        ):
            how: dict[str, Any] = {"period": period, "most_bytes": room.vectors, "progress": progress}
            ranking = scores_of_partitions(model, parts, unranked, **how)
            if period[0] is None or not events.rows:  # that nobody has a window in a period is no fault of the log
                nothing_fit(ranking.report)
            rules = request.alert_rules
            found = alerts_of(model, parts, ranking, rules=rules, most=request.reasons, period=period)
            rejected = ranking.rejected(events)
        asked = rules.to_dict() | {"days": [day and str(day) for day in request.days], "memory": memory}
        trace = Trace(store, loaded, request.model_uri, str(output), asked)
        digest = _write(output, unranked, (ranking, found), model_name(loaded), trace)
        _set_aside(output, rejected)
    finally:
        unranked.unlink(missing_ok=True)
    report = replace(ranking.report, notes=(*ranking.report.notes, *notes, *found.notes))
    listed = found.table.filter(found.table["alert"])
    counts = counts_of(found.table) | {"rows": ranking.rows}
    told = replace(told_of(report, loaded, counts), params={"budget_per_day": rules.limit()})
    run_id, untracked = trace.run(told, digest=digest)
    return LargeScores(output, counts, listed, report, model_name(loaded), run_id, untracked)


def _events(  # noqa: PLR0913 - what is read, for what, and in how much memory
    source: object,
    output: Path,
    plan: FeaturePlan,
    *,
    memory: int,
    days: tuple[date | None, date | None],
    progress: Callable[[str, float], None] | None,
) -> AbstractContextManager[EventStore]:
    """The events in partitions: a store that is there, or a log that is split for now."""
    if is_store(source):
        return _kept(EventStore.open(Path(str(source))), output, plan, days, Room.of(memory, plan.roles))
    log = EventLog.open(source, plan.roles)
    return passing_store(log, output, memory=memory, plan=plan, progress=progress)


@contextmanager
def _kept(
    store: EventStore, output: Path, plan: FeaturePlan, days: tuple[date | None, date | None], room: Room
) -> Iterator[EventStore]:
    """A store, if it is one for the plan, and its partitions of these days fit."""
    if store.manifest.roles != plan.roles:
        message = (
            f"{store.folder}: expected a store with the model's roles, {plan.roles}, got {store.manifest.roles}; make "
            "it with the settings that the model was trained with"
        )
        raise StoreError(message)
    if (fullest := store.fullest(*days)) > room.partition:
        message = (
            f"{store.folder}: expected partitions of {room.partition:,} events or fewer in this much memory, got "
            f"{fullest:,} on these days; allow more memory, or make the store anew with more than {store.partitions}"
        )
        raise StoreError(message)
    output.parent.mkdir(parents=True, exist_ok=True)
    with alone(output):
        yield store


def _noted(model: Model, labels: object | None) -> tuple[Callable[[Timeline], Timeline] | None, tuple[str, ...]]:
    """What notes known trouble on events, and what a reader of the scores has to know."""
    if not model.plan.risky:
        return None, () if labels is None else ("the model was trained without labels; those given change nothing",)
    if labels is None:
        return None, ("the model knows risk, but no labels were given: it takes it that no trouble is known",)
    return trouble_from(labels, delay=int(model.card.get("label_delay", 0))), ()


def _write(output: Path, unranked: Path, scored: tuple[Ranking, Candidates], model: str, trace: Trace) -> str:
    """Write all rows with their ranks, and what is known of the candidates; the use is on record before it is seen."""
    ranking, found = scored
    rank, done = found.rank, 0
    with row_groups(output) as out:
        for table in row_groups_of(unranked):
            lo, hi = np.searchsorted(found.rows, [done, done + len(table)])
            known = found.table.slice(lo, hi - lo), found.rows[lo:hi] - done
            out.write(_with_alerts(table, rank[done : done + len(table)], known, model))
            done += len(table)
        return trace.use(data=fingerprint_of(ranking.digest), rows=ranking.rows)


def _set_aside(output: Path, rejected: pa.Table) -> None:
    """Write the rows that stayed outside beside the scores, if there are any."""
    beside_it = output.with_name(f"{output.stem}.rejected.parquet")
    if rejected.num_rows:
        write_parquet(rejected, beside_it)
    else:
        beside_it.unlink(missing_ok=True)


def _with_alerts(
    table: pa.Table, rank: NDArray[np.int64], found: tuple[pa.Table, NDArray[np.int64]], model: str
) -> pa.Table:
    """Rows with rank and the columns of alerts, null (or no alert) where a row is no candidate."""
    known, there = found
    place = np.full(len(table), -1, np.int64)
    place[there] = np.arange(len(there))
    at = pa.array(place, mask=place < 0)
    table = table.append_column("rank", pa.array(rank))
    for name in known.column_names:
        if name not in table.column_names:
            column = known[name].take(at)
            table = table.append_column(name, column.fill_null(False) if name == "alert" else column)
    return table.append_column("model", pa.array([model] * len(table), pa.string())).replace_schema_metadata(
        known.schema.metadata
    )
