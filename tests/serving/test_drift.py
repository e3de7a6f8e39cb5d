"""Features move when they do, and not by luck: limits hold on redraws and repeat what the training itself did."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from peculiar.features.family import Feature
from peculiar.features.population import histogram
from peculiar.features.vectors import Vectors
from peculiar.serving.drift import SHIFT, Drift, Sizes, drift_of, limits, luck_of_ks, luck_of_psi
from peculiar.serving.findings import changes_of, mix_of, newcomer_wave
from peculiar.training.usual import Cells, cells_of, count_cells, ks, psi, tenths


def feature(name: str, family: str = "volume") -> Feature:
    """A feature of a family."""
    return Feature(name, family, "events", "how many", "never null", "", None, "events")


def cells(column: np.ndarray, **spread: tuple[float, float]) -> Cells:
    """A column as a reference."""
    column = column.astype(np.float32)
    start = cells_of(histogram([column])[0])
    return Cells(start, count_cells(column, start, np.zeros(len(column), np.int64), 1)[0], **spread)


def compared(
    before: np.ndarray, now: np.ndarray, new: np.ndarray | None = None, **spread: tuple[float, float]
) -> Drift:
    """One feature of as many entities as rows, then and now, over a week."""
    rows = len(now)
    entity = pa.array([f"u{n}" for n in range(rows)]).dictionary_encode()
    time = np.zeros(rows, np.int64)
    vectors = Vectors(entity, time, time + 1, now.astype(np.float32)[None], (feature("a"),), "plan")
    sizes = Sizes(len(before), rows, 7, 1)
    new = np.zeros(rows, np.bool_) if new is None else new
    return drift_of(vectors, {"a": cells(before, **spread)}, new, sizes)[0]


def test_luck_is_exceeded_about_as_often_as_promised():
    """Of 400 redraws without drift, PSI and KS are beyond the limit of one in a hundred at most some ten times."""
    rng = np.random.default_rng(0)
    beyond = np.zeros(2)
    for _ in range(400):
        before, now = rng.gamma(2.0, size=900), rng.gamma(2.0, size=300)
        reference = cells(before)
        counts = count_cells(now.astype(np.float32), reference.start, np.zeros(300, np.int64), 1)[0]
        cut = tenths(reference.counts)
        far = psi(np.add.reduceat(reference.counts, cut), np.add.reduceat(counts, cut)), ks(reference.counts, counts)
        beyond += np.array(far) > (luck_of_psi(len(cut), (900, 300), 1), luck_of_ks((900, 300), 1))
    assert beyond.max() <= 12


@pytest.mark.parametrize(("shift", "moved", "direction"), [(0.0, False, 0), (0.8, True, 1), (-0.8, True, -1)])
def test_a_shift_moves_a_feature_and_has_a_direction(shift, moved, direction):
    """By four fifths of a standard deviation either way; none without it."""
    rng = np.random.default_rng(1)
    found = compared(rng.normal(size=2_000), rng.normal(shift, size=2_000))
    assert found.moved == moved
    assert not moved or found.direction == direction
    assert not moved or np.sign(found.medians[1] - found.medians[0]) == direction


def test_a_column_that_spreads_moves_to_no_side():
    """Twice the standard deviation, the same middle."""
    rng = np.random.default_rng(2)
    found = compared(rng.normal(size=3_000), rng.normal(scale=2.5, size=3_000))
    assert (found.moved, found.direction) == (True, 0)


def test_nulls_are_part_of_it():
    """A column that is half null now has moved, whatever its values."""
    rng = np.random.default_rng(3)
    now = np.where(rng.random(1_000) < 0.5, np.nan, rng.normal(size=1_000))
    found = compared(rng.normal(size=1_000), now)
    assert found.moved
    assert found.nulls == pytest.approx((0.0, np.isnan(now).mean()))


def test_what_weeks_of_the_training_did_is_no_drift():
    """A shift that a week of the training had, too, is let pass; half as far again and more is not."""
    rng = np.random.default_rng(4)
    before, now = rng.normal(size=2_000), rng.normal(0.8, size=2_000)
    far = compared(before, now)
    assert not compared(before, now, weekly=(far.psi, far.ks)).moved
    assert compared(before, now, weekly=(far.psi / 2, far.ks / 2)).moved


def test_newcomers_alone_move_no_one_else():
    """Half of the rows are new and high: the feature moved, and without them it did not."""
    rng = np.random.default_rng(5)
    new = np.arange(2_000) % 2 == 0
    found = compared(rng.normal(size=2_000), rng.normal(size=2_000) + 2 * new, new)
    assert (found.moved, found.moved_known) == (True, False)
    assert changes_of([found, found]) == []
    assert [each.kind for each in mix_of([found, found], ({}, {}), (1, 1))] == ["mix"]


def test_small_shifts_do_not_count_however_many_rows_there_are():
    """Below 0.1 a shift is none, as the trade has it."""
    reference = cells(np.random.default_rng(6).normal(size=100_000))
    assert limits(reference, Sizes(10**6, 10**6, 7, 1))[0] == SHIFT


def test_a_single_feature_is_a_hint_and_two_are_a_change():
    """What changes in earnest shows in more than one way."""
    rng = np.random.default_rng(7)
    moved = compared(rng.normal(size=2_000), rng.normal(1.0, size=2_000))
    (hint,) = changes_of([moved])
    (change,) = changes_of([moved, moved])
    assert (hint.sure, change.sure, change.kind) == ("low", "high", "change")


def test_what_a_family_counts_of_others_is_mix_in_a_wave():
    """Newcomers on the same vehicles raise everybody's figures of sharing."""
    rng = np.random.default_rng(8)
    moved = compared(rng.normal(size=2_000), rng.normal(1.0, size=2_000))
    shared = Drift(**{**vars(moved), "feature": feature("b", "sharing")})
    assert [each.kind for each in changes_of([shared, shared], wave=True)] == ["mix"]
    assert [each.kind for each in changes_of([shared, shared])] == ["change"]
    assert [each.kind for each in changes_of([moved, moved], wave=True)] == ["change"]


def test_peer_groups_of_other_sizes_are_mix():
    """A depot that grew from a tenth to a third; equal shares are nothing."""
    before = {"a": 900, "b": 100}
    assert mix_of([], (before, {"a": 450, "b": 52}), (500, 400)) == []
    (found,) = mix_of([], (before, {"a": 400, "b": 200}), (500, 400))
    assert (found.kind, found.code) == ("mix", "peers")


def test_newcomers_are_a_wave_beyond_the_worst_week():
    """Half as many again as the largest share in training, and five in a hundred more."""
    assert newcomer_wave(0.12, 0.10) == newcomer_wave(None, 0.1) == newcomer_wave(0.5, None) == []
    (found,) = newcomer_wave(0.3, 0.1)
    assert found.sure == "high"
