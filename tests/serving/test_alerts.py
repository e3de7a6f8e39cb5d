"""Alerts: budgets of days and teams, held against a plain walk down the ranks; what does not fit is refused."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from peculiar.errors import ConfigError
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.vectors import Vectors
from peculiar.serving.alerts import AlertRules, Scored, raise_alerts, teams_of
from peculiar.serving.picks import Exploration
from peculiar.serving.scoring import ranks_of, score_batch
from peculiar.training.references import load

DAY = 86_400_000_000
SINCE = 20_094 * DAY + 36 * DAY


@pytest.fixture(scope="module")
def model(trained):
    """The champion, as it comes out of the registry."""
    return load(trained.store, "models:/peculiar@champion").model


@pytest.fixture(scope="module")
def batch(model, city):
    """Three days of the city."""
    return score_batch(model, city.events, labels=city.labels, since=SINCE, until=SINCE + 3 * DAY, explain=0)


@pytest.fixture(scope="module")
def scored(batch):
    """The same days before anything became an alert."""
    score, rank = (batch.table[name].to_numpy() for name in ("score", "rank"))
    p, day = batch.table["p_value"].to_numpy(), (batch.vectors.as_of - 1) // DAY
    return Scored(batch.vectors, batch.timeline, score, p, day, rank)


@pytest.fixture(scope="module")
def districts(city, batch):
    """The district of each window's last event, found row by row."""
    events = sorted(city.events.select(["ts", "event_id", "user_id", "district"]).to_pylist(), key=lambda e: e["ts"])
    last = {(event["user_id"], event["ts"].date()): event["district"] for event in events}
    rows = batch.table.select(["entity", "since"]).to_pylist()
    return [last[row["entity"], row["since"].date()] for row in rows]


def by_list(scored, keys) -> dict[tuple, list[int]]:
    """The rows of each list from the highest rank down."""
    lists = defaultdict(list)
    for row in np.argsort(scored.rank, kind="stable").tolist():
        lists[int(scored.day[row]), keys[row]].append(row)
    return lists


TEAMS = {"district-01": 2, "district-02": 0, "district-03": 1}


def test_each_team_has_its_budget_and_the_rest_have_theirs(model, scored, districts):
    """Of each day the first of each named team are alerts, and the first of all others together; the line is theirs."""
    rules = AlertRules(budget=4, team_by="district", teams=TEAMS)
    alerts = raise_alerts(model, scored, rules=rules)
    assert alerts.team.to_pylist() == districts
    lists = by_list(scored, [name if name in TEAMS else None for name in districts])
    assert {team for _, team in lists} == {*TEAMS, None}
    wanted, line = set(), {}
    for key, rows in lists.items():
        inside = rows[: TEAMS.get(key[1], 4)]
        wanted |= set(inside)
        line |= dict.fromkeys(rows, min((scored.score[row] for row in inside), default=np.nan))
    assert set(np.flatnonzero(alerts.picks.alert).tolist()) == wanted
    np.testing.assert_array_equal(alerts.line, [line[row] for row in range(len(districts))])
    assert alerts.notes == ()


def test_random_picks_come_out_of_each_teams_own_budget(model, scored, districts):
    """A half of two, of four and of none: drawn among the same team's windows that are no alert by rank."""
    rules = AlertRules(budget=4, team_by="district", teams=TEAMS, explore=Exploration(0.5, seed=3))
    picks = raise_alerts(model, scored, rules=rules).picks
    for (_, team), rows in by_list(scored, [name if name in TEAMS else None for name in districts]).items():
        budget = TEAMS.get(team, 4)
        at_random = int(0.5 * budget + 0.5)
        drawn = [row for row in rows if picks.alert[row] and not picks.by_rank[row]]
        assert len(drawn) == at_random
        assert [row for row in rows if picks.by_rank[row]] == rows[: budget - at_random]
        assert all(picks.chance[row] == pytest.approx(at_random / (len(rows) - budget + at_random)) for row in drawn)


@pytest.mark.parametrize("budget", [None, 2, 1000])
def test_a_rate_is_bounded_by_a_budget_that_is_named(model, scored, budget):
    """Without a budget all that the rate allows are alerts; with one the first of them, day by day."""
    free = raise_alerts(model, scored, rules=AlertRules(fdr=0.3)).picks.alert
    alert = raise_alerts(model, scored, rules=AlertRules(fdr=0.3, budget=budget)).picks.alert
    assert free.any()
    for rows in by_list(scored, [None] * len(scored.day)).values():
        allowed = [row for row in rows if free[row]]
        assert [row for row in rows if alert[row]] == allowed[:budget]


def toy(rows) -> Scored:
    """Windows of (entity, day, hour, score)."""
    who, day, hour, score = zip(*rows, strict=True)
    end = np.array(day, np.int64) * DAY + (np.array(hour) + 1) * 3_600_000_000
    entity = pa.array(who).dictionary_encode()
    vectors = Vectors(entity, end - 3_600_000_000, end, np.zeros((0, len(rows)), np.float32), (), "toy")
    days, scores = np.array(day, np.int64), np.array(score, np.float64)
    return Scored(vectors, None, scores, None, days, ranks_of(days, scores))


def test_an_entity_takes_one_place_a_day_with_all_its_windows_above_the_line(model):
    """Ann's hours above the line take one place of two, the one below is no alert; by window each takes one."""
    rows = [("ann", 0, 1, 9.0), ("ann", 0, 2, 8.0), ("bob", 0, 1, 7.0), ("ann", 0, 3, 6.0), ("cyd", 0, 1, 5.0)]
    rows += [("ann", 1, 1, 1.0)]
    found = {per: raise_alerts(model, toy(rows), rules=AlertRules(budget=2, per=per)) for per in ("entity", "window")}
    assert found["entity"].picks.alert.tolist() == [True, True, True, False, False, True]
    assert found["entity"].line.tolist() == [7.0] * 5 + [1.0]
    assert found["window"].picks.alert.tolist() == [True, True, False, False, False, True]


def test_last_places_do_not_go_by_name(model):
    """Of two at the lowest score neither takes the one place that is left; two places are for both, and both are told.

    Of several windows of one who is in, those that take no place leave nobody out.
    """
    rows = [("ann", 0, 1, 9.0), ("bob", 0, 1, 1.0), ("cyd", 0, 1, 1.0), ("ann", 0, 2, 1.0)]
    two, three = (raise_alerts(model, toy(rows), rules=AlertRules(budget=budget)) for budget in (2, 3))
    assert two.picks.alert.tolist() == [True, False, False, False]
    assert two.line.tolist() == [9.0] * 4
    (said,) = two.notes
    assert said.startswith("last places that stay empty: 1; the windows next in rank have the lowest score")
    assert three.picks.alert.tolist() == [True, True, True, False]
    assert three.notes == ()


@pytest.mark.parametrize("column", ["branch", "shift"])
def test_the_team_is_that_of_the_last_event(column):
    """By a dimension or by the column of peers, whatever its type; null if the last event has none."""
    log = pa.table({
        "user": ["ann", "bob", "ann", "bob", "cyd"],
        "at": [f"2025-03-03T{hour:02}:00:00Z" for hour in (8, 9, 10, 11, 12)],
        "branch": pa.array([7, 2, 3, None, 7]),
        "shift": ["early", "early", "late", "late", None],
    })  # fmt: skip
    roles = Roles("user", "at", dimensions=("branch",), peer_by="shift")
    timeline, _, _ = EventLog.open(log, roles).read()
    plan = FeaturePlan.for_log(timeline, roles)
    vectors = plan.vectors(timeline, plan.fit(timeline))
    team = dict(zip(vectors.entity.to_pylist(), teams_of(vectors, timeline, roles, column).to_pylist(), strict=True))
    found = {"branch": {"ann": "3", "bob": None, "cyd": "7"}, "shift": {"ann": "late", "bob": "late", "cyd": None}}
    assert team == found[column]
    with pytest.raises(ConfigError, match="expected vectors that know their last event"):
        teams_of(replace(vectors, last=None), timeline, roles, column)


def test_a_team_that_no_window_is_of_is_told(model, scored):
    """A name that is misspelt would give its alerts to the rest without a word."""
    rules = AlertRules(budget=4, team_by="district", teams={"district-01": 1, "distrct-02": 1})
    (said,) = raise_alerts(model, scored, rules=rules).notes
    assert said == "no window is of a team that has a budget: distrct-02; district has other values"


def test_a_column_of_teams_that_is_none_is_refused(model, scored):
    """The error lists what there is to choose from."""
    with pytest.raises(
        ConfigError, match=r"team_by to name a dimension or peer_by \(action, .*district\), got 'depot'"
    ):
        raise_alerts(model, scored, rules=AlertRules(team_by="depot"))


@pytest.mark.parametrize(("given", "told"), [
    ({"teams": {"North": 2}}, "expected alerts.team_by to name the column that North are values of"),
    ({"teams": {"North": -2}, "team_by": "depot"}, "budgets and case_gap of 0 or more, got .*budget of North -2"),
    ({"budget": -1}, "budgets and case_gap of 0 or more, got .*budget -1"),
    ({"case_gap": -1}, "got .*case_gap -1"),
    ({"per": "user"}, "expected per to be entity or window, .*got per user"),
    ({"fdr": 1.0}, "expected alerts.fdr to be a share of false alerts between 0 and 1, such as 0.1, got 1.0"),
    ({"fdr": 0.0}, "expected alerts.fdr to be a share"),
])  # fmt: skip
def test_rules_out_of_range_are_refused(given, told):
    """Before anything is scored, with what was given."""
    with pytest.raises(ConfigError, match=told):
        AlertRules(**given)


def test_the_record_says_what_was_asked_for():
    """Only what was given, and the budget that holds by default."""
    assert AlertRules().to_dict() == {"budget": 100, "per": "entity", "case_gap": 7}
    rules = AlertRules(fdr=0.1, explore=Exploration(0.2, 5), team_by="depot", teams={"North": 2}, case_gap=3)
    assert rules.to_dict() == {
        "budget": None, "per": "entity", "case_gap": 3, "fdr": 0.1, "explore": 0.2, "seed": 5, "team_by": "depot",
        "teams": {"North": 2},
    }  # fmt: skip
