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
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
import pyarrow.compute as pc

from .ahead import ahead
from .claims import workspace
from .fitting import fit_passes
from .meeting import Meeting, meeting_places
from .population import Population
from .recall import CLASH
from .recent import Recent, told_by_last_visits
from .repeated import Named, Repeated, spurned_rows
from .segments import ID, ROW
from .snapshots import snapshots_of

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

__all__ = ["PASSING", "Partitions", "in_parts"]

Made = TypeVar("Made")

PASSING = "passing-"  # what begins so in a store is deleted by the run that made it, or by the next one
_MOST_PARTS = 256


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
    meeting : Meeting or Recent or None
        Who else was at the values; None where no family asks.
    """

    store: EventStore
    plan: FeaturePlan
    days: tuple[date | None, date | None] = (None, None)
    noted: Callable[[Timeline], Timeline] | None = None
    spurned: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    meeting: Meeting | Recent | None = None

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
            with an event after it. Nothing is noted on events that these do not have.
        progress : callable, optional
            Called with what is done and the share of it.
        """
        parts, zone = min(store.partitions, _MOST_PARTS), store.manifest.roles.time_zone
        with workspace(store.folder, PASSING) as folder:
            made = cls(store, plan, days, noted)
            if store.manifest.rising is None and store.manifest.roles.id is not None:
                made = replace(made, spurned=_spurned(made, Repeated(folder, parts), progress))
            if meeting_places(plan):
                meeting = Meeting(folder, plan, zone, parts)
                made = replace(made, meeting=_met(made, meeting, since, progress))
            yield made

    def timeline(
        self, partition: int, *, entities: pa.Array | None = None
    ) -> tuple[Timeline, DataReport, dict[str, NDArray[np.int64]]]:
        """The events of a partition with all that families note, what came in, and which rows did not by reason.

        Parameters
        ----------
        partition : int
        entities : pyarrow.Array of text, optional
            Only of these.
        """
        wanted = None if isinstance(self.meeting, Meeting) else entities
        table = self.store.raw(partition, *self.days, entities=wanted)
        timeline, report, dropped = self.store.in_order(table, self.spurned)
        timeline = timeline if self.noted is None else self.noted(timeline)
        if isinstance(self.meeting, Recent):
            told = self.meeting.notes([partition], table[ROW].to_numpy()[timeline.row])
            timeline = replace(timeline, notes={**timeline.notes, **told})
        elif self.meeting is not None:
            told = self.meeting.notes(partition, len(timeline))
            timeline = replace(timeline, notes={**timeline.notes, **told})
            if entities is not None:
                timeline = timeline.of_entities(
                    pc.is_in(timeline.entity, value_set=entities).to_numpy(zero_copy_only=False)
                )
        return self.plan.annotated(timeline), report, dropped

    def timeline_of(self, entities: pa.Array) -> Timeline:
        """The events of some entities of all partitions in one timeline, with all that families note.

        Parameters
        ----------
        entities : pyarrow.Array of text
            So many that their events fit into memory.
        """
        table = self.store.raw(range(self.store.partitions), *self.days, entities=entities)
        timeline, _, _ = self.store.in_order(table, self.spurned)
        timeline = timeline if self.noted is None else self.noted(timeline)
        if isinstance(self.meeting, Recent):
            told = self.meeting.notes(self.store.filled, table[ROW].to_numpy()[timeline.row])
            timeline = replace(timeline, notes={**timeline.notes, **told})
        elif self.meeting is not None:
            timeline = replace(timeline, notes={**timeline.notes, **self._met(self.meeting, entities)})
        return self.plan.annotated(timeline)

    def _met(self, meeting: Meeting, entities: pa.Array) -> dict[str, NDArray[np.float32]]:
        """What was noted on the events of some entities, partition by partition: the order of their timeline."""
        found: dict[str, list[NDArray[np.float32]]] = {}
        for partition, timeline in self.each("meeting", self.read):
            mine = pc.is_in(timeline.entity, value_set=entities).to_numpy(zero_copy_only=False)[timeline.owner]
            for name, note in meeting.notes(partition, len(timeline)).items():
                found.setdefault(name, []).append(note[mine])
        return {name: np.concatenate(notes) for name, notes in found.items()}

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
        since: int | None = None,
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
        since : int, optional
            Only of windows that end after this, microseconds since 1970 UTC.

        Yields
        ------
        timeline : Timeline
            The events that the vectors are of, and the history before them.
        vectors : Vectors
        """
        for part in in_parts(timeline, self.plan, most_bytes):
            yield part, self.plan.vectors(part, population, threads=threads, since=since)

    def read(self, partition: int) -> Timeline:
        """The events of a partition as they are in the store, with what is known of them from elsewhere."""
        timeline = self.store.timeline(partition, *self.days, spurned=self.spurned)[0]
        return timeline if self.noted is None else self.noted(timeline)

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


def _met(
    parts: Partitions, meeting: Meeting, since: int | None, progress: Callable[[str, float], None] | None
) -> Meeting | Recent:
    if since is not None and told_by_last_visits(parts.plan):
        first = since if parts.plan.windows.calendar else since - parts.plan.windows.width
        recent = Recent(meeting, parts.store, parts.days, first, parts.spurned)
        recent.meet(parts.store.filled)
        return recent
    for partition, timeline in parts.each("meeting", parts.read, progress):
        meeting.bring(partition, timeline)
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
    raw = parts.store.raw(partition, *parts.days)
    timeline, _, dropped = parts.store.in_order(raw)
    there = raw[ID].is_valid().to_numpy()
    named = Named(timeline, there[timeline.row], raw[ROW].to_numpy()[timeline.row])
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
