"""`peculiar budget` beneath the command: what is played through, what is said, and what goes on record."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from peculiar.errors import BundleError, ConfigError, LabelError, SchemaError
from peculiar.serving.alerts import AlertRules, Scored, raise_alerts
from peculiar.serving.batch import ScoringRequest, score_to_file
from peculiar.serving.budgets import BudgetRequest, budget_listing, play_budgets
from peculiar.serving.nightly import score_to_dataset
from peculiar.serving.scoring import ranks_of, score_batch
from peculiar.training.judged import read_judged
from peculiar.training.references import load
from peculiar.training.store import open_store

FIRST = date(2025, 2, 10)
AFTER = FIRST + timedelta(days=3)
_DAY = 86_400_000_000


@pytest.fixture(scope="module")
def scored(trained, city, tmp_path_factory):
    """Three days as a file and as a dataset, with teams."""
    home = tmp_path_factory.mktemp("scored")
    rules = AlertRules(budget=3, team_by="district", teams={"district-01": 1})
    given = {"days": (FIRST, AFTER), "labels": city.labels, "rules": rules, "reasons": 0}
    score_to_file(ScoringRequest(city.events, "models:/peculiar@champion", home / "s.parquet", **given), trained.store)
    score_to_dataset(ScoringRequest(city.events, "models:/peculiar@champion", home / "s", **given), trained.store)
    return home


def _micros(day: date) -> int:
    return (day - date(1970, 1, 1)).days * _DAY


def last_use(store) -> dict:
    """The last line of the record of use."""
    return json.loads((store.home / "audit.jsonl").read_text().splitlines()[-1])


def printed(played) -> str:
    """What a terminal of 100 columns shows."""
    console = Console(width=100, no_color=True)
    with console.capture() as taken:
        for part in budget_listing(played):
            console.print(part)
    return taken.get()


def test_a_version_is_played_through_on_what_it_was_judged_on(trained):
    """The figures are of the judged windows; the budget of the training finds what its own metric said it finds."""
    played = play_budgets(BudgetRequest(budgets=(7, 10)), trained.store)
    version, judged = trained.result.champion, read_judged(trained.store, trained.result.champion)
    told = played.told
    assert (told.windows, told.confirmed) == (judged.num_rows, pc.sum(judged["confirmed"]).as_py())
    assert (played.model, played.truth) == (f"peculiar/{version.number}", "labels of its training")
    assert {1, 2, 5, 7, 10, 1000} <= {each.setting for each in told.settings if each.by == "budget"}
    ten = next(each for each in told.settings if (each.by, each.setting) == ("budget", 10))
    metrics = next(c.metrics for c in trained.result.candidates if c.kind == version.kind)
    assert ten.recall.value == pytest.approx(metrics["test/recall_at_budget"])
    assert ten.precision.value == pytest.approx(metrics["test/precision_at_budget"])
    use = last_use(trained.store)
    assert (use["verb"], use["model"], use["version"], use["rows"]) == (
        "budget",
        "peculiar",
        version.number,
        told.windows,
    )
    assert use["sha256"] == version.sha256
    assert use["parameters"] == {"scores": None, "labels": None, "budgets": [7, 10], "per": "entity", "team": None}


def test_a_dataset_is_played_as_the_file_of_the_same_days(trained, city, scored):
    """What is committed counts, and neither rows set aside nor the commits beside it."""
    (scored / "s" / "_rejected").mkdir(exist_ok=True)
    pq.write_table(pa.table({"reason": ["no time"]}), scored / "s" / "_rejected" / "x.parquet")
    both = [
        play_budgets(BudgetRequest(scores=scored / name, labels=city.labels, events=city.events), trained.store)
        for name in ("s", "s.parquet")
    ]
    assert str(both[0].told) == str(both[1].told)
    assert both[0].told.days == 3
    assert both[0].told.known == both[0].told.windows
    assert both[0].truth == "labels"
    assert last_use(trained.store)["parameters"]["scores"] == str(scored / "s.parquet")


def test_a_budget_brings_what_scoring_raises_with_it(trained, city, scored):
    """For the budget of the scores themselves as many alerts a day as they have, at many ties as without.

    The ties are made by rounding scores to a few levels and raising alerts of them anew.
    """
    table = pq.read_table(scored / "s.parquet")
    model = load(trained.store, "models:/peculiar@champion").model
    given = {"labels": city.labels, "since": _micros(FIRST), "until": _micros(AFTER), "explain": 0}
    batch = score_batch(model, city.events, **given)
    assert batch.table["entity"].equals(table["entity"])
    day = (batch.vectors.as_of - 1) // _DAY
    empty = 0.0
    for levels in (2, 3, 5, None):
        score = batch.table["score"].to_numpy()
        score = score if levels is None else np.minimum(np.argsort(np.argsort(-score)) // 40, levels - 1) * -1.0
        for budget in (1, 10, 50, 100, 200):
            rules = AlertRules(budget=budget)
            ranked = Scored(batch.vectors, batch.timeline, score, None, day, ranks_of(day, score))
            raised = raise_alerts(model, ranked, rules=rules).picks.by_rank
            mine = table.set_column(table.schema.get_field_index("score"), "score", pa.array(score))
            played = play_budgets(BudgetRequest(scores=mine, budgets=(budget,)), trained.store)
            told = next(each for each in played.told.settings if (each.by, each.setting) == ("budget", budget))
            assert told.alerts == raised.sum() / 3
            empty = max(empty, told.empty)
            assert ("note: some places stay empty" in printed(played)) == any(e.empty for e in played.told.settings)
    assert empty > 0


def test_labels_that_name_events_alone_need_the_log(trained, city, scored):
    """The error says so."""
    with pytest.raises(
        LabelError, match=r"expected a time .*; labels that name events alone need the log: give --events"
    ):
        play_budgets(BudgetRequest(scores=scored / "s.parquet", labels=city.labels), trained.store)


def test_a_team_has_figures_of_its_own(trained, scored):
    """Only its windows are played through, and a name that is none lists what there is."""
    file = scored / "s.parquet"
    played = play_budgets(BudgetRequest(scores=file, team="district-02"), trained.store)
    want = pc.sum(pc.equal(pq.read_table(file)["team"], "district-02")).as_py()
    assert played.told.windows == want > 0
    assert played.where.endswith("s.parquet, team district-02")
    with pytest.raises(
        ConfigError, match=r"expected a team of the scores \(district-00, district-01, .*\), got 'district-99'"
    ):
        play_budgets(BudgetRequest(scores=file, team="district-99"), trained.store)
    plain = pq.read_table(file).drop_columns(["team"])
    with pytest.raises(ConfigError, match=r"there are none: score with alerts.team_by\), got 'district-02'"):
        play_budgets(BudgetRequest(scores=plain, team="district-02"), trained.store)


def test_what_is_printed_fits_and_says_what_is_not_known(trained, scored):
    """One line for each setting, none wider than 100 columns; where nothing is confirmed the way out is told."""
    judged = printed(play_budgets(BudgetRequest(budgets=(7,)), trained.store))
    assert max(map(len, judged.splitlines())) <= 100
    assert any(line.startswith("7 a day ") for line in judged.splitlines())
    assert "fdr 0.05" in judged
    assert "note: without confirmed windows" not in judged
    blank = printed(play_budgets(BudgetRequest(scores=scored / "s.parquet"), trained.store))
    assert "0 of them known, 0 confirmed (no verdicts)" in blank
    assert "note: without confirmed windows there is no recall; give --labels, or take in feedback" in blank


def test_what_cannot_be_played_is_refused(trained, scored, tmp_path):
    """No such version, scores that are none, a budget of none; a use that failed is not on record."""
    lines = (trained.store.home / "audit.jsonl").read_text()
    with pytest.raises(BundleError, match="there is no model models:/peculiar/99"):
        play_budgets(BudgetRequest(model="99"), trained.store)
    with pytest.raises(SchemaError, match="expected scores as peculiar score writes them, found no"):
        play_budgets(BudgetRequest(scores=pa.table({"entity": ["ann"]})), trained.store)
    with pytest.raises(ConfigError, match="budgets of 1 or more alerts a day"):
        play_budgets(BudgetRequest(budgets=(0,)), trained.store)
    with pytest.raises(BundleError, match="there is no model"):
        play_budgets(BudgetRequest(), open_store(tmp_path))
    assert (trained.store.home / "audit.jsonl").read_text() == lines
