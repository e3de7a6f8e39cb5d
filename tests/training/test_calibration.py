"""p-values that mean what they say, and a guard for when they no longer do."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from peculiar.errors import BundleError, ConfigError
from peculiar.training.calibration import LEAST, Calibration, alerts_at_rate, validity

scores = st.lists(st.integers(0, 8), min_size=1, max_size=40).map(lambda values: np.array(values, float))
groups = st.sampled_from(["rider", "courier", "guard", None])


def plain_p(kept, groups, score, group, least):
    """One row's p-value by counting, as the documentation tells it."""
    sizes = {name: groups.count(name) for name in set(groups) - {None}}
    large = {name for name, rows in sizes.items() if rows >= least}
    mine = [value for value, name in zip(kept, groups, strict=True) if name == group]
    others = [value for value, name in zip(kept, groups, strict=True) if name not in large]
    against = mine if group in large else others if len(others) >= least else list(kept)
    return (1 + sum(value >= score for value in against)) / (len(against) + 1)


@given(scores, scores)
def test_without_groups_p_is_the_share_that_score_as_high(kept, new):
    """The p-value is (1 + count) / (n + 1), ties included, to the last bit."""
    found = Calibration.fit(kept).p_values(new)
    assert found.tolist() == [(1 + int((kept >= score).sum())) / (len(kept) + 1) for score in new]


@given(st.data(), scores, scores, st.integers(1, 12))
def test_a_large_group_is_held_against_its_own_and_all_others_against_one_another(data, kept, new, least):
    """Groups large and small, rows of none, and groups that the calibration never saw."""
    known = data.draw(st.lists(groups, min_size=len(kept), max_size=len(kept)))
    asked = data.draw(st.lists(groups | st.just("unheard of"), min_size=len(new), max_size=len(new)))
    calibration = Calibration.fit(kept, pa.array(known, pa.string()), least=least)
    found = calibration.p_values(new, pa.array(asked, pa.string()))
    told = [plain_p(kept, known, score, group, least) for score, group in zip(new, asked, strict=True)]
    assert found.tolist() == told


@given(scores, st.randoms(use_true_random=False))
def test_order_and_parts_change_nothing(kept, random):
    """Shuffled rows calibrate alike, and p-values of a part are the part of the p-values."""
    group = np.array(["a", "b"])[np.arange(len(kept)) % 2]
    order = np.array(random.sample(range(len(kept)), len(kept)))
    one, two = Calibration.fit(kept, group, least=5), Calibration.fit(kept[order], group[order], least=5)
    whole = one.p_values(kept, group)
    assert (two.p_values(kept, group) == whole).all()
    assert (one.p_values(kept[::3], group[::3]) == whole[::3]).all()


@given(st.integers(0, 2**32 - 1))
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, seed):
    """A calibration comes back from its file with the same p-values, and the file has the same bytes each time."""
    folder = tmp_path_factory.mktemp("calibration")
    rng = np.random.default_rng(seed)
    kept, group = rng.normal(size=200), rng.integers(0, 6, 200)
    calibration = Calibration.fit(kept, group, least=30)
    for name in ("one", "two"):
        calibration.save(folder / name)
    loaded = Calibration.load(folder / "one")
    assert (loaded.p_values(kept, group) == calibration.p_values(kept, group)).all()
    assert [part.tolist() for part in loaded.scores] == [part.tolist() for part in calibration.scores]
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()


def test_a_file_that_is_no_calibration_is_refused(tmp_path):
    """Missing, of other content, without its metadata, or of a later format: the error names the file."""
    path = tmp_path / "calibration.arrow"
    with pytest.raises(BundleError, match=r"calibration\.arrow cannot be read"):
        Calibration.load(path)
    path.write_text("p-values")
    with pytest.raises(BundleError, match=r"calibration\.arrow cannot be read"):
        Calibration.load(path)
    table = pa.table({"part": pa.array([0], pa.int32()), "score": [1.0]})
    for metadata, told in (({}, "cannot be read"), ({"format": 2, "groups": []}, "expected a calibration of format 1")):
        about = {"peculiar.calibration": json.dumps(metadata)} if metadata else {}
        with pa.ipc.new_file(path, table.schema.with_metadata(about)) as writer:
            writer.write_table(table.replace_schema_metadata(about))
        with pytest.raises(BundleError, match=told):
            Calibration.load(path)


def test_the_default_least_keeps_the_promise():
    """LEAST independent rows put the true share of p <= 0.01 within 0.5 % to 1.5 %, 95 times in 100; 1,000 do not."""

    def kept(n):
        k = (n + 1) // 100
        return beta.cdf(0.015, k, n + 1 - k) - beta.cdf(0.005, k, n + 1 - k)

    assert kept(LEAST) >= 0.95
    assert kept(1000) < 0.95
    rng = np.random.default_rng(0)
    share = [1 - np.sort(rng.random(LEAST))[-((LEAST + 1) // 100)] for _ in range(2000)]  # of later uniform scores
    assert np.mean([0.005 <= each <= 0.015 for each in share]) == pytest.approx(kept(LEAST), abs=0.02)


def later(seed, *, shift=0.0, entities=1500, days=28):
    """p-values of weeks that follow a calibration; a score is an entity's habit, a day's chance and a drift."""
    rng = np.random.default_rng(seed)
    habit = rng.normal(size=entities)
    draw = lambda: habit[:, None] + rng.normal(size=(entities, days))  # noqa: E731
    calibration = Calibration.fit(draw().ravel())
    day = np.tile(np.arange(days), entities)
    entity = np.repeat(np.arange(entities), days)
    return calibration.p_values(draw().ravel() + shift * (day >= 21)), day, entity


def test_p_values_hold_on_the_following_weeks_and_the_guard_is_silent():
    """Without drift the promise holds: half to one and a half times the level, of 42,000 rows and in every week."""
    p, day, entity = later(0)
    found = validity(p, day=day, entity=entity)
    assert found.share.value == pytest.approx(np.mean(p <= 0.01))
    assert found.share.low < 0.01 < found.share.high
    assert found.holds is True
    assert found.guard is None
    assert (found.rows, found.entities) == (len(p), 1500)


def test_the_guard_names_the_week_of_the_drift():
    """Scores that rise in the fourth week alone are told, although the three before it held."""
    p, day, entity = later(1, shift=1.0)
    found = validity(p, day=day + 100, entity=entity)
    assert found.weeks["day"].tolist() == [100, 107, 114, 121]
    assert "weeks from day 121 (" in found.guard
    assert "calibrate on newer rows, or train again" in found.guard
    assert found.weeks["low"].tolist()[3] > 0.015


def test_the_guard_also_hears_silence():
    """Scores that fall so far that p <= 0.01 hardly ever comes break the promise, too."""
    p, day, entity = later(2, shift=-2.0)
    found = validity(p, day=day, entity=entity)
    assert found.weeks["high"].tolist()[3] < 0.005
    assert found.guard is not None


def test_few_rows_settle_nothing():
    """Where no row of 40 entities reaches the level, or one does, the guard knows that it cannot tell."""
    day, entity = np.zeros(200, int), np.arange(200) // 5
    for reached in (0, 1):
        p = np.where(np.arange(200) < reached, 0.005, 0.5)
        found = validity(p, day=day, entity=entity)
        assert found.holds is None
        assert found.guard is None
        assert found.share.low <= reached / 200 < 0.015 < found.share.high
    alone = validity(np.full(200, 0.001), day=day, entity=np.zeros(200, int))
    assert (alone.share.low, alone.share.high) == (pytest.approx(0.025), 1.0)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 20))
def test_the_interval_is_binomial_for_the_rows_that_these_are_worth(seed, entities, days):
    """Shares are plain means, of all and by week; the interval holds them and is no narrower than the binomial one."""
    rng = np.random.default_rng(seed)
    n = entities * days
    p, day, entity = rng.choice([0.001, 0.5], n), rng.integers(0, days, n), rng.integers(0, entities, n)
    found = validity(p, day=day, entity=entity)
    week = (day - day.min()) // 7
    assert found.weeks["rows"].tolist() == [int((week == each).sum()) for each in np.unique(week)]
    assert found.weeks["share"].tolist() == [float((p[week == each] <= 0.01).mean()) for each in np.unique(week)]
    hits = int((p <= 0.01).sum())
    assert found.share.low <= hits / n <= found.share.high
    assert found.share.low <= (beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0) + 1e-12
    assert found.share.high >= (beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0) - 1e-12
    order = rng.permutation(n)
    again = validity(p[order], day=day[order], entity=entity[order])
    assert again.share == found.share
    assert again.weeks.equals(found.weeks)


def test_rows_of_one_entity_widen_the_interval():
    """Twenty equal rows an entity are worth as much as one."""
    reached = np.random.default_rng(0).random(500) < 0.05
    p = np.where(reached, 0.001, 0.5)
    one = validity(p, day=np.zeros(500, int), entity=np.arange(500))
    same = validity(np.repeat(p, 20), day=np.zeros(10_000, int), entity=np.repeat(np.arange(500), 20))
    free = validity(np.repeat(p, 20), day=np.zeros(10_000, int), entity=np.arange(10_000))
    assert same.share.high - same.share.low == pytest.approx(one.share.high - one.share.low, rel=0.15)
    assert free.share.high - free.share.low < 0.4 * (same.share.high - same.share.low)


def plain_alerts(p, day, entity, rate, method):
    """Step up through each day's entities, smallest p-value times rows first."""
    alerts = np.zeros(len(p), bool)
    for today in np.unique(day):
        cases = {}
        for name in np.unique(entity[day == today]):
            rows = np.flatnonzero((day == today) & (entity == name))
            cases[name] = rows, min(1.0, p[rows].min() * len(rows))
        many = len(cases)
        price = sum(1 / place for place in range(1, many + 1)) if method == "by" else 1.0
        joint = sorted(value for _, value in cases.values())
        passed = [value for place, value in enumerate(joint, 1) if value * (many / place) * price <= rate]
        for rows, value in cases.values():
            if passed and value <= max(passed):
                alerts[rows[p[rows] == p[rows].min()]] = True
    return alerts


@given(st.integers(0, 2**32 - 1), st.sampled_from(["bh", "by"]), st.sampled_from([0.07, 0.23, 0.61]))
def test_alerts_are_those_of_the_step_up_procedure(seed, method, rate):
    """Each day for itself, an entity one p-value a day, however many rows it has."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 60))
    p, day, entity = rng.integers(1, 60, n) ** 2 / 3601, rng.integers(0, 3, n), rng.integers(0, 12, n)
    found = alerts_at_rate(p, day=day, entity=entity, rate=rate, method=method)
    assert found.tolist() == plain_alerts(p, day, entity, rate, method).tolist()


def test_about_the_rate_of_alerts_is_false():
    """With one calibration for all days, at most the rate of alerts is false in the mean, and most trouble is found."""
    rng = np.random.default_rng(0)
    false, found = [], []
    for _ in range(20):
        calibration = Calibration.fit(rng.normal(size=20_000))
        bad = rng.random(6000) < 0.01
        p = calibration.p_values(rng.normal(size=6000) + 5.0 * bad)
        alerts = alerts_at_rate(p, day=np.arange(6000) % 3, entity=np.arange(6000), rate=0.1)
        false.append((alerts & ~bad).sum() / max(1, alerts.sum()))
        found.append(alerts[bad].mean())
    assert np.mean(false) == pytest.approx(0.1, abs=0.03)
    assert np.mean(found) > 0.9


def test_unusable_input_is_refused():
    """No rows, NaN, different lengths, and numbers that are no shares are errors."""
    two = np.array([0.1, 0.2])
    about = {"day": np.zeros(2, int), "entity": np.zeros(2, int)}
    for call in (lambda: Calibration.fit(np.zeros(0)), lambda: Calibration.fit(two, least=0)):
        with pytest.raises(ConfigError, match="expected scores to calibrate by"):
            call()
    with pytest.raises(ConfigError, match="score of row 1 is NaN"):
        Calibration.fit(np.array([0.0, np.nan]))
    with pytest.raises(ConfigError, match=r"one length, got \{'scores': 2, 'group': 1\}"):
        Calibration.fit(two).p_values(two, ["a"])
    for call in (validity, alerts_at_rate):
        with pytest.raises(ConfigError, match=r"p-values in \[0, 1\]"):
            call(two + 1, **about)
        with pytest.raises(ConfigError, match="one length"):
            call(two[:1], **about)
    with pytest.raises(ConfigError, match="level in"):
        validity(two, **about, level=0.7)
    with pytest.raises(ConfigError, match="rates are shares"):
        alerts_at_rate(two, **about, rate=10)
    with pytest.raises(ConfigError, match="of one row or more"):
        validity(two[:0], day=np.zeros(0, int), entity=np.zeros(0, int))
