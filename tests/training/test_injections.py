"""Misbehaviour in a copy of a log: it is what it says, in whom it says, and nothing else has changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.errors import ConfigError
from peculiar.features.columns import Codes, encode
from peculiar.features.events import EventLog
from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.snapshots import WindowSpec
from peculiar.features.timeline import Arrivals, Timeline, sort_events
from peculiar.training.injections import BY_REQUEST, CASE, inject
from peculiar.training.misbehaviours import KINDS

DAY, HOUR = 86_400_000_000, 3_600_000_000
START = 20_094 * DAY
PERIOD = (START + 32 * DAY, START + 42 * DAY)
DAYS = WindowSpec()
NAMES = [kind.name for kind in KINDS if kind.name not in BY_REQUEST]


@pytest.fixture(scope="module")
def log(city):
    """The city's timeline and roles."""
    opened = EventLog.open(city.events)
    return opened.read()[0], opened.roles


@pytest.fixture(scope="module")
def staged(log):
    """Three cases of every kind."""
    return inject(*log, period=PERIOD, per_kind=3, seed=5, windows=DAYS)


def contents(timeline: Timeline, rows: np.ndarray) -> list[tuple]:
    """What events were, in words."""
    columns = [timeline.entity.take(pa.array(timeline.owner[rows])).to_pylist(), timeline.at[rows].tolist()]
    for name in sorted(timeline.dimensions):
        codes = timeline.dimensions[name]
        columns.append(codes.values.take(pa.array(codes.codes[rows], mask=codes.codes[rows] < 0)).to_pylist())
    columns += [np.nan_to_num(timeline.measures[name][rows], nan=-1.0).tolist() for name in sorted(timeline.measures)]
    return list(zip(*columns, strict=True))


def case_rows(staged, kind: str) -> list[tuple[dict, np.ndarray]]:
    """The table's rows of a kind, and the events of each that are judged."""
    note = staged.timeline.notes[CASE]
    return [(row, np.flatnonzero(note == row["case"])) for row in staged.cases.to_pylist() if row["kind"] == kind]


def test_every_kind_is_staged(staged):
    """The city has all that the kinds need; each has its three cases, in different entities, from mild to blatant."""
    cases = staged.cases.to_pylist()
    assert sorted({row["kind"] for row in cases}) == sorted(NAMES)
    assert len({row["entity"] for row in cases}) == len(cases) == 3 * len(NAMES)
    assert not staged.left_out
    assert [row["case"] for row in cases] == list(range(len(cases)))
    for name in NAMES:
        strengths = [row["strength"] for row in cases if row["kind"] == name]
        assert strengths == sorted(strengths)
        assert 0 <= strengths[0] < 1 / 3 <= strengths[1] < 2 / 3 <= strengths[2] <= 1


def test_events_happen_on_the_day_that_is_told(staged):
    """Judged events are the entity's own and lie in the case's day, which lies in the period."""
    made, note = staged.timeline, staged.timeline.notes[CASE]
    for row in staged.cases.to_pylist():
        rows = np.flatnonzero(note == row["case"])
        assert len(rows)
        begin, end = (int(row[side].timestamp() * 1e6) for side in ("from", "to"))
        assert ((made.at[rows] >= begin) & (made.at[rows] < end)).all()
        assert PERIOD[0] <= begin < end <= PERIOD[1]
        assert set(made.entity.take(pa.array(made.owner[rows])).to_pylist()) == {row["entity"]}
        assert len(rows) <= row["events"]


def test_nothing_else_changes(log, staged):
    """Events that were not added are the log's own, in their order; those of others are all there."""
    timeline, made = log[0], staged.timeline
    note = made.notes[CASE]
    old = np.flatnonzero(note == -1)
    before, after = contents(timeline, np.arange(len(timeline))), contents(made, old)
    assert set(after) <= set(before)
    victims = set(staged.cases["entity"].to_pylist())
    assert [each for each in before if each[0] not in victims] == [each for each in after if each[0] not in victims]
    assert len(set(made.row.tolist())) == len(made)
    assert len(made.ids) == len(set(made.ids.tolist()))


def test_the_result_is_a_timeline(staged):
    """Events are sorted by entity and time, and every column fits."""
    made = staged.timeline
    assert made.first[0] == 0
    assert made.first[-1] == len(made) == len(made.ids) == len(made.row)
    inside = np.ones(len(made), np.bool_)
    inside[made.first[:-1][np.diff(made.first) > 0]] = False
    assert (np.diff(made.at)[inside[1:]] >= 0).all()
    for codes in made.dimensions.values():
        assert codes.codes.max() < len(codes.values)
        assert len(set(codes.values.to_pylist())) == len(codes.values)
    assert made.at[made.by_time].tolist() == sorted(made.at.tolist())


def test_the_order_of_rows_does_not_matter(city, staged):
    """A shuffled file gives the same cases and the same events; another seed gives others."""
    shuffled = city.events.take(pa.array(np.random.default_rng(0).permutation(len(city.events))))
    opened = EventLog.open(shuffled)
    again = inject(opened.read()[0], opened.roles, period=PERIOD, per_kind=3, seed=5, windows=DAYS)
    assert again.cases.equals(staged.cases)
    assert again.timeline.fingerprint == staged.timeline.fingerprint
    assert again.timeline.notes[CASE].tolist() == staged.timeline.notes[CASE].tolist()
    other = inject(opened.read()[0], opened.roles, period=PERIOD, per_kind=3, seed=6, windows=DAYS)
    assert other.timeline.fingerprint != staged.timeline.fingerprint


def test_a_burst_is_fast(staged):
    """A burst's events are within an hour, and a blatant one's within minutes."""
    for row, rows in case_rows(staged, "burst"):
        minutes = 60 * (2 / 60) ** row["strength"]
        assert np.ptp(staged.timeline.at[rows]) <= minutes * HOUR // 60
        assert len(rows) == row["events"] >= 3


def test_many_values_are_different(staged):
    """As many different values of one dimension as events."""
    for row, rows in case_rows(staged, "many_values"):
        name = row["told"].split(" of ")[1].split(" in ")[0]
        assert len(np.unique(staged.timeline.dimensions[name].codes[rows])) == len(rows) >= 3


def test_a_rare_basket_is_of_common_values_that_nobody_combines(log, staged):
    """Hardly any entity of the real log has held all of the values, and each value has several holders."""
    timeline = log[0]
    for row, rows in case_rows(staged, "rare_basket"):
        name = row["told"].split(" values of ")[1].split(",")[0]
        values = staged.timeline.dimensions[name].codes[rows]
        assert 3 <= len(set(values.tolist())) == len(values) <= 6
        codes = timeline.dimensions[name].codes
        held = [set(timeline.owner[codes == value].tolist()) for value in values]
        assert min(map(len, held)) >= 2
        assert len(set.intersection(*held)) <= 0.01 * len(timeline.entity)


def test_unusual_hours_are_unusual(log, staged):
    """The judged events are at hours that none of the entity's real events of the horizon is within an hour of."""
    timeline = log[0]
    for row, rows in case_rows(staged, "unusual_hours"):
        entity = timeline.entity.to_pylist().index(row["entity"])
        until = int(row["to"].timestamp() * 1e6)
        at = timeline.at[timeline.first[entity] : timeline.first[entity + 1]]
        at = at[(at < until) & (at >= until - 29 * DAY)]
        real = set((at % DAY // HOUR).tolist())
        (hour,) = set((staged.timeline.at[rows] % DAY // HOUR).tolist())
        assert not {hour, (hour + 1) % 24, (hour - 1) % 24} & real


def test_a_new_device_is_new_and_amounts_are_high(log, staged):
    """The value was not the entity's before, and each amount is above all of its own."""
    timeline, made = log[0], staged.timeline
    for row, rows in case_rows(staged, "new_device_high_amounts"):
        name = row["told"].split(" with a ")[1].split(" that ")[0]
        entity = timeline.entity.to_pylist().index(row["entity"])
        own = slice(timeline.first[entity], timeline.first[entity + 1])
        value = made.dimensions[name].codes[rows]
        assert len(set(value.tolist())) == 1
        until = timeline.at[own] < int(row["to"].timestamp() * 1e6)
        within = until & (timeline.at[own] >= int(row["from"].timestamp() * 1e6) - 28 * DAY)
        assert value[0] not in timeline.dimensions[name].codes[own][within]
        assert made.measures["amount"][rows].min() > np.nanmax(timeline.measures["amount"][own][within])


def test_high_amounts_are_all_that_is_odd(log, staged):
    """A case changes amounts of the entity's own events, from one to all of its day, to between 2 and 12 times them."""
    timeline, made = log[0], staged.timeline
    for row, rows in case_rows(staged, "high_amounts"):
        entity = timeline.entity.to_pylist().index(row["entity"])
        own = np.arange(timeline.first[entity], timeline.first[entity + 1])
        for event in rows.tolist():
            ratio = (
                made.measures["amount"][event] / timeline.measures["amount"][own[timeline.at[own] == made.at[event]]]
            )
            assert np.isclose(ratio, 2.0 * 6.0 ** row["strength"]).any()
        mine = made.at[made.owner == made.owner[rows[0]]]
        assert np.array_equal(np.sort(mine), timeline.at[own])


def test_a_drift_grows(staged):
    """What leads up to the day is marked as such, and is within two weeks of it."""
    for row, rows in case_rows(staged, "slow_drift"):
        made = staged.timeline
        entity = made.owner[rows[0]]
        before = np.flatnonzero((made.owner == entity) & (made.notes[CASE] == -2))
        assert len(before) + len(rows) == row["events"]
        assert (made.at[before] >= int(row["to"].timestamp() * 1e6) - 14 * DAY).all()


def test_who_sleeps_does_nothing(staged):
    """Before an awakening lie two weeks without an event."""
    made = staged.timeline
    for row, rows in case_rows(staged, "awakening"):
        own = made.at[made.owner == made.owner[rows[0]]]
        begin = int(row["from"].timestamp() * 1e6)
        assert not ((own >= begin - 14 * DAY) & (own < begin)).any()
        assert (own < begin - 14 * DAY).any()


def test_the_kinds_ask_for_what_they_need():
    """Of a log of entities and times alone, kinds that need more are left out and say what they lack."""
    rng = np.random.default_rng(0)
    n = 6000
    arrivals = Arrivals(encode(pa.chunked_array([[f"u{k % 60:02d}" for k in range(n)]])),
                        START + np.sort(rng.integers(0, 42 * DAY, n)), None, {}, {})  # fmt: skip
    timeline = sort_events(arrivals, None)[0]
    from peculiar.features.roles import Roles

    made = inject(timeline, Roles("u", "at"), period=PERIOD, per_kind=2, seed=0, windows=DAYS)
    assert {"burst", "slow_drift", "awakening"} <= set(made.cases["kind"].to_pylist())
    assert made.left_out["many_values"] == "the log lacks a dimension with 12 values"
    assert made.left_out["probing"] == "the log lacks a measure with amounts above zero"
    assert "another_day" in made.left_out
    assert made.timeline.ids is None


def test_who_is_in_trouble_is_no_victim(log):
    """Entities that the notes name are passed over, and known trouble is rehearsed only where it is asked for."""
    timeline, roles = log
    noted = np.full(len(timeline), NEVER)
    noted[timeline.owner % 2 == 0] = START
    marked = replace(timeline, notes={TROUBLE: noted, "sharing.x": np.zeros(len(timeline), np.float32)})
    made = inject(marked, roles, period=PERIOD, per_kind=2, seed=0, windows=DAYS, kinds=["known_trouble", "burst"])
    names = timeline.entity.to_pylist()
    assert all(names.index(entity) % 2 for entity in made.cases["entity"].to_pylist())
    assert set(made.cases["kind"].to_pylist()) == {"known_trouble", "burst"}
    assert set(made.timeline.notes) == {CASE, TROUBLE}
    assert (made.timeline.notes[TROUBLE][made.timeline.notes[CASE] >= 0] == NEVER).all()
    things = [name for name in roles.dimensions if name != roles.action]
    troubled = np.flatnonzero(noted < NEVER)
    met = set(zip(*(timeline.dimensions[name].codes[troubled].tolist() for name in things), strict=True))
    for row, rows in case_rows(made, "known_trouble"):
        values = list(zip(*(made.timeline.dimensions[name].codes[rows].tolist() for name in things), strict=True))
        assert len(values) == row["events"] >= 1
        assert set(values) <= met
    later = replace(marked, notes={TROUBLE: np.where(noted < NEVER, PERIOD[1], NEVER)})
    unknown = inject(later, roles, period=PERIOD, per_kind=2, seed=0, windows=DAYS, kinds=["known_trouble", "burst"])
    plain = inject(timeline, roles, period=PERIOD, per_kind=2, seed=0, windows=DAYS, kinds=["known_trouble", "burst"])
    assert unknown.cases.equals(plain.cases)
    without = inject(timeline, roles, period=PERIOD, per_kind=1, seed=0, windows=DAYS, kinds=["known_trouble"])
    assert without.left_out["known_trouble"].startswith("the log lacks events that are known to be trouble")
    assert not len(without.cases)


def test_a_session_stays_whole(log):
    """With windows by sessions an act is a session of its own, and no other session is cut in two."""
    from peculiar.features.snapshots import snapshots_of

    timeline, roles = log
    number = timeline.at // (6 * HOUR) + timeline.owner * 100_000
    values, codes = np.unique(number, return_inverse=True)
    session = Codes(codes.astype(np.int32), pa.array([f"s{value}" for value in values]))
    by, roles = WindowSpec(by="session"), replace(roles, dimensions=(*roles.dimensions, "session"))
    timeline = replace(timeline, dimensions={**timeline.dimensions, "session": session})
    made = inject(timeline, roles, period=PERIOD, per_kind=3, seed=1, windows=by)
    before, after = snapshots_of(timeline, by), snapshots_of(made.timeline, by)
    assert len(made.cases) == 3 * len(NAMES)
    runs = made.timeline.dimensions["session"].codes[after.start]
    assert len(np.unique(runs)) == len(runs)
    assert len(after) <= len(before) + len(made.cases)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), per_kind=st.integers(1, 4), zone=st.sampled_from(["UTC", "Europe/Berlin"]))
def test_any_seed_gives_a_sorted_log(log, seed, per_kind, zone):
    """Whatever the seed and the zone: the same events plus what the table tells, sorted, within the log's days."""
    timeline, roles = replace(log[0], zone=zone), log[1]
    made = inject(timeline, roles, period=PERIOD, per_kind=per_kind, seed=seed, windows=DAYS)
    note = made.timeline.notes[CASE]
    assert (note != -1).sum() == sum(made.cases["events"].to_pylist())
    assert (note == -1).sum() <= len(timeline)
    owner_then_time = np.lexsort((np.arange(len(note)), made.timeline.at, made.timeline.owner))
    assert owner_then_time.tolist() == list(range(len(note)))
    assert set(np.unique(note[note >= 0]).tolist()) == set(made.cases["case"].to_pylist())


def test_what_cannot_be_asked_for(log):
    """Unknown kinds, kinds named twice, and periods in which nobody has a history are refused."""
    with pytest.raises(ConfigError, match="among another_day, burst"):
        inject(*log, period=PERIOD, per_kind=1, seed=0, windows=DAYS, kinds=["sleepwalking"])
    with pytest.raises(ConfigError, match="each once"):
        inject(*log, period=PERIOD, per_kind=1, seed=0, windows=DAYS, kinds=["burst", "burst"])
    with pytest.raises(ConfigError, match="rehearse a later period"):
        inject(*log, period=(START, START + DAY), per_kind=1, seed=0, windows=DAYS)
