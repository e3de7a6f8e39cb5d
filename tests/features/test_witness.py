"""The witnesses of every family, held against the plain meaning of its features.

Two claims hold a witness: the witnesses alone make the value what it is, and without them it is another. Both are asked
by rebuilding vectors from excerpts, so that no rule of a family is told twice.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from cases import HORIZON, PLAIN, stage_of
from event_logs import full_roles, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.excerpt import excerpt
from peculiar.features.families import FAMILIES
from peculiar.features.family import Annotator, Context, Witness
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec, snapshots_of
from peculiar.features.witness import alike, both_ends, firsts

ALL = tuple(made() for made in FAMILIES.values())
ALONE = tuple(family for family in ALL if not isinstance(family, Annotator))

# The witnesses by themselves have the value that all events have.
BY_THEMSELVES = (
    "events_count_1d", "pay_count_1d", "view_count_1d", "amount_max_1d", "amount_repeat_max_1d", "events_max_10m_1d",
    "events_max_1h_1d", "gap_min_1d", "action_distinct_max_1h_1d", "device_distinct_max_1h_1d", "action_distinct_1d",
    "device_distinct_1d", "device_distinct_7d", f"device_distinct_{HORIZON}d", "transition_surprise_max_1d",
    "trigram_surprise_max_1d", "run_max_1d", "travel_speed_max_1d", "travel_cell_distinct_1d",
)  # fmt: skip
# They have it together with the history, without the rest of the window.
WITH_HISTORY = (
    "device_new_count_1d", "device_unheard_count_1d", "device_new_rarity_1d", "action_new_count_1d",
    "travel_cell_new_1d", "action_pair_surprise_max_1d", "device_pair_surprise_max_1d",
    f"action_pair_surprise_max_{HORIZON}d", f"device_pair_surprise_max_{HORIZON}d", "hour_surprise_max_1d_vs_own",
)  # fmt: skip
# Without them nothing of the kind is left: 0 or null, or no window.
NOTHING_LEFT = (
    "pay_count_1d", "view_count_1d", "login_count_1d", "night_share_1d", "weekend_share_1d", "amount_round_share_1d",
    "amount_known_share_1d",
)  # fmt: skip
# Without them it is less, and never more.
LESS = ("amount_max_1d", "events_count_1d")
NO_MORE = (
    "events_max_10m_1d", "events_max_1h_1d", "device_distinct_1d", "action_pair_surprise_max_1d",
    "amount_repeat_max_1d",
    "device_pair_surprise_max_1d", "travel_cell_distinct_1d", "hour_surprise_max_1d_vs_own",
)  # fmt: skip


class Scene:
    """The vectors of a log, its witnesses, and the vectors of what is left of windows."""

    def __init__(self, plan, timeline) -> None:
        self.plan, self.timeline = plan, plan.annotated(timeline)
        self.population = plan.fit(timeline)
        self.vectors = plan.vectors(self.timeline, self.population)
        self.snapshots = snapshots_of(self.timeline, plan.windows)
        self.context = Context(self.timeline, self.snapshots, self.population, plan.shape, {}, ())
        self.features = {feature.name: feature for feature in plan.features}
        self.family = {family.name: family for family in plan.families}

    @classmethod
    def of(cls, world) -> Scene:
        """A log of Hypothesis, with the families that keep to one entity."""
        spec = WindowSpec("1d", f"{HORIZON}d")
        plan = FeaturePlan(full_roles(world.zone), spec, ("pay", "view", "login"), ALONE, baskets=PLAIN)
        return cls(plan, timeline_of(world.events, world.zone, full_roles(world.zone)))

    def witnesses(self, name: str, row: int) -> np.ndarray:
        """The witnesses of a feature of a row."""
        feature = self.features[name]
        return self.family[feature.family].witnesses(feature, self.context, row)

    def window(self, row: int) -> np.ndarray:
        """The positions of a row's events."""
        return np.arange(self.snapshots.start[row], self.snapshots.stop[row])

    def history(self, row: int) -> np.ndarray:
        """Those before it that it may look at."""
        return np.arange(self.snapshots.history[row], self.snapshots.start[row])

    def value(self, name: str, row: int) -> float:
        """What the vector says."""
        return float(self.vectors.column(name)[row])

    def rebuilt(self, asked: list[tuple[str, int, np.ndarray]]) -> list[float]:
        """The value of the feature in the last window of each of some altered histories, all at once."""
        made = self.plan.vectors(excerpt(self.timeline, [np.sort(piece) for _, _, piece in asked]), self.population)
        owner = made.entity.indices.to_numpy()
        last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
        return [float(made.column(name)[row]) for (name, _, _), row in zip(asked, last, strict=True)]

    def without(self, name: str, row: int) -> np.ndarray | None:
        """History and window less the witnesses; None if nothing of the window is left."""
        gone = self.witnesses(name, row)
        left = np.setdiff1d(self.window(row), gone)
        return np.concatenate([np.setdiff1d(self.history(row), gone), left]) if len(left) else None


@given(world=worlds(most=30))
@settings(max_examples=40)
def test_witnesses_alone_make_the_value(world):
    """The value of a feature is that of its witnesses, with the history where that judges it, and nothing else."""
    scene = Scene.of(world)
    asked = []
    for row in range(len(scene.vectors)):
        for name in (*BY_THEMSELVES, *WITH_HISTORY):
            found = scene.witnesses(name, row)
            if np.isnan(scene.value(name, row)) or not np.isin(found, scene.window(row)).any():
                continue
            if name in WITH_HISTORY:
                found = np.union1d(scene.history(row), found)
            asked.append((name, row, found))
    for (name, row, _), value in zip(asked, scene.rebuilt(asked) if asked else [], strict=True):
        assert value == scene.value(name, row), (name, row)


@given(world=worlds(most=30))
@settings(max_examples=40)
def test_without_witnesses_it_is_another(world):
    """Taken away, nothing of the kind is left, or less, or at least no more."""
    scene = Scene.of(world)
    asked = []
    for row in range(len(scene.vectors)):
        for name in {*NOTHING_LEFT, *LESS, *NO_MORE}:
            value, left = scene.value(name, row), scene.without(name, row)
            if left is not None and not np.isnan(value):
                asked.append((name, row, left))
    for (name, row, _), after in zip(asked, scene.rebuilt(asked) if asked else [], strict=True):
        before = scene.value(name, row)
        if name in NOTHING_LEFT:
            assert np.isnan(after) or after == 0.0, name
        elif name in LESS and before >= scene.population.quantile(name, 0.5):
            assert np.isnan(after) or after < before, name
        elif name in NO_MORE:
            assert np.isnan(after) or after <= before, name


@given(world=worlds(most=30))
@settings(max_examples=40)
def test_witnesses_are_events_that_the_row_looked_at(world):
    """Each is told once, lies in the window or the horizon before it, and a window always has the plain counts' own."""
    scene = Scene.of(world)
    for row in range(len(scene.vectors)):
        for name, feature in scene.features.items():
            found = scene.witnesses(name, row)
            assert found.dtype == np.int64, name
            assert len(set(found.tolist())) == len(found), name
            assert ((found >= scene.snapshots.history[row]) & (found < scene.snapshots.stop[row])).all(), name
            assert feature.family in scene.family
        assert scene.witnesses("events_count_1d", row).tolist() == scene.window(row).tolist()


@given(world=worlds(most=30))
@settings(max_examples=30)
def test_a_large_total_is_told_by_the_largest_amounts(world):
    """Of a sum and a mean above everyone's middle the fewest of the largest amounts that bring the rest down to it."""
    scene = Scene.of(world)
    amounts = scene.timeline.measures["amount"]
    for row in range(len(scene.vectors)):
        valued = [position for position in scene.window(row).tolist() if not np.isnan(amounts[position])]
        for name, made in (("amount_sum_1d", np.sum), ("amount_mean_1d", np.mean)):
            middle = scene.population.quantile(name, 0.5)
            if not valued or np.isnan(middle) or made(amounts[valued]) < middle:
                continue
            found = scene.witnesses(name, row).tolist()
            rest = [position for position in valued if position not in found]
            assert all(amounts[a] >= amounts[b] for a in found for b in rest)
            if rest:
                assert made(amounts[rest]) <= middle + 1e-9 * np.abs(amounts[valued]).sum()
                kept = [*rest, found[-1]]
                assert made(amounts[kept]) >= middle - 1e-9 * np.abs(amounts[valued]).sum() or len(found) == 1


@pytest.fixture(scope="module")
def noted() -> Scene:
    """The rich log with every family, trouble known at some events."""
    stage = stage_of(ALL, "1d")
    return Scene(stage.plan, stage.timeline)


def test_every_family_is_a_witness():
    """Of any reason somebody can be told which events to look at."""
    assert all(isinstance(family, Witness) for family in ALL)


@given(data=st.data())
@settings(max_examples=15)
def test_who_else_was_there(noted, data):
    """Witnesses of sharing are at the most shared value, all of the window's events there; the lone ones are alone."""
    row = data.draw(st.integers(0, len(noted.vectors) - 1))
    now, codes = noted.window(row), noted.timeline.dimensions["device"].codes
    others = noted.timeline.notes["sharing.device.horizon"]
    if np.isnan(others[now]).all():
        return
    found = noted.witnesses(f"device_others_max_{HORIZON}d", row)
    assert np.nanmax(others[found]) == noted.value(f"device_others_max_{HORIZON}d", row)
    assert found.tolist() == [position for position in now.tolist() if codes[position] == codes[found[0]]]
    alone = noted.witnesses(f"device_alone_{HORIZON}d", row)
    assert alone.tolist() == [position for position in now.tolist() if others[position] == 0]
    mean = noted.witnesses(f"device_others_mean_{HORIZON}d", row)
    assert min(others[mean]) >= np.float32(noted.value(f"device_others_mean_{HORIZON}d", row)) * (1 - 1e-6)
    day = noted.timeline.notes["sharing.device.day"]
    assert max(day[noted.witnesses(f"device_others_day_{HORIZON}d", row)]) == np.nanmax(day[now])
    if others[found].max() > 0:
        grown = noted.witnesses(f"device_others_growth_{HORIZON}d", row)
        told = noted.value(f"device_others_growth_{HORIZON}d", row)
        most = grown[others[grown] == np.nanmax(others[now])]
        assert np.float32((day[most] / others[most]).max()) == pytest.approx(told, rel=1e-6)


@given(data=st.data())
@settings(max_examples=15)
def test_trouble_nearby(noted, data):
    """Witnesses of risk are all of the window's events at the value with most known trouble, or the highest rate."""
    row = data.draw(st.integers(0, len(noted.vectors) - 1))
    now, codes = noted.window(row), noted.timeline.dimensions["device"].codes
    for span in ("1d", "7d", f"{HORIZON}d"):
        troubles = noted.timeline.notes[f"risk.device.troubles.{span}"]
        for what in ("max", "rate_max"):
            found = noted.witnesses(f"device_trouble_{what}_{span}", row)
            if np.isnan(troubles[now]).all():
                assert not len(found)
                continue
            assert found.tolist() == [position for position in now.tolist() if codes[position] == codes[found[0]]]
            if what == "max":
                assert max(troubles[found]) == noted.value(f"device_trouble_max_{span}", row)
    for what, note in (("last_min", "last"), ("first_max", "first"), ("run_max", "run"), ("calm_min", "calm")):
        value, found = noted.value(f"device_trouble_{what}_1d", row), noted.witnesses(f"device_trouble_{what}_1d", row)
        assert np.isnan(value) == (len(found) == 0)
        if len(found):
            assert np.float32(value) in noted.timeline.notes[f"risk.device.{note}"][found]
    own = noted.witnesses(f"own_trouble_count_{HORIZON}d", row)
    assert len(own) == noted.value(f"own_trouble_count_{HORIZON}d", row)


def test_one_event_is_its_own_witness():
    """With one vector per event the moment's features are told by that event, a gap by the two around it."""
    stage = stage_of(ALL, "event")
    scene = Scene(stage.plan, stage.timeline)
    for row in range(0, len(scene.vectors), 7):
        last = int(scene.snapshots.stop[row]) - 1
        assert scene.witnesses("amount_event", row).tolist() == [last]
        gap = scene.value("gap_event", row)
        assert scene.witnesses("gap_event", row).tolist() == ([last] if np.isnan(gap) else [last - 1, last])


@given(world=worlds(most=30))
@settings(max_examples=20)
def test_both_devices_of_the_oddest_pair_and_no_third(world):
    """The events of the oddest pair of a window are all its events at two values."""
    scene = Scene.of(world)
    for row in range(len(scene.vectors)):
        found, now = scene.witnesses("device_pair_surprise_max_1d", row), scene.window(row)
        codes = scene.timeline.dimensions["device"].codes
        if len(found):
            held = Counter(codes[found].tolist())
            assert len(held) == 2
            assert held == Counter(code for code in codes[now].tolist() if code in held)
        assert (len(found) > 0) == (np.nan_to_num(scene.value("device_pair_surprise_max_1d", row)) > 0)


@given(world=worlds(most=30))
@settings(max_examples=20)
def test_both_ends_of_each_repetition(world):
    """The events of repetitions are those whose neighbour in the window did the same; taken away, others may repeat."""
    scene = Scene.of(world)
    for row in range(len(scene.vectors)):
        now = scene.window(row)
        done = scene.timeline.dimensions["action"].codes[now]
        steps = [n for n in range(1, len(now)) if done[n] == done[n - 1] >= 0]
        wanted = sorted({place for n in steps for place in (now[n - 1], now[n])})
        assert scene.witnesses("repeat_share_1d", row).tolist() == wanted


codes_of = st.lists(st.integers(-1, 4), max_size=12).map(lambda codes: np.array(codes, np.int32))


@given(codes=codes_of)
def test_the_first_of_each(codes):
    """A loop that remembers what it has seen finds the same."""
    seen, wanted = {-1}, []
    for position, code in enumerate(codes.tolist()):
        if code not in seen:
            wanted.append(position)
        seen.add(code)
    assert firsts(codes, np.arange(len(codes))).tolist() == wanted


@given(codes=codes_of, values=codes_of)
def test_those_that_are_alike(codes, values):
    """A null is like no other."""
    wanted = [position for position, code in enumerate(codes.tolist()) if code >= 0 and code in values.tolist()]
    assert alike(codes, np.arange(len(codes)), values).tolist() == wanted


@given(steps=st.lists(st.integers(2, 20), max_size=6), length=st.integers(1, 3))
def test_both_ends_of_steps(steps, length):
    """The events that steps are made of, each once."""
    wanted = sorted({step - back for step in steps for back in range(length)})
    assert both_ends(np.array(steps, np.int64), length).tolist() == wanted
