"""A candidate: fitted on the training period, judged on the later one, and told in full."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from peculiar.errors import ConfigError
from peculiar.training.candidates import Candidate, fit_candidate
from peculiar.training.lightgbm import LightGBM
from peculiar.training.records import record_of

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def candidates(trained):
    """The candidates of the training by kind."""
    return {candidate.kind: candidate for candidate in trained.result.candidates}


@pytest.fixture(scope="module")
def unlabelled(trained):
    """The same vectors without the truth; risk features may know of trouble, the fit may not."""
    none = dict.fromkeys(("labels", "train_truth", "test_truth", "train_weight", "test_cleared"))
    return replace(trained.result.material, **none)


def at_budget(truth, score, vectors, budget: int) -> tuple[float, float]:
    """Precision and recall of the so many oddest rows of each day, said plainly."""
    frame = pd.DataFrame({"day": (vectors.as_of - 1) // DAY, "truth": truth, "score": score})
    alerts = frame.sort_values("score", ascending=False, kind="stable").groupby("day").head(budget)
    return alerts["truth"].mean(), alerts["truth"].sum() / truth.sum()


@pytest.mark.parametrize("kind", ["isolation_forest", "lightgbm"])
def test_metrics_judge_the_later_period(trained, candidates, kind):
    """Ranking and budget metrics are those of the later period, as scikit-learn and a plain loop see it."""
    material, candidate = trained.result.material, candidates[kind]
    truth, score = material.test_truth, candidate.score
    assert np.array_equal(score, candidate.fitted.score(material.test))
    assert candidate.metrics["test/average_precision"] == pytest.approx(average_precision_score(truth, score))
    assert candidate.metrics["test/roc_auc"] == pytest.approx(roc_auc_score(truth, score))
    precision, recall = at_budget(truth, score, material.test, trained.settings.budget)
    assert candidate.metrics["test/precision_at_budget"] == pytest.approx(precision)
    assert candidate.metrics["test/recall_at_budget"] == pytest.approx(recall)
    # A card that was found is not looked for again on later days.
    assert 0.0 < candidate.metrics["test/card_precision_at_budget"] <= precision + 1e-12
    assert 0.0 < recall < 1.0


def test_a_detector_finds_more_than_chance(trained, candidates):
    """On the simulated city each detector's average precision is at least three times the share of planted windows."""
    prevalence = trained.result.material.test_truth.mean()
    found = {kind: candidate.metrics["test/average_precision"] for kind, candidate in candidates.items()}
    assert min(found.values()) > 3 * prevalence, (found, prevalence)


def test_the_forest_learns_nothing_from_labels(trained, candidates, unlabelled):
    """With and without labels the same rows and seed give the same forest; without, only the calibration is judged."""
    found = fit_candidate("isolation_forest", unlabelled, trained.settings)
    assert found.score.tobytes() == candidates["isolation_forest"].score.tobytes()
    assert {name.split("/")[0] for name in found.metrics} == {"calibration"}


def test_another_seed_gives_another_forest(trained, candidates, unlabelled):
    """The seed reaches the forest: another one draws other trees, and their scores agree in rank but not in bits."""
    found = fit_candidate("isolation_forest", unlabelled, replace(trained.settings, seed=trained.settings.seed + 1))
    ours, theirs = candidates["isolation_forest"].score, found.score
    assert not np.array_equal(ours, theirs)
    assert pd.Series(ours).corr(pd.Series(theirs), method="spearman") > 0.75


def test_the_same_seed_gives_the_same_boosting(trained):
    """Without a search LightGBM's fit is repeatable to the last bit, and the seed matters."""
    material, settings = trained.result.material, replace(trained.settings, trials=0)
    first, again = (fit_candidate("lightgbm", material, settings) for _ in range(2))
    other = fit_candidate("lightgbm", material, replace(settings, seed=99))
    assert first.score.tobytes() == again.score.tobytes()
    assert first.score.tobytes() != other.score.tobytes()
    assert first.settings == LightGBM()
    assert first.trials is None


def test_the_search_is_told(trained, candidates):
    """As many trials as asked for are on record, the forest has none, and no note says that the search failed."""
    trials = candidates["lightgbm"].trials
    assert list(trials["number"]) == list(range(trained.settings.trials))
    assert candidates["isolation_forest"].trials is None
    assert not any("search" in note for note in candidates["lightgbm"].notes)


def test_a_training_too_short_to_search_in_takes_the_defaults_and_says_so(trained):
    """Where folds with the label delay do not fit, LightGBM is fitted as it is and a note tells why."""
    material = trained.result.material
    settings = replace(trained.settings, label_delay=30 * DAY)
    told = fit_candidate("lightgbm", material, settings)
    assert told.settings == LightGBM()
    assert told.trials is None
    assert "LightGBM's default settings were taken" in told.notes[0]


def test_progress_is_told_trial_by_trial_and_what_was_tried_is_kept(trained, tmp_path):
    """Whoever watches hears of each trial and the share that is done; an equal search has nothing left to try."""
    heard = []
    settings, kept = replace(trained.settings, trials=1), tmp_path / "studies"

    def searched() -> Candidate:
        told = {"studies": kept, "progress": lambda *news: heard.append(news)}
        return fit_candidate("lightgbm", trained.result.material, settings, **told)

    first = searched()
    assert heard[-1][0].startswith("trial 1, best 0.")
    assert heard[-1][1] == 1.0
    heard.clear()
    again = searched()
    assert heard == []
    assert again.trials.equals(first.trials)  # the seconds, too
    assert again.score.tobytes() == first.score.tobytes()


def test_an_unknown_kind_is_refused(trained):
    """The message names the kinds there are."""
    with pytest.raises(ConfigError, match=r"among isolation_forest, joint, lightgbm, tails.*, got 'xgboost'"):
        fit_candidate("xgboost", trained.result.material, trained.settings)


@pytest.mark.parametrize("kind", ["isolation_forest", "lightgbm"])
def test_a_record_tells_everything(trained, candidates, kind):
    """Settings of the detector, fingerprint of the plan, split, seed, sizes, both curves, figures and a note."""
    material = trained.result.material
    told = record_of(candidates[kind], material, trained.settings)
    assert told.params["model/kind"] == kind
    assert told.params["plan/fingerprint"] == material.plan.fingerprint
    assert told.params["split"] == str(material.split)
    assert (told.params["seed"], told.params["budget_per_day"]) == (0, 10)
    own = {"isolation_forest": "model/trees", "lightgbm": "model/leaves"}[kind]
    assert own in told.params
    assert told.metrics["data/train_rows"] == len(material.train)
    assert told.metrics["data/test_positives"] == material.test_truth.sum()
    plots = {"pr_curve", "importance", "budget", "calibration", "by_week"}
    assert {f"plots/{name}.png" for name in plots} == set(told.figures)
    assert ("tables/trials.json" in told.tables) == (kind == "lightgbm")
    recall = list(told.curves["curve/recall_at_k"].values())
    assert recall == sorted(recall)
    assert told.curves["curve/recall_at_k"][10] == pytest.approx(candidates[kind].metrics["test/recall_at_budget"])
    assert "never a verdict" in told.note
    assert f"average precision {candidates[kind].metrics['test/average_precision']:.3f}" in told.note


def test_without_labels_a_record_has_importance_but_no_curve(trained, candidates, unlabelled):
    """Nothing can be judged without labels, but what moves the scores can still be shown."""
    told = record_of(fit_candidate("isolation_forest", unlabelled, trained.settings), unlabelled, trained.settings)
    assert set(told.figures) == {"plots/importance.png", "plots/calibration.png", "plots/by_week.png"}
    assert (dict(told.curves), set(told.tables)) == ({}, {"tables/validity.json"})
    assert {name.split("/")[0] for name in told.metrics} == {"data", "calibration"}
    assert set(told.texts) == {"plan.json", "plots/curves.html"}
    assert told.parquets["judged.parquet"]["confirmed"].null_count == len(unlabelled.test)
