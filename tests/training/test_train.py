"""From a log to a registered champion: the best wins, everything is on record, and nothing half-done is registered."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import IsolationForest as SklearnForest
from sklearn.metrics import average_precision_score, roc_auc_score

from peculiar.audit import verify
from peculiar.errors import ConfigError, LabelError
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.references import load
from peculiar.training.registry import by_alias, champion
from peculiar.training.store import open_store
from peculiar.training.train import train

TINY = IsolationForest(trees=10, group_trees=2, samples=64)  # where it does not matter how well it ranks


def uses(home) -> list[dict]:
    """The lines of the audit record."""
    return [json.loads(line) for line in (home / "audit.jsonl").read_text().splitlines()]


def runs_of(store) -> dict[str, list]:
    """All runs of the experiment by role, the oldest first."""
    found: dict[str, list] = {}
    for run in store.client.search_runs([store.experiment_id], order_by=["attributes.start_time ASC"]):
        found.setdefault(run.data.tags["peculiar.role"], []).append(run)
    return found


@pytest.fixture(scope="module")
def unlabelled(trained, tmp_path_factory):
    """A training without labels in a store of its own."""
    store = open_store(tmp_path_factory.mktemp("unlabelled"))
    return SimpleNamespace(store=store, result=train(trained.log, settings=trained.settings, store=store))


@pytest.fixture(scope="module")
def misled(trained, tmp_path_factory):
    """A training in a store of its own; its labels name harmless windows until the test, the planted ones in it."""
    material = trained.result.material
    rng = np.random.default_rng(0)
    wrong = material.train.take(np.sort(rng.choice(len(material.train), 60, replace=False)))
    right = material.test.take(material.test_truth)
    rows = pa.concat_tables(
        [
            pa.table(
                {
                    "entity": rows.entity.dictionary_decode(),
                    "from": pa.array(rows.since).cast(pa.timestamp("us", "UTC")),
                    "to": pa.array(rows.as_of).cast(pa.timestamp("us", "UTC")),
                    "known_at": pa.array(rows.as_of).cast(pa.timestamp("us", "UTC")),
                }
            )
            for rows in (wrong, right)
        ]
    )
    store = open_store(tmp_path_factory.mktemp("misled"))
    settings = replace(trained.settings, trials=0)
    return SimpleNamespace(store=store, result=train(trained.log, rows, settings=settings, store=store))


@pytest.mark.parametrize("taught", ["trained", "misled"])
def test_the_winner_by_average_precision_is_champion(taught, request):
    """The champion is the kind with the higher average precision on the later period, the other the challenger."""
    given = request.getfixturevalue(taught)
    truth = given.result.material.test_truth
    found = {c.kind: average_precision_score(truth, c.score) for c in given.result.candidates}
    first, second = sorted(found, key=found.get, reverse=True)
    assert champion(given.store).kind == first
    assert by_alias(given.store, "challenger").kind == second
    assert [candidate.kind for candidate in given.result.candidates] == [first, second]
    assert given.result.champion == champion(given.store)


def test_either_detector_can_win(trained, misled):
    """Good labels make LightGBM the champion; labels that mislead it leave the place to the Isolation Forest."""
    assert trained.result.champion.kind == "lightgbm"
    assert misled.result.champion.kind == "isolation_forest"


def test_without_labels_the_forest_alone_is_trained(unlabelled):
    """Nothing can be compared without labels: one version, the forest, champion and no challenger."""
    result, store = unlabelled.result, unlabelled.store
    assert [candidate.kind for candidate in result.candidates] == ["isolation_forest"]
    assert champion(store).kind == "isolation_forest"
    assert by_alias(store, "challenger") is None
    assert len(store.client.search_model_versions("name = 'peculiar'")) == 1
    assert len(runs_of(store)["candidate"]) == 1
    assert "no labels to judge by" in result.summary()
    # No time is set aside for labels to arrive.
    assert result.material.split.gap == 0


def test_without_labels_nothing_is_judged_in_mlflow(unlabelled):
    """The run has importance of features, sizes and the calibration, but no precision-recall curve and no merit."""
    store = unlabelled.store
    run = runs_of(store)["candidate"][0]
    plots = {item.path for item in store.client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {f"plots/{name}" for name in ("importance.png", "calibration.png", "by_week.png", "curves.html")}
    assert {name.split("/")[0] for name in run.data.metrics} == {"data", "calibration"}


def test_a_plain_forest_is_the_baseline(trained, unlabelled):
    """The study tells what scikit-learn's own forest does on the same windows; without labels there is nothing."""
    result = trained.result
    plain = SklearnForest(n_estimators=100, max_samples=256, random_state=0)
    material = result.material
    seen, asked = (np.nan_to_num(vectors.matrix, nan=-1.0) for vectors in (material.unseen, material.test))
    theirs = roc_auc_score(material.test_truth, -plain.fit(seen).score_samples(asked))
    assert result.plain["plain_forest/roc_auc"] == pytest.approx(theirs, abs=0.1)
    metrics = runs_of(trained.store)["study"][0].data.metrics
    assert metrics["plain_forest/average_precision"] == pytest.approx(result.plain["plain_forest/average_precision"])
    assert f"a plain forest: average_precision {result.plain['plain_forest/average_precision']:.3f}" in result.summary()
    assert unlabelled.result.plain == {}


def test_a_training_is_a_study_with_a_run_for_each_candidate(trained):
    """MLflow shows one study, FINISHED, and below it one FINISHED candidate per detector."""
    found = runs_of(trained.store)
    study = found["study"][0]
    assert len(found["study"]) == 1
    assert study.info.run_id == trained.result.run_id
    assert {run.data.tags["peculiar.kind"] for run in found["candidate"]} == {"isolation_forest", "lightgbm"}
    assert {run.data.tags["mlflow.parentRunId"] for run in found["candidate"]} == {study.info.run_id}
    assert {run.info.status for run in [study, *found["candidate"]]} == {"FINISHED"}
    assert study.data.params["champion"] == trained.result.champion.kind
    assert trained.result.summary() in study.data.tags["mlflow.note.content"]


@pytest.mark.parametrize("kind", ["isolation_forest", "lightgbm"])
def test_mlflow_holds_what_is_needed_to_compare(trained, kind):
    """Each candidate's run has settings, metrics of the later period, figures, and the plan's and the data's prints."""
    client, result = trained.store.client, trained.result
    candidate = next(candidate for candidate in result.candidates if candidate.kind == kind)
    run = next(run for run in runs_of(trained.store)["candidate"] if run.data.tags["peculiar.kind"] == kind)
    for name in ("average_precision", "roc_auc", "recall_at_budget", "precision_at_budget"):
        assert run.data.metrics[f"test/{name}"] == pytest.approx(candidate.metrics[f"test/{name}"])
    assert run.data.params["model/kind"] == kind
    assert run.data.params["plan/fingerprint"] == run.data.tags["peculiar.plan"] == result.material.plan.fingerprint
    assert run.data.params["split"] == str(result.material.split)
    there = {
        item.path: item.file_size for folder in ("", "plots") for item in client.list_artifacts(run.info.run_id, folder)
    }
    assert min(there["plots/pr_curve.png"], there["plots/importance.png"]) > 5_000
    assert min(there["card.md"], there["plan.json"]) > 100
    timeline, _, _ = trained.log.read()
    study = client.get_run(result.run_id).inputs.dataset_inputs[0].dataset
    assert study.digest == timeline.fingerprint
    assert json.loads(study.profile)["events"] == len(timeline)
    # Each metric names the events it was measured on: those learned from, or those judged by.
    split, data = result.material.split, {each.tags[0].value: each.dataset for each in run.inputs.dataset_inputs}
    for use, since, until in (
        ("training", split.train_from, split.train_until),
        ("evaluation", split.test_from, split.test_until),
    ):
        part = timeline.since(since).until(until)
        assert data[use].digest == part.fingerprint
        assert json.loads(data[use].profile)["events"] == len(part)
    model_id = run.outputs.model_outputs[0].model_id
    told = {metric.key: metric.dataset_digest for metric in client.get_logged_model(model_id).metrics}
    assert told["data/train_rows"] == data["training"].digest
    assert told["test/average_precision"] == data["evaluation"].digest


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_a_version_leads_to_its_run_and_its_model(trained, alias):
    """Version, logged model and run name one another, and the loaded model is the one that was judged."""
    version = by_alias(trained.store, alias)
    run = trained.store.client.get_run(version.run_id)
    assert run.data.tags["peculiar.kind"] == version.kind
    assert [output.model_id for output in run.outputs.model_outputs] == [version.model_id]
    logged = trained.store.client.get_logged_model(version.model_id)
    assert {metric.key for metric in logged.metrics} >= {"test/average_precision", "test/roc_auc"}
    loaded = load(trained.store, version.uri)
    candidate = next(c for c in trained.result.candidates if c.kind == version.kind)
    assert loaded.model.detector.score(trained.result.material.test).tobytes() == candidate.score.tobytes()
    assert loaded.source.sha256 == version.sha256 == loaded.model.fingerprint
    assert version.plan == trained.result.material.plan.fingerprint
    assert loaded.model.card["kind"] == version.kind
    finite = {name: value for name, value in candidate.metrics.items() if np.isfinite(value)}
    assert loaded.model.card["metrics"] == finite


@pytest.mark.long
def test_the_same_seed_gives_the_same_models(city, trained, tmp_path):
    """A second training with the same seed, search included, on the rows in another order gives the same bytes."""
    from peculiar.features.events import EventLog

    order = np.random.default_rng(0).permutation(len(city.events))
    log, store = EventLog.open(city.events.take(pa.array(order))), open_store(tmp_path)
    again = train(log, city.labels, settings=trained.settings, store=store)
    for ours, theirs in zip(trained.result.candidates, again.candidates, strict=True):
        assert theirs.settings == ours.settings
        assert theirs.score.tobytes() == ours.score.tobytes()
    assert [v.sha256 for v in again.versions] == [v.sha256 for v in trained.result.versions]


def test_a_training_is_on_record(trained):
    """One audit line names the champion, its fingerprint, the data's, and the settings; the chain holds."""
    (line,) = [use for use in uses(trained.store.home) if use["verb"] == "train"]
    version, (timeline, _, _) = trained.result.champion, trained.log.read()
    assert (line["model"], line["version"], line["sha256"]) == (version.name, version.number, version.sha256)
    assert (line["data"], line["rows"]) == (timeline.fingerprint, 30_000)
    assert line["parameters"] == {"seed": 0, "budget": 10, "trials": 2, "every": "1d"}
    assert verify(trained.store.home / "audit.jsonl").torn == ()


def test_the_result_is_plain_data(trained):
    """What `--json` writes holds the split, the counts, the candidates by merit and the champion."""
    told = json.loads(json.dumps(trained.result.to_dict()))
    assert list(told["candidates"]) == [candidate.kind for candidate in trained.result.candidates]
    assert told["champion"]["sha256"] == trained.result.champion.sha256
    assert told["candidates"][trained.result.champion.kind]["aliases"] == ["champion"]
    assert told["train_rows"] == len(trained.result.material.train)
    assert told["data"]["admitted"] == 30_000


def test_a_failing_training_registers_nothing(city, trained, tmp_path):
    """If one candidate fails, the study and that candidate are FAILED, no version exists, and the record has no line.

    The candidate before it was fitted and logged; it must not become a champion that nothing was compared with.
    """
    store = open_store(tmp_path)
    settings = replace(trained.settings, detectors=("lightgbm", "no_such_detector"), trials=0)
    with pytest.raises(ConfigError, match=r"expected a detector among isolation_forest, .*, got 'no_such_detector'"):
        train(trained.log, city.labels, settings=settings, store=store)
    found = runs_of(store)
    assert [run.info.status for run in found["study"]] == ["FAILED"]
    statuses = {run.info.run_name: run.info.status for run in found["candidate"]}
    assert statuses == {"lightgbm": "FINISHED", "no_such_detector": "FAILED"}
    assert store.client.search_registered_models() == []
    assert not (tmp_path / "audit.jsonl").exists()


def test_lightgbm_alone_needs_labels(trained, tmp_path):
    """Asked for nothing but LightGBM and given no labels, the training says so and registers nothing."""
    store = open_store(tmp_path)
    with pytest.raises(ConfigError, match="none of lightgbm can be fitted without confirmed labels"):
        train(trained.log, settings=replace(trained.settings, detectors=("lightgbm",)), store=store)
    assert store.client.search_registered_models() == []


def test_labels_that_cannot_be_tied_to_the_log_are_refused(trained, tmp_path):
    """Labels without an entity or an event are an error before any run is opened."""
    store = open_store(tmp_path)
    with pytest.raises(LabelError, match="expected a column event_id"):
        train(trained.log, pa.table({"colour": ["red"]}), settings=trained.settings, store=store)
    assert runs_of(store) == {}


@pytest.fixture(scope="module")
def again(trained, tmp_path_factory):
    """Three trainings in one store: the first, a second that leaves the champion, a third that takes its place."""
    store = open_store(tmp_path_factory.mktemp("again"))
    settings = replace(trained.settings, detectors=("isolation_forest",), chosen=(TINY,))
    changes = ({}, {"seed": 1}, {"seed": 2, "promote": "always"})
    results = [train(trained.log, settings=replace(settings, **change), store=store) for change in changes]
    return SimpleNamespace(store=store, results=results)


def test_a_champion_in_use_is_not_replaced_unasked(again):
    """A later training makes its best the challenger, says that the champion stays, and how to go on."""
    first, second, _ = again.results
    assert first.standing is None
    assert second.champion.number == second.standing.number == first.champion.number == "1"
    assert second.best.aliases == ("challenger",)
    assert "the champion stays peculiar version 1 (isolation_forest)" in second.summary()
    assert "next: peculiar compare @champion 2, then peculiar promote 2" in second.summary()
    assert second.to_dict()["champion"]["version"] == "1"
    assert second.to_dict()["best"]["version"] == "2"


def test_a_training_may_be_told_to_promote(again):
    """With promote = "always" the newest best is the champion."""
    third = again.results[2]
    assert third.champion == third.best == champion(again.store)
    assert third.best.number == "3"
    assert "the champion stays" not in third.summary()


def test_the_best_trials_are_runs_below_their_candidate(trained):
    """Each complete trial among the best is a run with its settings and its objective; the candidate has the course."""
    found = runs_of(trained.store)
    parent = next(run for run in found["candidate"] if run.data.tags["peculiar.kind"] == "lightgbm")
    trials = next(c.trials for c in trained.result.candidates if c.kind == "lightgbm")
    complete = trials[trials["state"].astype(str) == "COMPLETE"]
    assert {run.data.tags["mlflow.parentRunId"] for run in found["trial"]} == {parent.info.run_id}
    assert sorted(run.data.metrics["tune/objective"] for run in found["trial"]) == sorted(complete["value"])
    assert all("model/leaves" in run.data.params for run in found["trial"])
    history = trained.store.client.get_metric_history(parent.info.run_id, "tune/best")
    assert [point.value for point in history] == complete["value"].cummax().tolist()
    assert [point.step for point in history] == complete["number"].tolist()


def test_verdicts_in_the_project_are_learned_from(trained, tmp_path):
    """Without a file of labels, what reviewers said is what a training knows."""
    from peculiar.training.feedback import take_in

    material = trained.result.material
    bad = material.train.take(material.train_truth)
    time = pa.timestamp("us", "UTC")
    said = {"entity": bad.entity.dictionary_decode(), "since": pa.array(bad.since).cast(time),
            "as_of": pa.array(bad.as_of).cast(time), "verdict": ["confirmed"] * len(bad),
            "reviewer": ["ann"] * len(bad), "reviewed_at": pa.array(bad.as_of).cast(time)}  # fmt: skip
    take_in(pa.table(said), tmp_path)
    settings = replace(trained.settings, detectors=("isolation_forest",), chosen=(TINY,))
    told = train(trained.log, settings=settings, store=open_store(tmp_path)).material
    assert told.train_truth.sum() >= len(bad)
