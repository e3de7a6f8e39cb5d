"""From written scores to a page, to a reviewer's file, and back into the next training; and where the page is kept."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.audit import verify
from peculiar.cli import main
from peculiar.errors import BundleError, SchemaError
from peculiar.serving.batch import ScoringRequest, score_to_file
from peculiar.serving.dataset import DatasetError
from peculiar.serving.nightly import score_to_dataset
from peculiar.serving.reviewing import ReviewRequest, review_batch, review_scores
from peculiar.training.feedback import with_feedback
from peculiar.training.references import load

CHAMPION = "models:/peculiar@champion"
FIRST, LAST = date(2025, 2, 13), date(2025, 2, 14)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


@pytest.fixture(scope="module")
def written(trained, city, tmp_path_factory):
    """Scores of two days, eight alerts a day, as a file and as a dataset of two nights, and the log."""
    home = tmp_path_factory.mktemp("reviewing")
    pq.write_table(city.events, home / "events.parquet")
    asked = ScoringRequest(home / "events.parquet", CHAMPION, home / "scores.parquet", budget=8, days=(FIRST, None))
    asked = replace(asked, days=(FIRST, date(2025, 2, 15)), labels=city.labels)
    scored = score_to_file(asked, trained.store)
    nights = [
        score_to_dataset(replace(asked, output=home / "scores", days=days), trained.store)
        for days in ((FIRST, LAST), (LAST, date(2025, 2, 15)))
    ]
    return SimpleNamespace(home=home, scored=scored, nights=nights, events=home / "events.parquet")


def asked(written, city, **more) -> ReviewRequest:
    """A request for the file's page."""
    given = {"scores": written.home / "scores.parquet", "output": written.home / "page.html", "labels": city.labels}
    return ReviewRequest(**{**given, "events": written.events, **more})


def data_of(page) -> dict:
    """What the page's script reads."""
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_has_the_alerts_of_the_scores(trained, city, written):
    """Each alert is on the page once, with the score, the rank and the sentences that scoring told of it."""
    made = review_scores(asked(written, city), trained.store)
    alerts = written.scored.table.filter(written.scored.table["alert"]).to_pylist()
    assert made.alerts == len(alerts) == 16
    told = {(lead["e"], lead["s"]): lead for lead in data_of(made.output)["leads"]}
    for alert in alerts:
        lead = told[alert["entity"], alert["since"].isoformat().replace("+00:00", "Z")]
        assert lead["n"] == alert["rank"]
        assert lead["sc"] == pytest.approx(alert["score"], rel=1e-5)
        assert [why["x"] for why in lead["why"]] == [text.partition("; weak: ")[0] for text in alert["reasons"]]


def test_the_page_is_kept_by_the_scoring_run(trained, city, written):
    """MLflow has the file's page beside the run that wrote the file, byte for byte, and the line of its record."""
    made = review_scores(asked(written, city), trained.store)
    assert made.run_id == written.scored.run_id
    client = trained.store.client
    logged = client.download_artifacts(made.run_id, "review/page.html")
    with open(logged, "rb") as file:  # noqa: PTH123 - a path from MLflow
        assert file.read() == made.output.read_bytes()
    digest = client.get_run(made.run_id).data.tags["peculiar.review"]
    verify(trained.store.home / "audit.jsonl", head=digest)


def test_the_record_says_that_people_are_named(trained, city, written):
    """One line more: the verb, how many alerts and how many entities, whether MLflow has the page; the chain holds."""
    trail = trained.store.home / "audit.jsonl"
    before = len(trail.read_text().splitlines())
    made = review_scores(asked(written, city, tracked=False), trained.store)
    lines = trail.read_text().splitlines()
    assert len(lines) == before + 1
    use = json.loads(lines[-1])
    names = {lead["e"] for lead in data_of(made.output)["leads"]}
    assert (use["verb"], use["rows"], use["output"]) == ("review", 16, str(made.output))
    assert use["parameters"]["names_entities"] == len(names)
    assert (use["parameters"]["mlflow"], made.run_id) == (False, "")
    verify(trail)


def test_a_night_of_a_dataset_has_its_own_page(trained, city, written):
    """Of a dataset a day is read through its commit, and its page goes to the run that scored that day."""
    nights = written.home / "scores"
    for night, day, end in zip(written.nights, (FIRST, LAST), (LAST, None), strict=True):
        made = review_scores(asked(written, city, scores=nights, days=(day, end)), trained.store)
        assert made.run_id == night.run_id
        assert {lead["d"] for lead in data_of(made.output)["leads"]} == {str(day)}
    both = review_scores(asked(written, city, scores=nights), trained.store)
    assert both.alerts == 16
    assert both.run_id not in {night.run_id for night in written.nights}
    with pytest.raises(DatasetError, match=r"none|has no scores of the days .* 2 days from 2025-02-13 to 2025-02-14"):
        review_scores(asked(written, city, scores=nights, days=(date(2025, 3, 1), None)), trained.store)


def test_a_day_of_a_file_is_its_alerts_alone(trained, city, written):
    """--day leaves the other days out; the page still goes to the run of the file; a day that is not there is told."""
    made = review_scores(asked(written, city, days=(LAST, None)), trained.store)
    assert {lead["d"] for lead in data_of(made.output)["leads"]} == {str(LAST)}
    assert made.run_id == written.scored.run_id
    with pytest.raises(SchemaError, match="has days from 2025-02-13 to 2025-02-14"):
        review_scores(asked(written, city, days=(date(2025, 3, 1), None)), trained.store)


def test_scores_of_an_unknown_run_get_a_run_of_their_own(trained, city, written):
    """A copy of the file elsewhere is known to no run: the page has its own, which says whose scores they are."""
    pq.write_table(pq.read_table(written.home / "scores.parquet"), written.home / "copy.parquet")
    made = review_scores(asked(written, city, scores=written.home / "copy.parquet"), trained.store)
    run = trained.store.client.get_run(made.run_id)
    assert run.data.tags["peculiar.role"] == "review"
    assert run.data.params["scores"].endswith("copy.parquet")
    assert [item.path for item in trained.store.client.list_artifacts(made.run_id, "review")] == ["review/page.html"]


def test_a_page_that_cannot_be_recorded_does_not_appear(trained, city, written, tmp_path):
    """The record comes first: if it cannot be written, nobody sees the page."""
    (tmp_path / "home").write_text("a file where a folder should be")
    store = replace(trained.store, home=tmp_path / "home")
    with pytest.raises(OSError, match="home"):
        review_scores(asked(written, city, output=tmp_path / "page.html", tracked=False), store)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_batch_at_hand_gives_the_same_page(trained, city, written):
    """Without scoring again, what scoring returned makes the same leads."""
    again = review_scores(asked(written, city, tracked=False), trained.store)
    loaded, batch = load(trained.store, CHAMPION), written.scored.batch
    request = asked(written, city, output=written.home / "at_hand.html")
    at_hand = review_batch(loaded, batch, trained.log, request, trained.store)
    assert at_hand.run_id == written.scored.run_id
    assert data_of(at_hand.output)["leads"] == data_of(again.output)["leads"]


def test_what_is_no_file_of_scores_is_refused(trained, city, written, tmp_path):
    """A log in the place of the scores, other events, no scores at all, scores without a model: each is named."""
    with pytest.raises(SchemaError, match="expected a file that peculiar score wrote, it has no entity"):
        review_scores(asked(written, city, scores=written.events), trained.store)
    few = city.events.filter(pc.equal(city.events["user_id"], city.events["user_id"][0]))
    with pytest.raises(SchemaError, match=r"windows are not in the events, the first is .*; give the log"):
        review_scores(asked(written, city, events=few), trained.store)
    scores = pq.read_table(written.home / "scores.parquet")
    pq.write_table(scores.slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(SchemaError, match="expected scores, found no row"):
        review_scores(asked(written, city, scores=tmp_path / "none.parquet"), trained.store)
    pq.write_table(scores.drop_columns(["model"]), tmp_path / "unsigned.parquet")
    with pytest.raises(BundleError, match=r"they name none; say which with --model"):
        review_scores(asked(written, city, scores=tmp_path / "unsigned.parquet"), trained.store)


@pytest.mark.browser
def test_the_circle_of_review_closes(trained, city, written, chromium, tmp_path):
    """What a reviewer decides in the browser is taken in by `peculiar feedback`, and the next labels have it.

    The page is made by the command, opened in Chromium, two alerts are decided by key, and the saved file handed in.
    """
    from playwright.sync_api import sync_playwright

    page_path, home = tmp_path / "page.html", str(trained.store.home)
    given = ["review", str(written.home / "scores.parquet"), "--events", str(written.events), "-o", str(page_path)]
    answer = CliRunner().invoke(main, [*given, "--day", str(FIRST), "--home", home, "--json", str(tmp_path / "j.json")])
    assert answer.exit_code == 0, answer.output
    assert "it names people" in answer.output
    told = json.loads((tmp_path / "j.json").read_text())
    assert told["alerts"] == 8
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context(offline=True).new_page()
        page.goto(page_path.as_uri())
        page.fill("#reviewer", "Kim, the reviewer")
        page.focus("#list")
        for key in ("c", "j", "x", "n"):
            page.keyboard.press(key)
        page.keyboard.type('has "two" cards, one is her son\'s')
        with page.expect_download() as download:
            page.click("#export")
        download.value.save_as(tmp_path / "review.csv")
        browser.close()
    with (tmp_path / "review.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    handed = ["feedback", str(tmp_path / "review.csv"), "--scores", str(written.home / "scores.parquet")]
    answer = CliRunner().invoke(main, [*handed, "--home", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    assert "2 verdicts: 1 confirmed, 1 cleared" in answer.output
    labels = with_feedback(None, tmp_path).table
    found = dict(zip(labels["entity"].to_pylist(), labels["value"].to_pylist(), strict=True))
    assert found == {rows[0]["entity"]: True, rows[1]["entity"]: False}
    assert rows[1]["note"] == 'has "two" cards, one is her son\'s'
