"""Breadth against plain sets and the textbook entropy."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from event_logs import DAY, HOUR, MINUTE, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, in_order, rows_of

from peculiar.features.families import Breadth, breadth
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec


def vectors_of(events, every="1d", zone="UTC"):
    """The vectors of this family alone, on these events."""
    plan = FeaturePlan(roles(zone), WindowSpec(every), (), (Breadth(),))
    timeline = timeline_of(events, zone)
    return fill(plan, timeline)[1]


def values(events, name):
    """The values that are given."""
    return [value for event in events if (value := getattr(event, name)) is not None]


def entropy(found):
    """Shannon's, in bits; None of nothing."""
    shares = [count / len(found) for count in Counter(found).values()]
    return -math.fsum(share * math.log2(share) for share in shares) if found else None


def plain(rows, every):
    """The features as their meanings say."""
    expected = {}
    for name in ("action", "device"):
        expected[f"{name}_distinct_{every}"] = [len(set(values(row.now, name))) for row in rows]
        for window in rows[0].trailing:
            expected[f"{name}_distinct_{window}"] = [len(set(values(row.trailing[window], name))) for row in rows]
        expected[f"{name}_entropy_{every}"] = [entropy(values(row.now, name)) for row in rows]
    return expected


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_plain_sets(world, every):
    """On any log the columns are the sizes of sets and the entropies that their names say, and there are no others."""
    rows = rows_of(in_order(world.events, world.timeline), world.zone, every)
    vectors = vectors_of(world.events, every, world.zone)
    expected = plain(rows, "1d" if every == "event" else every)
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


def test_fifty_buses_in_a_day():
    """A card that boards fifty buses in a day has fifty vehicles that day and log2(50) bits; on others it has one."""
    begin = instant("2025-03-03T06:00")
    usual = [Event("card", begin + d * DAY, f"u{d}", "ride", "bus 7", None) for d in range(5)]
    spree = [Event("card", begin + 5 * DAY + n * MINUTE, f"s{n}", "ride", f"bus {n}", None) for n in range(50)]
    vectors = vectors_of(usual + spree)
    assert vectors.column("device_distinct_1d").tolist() == [1, 1, 1, 1, 1, 50]
    assert vectors.column("device_distinct_28d").tolist() == [1, 1, 1, 1, 1, 50]
    assert vectors.column("device_entropy_1d")[-1] == np.float32(math.log2(50))
    assert vectors.column("device_entropy_1d")[0] == 0


def test_a_value_leaves_the_trailing_window_with_its_last_event():
    """A value seen twice counts until the second event, not the first, is out of the window."""
    noon = instant("2025-03-03T12:00")
    seen = ((0, "old"), (2, "old"), (7, "new"), (8, "new"), (9, "new"))
    events = [Event("ann", noon + d * DAY, str(n), None, device, None) for n, (d, device) in enumerate(seen)]
    assert vectors_of(events).column("device_distinct_7d").tolist() == [1, 1, 2, 2, 1]


def test_null_is_no_value():
    """A window of nulls alone has no distinct value and no entropy."""
    noon = instant("2025-03-03T12:00")
    vectors = vectors_of([Event("ann", noon + n * HOUR, str(n), "pay", None, None) for n in range(3)])
    assert vectors.column("device_distinct_1d").tolist() == [0]
    assert str(vectors.column("device_entropy_1d").tolist()) == "[nan]"
    assert vectors.column("action_entropy_1d").tolist() == [0]


def test_entropy_beyond_its_table(monkeypatch):
    """Counts too large for the table of c log2 c give the same entropy."""
    noon = instant("2025-03-03T12:00")
    events = [Event("ann", noon + n, str(n), None, "phone" if n % 4 else "tablet", None) for n in range(40)]
    with_table = vectors_of(events).column("device_entropy_1d")[0]
    monkeypatch.setattr(breadth, "_TABLE", 4)
    assert vectors_of(events).column("device_entropy_1d")[0] == with_table
    assert with_table == pytest.approx(entropy([0] * 30 + [1] * 10))


def test_one_value_has_no_entropy_and_equal_ones_have_all():
    """As windows slide nothing is left of what they held: entropies of one value are zero, to the last bit."""
    begin = instant("2025-03-03T06:00")
    devices = ["a", "b", "a", "c", "d"] * 4 + ["e"] * 30
    times = [begin + n * HOUR if n < 20 else begin + 2 * DAY + n * MINUTE for n in range(50)]
    events = [
        Event("ann", at, f"{n:02}", None, device, None)
        for n, (at, device) in enumerate(zip(times, devices, strict=True))
    ]
    assert vectors_of(events, "event").column("device_entropy_1d")[20:].tolist() == [0.0] * 30
