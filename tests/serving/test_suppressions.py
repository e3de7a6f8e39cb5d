"""Suppressions: each hides its scope and nothing else while it holds, and says so; scores stay as they are."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.config import Config
from peculiar.errors import ConfigError
from peculiar.serving.alerts import AlertRules, Scored, raise_alerts
from peculiar.serving.picks import Exploration
from peculiar.serving.reasons import explain
from peculiar.serving.scoring import score_batch
from peculiar.serving.suppressions import Scoped, Suppression, Suppressions, read_suppressions
from peculiar.training.references import load

DAY = 86_400_000_000
FIRST = date(2025, 2, 11)
SINCE = (FIRST - date(1970, 1, 1)).days * DAY
BUDGET = 5


@pytest.fixture(scope="module")
def model(trained):
    """The champion, as it comes out of the registry."""
    return load(trained.store, "models:/peculiar@champion").model


@pytest.fixture(scope="module")
def scored(model, city):
    """Two days of the city, before anything became an alert."""
    table = score_batch(model, city.events, labels=city.labels, since=SINCE, until=SINCE + 2 * DAY, explain=0)
    day = (table.vectors.as_of - 1) // DAY
    columns = (table.table[name].to_numpy() for name in ("score", "p_value"))
    return Scored(table.vectors, table.timeline, *columns, day, table.table["rank"].to_numpy())


@pytest.fixture(scope="module")
def told(model, scored):
    """Of the first rows of each day the first reason, told for all of them at once."""
    rows = np.flatnonzero(scored.rank <= 8 * BUDGET)
    subjects = {feature.name: feature.subject or feature.name for feature in model.plan.features}
    said = explain(model, scored.vectors.take(rows), most=3)
    return {row: (s[0], subjects[s[0].feature]) for row, s in zip(rows.tolist(), said, strict=True) if s}


def entry(**scope: object) -> Suppression:
    """An entry that holds on all days unless told otherwise."""
    return Suppression(**{"owner": "kim", "reason": "known", "until": FIRST + timedelta(days=300), **scope})


def raised(model, scored, *entries: Suppression, **more: object):
    """The alerts with these entries."""
    rules = AlertRules(budget=BUDGET, team_by="district", suppressions=Suppressions(entries), **more)
    return raise_alerts(model, scored, rules=rules)


def walked(scored, hidden) -> tuple[set[int], set[int]]:
    """Alerts and hidden rows by walking down each day until five that are not hidden are in."""
    alerts, passed = set(), set()
    for day in set(scored.day.tolist()):
        ranked = sorted(np.flatnonzero(scored.day == day).tolist(), key=lambda row: scored.rank[row])
        shown = 0
        for row in ranked:
            if shown == BUDGET:
                break
            shown += not hidden(row)
            (passed if hidden(row) else alerts).add(row)
    return alerts, passed


SCOPES = ["entity", "pattern", "family", "feature", "subject", "team", "entity and team", "entity and family"]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_hides_what_it_names_and_the_next_moves_up(model, scored, told, scope):
    """The alerts are those of a plain walk that passes over the scope of what ranks first; each hidden one says why."""
    top = min(np.flatnonzero(scored.day == scored.day.min()).tolist(), key=lambda row: scored.rank[row])
    names, team = scored.vectors.entity.to_pylist(), raised(model, scored, entry(entity="nobody")).team.to_pylist()
    reason, subject = told[top]
    family = {row: said.family for row, (said, _) in told.items()}
    ways = {
        "entity": ({"entity": names[top]}, lambda row: names[row] == names[top]),
        "pattern": ({"entity": f"*{names[top][-1]}"}, lambda row: names[row][-1] == names[top][-1]),
        "family": ({"family": reason.family}, lambda row: family.get(row) == reason.family),
        "feature": ({"feature": reason.feature}, lambda row: row in told and told[row][0].feature == reason.feature),
        "subject": ({"subject": subject}, lambda row: row in told and told[row][1] == subject),
        "team": ({"team": team[top]}, lambda row: team[row] == team[top]),
        "entity and team": ({"entity": "*", "team": team[top]}, lambda row: team[row] == team[top]),
        "entity and family": (
            {"entity": names[top], "family": reason.family},
            lambda row: names[row] == names[top] and family[row] == reason.family,
        ),
    }
    given, hidden = ways[scope]
    alerts, passed = walked(scored, hidden)
    assert max(scored.rank[row] for row in alerts | passed) < 8 * BUDGET, "the walk went beyond what is told"
    found = raised(model, scored, entry(**given))
    assert set(np.flatnonzero(found.picks.by_rank).tolist()) == alerts
    assert set(np.flatnonzero(found.suppressed).tolist()) == passed != set()
    assert found.hidden == {1: len(passed)}


def test_an_entry_hides_until_its_end_and_not_from_its_last_day_on(model, scored):
    """``until`` is the first day on which it hides nothing; that it has ended is told, with the way out."""
    always = raised(model, scored, entry(entity="*"))
    ended = raised(model, scored, entry(entity="*", until=FIRST + timedelta(days=1)))
    second = scored.day == scored.day.max()
    assert not always.picks.alert.any()
    assert np.array_equal(always.suppressed > 0, np.ones(len(second), bool))
    assert np.array_equal(ended.suppressed > 0, ~second)
    assert ended.picks.alert.sum() == ended.picks.alert[second].sum() == BUDGET
    assert any("1: known (kim) ended on 2025-02-12 and hides nothing from then on; renew it" in n for n in ended.notes)


def test_of_several_entries_the_first_is_named(model, scored):
    """Each hidden window is counted once."""
    found = raised(model, scored, entry(entity="nobody"), entry(entity="*"), entry(team="district-01"))
    assert set(found.suppressed.tolist()) == {2}
    assert found.hidden == {2: len(scored.day)}


def test_random_picks_are_drawn_from_what_is_hidden_too(model, scored):
    """With everything hidden the whole day's share is still drawn, each with its chance."""
    found = raised(model, scored, entry(entity="*"), explore=Exploration(0.4, seed=1))
    assert not found.picks.by_rank.any()
    for day in set(scored.day.tolist()):
        rows = scored.day == day
        assert found.picks.alert[rows].sum() == 2
        assert set(found.picks.chance[rows & found.picks.alert]) == {2 / rows.sum()}


def test_scores_ranks_and_p_values_stay_as_they_are(model, city):
    """Only alerts and what belongs to them change; the column says which entry hid a window, and why."""
    given = {"since": SINCE, "until": SINCE + DAY, "labels": city.labels, "explain": 2}
    plain = score_batch(model, city.events, rules=AlertRules(budget=BUDGET), **given)
    who = plain.table.filter(plain.table["alert"])["entity"][0].as_py()
    rules = AlertRules(budget=BUDGET, suppressions=Suppressions((entry(entity=who),)))
    found = score_batch(model, city.events, rules=rules, **given)
    same = ["entity", "since", "as_of", "score", "p_value", "rank"]
    assert found.table.select(same).equals(plain.table.select(same))
    (row,) = [row for row in found.table.to_pylist() if row["entity"] == who]
    assert (row["alert"], row["suppressed"], row["reasons"], row["case"]) == (False, "1: known", None, None)
    assert found.table["suppressed"].null_count == len(found.table) - 1
    assert found.hidden == {1: 1}
    assert any("suppression 1: known (kim) hid 1 of 6 would-be alerts" in note for note in found.report.notes)


names = st.sampled_from(["svc-1", "svc-2", "ann", "an*n", "[x]"])
groups = st.sampled_from(["north", "south", None])
entries = st.lists(
    st.builds(
        lambda entity, team, group, since, length: entry(
            entity=entity,
            team=team,
            peer_group=group,
            since=FIRST + timedelta(days=since),
            until=FIRST + timedelta(days=since + length),
        ),
        st.sampled_from(["svc-*", "ann", "?nn", "[[]x]", "*", None]),
        st.sampled_from(["north", "nor*", None]),
        st.sampled_from(["south", None]),
        st.integers(-3, 3),
        st.integers(1, 3),
    ),
    max_size=3,
)


@given(st.lists(st.tuples(names, groups, groups, st.integers(-4, 6)), min_size=1, max_size=12), entries)
def test_scopes_are_told_as_by_looking_at_each_row(rows, given_entries):
    """All parts given hold: the name by its pattern, team and peer group word for word, the day in between."""
    who, team, group, day = (list(part) for part in zip(*rows, strict=True))
    first = (FIRST - date(1970, 1, 1)).days
    coded = [pa.array(part, pa.string()).dictionary_encode() for part in (who, group, team)]
    scoped = Scoped(coded[0], np.array(day) + first, *coded[1:])
    covers = Suppressions(tuple(given_entries)).covers(scoped)
    for number, each in enumerate(given_entries):
        for row in range(len(rows)):
            on = FIRST + timedelta(days=day[row])
            assert covers[number, row] == (
                (each.entity is None or fnmatchcase(who[row], each.entity))
                and each.team in (None, team[row])
                and each.peer_group in (None, group[row])
                and each.since <= on < each.until
            )


def test_what_a_reader_has_to_know_is_told():
    """How much each hid, and that one ended, has not begun, hid nothing, or hid much."""
    days = np.array([(FIRST - date(1970, 1, 1)).days + n for n in range(3)])
    made = Suppressions((
        entry(entity="a", reason="much"),
        entry(entity="b", reason="little"),
        entry(entity="c", reason="none"),
        entry(entity="d", reason="over", until=FIRST),
        entry(entity="e", reason="to come", since=FIRST + timedelta(days=9)),
        entry(entity="f", reason="ends within", until=FIRST + timedelta(days=1)),
    ))  # fmt: skip
    said = made.notes(days, {1: 30, 2: 1}, alerts=19)
    assert [note.removeprefix("the suppressions: suppression ") for note in said] == [
        "1: much (kim) hid 30 of 50 would-be alerts, more than 20%",
        "2: little (kim) hid 1 of 50 would-be alerts",
        "3: none (kim) hid no alert; is it still needed?",
        "4: over (kim) ended on 2025-02-11 and hides nothing from then on; renew it or take it out",
        "5: to come (kim) begins on 2025-02-20, after the scored days",
        "6: ends within (kim) ended on 2025-02-12 and hides nothing from then on; renew it or take it out",
        "6: ends within (kim) hid no alert; is it still needed?",
    ]
    assert made.notes(days[:0], {}, alerts=0) == ()


GOOD = '[[suppress]]\nentity = "svc-*"\nowner = "kim"\nreason = "jobs"\nuntil = 2025-06-01\n'


@pytest.mark.parametrize(("text", "said"), [
    ("[[suppress", "s.toml: expected TOML: "),
    ("[suppress]\nentity = 'a'", r"s.toml: expected \[\[suppress\]\] entries"),
    ("[[suppres]]\nentity = 'a'", r"expected \[\[suppress\]\] entries and perhaps tell_above, got 'suppres'"),
    ("tell_above = 2\n", "expected tell_above to be a share of the alerts, 0 to 1, got 2"),
    ("tell_above = true\n", "expected tell_above to be a share of the alerts, 0 to 1, got True"),
    (GOOD.replace('owner = "kim"\n', ""), r"s.toml, entry 1 \(jobs\): owner: Field required"),
    (GOOD.replace('"kim"', '"  "'), r"entry 1 \(jobs\): owner: String should have at least 1 character"),
    (GOOD.replace('reason = "jobs"\n', ""), "s.toml, entry 1: reason: Field required"),
    (GOOD.replace("until = 2025-06-01\n", ""), "until: Field required"),
    (GOOD.replace("2025-06-01", '"2025-06-01"'), "until: Input should be a valid date, got '2025-06-01'"),
    (GOOD.replace("2025-06-01", "2025-06-01T10:00:00"), "until: .*got datetime"),
    (GOOD.replace("entity", "user"), "user: unknown key; there are entity, family, feature"),
    (GOOD.replace('entity = "svc-*"\n', ""), "expected a scope, at least one of entity, .*which would hide all"),
    (GOOD + "since = 2025-06-01\n", "until: expected a day after 2025-06-01 and not after 2026-06-01, got 2025-06-01"),
    (GOOD + "since = 2024-05-31\n", "until: expected a day after 2024-05-31 and not after 2025-05-31, got 2025-06-01"),
    (GOOD.replace("2025", "0001"), "until: expected a day after 1970-01-01"),
    (GOOD.replace("2025", "9999") + "since = 9999-07-01\n", "until: expected a day after 9999-07-01"),
])  # fmt: skip
def test_what_is_no_entry_is_refused(text, said):
    """The file, the entry by its number and reason, what was expected, and what came."""
    with pytest.raises(ConfigError, match=said):
        Suppressions.parse(text, "s.toml")


@pytest.mark.parametrize(("given_entry", "said"), [
    ({"family": "tming"}, r"entry 1 \(known\): family: the model has no 'tming', it has .*timing"),
    ({"subject": "vehicel"}, "subject: the model has no 'vehicel', it has .*vehicle"),
    ({"feature": "nite_*"}, "feature: no feature of the model fits 'nite_[*]'; see peculiar describe"),
    ({"team": "North"}, "team: there are no teams; name their column with alerts.team_by"),
    ({"peer_group": "drivers"}, "peer_group: the model's log names no peers"),
])  # fmt: skip
def test_a_scope_that_could_never_match_is_refused(model, scored, given_entry, said):
    """A slip of the pen would hide nothing for a year without a word."""
    with pytest.raises(ConfigError, match=said):
        raise_alerts(model, scored, rules=AlertRules(suppressions=Suppressions((entry(**given_entry),))))


def test_a_file_is_read_and_put_on_record(tmp_path):
    """Name, sum and number of entries; one that is not there, or is no UTF-8, is an error with the way out."""
    file = tmp_path / "s.toml"
    file.write_text("tell_above = 0.5\n" + GOOD)
    found = read_suppressions(file)
    assert (found.tell_above, found.labels, found.entries[0].begins) == (0.5, ("1: jobs",), date(2024, 6, 1))
    again = replace(found, name="other")
    file.write_text("tell_above = 0.5\n" + GOOD.replace("jobs", "others"))
    assert read_suppressions(file).sha256 != found.sha256 == again.sha256
    assert AlertRules(suppressions=found).to_dict()["suppressions"] == {
        "file": str(file), "sha256": found.sha256, "entries": 1,
    }  # fmt: skip
    file.write_bytes(GOOD.replace("jobs", "größe").encode("latin-1"))
    with pytest.raises(ConfigError, match=r"expected suppressions as TOML in UTF-8 at .*s\.toml"):
        read_suppressions(file)
    with pytest.raises(ConfigError, match=r"none\.toml: .*leave out alerts\.suppressions for none"):
        read_suppressions(tmp_path / "none.toml")


def test_the_example_of_the_documentation_is_read(pytestconfig):
    """The suppressions shown there are entries, and the settings beside them name them."""
    page = (pytestconfig.rootpath / "docs" / "how-to" / "alerts.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (shown,) = [Suppressions.parse(block) for block in blocks if "[[suppress]]" in block]
    assert len(shown.entries) >= 3
    (settings,) = [Config.parse(block) for block in blocks if "[alerts]" in block]
    assert settings.alerts.suppressions == "suppressions.toml"
    assert settings.alerts.teams
