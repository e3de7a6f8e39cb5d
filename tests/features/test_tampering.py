"""Spoiling the future: what is later changes, and the past stays as it is, to the bit and in its order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from event_logs import DAY, Event, instant, rich_log, timeline_of

from peculiar.features.events import EventLog
from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.roles import Roles
from peculiar.features.tampering import WAYS, Cut

CUT = instant("2025-03-15")


@pytest.fixture(scope="module")
def timeline():
    """The rich log, with a trouble at every third event, known five days after it."""
    made = timeline_of(rich_log())
    known = np.where(np.arange(len(made)) % 3 == 0, made.at + 5 * DAY, NEVER)
    return replace(made, notes={TROUBLE: known, "sharing.made": np.zeros(len(made), np.float32)})


def spoiled(timeline, way: str, cut: Cut):
    """The timeline after what is done to its future."""
    return WAYS[way](timeline, cut, np.random.default_rng(3))


def contents(timeline) -> list[tuple]:
    """Everything that is known of each event but its trouble."""
    texts = [[*codes.values.to_pylist(), None] for codes in timeline.dimensions.values()]
    columns = [
        [values[code] for code in codes.codes]
        for values, codes in zip(texts, timeline.dimensions.values(), strict=True)
    ]
    names = timeline.entity.to_pylist()
    owners = [names[code] for code in timeline.owner]
    amounts = np.nan_to_num(timeline.measures["amount"], nan=-1.5).tolist()
    return list(
        zip(owners, timeline.at.tolist(), timeline.row.tolist(), timeline.ids.tolist(), amounts, *columns, strict=True)
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_past_stays_and_the_future_does_not(timeline, way):
    """Events before the cut are the same, in the same order; none of the later ones is what it was, or is there."""
    found = spoiled(timeline, way, Cut(CUT, 0, int(np.searchsorted(timeline.at[: timeline.first[1]], CUT))))
    assert contents(found.until(CUT)) == contents(timeline.until(CUT))
    later, before = contents(found.since(CUT)), contents(timeline.since(CUT))
    assert len(later) == (0 if way == "deleted" else len(before))
    assert sum(one in set(before) for one in later) < 0.02 * len(before)
    assert all(
        np.diff(found.at[lo:hi]).min(initial=0) >= 0 for lo, hi in zip(found.first, found.first[1:], strict=False)
    )


@pytest.mark.parametrize("way", WAYS)
def test_trouble_known_in_time_stays_and_later_news_does_not(timeline, way):
    """What became known before the cut stands at its event; what came later comes never, or at another time after."""
    found = spoiled(timeline, way, Cut(CUT, 0, int(np.searchsorted(timeline.at[: timeline.first[1]], CUT))))
    was, now = timeline.until(CUT).notes[TROUBLE], found.until(CUT).notes[TROUBLE]
    assert np.array_equal(was < CUT, now < CUT)
    assert np.array_equal(was[was < CUT], now[was < CUT])
    news = was[was >= CUT] != now[was >= CUT]
    assert news.mean() > 0.2 if way != "deleted" else (now[was >= CUT] == NEVER).all()


@pytest.mark.parametrize("way", WAYS)
def test_at_one_instant_the_order_of_events_tells_what_is_later(way):
    """An event after the vector's own at the same time is moved behind the cut, or gone; that of another stays."""
    at = instant("2025-03-01")
    events = [Event("ann", at, f"{n}", "pay", "phone", float(n)) for n in range(3)]
    timeline = timeline_of([*events, Event("bob", at, "9", "pay", "phone", 9.0)])
    found = spoiled(timeline, way, Cut(at + 1, 0, 1))
    assert contents(found.until(at + 1)) == [contents(timeline)[0], contents(timeline)[3]]


def test_a_run_is_not_prolonged(timeline):
    """Where windows are runs of one device, every later event has a device that nobody had before."""
    cut = Cut(CUT, 0, int(np.searchsorted(timeline.at[: timeline.first[1]], CUT)), by="device")
    for way in ("altered", "shuffled"):
        codes = spoiled(timeline, way, cut).since(CUT).dimensions["device"]
        assert (codes.codes == len(codes.values) - 1).all()


def test_places_and_peers_are_spoiled_too():
    """Latitude, longitude and the peer group of later events change; those of earlier ones do not."""
    import pyarrow as pa

    hours = [f"2025-03-01T{hour:02d}:00:00Z" for hour in range(20)]
    where = {"lat": np.linspace(0, 50, 20), "lon": np.linspace(0, 90, 20), "team": ["a", "b"] * 10}
    roles = Roles("user", "at", place=("lat", "lon"), peer_by="team")
    timeline = EventLog.open(pa.table({"user": ["ann"] * 20, "at": hours, **where}), roles).read()[0]
    cut = Cut(instant("2025-03-01T10:00"), 0, 10)
    for way in ("altered", "shuffled"):
        found = spoiled(timeline, way, cut)
        assert np.array_equal(found.place[:, :10], timeline.place[:, :10])
        assert not np.array_equal(found.place[:, 10:], timeline.place[:, 10:])
        assert np.array_equal(found.peer.codes[:10], timeline.peer.codes[:10])
        assert not np.array_equal(found.peer.codes[10:], timeline.peer.codes[10:])


def test_families_make_their_notes_again(timeline):
    """A note that says how the events before stood is spoiled with them: the check starts from bare events."""
    assert set(spoiled(timeline, "deleted", Cut(CUT, 0, 0)).notes) == set(timeline.notes)
