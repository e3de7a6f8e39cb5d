"""The experiment that places the stories."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from peculiar.experiments.scenarios import Scenarios
from peculiar.experiments.simulate import simulate
from peculiar.experiments.stories import main, places
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.training.detector import Contributions

DAY = 86_400_000_000


class Counting:
    """A detector whose score is the number of events of the day."""

    def score(self, vectors):
        """The count."""
        return vectors.column("events_count_1d").astype(float)

    def contributions(self, vectors):
        """No credit; the family is known."""
        n = len(vectors)
        return Contributions(np.zeros((n, len(vectors.features))), np.zeros(n), ["volume"] * n)


@pytest.fixture(scope="module")
def city():
    """Half a thousand users with some stories."""
    return simulate(events=20_000, users=500, days=40, seed=1, stories=Scenarios(odd_basket=6, fifty_buses=4))


def test_places_are_those_of_a_plain_count(city):
    """Each user of a story is placed among all of the story's last day, by a score that is counted by hand here."""
    log = EventLog.open(city.events)
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles)
    vectors = plan.vectors(timeline, plan.fit(timeline))
    found = places(city, vectors, Counting())
    stories = city.labels.filter(pc.is_in(city.labels["scenario"], pa.array(["odd_basket", "fifty_buses"])))
    assert {(p.story, p.entity) for p in found} == set(
        zip(stories["scenario"].to_pylist(), stories["entity"].to_pylist(), strict=True)
    )
    users, days = city.events["user_id"].to_pylist(), city.events["ts"].cast(pa.int64()).to_numpy() // DAY
    for place in found:
        day = int(np.datetime64(place.day, "D").astype(int))
        counts: dict[str, int] = {}
        for row in np.flatnonzero(days == day):
            counts[users[row]] = counts.get(users[row], 0) + 1
        assert place.among == len(counts)
        assert place.place == 1 + sum(count > counts[place.entity] for count in counts.values())
    assert {p.days for p in found if p.story == "fifty_buses"} == {1}


@pytest.mark.long
def test_it_tells_what_it_did(tmp_path):
    """The command prints a row for each story's user and writes the figures."""
    target = tmp_path / "stories.json"
    options = ["--events", "30000", "--users", "600", "--days", "40", "--seed", "3", "--json", str(target)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    told = json.loads(target.read_text(encoding="utf-8"))
    assert told["judged_rows"] > 0
    assert all(1 <= row["place"] <= row["among"] for row in told["places"])
    assert "among the first ten of their day" in result.output
