"""The measurement of the search without labels does what it says, at a size that takes no time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from peculiar.experiments.rehearsal import main, payments, simulated
from peculiar.training.isolation_forest import IsolationForest


@pytest.mark.long
def test_the_command_writes_every_figure(tmp_path):
    """A tiny search tells what labels say of the defaults and of what was found, by kind, and how figures agree."""
    out = tmp_path / "rehearsal.json"
    options = ["--log", "simulated", "--events", "15000", "--trials", "2", "--per-kind", "3", "--json", str(out)]
    done = CliRunner().invoke(main, [*options, "--kind", "payments", "--kind", "burst"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(out.read_text()).values()
    assert found["agreement"]["n"] == len(found["trials"]) == 2
    for side in ("default", "found"):
        assert set(found[side]["kinds"]["kind"]) == {"high_amounts", "new_device_high_amounts", "burst"}
        assert 0.0 < found[side]["labelled"]["average_precision"] <= 1.0
    assert "known_trouble" in found["left_out"]
    assert found["best_trial"] >= max(0.0, *(trial["labelled"] for trial in found["trials"][:1]))
    assert "Spearman" in done.output


def test_labels_judge_and_nothing_else():
    """The task's periods follow each other, and its judgement is that of the truth."""
    task = simulated(15_000, per_kind=2)
    assert task.train.as_of.max() <= task.rehearsal.vectors.since.min()
    assert task.rehearsal.vectors.as_of.max() <= task.test.since.min()
    fitted = IsolationForest(trees=20, group_trees=5, samples=256).fit(task.train, seed=0)
    assert 0 < task.truth.sum() < len(task.truth)
    assert task.judge(fitted)["roc_auc"] > 0.5


@pytest.mark.benchmark_data
@pytest.mark.long
def test_the_payments_are_staged(benchmark_data):
    """Of the book's payments a week is learned, the next rehearsed with known trouble, and the one after judged."""
    import datetime as dt

    task = payments(benchmark_data / "fraud_handbook", dt.date(2018, 7, 4), per_kind=3)
    assert set(task.rehearsal.kinds) == {"high_amounts", "new_device_high_amounts", "known_trouble"}
    assert task.truth.sum() == pytest.approx(416, abs=30)
    days = np.unique((task.test.as_of - 1) // 86_400_000_000)
    assert len(days) == 7
