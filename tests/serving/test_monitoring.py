"""What befell a log is told by its kind: a fault of the data, a change of behaviour, other people, or nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from monitor_toys import DAY, TRAINED, Plants, watch

from peculiar.features.events import EventLog
from peculiar.serving.alerts import AlertRules
from peculiar.serving.monitoring import EXIT_CODES, monitored
from peculiar.serving.period import Period
from peculiar.serving.scoring import score_batch
from peculiar.training.labels import read_labels
from peculiar.training.references import load
from peculiar.training.usual import Usual

FAULTS = {
    "cents for whole units": (Plants.cents, {}, "units", ("amount",)),
    "a clock two hours off": (Plants.clock, {"hours": 2}, "clock", ()),
    "rows without an entity": (Plants.nameless, {}, "quarantine", ("no entity",)),
}


@pytest.fixture(scope="module")
def plants(monitored_city):
    """What can befall the week after the training."""
    return Plants(monitored_city)


def codes(found, kind: str) -> set[str]:
    """The codes of the findings of a kind."""
    return {finding.code for finding in found.findings if finding.kind == kind}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_the_verdict_whatever_else_moved(monitored_city, plants, fault):
    """Found by name and column (test_faults has every kind); what else moved is unsure: it may be the fault's doing."""
    method, given, code, columns = FAULTS[fault]
    found = watch(monitored_city, method(plants, **given))
    assert (found.verdict, found.exit_code) == ("fault", 3)
    assert any((each.code, each.columns) == (code, columns) for each in found.findings if each.kind == "fault")
    assert {each.sure for each in found.findings if each.kind != "fault"} <= {"low"}


def test_labels_that_nobody_gave_are_a_fault(trained, city):
    """A model that knows risk sees all of it gone without them: that is no change of how people behave."""
    model, log = load(trained.store, "models:/peculiar@champion").model, trained.log
    assert model.plan.risky
    last = int(Usual.from_card(model.card).until)
    since = last - last % DAY
    batch = score_batch(model, log, since=since, explain=0)
    known = read_labels(city.labels, locate=batch.timeline.locate)
    span = since, int(batch.timeline.at.max()) // DAY * DAY + DAY
    without, given = (monitored(Period(model, batch, log, span, labels)) for labels in (None, known))
    assert "labels" in codes(without, "fault")
    assert {each.sure for each in without.findings if each.kind != "fault"} <= {"low"}
    assert "labels" not in codes(given, "fault")


def test_everyone_riding_twice_as_much_is_a_change(monitored_city, plants):
    """No fault is made of it, nor newcomers; the feature that counts rides leads."""
    found = watch(monitored_city, plants.twice_the_rides())
    assert (found.verdict, found.exit_code) == ("change", 4)
    assert codes(found, "fault") == set()
    assert found.moved[0].feature.name == "ride_count_1d"
    assert found.moved[0].direction == 1


def test_a_wave_of_newcomers_is_mix(monitored_city, plants):
    """They do what everybody does, so behaviour has not changed; features that moved did so with them alone."""
    found = watch(monitored_city, plants.wave())
    assert (found.verdict, found.exit_code) == ("mix", 5)
    assert "newcomers" in codes(found, "mix")
    assert found.newcomers[0] > 2 * found.newcomers[1]
    assert not any(drift.moved_known for drift in found.drifts)


@pytest.mark.parametrize("day", [TRAINED, TRAINED + 14])
def test_a_plain_week_is_nothing(monitored_city, day):
    """Weeks of the same city that the model has not seen."""
    found = watch(monitored_city, monitored_city.events, day)
    assert (found.verdict, found.exit_code, found.moved) == ("nothing", 0, [])


def test_one_plain_day_is_nothing(monitored_city):
    """A Sunday alone, held against days of the same kind."""
    found = watch(monitored_city, monitored_city.events, TRAINED + 6, days=1)
    assert (found.verdict, found.dates[0]) == ("nothing", found.dates[1])


def test_the_figures_add_up_to_what_is_in_the_events(monitored_city):
    """Events, windows, days and slices are those of the period, counted by hand; JSON can hold all of it."""
    city = monitored_city
    found = watch(city, city.events)
    since, until = city.start + TRAINED * DAY, city.start + (TRAINED + 7) * DAY
    at = city.events["ts"].cast("int64").to_numpy()
    here = (at >= since) & (at < until)
    plain = json.loads(json.dumps(found.to_dict(), default=float))
    assert plain["events"] == here.sum() == sum(day["events"] for day in plain["days"])
    pairs = set(zip(city.events["user_id"].filter(here).to_pylist(), (at[here] // DAY).tolist(), strict=True))
    assert plain["rows"] == len(pairs)
    assert plain["entities"] == len({user for user, _ in pairs})
    depots = [each for each in found.slices if each.by == "depot"]
    assert sum(each.rows for each in depots) == len(pairs)
    assert sum(each.before for each in depots) == pytest.approx(1.0)
    assert sum(each.alerts for each in depots) == found.scores.alerts == sum(day["alerts"] for day in plain["days"])
    assert {each.by for each in found.slices} == {"depot", "born"}


def test_attributes_for_audits_reach_no_feature(monitored_city):
    """They slice the report; the plan has no column of them."""
    plan = monitored_city.model.plan
    assert plan.roles.audit_only == ("born",)
    assert not [feature.name for feature in plan.features if "born" in feature.name]


def test_a_slice_tells_where_a_change_sits(monitored_city, plants):
    """Where one depot alone rides twice as much, the feature moves less without it than without the others."""
    table = plants.table
    number = np.array([int(name[1:]) for name in table["user_id"].to_pylist()])
    rides = plants.here & (number % 3 == 0) & np.array([action == "ride" for action in table["action"].to_pylist()])
    log = table
    for minutes in (17, 31, 47, 59):
        log = plants.copied(rides, later=minutes * 60_000_000, first=minutes * 10_000_000, table=log)
    found = watch(monitored_city, log)
    assert found.verdict == "change"
    without = {each.name: each.without for each in found.slices if each.by == "depot"}
    assert min(without, key=without.get) == "East"


def test_a_horizon_that_is_not_there_is_a_fault(monitored_city):
    """Features look back over it: a log that begins two days before the period cannot be judged."""
    city = monitored_city
    at = city.events["ts"].cast("int64").to_numpy()
    found = watch(city, city.events.filter(at >= city.start + (TRAINED - 2) * DAY))
    assert found.verdict == "fault"
    assert "history" in codes(found, "fault")
    assert found.newcomers[0] is None


def test_a_model_without_a_reference_is_watched_as_far_as_it_goes(monitored_city, plants):
    """Of a model from before references were kept, the population stands in; a note says what is not looked for."""
    city = monitored_city
    card = {name: value for name, value in city.model.card.items() if name != "usual"}
    old = replace(city.model, card=card)
    since, until = city.start + TRAINED * DAY, city.start + (TRAINED + 7) * DAY
    log = EventLog.open(plants.cents(), old.plan.roles)
    batch = score_batch(old, log, since=since, until=until, explain=0, rules=AlertRules(budget=5))
    found = monitored(Period(old, batch, log, (since, until)))
    assert found.verdict == "change"
    assert any("keeps no reference" in note for note in found.notes)


def test_exit_codes_are_neither_errors_of_ours_nor_of_use():
    """1 is a crash and 2 a use that cannot be; a scheduler must not take these for verdicts."""
    assert EXIT_CODES == {"nothing": 0, "fault": 3, "change": 4, "mix": 5}
