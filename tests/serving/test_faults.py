"""Every kind of fault is found in the events alone, by name and column; ordinary life is none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from monitor_toys import DAY, DAYS, HOUR, TRAINED, Plants, faults_in

from peculiar.experiments.simulate import simulate
from peculiar.features.events import EventLog
from peculiar.features.profile import EventProfile, profile_of
from peculiar.serving.faults import expected_slots, faults_of, history_faults, quarantine_faults
from peculiar.training.usual import Usual

FAULTS = {
    "cents for whole units": (Plants.cents, {}, "units", ("amount",)),
    "a dimension blank": (Plants.blank, {"name": "category"}, "blank", ("category",)),
    "a measure blank": (Plants.blank, {"name": "amount"}, "blank", ("amount",)),
    "a dimension constant": (Plants.constant, {"name": "district"}, "constant", ("district",)),
    "a measure constant": (Plants.constant, {"name": "amount"}, "constant", ("amount",)),
    "a clock two hours fast": (Plants.clock, {"hours": 2}, "clock", ()),
    "a clock three hours slow": (Plants.clock, {"hours": -3}, "clock", ()),
    "a clock one hour slow": (Plants.clock, {"hours": -1}, "clock", ()),
    "copies under new ids": (Plants.copies, {}, "copies", ()),
    "half a day missing": (Plants.hole, {}, "hole", ()),
    "other codes of items": (Plants.recoded, {"name": "item"}, "recoded", ("item",)),
    "other codes of vehicles": (Plants.recoded, {"name": "vehicle"}, "recoded", ("vehicle",)),
}


@pytest.fixture(scope="module")
def plants(monitored_city):
    """What can befall the week after the training."""
    return Plants(monitored_city)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found_in_its_column(monitored_city, plants, fault):
    """One finding has the fault's name and column."""
    method, given, code, columns = FAULTS[fault]
    found = faults_in(monitored_city, method(plants, **given))
    assert (code, columns) in {(each.code, each.columns) for each in found}
    assert {each.kind for each in found} == {"fault"}


def test_sizes_are_told(monitored_city, plants):
    """A factor, a shift and a gap are said with their numbers."""
    (units,) = faults_in(monitored_city, plants.cents())
    assert "amount is 100 times what it was" in units.what
    assert "cents for whole units" in units.what
    clock = next(each for each in faults_in(monitored_city, plants.clock(hours=2)) if each.code == "clock")
    assert "2 hours later than in training" in clock.what
    (hole,) = faults_in(monitored_city, plants.hole(hours=12))
    assert "where 4" in hole.what


@pytest.mark.parametrize("change", [Plants.twice_the_rides, Plants.wave])
def test_behaviour_and_newcomers_are_no_faults(monitored_city, plants, change):
    """More rides and more people leave blanks, units, clocks and values as they were."""
    assert faults_in(monitored_city, change(plants)) == []


@pytest.mark.parametrize("day", range(TRAINED, DAYS, 7))
def test_plain_weeks_have_no_fault(monitored_city, day):
    """Three weeks that follow the training."""
    assert faults_in(monitored_city, monitored_city.events, day) == []


def test_a_source_that_falls_silent_is_told_and_a_person_who_leaves_is_not(monitored_city, plants):
    """One vehicle that many rode is gone; a device that one user had may go with its user."""
    table = plants.table
    district = table["district"].to_numpy(zero_copy_only=False)
    lost = plants.here & (district == "Harbour")
    name = "Harbour"
    if not lost.any():
        names, counts = np.unique(district[plants.here], return_counts=True)
        name = names[counts.argmax()]
        lost = plants.here & (district == name)
    (gone,) = [each for each in faults_in(monitored_city, table.filter(~lost)) if each.code == "gone"]
    assert repr(name) in gone.what
    device, user = (table[column].to_numpy(zero_copy_only=False) for column in ("device", "user_id"))
    busiest = max(set(user[plants.here]), key=lambda each: int(np.sum(user == each)))
    left = table.filter(~(plants.here & (user == busiest)))
    assert len(set(device[user == busiest])) > 0
    assert faults_in(monitored_city, left) == []


WEEKS = range(TRAINED, DAYS, 7)
ACTIONS = ("purchase", "view", "ride", "login", "search", "top_up")


@pytest.fixture(scope="module")
def cities():
    """Six cities of thirteen weeks: the log as a table, and five weeks of the ten that a training would have seen."""
    made = []
    for seed in range(6):
        table = simulate(events=60_000, users=400, days=DAYS, seed=seed).events
        start = int(pc.min(table["ts"]).cast(pa.int64()).as_py()) // DAY * DAY
        made.append(SimpleNamespace(table=table, start=start, profile=profiles_of(table, start)))
    return made


def profiles_of(table: pa.Table, start: int):
    """A function that looks at days of a log, with the hours of its commonest actions."""
    timeline = EventLog.open(table).read()[0]

    def profile(first: int, last: int) -> EventProfile:
        return profile_of(timeline, (start + first * DAY, start + last * DAY), action="action", actions=ACTIONS)

    return profile


def clocks(then, profile, start: int, spans) -> list[str]:
    """What is said of the clock in each stretch of days."""
    said = []
    for first, last in spans:
        days = (start // DAY + first, start // DAY + last)
        found = [
            each.what for each in faults_of(then, profile(first, last), days=days, names={}) if each.code == "clock"
        ]
        said.append(found[0] if found else "")
    return said


def late(table: pa.Table, start: int, hours: float) -> pa.Table:
    """The log with all times after the training off."""
    at = table["ts"].cast(pa.int64()).to_numpy()
    moved = at + np.where(at >= start + TRAINED * DAY + HOUR, int(hours * HOUR), 0)
    return table.set_column(table.column_names.index("ts"), "ts", pa.array(moved).cast(table["ts"].type))


def test_an_hour_is_found_and_a_plain_week_or_day_has_none(cities):
    """One hour slow or fast: five cities of six in each week after the training. Of plain weeks and days none."""
    weeks, days = [(day, day + 7) for day in WEEKS], [(day, day + 1) for day in range(TRAINED, DAYS)]
    found = np.zeros((2, len(weeks)), np.int64)
    for city in cities:
        then = city.profile(TRAINED - 36, TRAINED)
        assert not any(clocks(then, city.profile, city.start, [*weeks, *days]))
        for place, (hours, word) in enumerate([(-1, "1 hour earlier"), (1, "1 hour later")]):
            profile = profiles_of(late(city.table, city.start, hours), city.start)
            found[place] += [word in what for what in clocks(then, profile, city.start, weeks)]
    assert found.min() >= 5


def test_more_of_what_is_done_in_the_evening_is_no_clock(cities):
    """Whatever is done twice as often, the hours of each action are what they were.

    A profile that was kept without the hours of actions is held by the hours of all; what it finds are a few.
    """
    alarms = {True: 0, False: 0}
    for city in cities:
        after = pc.greater_equal(city.table["ts"].cast(pa.int64()), city.start + TRAINED * DAY)
        then = city.profile(TRAINED - 36, TRAINED)
        for action in ("ride", "view"):
            twice = city.table.filter(pc.and_(after, pc.equal(city.table["action"].cast(pa.string()), action)))
            ids = pa.array(np.arange(twice.num_rows) + 10**7).cast(twice["event_id"].type)
            twice = twice.set_column(twice.column_names.index("event_id"), "event_id", ids)
            profile = profiles_of(pa.concat_tables([city.table, twice.cast(city.table.schema)]), city.start)
            for kept in alarms:
                held = then if kept else EventProfile.from_dict(then.to_dict() | {"hours": None})
                weeks = [(day, day + 7) for day in WEEKS]
                alarms[kept] += sum(map(bool, clocks(held, profile, city.start, weeks)))
    assert alarms[True] == 0
    assert 0 < alarms[False] <= 4  # of 36


def test_half_hours_due_are_those_of_the_same_weekday(monitored_city):
    """The mean of the training's days of that weekday, days without events among them."""
    then = Usual.from_card(monitored_city.model.card).events
    due = expected_slots(then, then.day[:7])
    for place, day in enumerate(then.day[:7]):
        same = then.day % 7 == day % 7
        assert due[place] == pytest.approx(then.slots[same].sum(axis=0) / same.sum())


def test_a_hole_in_the_horizon_is_told_apart(monitored_city):
    """A lost day before the period is a fault of the history, since features look back over it."""
    plants = Plants(monitored_city, TRAINED - 10, TRAINED - 3)
    timeline = plants.timeline(plants.hole(hours=24, since=2 * 24))
    since = monitored_city.start + TRAINED * DAY
    then, earlier = Usual.from_card(monitored_city.model.card).events, plants.profile(timeline, since - 28 * DAY, since)
    (found,) = history_faults(then, earlier, days=((since - 28 * DAY) // DAY, since // DAY))
    assert (found.kind, found.code) == ("fault", "history")
    assert "before the period, no event from" in found.what


def test_a_surge_of_rows_set_aside_is_a_fault_and_the_usual_trickle_is_not():
    """Twice the training's share and half a per cent more."""
    assert quarantine_faults({"no entity": 0.01}, {"no entity": 14}, 1_000) == []
    (found,) = quarantine_faults({"no entity": 0.01}, {"no entity": 40}, 1_000)
    assert (found.code, found.columns) == ("quarantine", ("no entity",))
    (new,) = quarantine_faults({}, {"no time": 10}, 1_000)
    assert "in training 0.0%" in new.what
