"""What others did at the same value, on logs longer than a block of a sweep, against plain masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from event_logs import DAY, Event, instant, roles, timeline_of

from peculiar.features.exchange import BLOCK, NEVER, TROUBLE, Stream, look_back
from peculiar.features.families import Risk, Sharing, sharing
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

NOON = instant("2025-03-03T12:00")
WINDOWS = WindowSpec()


def long_log(seed):
    """More events than two blocks, of 30 users at 12 devices or none, many at one instant."""
    rng = np.random.default_rng(seed)
    n = 2 * BLOCK + 300
    at = NOON + rng.integers(0, 1_500, n) * (DAY // 20)
    users, devices = rng.integers(0, 30, n), rng.integers(-2, 12, n)
    return timeline_of([
        Event(f"u{u:02}", int(t), f"e{k}", "pay", None if d < 0 else f"d{d:02}", None)
        for k, (t, u, d) in enumerate(zip(at, users, devices, strict=True))
    ])  # fmt: skip


def shape_of(**uses):
    """The shape of a plan in which devices are shared or risky."""
    return FeaturePlan(roles(), WINDOWS, (), (), **uses).shape


def noted(timeline, chosen):
    """For each event with a device what ``chosen`` makes of it, NaN for the others."""
    known = timeline.dimensions["device"].codes >= 0
    return np.array([chosen(i) if known[i] else np.nan for i in range(len(timeline))], np.float32)


@pytest.mark.parametrize("few", [0, 10**9], ids=["the marked sorted", "the whole stream"])
@pytest.mark.parametrize("span", ["horizon", "day"])
def test_others_on_a_long_log(few, span, monkeypatch):
    """Across blocks, with ties, and by either way to the order of time, others are those a mask of the events tells."""
    monkeypatch.setattr(sharing, "_FEW", few)
    timeline = long_log(1)
    at, who, codes = timeline.at, timeline.owner, timeline.dimensions["device"].codes
    width = {"horizon": 28 * DAY, "day": DAY}[span]

    def others(i):
        return len(set(who[(codes == codes[i]) & (at < at[i]) & (at >= at[i] - width)]) - {who[i]})

    notes = Sharing().annotate(timeline, shape_of(shared=("device",)), WINDOWS)
    np.testing.assert_array_equal(notes[f"sharing.device.{span}"], noted(timeline, others))


@pytest.mark.parametrize(("span", "width"), [("1d", DAY), ("7d", 7 * DAY), ("28d", 28 * DAY)])
def test_troubles_on_a_long_log(span, width):
    """Across blocks, with ties and news late and early, troubles and events are those that masks tell."""
    timeline, rng = long_log(2), np.random.default_rng(3)
    at, who, codes = timeline.at, timeline.owner, timeline.dimensions["device"].codes
    delay = rng.integers(-2, 40, len(at)) * DAY
    known_at = np.where(rng.random(len(at)) < 0.1, at + delay, NEVER)
    counts_from = np.where(known_at == NEVER, NEVER, np.maximum(known_at, at + 1))
    asked = replace(timeline, notes={TROUBLE: known_at}), shape_of(risky=("device",)), WINDOWS
    notes = {**Risk().annotate(*asked), **Risk().remember(*asked)}

    def news(i, same):
        heard = (counts_from <= at[i]) & (counts_from > at[i] - width)
        return np.count_nonzero(same & heard & (at >= at[i] - 28 * DAY))

    def events(i):
        return np.count_nonzero((codes == codes[i]) & (at < at[i]) & (at >= at[i] - width))

    found = notes[f"risk.device.troubles.{span}"], notes[f"risk.device.events.{span}"]
    np.testing.assert_array_equal(found[0], noted(timeline, lambda i: news(i, codes == codes[i])))
    np.testing.assert_array_equal(found[1], noted(timeline, events))
    if span == "28d":
        np.testing.assert_array_equal(notes["risk.own"], [news(i, who == who[i]) for i in range(len(at))])


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_stream_is_the_timeline_by_time(zone):
    """Whole or of a few, a stream rises with time and looks back as far as its events do."""
    timeline = replace(long_log(4), zone=zone)
    lower = look_back(timeline, WINDOWS)
    for few in (None, np.arange(0, len(timeline), 7, dtype=np.uint32)):
        stream = Stream.of(timeline, WINDOWS, few)
        places = np.arange(len(timeline)) if few is None else few
        assert sorted(stream.order) == places.tolist()
        assert (np.diff(stream.at) >= 0).all()
        np.testing.assert_array_equal(stream.at, timeline.at[stream.order])
        np.testing.assert_array_equal(stream.lower, lower[stream.order])
