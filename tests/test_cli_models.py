"""`peculiar compare` and `peculiar promote` from the command line, on a real store."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.audit import verify
from peculiar.cli import main
from peculiar.training.registry import by_alias, champion
from peculiar.training.store import open_store

RULES = """
[alerts]
budget = "10/day"

[training]
trials = 0

[isolation_forest]
trees = 30
group_trees = 3

[promotion]
metric = "none"
calibrated = false
most_alert_change = {most}
"""


def run(*arguments: object) -> object:
    """Call the command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def plain(path) -> dict:
    """Read JSON; a NaN is an error."""
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A simulated log and a store in which both detectors were trained on it: versions 1 and 2."""
    home = tmp_path_factory.mktemp("gate")
    for name, most in (("lenient", 1.0), ("strict", 0.0)):
        (home / f"{name}.toml").write_text(RULES.format(most=most))
    assert run("simulate", "--events", 20_000, "--users", 300, "--days", 42, "-o", home).exit_code == 0
    given = ("--labels", home / "labels.parquet", "--config", home / "lenient.toml", "--home", home)
    answer = run("train", home / "events.parquet", *given)
    assert answer.exit_code == 0, answer.output
    store = open_store(home)
    now = champion(store).number
    return SimpleNamespace(home=home, store=store, champion=now, other="2" if now == "1" else "1")


def test_compare_tells_and_logs_and_writes(worked):
    """The terminal, the run in MLflow and the JSON say the same; no line is wider than 100 columns."""
    home = worked.home
    answer = run("compare", "@champion", worked.other, "--home", home, "--limit", 3, "--json", home / "compare.json")
    assert answer.exit_code == 0, answer.output
    figures = plain(home / "compare.json")
    assert figures["verdict"].split(":")[0] in " ".join(answer.output.split())
    assert max(len(line) for line in answer.stdout.splitlines()) <= 100
    assert (figures["first"], figures["second"]) == (f"peculiar/{worked.champion}", f"peculiar/{worked.other}")
    assert (figures["budget"], figures["alone"]) == (10, [0, 0])
    logged = worked.store.client.get_run(figures["run_id"])
    assert logged.data.tags["peculiar.role"] == "compare"
    assert logged.data.metrics["compare/jaccard"] == figures["jaccard"]
    assert len(logged.inputs.model_inputs) == 2
    there = {each.path for folder in ("plots", "tables") for each in
             worked.store.client.list_artifacts(figures["run_id"], folder)}  # fmt: skip
    assert {"plots/compare.png", "plots/overlap_by_week.png", "tables/appeared.json", "tables/compare.json"} <= there


def test_the_same_events_can_be_scored_with_both(worked):
    """With `--events` the windows are those of the days asked for, judged by the labels given."""
    home = worked.home
    given = ("--events", home / "events.parquet", "--labels", home / "labels.parquet")
    days = ("--since", "2025-02-01", "--until", "2025-02-04", "--budget", "3/day")
    answer = run("compare", "1", "peculiar/2", *given, *days, "--home", home, "--json", home / "fresh.json")
    assert answer.exit_code == 0, answer.output
    figures = plain(home / "fresh.json")
    assert (figures["from"], figures["until"], figures["budget"]) == ("2025-02-01", "2025-02-04", 3)
    assert figures["confirmed"] is not None
    assert figures["shared"] + len(figures["appeared"]) == 9
    told = ("--model", "models:/peculiar/2", "--labels", home / "labels.parquet", "--reasons", 0, "--home", home)
    scored = run("score", home / "events.parquet", *told, *days, "-o", home / "scores.parquet")
    assert scored.exit_code == 0, scored.output
    scores = pq.read_table(home / "scores.parquet").to_pylist()
    told = {(row["entity"], row["day"]): row["second_score"] for row in figures["appeared"] + figures["disappeared"]}
    mine = {(row["entity"], f"{row['since']:%Y-%m-%d}"): row["score"] for row in scores}
    assert told
    assert told == {key: pytest.approx(mine[key]) for key in told}


def test_labels_without_events_are_refused(worked):
    """Labels and days belong to events; alone they would be ignored, so they are an error."""
    answer = run("compare", "1", "2", "--since", "2025-02-01", "--home", worked.home)
    assert answer.exit_code == 2
    assert "expected --events with --labels, --since or --until" in answer.output


def test_a_version_that_is_not_there_is_told(worked):
    """One line says which versions there are; the command ends with 2."""
    answer = run("promote", "9", "--home", worked.home)
    assert (answer.exit_code, len(answer.output.splitlines())) == (2, 1)
    assert "there is no model models:/peculiar/9" in answer.output


def test_promote_refuses_then_promotes_then_goes_back(worked):
    """A refusal ends with 1 and moves nothing; lenient rules promote; `previous` goes back with a reason."""
    home, store, other = worked.home, worked.store, worked.other
    strict, lenient = (("--config", home / f"{name}.toml", "--home", home) for name in ("strict", "lenient"))
    refused = run("promote", other, *strict, "--json", home / "refused.json")
    figures = plain(home / "refused.json")
    assert (refused.exit_code, figures["verdict"], figures["moved"]) == (1, "refused", False)
    assert "BROKEN  most_alert_change" in refused.output
    assert champion(store).number == worked.champion
    passed = run("promote", f"models:/peculiar/{other}", *lenient)
    assert (passed.exit_code, champion(store).number) == (0, other), passed.output
    assert f"peculiar version {other} is @champion now, before it was version {worked.champion}" in passed.output
    assert run("promote", "previous", *strict).exit_code == 2
    back = run("promote", "previous", *strict, "--reason", "too many alerts")
    assert (back.exit_code, champion(store).number) == (0, worked.champion), back.output
    assert by_alias(store, "previous").number == other
    forced = run("promote", other, *strict, "--anyway", "--reason", "we know better")
    assert (forced.exit_code, champion(store).number) == (0, other), forced.output
    run("promote", "@previous", *strict, "--reason", "we did not")
    verbs = [json.loads(line)["verb"] for line in (home / "audit.jsonl").read_text().splitlines()]
    assert verbs.count("promote") == 5
    verify(home / "audit.jsonl")
