"""Monitoring in use: the command, the page in a browser, the record of use, and lines over time in MLflow."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from monitor_toys import TRAINED, Plants

from peculiar.cli import main
from peculiar.errors import BundleError, ConfigError, SchemaError
from peculiar.serving.alerts import AlertRules
from peculiar.serving.batch import ScoringRequest, score_to_file
from peculiar.serving.nightly import score_to_dataset
from peculiar.serving.watch import MonitorRequest, monitor
from peculiar.training.registry import log_model, register, set_alias
from peculiar.training.store import open_store
from peculiar.training.tracking import RunRecord, running, write_record

RULES = AlertRules(budget=5)


@pytest.fixture(scope="module")
def watched(monitored_city, tmp_path_factory):
    """The city's model as a registered champion, its log on disk, and one with cents for whole units."""
    home = tmp_path_factory.mktemp("watched")
    store = open_store(home)
    with running(store, "candidate", name="forest") as run:
        write_record(run, RunRecord(note="a forest"))
        logged = log_model(run, monitored_city.model, name="isolation_forest")
    set_alias(store, register(store, logged), "champion")
    pq.write_table(monitored_city.events, home / "plain.parquet")
    pq.write_table(Plants(monitored_city).cents(), home / "cents.parquet")
    first = date(1970, 1, 1) + timedelta(days=monitored_city.start // 86_400_000_000 + TRAINED)
    return SimpleNamespace(home=home, store=store, first=first, after=first + timedelta(days=7))


@pytest.fixture(scope="module")
def faulty(watched):
    """What the command did about the week with the fault: its result, the page, the figures."""
    page, figures = watched.home / "out" / "page.html", watched.home / "faulty.json"
    given = ["--since", watched.first, "--until", watched.after, "-o", page, "--json", figures, "--home", watched.home]
    result = run("monitor", watched.home / "cents.parquet", *given)
    return SimpleNamespace(result=result, page=page, figures=json.loads(figures.read_text()))


def run(*words: object):
    """The command, as a shell would start it."""
    return CliRunner().invoke(main, [str(word) for word in words])


def request_of(watched, **more: object) -> MonitorRequest:
    """The plain week."""
    given = {"events": str(watched.home / "plain.parquet"), "rules": RULES, "days": (watched.first, watched.after)}
    return MonitorRequest(**{**given, **more})


def test_the_command_ends_with_the_verdict(faulty):
    """3 for a fault of the data, printed for 100 columns, with what to do; the figures say the same."""
    assert faulty.result.exit_code == 3, faulty.result.output
    lines = faulty.result.output.splitlines()
    assert lines[0].startswith("✖ The data has a fault: ")
    assert "amount is 100 times what it was" in faulty.result.output
    assert max(map(len, lines)) <= 100
    assert (faulty.figures["verdict"], faulty.figures["exit_code"]) == ("fault", 3)
    assert faulty.figures["findings"][0]["code"] == "units"
    assert faulty.figures["output"] == str(faulty.page)


def test_the_command_ends_with_0_where_nothing_moved(watched):
    """The plain week, which is what most nights are: read to its last line."""
    given = ["--since", watched.first, "--until", watched.after, "--home", watched.home]
    result = run("monitor", watched.home / "plain.parquet", *given)
    assert result.exit_code == 0, result.output
    assert "Nothing has moved" in result.output
    assert "scores: PSI" in result.output


def test_use_is_on_record_and_the_run_vouches_for_it(watched, faulty):
    """Verb, model and page in the record; the run has the verdict, the page and every feature."""
    lines = [json.loads(line) for line in (watched.home / "audit.jsonl").read_text().splitlines()]
    use = next(line for line in lines if line["verb"] == "monitor" and line["output"] == str(faulty.page))
    assert (use["model"], use["version"], use["rows"]) == ("peculiar", "1", faulty.figures["rows"])
    made = watched.store.client.get_run(faulty.figures["run_id"])
    assert made.data.tags["peculiar.verdict"] == "fault"
    assert made.data.metrics["monitor/faults"] == 1
    assert {each.path for each in watched.store.client.list_artifacts(made.info.run_id)} == {"monitor.html", "tables"}


def test_days_make_lines_over_time(watched):
    """Two days are two points of one run of the version, at these days; a day has a run of its own below it."""
    days = [(watched.first + timedelta(days=n), watched.first + timedelta(days=n + 1)) for n in (7, 8)]
    found = [monitor(request_of(watched, days=each), watched.store) for each in days]
    runs = watched.store.client.search_runs([watched.store.experiment_id], "tags.`peculiar.role` = 'watch'")
    assert len(runs) == 1
    line = watched.store.client.get_metric_history(runs[0].info.run_id, "monitor/events_a_day")
    steps = {point.step: (point.timestamp, point.value) for point in line}
    for (day, _), each in zip(days, found, strict=True):
        number = (day - date(1970, 1, 1)).days
        assert steps[number] == (number * 86_400_000, each.monitored.now.total)
        child = watched.store.client.get_run(each.run_id)
        assert child.data.tags["mlflow.parentRunId"] == runs[0].info.run_id
        assert (child.data.params["from"], child.data.tags["peculiar.role"]) == (str(day), "monitor")
    assert runs[0].info.status == "FINISHED"


def test_without_days_it_takes_what_follows_the_training(watched):
    """The first day after training and test, until the last event's."""
    found = monitor(request_of(watched, days=(None, None)), watched.store).monitored
    assert found.dates == (str(watched.first), str(watched.first + timedelta(days=20)))


def test_written_scores_are_taken_as_they_were(watched, tmp_path):
    """From a file and from a dataset the same: the alerts are those that reviewers got."""
    common = {"events": str(watched.home / "plain.parquet"), "model_uri": "models:/peculiar@champion", "reasons": 0}
    days = (watched.first, watched.after)
    scoring = ScoringRequest(**common, output=tmp_path / "scores.parquet", rules=AlertRules(budget=2), days=days)
    written = score_to_file(scoring, watched.store)
    score_to_dataset(replace(scoring, output=tmp_path / "scores"), watched.store)
    ours = monitor(request_of(watched), watched.store).monitored
    for scores in (tmp_path / "scores.parquet", tmp_path / "scores"):
        found = monitor(request_of(watched, scores=scores), watched.store).monitored
        assert found.scores.alerts == written.alerts == 14 != ours.scores.alerts
        assert found.scores.whole.to_dict() == ours.scores.whole.to_dict()
        assert found.notes == ours.notes
    table = pq.read_table(tmp_path / "scores.parquet")
    pq.write_table(table.slice(10), tmp_path / "part.parquet")
    part = monitor(request_of(watched, scores=tmp_path / "part.parquet"), watched.store).monitored
    assert any("10 of" in note and "no written score" in note for note in part.notes)
    other = table.set_column(table.column_names.index("model"), "model", [["peculiar/9"] * len(table)])
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(BundleError, match="got those of peculiar/9"):
        monitor(request_of(watched, scores=tmp_path / "other.parquet"), watched.store)
    with pytest.raises(SchemaError, match="it has no"):
        monitor(request_of(watched, scores=watched.home / "plain.parquet"), watched.store)


def test_days_without_events_are_refused_with_the_way_out(watched):
    """Nothing to look at is no verdict."""
    after = watched.first + timedelta(days=400)
    with pytest.raises(ConfigError, match="name days with --since"):
        monitor(request_of(watched, days=(after, after + timedelta(days=1))), watched.store)


def test_an_error_of_mlflow_leaves_page_and_verdict(watched, tmp_path, monkeypatch):
    """What went wrong is told, and the page is there."""
    from mlflow.exceptions import MlflowException

    def refuse(*_, **__):
        message = "the store is full"
        raise MlflowException(message)

    monkeypatch.setattr("peculiar.serving.watch.write_record", refuse)
    found = monitor(request_of(watched, output=tmp_path / "page.html"), watched.store)
    assert (found.run_id, found.untracked[-17:]) == ("", "the store is full")
    assert (tmp_path / "page.html").stat().st_size > 5_000


@pytest.fixture(scope="module")
def browser(chromium):
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    switches = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=switches)
        yield started
        started.close()


@pytest.mark.parametrize(("wide", "scheme"), [(1280, "light"), (390, "light"), (390, "dark")])
def test_the_page_reads_well_at_every_width(faulty, browser, wide, scheme):
    """The verdict comes first, nothing is cut or scrolls sideways, nothing is loaded, and no rule is broken."""
    page = browser.new_page(viewport={"width": wide, "height": 844}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(faulty.page.as_uri())
    assert page.locator("h1").inner_text().endswith("The data has a fault")
    assert page.locator(".findings li").first.locator(".tag").inner_text().startswith("✖ fault · units")
    assert page.evaluate("document.documentElement.scrollWidth") == wide
    assert page.locator("ul.features svg").count() == min(30, faulty.figures["moved"])
    box = page.locator("h1").bounding_box()
    assert box["y"] + box["height"] < 250
    paper, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    shades = [sum(map(int, re.findall(r"\d+", colour))) for colour in (paper, ink)]
    assert (shades[0] < shades[1]) == (scheme == "dark")
    assert (said, [each for each in asked if not each.startswith(("file:", "data:"))]) == ([], [])
    page.close()


def test_the_page_cannot_run_what_a_log_says(monitored_city, faulty):
    """Names from the log are text: markup in them is escaped, and the policy would allow nothing anyway."""
    from monitor_toys import watch

    from peculiar.serving.monitor_page import monitor_page

    found = watch(monitored_city, monitored_city.events)
    evil = "<script>alert(1)</script>"
    found = replace(found, notes=(evil,), slices=(replace(found.slices[0], name=evil),))
    page = monitor_page(found, model=evil, made={"sha256": "0" * 64, "data": "0" * 32, "zone": "UTC"})
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 3
    assert "default-src 'none'" in page
    assert " style=" not in faulty.page.read_text()
