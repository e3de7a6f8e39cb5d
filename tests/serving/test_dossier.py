"""The dossier: what a newcomer needs to check one window, and a line in the record of use."""

from __future__ import annotations

import io
import json
import math
from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from rich.console import Console

from peculiar.audit import verify
from peculiar.cli import main
from peculiar.errors import SchemaError
from peculiar.features.output import write_parquet
from peculiar.serving.alerts import AlertRules
from peculiar.serving.dossier import DossierRequest, explain_entity
from peculiar.serving.dossier_listing import dossier_listing
from peculiar.serving.scoring import score_batch
from peculiar.serving.suppressions import Suppression, Suppressions
from peculiar.training.references import load


@pytest.fixture(scope="module")
def rider(city):
    """Who rode fifty buses, and on which day."""
    row = next(row for row in city.labels.to_pylist() if row["scenario"] == "fifty_buses")
    return row["entity"], row["from"]


@pytest.fixture(scope="module")
def dossier(trained, city, rider):
    """The rider's dossier."""
    return explain_entity(_asked(city, *rider), trained.store)


def _asked(city, name: str, day: datetime, **more: object) -> DossierRequest:
    at = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a time of the log's own zone
    return DossierRequest(name, at, city.events, "models:/peculiar@champion", labels=city.labels, **more)


def _printed(dossier) -> str:
    into = io.StringIO()
    console = Console(width=100, file=into)
    for part in dossier_listing(dossier):
        console.print(part)
    return into.getvalue()


def test_fifty_buses_are_told_with_all_that_a_person_needs(dossier, rider):
    """Who, when, how odd, what was seen beside what is usual, the events, what speaks against it, and what to do."""
    text = _printed(dossier)
    assert rider[0] in text.splitlines()[0]
    assert f"{rider[1].day} {rider[1]:%B %Y}" in text.splitlines()[0]
    for words in (
        "a lead to check, not a verdict",
        "own usual",
        "99 of 100",
        "What speaks against",
        "peculiar feedback",
    ):
        assert words in text
    assert any(math.isclose(reason.seen, 50.0) for reason in dossier.lead.reasons)
    assert f"the window has {dossier.lead.events.window}" in text
    assert dossier.model in text
    assert dossier.plan in text


def test_it_reads_in_a_pipe(dossier):
    """No line is longer than 100 signs, and no sign is a control code."""
    text = _printed(dossier)
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_the_numbers_are_those_of_scoring(dossier, trained, city, rider):
    """Score and rank are those that the day's batch has."""
    model = load(trained.store, "models:/peculiar@champion").model
    since = int(rider[1].timestamp() // 86_400 * 86_400_000_000 / 1)
    batch = score_batch(model, city.events, labels=city.labels, since=since, until=since + 86_400_000_000, explain=0)
    row = next(row for row in batch.table.to_pylist() if row["entity"] == rider[0])
    assert (row["score"], row["rank"]) == (dossier.lead.standing.score, dossier.lead.standing.rank)
    assert dossier.lead.standing.among == len(batch.vectors)


def test_each_look_is_on_record(trained, city, rider):
    """The record of use names the verb, whose behaviour was looked at, the window and the model; the chain holds."""
    trail = trained.store.home / "audit.jsonl"
    before = len(trail.read_text().splitlines())
    explain_entity(_asked(city, *rider), trained.store)
    lines = trail.read_text().splitlines()
    assert len(lines) == before + 1
    use = json.loads(lines[-1])
    assert (use["verb"], use["parameters"]["entity"], use["rows"]) == ("explain", rider[0], 1)
    assert use["model"] == "peculiar"
    verify(trail)


def test_an_alert_is_one_by_the_rules_that_the_day_was_scored_by(trained, city, rider, tmp_path):
    """With the budget given to `score`, `explain` says of each rank what `score` made of it, at the same line."""
    write_parquet(city.events, tmp_path / "events.parquet")
    write_parquet(city.labels, tmp_path / "labels.parquet")
    day = f"{rider[1]:%Y-%m-%d}"
    given = ["--home", str(trained.store.home), "--labels", str(tmp_path / "labels.parquet"), "--budget", "4/day"]
    scores, told = tmp_path / "s.parquet", tmp_path / "d.json"
    asked = ["score", str(tmp_path / "events.parquet"), "-o", str(scores), "--day", day, "--reasons", "0", *given]
    answer = CliRunner().invoke(main, asked)
    assert answer.exit_code == 0, answer.output
    rows = sorted(pq.read_table(scores).to_pylist(), key=lambda row: row["rank"])
    lowest = min(row["score"] for row in rows if row["alert"])
    assert [row["pick"] for row in rows[3:5]] == ["rank", None]
    for row in rows[3:5]:
        asked = ["explain", row["entity"], "--at", day, "--events", str(tmp_path / "events.parquet"), *given]
        answer = CliRunner().invoke(main, [*asked, "--json", str(told)])
        assert answer.exit_code == 0, answer.output
        standing = json.loads(told.read_text())["standing"]
        assert (standing["pick"], standing["line"]) == (row["pick"] or "", lowest)
        assert f": {'an' if row['alert'] else 'no'} alert" in answer.output
        assert "the rule: 4 alerts a day" in answer.output
        assert ("would not have been an alert" in answer.output) <= bool(row["alert"])


def test_teams_and_suppressions_of_the_settings_count(trained, city, rider, tmp_path):
    """A team without places has no alerts, and who is suppressed is told to be, by which entry; both on record."""
    row = _the_riders(trained, city, rider)
    by_team = AlertRules(budget=5, team_by="district", teams={row["team"]: 0})
    dossier = explain_entity(_asked(city, *rider, rules=by_team), trained.store)
    assert (dossier.lead.standing.team, dossier.lead.standing.pick) == (row["team"], "")
    assert f"the rule: 0 alerts a day for team {row['team']}" in _printed(dossier)
    assert by_team.told("elsewhere") == "5 alerts a day for all who are of no team with its own"
    entry = Suppression(entity=rider[0], owner="kim", reason="test card", until=rider[1].date() + timedelta(days=3))
    dossier = explain_entity(_asked(city, *rider, rules=AlertRules(suppressions=Suppressions((entry,)))), trained.store)
    assert dossier.lead.standing.pick == ""
    assert "taken off the list by suppression 1: test card" in _printed(dossier)
    use = json.loads((trained.store.home / "audit.jsonl").read_text().splitlines()[-1])
    assert use["parameters"]["rules"]["budget"] == 100
    assert "suppressions" in use["parameters"]["rules"]


def _the_riders(trained, city, rider) -> dict:
    """The row of the rider's day, by teams."""
    model = load(trained.store, "models:/peculiar@champion").model
    since = int(rider[1].timestamp() // 86_400 * 86_400_000_000)
    rules = AlertRules(budget=5, team_by="district")
    until = since + 86_400_000_000
    batch = score_batch(model, city.events, labels=city.labels, since=since, until=until, rules=rules, explain=0)
    row = next(row for row in batch.table.to_pylist() if row["entity"] == rider[0])
    assert row["pick"] == "rank"
    return row


def test_an_unknown_name_gets_near_ones(trained, city, rider):
    """Nothing is explained, nothing goes on record as explained, and the nearest names are told."""
    wrong = rider[0][:-1] + "x"
    with pytest.raises(SchemaError, match=rf"expected events of '{wrong}', found none; did you mean"):
        explain_entity(_asked(city, wrong, rider[1]), trained.store)


def test_a_day_without_events_gets_the_nearest_ones(trained, city, rider):
    """Days on which it did something are listed, nearest first found, told in order; days beyond the log likewise."""
    days = {row["ts"].date() for row in city.events.to_pylist() if row["user_id"] == rider[0]}
    for asked in (datetime(2025, 1, 1), datetime(2031, 1, 1)):  # noqa: DTZ001 - as above
        near = sorted(sorted(days, key=lambda day, at=asked: abs((day - at.date()).days))[:5])
        listed = ", ".join(map(str, near))
        with pytest.raises(SchemaError, match=f"the nearest days are {listed}"):
            explain_entity(_asked(city, rider[0], asked), trained.store)


def test_the_command_prints_and_writes_json(trained, city, rider, tmp_path):
    """`peculiar explain` prints the dossier; its JSON has no NaN; without events the way out is told."""
    write_parquet(city.events, tmp_path / "events.parquet")
    given = ["explain", rider[0], "--at", f"{rider[1]:%Y-%m-%d}", "--home", str(trained.store.home)]
    answer = CliRunner().invoke(
        main, [*given, "--events", str(tmp_path / "events.parquet"), "--json", str(tmp_path / "d.json")]
    )
    assert answer.exit_code == 0, answer.output
    assert "not a verdict" in answer.output
    told = json.loads((tmp_path / "d.json").read_text(), parse_constant=pytest.fail)
    assert told["entity"] == rider[0]
    assert len(told["history"]["days"]) == 29
    assert told["events"][0].keys() >= {"at", "id", "action", "amount", "reasons"}
    refused = CliRunner().invoke(main, given)
    assert (refused.exit_code, "expected --events" in refused.output) == (2, True)
