"""Risk against a plain count of known troubles, on both clocks."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from event_logs import DAY, HOUR, MINUTE, Event, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from plain_reference import fill, hold, in_order, midnight, rows_of, wall

from peculiar.features.aftermath import AFTERMATH
from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.families import Risk
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

HORIZON = 28
NOON = instant("2025-03-03T12:00")
SPANS = {"1d": DAY, "7d": 7 * DAY, "28d": HORIZON * DAY}
WHAT = ("trouble_max", "trouble_rate_max", "trouble_rate_mean")
DELAYS = (None, None, None, -DAY, 0, 0, 1, HOUR, DAY, 2 * DAY, 7 * DAY, 27 * DAY, 28 * DAY, 40 * DAY)


def plan_of(every="1d", zone="UTC", risky=("device",)):
    """A plan of this family alone."""
    return FeaturePlan(roles(zone), WindowSpec(every), (), (Risk(),), risky=risky)


def drawn(events):
    """When the trouble of each event became known: one of DELAYS after it, as a hash of the event decides."""
    delays = [DELAYS[zlib.crc32(repr(event).encode()) % len(DELAYS)] for event in events]
    return [None if delay is None else event.at + delay for event, delay in zip(events, delays, strict=True)]


def noted(events, known, zone="UTC"):
    """The timeline of the events, with the instants at which their trouble became known; None is no trouble."""
    timeline = timeline_of(events, zone)
    known_at = np.array([NEVER if at is None else at for at in known], np.int64)
    return replace(timeline, notes={TROUBLE: known_at[timeline.row]})


def vectors_of(events, known, every="1d"):
    """The vectors of this family alone, on these events."""
    return fill(plan_of(every), noted(events, known))[1]


def horizon_of(row, every, zone):
    """The instant at which the horizon before a window begins."""
    if every != "1d":
        return row.since - HORIZON * DAY
    day = wall(row.since, zone).date()
    return midnight(day.fromordinal(day.toordinal() - HORIZON), zone)


def seen(pairs, event, same, horizon, span):
    """Troubles that became known within the span, and events within it, as an event sees them."""
    reach = max(horizon, event.at - HORIZON * DAY)
    past = [(e, k) for e, k in pairs if same(e) and reach <= e.at < event.at]
    news = [max(k, e.at + 1) for e, k in past if k is not None]
    troubles = sum(event.at - span < heard <= event.at for heard in news)
    return troubles, sum(event.at - span <= e.at for e, _ in past)


def plain(pairs, rows, horizons, every):
    """The features as their meanings say; everyone's rate is that over all events and what they look back on."""
    expected = {}
    for name, span in SPANS.items():
        found = []
        for row, horizon in zip(rows, horizons, strict=True):
            mine = [e for e in row.now if e.device is not None]
            found.append([seen(pairs, e, lambda o, e=e: o.device == e.device, horizon, span) for e in mine])
        looks = distinct_looks(rows, found)
        around = sum(n for _, n in looks)
        everyone = sum(t for t, _ in looks) / around if around else 0.0
        rates = [[(t + 10 * everyone) / (n + 10) for t, n in pairs] for pairs in found]
        expected[f"device_trouble_max_{name}"] = [max((t for t, _ in pairs), default=None) for pairs in found]
        expected[f"device_trouble_rate_max_{name}"] = [max(each, default=None) for each in rates]
        expected[f"device_trouble_rate_mean_{name}"] = [sum(each) / len(each) if each else None for each in rates]
    if every != "event":
        expected |= plain_aftermath(pairs, rows, horizons, every)
    own = [
        seen(pairs, row.now[-1], lambda o, row=row: o.user == row.entity, horizon, SPANS["28d"])[0]
        for row, horizon in zip(rows, horizons, strict=True)
    ]
    return expected | {"own_trouble_count_28d": own}


def followed(pairs, event, horizon):
    """What is known, as of an event, of the course of trouble at its device: None, or days and events."""
    reach = max(horizon, event.at - HORIZON * DAY)
    heard = [(e, k) for e, k in pairs if k is not None and max(k, e.at + 1) <= event.at]
    here = [e.at for e, _ in heard if e.device == event.device and e.at >= reach]
    if not here:
        return None
    last, first, frontier = max(here), min(here), max(e.at for e, _ in heard)
    there = [e.at for e, _ in pairs if e.device == event.device]
    calm = sum(last < at <= frontier for at in there)
    spared = sum(first <= at <= frontier for at in there) - len(here)
    unheard = [e.at for e, k in pairs if e.device == event.device and (k is None or max(k, e.at + 1) > event.at)]
    free = max((at for at in unheard if reach <= at <= frontier), default=reach - 1)
    run = sum(free < at <= frontier for at in here)
    return (event.at - last) / DAY, (event.at - first) / DAY, calm, spared, min(run, 64)


COURSE = ("last_min", "first_max", "calm_min", "spared_min", "run_max")


def plain_aftermath(pairs, rows, horizons, every):
    """The least, of days since the first the most, over the events of a window."""
    columns = {f"device_trouble_{what}_{every}": [] for what in COURSE}
    for row, horizon in zip(rows, horizons, strict=True):
        told = [followed(pairs, e, horizon) for e in row.now if e.device is not None]
        known = list(zip(*[each for each in told if each is not None], strict=True)) or [[None]] * 5
        for column, choose, values in zip(columns.values(), (min, max, min, min, max), known, strict=True):
            column.append(choose(values))
    return columns


def distinct_looks(rows, found):
    """What each event sees, once, however many windows it is in."""
    looks = {}
    for row, pairs in zip(rows, found, strict=True):
        looks |= dict(zip([e.id for e in row.now if e.device is not None], pairs, strict=True))
    return list(looks.values())


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_plain_counts(world, every):
    """On any log and any labels the columns are what counting events and known troubles at the same value comes to."""
    known = drawn(world.events)
    timeline = noted(world.events, known, world.zone)
    rows = rows_of(in_order(world.events, timeline), world.zone, every)
    vectors = fill(plan_of(every, world.zone), timeline)[1]
    pairs = list(zip(world.events, known, strict=True))
    expected = plain(pairs, rows, [horizon_of(row, every, world.zone) for row in rows], every)
    assert vectors.names == list(expected)
    hold(vectors, rows, expected)


def visits(days, device="gate", user="card"):
    """One payment of another card at the device on each of the given days."""
    return [Event(f"{user} {n:02}", NOON + d * DAY, f"{user} {n}", "pay", device, None) for n, d in enumerate(days)]


@given(world=worlds())
@settings(max_examples=60)
def test_the_course_of_trouble_as_of_each_event(world):
    """What the notes say of each event is what going through all others says."""
    known = drawn(world.events)
    timeline = plan_of("event", world.zone).annotated(noted(world.events, known, world.zone))
    pairs = list(zip(world.events, known, strict=True))
    notes = np.array([timeline.notes[f"risk.device.{what}"] for what in AFTERMATH])
    for event, told in zip(in_order(world.events, timeline), notes.T, strict=True):
        wanted = None if event.device is None else followed(pairs, event, event.at - HORIZON * DAY)
        assert np.isnan(told).all() if wanted is None else told == pytest.approx(wanted, rel=1e-5)


def test_a_terminal_that_was_cleaned():
    """Trouble of five days, known after seven: from the twelfth day on the days and the calm visits since it rise."""
    events = visits(range(20))
    known = [event.at + 7 * DAY if n < 5 else None for n, event in enumerate(events)]
    other = visits(range(20), device="other", user="other")
    vectors = vectors_of([*events, *other], [*known, *(event.at + 7 * DAY for event in other)])
    mine = [name.startswith("card") for name in vectors.entity.to_pylist()]
    columns = {
        what: vectors.column(f"device_trouble_{what}_1d")[mine] for what in ("last_min", "first_max", "calm_min")
    }
    assert np.isnan(columns["last_min"][:7]).all()
    assert columns["last_min"][7:].tolist() == [7, 7, 7, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    assert columns["first_max"][7:].tolist() == list(range(7, 20))
    assert columns["calm_min"][7:].tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_a_tampered_terminal():
    """Frauds at a terminal, each known after seven days, raise its rate from the eighth day on, and no earlier."""
    events = visits(range(20))
    vectors = vectors_of(events, [event.at + 7 * DAY for event in events])
    assert vectors.column("device_trouble_max_28d").tolist() == [0] * 7 + list(range(1, 14))
    assert vectors.column("device_trouble_max_7d").tolist() == [0] * 7 + [*range(1, 8), *([7] * 6)]
    assert vectors.column("device_trouble_max_1d").tolist() == [0] * 7 + [1] * 13
    rates = vectors.column("device_trouble_rate_max_28d")
    looks = sum(range(1, 14)) / sum(range(20))
    assert rates[-1] == pytest.approx((13 + 10 * looks) / (19 + 10))
    assert rates[0] == pytest.approx(looks)


def test_few_events_are_drawn_to_everyones_rate():
    """One fraud at a terminal seen once is weaker evidence than ten at one seen ten times."""
    busy = visits([0] * 10, "busy", "a")
    once = visits([0], "once", "b")
    later = [*visits([1], "busy", "c"), *visits([1], "once", "d"), *visits([1], "new", "e")]
    calm = visits([0.25 * n for n in range(8)], "calm", "f")
    events = [*(e._replace(at=int(e.at)) for e in calm), *busy, *once, *later]
    known = [None] * 8 + [e.at + MINUTE for e in (*busy, *once)] + [None] * 3
    rates = vectors_of(events, known).column("device_trouble_rate_max_28d")
    rates = dict(zip(sorted(e.user for e in events), rates.tolist(), strict=True))
    assert rates["c 00"] > rates["d 00"] > rates["e 00"] > 0


def test_own_trouble_is_told_apart():
    """A card's own known frauds are counted as its own, wherever they were."""
    events = [Event("ann", NOON + n * DAY, f"a{n}", "pay", f"shop {n}", None) for n in range(4)]
    vectors = vectors_of(events, [NOON, NOON + 2 * DAY, None, None])
    assert vectors.column("own_trouble_count_28d").tolist() == [0, 1, 2, 2]
    assert vectors.column("device_trouble_max_28d").tolist() == [0, 0, 0, 0]


def test_trouble_leaves_with_the_horizon():
    """A fraud of 28 days ago still counts, one of a microsecond more does not."""
    at = NOON + 28 * DAY
    events = [Event("ann", NOON, "a", "pay", "gate", None), Event("bob", at, "b", "pay", "gate", None),
              Event("cyd", at + 1, "c", "pay", "gate", None)]  # fmt: skip
    assert vectors_of(events, [NOON + DAY, None, None]).column("device_trouble_max_28d").tolist() == [0, 1, 0]


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=10)
def test_what_is_known_later_changes_nothing(world, every):
    """Vectors as of a moment are the same bits whether labels that became known later are there, gone or others."""
    known = drawn(world.events)
    plan, timeline = plan_of(every, world.zone), noted(world.events, known, world.zone)
    population = plan.fit(timeline)
    whole = plan.vectors(timeline, population)
    for as_of in np.unique(whole.as_of):
        in_time = [None if k is None or k >= as_of else k for k in known]
        otherwise = [as_of + n if k is None else k for n, k in enumerate(in_time)]
        wanted = whole.take(whole.as_of <= as_of).values
        for labels in (in_time, otherwise):
            got = plan.vectors(noted(world.events, labels, world.zone), population)
            assert got.take(got.as_of <= as_of).values.tobytes() == wanted.tobytes()


def test_a_plan_made_without_labels_has_no_risk():
    """Without labels nothing can be known; with them, trouble can gather where not everyone goes."""
    events = [*visits(range(9)), *(e._replace(id=f"again {e.id}", at=e.at + 1) for e in visits(range(9), "door"))]
    timeline = noted(events, [None] * len(events))
    assert FeaturePlan.for_log(replace(timeline, notes={}), roles()).by_family["risk"] == ()
    crowd = [e._replace(device=f"gate {n // 4}") for n, e in enumerate(events)]
    with_labels = FeaturePlan.for_log(noted(crowd, [None] * len(crowd)), roles())
    assert with_labels.risky == ("device",)
    assert FeaturePlan.from_json(with_labels.to_json()).risky == ("device",)


def test_without_labels_no_trouble_is_known():
    """A plan with risk gives, on events without labels, what it gives where nobody is in trouble."""
    events = visits(range(9))
    plan, unlabelled = plan_of(), timeline_of(events)
    population = plan.fit(noted(events, [e.at + DAY for e in events]))
    clean = plan.vectors(noted(events, [None] * 9), population)
    assert plan.vectors(unlabelled, population).values.tobytes() == clean.values.tobytes()
    assert not clean.column("device_trouble_max_28d").any()


def test_partitions_after_the_exchange():
    """Notes travel with the events: a card alone sees the troubles that it sees among all."""
    events = visits(range(20))
    plan, timeline = plan_of(), noted(events, [e.at + 2 * DAY for e in events])
    population, whole = fill(plan, timeline)
    exchanged = plan.annotated(timeline)
    for n in range(20):
        alone = plan.vectors(exchanged.of_entities(np.arange(20) == n), population)
        assert alone.values.tobytes() == np.ascontiguousarray(whole.values[:, n : n + 1]).tobytes()
