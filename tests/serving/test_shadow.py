"""The challenger's shadow: the same windows under the same rules, and a difference that adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from peculiar.features.snapshots import WindowSpec
from peculiar.serving.alerts import AlertRules
from peculiar.serving.scoring import score_batch
from peculiar.serving.shadow import Shadow, challenger_of, shadow_of
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
    import pyarrow as pa

    told = none.difference(pa.table(table))
    assert told == {
        "shadow/alerts_in_common": 1.0, "shadow/alerts_only_champion": 0.0, "shadow/alerts_only_challenger": 0.0,
    }  # fmt: skip
