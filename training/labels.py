"""Labels with two clocks: when the trouble was, and when we learned of it.

A label is about an entity over a stretch of time. Labels given for events are tied to the event's entity and instant.
Training at a moment may use only labels known by then; a window without a label is not thereby harmless.

A table of labels is what was said, not what holds: a later label about the same entity and the same stretch of time
takes the place of an earlier one as soon as the later one is known. What holds at a moment is :meth:`Labels.known`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..features.vectors import Vectors

    Locate = Callable[[pa.Array], tuple[pa.Array, NDArray[np.int64]]]

__all__ = ["DAY", "SCHEMA", "Labels", "confirmed", "entities_known_bad", "read_labels", "under"]

DAY = 86_400_000_000  # microseconds
_NEVER = int(np.iinfo(np.int64).max)

SCHEMA = pa.schema(
    {
        "entity": pa.string(),
        "from": pa.int64(),
        "to": pa.int64(),
        "known_at": pa.int64(),
        "scenario": pa.string(),
        "value": pa.bool_(),
        "chance": pa.float64(),
        "reviewer": pa.string(),
    }
)


@dataclass(frozen=True, eq=False)
class Labels:
    """What was said of whom, over which time, and since when.

    Attributes
    ----------
    table : pyarrow.Table
        Columns ``entity`` (string), ``from``, ``to`` (int64, microseconds since 1970 UTC, half-open), ``known_at``
        (int64), ``scenario`` (string, nullable), ``value`` (bool: confirmed or cleared), ``chance`` (float64 in (0, 1]:
        how likely it was that anybody looked; 1 for all but random picks), ``reviewer`` (string, nullable).
    left_out : dict of str to int
        Rows of the source that could not be used, by reason.
    """

    table: pa.Table
    left_out: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    def known(self, by: int | None) -> Labels:
        """The labels that hold at a moment, microseconds since 1970 UTC; None takes the last word on everything.

        Of the labels about one entity and one stretch of time the one known last holds; of several known at once the
        one that confirms. What was said before it, or is said later, is left out.
        """
        if by is None:
            return self._rows(self.replaced_at == _NEVER)
        return self._rows((self.column("known_at") <= by) & (self.replaced_at > by))

    def heard(self, by: int) -> Labels:
        """All that was said by a moment, replaced or not; what held at any moment before it can still be told."""
        return self._rows(self.column("known_at") <= by)

    @cached_property
    def replaced_at(self) -> NDArray[np.int64]:
        """When a later word about the same entity and stretch took a label's place, int64 of shape (n,).

        The largest int64 where none did. A label that loses to another known at the same moment never held.
        """
        who = self.table["entity"].combine_chunks().dictionary_encode().indices.to_numpy()
        stretch = (self.column("to"), self.column("from"), who)
        order = np.lexsort(stretch)
        replaced = np.full(len(self), _NEVER)
        if not _as_before(stretch, order).any():
            return replaced
        order = _by_last_word(self.table.append_column("who", pa.array(who)))
        again = np.flatnonzero(_as_before(stretch, order))
        replaced[order[again]] = self.column("known_at")[order[again + 1]]
        return replaced

    def _rows(self, keep: NDArray[np.bool_]) -> Labels:
        return Labels(self.table.filter(pa.array(keep)), self.left_out)

    def positive(self) -> Labels:
        """The labels that confirm trouble."""
        return Labels(self.table.filter(self.table["value"]), self.left_out)

    def negative(self) -> Labels:
        """The labels that clear somebody."""
        return Labels(self.table.filter(pc.invert(self.table["value"])), self.left_out)

    def column(self, name: str) -> NDArray[np.int64]:
        """One of the columns of times as an array."""
        return self.table[name].to_numpy()

    def __str__(self) -> str:
        """A report for a person: what holds in the end, and what was left out."""
        last = self.known(None)
        bad, replaced = len(last.positive()), len(self) - len(last)
        entities = pc.count_distinct(self.table["entity"]).as_py()
        told = f"{bad:,} confirmed, {len(last) - bad:,} cleared" + (f", {replaced:,} replaced" if replaced else "")
        lines = [f"{len(self):,} labels about {entities:,} entities: {told}"]
        return "\n".join(lines + [f"  left out: {count:,} rows, {why}" for why, count in self.left_out.items()])


def read_labels(source: object, *, locate: Locate | None = None, delay: int = 0, zone: str = "UTC") -> Labels:
    """Read labels from a file or a table.

    The columns are recognised by name: who (``entity``, ``user_id``, …) and when (``from`` and ``to``, or an instant
    ``at``), or an ``event_id`` alone; optionally ``label``, ``is_fraud`` or ``verdict`` (1, true or confirmed; 0, false
    or cleared; null or unknown says nothing and is left out; without the column every row listed is positive),
    ``known_at``, ``scenario``, ``chance`` (see :class:`Labels`; null is 1) and ``reviewer``. A row that has an entity
    but no time may name an event instead.

    Parameters
    ----------
    source : path, or anything that speaks Arrow
    locate : callable, optional
        Tells the entity (string, null where unknown) and the instant (int64) of event ids; needed for labels by event.
    delay : int, microseconds
        Where ``known_at`` is not given: how long after ``to`` a label became known.
    zone : str
        The time zone of times that carry none.

    Raises
    ------
    LabelError
        If a column is missing or cannot be read, a stretch of time ends before it begins, or a chance is none.

    Examples
    --------
    >>> import pyarrow as pa
    >>> labels = read_labels(pa.table({"user_id": ["ann"], "from": ["2025-03-01"], "to": ["2025-03-02"]}))
    >>> labels.table.select(["entity", "value"]).to_pylist()
    [{'entity': 'ann', 'value': True}]
    """
    from ..features.sources import open_source
    from .label_source import ENTITY, INSTANT, LabelSource

    opened = open_source(source)
    table = opened.read(opened.schema().names)
    reader = LabelSource(table, opened.name, zone)
    by_event = reader.find(*ENTITY) is None or not (reader.find("from") or reader.find(*INSTANT))
    who, start, stop = reader.by_event(locate) if by_event else reader.by_entity(locate)
    value = reader.values()
    known = reader.times("known_at") if reader.find("known_at") else stop + delay
    usable = ~(pc.is_null(who).to_numpy(zero_copy_only=False) | pc.is_null(value).to_numpy(zero_copy_only=False))
    reader.check(start, stop, usable)
    times = [pa.array(each) for each in (start, stop, known)]
    said = [reader.text("scenario"), value, reader.chance(), reader.text("reviewer")]
    unknown = "no event has this id" if by_event else "no entity, or no event among those read has the id"
    reasons = {unknown: who.null_count, "no label given": value.null_count}
    rows = pa.table([who, *times, *said], schema=SCHEMA).filter(pa.array(usable))
    return Labels(rows, {why: count for why, count in reasons.items() if count})


def confirmed(vectors: Vectors, labels: Labels, *, known_by: int | None) -> NDArray[np.bool_]:
    """Which windows overlap a label of their entity that confirms trouble and holds at a moment.

    Parameters
    ----------
    vectors : Vectors, n rows
    labels : Labels
    known_by : int or None, microseconds since 1970 UTC
        Take what held then (:meth:`Labels.known`); None takes the last word, as an evaluation in hindsight may.

    Returns
    -------
    bool array of shape (n,)
    """
    return under(vectors, labels.known(known_by).positive())


def under(vectors: Vectors, labels: Labels) -> NDArray[np.bool_]:
    """Which windows overlap any of these labels of their entity, bool of shape (n,).

    With one vector per event: which events are under one.
    """
    who, entity = _codes(labels, vectors).astype(np.int64), vectors.entity.indices.to_numpy()
    start, stop = labels.column("from")[who >= 0], labels.column("to")[who >= 0]
    return _overlaps((who[who >= 0], start, stop), (entity.astype(np.int64), vectors.fresh, vectors.as_of))


def entities_known_bad(vectors: Vectors, labels: Labels, *, since: int) -> NDArray[np.bool_]:
    """Which rows belong to an entity that was already known to be in trouble when the row's day began.

    A fraud team does not need an alert about a card it has blocked. Point in time: a label counts from the first day
    that begins after it was known, until a later word takes its place. A window of a day is its own day, a shorter one
    lies in a day of UTC.

    Parameters
    ----------
    vectors : Vectors, n rows
    labels : Labels
    since : int, microseconds since 1970 UTC
        Trouble that began earlier is forgotten; the start of the training period in the Fraud Detection Handbook's
        protocol.

    Returns
    -------
    bool array of shape (n,)

    References
    ----------
    Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection", chapter 3.
    """
    begin = vectors.fresh
    a_day = vectors.as_of - begin > DAY * 22 // 24  # where clocks change it has 23 hours
    day = np.where(a_day, begin, begin // DAY * DAY)
    who, entity = _codes(labels, vectors).astype(np.int64), vectors.entity.indices.to_numpy().astype(np.int64)
    bad = labels.table["value"].to_numpy() & (labels.column("from") >= since) & (who >= 0)
    held = who[bad], labels.column("known_at")[bad], labels.replaced_at[bad]
    return _overlaps(held, (entity, day, day + 1))


# An interval overlaps [since, as_of) if it begins before as_of and ends after since. With a row's intervals sorted by
# begin, those that begin before as_of are a prefix; one of them ends after since if their largest end does. Entity and
# time are packed into one sortable number (entity * width + rank of the time), so that one running maximum and two
# binary searches serve all entities: a maximum carried over from an earlier entity is always too small to count.
def _overlaps(labels: tuple[NDArray[np.int64], ...], rows: tuple[NDArray[np.int64], ...]) -> NDArray[np.bool_]:
    (who, start, stop), (entity, since, as_of) = labels, rows
    if not len(who):
        return np.zeros(len(entity), np.bool_)
    starts, stops = np.unique(start), np.unique(stop)
    width = max(len(starts), len(stops)) + 1
    begins = who * width + np.searchsorted(starts, start)
    order = np.argsort(begins, kind="stable")
    latest = np.maximum.accumulate((who * width + np.searchsorted(stops, stop))[order])
    before = np.searchsorted(begins[order], entity * width + np.searchsorted(starts, as_of), side="left")
    needed = entity * width + np.searchsorted(stops, since, side="right")
    return np.asarray((before > 0) & (latest[np.maximum(before, 1) - 1] >= needed))


def _codes(labels: Labels, vectors: Vectors) -> NDArray[np.int32]:
    """The vectors' code of each label's entity; -1 for entities that have no vector."""
    names = vectors.entity.dictionary.cast(pa.string())
    found = pc.index_in(labels.table["entity"].combine_chunks(), value_set=names)
    return found.fill_null(-1).to_numpy(zero_copy_only=False)


def _by_last_word(table: pa.Table) -> NDArray[np.int64]:
    """An order in which labels about one entity and stretch follow each other, the one that holds in the end last.

    Of those known at once, and of one mind, the smaller chance holds, since 1 may only mean that none was given. After
    that the rest of what they say decides: the order of rows must not.
    """
    rising = ("who", "from", "to", "known_at", "value", "scenario", "reviewer")
    keys = [(key, "ascending") for key in rising]
    keys.insert(5, ("chance", "descending"))
    return pc.sort_indices(table, sort_keys=keys).to_numpy()


def _as_before(columns: tuple[NDArray[Any], ...], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each place of an order, but the last, is followed by one that is equal in all columns."""
    sames = [column[order[1:]] == column[order[:-1]] for column in columns]
    return np.logical_and.reduce(sames)
