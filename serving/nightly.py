"""Scoring into a dataset, which can run every night: each day once, and again where what it is made of has changed.

A day's scores are made of the model, the parameters, the events and labels that its windows can see, and the committed
alerts of the days before that its cases go on from, and of nothing else: not of the period asked for. What stands in
their shadow is made of the challenger as well. A day's commit says all of these. So a day whose commit says the same is
left alone, and a run that was killed goes on with the days that lack one.

Late events. The days before the first one asked for are scored again as far as ``late`` reaches, if they have scores;
events later than that count as history of later days only. A day whose scores change by that gets the next revision,
and alerts that are none any more are listed in its commit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .. import __version__
from ..features.columns import from_wall, times, to_wall
from ..features.events import EventLog
from ..features.output import parquet_bytes
from ..features.sources import InMemory
from ..training.asides import days_of
from ..training.labels import read_labels
from ..training.references import load
from .batch import counts_of, day_begins, named, noted, told_of, with_shadow
from .dataset import DayOfScores, ScoreDataset
from .scoring import score_batch
from .shadow import Companion
from .traces import Trace, model_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from ..features.events import DataReport
    from ..features.timeline import Timeline
    from ..training.labels import Labels
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .batch import ScoringRequest
    from .dataset import Commit
    from .scoring import ScoredBatch
    from .shadow import Shadow

    _Pass = tuple[ScoredBatch, list[DayOfScores], tuple[Shadow | None, pa.Table]]

__all__ = ["DayOutcome", "WrittenDataset", "score_to_dataset"]

_OF_CASES = ["entity", "as_of", "alert", "case"]
_COUNTED = ["alert", "case", "suppressed"]
_DAY, _HOUR = 86_400_000_000, 3_600_000_000


@dataclass(frozen=True)
class DayOutcome:
    """What a run did about a day.

    Attributes
    ----------
    commit : Commit
        What is committed now.
    before : Commit or None
        What was committed before the run.
    """

    commit: Commit
    before: Commit | None

    @property
    def state(self) -> str:
        """``new``; ``changed``, a new revision; ``confirmed``, scored again to the same end; ``kept``, left alone."""
        if self.before is None:
            return "new"
        if self.commit == self.before:
            return "kept"
        return "confirmed" if self.commit.revision == self.before.revision else "changed"

    @property
    def withdrawn(self) -> int:
        """How many alerts of the revision before are none any more."""
        fresh = self.commit.revision if self.state == "changed" else -1
        return sum(key["revision"] == fresh for key in self.commit.withdrawn)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        told = {name: getattr(self.commit, name) for name in ("day", "revision", "rows", "alerts")}
        return {**told, "state": self.state, "withdrawn": self.withdrawn}


@dataclass(frozen=True)
class WrittenDataset:
    """What a run made of a dataset.

    Attributes
    ----------
    location : str
    model : str
        Name and version of the model.
    days : tuple of DayOutcome
        Of every day asked for that has events, and of late days; in order.
    report : DataReport
        What came to the door.
    run_id : str
        The scoring run in MLflow; empty if nothing had to be scored, or it could not be written.
    untracked : str
        Why there is no whole run; empty if there is one, or none was due.
    cases, suppressed : int
        Of the days that were scored: cases with an alert, and windows that a suppression took off the list.
    """

    location: str
    model: str
    days: tuple[DayOutcome, ...]
    report: DataReport
    run_id: str = ""
    untracked: str = ""
    cases: int = 0
    suppressed: int = 0

    @property
    def written(self) -> list[date]:
        """The days that have scores which are new, or others than before."""
        told = [done.commit for done in self.days if done.state in ("new", "changed")]
        return [date.fromisoformat(commit.day) for commit in told if commit.rows]

    def count(self, name: str) -> int:
        """Rows, alerts or withdrawn alerts of the days that were scored."""
        scored = [done.to_dict() for done in self.days if done.state != "kept"]
        return sum(told[name] for told in scored)

    def summary(self) -> str:
        """A line or two for a person."""
        states = [done.state for done in self.days]
        told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "nothing to score"
        line = f"{self.location}: days: {told}; {self.count('rows'):,} rows, {self.count('alerts'):,} alerts, "
        lines = [f"{line}model {self.model}"]
        if withdrawn := self.count("withdrawn"):
            lines.append(f"  withdrawn: {withdrawn:,} earlier alerts are none any more; their days' commits list them")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "rows": self.count("rows"),
            "alerts": self.count("alerts"),
            "cases": self.cases,
            "suppressed": self.suppressed,
            "withdrawn": self.count("withdrawn"),
            "days": [done.to_dict() for done in self.days],
            "model": self.model,
            "output": self.location,
            "run_id": self.run_id,
            "data": self.report.to_dict(),
        }


def score_to_dataset(
    request: ScoringRequest, store: Store, *, progress: Callable[[str, float], None] | None = None
) -> WrittenDataset:
    """Score days into a dataset, those that are not there yet or are made of something else by now.

    Without a first day, a dataset that has days goes on with the one after the last; a new one takes the whole log.
    Days without events have no scores. Each day appears whole, after the use is on record.

    Raises
    ------
    BundleError
        If there is no such model, or its files are not those that were registered.
    SchemaError
        If the events lack a column, or none can be read.
    LabelError
        If the labels cannot be tied to the events.
    DatasetError
        If a commit cannot be read.
    """
    loaded = load(store, request.model_uri)
    companion = Companion.of(store, loaded, wanted=request.shadow)
    scores, parts = ScoreDataset.open(request.output), []
    with scores.only_one():
        run = _Run.begin(request, loaded, scores, companion)
        asked = request.alert_rules.to_dict() | companion.asked | {"days": [str(day) for day in run.lacking]}
        trace = Trace(store, loaded, request.model_uri, scores.location, asked)
        digest, notes, made = "", dict.fromkeys(run.report.notes), []
        for batch, days, part in run.passes(progress):
            digest = trace.use(data=run.timeline.fingerprint, rows=sum(day.table.num_rows for day in days))
            notes |= dict.fromkeys(batch.report.notes)
            parts.append(part)
            for scored in days:
                scores.write(run.with_cases(scored))
                scores.sweep(scored.day)
                made.append(scored.table.select(_COUNTED))
        outcomes = tuple(DayOutcome(_committed(scores, day), before) for day, before in run.before.items())
        for day in run.kept:
            scores.sweep(day)  # what a killed run may have left
    report = replace(run.report, notes=tuple(notes))
    written = WrittenDataset(scores.location, model_name(loaded), outcomes, report)
    if not run.lacking:
        return written
    counts = counts_of(pa.concat_tables(made))
    written = replace(written, cases=counts["cases"], suppressed=counts["suppressed"])
    told = told_of(report, loaded, {**counts, "withdrawn": written.count("withdrawn"), "days": len(run.lacking)})
    told = with_shadow(told, companion, parts)
    params = {**told.params, "budget_per_day": request.alert_rules.limit()}
    told = replace(told, params=params, tags={"peculiar.days": f"{min(run.lacking)}/{max(run.lacking)}"})
    run_id, untracked = trace.run(told, digest=digest)
    return replace(written, run_id=run_id, untracked=untracked)


@dataclass(frozen=True, eq=False)
class _Run:
    """The events, read once, and what has to be done about each day."""

    request: ScoringRequest
    loaded: LoadedModel
    scores: ScoreDataset
    log: EventLog
    timeline: Timeline
    report: DataReport
    rejected: pa.Table
    companion: Companion
    before: Mapping[date, Commit | None] = field(default_factory=dict)
    made_of: Mapping[date, Mapping[str, Any]] = field(default_factory=dict)
    lacking: tuple[date, ...] = ()

    @classmethod
    def begin(cls, request: ScoringRequest, loaded: LoadedModel, scores: ScoreDataset, companion: Companion) -> _Run:
        """Read the events that the days can see, and hold each day's ingredients against its commit."""
        roles, there = loaded.model.plan.roles, scores.days()
        first, last = request.days
        if first is None and there:
            first = there[-1] + timedelta(days=1)
        start = date.min if first is None else first - timedelta(days=request.late)
        source = EventLog.open(request.events, roles).source
        columns = [name for name in (*roles.columns, *roles.audit_only) if name in source.schema().names]
        log = EventLog.open(InMemory(source.read(columns), source.name), roles)
        days = _Days(loaded)
        timeline, report, rejected = log.read(days.reach(first and start), None if last is None else days.begin(last))
        run = cls(request, loaded, scores, log, timeline, report, rejected, companion)
        with_events = days.of_events(timeline)
        end = last or (max(with_events) + timedelta(days=1) if with_events else None)
        late = {day for day in there if end is not None and start <= day < end}
        asked = {day for day in with_events if first is None or day >= first} | late
        made_of = run._ingredients(sorted(asked))
        before = {day: scores.commit(day) for day in made_of}
        run = replace(run, before=before, made_of=made_of)
        return replace(run, lacking=tuple(run.days_to_score(before)))

    @property
    def kept(self) -> list[date]:
        """The days that are left alone."""
        return [day for day in self.before if day not in self.lacking]

    def passes(self, progress: Callable[[str, float], None] | None) -> Iterator[_Pass]:
        """Score the days that need it, some at a time."""
        days, request = _Days(self.loaded), self.request
        # A run of events that goes on is scored as it stood at the end of the day, whichever days are asked for.
        most = 1 if self.loaded.model.plan.windows.by is not None else request.block
        for part in _blocks(self.lacking, most):
            batch = score_batch(
                self.loaded.model,
                self.log,
                labels=request.labels,
                since=days.begin(part[0]),
                until=days.begin(part[-1] + timedelta(days=1)),
                explain=request.reasons,
                rules=replace(request.alert_rules, earlier=self._earlier(part[0])),
                progress=progress,
            )
            on = days_of(batch.vectors, self.loaded.model.plan.windows, self.loaded.model.plan.roles.time_zone)
            batch = noted(batch, self.companion)
            table = named(batch.table, self.loaded)
            shadow = self.companion.shadow(self.loaded.model, batch, request.alert_rules)
            beside = None if shadow is None else shadow.beside(table)
            yield batch, [self._day(day, table, beside, on == _number(day)) for day in part], (shadow, table)

    def _day(self, day: date, table: pa.Table, shadow: pa.Table | None, here: NDArray[np.bool_]) -> DayOfScores:
        mask = pa.array(here)
        beside = None if shadow is None else shadow.filter(mask)
        return DayOfScores(day, table.filter(mask), self._set_aside(day), self.made_of[day], beside)

    def _earlier(self, day: date) -> pa.Table | None:
        """The committed alerts whose cases may go on at a day."""
        gap = timedelta(days=self.request.alert_rules.case_gap)
        tables = [self.scores.read(each) for each in self.scores.days() if day - gap <= each < day]
        kept = [table.filter(table["alert"]).select(_OF_CASES) for table in tables if table.num_rows]
        return pa.concat_tables(kept) if kept else None

    def with_cases(self, scored: DayOfScores) -> DayOfScores:
        """The day with what its cases go on from, once all days before it are committed."""
        earlier = self._earlier(scored.day)
        return replace(scored, made_of={**scored.made_of, "cases": None if earlier is None else _digest(earlier)})

    def days_to_score(self, asked: Iterable[date]) -> Iterator[date]:
        """The days not made of the same, or perhaps not, since a day that cases go on from is to be scored."""
        latest = date.min
        gap = timedelta(days=self.request.alert_rules.case_gap)
        for day in asked:
            earlier = self._earlier(day) if self.before[day] is not None else None
            made_of = {**self.made_of[day], "cases": None if earlier is None else _digest(earlier)}
            if (latest > date.min and day - gap <= latest) or not _current(self.scores, self.before[day], made_of):
                latest = day
                yield day

    def _ingredients(self, asked: list[date]) -> dict[date, Mapping[str, Any]]:
        """All that decides each day's scores, as its commit says it."""
        days, source = _Days(self.loaded), self.loaded.source
        seen = [(days.reach(day), days.begin(day + timedelta(days=1))) for day in asked]
        version = source.version
        common = {
            "peculiar": __version__,
            "model": {
                "name": version.name if version else "",
                "version": version.number if version else "",
                "sha256": source.sha256,
            },
            **self.companion.made_of,
            "plan": self.loaded.model.plan.fingerprint,
            "parameters": self.request.alert_rules.to_dict() | {"reasons": self.request.reasons},
        }
        labels = self._labels()
        events = self.timeline.fingerprints(seen)
        return {
            day: {
                **common,
                "events": fingerprint,
                "labels": None if labels is None else _digest(_heard(labels, *stretch)),
                "rejected": _digest(self._set_aside(day)),
            }
            for day, stretch, fingerprint in zip(asked, seen, events, strict=True)
        }

    def _labels(self) -> Labels | None:
        model, given = self.loaded.model, self.request.labels
        if given is None or not model.plan.risky:
            return None
        delay = int(model.card.get("label_delay", 0))
        return read_labels(given, locate=self.timeline.locate, delay=delay, zone=self.timeline.zone)

    def _set_aside(self, day: date) -> pa.Table:
        """The rows set aside that are of a day, and those of no believable time, which could be of any."""
        undated, on = self._rejected_on
        return self.rejected.filter(pa.array(undated | (on == _number(day))))

    @cached_property
    def _rejected_on(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which of the rows set aside have no believable time, and the days of the others."""
        roles = self.loaded.model.plan.roles
        if not self.rejected.num_rows:
            return np.empty(0, np.bool_), np.empty(0, np.int64)
        on = to_wall(times(self.rejected[roles.at], roles.time_zone).at, roles.time_zone) // _DAY
        reasons = self.rejected["reason"].to_pylist()
        return np.array([reason.startswith(("no time", "time ")) for reason in reasons], np.bool_), on


@dataclass(frozen=True)
class _Days:
    """Days of a model's zone as stretches of time, so that every window is about one of them, whole."""

    loaded: LoadedModel

    def begin(self, day: date) -> int:
        """When a day's windows begin, microseconds since 1970 UTC.

        Hours are hours of UTC. Where midnight is not on the hour, the hour it falls into is of the day before.
        """
        instant = day_begins(day, self.loaded.model.plan.roles.time_zone) or 0
        return -(-instant // _HOUR) * _HOUR if self._hourly else instant

    def reach(self, day: date | None) -> int | None:
        """The first event that a day's windows can see; None is any. A run of events may have begun at any time."""
        windows, zone = self.loaded.model.plan.windows, self.loaded.model.plan.roles.time_zone
        if day is None or windows.by is not None:
            return None
        wall = to_wall(np.array([self.begin(day)]), zone) - windows.horizon_width - windows.width - _DAY
        return int(from_wall(wall, zone)[0])

    def of_events(self, timeline: Timeline) -> set[date]:
        """The days that events are of."""
        at: NDArray[np.int64] = timeline.at - timeline.at % _HOUR if self._hourly else timeline.at
        numbers = np.unique(to_wall(at, self.loaded.model.plan.roles.time_zone) // _DAY)
        return {date(1970, 1, 1) + timedelta(days=int(number)) for number in numbers}

    @property
    def _hourly(self) -> bool:
        windows = self.loaded.model.plan.windows
        return windows.calendar and windows.every == "1h"


def _current(scores: ScoreDataset, commit: Commit | None, made_of: Mapping[str, Any]) -> bool:
    """Whether what is committed of a day is there, and made of the same."""
    if commit is None or commit.made_of != made_of:
        return False
    return scores.holds(commit)


def _committed(scores: ScoreDataset, day: date) -> Commit:
    commit = scores.commit(day)
    if commit is None:
        message = f"{scores.location}: the commit of {day} was taken away while its run was going on"
        raise FileNotFoundError(message)
    return commit


def _blocks(days: tuple[date, ...], most: int) -> Iterator[tuple[date, ...]]:
    """Days in groups that span so many days at most."""
    rest = days
    while rest:
        part = tuple(day for day in rest if (day - rest[0]).days < most)
        yield part
        rest = rest[len(part) :]


def _heard(labels: Labels, since: int | None, until: int) -> pa.Table:
    """The labels known by a moment that can be about events from another moment on, in an order of their own."""
    table = labels.heard(until).table
    if since is not None:
        table = table.filter(pa.array(table["to"].to_numpy() > since))
    return table.sort_by([(name, "ascending") for name in table.column_names])


def _digest(table: pa.Table) -> str | None:
    """SHA-256 of a table's rows; None if there are none."""
    return hashlib.sha256(parquet_bytes(table)).hexdigest() if table.num_rows else None


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days
