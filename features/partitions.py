"""The plan over partitions: a log of any size, in memory that its length does not set.

Everything after the population looks at one entity at a time, so it is done partition by partition, by the very code
that does it for a whole log. Three things look at everybody, and each gets a pass of its own over the partitions: whose
id an event bears (unless ids only rise), who else was at a value (:mod:`~peculiar.features.meeting`), and what everyone
does (:meth:`Partitions.fit`), which is sums of integers. Neither the number of partitions nor that of threads shows in
a single bit of what comes out.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
import pyarrow.compute as pc

from .ahead import ahead
from .claims import workspace
from .columns import day_at
from .fitting import fit_passes
from .kernels import picked
from .meeting import Meeting
from .population import Population
from .recall import CLASH
from .recent import Recent, told_by_last_visits
from .repeated import Named, Repeated, spurned_rows
from .snapshots import snapshots_of
from .visits import meeting_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    import pyarrow as pa
    from numpy.typing import NDArray

    from .events import DataReport
    from .plan import FeaturePlan
    from .store import EventStore
    from .timeline import Timeline
    from .vectors import Vectors

__all__ = ["PASSING", "Partitions", "Portion", "in_parts"]

Made = TypeVar("Made")

PASSING = "passing-"  # what begins so in a store is deleted by the run that made it, or by the next one
_MOST_PARTS, _FEWER = 256, 4


@dataclass(frozen=True, eq=False)
class Portion:
    """The events of some partitions that follow each other, with all that families note.

    Attributes
    ----------
    partitions : range
    entities : pyarrow.Array of text, or None
        Whose events these are; None for all.
    timeline : Timeline
    report : DataReport
        Of what came in.
    dropped : dict of str to int64 array
        Which rows did not, by reason.
    """

    partitions: range
    entities: pa.Array | None
    timeline: Timeline
    report: DataReport
    dropped: dict[str, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Partitions:
    """The events of a store, ready for a plan.

    Attributes
    ----------
    store : EventStore
    plan : FeaturePlan
    days : pair of date or None
        Events of ``[since, until)`` alone.
    noted : callable, optional
        Notes on a partition's events what is known of them from elsewhere, such as when their trouble became known.
    spurned : int64 array
        Rows whose ids are other events'.
    meeting : Meeting or None
        Who else was at the values; None where no family asks.
    since : int or None
        Only windows that begin at this instant or later are asked for, microseconds since 1970 UTC; or that end with an
        event after it.
    together : int
        Partitions with so many events in all may be looked at in one go.
    """

    store: EventStore
    plan: FeaturePlan
    days: tuple[date | None, date | None] = (None, None)
    noted: Callable[[Timeline], Timeline] | None = None
    spurned: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    meeting: Meeting | None = None
    since: int | None = None
    together: int = 0

    @classmethod
    @contextmanager
    def over(
        cls,
        store: EventStore,
        plan: FeaturePlan,
        *,
        days: tuple[date | None, date | None] = (None, None),
        noted: Callable[[Timeline], Timeline] | None = None,
        since: int | None = None,
        together: int = 0,
        progress: Callable[[str, float], None] | None = None,
    ) -> Iterator[Self]:
        """Look at everybody as far as the plan has to, and clean up at the end.

        Parameters
        ----------
        store : EventStore
        plan : FeaturePlan
        days : pair of date or None
        noted : callable, optional
        since : int, optional
            Only windows that begin at this instant or later will be asked for, microseconds since 1970 UTC; or that end
            with an event after it. Nothing is noted on events that these do not have, and of whoever has no such window
            nothing is read.
        together : int
            Partitions with so many events in all may be looked at in one go.
        progress : callable, optional
            Called with what is done and the share of it.
        """
        parts, zone = min(store.partitions, _MOST_PARTS), store.manifest.roles.time_zone
        with workspace(store.folder, PASSING) as folder:
            made = cls(store, plan, days, noted, since=since, together=together)
            if store.manifest.rising is None and store.manifest.roles.id is not None:
                made = replace(made, spurned=_spurned(made, Repeated(folder, parts), progress))
            if meeting_places(plan):
                made = replace(made, meeting=_met(made, partial(Meeting, folder, plan, zone), parts, progress))
            yield made

    def portions(
        self,
        what: str,
        progress: Callable[[str, float], None] | None = None,
        *,
        entities: pa.Array | None = None,
    ) -> Iterator[Portion]:
        """All that has to be looked at, some partitions at a time; the next portion is made while one is used.

        Parameters
        ----------
        what : str
            What progress is told to be of.
        progress : callable, optional
        entities : pyarrow.Array of text, optional
            Only of these.

        Yields
        ------
        Portion
            At least one, and but for the first none without an event.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import pyarrow as pa
        >>> from peculiar.features.events import EventLog
        >>> from peculiar.features.plan import FeaturePlan
        >>> from peculiar.features.store import EventStore
        >>> rows = {"user_id": ["ann", "ben", "ben"], "ts": [f"2025-03-0{day}T08:00:00Z" for day in (1, 1, 2)]}
        >>> log = EventLog.open(pa.table(rows))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = EventStore.create(Path(folder) / "store", log.roles, partitions=2).add(log)
        ...     second_of_march = 1_740_873_600_000_000
        ...     with Partitions.over(store, FeaturePlan(log.roles), since=second_of_march, together=9) as parts:
        ...         [(portion.partitions, portion.timeline.entity.to_pylist()) for portion in parts.portions("a day")]
        [(range(0, 2), ['ben'])]
        """
        empty = True
        for numbers, made in ahead(partial(self._portion, entities), self.ranges):
            if empty or len(made.timeline):
                yield made
            empty = False
            del made
            if progress:
                progress(what, numbers.stop / self.store.partitions)

    def timeline(
        self, partition: int | range, *, entities: pa.Array | None = None
    ) -> tuple[Timeline, DataReport, dict[str, NDArray[np.int64]]]:
        """The events of a partition with all that families note, what came in, and which rows did not by reason.

        Parameters
        ----------
        partition : int, or range of int
            One, or several that follow each other.
        entities : pyarrow.Array of text, optional
            Only of these.
        """
        rows = self.store.raw(partition, *self.days, entities=entities)
        timeline, report, dropped = self.store.in_order(rows, self.spurned)
        timeline = timeline if self.noted is None else self.noted(timeline)
        if self.meeting is not None:
            numbers = range(partition, partition + 1) if isinstance(partition, int) else partition
            told = self.meeting.notes(numbers, rows.row)  # they come in the order of the rows, as they are stored
            notes = {name: picked(note, timeline.row) for name, note in told.items()}
            timeline = replace(timeline, notes={**timeline.notes, **notes})
        return self.plan.annotated(timeline), report, dropped

    def timeline_of(self, entities: pa.Array) -> Timeline:
        """The events of some entities of all partitions in one timeline, with all that families note.

        Parameters
        ----------
        entities : pyarrow.Array of text
            So many that their events fit into memory.
        """
        return self.timeline(range(self.store.partitions), entities=entities)[0]

    def fit(self, *, threads: int | None = None, progress: Callable[[str, float], None] | None = None) -> Population:
        """Learn what everyone does: the population that :meth:`FeaturePlan.fit` would learn of all events at once."""
        population = Population()
        for number, learn in enumerate(fit_passes(self.plan)):
            found = Population()
            for _, (timeline, _, _) in self.each(f"learning, look {number + 1}", self.timeline, progress):
                if len(timeline):
                    found = found.merged(learn(timeline, population, threads))
            population = population.merged(found)
        return population

    def vectors(
        self,
        timeline: Timeline,
        population: Population,
        *,
        most_bytes: int | None = None,
        threads: int | None = None,
    ) -> Iterator[tuple[Timeline, Vectors]]:
        """The vectors of a partition, in the order of (hash of the entity, as_of), some entities at a time.

        Parameters
        ----------
        timeline : Timeline
            From :meth:`timeline`.
        population : Population
        most_bytes : int, optional
            About so many bytes of vectors at a time; one entity's are never parted.
        threads : int, optional

        Yields
        ------
        timeline : Timeline
            The events that the vectors are of, and the history before them.
        vectors : Vectors
            Only of windows that end after what is asked for begins; without a row, but with all columns, where there
            is no event.
        """
        for part in in_parts(timeline, self.plan, most_bytes) if len(timeline) else (timeline,):
            yield part, self.plan.vectors(part, population, threads=threads, since=self.since)

    def read(self, partition: int) -> tuple[Timeline, NDArray[np.int64]]:
        """A partition's events as stored, with what is known from elsewhere, and their rows in all that came."""
        rows = self.store.raw(partition, *self.days)
        timeline = self.store.in_order(rows, self.spurned)[0]
        came = rows.row[timeline.row]
        return timeline if self.noted is None else self.noted(timeline), came

    def each(
        self, what: str, make: Callable[[int], Made], progress: Callable[[str, float], None] | None = None
    ) -> Iterator[tuple[int, Made]]:
        """The number of each partition that has an event, and what is made of it; one is made ahead.

        Parameters
        ----------
        what : str
            What progress is told to be of.
        make : callable
        progress : callable, optional
        """
        for partition, made in ahead(make, self.store.filled):
            yield partition, made
            del made
            if progress:
                progress(what, (partition + 1) / self.store.partitions)

    @cached_property
    def ranges(self) -> list[range]:
        """The partitions that have an event, as many together as may be."""
        size, fullest = 1, self.store.fullest(*self.days)
        while 2 * size * fullest <= self.together and size < self.store.partitions:
            size *= 2
        return [range(n * size, (n + 1) * size) for n in dict.fromkeys(number // size for number in self.store.filled)]

    def _portion(self, entities: pa.Array | None, numbers: range) -> Portion:
        there = entities
        if self.since is not None:
            there = self.store.active(numbers, day_at(self.since, self.store.manifest.roles.time_zone), self.days[1])
            there = there if entities is None else there.filter(pc.is_in(there, value_set=entities))
        return Portion(numbers, there, *self.timeline(numbers, entities=there))


def _met(
    parts: Partitions,
    made: Callable[[int], Meeting],
    number: int,
    progress: Callable[[str, float], None] | None,
) -> Meeting:
    """Where entities met, in so many parts; of the latest events alone, which few earlier ones tell of, in fewer."""
    if told_by_last_visits(parts.plan):
        first, windows = parts.since, parts.plan.windows
        meeting = made(number if first is None else max(1, number // _FEWER))
        first = first if first is None or windows.calendar else first - windows.width
        Recent(meeting, parts.store, parts.days, first, parts.spurned).meet(parts.ranges, progress)
        return meeting
    meeting = made(number)
    for partition, (timeline, rows) in parts.each("meeting", parts.read, progress):
        meeting.bring(partition, timeline, rows)
    meeting.meet()
    return meeting


def _spurned(parts: Partitions, repeated: Repeated, progress: Callable[[str, float], None] | None) -> NDArray[np.int64]:
    """The rows whose ids earlier events have; mostly no id comes twice, and one look is enough.

    Those that a partition finds by itself are among them: where their elder's id is another partition's event's, they
    would come in for it.
    """
    own = [np.empty(0, np.int64)]
    for _, (named, clashes) in parts.each("ids", partial(_named, parts), progress):
        repeated.bring(named)
        own.append(clashes)
    suspects = repeated.suspects()
    if len(suspects):
        again = parts.each("ids", partial(_named, parts), progress)
        own.append(spurned_rows((named for _, (named, _) in again), suspects))
    return np.sort(np.concatenate(own))


def _named(parts: Partitions, partition: int) -> tuple[Named, NDArray[np.int64]]:
    """The events of a partition that have ids, and the rows whose id another of its events has."""
    rows = parts.store.raw(partition, *parts.days)
    timeline, _, dropped = parts.store.in_order(rows)
    there = np.ones(len(rows), np.bool_) if rows.ids is None else rows.ids.is_valid().to_numpy()
    named = Named(timeline, there[timeline.row], rows.row[timeline.row])
    return named, dropped.get(CLASH, np.empty(0, np.int64))


def in_parts(timeline: Timeline, plan: FeaturePlan, most_bytes: int | None) -> Iterator[Timeline]:
    """The timeline by entities, so that the vectors of each part take about so many bytes; one's are never parted."""
    if not len(timeline):
        return
    width = 4 * len(plan.features)
    if most_bytes is None or len(timeline) * width <= most_bytes:
        yield timeline
        return
    rows = snapshots_of(timeline, plan.windows).rows
    part = rows[:-1] * width // most_bytes
    for number in np.unique(part).tolist():
        yield timeline.of_entities(part == number)
