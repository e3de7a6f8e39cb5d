"""The two stories that are the package's test of common sense: fifty buses in a day, and the odd basket."""

from __future__ import annotations

import io
import re
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from peculiar.experiments.scenarios import Scenarios
from peculiar.experiments.simulate import simulate
from peculiar.experiments.stories import places
from peculiar.features.events import EventLog
from peculiar.serving.dossier import DossierRequest, explain_entity
from peculiar.serving.dossier_listing import dossier_listing
from peculiar.serving.scoring import score_batch
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.material import prepare
from peculiar.training.model import Model
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


def dossier_of(user: str, day: int, city, store, uri: str = "models:/peculiar@champion"):
    """The dossier of a user's day."""
    at = datetime(1970, 1, 1) + timedelta(microseconds=day)  # noqa: DTZ001 - a time of the log's own zone
    return explain_entity(DossierRequest(user, at, city.events, uri, labels=city.labels), store)


def printed(dossier) -> str:
    """A dossier as it comes out of a pipe, its lines joined."""
    console = Console(width=100, file=io.StringIO())
    for part in dossier_listing(dossier):
        console.print(part)
    return " ".join(console.file.getvalue().split())


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
def large_material():
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
    return city, material, IsolationForest().fit(material.unseen, seed=0)


@pytest.fixture(scope="module")
def large_city(large_material):
    """The large city, its later period, and the grove."""
    city, material, grove = large_material
    return city, material.test, grove


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


def test_the_dossier_of_fifty_buses_names_them(city, trained):
    """Its sentence says how many vehicles and what is usual, for the card and for everyone; its events are the rides.

    Asked of both fifty-bus days of the later period, of the champion that learned from labels.
    """
    for user, day in windows_of(city, "fifty_buses", since=trained.result.material.split.test_from):
        dossier = dossier_of(user, day, city, trained.store)
        assert re.search(r"50 different vehicles; its own usual is [\d.]+; 99 of 100", printed(dossier))
        lead = dossier.lead
        number = next(n for n, each in enumerate(lead.reasons) if each.text.startswith("50 different vehicles"))
        rides = {
            str(row["event_id"]): row["vehicle"]
            for row in city.events.filter(pc.equal(city.events["user_id"], user)).to_pylist()
            if row["vehicle"] is not None and int(row["ts"].timestamp() * 1e6) // DAY * DAY == day
        }
        behind = [each for each, why in zip(lead.events.ids, lead.events.reasons, strict=True) if number in why]
        assert {rides[each] for each in behind} == set(rides.values())
        assert len(set(rides.values())) == 50
        named = re.fullmatch(r"(.*) and 46 more", lead.values[number])
        assert set(named[1].split(", ")) < set(rides.values())


def test_the_dossier_of_an_odd_basket_names_the_items(large_material, trained, tmp_path):
    """Of a basket bought in one visit the evidence has the ids of all four purchases, and a pair of its items is named.

    Told by the grove, without labels; both items stand in words, and how much rarer than by chance they meet.
    """
    city, material, grove = large_material
    Model(material.plan, material.population, grove).save(tmp_path / "model")
    found = windows_of(city, "odd_basket", since=material.split.test_from)
    assert found
    for user, day in found:
        dossier = dossier_of(user, day, city, trained.store, str(tmp_path / "model"))
        planted = pc.and_(pc.equal(city.labels["entity"], user), pc.equal(city.labels["scenario"], "odd_basket"))
        ids = {str(each) for each in city.labels.filter(planted)["event_id"].to_pylist()}
        assert len(ids) == 4
        assert ids <= set(dossier.lead.events.ids)
        own = city.events.filter(pc.equal(city.events["user_id"], user)).to_pylist()
        bought = [row["item"] for row in own if str(row["event_id"]) in ids]
        told = [re.fullmatch(r"(\w+) and (\w+), which meet .* as seldom.*", each) for each in dossier.lead.values]
        assert any(pair and {pair[1], pair[2]} <= set(bought) for pair in told), dossier.lead.values
        assert "two items that hardly anyone has together" in printed(dossier)
