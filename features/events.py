"""The door: events come in here, are checked once, and every row that stays outside is counted with its reason.

Behind the door nothing is checked again: a :class:`~peculiar.features.timeline.Timeline` holds only events with an
entity, a believable time and finite measures, each once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import SchemaError
from .door import arrive, by_name
from .roles import Roles, guess_roles
from .sources import PeriodSource, Source, open_source
from .timeline import sort_events

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from .door import Door
    from .timeline import Timeline
    from .whole import Whole

__all__ = ["DataReport", "EventLog", "nothing_fit"]


@dataclass(frozen=True)
class DataReport:
    """What came to the door and what was let in.

    Attributes
    ----------
    source : str
    rows, admitted : int
        Rows read, and events behind the door; the difference is in ``rejected``.
    rejected : dict of str to int
        Rows that stayed outside, by reason.
    notes : tuple of str
        What was assumed or noticed.
    entities : int
    first, last : int or None
        Times of the first and last admitted event, microseconds since 1970 UTC.
    """

    source: str
    rows: int
    admitted: int
    rejected: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    entities: int = 0
    first: int | None = None
    last: int | None = None

    def joined(self, part: DataReport) -> DataReport:
        """With a partition of the rows that came to this door; each entity is in one partition."""
        rejected = {reason: self.rejected.get(reason, 0) + part.rejected.get(reason, 0)
                    for reason in dict.fromkeys((*self.rejected, *part.rejected))}  # fmt: skip
        ends = [[end for end in pair if end is not None] for pair in ((self.first, part.first), (self.last, part.last))]
        return replace(
            self,
            admitted=self.admitted + part.admitted,
            rejected=rejected,
            notes=tuple(dict.fromkeys((*self.notes, *part.notes))),
            entities=self.entities + part.entities,
            first=min(ends[0], default=None),
            last=max(ends[1], default=None),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; times in ISO 8601."""
        shown = {**self.__dict__, "notes": list(self.notes)}
        return {**shown, "first": _iso(self.first), "last": _iso(self.last)}

    def __str__(self) -> str:
        """A report of a few lines for a person."""
        lines = [f"{self.source}: {self.rows:,} rows, {self.admitted:,} events of {self.entities:,} entities"]
        if self.first is not None:
            lines.append(f"  from {_iso(self.first)} to {_iso(self.last)}")
        lines += [f"  set aside: {count:,} rows, {reason}" for reason, count in self.rejected.items()]
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


@dataclass(frozen=True)
class EventLog:
    """A source of events and the part each of its columns plays.

    Attributes
    ----------
    source : Source
    roles : Roles
    left_out : tuple of str
        Columns that no role uses.
    guessed : bool
        True if the roles were guessed; then show them to somebody.

    Examples
    --------
    >>> import pyarrow as pa
    >>> log = EventLog.open(pa.table({"user_id": ["ann", None], "ts": ["2025-03-01T08:00:00Z"] * 2}))
    >>> timeline, report, _ = log.read()
    >>> report.rejected
    {'no entity': 1}
    """

    source: Source
    roles: Roles
    left_out: tuple[str, ...] = ()
    guessed: bool = False

    @classmethod
    def open(cls, source: object, roles: Roles | None = None) -> Self:
        """Look at the columns, and read nothing yet.

        Parameters
        ----------
        source : EventLog, path, glob, frame, table, or anything that speaks Arrow
        roles : Roles, optional
            Guessed from names and types if not given.

        Raises
        ------
        SchemaError
            If a column is missing or cannot play its part, or a role cannot be guessed.
        """
        if isinstance(source, cls):
            return source if roles is None else cls.open(source.source, roles)
        opened = open_source(source)
        schema = opened.schema()
        if roles is None:
            roles, left_out = guess_roles(schema, opened.name)
            roles.check(schema, opened.name)
            return cls(opened, roles, left_out, guessed=True)
        roles.check(schema, opened.name)
        used = {*roles.columns, *roles.audit_only}
        return cls(opened, roles, tuple(name for name in schema.names if name not in used))

    def within(self, since: int | None, until: int | None) -> Self:
        """The same log without events outside of a period, where its source can leave them out unread; else itself.

        :meth:`read` still has to be told the period: the source may hand over more. What it left out is not counted.

        Parameters
        ----------
        since, until : int or None
            ``[since, until)``, microseconds since 1970 UTC.
        """
        if since is until is None or not isinstance(self.source, PeriodSource):
            return self
        return replace(self, source=self.source.within(self.roles.at, since, until))

    def read(
        self, since: int | None = None, until: int | None = None, *, whole: Whole | None = None
    ) -> tuple[Timeline, DataReport, pa.Table]:
        """Read the events, check them, and sort them by entity and time.

        Parameters
        ----------
        since, until : int, optional
            Keep events in ``[since, until)``, microseconds since 1970 UTC.
        whole : Whole, optional
            What is known of the log that this one is a part of; a part may be empty.

        Returns
        -------
        timeline : Timeline
        report : DataReport
        rejected : pyarrow.Table
            The rows set aside: ``row`` (position in the source), ``reason``, and the columns that have a role.

        Raises
        ------
        SchemaError
            If no event at all is fit to be read.
        """
        table = self.source.read(self.roles.columns)
        arrivals, door, _ = arrive(table, self.roles, whole)
        arrivals = replace(arrivals, entity=by_name(arrivals.entity))
        outside, still = _outside(arrivals.at, since, until), door.kept()
        outside = outside if outside is None or still is None else outside & still
        timeline, dropped = sort_events(arrivals, door.kept(outside))
        for reason, rows in dropped.items():
            door.reject_rows(reason, rows)
        report = self._report(door, timeline, outside)
        if whole is None and outside is None:
            nothing_fit(report)
        return timeline, report, door.table(table)

    def _report(self, door: Door, timeline: Timeline, outside: NDArray[np.bool_] | None) -> DataReport:
        if timeline.identical and not self.roles.id:
            door.notes.append(
                f"{timeline.identical:,} rows repeat another in every column and were kept, since no id tells whether "
                "they are copies"
            )
        span = (int(timeline.at.min()), int(timeline.at.max())) if len(timeline) else (None, None)
        entities = int(np.count_nonzero(np.diff(timeline.first)))
        counts = dict(door.counts)
        if outside is not None and outside.any():
            door.notes.append(f"{int(outside.sum()):,} rows lie outside the period that was asked for")
        return DataReport(self.source.name, door.rows, len(timeline), counts, tuple(door.notes), entities, *span)


def nothing_fit(report: DataReport) -> None:
    """Refuse a log of which no row is fit to be read.

    Raises
    ------
    SchemaError
    """
    if report.admitted == 0 and report.rows:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.rejected.items())
        message = f"{report.source}: none of {report.rows:,} rows is fit to be read: {reasons}; check the roles"
        raise SchemaError(message)


def _outside(at: NDArray[np.int64], since: int | None, until: int | None) -> NDArray[np.bool_] | None:
    if since is None and until is None:
        return None
    early = at < since if since is not None else np.zeros(len(at), np.bool_)
    return early | (at >= until) if until is not None else early


def _iso(micros: int | None) -> str | None:
    return None if micros is None else f"{np.datetime64(micros, 'us').astype('datetime64[s]')}Z"
