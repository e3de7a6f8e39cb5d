"""The command line: every verb explains itself, says what came of it, and tells an error in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar import __version__
from peculiar.cli import main
from peculiar.features.families import FAMILIES
from peculiar.features.family import Feature

VERBS = (
    "simulate",
    "train",
    "score",
    "features",
    "describe",
    "check-leaks",
    "ui",
    "demo",
    "feedback",
    "compare",
    "promote",
    "budget",
    "explain",
    "monitor",
    "review",
    "store",
    "store add",
    "store show",
)
SETTINGS = """
[events]
time_zone = "Europe/Berlin"

[training]
detectors = ["lightgbm"]
trials = 0
seed = 5

[lightgbm]
rounds = 60

[alerts]
budget = "10/day"

[store]
experiment = "cards"
model = "card_watch"
"""


def run(*arguments: object) -> object:
    """Call the command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def command_of(verb: str):
    """The command of a verb, or of a verb within one."""
    command = main
    for word in verb.split():
        command = command.commands[word]
    return command


def strict_json(path) -> dict:
    """Read JSON as a strict reader does, to whom NaN is an error."""

    def refuse(constant):
        message = f"{constant} is not JSON"
        raise ValueError(message)

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A folder in which simulate, train and score ran one after another; the three answers beside it."""
    home = tmp_path_factory.mktemp("worked")
    (home / "cards.toml").write_text(SETTINGS)
    sizes = ("--events", 20_000, "--users", 300, "--days", 42, "--seed", 0)
    answers = [run("simulate", *sizes, "-o", home, "--json", home / "figures" / "simulate.json")]
    given = ("--labels", home / "labels.parquet", "--config", home / "cards.toml", "--home", home)
    answers.append(run("train", home / "events.parquet", *given, "--json", home / "figures" / "train.json"))
    chosen = ("--model", "models:/card_watch@champion", "--budget", "3/day", "--since", "2025-02-10", "--reasons", 2)
    paths = ("-o", home / "scores.parquet", "--home", home, "--json", home / "figures" / "score.json")
    answers.append(run("score", home / "events.parquet", *chosen, *paths))
    for answer in answers:
        assert answer.exit_code == 0, answer.output
    return home, answers


def test_the_verbs_are_those_that_are_promised():
    """Others rely on these names; a verb that comes or goes is a decision, not an accident."""
    assert sorted(main.commands) == sorted(verb for verb in VERBS if " " not in verb)
    assert sorted(main.commands["store"].commands) == ["add", "show"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_verb_explains_itself(verb, flag):
    """The help of a verb begins with its sentence and names each of its options."""
    answer, command = run(*verb.split(), flag), command_of(verb)
    assert answer.exit_code == 0
    assert command.help.splitlines()[0].split(";")[0][:50] in " ".join(answer.output.split())
    for option in command.params:
        assert all(name in answer.output for name in option.opts if name.startswith("--"))


def test_the_command_explains_itself():
    """`peculiar --help` names every verb and that a score is no verdict; `--version` is the package's."""
    answer = run("--help")
    assert "never a verdict" in answer.output
    assert all(f"  {verb} " in answer.output for verb in main.commands)
    assert run("--version").output == f"peculiar, version {__version__}\n"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in {"ui", "store"}])
def test_figures_can_be_had_as_json(verb):
    """Every verb that computes something takes `--json`."""
    assert "--json" in [name for option in command_of(verb).params for name in option.opts]


def test_simulate_writes_a_labelled_log(worked):
    """The files hold what was asked for, and the figures say so."""
    home, (answer, _, _) = worked
    figures = strict_json(home / "figures" / "simulate.json")
    events, labels = pq.read_table(home / "events.parquet"), pq.read_table(home / "labels.parquet")
    assert figures["rows"] == len(events) == 20_000
    assert set(labels["scenario"].to_pylist()) == set(figures["scenarios"])
    assert f"20,000 events of {figures['users']} users, 42 days" in answer.output


def test_train_follows_the_settings(worked):
    """Detectors, seed, budget, names in MLflow and the zone come from the file; the figures tell the champion."""
    home, (_, answer, _) = worked
    figures = strict_json(home / "figures" / "train.json")
    assert list(figures["candidates"]) == ["lightgbm"]
    assert figures["candidates"]["lightgbm"]["aliases"] == ["champion"]
    assert figures["champion"]["name"] == "card_watch"
    assert 0.0 < figures["candidates"]["lightgbm"]["test/average_precision"] <= 1.0
    assert "roles guessed from names and types" in answer.output
    assert "card_watch version 1 @champion: lightgbm; average_precision 0." in answer.output


def test_a_time_zone_holds_for_guessed_roles_too(worked):
    """Naming only the zone leaves the columns to be guessed, but days begin at that zone's midnight."""
    home, (_, answer, _) = worked
    assert "time_zone   Europe/Berlin" in answer.output
    split = strict_json(home / "figures" / "train.json")["split"]
    assert {name: at // 3_600_000_000 % 24 for name, at in split.items()} == dict.fromkeys(split, 23)


def test_score_writes_what_it_tells(worked):
    """Rows, alerts and the model in the figures are those of the file; the oddest are told with reasons."""
    home, (_, _, answer) = worked
    figures, scores = strict_json(home / "figures" / "score.json"), pq.read_table(home / "scores.parquet")
    alerts = scores.filter(scores["alert"])
    assert (figures["rows"], figures["alerts"], figures["model"]) == (len(scores), len(alerts), "card_watch/1")
    assert max(alerts["rank"].to_pylist()) == 3
    assert max(len(reasons) for reasons in alerts["reasons"].to_pylist()) == 2
    assert min(scores["since"].to_pylist()).isoformat() == "2025-02-09T23:00:00+00:00"
    top = scores.sort_by([("score", "descending")]).slice(0, 1).to_pylist()[0]
    assert f"  1. {top['entity']} on " in answer.output
    assert all(reason in answer.output for reason in top["reasons"])


def test_features_writes_what_it_tells(worked, tmp_path):
    """Rows, features and the plan in the figures are those of the file; whose population it was is said."""
    home, _ = worked
    given = ("--config", home / "cards.toml", "--since", "2025-02-10", "--json", tmp_path / "figures.json")
    answer = run("features", home / "events.parquet", "-o", tmp_path / "vectors.parquet", *given)
    assert answer.exit_code == 0, answer.output
    figures, table = strict_json(tmp_path / "figures.json"), pq.read_table(tmp_path / "vectors.parquet")
    assert figures["rows"] == len(table)
    assert sum(figures["features"].values()) == len(table.column_names) - 3
    assert table.schema.metadata[b"peculiar.plan_fingerprint"].decode() == figures["plan"]
    assert min(table["since"].to_pylist()).isoformat() == "2025-02-09T23:00:00+00:00"
    assert figures["events_per_second"] == pytest.approx(20_000 / figures["seconds"])
    assert f"population: this log itself; plan {figures['plan']}" in answer.output
    assert f"{len(table):,} vectors of {figures['entities']} entities" in answer.output


def test_score_goes_on_in_a_dataset(worked, tmp_path):
    """A day at a time, then the rest; what is there is left alone, and a wrong number of days is an error."""
    home, _ = worked
    chosen = ("--model", "models:/card_watch@champion", "--budget", "3/day", "--config", home / "cards.toml")
    given = ("score", home / "events.parquet", *chosen, "--home", home, "-o", tmp_path / "scores")
    assert run(*given, "--day", "2025-02-10").exit_code == 0
    answer = run(*given, "--until", "2025-02-12", "--late", "1d", "--json", tmp_path / "figures.json")
    assert answer.exit_code == 0, answer.output
    told = strict_json(tmp_path / "figures.json")
    assert [(day["day"], day["state"]) for day in told["days"]] == [("2025-02-10", "kept"), ("2025-02-11", "new")]
    assert "days: 1 kept, 1 new" in answer.output
    assert run(*given, "--late", "two").exit_code == 2
    assert run(*given, "--day", "2025-02-10", "--since", "2025-02-10").exit_code == 2


def test_features_of_a_model_are_those_it_scores(worked, tmp_path):
    """With ``--model`` plan and population are the model's, and it has windows of its own."""
    home, _ = worked
    model = ("--model", "models:/card_watch@champion", "--home", home)
    events = home / "events.parquet"
    answer = run("features", events, "-o", tmp_path / "v.parquet", *model, "--json", tmp_path / "figures.json")
    assert answer.exit_code == 0, answer.output
    assert strict_json(tmp_path / "figures.json")["plan"] == strict_json(home / "figures" / "train.json")["plan"]
    assert "population: the model's training" in answer.output
    last = json.loads((home / "audit.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    rows = strict_json(tmp_path / "figures.json")["rows"]
    assert (last["verb"], last["rows"], last["output"]) == ("features", rows, str(tmp_path / "v.parquet"))
    assert last["sha256"] == strict_json(home / "figures" / "train.json")["champion"]["sha256"]
    answer = run("features", events, "-o", tmp_path / "w.parquet", *model, "--every", "1h")
    assert answer.exit_code == 2
    assert "expected either --model, which has windows of its own, or --every and --by" in answer.stderr


@pytest.mark.long
def test_describe_tells_logs_vectors_and_models(worked, tmp_path):
    """A log, the vectors made of it, and a model's training are told by the same features; the page is written."""
    home, _ = worked
    events, vectors, config = home / "events.parquet", tmp_path / "vectors.parquet", home / "cards.toml"
    assert run("features", events, "-o", vectors, "--config", config).exit_code == 0
    sources = ([events, "--config", config], [vectors, "-o", tmp_path / "page"],
               ["--model", "models:/card_watch@champion", "--home", home])  # fmt: skip
    figures = []
    for source in sources:
        answer = run("describe", *source, "--json", tmp_path / "figures.json")
        assert answer.exit_code == 0, answer.output
        figures.append(strict_json(tmp_path / "figures.json"))
        assert "events_count_1d [events]" in answer.output
        assert "Number of events in the last 1d." in answer.output
    assert figures[0]["features"] == figures[1]["features"]
    assert len(figures[2]["features"]) == strict_json(home / "figures" / "train.json")["features"]
    pictures = {f"{family}.png" for family in figures[1]["families"]}
    assert {path.name for path in (tmp_path / "page").iterdir()} == {"index.html", *pictures}


def test_check_leaks_finds_none(worked, tmp_path):
    """The families that come with the package pass on the simulated log, and what was compared is told."""
    home, _ = worked
    given = ("--config", home / "cards.toml", "--rows", 40, "--seed", 1, "--json", tmp_path / "figures.json")
    answer = run("check-leaks", home / "events.parquet", *given)
    assert answer.exit_code == 0, answer.output
    figures = strict_json(tmp_path / "figures.json")
    assert (figures["ok"], figures["leaks"], figures["seed"]) == (True, [], 1)
    assert f"compared {figures['vectors']} vectors of {figures['features']} features" in answer.output


def test_labels_make_risk_and_are_checked_on_their_own_clock(worked, tmp_path):
    """With labels vectors know risk, and the check spoils what became known later, too."""
    home, _ = worked
    events, given = home / "events.parquet", ("--labels", home / "labels.parquet", "--config", home / "cards.toml")
    answer = run("features", events, "-o", tmp_path / "v.parquet", *given)
    assert answer.exit_code == 0, answer.output
    assert "own_trouble_count_28d" in pq.read_schema(tmp_path / "v.parquet").names
    answer = run("check-leaks", events, *given, "--rows", 30, "--json", tmp_path / "figures.json")
    assert answer.exit_code == 0, answer.output
    figures = strict_json(tmp_path / "figures.json")
    assert (figures["ok"], figures["clocks"]) == (True, ["at", "known_at"])


def test_budget_and_reasons_are_those_of_the_settings(worked, tmp_path):
    """What the settings say of alerts holds unless an option says otherwise."""
    home, _ = worked
    settings = tmp_path / "alerts.toml"
    settings.write_text('[alerts]\nbudget = "2/day"\nreasons = 1\n')
    given = (home / "events.parquet", "--model", "models:/card_watch@champion", "--home", home, "--config", settings,
             "--since", "2025-02-12", "-o", tmp_path / "s.parquet")  # fmt: skip
    assert run("score", *given).exit_code == 0
    told = pq.read_table(tmp_path / "s.parquet")
    assert max(told["rank"].filter(told["alert"]).to_pylist()) == 2
    assert {len(reasons) for reasons in told["reasons"].to_pylist() if reasons} == {1}
    assert run("score", *given, "--reasons", 3, "--budget", "1/day").exit_code == 0
    told = pq.read_table(tmp_path / "s.parquet")
    assert max(told["rank"].filter(told["alert"]).to_pylist()) == 1
    assert max(len(reasons) for reasons in told["reasons"].to_pylist() if reasons) == 3


@dataclass(frozen=True)
class Foresight:
    """A family that knows how many events are still to come."""

    name: ClassVar[str] = "foresight"
    version: ClassVar[int] = 1

    def features(self, shape, before):  # noqa: ARG002
        """One."""
        return (Feature(f"foresight_{shape.window}", "foresight", "events", "To come.", "never null", ""),)

    def fill(self, columns, context):
        """Events of the entity after the window."""
        columns[0] = context.timeline.first[context.snapshots.entity + 1] - context.snapshots.stop


def test_check_leaks_names_the_leak_and_ends_with_1(worked, tmp_path, monkeypatch):
    """A family that knows the future is named on standard error; 1 tells it from a check that could not be made."""
    home, _ = worked
    monkeypatch.setitem(FAMILIES, "foresight", Foresight)
    given = ("--every", "event", "--rows", 20, "--json", tmp_path / "figures.json")
    answer = run("check-leaks", home / "events.parquet", *given)
    assert answer.exit_code == 1
    assert "features know of the future: foresight_1d (foresight)" in answer.stderr
    leaks = strict_json(tmp_path / "figures.json")["leaks"]
    assert [(leak["feature"], leak["family"]) for leak in leaks] == [("foresight_1d", "foresight")]


@pytest.mark.parametrize("windows", ['by = "device"', pytest.param('every = "event"', marks=pytest.mark.long)])
def test_windows_that_end_with_an_event_go_all_the_way(tmp_path, windows):
    """Features, training and scoring take them from the settings, and every row names its event."""
    settings = tmp_path / "cards.toml"
    training = '[training]\ndetectors = ["isolation_forest"]\ntrials = 0\n'
    few = "[isolation_forest]\ntrees = 20\ngroup_trees = 2\n"
    settings.write_text(f"{training}\n{few}\n[windows]\n{windows}\n")
    assert run("simulate", "--events", 6_000, "--users", 150, "--days", 42, "-o", tmp_path).exit_code == 0
    events, given = tmp_path / "events.parquet", ("--config", settings)
    answers = [
        run("features", events, "-o", tmp_path / "vectors.parquet", *given),
        run("train", events, *given, "--home", tmp_path),
        run("score", events, "-o", tmp_path / "scores.parquet", "--home", tmp_path, "--since", "2025-02-10"),
    ]
    assert [answer.exit_code for answer in answers] == [0, 0, 0], answers[-1].output
    ids = set(pq.read_table(events)["event_id"].to_pylist())
    for name in ("vectors", "scores"):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert table.column_names[3] == "event_id"
        assert set(table["event_id"].to_pylist()) <= ids
        keys = zip(*(table[key].to_pylist() for key in ("entity", "as_of", "event_id")), strict=True)
        assert len(set(keys)) == len(table) > 0


def test_the_seed_of_the_command_line_wins(worked, tmp_path):
    """`--seed` overrides the file's seed: the same seed gives the same model, another another."""
    home, _ = worked
    wanted = strict_json(home / "figures" / "train.json")["best"]["sha256"]
    found = {}
    for seed in (5, 6):
        given = ("--labels", home / "labels.parquet", "--config", home / "cards.toml", "--home", home)
        answer = run("train", home / "events.parquet", *given, "--seed", seed, "--json", tmp_path / f"{seed}.json")
        assert answer.exit_code == 0, answer.output
        found[seed] = strict_json(tmp_path / f"{seed}.json")["best"]["sha256"]
    assert found[5] == wanted
    assert found[6] != wanted


def test_a_metric_that_has_no_value_is_null_in_json(worked, tmp_path):
    """Where the later period holds no confirmed trouble there is no average precision; JSON has null for that."""
    events = [f"u{n % 5},2025-01-{1 + n % 25:02d}T0{n % 9}:00:00Z,{n}" for n in range(200)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,ts,amount", *events]))
    (tmp_path / "labels.csv").write_text("user_id,from,to\nu1,2025-01-02,2025-01-03\n")
    (tmp_path / "cards.toml").write_text(SETTINGS + "\n[windows]\nhorizon = '14d'\n")
    given = ("--labels", tmp_path / "labels.csv", "--config", tmp_path / "cards.toml", "--home", worked[0])
    answer = run("train", tmp_path / "events.csv", *given, "--json", tmp_path / "figures.json")
    assert answer.exit_code == 0, answer.output
    metrics = strict_json(tmp_path / "figures.json")["candidates"]["lightgbm"]
    assert metrics["test/average_precision"] is None
    assert metrics["test/precision_at_budget"] == 0.0


@pytest.fixture
def folder(worked, tmp_path, monkeypatch):
    """An own folder with a small log and files that are not what their names say; the store is one that is there."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{worked[0] / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.csv").write_text("user_id,ts\nann,2025-01-01T08:00:00Z\nbob,2025-01-02T08:00:00Z\n")
    (tmp_path / "labels.csv").write_text("who,when\nann,soon\n")
    (tmp_path / "slip.toml").write_text("[windows]\nevry = '1h'\n")
    (tmp_path / "latin.toml").write_bytes("[store]\nmodel = 'größe'\n".encode("latin-1"))
    (tmp_path / "broken.parquet").write_text("not Parquet")
    pq.write_table(pa.table({"colour": ["red"]}), tmp_path / "other.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("train none.parquet", "expected files of events at 'none.parquet', found none"),
        ("train broken.parquet", "broken.parquet: cannot be read as parquet"),
        ("train other.parquet", "other.parquet: cannot guess the entity"),
        ("train events.csv --config none.toml", "expected settings at none.toml, found no file"),
        ("train events.csv --config slip.toml", "slip.toml: unknown key windows.evry; did you mean 'every'?"),
        ("train events.csv --config latin.toml", "latin.toml: expected TOML in UTF-8"),
        ("train events.csv --labels labels.csv", "labels.csv: expected a column event_id"),
        ("train events.csv --labels broken.parquet", "broken.parquet: cannot be read as parquet"),
        ("score events.csv -o scores.parquet", "there is no model models:/peculiar@champion in sqlite:"),
        ("score events.csv -o scores.parquet --model nowhere", "expected a model such as models:/peculiar@champion"),
        ("score events.csv -o scores.parquet --budget lots", "expected a budget such as '100/day', got 'lots'"),
        ("features none.parquet -o v.parquet", "expected files of events at 'none.parquet', found none"),
        ("features events.csv -o v.parquet --by colour", "expected windows by one of"),
        ("describe", "expected EVENTS, a file of vectors, or --model, got none of them"),
        ("describe broken.parquet", "broken.parquet: cannot be read as parquet"),
        ("simulate --events 100 --users 2000 -o log", "expected at least one event a user and 20 a day, got 100"),
    ],
)
def test_an_error_of_ours_is_one_line(folder, arguments, told):
    """What a user can get wrong ends with exit code 2 and one line that says what was expected and what came."""
    answer = run(*arguments.split())
    assert answer.exit_code == 2, answer.exception
    assert answer.stderr.startswith(f"peculiar: {told}")
    assert answer.stderr.count("\n") == 1
    assert not (folder / "scores.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("train", "Missing argument 'EVENTS'"),
        ("score events.csv", "Missing option '-o' / '--output'"),
        ("score events.csv -o s.parquet --since soon", "Invalid value for '--since'"),
        ("train events.csv --seed -1", "Invalid value for '--seed'"),
        ("train events.csv --labels none.csv", "Path 'none.csv' does not exist"),
        ("ui --port 0", "Invalid value for '--port'"),
        ("demo --events 5", "Invalid value for '--events'"),
        ("features events.csv", "Missing option '-o' / '--output'"),
        ("features events.csv -o v.parquet --every 2d", "Invalid value for '--every'"),
        ("check-leaks events.csv --rows 0", "Invalid value for '--rows'"),
        ("trian events.csv", "No such command 'trian'"),
    ],
)
def test_a_wrong_argument_is_named(folder, arguments, told):
    """An argument that cannot be is named before anything is read or written."""
    before = sorted(folder.iterdir())
    answer = run(*arguments.split())
    assert answer.exit_code == 2
    assert told in answer.stderr
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("command", [["-m", "peculiar.cli"], ["-c", "from peculiar.cli import main; main()"]])
def test_a_shell_sees_the_error_and_no_traceback(folder, command):
    """In a process of its own, too: exit code 2, the line on standard error, nothing on standard output."""
    done = subprocess.run(
        [sys.executable, *command, "train", "none.parquet"],
        check=False, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("peculiar: expected files of events at 'none.parquet', found none")
    assert done.stderr.count("\n") == 1
