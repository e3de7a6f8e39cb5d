"""Pasts: a window's own events give its vector again, to the bit, and without some of them another."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ride_toys import DAY, RIDES, START, Counting, rides

from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec
from peculiar.serving.pasts import Pasts

WINDOWS = {
    "1d": WindowSpec("1d", "28d"),
    "1h": WindowSpec("1h", "28d"),
    "event": WindowSpec("event", "28d"),
    "session": WindowSpec(horizon="28d", by="session"),
}
ROLES = Roles("user", "at", id="id", dimensions=("action", "item", "session"), action="action", measures=("amount",))
EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 60 * 24), st.integers(0, 2), st.integers(0, 4), st.integers(0, 1)),
    min_size=1,
    max_size=40,
)


def read(events) -> tuple[EventLog, object]:
    """A log of users who did some of three things with some of five items, at hours of sixty days."""
    user, hour, action, item, session = (list(column) for column in zip(*events, strict=True))
    table = pa.table({
        "user": [f"u{n}" for n in user],
        "at": pa.array([START + n * DAY // 24 for n in hour], pa.timestamp("us", tz="UTC")),
        "id": list(range(len(user))),
        "action": [f"a{n}" for n in action],
        "item": [None if n == 4 else f"i{n}" for n in item],
        "session": [f"s{n}" for n in session],
        "amount": [float(n) for n in hour],
    })  # fmt: skip
    log = EventLog.open(table, ROLES)
    return log, log.read()[0]


@given(events=EVENTS, every=st.sampled_from(list(WINDOWS)))
@settings(max_examples=12)
def test_with_nothing_taken_away_every_vector_is_the_same_to_the_bit(events, every):
    """Days, hours, windows that end with an event, and sessions, all at once, in any order and more than once."""
    log, timeline = read(events)
    plan = FeaturePlan.for_log(timeline, log.roles, WINDOWS[every])
    population = plan.fit(timeline)
    vectors = plan.vectors(timeline, population)
    rows = np.random.default_rng(len(events)).integers(0, len(vectors), len(vectors) + 2)
    chosen, model = vectors.take(rows), SimpleNamespace(plan=plan, population=population)
    pasts = Pasts.of(plan, timeline, chosen)
    there, made = pasts.rebuilt(model, [np.empty(0, np.int64)] * len(rows))
    assert there.all()
    assert np.concatenate([part.values for part in made], axis=1).tobytes() == chosen.values.tobytes()
    assert np.concatenate([part.as_of for part in made]).tolist() == chosen.as_of.tolist()


def test_what_is_taken_away_has_not_happened():
    """Each row is rebuilt without its own events alone, and what it did not look at changes nothing."""
    day = rides(["v1", "v2", "v3"])
    model, pasts = day.model(Counting(RIDES)), Pasts.of(day.plan, day.timeline, day.vectors.take(np.zeros(4, np.intp)))
    last, beyond = pasts.stop[0] - 1, np.array([len(day.timeline) + 5])
    taken = [np.array([last]), np.array([last - 2, last]), np.empty(0, np.int64), beyond]
    assert pasts.scores(model, taken).tolist() == [2.0, 1.0, 3.0, 3.0]


def test_of_an_empty_window_nothing_is_left_to_score():
    """Without all its events a window is gone and scores below everything; others keep their places."""
    day = rides(["v1", "v2"])
    model, pasts = day.model(Counting(RIDES)), Pasts.of(day.plan, day.timeline, day.vectors.take(np.zeros(2, np.intp)))
    taken = [np.arange(pasts.start[0], pasts.stop[0]), np.empty(0, np.int64)]
    assert pasts.scores(model, taken).tolist() == [-np.inf, 2.0]
    assert pasts.rebuilt(model, taken)[0].tolist() == [False, True]


@pytest.mark.parametrize("most", [1, 50])
def test_batches_hold_all_rows_in_their_order(most, monkeypatch):
    """However few events are cut out at once, each row is in one batch, and the scores are the same."""
    day = rides(["v1", "v2", "v3"])
    pasts = Pasts.of(day.plan, day.timeline, day.vectors.take(np.zeros(7, np.intp)))
    nothing = [np.empty(0, np.int64)] * 7
    whole = pasts.scores(day.model(Counting(RIDES)), nothing)
    monkeypatch.setattr("peculiar.serving.pasts._MOST_EVENTS", most)
    assert len(list(pasts.batches())) > 1
    assert np.concatenate(list(pasts.batches())).tolist() == list(range(7))
    assert pasts.scores(day.model(Counting(RIDES)), nothing).tobytes() == whole.tobytes()
