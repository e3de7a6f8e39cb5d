"""The search for settings: seeded, resumable, judged by what a team would have had, with labels and without."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from toys import DAY, vectors_of

from peculiar.errors import ConfigError, LabelError
from peculiar.training.binned import BinnedRows
from peculiar.training.detectors import DETECTORS
from peculiar.training.folds import Fold, Sampling, recall_at_budget
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.labels import read_labels
from peculiar.training.lightgbm import LightGBM
from peculiar.training.metrics import evaluate
from peculiar.training.rehearsal import Rehearsal
from peculiar.training.search import Search
from peculiar.training.search_space import SPACES, Choice, Span, space_of
from peculiar.training.splits import prequential_folds

START = LightGBM(rounds=20, patience=5, refit=False, threads=1)
FOREST = IsolationForest(trees=100, group_trees=10, samples=256)


def task(known=0):
    """Forty days of rows, and labels of the bad ones that become known so many days after."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(1500, 5))
    day = np.sort(rng.integers(0, 40, 1500))
    bad = np.flatnonzero(matrix[:, 0] + 0.7 * rng.normal(size=1500) > 1.8)
    vectors = vectors_of(matrix, day=day)
    at = vectors.since[bad]
    columns = {"entity": vectors.entity.take(pa.array(bad)), "at": at, "known_at": at + known * DAY + 1}
    return vectors, read_labels(pa.table(columns))


def stage(seed=0, budget=4):
    """Ordinary rows to learn from, and a rehearsal in which one kind shouts in a column and another whispers."""
    rng = np.random.default_rng(seed)
    train = vectors_of(rng.normal(size=(800, 6)), day=np.sort(rng.integers(0, 20, 800)))
    matrix = rng.normal(size=(400, 6))
    case = np.full(400, -1, np.int32)
    case[:20] = np.arange(20)
    matrix[:10, 0] += 6.0
    matrix[10:20, 1:4] += 1.5
    cases = pa.table({"case": range(20), "kind": ["shouts"] * 10 + ["whispers"] * 10})
    later = vectors_of(matrix, day=20 + np.sort(rng.integers(0, 4, 400)))
    return train, Rehearsal(later, case, cases, budget)


def timeless(found):
    """The trials without what a clock says."""
    return found.trials.drop(columns="seconds")


def test_it_is_seeded_and_tells_all_trials():
    """The same seed finds the same settings; the table has a row per trial, the first of them the start."""
    vectors, labels = task()
    folds = prequential_folds(vectors, folds=3)
    told = []
    run = [Search(6, start=START).run(vectors, labels, folds=folds, seed=1) for _ in range(2)]
    more = Search(6, start=START).run(
        vectors, labels, folds=folds, seed=2, progress=lambda n, best: told.append((n, best))
    )
    assert run[0].settings == run[1].settings
    assert timeless(run[0]).equals(timeless(run[1]))
    assert not timeless(run[0]).equals(timeless(more))
    assert len(run[0].trials) == 6
    assert run[0].trials.loc[0, "params_leaves"] == START.leaves
    assert {f"params_{name}" for name in SPACES["lightgbm"]} < set(run[0].trials.columns)
    assert [number for number, _ in told] == list(range(1, 7))
    complete = more.trials[more.trials["state"] == "COMPLETE"]
    assert told[-1][1] == more.value == complete["value"].max() == more.best_trials.loc[0, "value"]
    assert more.best_trials["value"].tolist() == sorted(complete["value"], reverse=True)[:5]


def test_the_best_is_no_worse_than_the_start():
    """The start is among the trials, so the search cannot end below it."""
    vectors, labels = task()
    found = Search(5, start=START).run(vectors, labels, folds=prequential_folds(vectors, folds=2), seed=3)
    assert found.value >= found.trials.loc[0, "value"] > 0.3
    assert found.settings.rounds == START.rounds


def test_a_search_goes_on_where_it_stopped(tmp_path):
    """Interrupted after some trials, within one, and within a line of the file, it tries what one run would have."""
    vectors, labels = task()
    folds = prequential_folds(vectors, folds=3)
    whole = Search(14, start=START).run(vectors, labels, folds=folds, seed=4)
    assert (whole.trials["state"] == "PRUNED").any()
    path = tmp_path / "kept" / "study.log"

    def stop(number, _):
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Search(14, start=START, study_path=path).run(vectors, labels, folds=folds, seed=4, progress=stop)
    judge, judged = Fold.judge, []

    def broken(self, tried, seed):
        judged.append(tried)
        if len(judged) == 11:
            raise KeyboardInterrupt
        return judge(self, tried, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fold, "judge", broken)
        with pytest.raises(KeyboardInterrupt):
            Search(14, start=START, study_path=path).run(vectors, labels, folds=folds, seed=4)
    with path.open("ab") as file:
        file.write(b'{"op_code": 5, "wor')
    resumed = Search(14, start=START, study_path=path).run(vectors, labels, folds=folds, seed=4)
    assert timeless(resumed).equals(timeless(whole))
    assert resumed.settings == whole.settings
    again = Search(14, start=START, study_path=path).run(
        vectors, labels, folds=folds, seed=4, progress=lambda *_: pytest.fail("there was nothing left to do")
    )
    assert again.trials.equals(resumed.trials)


def test_the_first_trial_is_the_start_even_if_it_was_interrupted(tmp_path):
    """A run that is killed in its first trial leaves none, and the next begins with the start again."""
    vectors, labels = task()
    folds = prequential_folds(vectors, folds=2)
    path = tmp_path / "study.log"

    def broken(self, tried, seed):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fold, "judge", broken)
        with pytest.raises(KeyboardInterrupt):
            Search(2, start=START, study_path=path).run(vectors, labels, folds=folds, seed=0)
    found = Search(2, start=START, study_path=path).run(vectors, labels, folds=folds, seed=0)
    assert found.trials["number"].tolist() == [0, 1]
    assert found.trials.loc[0, "params_learning_rate"] == START.learning_rate


@pytest.mark.parametrize("what", ["seed", "labels", "rows", "folds", "objective", "start", "sampling"])
def test_another_setup_is_another_study(tmp_path, what):
    """A file keeps a study for each setup: what any part of it was tried on is not mixed with another's."""
    vectors, labels = task()
    chosen = {"folds": prequential_folds(vectors, folds=2), "seed": 0}
    search = Search(1, start=START, study_path=tmp_path / "study.log")
    search.run(vectors, labels, **chosen)
    if what == "rows":
        vectors = replace(vectors, values=vectors.values + np.float32(1e-3))
    if what == "labels":
        labels = replace(labels, table=labels.table.slice(1))
    chosen |= {"seed": {"seed": 1}, "folds": {"folds": chosen["folds"][1:]}}.get(what, {})
    other = {"objective": {"objective": "recall_at_budget", "budget": 1}, "start": {"start": replace(START, l1=1.0)},
             "sampling": {"sampling": Sampling(rows=200)}}.get(what, {})  # fmt: skip
    told = []
    replace(search, **other).run(vectors, labels, **chosen, progress=lambda number, _: told.append(number))
    assert told == [1]


def test_recall_within_the_budget_can_be_searched():
    """With recall as the objective the value of the start is the mean of the folds' recalls."""
    vectors, labels = task()
    folds = prequential_folds(vectors, folds=2)
    found = Search(1, start=START, objective="recall_at_budget", budget=2).run(vectors, labels, folds=folds, seed=0)
    values = []
    for split in folds:
        fold = Fold.of((vectors, labels), split, START, measure=("recall_at_budget", 2),
                       sampling=Sampling(), seed=0, since=None)  # fmt: skip
        score = BinnedRows.of(fold.train, fold.truth, fold.weight).fit(START, seed=0)(fold.test.matrix)
        day = (fold.test.as_of - 1) // DAY
        plain = evaluate(fold.judged_by, score, day=day, entity=fold.test.entity, budget=2)
        values.append(plain["budget/recall"])
    assert found.value == pytest.approx(np.mean(values))
    assert 0.1 < found.value < 1.0


@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3), st.integers(1, 4)), min_size=1),
    budget=st.integers(1, 6),
)
def test_a_row_that_stands_for_several_takes_their_places(rows, budget):
    """Recall within the budget, with rows that stand for several, is that of the log with each so many times."""
    y, score, day, times = (np.array(column) for column in zip(*rows, strict=True))
    y, times = y.astype(np.bool_), np.where(y, 1, times)
    vectors = vectors_of(np.zeros((len(y), 1)), day=day)
    found = recall_at_budget(y, score.astype(float), vectors, budget=budget, counts=times.astype(float))
    rows = np.repeat(np.arange(len(y)), times)
    entity = vectors.entity.take(pa.array(rows))
    plain = evaluate(y[rows], score[rows].astype(float), day=day[rows], entity=entity, budget=budget)
    assert found == pytest.approx(plain["budget/recall"], nan_ok=True)


def test_a_fit_on_bins_is_the_detectors_own():
    """On all rows, a fit on bins made once scores as the detector's fit without a refit, whatever was fitted before."""
    vectors, _ = task()
    truth = vectors.values[0] + 0.5 * vectors.values[1] > 1.2
    binned = BinnedRows.of(vectors, truth, np.ones(len(vectors)))
    tries = [
        replace(START, min_leaf=60, positive_weight=9.0),
        replace(START, min_leaf=5, leaves=15),
        replace(START, last_part=0.0, rounds=7),
    ]
    for tried in [*tries, *tries[::-1]]:
        ours = binned.fit(tried, seed=3)(vectors.matrix)
        assert np.array_equal(ours, tried.fit(vectors, truth, seed=3).score(vectors))


@settings(max_examples=20)
@given(rows=st.integers(1, 900), seed=st.integers(0, 99))
def test_rows_that_are_left_out_are_stood_for(rows, seed):
    """All confirmed rows are kept, and the others' weights add up to the others there were."""
    vectors, labels = task()
    split = prequential_folds(vectors, folds=2)[1]
    made = [
        Fold.of((vectors, labels), split, START, measure=("average_precision", 1), sampling=sampling, seed=seed,
                since=None)
        for sampling in (Sampling(), Sampling(rows=rows, judged=rows))
    ]  # fmt: skip
    whole, few = made
    assert few.truth.sum() == whole.truth.sum()
    assert few.judged_by.sum() == whole.judged_by.sum()
    assert few.weight[~few.truth].sum() == pytest.approx((~whole.truth).sum())
    assert few.counts[~few.judged_by].sum() == pytest.approx((~whole.judged_by).sum())
    assert len(few.train) <= max(rows, 3 * whole.truth.sum()) or len(few.train) == len(whole.train)
    assert whole.fingerprint == made[0].fingerprint
    assert set(few.weight[few.truth].tolist()) == {1.0}


def test_the_order_of_rows_changes_no_trial():
    """Rows in another order are thinned, fitted and judged alike."""
    vectors, labels = task()
    mixed = vectors.take(np.random.default_rng(1).permutation(len(vectors)))
    search = Search(3, start=START, sampling=Sampling(rows=300, judged=200))
    found = [search.run(rows, labels, folds=prequential_folds(rows, folds=2), seed=1) for rows in (vectors, mixed)]
    assert found[0].trials["value"].tolist() == pytest.approx(found[1].trials["value"].tolist(), rel=1e-9)


def test_a_detector_without_labels_is_searched_by_labels_too():
    """The forest is fitted without labels, on rows from a moment on, and judged by the labels."""
    vectors, labels = task()
    folds = prequential_folds(vectors, folds=2)
    found = Search(3, start=FOREST).run(vectors, labels, folds=folds, seed=0, acquainted=8 * DAY)
    assert isinstance(found.settings, IsolationForest)
    split = folds[0]
    fitted = FOREST.fit(split.train(vectors).between(8 * DAY, None), seed=0)
    test = split.test(vectors)
    fold = Fold.of((vectors, labels), split, FOREST, measure=("average_precision", 1), sampling=Sampling(), seed=0,
                   since=8 * DAY)  # fmt: skip
    expected = average_precision_score(fold.judged_by, fitted.score(test))
    assert fold.judge(FOREST, 0).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        ("rehearsal_gain", "gain"),
        pytest.param("rehearsal_recall", "mean", marks=pytest.mark.long),
        pytest.param("rehearsal_credit", "credit", marks=pytest.mark.long),
    ],
)
def test_a_rehearsal_is_searched_without_labels(tmp_path, objective, told):
    """The value is the rehearsals' mean, each kind's recall stands beside it, and a witness is heard, not followed."""
    (train, first), (_, second) = stage(0), stage(1)
    search = Search(4, start=FOREST, objective=objective, study_path=tmp_path / "study.log")
    found = search.rehearsed(train, [first, second], seed=0, witness=lambda fitted: float(fitted.settings.samples))
    scores = [FOREST.fit(train, seed=0).score(each.vectors) for each in (first, second)]
    measured = [getattr(each, told)(score) for each, score in zip((first, second), scores, strict=True)]
    start = found.trials.loc[0]
    assert start["value"] == pytest.approx(np.mean(measured))
    assert start["kind_shouts"] == pytest.approx(np.mean([first.recall(scores[0])["shouts"],
                                                          second.recall(scores[1])["shouts"]]))  # fmt: skip
    assert {"kind_shouts", "kind_whispers"} < set(found.trials.columns)
    assert found.trials["labelled"].tolist() == found.trials["params_samples"].tolist()
    assert found.value >= start["value"]
    assert found.objective == objective
    again = replace(search, trials=6).rehearsed(train, [first, second], seed=0, witness=lambda _: 0.0)
    assert timeless(again).head(4).equals(timeless(found))


def test_labels_not_known_in_time_are_not_learned():
    """When labels become known only after each test begins, no fold can be learned from, and it says so."""
    vectors, labels = task(known=100)
    with pytest.raises(LabelError, match="none of 2 folds has confirmed"):
        Search(2, start=START).run(vectors, labels, folds=prequential_folds(vectors, folds=2), seed=0)


def test_time_limits_the_search():
    """After its time no further trial begins."""
    vectors, labels = task()
    found = Search(500, seconds=0.2, start=START).run(
        vectors, labels, folds=prequential_folds(vectors, folds=2), seed=0
    )
    assert 1 <= len(found.trials) < 100


def test_what_cannot_be_searched():
    """Numbers below one, unknown objectives, and an objective of the other way of searching are refused."""
    vectors, labels = task()
    train, rehearsal = stage()
    folds = prequential_folds(vectors, folds=2)
    with pytest.raises(ConfigError, match=r"search\.trials is 0"):
        Search(0)
    with pytest.raises(ConfigError, match=r"search\.budget is 0"):
        Search(budget=0)
    with pytest.raises(ConfigError, match="among average_precision, recall_at_budget, rehearsal_recall"):
        Search(objective="luck")
    with pytest.raises(ConfigError, match=r"Search\.rehearsed\(\)"):
        Search(start=START, objective="rehearsal_recall").run(vectors, labels, folds=folds, seed=0)
    with pytest.raises(ConfigError, match=r"Search\.run\(\)"):
        Search(start=FOREST).rehearsed(train, [rehearsal], seed=0)
    with pytest.raises(ConfigError, match="at least one rehearsal"):
        Search(start=FOREST, objective="rehearsal_credit").rehearsed(train, [], seed=0)


@pytest.mark.parametrize("kind", sorted(SPACES))
def test_spaces_are_of_settings_that_exist(kind):
    """Every line of a space is a setting of the detector, and its default is in it."""
    made = DETECTORS[kind]()
    names = {each.name for each in fields(made)}
    assert set(SPACES[kind]) <= names
    assert space_of(made) == SPACES[kind]


def test_a_space_reaches_to_the_start():
    """Settings outside the usual space are in the space of a search that starts from them."""
    space = space_of(LightGBM(leaves=500, l1=50.0))
    assert space["leaves"] == Span(4, 500, log=True)
    assert space["l1"] == Span(0.0, 50.0)
    assert Choice(("a", "b")).around("c") == Choice(("a", "b", "c"))
    assert Span(1.0, 9.0, log=True).around(0.0) == Span(0.0, 9.0)
    vectors, labels = task()
    start = replace(START, leaves=300)
    found = Search(2, start=start).run(vectors, labels, folds=prequential_folds(vectors, folds=2), seed=0)
    assert found.trials.loc[0, "params_leaves"] == 300
