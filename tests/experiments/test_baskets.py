"""The comparison of odd sets is fair: sets, counts, scores and plants are what they say, each held to a plain one."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.errors import ConfigError
from peculiar.experiments import baskets
from peculiar.experiments.baskets import KINDS, SIZES, compare, main
from peculiar.experiments.city import START, Calendar, stream
from peculiar.experiments.oddness import (
    HORIZON,
    REACHES,
    Counts,
    Sets,
    Touches,
    grown,
    highest,
    pair_worth,
    scores,
    surprise,
)
from peculiar.experiments.scenarios import Scenarios
from peculiar.experiments.world import draw_world
from peculiar.features.columns import stable_hash
from peculiar.features.events import EventLog
from peculiar.features.families import Combination
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles

pytestmark = pytest.mark.long

SMALL = {"events": 90_000, "users": 1_500}
FEW, MANY = 40, 80
NEW = max(SIZES)


def counted(log: Touches, items: int) -> Counts:
    """What the experiment counts."""
    return Counts.of(log, items, new=NEW, until=baskets._COUNTED)


@pytest.fixture(scope="module")
def city():
    """A world of 1,500 users, what they touched, and the same with a basket of each kind and size planted."""
    nothing = Scenarios(0, 0, 0, 0, 0, 0)
    world = draw_world(**SMALL, calendar=Calendar(START, baskets._DAYS), seed=2, stories=nothing)
    before = baskets._touches(world, 0.0, stream(2, 1))
    after, planted = baskets._plant(before, world, 1, stream(2, 2))
    return world, before, after, planted


@st.composite
def logs(draw) -> Touches:
    """Touches of seven users and forty items over the whole period."""
    size, rng = draw(st.integers(1, 300)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    day = np.sort(rng.integers(0, baskets._DAYS, size))
    day[0] = 0
    return Touches(rng.integers(0, 7, size), rng.integers(0, FEW, size), day, rng.random(size) < 0.5)


@st.composite
def rows(draw) -> tuple[Sets, list[tuple[list[int], list[int]]]]:
    """Sets as the experiment holds them, and as a list of (slots of the day, further slots) for each row."""
    slots = st.lists(st.integers(0, FEW - 1), unique=True, max_size=9)
    plain = []
    for members in draw(st.lists(slots, min_size=1, max_size=5)):
        cut = draw(st.integers(0, len(members)))
        plain.append((members[:cut], members[cut:]))
    flat = [(row, slot, now) for row, (day, more) in enumerate(plain) for now, part in ((True, day), (False, more))
            for slot in part]  # fmt: skip
    row, slot, today = (np.array(column) for column in zip(*flat, strict=True)) if flat else np.empty((3, 0), int)
    return Sets(np.arange(len(plain)), row, slot, today.astype(bool)), plain


def plain_combinations(plain, size):
    """Row and slots of every combination that the day has part in."""
    return sorted(
        (row, *sorted(some))
        for row, (day, more) in enumerate(plain)
        for some in combinations([*day, *more], size)
        if set(some) & set(day)
    )


@given(rows())
def test_each_pair_and_each_three_is_looked_at_once(made):
    """Every combination of a row that the day has part in comes once, and no other."""
    sets, plain = made
    for places, size in ((sets.pairs(), 2), (sets.triples(), 3)):
        found = sorted((int(sets.row[some[0]]), *sorted(sets.slot[some].tolist())) for some in places.T)
        assert found == plain_combinations(plain, size)


@given(logs())
def test_counts_are_of_users_blocks(log):
    """One, two and three items are counted in the blocks that hold them, however often; the sums are of block sizes."""
    counts, blocks = counted(log, FEW), {}
    for user, item, day in zip(log.user.tolist(), log.item.tolist(), log.day.tolist(), strict=True):
        if day < baskets._COUNTED:
            blocks.setdefault((user, day // HORIZON), set()).add(int(counts.slot[item]))
    wide = range(FEW)
    held = [sum(a in block for block in blocks.values()) for a in wide]
    assert counts.held.tolist() == held + [0] * NEW
    assert held == sorted(held, reverse=True)
    for a, b in combinations(wide, 2):
        assert counts.pairs[a, b] == counts.pairs[b, a] == sum({a, b} <= block for block in blocks.values())
    for some in combinations(range(0, FEW, 3), 3):
        assert counts.triples[some] == sum(set(some) <= block for block in blocks.values())
    sizes = [len(block) for block in blocks.values()]
    assert counts.sums.tolist() == [
        sum(sizes),
        sum(s * (s - 1) for s in sizes),
        sum(s * (s - 1) * (s - 2) for s in sizes),
    ]


@given(logs(), st.integers(baskets._JUDGED, baskets._DAYS - 1))
def test_a_set_is_what_was_touched_on_the_day_and_in_the_horizon_before(log, day):
    """A row for each user of the day; its items each once, those of the day first and marked."""
    counts = counted(log, FEW)
    found = Sets.of(log, counts, day)
    for row, user in enumerate(sorted(set(log.user[log.day == day].tolist()))):
        own = log.user == user
        now = set(counts.slot[log.item[own & (log.day == day)]].tolist())
        all_ = set(counts.slot[log.item[own & (log.day >= day - HORIZON) & (log.day <= day)]].tolist())
        for reach, expected in zip(REACHES, (now, all_), strict=True):
            sets = found[reach]
            slot, today = sets.slot[sets.row == row], sets.today[sets.row == row]
            assert sets.user[row] == user
            assert sorted(slot.tolist()) == sorted(expected)
            assert set(slot[: len(now)].tolist()) == now
            assert today.tolist() == [True] * len(now) + [False] * (len(expected) - len(now))


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 9)), max_size=40), st.integers(1, 7), st.sampled_from([0, 1]))
def test_the_highest_of_each_row_are_summed(pairs, number, least):
    """The sum is that of the sorted values of a row, of those that are worth enough."""
    row, value = np.array([row for row, _ in pairs], int), np.array([value for _, value in pairs], float)
    plain = [sum(sorted((v for r, v in pairs if r == one and v >= least), reverse=True)[:number]) for one in range(5)]
    np.testing.assert_allclose(highest(value, row, 5, number, least), plain)


@given(rows(), st.integers(0, 2**32 - 1))
def test_the_odd_four_grows_from_the_oddest_pair(made, seed):
    """Grown by hand: the oddest pair, then twice the value that is oddest with all, if with each by a bit or more."""
    sets, plain = made
    bits = np.random.default_rng(seed).gamma(1.0, 1.5, (FEW, FEW))
    bits = np.round(bits + bits.T, 6)
    np.fill_diagonal(bits, 0.0)
    expected = []
    for day, more in plain:
        odd = [pair for pair in combinations([*day, *more], 2) if set(pair) & set(day) and bits[pair] >= 1.0]
        team = list(max(odd, key=bits.__getitem__)) if odd else []
        worth = bits[tuple(team)] if odd else 0.0
        for _ in range(2 if odd else 0):
            joins = [x for x in [*day, *more] if x not in team and all(bits[x, y] >= 1.0 for y in team)]
            if not joins:
                break
            team.append(max(joins, key=lambda x: bits[x, team].sum()))
            worth += bits[team[-1], team[:-1]].sum()
        expected.append(worth)
    np.testing.assert_allclose(grown(sets, bits), expected)


@st.composite
def markets(draw) -> Touches:
    """Touches of some dozens of users, who keep to a dozen items of their taste until some of them try everything."""
    rng, users = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(40, 70))
    size, stray = 60 * users, draw(st.sampled_from([0.0, 0.01, 0.03]))
    day, user = np.sort(rng.integers(0, baskets._DAYS, size)), rng.integers(0, users, size)
    curious = (day >= baskets._JUDGED) & (user < users // 2) & (rng.random(size) < 0.7)
    taste = np.where(curious | (rng.random(size) < stray), rng.integers(0, 4, size), user % 4)
    item = taste * 12 + rng.integers(0, 12, size)
    kept = (day < baskets._COUNTED) | np.isin(item, item[day < baskets._COUNTED])  # brand-new items make no pair
    return Touches(user[kept], item[kept], day[kept], rng.random(kept.sum()) < 0.5)


def built(log: Touches) -> dict[str, dict[tuple[int, int], float]]:
    """What the family says of each user and day, by reach; of items whose hashes are in the order of their codes."""
    width = 86_400_000_000
    begin = 700 * HORIZON * width  # where a block begins
    names = np.array([f"item {n}" for n in range(MANY)])
    names = names[np.argsort(stable_hash(pa.array(names)))]
    at = begin + log.day * width + np.arange(len(log.day))
    columns = {"user": [f"{user:02d}" for user in log.user], "at": pa.array(at, pa.timestamp("us", tz="UTC")),
               "item": names[log.item]}  # fmt: skip
    roles = Roles("user", "at", dimensions=("item",))
    timeline = EventLog.open(pa.table(columns), roles).read()[0]
    plan = FeaturePlan(roles, families=(Combination(),), baskets=("item",))
    vectors = plan.vectors(timeline, plan.fit(timeline.until(begin + baskets._COUNTED * width)))
    rows = list(zip(map(int, vectors.entity.to_pylist()), ((vectors.since - begin) // width).tolist(), strict=True))
    ends = zip(REACHES, ("1d", f"{HORIZON}d"), strict=True)
    return {reach: dict(zip(rows, vectors.column(f"item_set_surprise_{end}"), strict=True)) for reach, end in ends}


@given(markets())
@settings(max_examples=10)
def test_what_was_compared_is_what_is_built(log):
    """On a random log the family's set surprise is the experiment's odd four of half a bit for each doubling of pairs.

    Of two that are equally odd both take the same: items are named so, and bits are rounded as the family rounds them.
    """
    counts, told, odd = counted(log, MANY), built(log), 0
    exact = Counts(counts.slot, *(getattr(counts, name).astype(float) for name in ("held", "pairs", "triples", "sums")))
    worth = {name: matrix.astype(np.float32) for name, matrix in pair_worth(exact).items()}
    for day in range(baskets._JUDGED, baskets._DAYS):
        for reach, sets in Sets.of(log, counts, day).items():
            expected = scores(sets, exact, worth, np.ones(len(sets.user), bool))["odd four of half a bit, a doubling"]
            expected[np.setdiff1d(np.arange(len(sets.user)), sets.row[sets.pairs()[0]])] = np.nan  # no pair to judge
            found = [told[reach].pop((user, day)) for user in sets.user.tolist()]
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            odd += (expected > 0).sum()
    assert odd > 20
    assert all(day < baskets._JUDGED for reach in REACHES for _, day in told[reach])


def test_absence_weighs_what_chance_would_have_made_of_it():
    """Forty expected and none seen are three bits and more; none expected, or as many as expected, are none."""
    chance, seen = np.array([40.0, 0.0, 7.0, 3.0]), np.array([0.0, 0.0, 7.0, 9.0])
    np.testing.assert_allclose(surprise(chance, seen, 5.0), [np.log2(9.0), 0.0, 0.0, 0.0])


def test_planting_replaces_purchases_and_adds_none(city):
    """Only items of purchases of the planted users change; each user carries one basket, of the size it says."""
    _, before, after, planted = city
    changed = np.flatnonzero(before.item != after.item)
    assert after.bought[changed].all()
    assert set(after.user[changed].tolist()) <= {basket.user for basket in planted}
    assert len({basket.user for basket in planted}) == len(planted) == len(KINDS) * len(SIZES)
    assert sorted((basket.kind, len(basket.items)) for basket in planted) == sorted(
        (kind, size) for kind in KINDS for size in SIZES
    )


def test_a_basket_is_bought_on_its_day_or_gathered_in_the_two_weeks_that_end_there(city):
    """All in one day, or the last item on the day and the others on at least two days of the thirteen before."""
    _, _, after, planted = city
    for basket in planted:
        own = (after.user == basket.user) & after.bought & np.isin(after.item, basket.items)
        days = after.day[own & (after.day <= basket.day) & (after.day >= basket.day - 13)]
        assert len(set(basket.items)) == len(basket.items)
        assert set(after.item[own].tolist()) == set(basket.items)
        if basket.kind == "two weeks":
            assert len(set(days.tolist())) >= 3
            assert days.max() == basket.day
        else:
            assert (days == basket.day).sum() >= len(basket.items)


def test_what_is_planted_is_common_alone_and_unheard_of_together(city):
    """Of the counted weeks: goods of two tastes are never together, familiar threes never though their pairs are."""
    world, before, _, planted = city
    counts, per_taste = counted(before, world.habits.city.items), world.habits.city.per_taste
    for basket in planted:
        slots = counts.slot[list(basket.items)]
        if basket.kind == "brand-new":
            assert counts.held[slots].max() == 0
            continue
        assert counts.held[slots].min() > 0.02 * len(np.unique(before.user[before.day < baskets._COUNTED]))
        apart = [pair for pair in combinations(basket.items, 2) if pair[0] // per_taste != pair[1] // per_taste]
        assert bool(apart) == (basket.kind != "familiar pairs")
        assert all(counts.pairs[tuple(counts.slot[list(pair)])] == 0 for pair in apart)
        if basket.kind == "familiar pairs":
            assert all(counts.pairs[pair] > 0 for pair in combinations(slots, 2))
            assert counts.triples[tuple(slots[:3])] == 0


def test_goods_astray_are_bought_against_taste():
    """With a tenth astray, about a tenth of the signature goods are of another taste than the buyer's; else none is."""
    world = draw_world(**SMALL, calendar=Calendar(START, 77), seed=4, stories=Scenarios(0, 0, 0, 0, 0, 0))
    city = world.habits.city
    for stray in (0.0, 0.1):
        log = baskets._touches(world, stray, stream(4, 1))
        signature = log.item < city.general
        against = log.item[signature] // city.per_taste != world.habits.tastes.taste[log.user[signature]]
        assert against.mean() == pytest.approx(stray, abs=0.01)


def test_the_same_seed_gives_the_same_figures():
    """Two runs agree in every rank and every correlation."""
    one, two = (compare(**SMALL, each=1, seed=1, stray=0.02) for _ in range(2))
    assert json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


def test_pairs_find_a_basket_bought_in_a_day_and_ignore_novelty(tmp_path):
    """In a small city the six oddest pairs have most one-day baskets first, and no brand-new set is among the top."""
    out = tmp_path / "baskets.json"
    options = ["--events", "90000", "--users", "1500", "--each", "1", "--seeds", "2", "--stray", "0"]
    done = CliRunner().invoke(main, [*options, "--json", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "odd four" in done.output
    told = json.loads(out.read_text())["stray"]["0"]
    assert len(told["rows"]) == 2
    for found in told["found"].values():
        for reach in REACHES:
            assert {found[reach]["baskets"][kind]["planted"] for kind in KINDS} == {2 * len(SIZES)}
            assert -1.0 <= found[reach]["growth"] <= 1.0
    window = told["found"]["six oddest pairs"]["window"]["baskets"]
    assert window["one day"]["median"] == 0
    assert window["brand-new"]["median"] > 10
    assert told["found"]["pairs never seen"]["window"]["baskets"]["brand-new"]["median"] < window["brand-new"]["median"]


def test_a_log_without_room_for_the_baskets_is_refused():
    """The error names the baskets that found no room."""
    with pytest.raises(ConfigError, match=r"expected room for 400 baskets .* raise events or users"):
        compare(**SMALL, each=400, seed=0, stray=0.0)
