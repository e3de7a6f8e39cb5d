"""The challenger's shadow: the same windows under the same rules, and a difference that adds up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import rankdata

from peculiar.errors import BundleError
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec
from peculiar.serving.alerts import AlertRules
from peculiar.serving.batch import ScoringRequest, score_to_file
from peculiar.serving.dataset import ScoreDataset, read_scores
from peculiar.serving.nightly import score_to_dataset
from peculiar.serving.scoring import score_batch
from peculiar.serving.shadow import Companion, Shadow, challenger_of, shadow_of
from peculiar.training.references import load

RULES = AlertRules(budget=5)


@pytest.fixture(scope="module")
def champion(trained):
    """What is in use."""
    return load(trained.store, "models:/peculiar@champion")


@pytest.fixture(scope="module")
def challenger(trained, champion):
    """The other version of the same training."""
    return challenger_of(trained.store, champion)


@pytest.fixture(scope="module")
def batch(champion, trained):
    """The whole log, as the champion scores it."""
    return score_batch(champion.model, trained.log, rules=RULES, explain=0)


def test_the_challenger_is_found_and_scores_what_it_would_score_alone(batch, champion, challenger, trained):
    """Bit for bit, with the same alerts by rank; the vectors are built once."""
    shadow, note = shadow_of(champion.model, batch, challenger, rules=RULES)
    alone = score_batch(challenger.model, trained.log, rules=RULES, explain=0).table
    assert note == ""
    assert shadow.score.tobytes() == alone["score"].to_numpy().tobytes()
    assert np.array_equal(shadow.rank, alone["rank"].to_numpy())
    assert np.array_equal(shadow.alert, alone["alert"].to_numpy())
    beside = shadow.beside(batch.table)
    keys, own = ["entity", "since", "as_of"], ["challenger", "challenger_score", "challenger_rank", "challenger_alert"]
    assert beside.column_names == keys + own
    assert beside.select(keys).equals(batch.table.select(keys))


def test_the_difference_is_what_it_says(batch, champion, challenger):
    """Spearman's correlation by hand, and alerts counted by hand."""
    shadow, _ = shadow_of(champion.model, batch, challenger, rules=RULES)
    told, ours = shadow.difference(batch.table), batch.table["alert"].to_numpy()
    ranks = rankdata(batch.table["score"].to_numpy()), rankdata(shadow.score)
    assert told["shadow/rank_correlation"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert told["shadow/alerts_only_champion"] == np.sum(ours & ~shadow.alert) > 0
    assert told["shadow/alerts_only_challenger"] == np.sum(~ours & shadow.alert) > 0
    assert told["shadow/alerts_in_common"] == np.sum(ours & shadow.alert) / np.sum(ours | shadow.alert)
    assert told["shadow/p01_share"] == np.mean(shadow.p_value <= 0.01)


def test_a_model_with_a_population_of_its_own_gets_vectors_of_its_own(batch, champion, challenger, trained):
    """The challenger of another training is not fed the champion's vectors."""
    model = challenger.model
    timeline, _, _ = trained.log.read()
    other = replace(model, population=model.plan.fit(timeline.until(int(np.quantile(timeline.at, 0.5)))))
    shadow, _ = shadow_of(champion.model, batch, replace(challenger, model=other), rules=RULES)
    alone = score_batch(other, trained.log, rules=RULES, explain=0).table
    assert shadow.score.tobytes() == alone["score"].to_numpy().tobytes()
    same, _ = shadow_of(champion.model, batch, challenger, rules=RULES)
    assert not np.array_equal(shadow.score, same.score)


def test_models_without_windows_in_common_cast_no_shadow(batch, champion, challenger):
    """It is told, and nothing is made up."""
    plan = replace(challenger.model.plan, windows=WindowSpec(every="1h"))
    hourly = replace(challenger, model=replace(challenger.model, plan=plan))
    shadow, note = shadow_of(champion.model, batch, hourly, rules=RULES)
    assert shadow is None
    assert "cuts other windows" in note


def test_only_the_champion_has_a_challenger(trained):
    """A version that is asked for by number and is not in use is scored alone."""
    version = next(version for version in trained.result.versions if "champion" not in version.aliases)
    assert challenger_of(trained.store, load(trained.store, version.uri)) is None


def test_no_alerts_on_either_side_are_in_common():
    """Nothing differs where nothing is alerted."""
    none = Shadow("peculiar/2", np.zeros(3), np.arange(3), np.zeros(3, bool), None)
    table = {"score": np.zeros(3), "alert": [False] * 3, "pick": [None] * 3}
    told = none.difference(pa.table(table))
    assert told == {
        "shadow/alerts_in_common": 1.0, "shadow/alerts_only_champion": 0.0, "shadow/alerts_only_challenger": 0.0,
    }  # fmt: skip


@pytest.fixture
def request_of(city, tmp_path):
    """A request for two days of the city."""

    def made(**more: object) -> ScoringRequest:
        days = (date(2025, 2, 10), date(2025, 2, 12))
        given = {"model_uri": "models:/peculiar@champion", "output": tmp_path / "scores.parquet", "days": days}
        return ScoringRequest(**{"events": city.events, **given, "rules": RULES, "reasons": 0, **more})

    return made


def test_a_file_gets_its_shadow_beside_it(trained, request_of, champion, challenger, tmp_path):
    """The champion's file is the same with and without; the run tells how the two differ, the record who scored."""
    written = score_to_file(request_of(), trained.store)
    scores, shadow = (pq.read_table(tmp_path / name) for name in ("scores.parquet", "scores.shadow.parquet"))
    expected, _ = shadow_of(champion.model, written.batch, challenger, rules=RULES)
    assert shadow.equals(expected.beside(scores))
    told = trained.store.client.get_run(written.run_id).data
    difference = expected.difference(scores)
    assert {name: told.metrics[name] for name in difference} == pytest.approx(difference)
    assert told.params["challenger"] == expected.model
    use = json.loads((trained.store.home / "audit.jsonl").read_text().splitlines()[-1])
    assert use["parameters"]["challenger"] == expected.model
    before = (tmp_path / "scores.parquet").read_bytes()
    alone = score_to_file(request_of(shadow=False), trained.store)
    assert (tmp_path / "scores.parquet").read_bytes() == before
    assert not (tmp_path / "scores.shadow.parquet").exists()
    assert not [name for name in trained.store.client.get_run(alone.run_id).data.metrics if name.startswith("shadow/")]


def test_days_of_a_dataset_have_their_shadow_in_their_commit(trained, request_of, tmp_path):
    """It says the challenger's version and SHA-256; passes do not matter; readers of scores see nothing of it."""
    for name, block in (("one", 1), ("both", 60)):
        written = score_to_dataset(request_of(output=tmp_path / name, block=block), trained.store)
    version = next(version for version in trained.result.versions if "challenger" in version.aliases)
    dataset = ScoreDataset.open(tmp_path / "both")
    for day in dataset.days():
        commit = dataset.commit(day)
        assert commit == ScoreDataset.open(tmp_path / "one").commit(day)
        assert commit.made_of["challenger"] == {"name": f"peculiar/{version.number}", "sha256": version.sha256}
        (file,) = commit.shadow
        shadow, scores = pq.read_table(tmp_path / "both" / file.path), dataset.read(day)
        assert shadow.select(["entity", "as_of"]).equals(scores.select(["entity", "as_of"]))
    assert "challenger" not in read_scores(tmp_path / "both").column_names
    single = score_to_file(request_of(), trained.store)
    metrics = [trained.store.client.get_run(each.run_id).data.metrics for each in (written, single)]
    names = {name for name in metrics[1] if name.startswith("shadow/")}
    assert len(names) == 5
    assert {name: metrics[0][name] for name in names} == pytest.approx({name: metrics[1][name] for name in names})


def test_another_challenger_confirms_the_scores_and_makes_another_shadow(trained, request_of, tmp_path):
    """A day is made of its challenger, too; without one no alert is withdrawn and no revision made."""
    given = {"output": tmp_path / "scores"}
    score_to_dataset(request_of(**given), trained.store)
    assert [done.state for done in score_to_dataset(request_of(**given), trained.store).days] == ["kept"] * 2
    alone = score_to_dataset(request_of(**given, shadow=False), trained.store)
    assert [(done.state, done.commit.revision, done.commit.shadow) for done in alone.days] == [("confirmed", 1, ())] * 2
    assert not list((tmp_path / "scores" / "_shadow").rglob("*.parquet"))
    again = score_to_dataset(request_of(**given), trained.store)
    assert [done.state for done in again.days] == ["confirmed"] * 2
    assert len(list((tmp_path / "scores" / "_shadow").rglob("*.parquet"))) == 2


def test_a_challenger_that_cannot_be_read_does_not_stop_the_champion(trained, champion, monkeypatch):
    """A note says why there is no shadow, and nobody is made up to be the challenger."""

    def broken(*_):
        message = "detector/forest.arrow was changed after the model was saved"
        raise BundleError(message)

    monkeypatch.setattr("peculiar.serving.shadow.load", broken)
    companion = Companion.of(trained.store, champion)
    assert (companion.challenger, companion.made_of, companion.asked) == (None, {}, {})
    assert "no shadow: the challenger cannot be read: detector/forest.arrow was changed" in companion.note


def test_vectors_are_not_built_again_for_the_shadow(batch, champion, challenger, monkeypatch):
    """Where plan and population are shared, the challenger scores the champion's own vectors."""
    built = []
    vectors = FeaturePlan.vectors
    monkeypatch.setattr(
        FeaturePlan, "vectors", lambda plan, *given, **more: built.append(1) or vectors(plan, *given, **more)
    )
    shadow, _ = shadow_of(champion.model, batch, challenger, rules=RULES)
    assert len(shadow.score) == len(batch.vectors)
    assert not built
