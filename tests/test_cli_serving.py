"""The verbs that use a registered model: teams and suppressions, datasets night by night, budgets played through."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.cli import main
from peculiar.serving.dataset import read_scores

ALERTS = """
[alerts]
budget = "4/day"
reasons = 2
team_by = "district"
suppressions = "{suppressions}"

[alerts.teams]
district-01 = "2/day"

[scoring]
late = "1d"
"""
ENTRIES = """
[[suppress]]
entity = "{entity}"
owner = "kim@example.org"
reason = "test card of the workshop"
until = 2025-06-01

[[suppress]]
family = "timing"
owner = "lee@example.org"
reason = "night shift of the winter"
since = 2024-11-01
until = 2025-02-01
"""


def run(*arguments: object) -> object:
    """Call the command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def plain(path) -> dict:
    """Read JSON as a strict reader does, to whom NaN is an error."""
    return json.loads(path.read_text(), parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def last_use(store) -> dict:
    """The last line of the record of use."""
    return json.loads((store.home / "audit.jsonl").read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def city_log(city, tmp_path_factory):
    """The log as a file, one that lacks half of 11 February, and the labels."""
    home = tmp_path_factory.mktemp("log")
    day = city.events["ts"].cast(pa.int64()).to_numpy() // 86_400_000_000
    on = day == (datetime(2025, 2, 11, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    late = on & (np.random.default_rng(1).random(len(on)) < 0.5)
    pq.write_table(city.events, home / "events.parquet")
    pq.write_table(city.events.filter(pa.array(~late)), home / "early.parquet")
    pq.write_table(city.labels, home / "labels.parquet")
    return SimpleNamespace(home=home, events=home / "events.parquet", early=home / "early.parquet")


@pytest.fixture(scope="module")
def scored(trained, city_log):
    """Two days scored with teams, and with a suppression of whoever ranks first; the answer and the figures."""
    home = city_log.home
    given = ("--home", trained.store.home, "--since", "2025-02-10", "--until", "2025-02-12")
    assert run("score", city_log.events, "-o", home / "plain.parquet", "--budget", "4/day", *given).exit_code == 0
    rows = pq.read_table(home / "plain.parquet").sort_by([("score", "descending")])
    who = rows["entity"][0].as_py()
    (home / "suppressions.toml").write_text(ENTRIES.format(entity=who))
    (home / "peculiar.toml").write_text(ALERTS.format(suppressions=home / "suppressions.toml"))
    settings = ("--config", home / "peculiar.toml", "--json", home / "figures.json")
    answer = run("score", city_log.events, "-o", home / "scores.parquet", *settings, *given)
    assert answer.exit_code == 0, answer.output
    use, figures = last_use(trained.store), plain(home / "figures.json")
    return SimpleNamespace(answer=answer, figures=figures, who=who, use=use, given=settings, home=home)


def test_teams_and_suppressions_come_from_the_settings(scored):
    """Each team has its places, whoever is suppressed has none, and the file says who and why; the figures agree."""
    table = pq.read_table(scored.home / "scores.parquet")
    alerts = [row for row in table.to_pylist() if row["alert"]]
    days: dict[tuple, int] = {}
    for row in alerts:
        key = (row["since"].date(), row["team"] == "district-01")
        days[key] = days.get(key, 0) + 1
    assert sorted(days.values()) == [2, 2, 4, 4]
    hidden = [row for row in table.to_pylist() if row["suppressed"]]
    assert {row["entity"] for row in hidden} == {scored.who}
    assert {row["suppressed"] for row in hidden} == {"1: test card of the workshop"}
    assert not any(row["alert"] for row in hidden)
    cases = {row["case"] for row in alerts}
    found = {name: scored.figures[name] for name in ("rows", "alerts", "cases", "suppressed")}
    assert found == {"rows": len(table), "alerts": 12, "cases": len(cases), "suppressed": len(hidden)}


def test_what_was_hidden_and_what_has_ended_is_told(scored):
    """How many alerts each entry took off the list, with its owner; an entry that is over hides nothing and is told."""
    said = " ".join(scored.answer.output.split())
    hidden = scored.figures["suppressed"]
    assert f"1: test card of the workshop (kim@example.org) hid {hidden} of {12 + hidden} would-be alerts" in said
    assert f". {scored.who} on " in said
    assert "of its day; suppressed, 1: test card of the workshop" in said
    assert "2: night shift of the winter (lee@example.org) ended on 2025-02-01 and hides nothing from then on" in said


def test_the_record_names_the_suppressions_by_their_sum(scored):
    """Whoever asks later which list hid somebody can tell."""
    import hashlib

    file = scored.home / "suppressions.toml"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    asked = scored.use["parameters"]
    assert asked["suppressions"] == {"file": str(file), "sha256": sha256, "entries": 2}
    assert (asked["team_by"], asked["teams"]) == ("district", {"district-01": 2})


def test_a_night_takes_in_what_came_late(trained, city_log, scored, tmp_path):
    """A day, then the next with ``late`` of the settings: the day before is scored again, lost alerts are told."""
    out = ("-o", tmp_path / "scores", "--home", trained.store.home, *scored.given[:2])
    first = run("score", city_log.early, "--since", "2025-02-10", "--until", "2025-02-12", *out)
    assert first.exit_code == 0, first.output
    assert "days: 2 new" in first.output
    before = read_scores(tmp_path / "scores")
    night = ("score", city_log.events, "--until", "2025-02-13", *out, "--json", tmp_path / "night.json")
    second = run(*night)
    assert second.exit_code == 0, second.output
    told = plain(tmp_path / "night.json")
    assert [(day["day"], day["state"], day["revision"]) for day in told["days"]] == [
        ("2025-02-11", "changed", 2), ("2025-02-12", "new", 1),
    ]  # fmt: skip
    table = read_scores(tmp_path / "scores")
    gone = {(row["day"], row["entity"]) for row in before.to_pylist() if row["alert"]}
    gone -= {(row["day"], row["entity"]) for row in table.to_pylist() if row["alert"]}
    assert told["withdrawn"] == len(gone) > 0
    assert f"withdrawn: {len(gone)} earlier alerts are none any more" in second.output
    made = [row for row in table.to_pylist() if str(row["day"]) != "2025-02-10"]
    assert told["suppressed"] == sum(row["suppressed"] is not None for row in made)
    assert told["cases"] == len({row["case"] for row in made} - {None})
    third = run(*night, "--late", "0d")
    assert (third.exit_code, plain(tmp_path / "night.json")["days"]) == (0, [])
    again = run(*night, "--day", "2025-02-11")
    assert again.exit_code == 2  # --day and --until
    alone = ("score", city_log.events, *out, "--day", "2025-02-11", "--late", "0d", "--json", tmp_path / "day.json")
    assert run(*alone).exit_code == 0
    assert [(day["day"], day["state"]) for day in plain(tmp_path / "day.json")["days"]] == [("2025-02-11", "kept")]


def test_budget_prints_and_writes_and_is_on_record(trained, tmp_path):
    """Each budget with alerts a day, precision and recall; the JSON has the same figures; no line is too wide."""
    answer = run("budget", "--at", 7, "--home", trained.store.home, "--json", tmp_path / "b.json")
    assert answer.exit_code == 0, answer.output
    figures = plain(tmp_path / "b.json")
    seven = next(each for each in figures["settings"] if (each["by"], each["setting"]) == ("budget", 7))
    (line,) = [line for line in answer.output.splitlines() if line.startswith("7 a day")]
    assert f"{seven['precision']['value']:.0%} (" in line
    assert f"{seven['recall']['value']:.0%} (" in line
    assert f" {seven['alerts']:,.1f} " in line
    assert max(map(len, answer.output.splitlines())) <= 100
    use = last_use(trained.store)
    assert (use["verb"], use["parameters"]["budgets"]) == ("budget", [7])


def test_budget_of_a_team_on_later_scores(trained, scored, city_log, tmp_path):
    """A file of scores with labels that name events; windows that are hidden take a place last."""
    labels = ("--labels", city_log.home / "labels.parquet", "--events", city_log.events)
    given = (scored.home / "scores.parquet", "--home", trained.store.home, "--json", tmp_path / "b.json")
    answer = run("budget", *given, *labels)
    assert answer.exit_code == 0, answer.output
    whole = plain(tmp_path / "b.json")
    assert (whole["days"], whole["known"], whole["truth"]) == (2, whole["windows"], "labels")
    assert run("budget", *given, *labels, "--team", "district-01").exit_code == 0
    assert 0 < plain(tmp_path / "b.json")["windows"] < whole["windows"]


@pytest.mark.parametrize(("arguments", "told"), [
    ("budget --labels {home}/labels.parquet", "expected SCORES with --labels, got labels alone"),
    ("budget --team North", "expected SCORES with --team, got a team alone"),
    ("budget {home}/labels.parquet", "expected scores as peculiar score writes them, found no "),
    ("budget {home}/scores.parquet --team North", "expected a team of the scores (district-00, "),
    ("budget --model @nobody", "there is no model models:/peculiar@nobody"),
    ("score {home}/events.parquet -o s.parquet --config lost.toml", "expected suppressions as TOML in UTF-8 at lost/s"),
    ("score {home}/events.parquet -o s.parquet --config bad.toml", "bad_s.toml, entry 1 (why): owner: Field required"),
    ("score {home}/events.parquet -o s.parquet --config odd.toml", "odd_s.toml, entry 1 (why): family: the model has"),
    ("score {home}/events.parquet -o s.parquet --config team.toml", "expected alerts.team_by to name a dimension"),
])  # fmt: skip
def test_what_does_not_fit_is_one_line(trained, scored, monkeypatch, tmp_path, arguments, told):
    """Exit code 2, what was expected and the way out, and nothing written."""
    monkeypatch.chdir(tmp_path)
    for name, file in (("lost", "lost/s.toml"), ("bad", "bad_s.toml"), ("odd", "odd_s.toml")):
        (tmp_path / f"{name}.toml").write_text(f'[alerts]\nsuppressions = "{file}"\n')
    (tmp_path / "team.toml").write_text('[alerts]\nteam_by = "depot"\n')
    entry = '[[suppress]]\nfamily = "tming"\nreason = "why"\nuntil = 2025-06-01\n'
    (tmp_path / "bad_s.toml").write_text(entry)
    (tmp_path / "odd_s.toml").write_text(entry + 'owner = "kim"\n')
    answer = run(*arguments.format(home=scored.home).split(), "--home", trained.store.home)
    assert answer.exit_code == 2, answer.output
    assert answer.stderr.startswith(f"peculiar: {told}"), answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "s.parquet").exists()
