"""Windows judged afresh: the scores are those of batch scoring, and the truth that of the labels in hindsight."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from peculiar.errors import SchemaError
from peculiar.serving.judging import judged_on, windows_of
from peculiar.serving.scoring import score_batch
from peculiar.training.judged import about_judged
from peculiar.training.references import load

DAY = 86_400_000_000
FIRST = date(2025, 2, 10)
SINCE = (FIRST - date(1970, 1, 1)).days * DAY


@pytest.fixture(scope="module")
def model(trained):
    """The champion, as it comes out of the registry."""
    return load(trained.store, "models:/peculiar@champion").model


def test_the_scores_are_those_of_batch_scoring(trained, city, model):
    """Days in the zone, scores and p-values to the last bit; what was asked for stands in the metadata."""
    until = FIRST + timedelta(days=3)
    judged = judged_on(city.events, labels=city.labels, days=(FIRST, until), budget=7)
    table = judged(trained.store, trained.result.champion)
    want = score_batch(model, city.events, labels=city.labels, since=SINCE, until=SINCE + 3 * DAY, explain=0)
    for name in ("entity", "since", "as_of", "score", "p_value"):
        assert table[name].combine_chunks().equals(want.table[name].combine_chunks()), name
    assert set(table["day"].to_pylist()) == {SINCE // DAY + n for n in range(3)}
    about = about_judged(table)
    assert (about["budget"], about["zone"], about["data"]) == (7, "UTC", want.fingerprint)
    assert about["plan"] == model.plan.fingerprint


def test_the_truth_is_what_is_known_in_hindsight(city, model):
    """A window is confirmed if a label overlaps it, also one that was known later; looked up row by row."""
    table = windows_of(model, city.events, labels=city.labels, period=(SINCE, SINCE + 3 * DAY), budget=5)
    trouble = [(row["entity"], row["from"], row["to"]) for row in city.labels.to_pylist()]
    at = {row["event_id"]: row["ts"] for row in city.events.select(["event_id", "ts"]).to_pylist()}
    for n, row in enumerate(city.labels.to_pylist()):
        if row["from"] is None:  # about one event
            trouble[n] = (row["entity"], at[row["event_id"]], at[row["event_id"]] + timedelta(microseconds=1))
    want = [
        any(who == row["entity"] and begin < row["as_of"] and end > row["since"] for who, begin, end in trouble)
        for row in table.to_pylist()
    ]
    assert table["confirmed"].to_pylist() == want
    assert 0 < sum(want) < len(want)
    assert not any(table["cleared"].to_pylist())


def test_without_labels_nothing_is_known(city, model):
    """And without a period every window is judged."""
    table = windows_of(model, city.events, labels=None, period=(None, SINCE - 30 * DAY), budget=5)
    assert table["confirmed"].null_count == len(table) > 0
    assert np.isfinite(table["score"].to_numpy()).all()


def test_events_that_do_not_fit_are_refused(model):
    """Before anything is judged."""
    with pytest.raises(SchemaError, match="expected a column"):
        windows_of(model, pa.table({"user_id": ["ann"]}), labels=None, period=(None, None), budget=5)
