"""What a log's dimensions are like, against plain sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from event_logs import DAY, timeline_of, worlds
from hypothesis import given

from peculiar.features.events import EventLog
from peculiar.features.families import Novelty
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.survey import count_holders, holders, in_common, known_holders, unsettled


@given(world=worlds())
def test_holders_are_those_of_plain_sets(world):
    """Each value is held by as many entities as have it, and by as many of their days when days count by themselves."""
    timeline = timeline_of(world.events, world.zone)
    codes = timeline.dimensions["device"]
    events = [world.events[row] for row in timeline.row]
    day = timeline.wall // DAY
    for block, key in ((None, [0] * len(events)), (day, day.tolist())):
        found = {value: set() for value in codes.values.to_pylist()}
        for event, number in zip(events, key, strict=True):
            if event.device is not None:
                found[event.device].add((event.user, number))
        assert holders(timeline, "device", block).tolist() == [len(found[value]) for value in codes.values.to_pylist()]


def test_null_is_held_by_nobody():
    """A code of -1 counts for nothing, also where it stands alone."""
    codes, zeros = np.array([-1, 0, -1, 0], np.int32), np.zeros(4, np.int64)
    assert count_holders(codes, 2, np.array([0, 2, 4]), zeros).tolist() == [2, 0]


def shop(users=40):
    """Articles that some view and some buy, tickets that are only ever ridden, and a counter of each user's own."""
    rng, rows = np.random.default_rng(0), []
    for user in range(users):
        for n in range(20):
            ride = bool(rng.random() < 0.3)
            rows.append(
                {
                    "user": f"u{user}",
                    "ts": 20_000 * DAY + (user * 20 + n) * 60_000_000,
                    "action": "ride" if ride else str(rng.choice(["view", "buy"])),
                    "article": None if ride else f"a{rng.integers(12)}",
                    "ticket": f"t{rng.integers(30)}" if ride else None,
                    "own": f"{user} {n}",
                }
            )
    table = pa.Table.from_pylist(rows)
    table = table.set_column(1, "ts", table["ts"].cast(pa.timestamp("us", "UTC")))
    return EventLog.open(table, Roles("user", "ts", None, ("article", "ticket", "own"), "action")).read()[0]


def test_what_is_in_common():
    """Articles, tickets and actions are things that many have; a value that is one user's own is not."""
    timeline = shop()
    assert [in_common(timeline, name) for name in ("article", "ticket", "own")] == [True, True, False]


def test_the_dimension_that_the_action_does_not_settle():
    """What is done to an article is open, a ticket can only be ridden, and the action is not crossed with itself."""
    timeline = shop()
    assert unsettled(timeline, ("action", "ticket", "article"), "action") == "article"
    assert unsettled(timeline, ("action", "ticket"), "action") is None
    plan = FeaturePlan.for_log(timeline, Roles("user", "ts", None, ("article", "ticket", "own"), "action"))
    assert plan.crossed == (("action", "article"),)
    assert FeaturePlan.from_json(plan.to_json()).crossed == plan.crossed
    assert "action_article_set_surprise_1d" in {feature.name for feature in plan.features}


def test_what_training_knew_of_values():
    """Values that training held are known by the number of their holders; only values of the events asked for are."""
    timeline = shop()
    plan = FeaturePlan(Roles("user", "ts", None, ("article",), "action"), families=(Novelty(),))
    population = plan.fit(timeline)
    codes = timeline.dimensions["article"]
    known, entities = known_holders(codes, slice(0, len(timeline)), population, "article")
    assert entities == 40
    assert known.tolist() == holders(timeline, "article").tolist()
    none, _ = known_holders(codes, slice(0, 0), population, "article")
    assert not none.any()
    strange, _ = known_holders(codes, slice(0, len(timeline)), population, "another")
    assert not strange.any()
