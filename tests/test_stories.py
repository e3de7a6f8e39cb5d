"""The two stories that are the package's test of common sense: fifty buses in a day, and the odd basket."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from peculiar.experiments.scenarios import Scenarios
from peculiar.experiments.simulate import simulate
from peculiar.experiments.stories import places
from peculiar.features.events import EventLog
from peculiar.serving.scoring import score_batch
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.material import prepare
from peculiar.training.references import load
from peculiar.training.settings import TrainingSettings
from peculiar.training.splits import Period

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def judged(city, trained):
    """The scores of the later period by the champion and by the Isolation Forest, each with its reasons."""
    since, found = trained.result.material.split.test_from, {}
    for version in trained.result.versions:
        model = load(trained.store, version.uri).model
        found[version.kind] = score_batch(model, city.events, since=since, budget=10, explain=6).table
    return found


def windows_of(city, scenario: str, *, since: int) -> list[tuple[str, int]]:
    """User and day of each planted incident of a story that begins and ends on one day of the later period."""
    events = dict(zip(city.events["event_id"].to_pylist(), city.events["ts"].cast(pa.int64()).to_pylist(), strict=True))
    days: dict[str, set[int]] = {}
    for row in city.labels.filter(pc.equal(city.labels["scenario"], scenario)).to_pylist():
        at = events[row["event_id"]] if row["event_id"] is not None else int(row["from"].timestamp() * 1e6)
        days.setdefault(row["entity"], set()).add(at // DAY * DAY)
    return [(user, min(when)) for user, when in days.items() if len(when) == 1 and min(when) >= since]


def row_of(scores: pa.Table, user: str, day: int) -> dict:
    """The one row of a user and day."""
    rows = scores.filter(pc.and_(pc.equal(scores["entity"], user), pc.equal(scores["since"].cast(pa.int64()), day)))
    (row,) = rows.to_pylist()
    return row


def test_fifty_buses_in_a_day(city, trained, judged):
    """The champion puts each user who rode fifty buses among the first three of that day, and says fifty vehicles.

    Claimed for one simulated log (30,000 events, 375 active users, about ninety of them a day, seed 0) and a champion
    that learned from labels with four such days before; both fifty-bus days of the later period are asked for. On that
    log service accounts ride as often, so that a count alone would not do: the fifty are held against the own usual.
    """
    assert trained.result.champion.kind == "lightgbm"
    found = windows_of(city, "fifty_buses", since=trained.result.material.split.test_from)
    assert len(found) == 2
    for user, day in found:
        row = row_of(judged["lightgbm"], user, day)
        assert row["rank"] <= 3, row
        told = [reason for reason in row["reasons"] if re.match(r"50 different vehicles; its own usual is ", reason)]
        assert told, row["reasons"]
        usual = float(re.search(r"its own usual is ([\d.]+)", told[0])[1])
        assert usual <= 5


def test_fifty_buses_need_no_labels(city, trained, judged):
    """Without any label the Isolation Forest has the same users among the first ten of about ninety that day.

    Among the six things it says are the fifty different vehicles.
    """
    for user, day in windows_of(city, "fifty_buses", since=trained.result.material.split.test_from):
        row = row_of(judged["isolation_forest"], user, day)
        assert row["rank"] <= 10, row
        assert any(reason.startswith("50 different vehicles; its own usual is ") for reason in row["reasons"]), row


def test_a_day_has_far_more_users_than_are_asked_about(judged):
    """To be among the first three or ten of a day means something: some ninety users are ranked on each."""
    for scores in judged.values():
        _, users = np.unique(scores["since"].cast(pa.int64()).to_numpy(), return_counts=True)
        assert users.min() > 60


@pytest.fixture(scope="module")
def large_city():
    """A log large enough for common things to have met by chance: 12,000 users, the two stories and no other trouble.

    The grove is fitted on the first seven tenths of the days, without labels; the rest is judged.
    """
    none = dict.fromkeys(("account_takeover", "card_testing", "slow_drift", "exfiltration"), 0)
    stories = Scenarios(odd_basket=12, fifty_buses=3, **none)
    city = simulate(events=600_000, users=12_000, days=42, seed=3, stories=stories)
    log = EventLog.open(city.events)
    timeline, _, _ = log.read()
    cut = int(timeline.at.min()) // DAY * DAY + 29 * DAY
    settings = TrainingSettings(train=Period(None, cut), test=Period(cut, None))
    material = prepare(timeline, log.roles, None, settings=settings)
    return city, material.test, IsolationForest().fit(material.unseen, seed=0)


def places_of(large_city, story: str) -> list[tuple[int, str]]:
    """The place of each planted user among all of the day that completes the story, and the family that speaks."""
    return [(place.place, place.family) for place in places(*large_city) if place.story == story]


def test_the_odd_basket(large_city):
    """The forest has baskets of things that nobody has together among the first of the day that completes them.

    Claimed for one simulated log of 12,000 users, some 1,900 of them a day: six baskets in the later period, bought in
    one visit or gathered over two weeks, by users who are ordinary in all else. Each is among the first ten, and it is
    the combination that speaks.
    """
    found = places_of(large_city, "odd_basket")
    assert len(found) == 6
    assert max(place for place, _ in found) <= 10
    assert {family for _, family in found} == {"combination"}


def test_fifty_buses_among_thousands(large_city):
    """On the same log each fifty-bus day is among the first ten of its day."""
    found = places_of(large_city, "fifty_buses")
    assert found
    assert max(place for place, _ in found) <= 10
