"""Replay: what a window scores without its evidence, and how little of it would have been enough."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ride_toys import RIDES, VEHICLES, Counting, Unmoved, rides, told

from peculiar.serving.pasts import Pasts
from peculiar.serving.replay import replay, smallest_change

TEN = [f"v{n}" for n in range(1, 11)]


def line_at(*scores: float) -> np.ndarray:
    """The lines of some rows."""
    return np.array(scores, np.float64)


def test_no_more_is_taken_away_than_about_what_helps():
    """Of ten rides on ten vehicles, each of which bears the same, five are left, and five is below the line."""
    ten = rides(TEN)
    done = replay(ten.model(Counting(VEHICLES)), ten.timeline, ten.vectors, [[told(VEHICLES, seen=10)]], line_at(5.5))
    assert done.after.tolist() == [5.0]
    assert done.below.tolist() == [True]
    assert len(done.taken[0]) == 5
    (reason,) = done.reasons[0]
    assert not reason.weak
    assert reason.text == "many"
    assert ten.named(reason.events) == [f"last{n}" for n in range(10)]


def test_where_all_would_have_to_go_all_are_taken_away():
    """Two rides on two vehicles, and a line that one vehicle is not below: the window is emptied, and says so."""
    two = rides(TEN[:2])
    done = replay(two.model(Counting(VEHICLES)), two.timeline, two.vectors, [[told(VEHICLES, seen=2)]], line_at(1.0))
    assert (done.after.tolist(), done.below.tolist()) == ([-np.inf], [True])
    assert two.named(done.taken[0]) == ["last0", "last1"]


def test_what_stands_without_its_evidence_says_that_it_is_weak():
    """Where nothing that is taken away lowers the score, the row stays above the line, and each reason says so."""
    other = rides([*TEN, *["v0"] * 5])
    reasons = [[told("vehicle_new_count_1d", seen=10)]]
    done = replay(other.model(Unmoved()), other.timeline, other.vectors, reasons, line_at(5.5))
    assert (done.after.tolist(), done.below.tolist()) == ([9.0], [False])
    (reason,) = done.reasons[0]
    assert reason.weak
    assert reason.text == "many; weak: taking these events away would not change the alert"


def test_a_window_of_nothing_but_evidence_is_gone_without_it():
    """Of a day without events there is no vector: it scores below every line."""
    ten = rides(TEN)
    reasons = [[told(VEHICLES, seen=10), told(RIDES, seen=10, unit="events")]]
    done = replay(ten.model(Unmoved()), ten.timeline, ten.vectors, reasons, line_at(5.5))
    assert (done.after.tolist(), done.below.tolist()) == ([-np.inf], [True])
    assert ten.named(done.taken[0]) == [f"last{n}" for n in range(10)]


def test_what_is_no_alert_is_not_put_to_the_test():
    """A row without a line keeps its reasons and gets their events; nothing is scored."""
    ten = rides(TEN)
    done = replay(
        ten.model(Counting(VEHICLES)), ten.timeline, ten.vectors, [[told(VEHICLES, seen=10)]], line_at(np.nan)
    )
    assert np.isnan(done.after[0])
    assert not done.below[0]
    assert not len(done.taken[0])
    assert len(done.reasons[0][0].events) == 10
    assert not done.reasons[0][0].weak


def test_an_alert_without_reasons_stands():
    """Where nothing is told, nothing is taken, and nothing is scored anew: the row is not below the line."""
    ten = rides(TEN)
    done = replay(ten.model(Counting(VEHICLES)), ten.timeline, ten.vectors, [[]], line_at(5.5))
    assert np.isnan(done.after[0])
    assert (done.below.tolist(), done.reasons) == ([False], [[]])


@given(vehicles=st.integers(2, 12), again=st.integers(0, 3), line=st.integers(2, 12))
@settings(max_examples=25)
def test_the_smallest_change_is_the_smallest(vehicles, again, line):
    """So many vehicles must be gone that fewer than the line are left: that many events suffice, and one less do not.

    More rides on the last vehicle, which are no evidence of how many vehicles there were, hide nothing.
    """
    line = min(line, vehicles)
    ridden = rides([f"v{n}" for n in range(1, vehicles + 1)] + [f"v{vehicles}"] * again)
    model, lines = ridden.model(Counting(VEHICLES)), line_at(line)
    reasons = replay(model, ridden.timeline, ridden.vectors, [[told(VEHICLES, seen=vehicles)]], lines).reasons
    (change,) = smallest_change(model, ridden.timeline, ridden.vectors, reasons, lines)
    pasts = Pasts.of(ridden.plan, ridden.timeline, ridden.vectors)
    assert change is not None
    enough = pasts.scores(model, [np.array(change.events, np.int64)])[0]
    too_few = pasts.scores(model, [np.array(change.events[:-1], np.int64)])[0]
    assert enough < line <= too_few
    assert change.fewer == len(change.events) == vehicles - line + 1
    assert (change.feature, change.seen, change.then) == (VEHICLES, vehicles, line - 1)


def test_the_smallest_change_is_told_in_words():
    """How many events of how many, and what the told number would have been."""
    ten = rides(TEN)
    model, line = ten.model(Counting(VEHICLES)), line_at(6.0)
    reasons = replay(model, ten.timeline, ten.vectors, [[told(VEHICLES, seen=10)]], line).reasons
    (change,) = smallest_change(model, ten.timeline, ten.vectors, reasons, line)
    assert change.text == (
        "with 5 of these 10 events fewer it would not have been an alert: 5 instead of 10 different vehicles"
    )


def test_where_all_of_the_evidence_is_not_enough_there_is_no_change():
    """What would be an alert without any of its evidence, and what is none, have no smallest change."""
    other = rides([*TEN, *["v0"] * 5])
    model = other.model(Unmoved())
    reasons = [[told("vehicle_new_count_1d", seen=10)]]
    for line in (line_at(5.5), line_at(np.nan)):
        events = replay(model, other.timeline, other.vectors, reasons, line).reasons
        assert smallest_change(model, other.timeline, other.vectors, events, line) == [None]
