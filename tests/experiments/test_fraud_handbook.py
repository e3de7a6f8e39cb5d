"""The Fraud Detection Handbook's test, run for real: the protocol is the book's, and the models beat chance."""

from __future__ import annotations

import json
from datetime import timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.errors import ConfigError
from peculiar.experiments import fraud_handbook
from peculiar.experiments.benchmarks import data_folder
from peculiar.experiments.fraud_handbook import PUBLISHED, main, run

TRAINING, FIRST, DAYS = pd.Timestamp("2018-07-25"), pd.Timestamp("2018-08-08"), 7


@pytest.fixture(scope="module")
def result(benchmark_data, tmp_path_factory):
    """One seed: the figures, and the folder they came from. How many rows were judged is noted on the way."""
    home, judged = tmp_path_factory.mktemp("handbook"), []

    def noting(vectors, score, truth):
        judged.append((vectors, truth))
        return judge(vectors, score, truth)

    judge = fraud_handbook.judge
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fraud_handbook, "judge", noting)
        figures = run(benchmark_data / "fraud_handbook", home, seed=0)
    return home, figures, judged


@pytest.mark.benchmark_data
@pytest.mark.long
def test_the_week_is_judged_payment_by_payment(result, benchmark_data):
    """One scored row for each payment of the test week, judged unless the customer was known by then.

    Known is who had a fraud since the training began that was confirmed before the day; held against a plain count, and
    against the number of payments and frauds in the book's protocol.
    """
    home, _, judged = result
    columns = ["event_id", "user_id", "ts"]
    events = pd.read_parquet(benchmark_data / "fraud_handbook" / "events.parquet", columns=columns)
    labels = pd.read_parquet(benchmark_data / "fraud_handbook" / "labels.parquet")
    week = events[(events["ts"] >= FIRST) & (events["ts"] < FIRST + timedelta(DAYS))]
    frauds = labels[labels["is_fraud"] == 1].merge(events, on="event_id")
    known = frauds[frauds["ts"] >= TRAINING].groupby("user_id")["known_at"].min()
    left = week[~(week["user_id"].map(known) <= week["ts"].dt.floor("D"))]
    assert len(pq.read_table(home / "scores.parquet")) == len(week)
    for vectors, truth in judged:
        assert len(vectors) == len(truth) == len(left) == 58_264
        # A payment of the same customer in the same instant as a fraud cannot be told from it.
        assert truth.sum() - left["event_id"].isin(frauds["event_id"]).sum() in (0, 1)


@pytest.mark.benchmark_data
@pytest.mark.long
def test_the_models_are_as_good_as_they_were(result):
    """LightGBM is better than the best published average precision, and so is the forest than those without labels."""
    figures = result[1]
    assert set(figures) == {"isolation_forest", "joint", "lightgbm"}
    assert figures["lightgbm"]["average_precision"] > 0.70
    assert figures["lightgbm"]["roc_auc"] > 0.87
    assert figures["lightgbm"]["cp_at_100"] > 0.29
    assert figures["isolation_forest"]["average_precision"] > 0.45
    assert figures["isolation_forest"]["roc_auc"] > 0.85
    assert figures["isolation_forest"]["cp_at_100"] > 0.25


def test_the_table_stands_beside_the_published_figures(benchmark_data, tmp_path, monkeypatch):
    """The command prints each published line and ours with the spread over seeds, and writes the same as JSON."""
    made = {"roc_auc": 0.7, "average_precision": 0.2, "cp_at_100": 0.1}
    seen = []

    def quick(folder, home, *, seed, variant):
        seen.append((folder, seed, variant))
        return {"lightgbm": {name: value + 0.01 * seed for name, value in made.items()}}

    monkeypatch.setattr(fraud_handbook, "run", quick)
    monkeypatch.setenv("PECULIAR_DATA", str(benchmark_data))
    answer = CliRunner().invoke(main, ["--seeds", "3", "--json", str(tmp_path / "figures.json")])
    assert answer.exit_code == 0, answer.output
    runs = [(seed, variant) for variant in ("book_week", "all_labels") for seed in range(3)]
    assert seen == [(benchmark_data / "fraud_handbook", *each) for each in runs]
    assert all(f"{figure:.3f}" in answer.output for figures in PUBLISHED.values() for figure in figures)
    assert "0.710 ± 0.008" in answer.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["all_labels"]["lightgbm"]["average_precision"]["mean"] == pytest.approx(0.21)


def test_data_that_is_not_there_is_named(tmp_path, monkeypatch):
    """Without the data the error says where it was looked for and how to say where it is."""
    monkeypatch.setenv("PECULIAR_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=r"expected the benchmark fraud_handbook at .*; set PECULIAR_DATA"):
        data_folder("fraud_handbook")
