"""Labels as notes on events: who, when, and known since when."""

from __future__ import annotations

import pyarrow as pa

from peculiar.features.events import EventLog
from peculiar.features.exchange import NEVER
from peculiar.training.labels import read_labels
from peculiar.training.trouble import with_trouble

DAY = 86_400_000_000
BEGIN = 20_000 * DAY
EVENTS = pa.table(
    {
        "user_id": ["bob", "ann", "ann", "ann"],
        "ts": pa.array([BEGIN + day * DAY for day in (1, 1, 2, 3)], pa.timestamp("us", tz="UTC")),
        "event_id": ["b1", "a1", "a2", "a3"],
    }
)


def known_at(**columns):
    """The note on each event of ann and then of bob, in days; None where there is no trouble."""
    timeline, _, _ = EventLog.open(EVENTS).read()
    times = {
        name: pa.array([BEGIN + day for day in days])
        for name, days in columns.items()
        if name in ("from", "to", "known_at")
    }
    labels = read_labels(pa.table({**columns, **times}), locate=timeline.locate)
    note = with_trouble(timeline, labels).notes["trouble.known_at"]
    return [None if at == NEVER else (at - BEGIN) // DAY for at in note.tolist()]


def test_labels_of_events_mark_the_event():
    """A label about an event is on that event alone, from when it was known."""
    assert known_at(event_id=["a2", "gone"], known_at=[9 * DAY, 9 * DAY]) == [None, 9, None, None]


def test_labels_of_entities_mark_what_they_cover():
    """A label about a stretch of time is on the entity's events in it, half-open; others are not touched."""
    given = {"user_id": ["ann", "who"], "from": [DAY, DAY], "to": [3 * DAY, 9 * DAY], "known_at": [9 * DAY, 9 * DAY]}
    assert known_at(**given) == [9, 9, None, None]


def test_of_several_labels_the_one_known_first_counts():
    """Trouble that is confirmed twice was known from the first time on; a label that clears takes nothing back."""
    given = {"event_id": ["a1", "a1", "a1", "b1"], "known_at": [9 * DAY, 7 * DAY, 5 * DAY, 5 * DAY]}
    assert known_at(**given, label=[1, 1, 0, 0]) == [7, None, None, None]
