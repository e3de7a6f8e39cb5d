"""Logs to test features on: small random ones with every awkward case in them, and one rich fixed one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from peculiar.features.events import EventLog
from peculiar.features.roles import Roles

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/Havana", "Asia/Kathmandu")


class Event(NamedTuple):
    """One event as plain values; ``at`` in microseconds since 1970 UTC, ``None`` is null."""

    user: str | None
    at: int
    id: str | None
    action: str | None
    device: str | None
    amount: float | None
    lat: float | None = None
    lon: float | None = None
    team: str | None = None
    session: str | None = None


def instant(text: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 time; UTC if it has no zone."""
    stamp = datetime.fromisoformat(text)
    stamp = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    return (stamp - EPOCH) // timedelta(microseconds=1)


def iso(at: int) -> str:
    """The instant as ISO 8601 text with a zone."""
    return (EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def roles(zone: str = "UTC") -> Roles:
    """The parts that most fields of :class:`Event` play."""
    return Roles("user", "at", "id", ("device",), "action", ("amount",), time_zone=zone)


def full_roles(zone: str = "UTC") -> Roles:
    """The parts that all fields of :class:`Event` play."""
    return replace(roles(zone), place=("lat", "lon"), peer_by="team")


def table_of(events, *, sessions: bool = False) -> pa.Table:
    """The events as an Arrow table, in the given order; with the column of sessions where it is asked for."""
    text, number = pa.string(), pa.float64()
    kinds = (text, pa.timestamp("us", tz="UTC"), text, text, text, number, number, number, text, text)
    columns = list(zip(*events, strict=True)) or [()] * len(kinds)
    table = pa.table([pa.array(c, k) for c, k in zip(columns, kinds, strict=True)], names=list(Event._fields))
    return table if sessions else table.drop_columns(["session"])


def timeline_of(events, zone: str = "UTC", known: Roles | None = None):
    """The timeline that the door makes of the events, with all that any plan may ask for, or by other roles."""
    known = known or full_roles(zone)
    return EventLog.open(table_of(events, sessions="session" in known.dimensions), known).read()[0]


def contents(timeline) -> list[tuple]:
    """The events of a timeline in its order, as plain values (ids as their keys)."""
    names = timeline.entity.to_pylist()
    ids = [None] * len(timeline) if timeline.ids is None else timeline.ids.tolist()
    dimensions = [_values(timeline.dimensions[name]) for name in sorted(timeline.dimensions)]
    measures = [timeline.measures[name].tolist() for name in sorted(timeline.measures)]
    amounts = [[None if np.isnan(value) else value for value in values] for values in measures]
    owners = [names[code] for code in timeline.owner]
    return list(zip(owners, timeline.at.tolist(), ids, *dimensions, *amounts, strict=True))


def _values(codes) -> list[str | None]:
    values = [*codes.values.to_pylist(), None]
    return [values[code] for code in codes.codes]


# Ties, both sides of every span and window that a feature knows, and silences longer than the horizon.
_GAPS = st.sampled_from(
    [0, 0, 0, 1, 30 * SECOND, MINUTE, 10 * MINUTE - 1, 10 * MINUTE, HOUR - 1, HOUR, HOUR + 1, 5 * HOUR, 5 * HOUR,
     23 * HOUR, DAY - 1, DAY, DAY, 3 * DAY, 7 * DAY, 27 * DAY, 28 * DAY, 29 * DAY, 40 * DAY]
)  # fmt: skip
_BEGINNINGS = st.sampled_from(
    [
        instant(text)
        for text in ("2025-01-01", "2025-03-28T21:30:00", "2024-10-25T22:00:00", "2025-06-01T23:59:59.999999")
    ]
)
# The same place, one round the corner, both sides of a cell and of the date line, a pole; half a place and none.
_PLACES = st.sampled_from(
    [(None, None), (None, None), (52.5, 13.4), (52.5, 13.4), (52.501, 13.4), (52.56, 13.4), (48.1, 11.6), (0.0, 0.0),
     (10.0, 180.0), (10.0, -179.95), (90.0, 0.0), (-89.99, 77.0), (-33.9, 151.2), (52.5, None), (None, 13.4)]
)  # fmt: skip
_PARTS = st.tuples(
    st.sampled_from(["ann", "ann", "bob", "cyd"]),
    _GAPS,
    st.sampled_from(["pay", "pay", "view", "login", None]),
    st.sampled_from(["phone", "tablet", "laptop", None]),
    st.one_of(
        st.none(), st.sampled_from([0.0, 1.0, 2.5, 100.0]), st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
    ),
    _PLACES,
    st.sampled_from(["red", "red", "blue", None]),
)


@dataclass(frozen=True)
class World:
    """A log and the zone whose clocks it goes by."""

    events: tuple[Event, ...]
    zone: str

    @property
    def timeline(self):
        """What the door makes of it."""
        return timeline_of(self.events, self.zone)


@st.composite
def worlds(draw, most: int = 40) -> World:
    """Random logs: several entities, ties, nulls, bursts, silences longer than the horizon, changes of the clocks."""
    size = draw(st.integers(1, most))  # drawn first, or nearly all logs would be of a handful of events
    parts = draw(st.lists(_PARTS, min_size=size, max_size=size))
    times = accumulate((gap for _, gap, *_ in parts), initial=draw(_BEGINNINGS))
    next(times)
    events = (
        Event(user, at, f"e{n}", *rest, *place, team)
        for n, (at, (user, _, *rest, place, team)) in enumerate(zip(times, parts, strict=True))
    )
    return World(tuple(events), draw(st.sampled_from(ZONES)))


def rich_log(seed: int = 7) -> list[Event]:
    """Ten entities over 75 days across a change of the clocks, in random order of rows.

    In it: habits, ties, nulls of every column but entity and time, days with one event, fifty events in an hour, a
    silence longer than the horizon, a newcomer, an entity with a single event, places near and far, and two teams.
    """
    rng = np.random.default_rng(seed)
    begin = instant("2025-02-01")
    drawn = [(f"user {u}", begin + int(t)) for u in range(6) for t in rng.integers(0, 75 * DAY, 45)]
    drawn += [("bursts", begin + 60 * DAY + int(t)) for t in rng.integers(0, HOUR, 50)]
    drawn += [("bursts", begin + day * DAY + 8 * HOUR) for day in range(40, 72, 2)]
    drawn += [
        ("silent", begin + int(t)) for t in (*rng.integers(0, 9 * DAY, 12), *rng.integers(50 * DAY, 75 * DAY, 12))
    ]
    drawn += [("ties", begin + int(day) * DAY + 12 * HOUR) for day in rng.integers(30, 60, 30)]
    drawn += [("newcomer", begin + 70 * DAY + int(t)) for t in rng.integers(0, 4 * DAY, 20)] + [
        ("once", begin + 50 * DAY)
    ]
    events = [
        Event(
            user,
            at,
            f"e{number}",
            rng.choice(["pay", "pay", "pay", "view", "login", None]),
            rng.choice(["phone", "phone", "tablet", None]) if user != "bursts" else f"bus {number % 50}",
            float(np.round(rng.lognormal(2.0, 1.0), 2)) if rng.random() > 0.25 else None,
        )
        for number, (user, at) in enumerate(drawn)
    ]
    return [placed(events[i], seed + i) for i in rng.permutation(len(events))]


def in_sessions(events, seed: int = 3) -> list[Event]:
    """The events in sessions of a few events each: some last for weeks, some are entwined, some events are in none."""
    rng, number, named = np.random.default_rng(seed), {}, {}
    for event in sorted(events, key=lambda event: (event.user, event.at, event.id)):
        number[event.user] = number.get(event.user, 0) + int(rng.random() < 0.35)
        back = int(rng.random() < 0.1)  # to the session before
        session = f"{event.user} {max(0, number[event.user] - back)}"
        named[event.id] = None if rng.random() < 0.05 else session
    return [event._replace(session=named[event.id]) for event in events]


def placed(event: Event, seed: int) -> Event:
    """The event at a place around one of three homes, now and then nowhere or far away, and with a team or without."""
    rng = np.random.default_rng(seed)
    home = 40.0 + 5.0 * (len(event.user) % 3)
    lat, lon = home + rng.normal(0.0, 0.1), 10.0 + rng.normal(0.0, 0.1) + (90.0 if rng.random() < 0.05 else 0.0)
    team = (
        ("red", "blue", None)[int(rng.integers(3))]
        if event.user == "silent"
        else ("red", "blue")[ord(event.user[-1]) % 2]
    )
    located = rng.random() < 0.7 and event.user != "once"
    return event._replace(lat=float(lat) if located else None, lon=float(lon) if located else None, team=team)
