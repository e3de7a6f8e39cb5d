"""Labels with two clocks: when the trouble was, and when we learned of it.

A label is about an entity over a stretch of time. Labels given for events are tied to the event's entity and instant.
Training at a moment may use only labels known by then; a window without a label is not thereby harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..features.vectors import Vectors

    Locate = Callable[[pa.Array], tuple[pa.Array, NDArray[np.int64]]]

__all__ = ["DAY", "Labels", "confirmed", "entities_known_bad", "read_labels"]

DAY = 86_400_000_000  # microseconds

SCHEMA = pa.schema(
    {
        "entity": pa.string(),
        "from": pa.int64(),
        "to": pa.int64(),
        "known_at": pa.int64(),
        "scenario": pa.string(),
        "value": pa.bool_(),
    }
)


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of whom, over which time, and since when.

    Attributes
    ----------
    table : pyarrow.Table
        Columns ``entity`` (string), ``from``, ``to`` (int64, microseconds since 1970 UTC, half-open), ``known_at``
        (int64), ``scenario`` (string, nullable), ``value`` (bool: confirmed or cleared).
    left_out : dict of str to int
        Rows of the source that could not be used, by reason.
    """

    table: pa.Table
    left_out: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    def known(self, by: int | None) -> Labels:
        """The labels known by a moment, microseconds since 1970 UTC; None keeps all."""
        if by is None:
            return self
        return Labels(self.table.filter(pc.less_equal(self.table["known_at"], by)), self.left_out)

    def positive(self) -> Labels:
        """The labels that confirm trouble."""
        return Labels(self.table.filter(self.table["value"]), self.left_out)

    def column(self, name: str) -> NDArray[np.int64]:
        """One of the columns of times as an array."""
        return self.table[name].to_numpy()

    def __str__(self) -> str:
        """A report for a person: what is there, and what was left out."""
        bad = len(self.positive())
        entities = pc.count_distinct(self.table["entity"]).as_py()
        lines = [f"{len(self):,} labels about {entities:,} entities: {bad:,} confirmed, {len(self) - bad:,} cleared"]
        return "\n".join(lines + [f"  left out: {count:,} rows, {why}" for why, count in self.left_out.items()])


def read_labels(source: object, *, locate: Locate | None = None, delay: int = 0, zone: str = "UTC") -> Labels:
    """Read labels from a file or a table.

    The columns are recognised by name: who (``entity``, ``user_id``, …) and when (``from`` and ``to``, or an instant
    ``at``), or an ``event_id`` alone; optionally ``label`` or ``is_fraud`` (0/1 or true/false; without it every row
    listed is positive; null is unknown and left out), ``known_at`` and ``scenario``. A row that has an entity but no
    time may name an event instead.

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
        If a column is missing or cannot be read, or a stretch of time ends before it begins.

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
    scenario = reader.text("scenario")
    usable = ~(pc.is_null(who).to_numpy(zero_copy_only=False) | pc.is_null(value).to_numpy(zero_copy_only=False))
    reader.check(start, stop, usable)
    columns = [who, pa.array(start), pa.array(stop), pa.array(known), scenario, value]
    unknown = "no event has this id" if by_event else "no entity, or no event among those read has the id"
    reasons = {unknown: who.null_count, "no label given": value.null_count}
    rows = pa.table(columns, schema=SCHEMA).filter(pa.array(usable))
    return Labels(rows, {why: count for why, count in reasons.items() if count})


def confirmed(vectors: Vectors, labels: Labels, *, known_by: int | None) -> NDArray[np.bool_]:
    """Which windows overlap a positive label of their entity; with one vector per event, which events are under one.

    Parameters
    ----------
    vectors : Vectors, n rows
    labels : Labels
    known_by : int or None, microseconds since 1970 UTC
        Use only labels known by then; None uses all there are, as an evaluation in hindsight may.

    Returns
    -------
    bool array of shape (n,)
    """
    bad = labels.known(known_by).positive()
    who, entity = _codes(bad, vectors).astype(np.int64), vectors.entity.indices.to_numpy()
    start, stop = bad.column("from")[who >= 0], bad.column("to")[who >= 0]
    return _overlaps((who[who >= 0], start, stop), (entity.astype(np.int64), vectors.fresh, vectors.as_of))


def entities_known_bad(vectors: Vectors, labels: Labels, *, since: int) -> NDArray[np.bool_]:
    """Which rows belong to an entity that was already known to be in trouble when the row's day began.

    A fraud team does not need an alert about a card it has blocked. Point in time: a label counts from the first day
    that begins after it was known. A window of a day is its own day, a shorter one lies in a day of UTC.

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
    bad = labels.positive()
    bad = Labels(bad.table.filter(pc.greater_equal(bad.table["from"], since)))
    who = _codes(bad, vectors)
    earliest = np.full(len(vectors.entity.dictionary), np.iinfo(np.int64).max)
    np.minimum.at(earliest, who[who >= 0], bad.column("known_at")[who >= 0])
    begin = vectors.fresh
    a_day = vectors.as_of - begin > DAY * 22 // 24  # where clocks change it has 23 hours
    day = np.where(a_day, begin, begin // DAY * DAY)
    return np.asarray(earliest[vectors.entity.indices.to_numpy()] <= day)


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
