"""What every detector promises."""

from __future__ import annotations

import ast
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import awkward, feature, vectors_of

import peculiar.training
from peculiar.errors import BundleError, PlanMismatchError
from peculiar.training.detector import Detector, FittedDetector
from peculiar.training.detectors import DETECTORS, FITTED, load_detector, save_detector
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.joint import Joint
from peculiar.training.lightgbm import LightGBM
from peculiar.training.tails import Tails

SMALL = {
    "grove": IsolationForest(trees=20, group_trees=10, samples=128),
    "forest": IsolationForest(trees=20, samples=128, grove=False),
    "lightgbm": LightGBM(rounds=30, patience=10),
    "joint": Joint(rounds=30, min_leaf=20),
    "tails": Tails(),
}


@pytest.fixture(scope="module", params=SMALL)
def detector(request):
    """Each kind of detector, small."""
    return SMALL[request.param]


@pytest.fixture(scope="module")
def fitted(detector):
    """The detector fitted on awkward vectors."""
    vectors, labels = awkward()
    return detector.fit(vectors, labels, seed=3)


def kinds_on_disk() -> set[tuple[str, str]]:
    """Kind and class name of every class in training/ that gives itself a kind, read without importing it."""
    found = set()
    for path in Path(next(iter(peculiar.training.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for line in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == "kind" and line.value is not None:
                    found.add((ast.literal_eval(line.value), node.name))
    return found


def test_every_detector_on_disk_is_registered_and_tested():
    """A class with a kind of its own cannot be in training/ without being in the registry and under these tests."""
    registered = {(kind, c.__name__) for table in (DETECTORS, FITTED) for kind, c in table.items()}
    assert kinds_on_disk() == registered
    assert {type(each) for each in SMALL.values()} == set(DETECTORS.values())
    assert all(c.kind == kind for table in (DETECTORS, FITTED) for kind, c in table.items())


def test_it_keeps_the_protocol(detector, fitted):
    """Detector and fitted detector have the methods that the rest of the package calls."""
    assert isinstance(detector, Detector)
    assert isinstance(fitted, FittedDetector)


def test_it_is_seeded(detector, fitted):
    """The same rows and seed give the same scores to the last bit; another gives others, if anything is drawn."""
    vectors, labels = awkward()
    assert np.array_equal(detector.fit(vectors, labels, seed=3).score(vectors), fitted.score(vectors))
    again = detector.fit(vectors, labels, seed=4).score(vectors)
    assert np.array_equal(again, fitted.score(vectors)) == (detector.kind == "tails")


def test_it_is_pure(detector):
    """Fitting, scoring and explaining leave the vectors as they were."""
    vectors, labels = awkward()
    before = vectors.values.copy()
    again = detector.fit(vectors, labels, seed=3)
    again.score(vectors)
    again.contributions(vectors)
    assert np.array_equal(vectors.values, before, equal_nan=True)


def test_order_of_rows_changes_nothing(detector, fitted):
    """Shuffled rows give the same fitted detector, and each row the same score."""
    vectors, labels = awkward()
    order = np.random.default_rng(1).permutation(len(vectors))
    again = detector.fit(vectors.take(order), labels[order], seed=3)
    assert np.array_equal(again.score(vectors.take(order)), fitted.score(vectors)[order])


def test_a_row_is_scored_alone(fitted):
    """The score of a row does not depend on which rows come with it."""
    vectors, _ = awkward()
    alone = np.concatenate([fitted.score(vectors.take(np.array([row]))) for row in range(70)])
    assert np.array_equal(alone, fitted.score(vectors)[:70])


def test_zero_rows(fitted):
    """No rows give no scores and no contributions."""
    nothing = awkward()[0].take(np.zeros(0, np.intp))
    assert fitted.score(nothing).shape == (0,)
    assert fitted.contributions(nothing).values.shape == (0, 9)


def test_scores_are_finite_whatever_comes(fitted):
    """Extremes, nulls everywhere and values where the fit saw none or only one still get a number."""
    largest = float(np.finfo(np.float32).max)
    matrix = np.stack([np.full(9, value) for value in (largest, -largest, np.nan, 0.0, 1e-45)])
    scores = fitted.score(replace(vectors_of(matrix), features=awkward()[0].features))
    assert np.isfinite(scores).all()


def test_confirmed_rows_score_higher(fitted):
    """Higher is more anomalous: rows moved by three sigma in two features score above the others on average."""
    vectors, labels = awkward(seed=1)
    scores = fitted.score(vectors)
    assert np.median(scores[labels]) > np.median(scores[~labels])


def test_contributions_sum_to_the_score(fitted):
    """Base and contributions add up to the score to 1e-9, and the family named is one of the plan's."""
    vectors, _ = awkward()
    parts = fitted.contributions(vectors)
    assert parts.values.shape == (len(vectors), 9)
    np.testing.assert_allclose(parts.base + parts.values.sum(axis=1), fitted.score(vectors), rtol=1e-9, atol=1e-12)
    assert set(parts.family) <= set(vectors.families())
    assert len(parts.family) == len(vectors)


def test_a_constant_column_is_credited_with_nothing(fitted):
    """A feature that never varied in the fit cannot have moved a score."""
    assert not fitted.contributions(awkward()[0]).values[:, 3].any()


def test_it_round_trips_through_its_folder(fitted, tmp_path):
    """Saved and loaded, it gives the same scores and contributions to the last bit."""
    vectors, _ = awkward()
    fitted.save(tmp_path)
    again = load_detector(tmp_path)
    assert type(again) is type(fitted)
    assert again.settings == fitted.settings
    assert np.array_equal(again.score(vectors), fitted.score(vectors))
    assert np.array_equal(again.contributions(vectors).values, fitted.contributions(vectors).values)


def test_saving_twice_gives_the_same_bytes(fitted, tmp_path):
    """A loaded detector saves what it was loaded from, byte for byte."""
    first, second = tmp_path / "first", tmp_path / "second"
    save_detector(fitted, first)
    save_detector(load_detector(first), second)
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_a_folder_in_use_is_refused(fitted, tmp_path):
    """Nothing is written over what is already there."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="expected an empty folder"):
        save_detector(fitted, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_its_folder_holds_data_only(fitted, tmp_path):
    """No file of a saved detector is a pickle, and nothing but JSON, Arrow and LightGBM's text is in it."""
    fitted.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".arrow", ".txt"}
    for path in tmp_path.iterdir():
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, AttributeError)):
            pickle.loads(path.read_bytes())  # noqa: S301  # our own file, to see it fail


def test_other_features_are_refused(fitted):
    """Vectors of another plan get an error that names the feature, not a wrong score."""
    vectors, _ = awkward()
    other = replace(vectors, features=(*vectors.features[:-1], feature("other", "family 2")))
    with pytest.raises(PlanMismatchError, match="expected 'f8', got 'other'"):
        fitted.score(other)


def test_a_folder_cannot_choose_what_is_imported(tmp_path):
    """An unknown kind is refused with the kinds that are known; so are a missing file and one that is no JSON."""
    with pytest.raises(BundleError, match="does not name a detector"):
        load_detector(tmp_path)
    (tmp_path / "detector.json").write_text(json.dumps({"kind": "os.system"}))
    with pytest.raises(BundleError, match="isolation_forest, joint, lightgbm, tails"):
        load_detector(tmp_path)
    (tmp_path / "detector.json").write_text("{")
    with pytest.raises(BundleError, match="does not name a detector"):
        load_detector(tmp_path)


def test_a_missing_file_is_named(fitted, tmp_path):
    """A folder that lost a file gives an error with the file's name."""
    fitted.save(tmp_path)
    lost = next(path for path in sorted(tmp_path.iterdir()) if path.name != "detector.json")
    lost.unlink()
    with pytest.raises(BundleError, match=lost.name):
        load_detector(tmp_path)
