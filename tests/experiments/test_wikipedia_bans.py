"""The test of banned users, run for real: the edits judged are the protocol's, and the models beat chance."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import average_precision_score, roc_auc_score

from peculiar.experiments import wikipedia_bans
from peculiar.experiments.wikipedia_bans import PUBLISHED, VARIANTS, main, run


@pytest.fixture(scope="module")
def folder(benchmark_data):
    """The folder of the edits; skips where there is none."""
    path = benchmark_data / "wikipedia_bans"
    if not (path / "events.parquet").is_file():
        pytest.skip(f"no benchmark data in {path}")
    return path


@pytest.fixture(scope="module")
def results(folder, tmp_path_factory):
    """One seed of two variants: the figures, and what was judged."""
    judged, judge = {}, wikipedia_bans.judge

    def noting(vectors, score, truth):
        day, entity = (vectors.as_of - 1) // 86_400_000_000, pd.Series(vectors.entity.to_pylist())
        judged.setdefault(variant, []).append((truth, day, entity))
        return judge(vectors, score, truth)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wikipedia_bans, "judge", noting)
        figures = {}
        for variant in ("all_earlier", "no_labels"):  # the third differs from the first by a date
            figures[variant] = run(folder, tmp_path_factory.mktemp(variant), seed=0, variant=variant)
    return figures, judged


@pytest.mark.benchmark_data
@pytest.mark.long
def test_the_last_edits_are_judged_and_no_others(results, folder):
    """One scored row for each edit after the .85 quantile of time, as many of each user, true where a ban followed."""
    events, labels = (pd.read_parquet(folder / f"{name}.parquet") for name in ("events", "labels"))
    last = events[events["ts_seconds"] > events["ts_seconds"].quantile(0.85)]
    banned = last[last["event_id"].isin(labels["event_id"])]
    assert (len(last), len(banned)) == (23_621, 44)
    for truth, day, entity in (each for all_of in results[1].values() for each in all_of):
        assert entity.value_counts().to_dict() == last["user_id"].value_counts().to_dict()
        assert sorted(entity[truth]) == sorted(banned["user_id"])
        assert day.min() == pd.Timestamp("2000-01-26").value // 86_400_000_000_000


@pytest.mark.benchmark_data
@pytest.mark.long
def test_each_variant_has_the_detectors_that_it_can_fit(results):
    """Where no ban is told there is nothing for LightGBM to learn, and it is not among the judged."""
    figures, _ = results
    assert {variant: set(kinds) for variant, kinds in figures.items()} == {
        "all_earlier": {"lightgbm", "isolation_forest", "tails"},
        "no_labels": {"isolation_forest", "tails"},
    }


@pytest.mark.benchmark_data
@pytest.mark.long
def test_the_models_rank_better_than_chance_and_the_first_places_better_than_the_count(results, folder):
    """All beat chance; LightGBM is near the count of earlier edits in ROC AUC and above it in average precision."""
    figures, _ = results
    events, labels = (pd.read_parquet(folder / f"{name}.parquet") for name in ("events", "labels"))
    last = events["ts_seconds"] > events["ts_seconds"].quantile(0.85)
    earlier, truth = events.groupby("user_id").cumcount()[last], events["event_id"].isin(labels["event_id"])[last]
    assert roc_auc_score(truth, -earlier) == pytest.approx(0.887, abs=0.001)
    assert figures["all_earlier"]["lightgbm"]["roc_auc"] > 0.87
    assert figures["all_earlier"]["lightgbm"]["average_precision"] > average_precision_score(truth, -earlier)
    assert figures["all_earlier"]["isolation_forest"]["roc_auc"] > 0.7
    assert figures["no_labels"]["isolation_forest"]["roc_auc"] > 0.65
    assert figures["no_labels"]["tails"]["roc_auc"] > 0.85


def test_the_table_stands_beside_the_published_figures(benchmark_data, tmp_path, monkeypatch):
    """The command prints each published line and ours with the spread over seeds, and writes the same as JSON."""
    made = {"roc_auc": 0.7, "average_precision": 0.2, "cp_at_100": 0.1}
    seen = []

    def quick(folder, home, *, seed, variant):
        seen.append((folder, seed, variant))
        return {"lightgbm": {name: value + 0.01 * seed for name, value in made.items()}}

    monkeypatch.setattr(wikipedia_bans, "run", quick)
    monkeypatch.setenv("PECULIAR_DATA", str(benchmark_data))
    answer = CliRunner().invoke(main, ["--seeds", "3", "--json", str(tmp_path / "figures.json")])
    assert answer.exit_code == 0, answer.output
    assert seen == [(benchmark_data / "wikipedia_bans", seed, variant) for variant in VARIANTS for seed in range(3)]
    assert all(f"{figure:.3f}" in answer.output for figure in PUBLISHED.values())
    assert "0.710 ± 0.008" in answer.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["no_labels"]["lightgbm"]["average_precision"]["mean"] == pytest.approx(0.21)
