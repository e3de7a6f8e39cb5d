"""Evidence: the events that a reason stands on, by the log's own names, and as a column of the scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from ride_toys import RIDES, VEHICLES, Counting, rides, told

from peculiar.features.events import EventLog
from peculiar.features.roles import Roles
from peculiar.serving.evidence import columns, evidence_of, ids_of, weighed
from peculiar.training.packaging import EVIDENCE


@pytest.fixture(scope="module")
def three():
    """Three vehicles in a day, the second of them twice."""
    return rides(["v1", "v2", "v2", "v3"])


def found(day, *reasons) -> list[list[str]]:
    """The ids of the events behind each of the last day's reasons."""
    (positions,) = evidence_of(day.plan, day.population, day.timeline, day.vectors, [list(reasons)])
    return [day.named(each) for each in positions]


def test_each_reason_has_the_events_that_make_its_number(three):
    """Of how many vehicles, the first ride on each; of how many rides, all of them."""
    vehicles, all_rides = found(three, told(VEHICLES, seen=3), told(RIDES, seen=4, unit="events"))
    assert vehicles == ["last0", "last1", "last3"]
    assert all_rides == ["last0", "last1", "last2", "last3"]


def test_a_judgement_has_the_events_of_what_it_judges(three):
    """What is told of the ratio to the own usual is what is told of the number itself."""
    ratio, number = found(three, told(f"{VEHICLES}_ratio_vs_own", seen=2), told(VEHICLES, seen=3))
    assert ratio == number


def test_how_little_there_was_is_told_by_all_of_the_window(three):
    """Where less than usual was seen no event stands out: the evidence is all that there was."""
    (little,) = found(three, told(VEHICLES, seen=3, usual=8))
    assert little == ["last0", "last1", "last2", "last3"]


def test_ids_are_those_of_the_log_or_the_rows(three):
    """Text of the log's own ids; the position in the source where an event or the log has none."""
    ids = ids_of(three.log, three.timeline)
    assert ids(np.array([20, 23])) == ["last0", "last3"]
    assert ids(np.empty(0, np.int64)) == []
    times = pa.array([2, 1], pa.timestamp("s", tz="UTC")).cast(pa.timestamp("us", tz="UTC"))
    table = pa.table({"rider": ["a", "a"], "ts": pc_later(times), "ride": pa.array([None, 7])})
    for name, wanted in (("ride", ["7", "0"]), (None, ["1", "0"])):
        log = EventLog.open(table, Roles("rider", "ts", id=name))
        assert ids_of(log, log.read()[0])(np.array([0, 1])) == wanted


def pc_later(times: pa.Array) -> pa.Array:
    """Fifty years later: a log's times before 1971 are taken for mistakes."""
    return pa.array((times.cast(pa.int64()).to_numpy() + 50 * 365 * 86_400_000_000), pa.timestamp("us", tz="UTC"))


def test_the_names_of_many_events_are_those_of_the_first(monkeypatch):
    """All events are counted, and so many are named as are worth reading."""
    monkeypatch.setattr("peculiar.serving.evidence._MOST_IDS", 2)
    day = rides(["v1", "v2", "v3", "v4"])
    reasons, ids = [[told(VEHICLES, seen=4)]], ids_of(day.log, day.timeline)
    model = day.model(Counting(VEHICLES))
    (((reason),),) = weighed(model, day.timeline, day.vectors, reasons, np.array([2.5]), ids=ids)
    assert (len(reason.events), reason.ids) == (4, ("last0", "last1"))
    ((plain,),) = columns([[reason]])["evidence"].to_pylist()
    assert (plain["count"], plain["events"]) == (4, ["last0", "last1"])


def test_rows_and_their_names_stay_together(three):
    """Of several rows with several reasons each, every reason has the names of its own events."""
    rows = three.vectors.take(np.zeros(2, np.intp))
    reasons = [[told(VEHICLES, seen=3), told(RIDES, seen=4)], [told(RIDES, seen=4)]]
    lines, ids = np.full(2, np.nan), ids_of(three.log, three.timeline)
    for row in weighed(three.model(Counting(RIDES)), three.timeline, rows, reasons, lines, ids=ids):
        for reason in row:
            assert list(reason.ids) == three.named(reason.events)


def test_columns_tell_every_number_and_null_for_what_is_none():
    """A row that was not asked about is null, one without reasons says why, and NaN, which JSON has not, is null."""
    reason = replace(told(VEHICLES, seen=3, usual=float("nan")), everyone=2.0, weak=True, events=(5, 6), ids=("a", "b"))
    made = columns([None, [], [reason]], {1: "no reason"})
    assert made["evidence"].type == EVIDENCE
    assert made["reasons"].to_pylist() == [None, ["no reason"], ["many"]]
    assert made["evidence"].to_pylist() == [None, [], [{
        "feature": VEHICLES, "family": "breadth", "weight": 1.0, "seen": 3.0, "usual": None, "everyone": 2.0,
        "unit": "values", "weak": True, "count": 2, "events": ["a", "b"],
    }]]  # fmt: skip
