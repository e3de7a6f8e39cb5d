"""Three states of a window, and for how many like it a confirmed one stands."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_labels import windows
from toys import DAY, vectors_of

from peculiar.serving.picks import random_picks
from peculiar.training.labels import Labels, confirmed, read_labels
from peculiar.training.truth import truth_of

SMALL = st.integers(0, 8)
said = st.tuples(
    st.sampled_from("ab"), SMALL, st.integers(1, 4), SMALL, st.booleans(), st.sampled_from([0.01, 0.1, 0.5, 1.0])
)
looked_at = st.tuples(st.sampled_from("abc"), SMALL, st.integers(1, 4))


def labels_of(rows) -> Labels:
    """Labels from tuples (entity, from, length, known_at, value, chance)."""
    columns = {name: [row[n] for row in rows] for n, name in enumerate(("entity", "from", "to", "known_at"))}
    columns["to"] = [row[1] + row[2] for row in rows]
    typed = {name: pa.array(part, pa.string() if name == "entity" else pa.int64()) for name, part in columns.items()}
    typed["verdict"] = pa.array(["confirmed" if row[4] else "cleared" for row in rows], pa.string())
    return read_labels(pa.table({**typed, "chance": pa.array([row[5] for row in rows], pa.float64())}))


def plain_truth(rows, labels, by, most):
    """Walk through what was said by then; each window looks at each label that holds."""
    last = {}
    for label in sorted(labels, key=lambda row: (row[3], row[4], -row[5])):
        if by is None or label[3] <= by:
            last[label[:3]] = label
    told = []
    for who, since, length in rows:
        own = [each for each in last.values() if each[0] == who]
        over = [each for each in own if each[1] < since + length and since < each[1] + each[2]]
        bad = [each[5] for each in over if each[4]]
        told.append((bool(bad), bool(over) and not bad, min(1 / max(bad), most) if bad else 1.0))
    return told


@given(st.lists(looked_at, max_size=12), st.lists(said, max_size=14), st.none() | SMALL, st.sampled_from([1.0, 20.0]))
def test_states_and_weights_are_those_of_the_plain_rule(rows, labels, by, most):
    """On random labels, partial, delayed, replaced and overlapping, every window has the state and weight it should."""
    truth = truth_of(windows(rows), labels_of(labels), known_by=by, most=most)
    found = list(zip(truth.confirmed.tolist(), truth.cleared.tolist(), truth.weight.tolist(), strict=True))
    assert found == plain_truth(rows, labels, by, most)
    assert np.array_equal(truth.confirmed, confirmed(windows(rows), labels_of(labels), known_by=by))
    assert np.array_equal(truth.reviewed, truth.confirmed | truth.cleared)
    assert len(truth) == len(rows)


def test_a_window_nobody_spoke_of_is_unknown():
    """Neither confirmed nor cleared, with the weight of one row; so is one whose label is not known yet."""
    labels = labels_of([("a", 0, 5, 9, True, 1.0), ("b", 0, 5, 3, False, 1.0)])
    truth = truth_of(windows([("a", 0, 5), ("b", 0, 5), ("c", 0, 5)]), labels, known_by=8)
    assert (truth.confirmed.tolist(), truth.cleared.tolist()) == ([False] * 3, [False, True, False])
    assert truth.weight.tolist() == [1.0] * 3


def review(rng, rows: int, share: float) -> tuple[Labels, np.ndarray]:
    """A day on which a model that knows nothing raises alerts, and random picks are drawn; reviewers err nowhere."""
    trouble = rng.random(rows) < 0.03
    vectors = vectors_of(np.zeros((rows, 1)))
    rank = rng.permutation(rows) + 1
    alert = rank <= round(60 * (1 - share))
    most, seed = round(60 * share), int(rng.integers(2**31))
    chance = random_picks(vectors, np.zeros(rows, np.int64), alert, most=most, seed=seed)
    seen = np.flatnonzero(alert | ~np.isnan(chance))
    columns = {"entity": vectors.entity.take(pa.array(seen)).dictionary_decode(), "from": np.zeros(len(seen), np.int64)}
    columns |= {"to": np.full(len(seen), DAY), "label": trouble[seen], "chance": np.where(alert, 1.0, chance)[seen]}
    return read_labels(pa.table(columns)), trouble


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_weights_make_up_for_what_nobody_looked_at(share):
    """Over 300 days the weighted count of trouble is right, to 3 standard errors; the plain count is a small part."""
    rng = np.random.default_rng(0)
    errors, plain = [], []
    for _ in range(300):
        labels, trouble = review(rng, 1500, share)
        vectors = vectors_of(np.zeros((len(trouble), 1)))
        truth = truth_of(vectors, labels, known_by=None, most=np.inf)
        errors.append(truth.weight[truth.confirmed].sum() - trouble.sum())
        plain.append(truth.confirmed.sum() / trouble.sum())
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors))
    assert np.std(errors) / np.sqrt(len(errors)) < 0.1 * 45, "the test is too noisy to show anything"
    assert np.mean(plain) < 0.1


def test_a_bound_on_the_weight_is_kept():
    """A pick of a thousand weighs no more than it may."""
    labels = labels_of([("a", 0, 5, 0, True, 0.001)])
    rows = windows([("a", 0, 5)])
    assert truth_of(rows, labels, known_by=None).weight.tolist() == [20.0]
    assert truth_of(rows, labels, known_by=None, most=1e9).weight.tolist() == [1000.0]
