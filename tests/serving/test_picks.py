"""Random picks: so many a day, each with the chance it says, and the same ones whatever the order of rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.errors import ConfigError
from peculiar.features.vectors import Vectors
from peculiar.serving.picks import Exploration, Picks, random_picks

HOUR = 3_600_000_000
DAY = 24 * HOUR
seen = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=40
)


def windows(rows) -> tuple[Vectors, np.ndarray, np.ndarray]:
    """Vectors of an hour each from tuples (entity, day, hour, alert), with day and alert as arrays."""
    who, day, hour, alert = (list(part) for part in zip(*rows, strict=True)) if rows else ([],) * 4
    end = np.array(day, np.int64) * DAY + (np.array(hour, np.int64) + 1) * HOUR
    entity = pa.array(who, pa.string()).dictionary_encode()
    made = Vectors(entity, end - HOUR, end, np.zeros((0, len(rows)), np.float32), (), "toy")
    return made, np.array(day, np.int64), np.array(alert, np.bool_)


@given(seen, st.integers(0, 4), st.integers(0, 2**64))
def test_so_many_a_day_and_each_with_its_chance(rows, most, seed):
    """No alert is drawn, an entity once a day at most, as many as there may be; the chance is that of the draw."""
    vectors, day, alert = windows(rows)
    chance = random_picks(vectors, day, alert, most=most, seed=seed)
    drawn = ~np.isnan(chance)
    assert not (drawn & alert).any()
    for on in set(day.tolist()):
        free = [row for row in rows if row[1] == on and not row[3]]
        entities = {row[0] for row in free}
        picked = [rows[n] for n in np.flatnonzero(drawn & (day == on))]
        assert len(picked) == len({row[0] for row in picked}) == min(most, len(entities))
        for n in np.flatnonzero(drawn & (day == on)):
            own = sum(row[0] == rows[n][0] for row in free)
            assert chance[n] == pytest.approx(len(picked) / len(entities) / own)


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 2), st.integers(0, 5)), unique=True), st.randoms()
)
def test_the_order_of_rows_draws_nobody(rows, dice):
    """The same windows in another order: the same are drawn, with the same chance."""
    shuffled = list(rows)
    dice.shuffle(shuffled)
    found = []
    for order in (rows, shuffled):
        vectors, day, alert = windows([(*row, False) for row in order])
        chance = random_picks(vectors, day, alert, most=2, seed=3)
        found.append({order[n]: chance[n] for n in np.flatnonzero(~np.isnan(chance))})
    assert found[0] == found[1]


def test_windows_at_one_instant_are_told_apart():
    """Two windows of one entity that end together share the chance, and one of them is drawn."""
    vectors, day, alert = windows([("a", 0, 1, False)] * 2)
    chance = random_picks(vectors, day, alert, most=1, seed=0)
    assert sorted(chance.tolist())[:1] == [0.5]
    assert np.isnan(chance).sum() == 1


def test_over_many_seeds_each_window_is_drawn_as_often_as_it_says():
    """An entity of six windows is drawn no more often than one of one; each window as often as its chance is."""
    rows = [("a", 0, hour, False) for hour in range(6)] + [(who, 0, 0, False) for who in "bcdefgh"]
    vectors, day, alert = windows(rows)
    times, seeds = np.zeros(len(rows)), 8_000
    for seed in range(seeds):
        times += ~np.isnan(random_picks(vectors, day, alert, most=2, seed=seed))
    expected = np.array([2 / 8 / 6] * 6 + [2 / 8] * 7)
    error = np.sqrt(expected * (1 - expected) / seeds)
    assert (np.abs(times / seeds - expected) < 4.5 * error).all()


def test_days_and_seeds_draw_for_themselves():
    """Who is drawn on one day says nothing of the next, nor one seed of another: pairs come as often as by chance."""
    rows = [(f"{n}", day, 0, False) for n in range(10) for day in range(400)]
    vectors, day, alert = windows(rows)
    one, other = ((~np.isnan(random_picks(vectors, day, alert, most=1, seed=seed))).reshape(10, 400) for seed in (0, 1))
    same_day = (one.argmax(axis=0) == other.argmax(axis=0)).mean()
    next_day = (one.argmax(axis=0)[1:] == one.argmax(axis=0)[:-1]).mean()
    assert 0.04 < same_day < 0.17
    assert 0.04 < next_day < 0.17


def test_nothing_to_draw_from_and_nothing_to_draw():
    """No windows, none but alerts, or a budget of none: nobody is drawn."""
    for rows, most in (([], 3), ([("a", 0, 0, True)], 3), ([("a", 0, 0, False)], 0)):
        vectors, day, alert = windows(rows)
        assert np.isnan(random_picks(vectors, day, alert, most=most, seed=0)).all()


def test_alerts_say_why_they_are_alerts():
    """By rank with certainty, at random with the chance of the draw, and all others say nothing."""
    vectors, day, alert = windows([("a", 0, 0, True), ("b", 0, 0, False), ("c", 0, 0, False)])
    picks = Picks(alert, np.where(alert, 1.0, random_picks(vectors, day, alert, most=1, seed=0)))
    rows = pa.table(picks.columns()).to_pylist()
    assert rows[0] == {"alert": True, "pick": "rank", "chance": 1.0}
    drawn = {"alert": True, "pick": "random", "chance": 0.5}
    assert sorted(rows[1:], key=str) == sorted([drawn, {"alert": False, "pick": None, "chance": None}], key=str)
    assert picks.alert.tolist() == [row["alert"] for row in rows]


def test_only_names_and_times_count():
    """The same entities under other codes are drawn alike: codes follow the order of the file."""
    vectors, day, alert = windows([(who, 0, 0, False) for who in "abcdefgh"])
    recoded = pa.DictionaryArray.from_arrays(pa.array(range(7, -1, -1), pa.int32()), pa.array(list("hgfedcba")))
    first = random_picks(vectors, day, alert, most=3, seed=0)
    again = random_picks(replace(vectors, entity=recoded), day, alert, most=3, seed=0)
    assert np.array_equal(first, again, equal_nan=True)


@pytest.mark.parametrize(
    ("share", "budget", "split"),
    [(0.0, 100, (100, 0)), (0.05, 100, (95, 5)), (0.05, 10, (9, 1)), (0.04, 10, (10, 0)), (1.0, 7, (0, 7))],
)
def test_the_budget_is_shared(share, budget, split):
    """Random picks take the nearest whole number of the share, ranks the rest."""
    assert Exploration(share).split(budget) == split


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share):
    """Anything but 0 to 1 is an error."""
    with pytest.raises(ConfigError, match=r"expected alerts\.explore to be a share of the budget"):
        Exploration(share)
