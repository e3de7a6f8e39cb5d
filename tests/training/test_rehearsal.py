"""What a rehearsal finds: held to a plain count, and the same for any order of rows and number of threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import vectors_of

from peculiar.errors import ConfigError, LabelError
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.rehearsal import Rehearsal, content, proxy_agreement, rehearse

DAY = 86_400_000_000
START = 20_094 * DAY
PERIOD = (START + 34 * DAY, START + 42 * DAY)


def staged(city, windows: WindowSpec, shuffle: int | None = None, **chosen):
    """A rehearsal in the city's last week, with the plan, the population and the timeline behind it."""
    events = city.events
    if shuffle is not None:
        events = events.take(pa.array(np.random.default_rng(shuffle).permutation(len(events))))
    log = EventLog.open(events)
    timeline = log.read()[0]
    plan = FeaturePlan.for_log(timeline.until(PERIOD[0]), log.roles, windows)
    population = plan.fit(timeline.until(START + 20 * DAY))
    asked = {"period": PERIOD, "per_kind": 3, "budget": 10, "seed": 2, **chosen}
    return rehearse(plan, population, timeline, **asked), plan, population, timeline


@pytest.fixture(scope="module")
def by_day(city):
    """The rehearsal of days."""
    return staged(city, WindowSpec())


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
def test_every_case_has_rows(city, every):
    """Days, hours or events: each case has rows in the period, all of its entity, on its day."""
    made = staged(city, WindowSpec(every=every))[0]
    names = made.vectors.entity.dictionary_decode().to_pylist()
    for row in made.cases.to_pylist():
        mine = np.flatnonzero(made.case == row["case"])
        assert len(mine)
        assert {names[number] for number in mine} == {row["entity"]}
        assert (made.vectors.as_of[mine] > int(row["from"].timestamp() * 1e6)).all()
        assert (made.vectors.fresh[mine] < int(row["to"].timestamp() * 1e6)).all()
    if every == "event":
        counted = {row["case"]: row["events"] for row in made.cases.to_pylist() if row["kind"] == "burst"}
        assert {case: int((made.case == case).sum()) for case in counted} == counted
    victims = set(made.cases["entity"].to_pylist())
    assert all(names[number] not in victims for number in np.flatnonzero(made.case == -1))
    assert all(names[number] in victims for number in np.flatnonzero(made.case == -2))


def test_real_rows_are_what_they_were(by_day):
    """Apart from who else touched a value, the vectors of entities to whom nothing was done are those of the log."""
    made, plan, population, timeline = by_day
    plain = plan.vectors(timeline.until(PERIOD[1]), population).between(*PERIOD)
    keys = {key: number for number, key in enumerate(zip(plain.entity.to_pylist(), plain.as_of.tolist(), strict=True))}
    real = np.flatnonzero(made.case == -1)
    names = made.vectors.entity.to_pylist()
    place = [keys[names[number], int(made.vectors.as_of[number])] for number in real]
    for number, feature in enumerate(plan.features):
        if feature.family != "sharing":
            assert np.array_equal(made.vectors.values[number][real], plain.values[number][place], equal_nan=True)


def test_a_forest_finds_the_blatant(by_day):
    """A forest on ordinary days finds bursts; a score that is the same for all finds nobody."""
    made, plan, population, timeline = by_day
    train = plan.vectors(timeline.until(PERIOD[0]), population).between(START + 20 * DAY, None)
    score = IsolationForest(trees=60, group_trees=10, samples=512).fit(train, seed=0).score(made.vectors)
    recall = made.recall(score)
    assert recall["burst"] >= 2 / 3
    assert made.mean(score) == pytest.approx(np.mean(list(recall.values())))
    assert made.mean(score) <= made.credit(score) <= 1.0
    assert set(made.recall(np.zeros(len(made.case))).values()) == {0.0}
    assert made.mean(-score) < made.mean(score)


def test_nothing_depends_on_order_or_threads(city, by_day):
    """A shuffled file and one thread give the same rehearsal, bit for bit; its fingerprint says so."""
    again = staged(city, WindowSpec(), shuffle=3, threads=1)[0]
    assert again.fingerprint == by_day[0].fingerprint
    assert again.cases.equals(by_day[0].cases)
    assert staged(city, WindowSpec(), seed=9)[0].fingerprint != by_day[0].fingerprint


def test_only_the_horizon_is_needed(city, by_day):
    """Events before the horizon change nothing but the notes that look back further than a vector does."""
    made, plan, population, timeline = by_day
    later = timeline.since(PERIOD[0] - 30 * DAY)
    again = rehearse(plan, population, later, period=PERIOD, per_kind=3, budget=10, seed=2)
    assert content(again.vectors) == content(made.vectors)


def small(case: np.ndarray, day: np.ndarray, kinds: list[str], budget: int) -> Rehearsal:
    """A rehearsal without a log."""
    vectors = vectors_of(np.zeros((len(case), 1)), day=day)
    cases = pa.table({"case": list(range(len(kinds))), "kind": kinds})
    return Rehearsal(vectors, case.astype(np.int32), cases, budget)


@given(
    seed=st.integers(0, 10_000), real=st.integers(1, 40), cases=st.integers(1, 6), budget=st.integers(1, 8),
    days=st.integers(1, 4),
)  # fmt: skip
def test_ranks_are_a_plain_count(seed, real, cases, budget, days):
    """A case's rank is one more than the number of real rows of its day that score as high as its best row."""
    rng = np.random.default_rng(seed)
    case = np.concatenate([np.full(real, -1), np.arange(cases), rng.integers(0, cases, 5), [-2]])
    day = rng.integers(0, days, len(case))
    score = rng.integers(0, 12, len(case)).astype(np.float64)
    kinds = [str(rng.choice(["a", "b"])) for _ in range(cases)]
    made = small(case, day, kinds, budget)
    expected = [
        min(
            1 + sum(bool(score[r] >= score[row]) for r in range(len(case)) if case[r] == -1 and day[r] == day[row])
            for row in np.flatnonzero(case == number)
        )
        for number in range(cases)
    ]
    assert made.ranks(score).tolist() == expected
    found = np.array(expected) <= budget
    by_kind = {kind: float(found[np.array(kinds) == kind].mean()) for kind in dict.fromkeys(kinds)}
    assert made.recall(score) == by_kind
    table = made.table(score)
    assert dict(zip(table["kind"], table["recall"], strict=True)) == by_kind
    assert sum(table["cases"]) == cases
    assert table["median_rank"][0] == np.median(np.array(expected)[np.array(kinds) == kinds[0]])


def test_cases_do_not_crowd_each_other_out():
    """However many cases score higher than a case, it is found if too few real rows do."""
    made = small(np.array([-1, -1, 0, 1, 2, 3]), np.zeros(6, int), ["a"] * 4, 1)
    assert made.recall(np.array([1.0, 2.0, 9.0, 8.0, 7.0, 3.0])) == {"a": 1.0}
    assert made.recall(np.array([1.0, 8.5, 9.0, 8.0, 7.0, 3.0])) == {"a": 0.25}


def test_credit_is_the_share_of_the_rank():
    """A case at twice the budget counts for a half, one within it in full."""
    made = small(np.array([*[-1] * 10, 0, 1]), np.zeros(12, int), ["a", "b"], 2)
    score = np.array([*range(10), 6.5, 20.0], np.float64)
    assert made.ranks(score).tolist() == [4, 1]
    assert made.credit(score) == pytest.approx(0.75)


def test_gain_is_even_in_ratios_of_the_rank():
    """From a tenth of the budget to the last of the day's rows each tenfold of the rank costs the same."""
    case, kinds = np.concatenate([np.full(1000, -1), [0, 1, 2, 3]]), ["a", "a", "b", "b"]
    made = small(case, np.zeros(1004, int), kinds, 10)
    score = np.concatenate([np.arange(1000.0), [2000.0, 990.5, 900.5, -1.0]])
    assert made.ranks(score).tolist() == [1, 10, 100, 1001]
    assert made.gain(score) == pytest.approx(((1 + 2 / 3) / 2 + (1 / 3 + 0) / 2) / 2)
    wide = small(case, np.zeros(1004, int), kinds, 100)
    assert wide.gain(score) == pytest.approx(((1 + 1) / 2 + (1 / 2 + 0) / 2) / 2)
    assert small(case, np.zeros(1004, int), kinds, 10_000).gain(score) == pytest.approx(1.0)


def test_kinds_count_by_their_weights():
    """A kind with three times the weight counts three times; recall and credit are means by weight."""
    made = small(np.array([*[-1] * 10, 0, 1]), np.zeros(12, int), ["a", "b"], 2)
    heavy = replace(made, weights={"b": 3.0})
    score = np.array([*range(10), 6.5, 20.0], np.float64)
    assert heavy.mean(score) == pytest.approx((0.0 + 3.0) / 4)
    assert heavy.credit(score) == pytest.approx((0.5 + 3.0) / 4)
    assert heavy.fingerprint != made.fingerprint
    assert heavy.recall(score) == made.recall(score)


@given(seed=st.integers(0, 10_000), rows=st.integers(5, 400))
def test_fewer_rows_rank_alike(seed, rows):
    """A thinned rehearsal has all cases, so many real rows as asked at most, and a budget of the same share of them."""
    rng = np.random.default_rng(seed)
    case = np.concatenate([np.full(300, -1), np.arange(9), [-2]])
    made = small(case, np.zeros(310, int), ["a"] * 9, 60)
    thin = made.thinned(rows)
    assert sorted(thin.case[thin.case >= 0].tolist()) == list(range(9))
    real = int((thin.case == -1).sum())
    assert min(rows, 300) / 2 <= real <= rows
    assert thin.budget == max(1, round(60 / -(-300 // rows)))
    assert thin.ranks(rng.normal(size=len(thin.case))).max() <= real + 1


def test_what_cannot_be_rehearsed_is_told(city, by_day):
    """Scores of another length or NaN, no budget, and kinds that the log lacks all of, are refused."""
    made, plan, population, timeline = by_day
    with pytest.raises(LabelError, match="a score for each"):
        made.ranks(np.zeros(3))
    with pytest.raises(LabelError, match="NaN"):
        made.ranks(np.full(len(made.case), np.nan))
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        staged(city, WindowSpec(), budget=0)
    with pytest.raises(ConfigError, match="known_trouble: the log lacks events"):
        rehearse(plan, population, timeline, period=PERIOD, per_kind=1, budget=1, seed=0, kinds=["known_trouble"])


@given(
    st.lists(
        st.tuples(st.integers(0, 100).map(float) | st.just(float("nan")), st.integers(0, 100).map(float)), max_size=15
    )
)
def test_agreement_is_that_of_the_pairs(pairs):
    """Kendall's tau-b is that of a plain count over all pairs of trials that have both figures."""
    found = proxy_agreement([x for x, _ in pairs], [y for _, y in pairs])
    whole = [(x, y) for x, y in pairs if not np.isnan(x)]
    assert found.n == len(whole)
    if len(whole) < 3 or len({x for x, _ in whole}) < 2 or len({y for _, y in whole}) < 2:
        assert np.isnan(found.kendall)
        assert np.isnan(found.spearman)
        return
    signs = [
        (np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for i, a in enumerate(whole) for b in whole[:i]
    ]  # fmt: skip
    both, left, right = (sum(x * y for x, y in signs), sum(x != 0 for x, _ in signs), sum(y != 0 for _, y in signs))
    assert found.kendall == pytest.approx(both / np.sqrt(left * right))


def test_agreement_needs_pairs():
    """Figures of different numbers of trials are refused; opposite orders disagree fully."""
    with pytest.raises(LabelError, match="two figures of each trial"):
        proxy_agreement([1.0], [1.0, 2.0])
    assert proxy_agreement([1, 2, 3], [3, 2, 1]).spearman == -1.0


def test_digests_tell_rows_apart():
    """Another value, another entity or another day is another digest; the dictionary's order is none."""
    rows = vectors_of(np.arange(6.0).reshape(3, 2), entity=["a", "b", "c"])
    turned = replace(rows, entity=pa.DictionaryArray.from_arrays(pa.array([2, 1, 0]), pa.array(["c", "b", "a"])))
    assert content(turned) == content(rows)
    others = [
        vectors_of(np.arange(6.0).reshape(3, 2), entity=["a", "b", "d"]),
        vectors_of(np.arange(6.0).reshape(3, 2) + np.eye(3, 2), entity=["a", "b", "c"]),
        vectors_of(np.arange(6.0).reshape(3, 2), entity=["a", "b", "c"], day=np.array([0, 0, 1])),
    ]
    assert len({content(rows), *map(content, others)}) == 4
