"""The door: events come in here, are checked once, and every row that stays outside is counted with its reason.

Behind the door nothing is checked again: a :class:`~peculiar.features.timeline.Timeline` holds only events with an
entity, a believable time and finite measures, each once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ..errors import SchemaError
from . import columns as col
from .roles import Roles, guess_roles
from .sources import PeriodSource, Source, open_source
from .timeline import Arrivals, Timeline, sort_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Codes

__all__ = ["DataReport", "EventLog"]

DAY = 86_400_000_000
_EARLIEST = 365 * DAY  # 1971: what comes before is a zero that somebody's system wrote for "unknown"
_SILENCE = 366  # days
_STRAGGLERS = 0.01


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

    def read(self, since: int | None = None, until: int | None = None) -> tuple[Timeline, DataReport, pa.Table]:
        """Read the events, check them, and sort them by entity and time.

        Parameters
        ----------
        since, until : int, optional
            Keep events in ``[since, until)``, microseconds since 1970 UTC.

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
        door = _Door(len(table))
        entity = _as_text(col.encode(table[self.roles.entity]))
        at = self._times(table, door)
        door.reject("no entity", (entity.codes < 0) | _is_empty(entity))
        dimensions = {name: col.encode(table[name]) for name in self.roles.dimensions}
        measures = {name: self._measure(table, name, door) for name in self.roles.measures}
        place = self._place(table, door)
        peer = col.encode(table[self.roles.peer_by]) if self.roles.peer_by else None
        ids = col.encode_ids(table[self.roles.id]) if self.roles.id else None
        raw = table
        del table
        outside = _outside(at, since, until)
        still = door.kept()
        outside = outside if outside is None or still is None else outside & still
        kept = door.kept(outside)
        arrivals = Arrivals(entity, at, ids, dimensions, measures, self.roles.time_zone, place, peer)
        timeline, dropped = sort_events(arrivals, kept)
        for reason, rows in dropped.items():
            door.reject_rows(reason, rows)
        return timeline, self._report(door, timeline, outside), door.table(raw)

    def _times(self, table: pa.Table, door: _Door) -> NDArray[np.int64]:
        read = col.times(table[self.roles.at], self.roles.time_zone)
        door.reject("no time", read.null)
        door.reject("time is unreadable (expected ISO 8601, such as 2025-03-01T08:00:00Z)", read.unreadable)
        door.reject("time without a zone among times with one", read.zoneless)
        usable = door.kept()
        early = read.at < _EARLIEST
        door.reject("time before 1971", early if usable is None else early & usable)
        usable = door.kept()
        limit = _far_future(read.at if usable is None else read.at[usable])
        if limit is not None:
            door.reject("time far in the future, after more than a year without events", read.at >= limit)
        if read.assumed and len(read.at):
            door.notes.append(f"times carry no zone; read as {self.roles.time_zone}")
        return read.at

    def _measure(self, table: pa.Table, name: str, door: _Door) -> NDArray[np.float64]:
        values, bad = col.numbers(table[name])
        door.reject(f"{name} is not a finite number", bad)
        return values

    def _place(self, table: pa.Table, door: _Door) -> NDArray[np.float64] | None:
        """Latitude and longitude; half a place is none."""
        if self.roles.place is None:
            return None
        place = np.empty((2, len(table)))
        for row, name, limit in zip(place, self.roles.place, (90, 180), strict=True):
            row[:], bad = col.numbers(table[name])
            door.reject(f"{name} is no number from -{limit} to {limit}", bad | (np.abs(row) > limit))
        place[:, np.isnan(place).any(axis=0)] = np.nan
        return place

    def _report(self, door: _Door, timeline: Timeline, outside: NDArray[np.bool_] | None) -> DataReport:
        if len(timeline) == 0 and door.rows and outside is None:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in door.counts.items())
            message = f"{self.source.name}: none of {door.rows:,} rows is fit to be read: {reasons}; check the roles"
            raise SchemaError(message)
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


class _Door:
    """Counts who is turned away, each row once, by the first reason that holds."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.notes: list[str] = []
        self.counts: dict[str, int] = {}
        self._where: dict[str, NDArray[np.intp]] = {}
        self._out: NDArray[np.bool_] | None = None

    def reject(self, reason: str, mask: NDArray[np.bool_]) -> None:
        if mask.any():
            self.reject_rows(reason, np.flatnonzero(mask if self._out is None else mask & ~self._out))

    def reject_rows(self, reason: str, rows: NDArray[np.intp]) -> None:
        if len(rows) == 0:
            return
        if self._out is None:
            self._out = np.zeros(self.rows, np.bool_)
        self._out[rows] = True
        self._where[reason] = rows
        self.counts[reason] = len(rows)

    def kept(self, outside: NDArray[np.bool_] | None = None) -> NDArray[np.bool_] | None:
        """A mask of the rows still in, or None for all of them."""
        if outside is None:
            return None if self._out is None else ~self._out
        return ~outside if self._out is None else ~(self._out | outside)

    def table(self, raw: pa.Table) -> pa.Table:
        rows = np.concatenate([*self._where.values(), np.empty(0, np.intp)]).astype(np.int64)
        reasons = [reason for reason, where in self._where.items() for _ in range(len(where))]
        head = pa.table({"row": pa.array(rows), "reason": pa.array(reasons, pa.string())})
        picked = raw.take(pa.array(rows)) if len(rows) else raw.slice(0, 0)  # taking nothing would merge dictionaries
        for name in raw.column_names:
            if name not in head.column_names:
                head = head.append_column(name, picked[name])
        return head


def _is_empty(entity: Codes) -> NDArray[np.bool_]:
    """Rows whose entity is the empty text, which a CSV file could not tell from a missing one."""
    empty = np.append(entity.values.to_numpy(zero_copy_only=False) == "", [False])
    return empty[entity.codes] if empty.any() else np.zeros(len(entity.codes), np.bool_)


def _as_text(entity: Codes) -> Codes:
    """Put the entities in the order of their names, so that the order of vectors is not that of the rows."""
    order = np.argsort(entity.values.to_numpy(zero_copy_only=False).astype(object), kind="stable")
    place = np.empty(len(order) + 1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    place[-1] = -1
    return col.Codes(place[entity.codes], entity.values.take(pa.array(order)))


def _outside(at: NDArray[np.int64], since: int | None, until: int | None) -> NDArray[np.bool_] | None:
    if since is None and until is None:
        return None
    early = at < since if since is not None else np.zeros(len(at), np.bool_)
    return early | (at >= until) if until is not None else early


def _far_future(at: NDArray[np.int64]) -> int | None:
    """The time from which events are stragglers beyond a year of silence; None in a log without such a gap."""
    if len(at) == 0 or int(at.max()) - int(at.min()) <= _SILENCE * DAY:
        return None
    days, counts = np.unique(at // DAY, return_counts=True)
    after = counts[::-1].cumsum()[::-1][1:]
    few = after <= max(1, int(_STRAGGLERS * len(at)))
    gaps = np.flatnonzero((np.diff(days) > _SILENCE) & few)
    return int(days[gaps[0] + 1] * DAY) if len(gaps) else None


def _iso(micros: int | None) -> str | None:
    return None if micros is None else f"{np.datetime64(micros, 'us').astype('datetime64[s]')}Z"
