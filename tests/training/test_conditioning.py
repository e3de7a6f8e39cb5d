"""Inputs that a random cut can work with."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peculiar.training.conditioning import Conditioning, condition

LARGEST = float(np.finfo(np.float32).max)
numbers = st.floats(-LARGEST, LARGEST, width=32)


@given(value=numbers, cut=st.floats(-200, 200), center=st.floats(-1e6, 1e6), scale=st.floats(1e-6, 1e9))
def test_a_raw_threshold_decides_as_the_conditioned_one(value, cut, center, scale):
    """A raw value passes its raw threshold exactly when its conditioned value passes the conditioned one."""
    inputs = Conditioning.fit(np.zeros((1, 2), np.float32), knee=1.0, common=0.1).inputs
    own = Conditioning(inputs, np.array([center]), np.array([scale]), np.arange(1))
    ends = condition(np.array([-LARGEST, LARGEST], np.float32), center, scale)
    if not ends[0] <= cut < ends[1]:  # a forest never cuts outside the values it saw
        return
    raw = own.raw_thresholds(np.zeros(1, np.int32), np.array([cut]))[0]
    near = np.array([value, raw, np.nextafter(raw, np.float32(np.inf)), 0.0, -0.0], np.float32)
    assert ((near <= raw) == (condition(near, center, scale) <= np.float64(cut))).all()


def test_tails_are_drawn_in_and_the_middle_is_kept():
    """Within an interquartile range distances keep their proportion to 5 %; a million of them becomes a dozen."""
    values = np.arange(1001, dtype=np.float32)[None]
    conditioning = Conditioning.fit(values, knee=3.0, common=0.01)
    near, far = condition(np.array([750.0, 1000.0, 5e8], np.float32), conditioning.center[0], conditioning.scale[0])[1:]
    assert conditioning.center[0] == 500.0
    assert abs(near / (500 / conditioning.scale[0]) - 1) < 0.05
    assert 12 < far < 15


def test_mostly_equal_columns_have_a_scale():
    """A count that is 0 for nearly everyone is scaled by how far the others lie; a constant or empty column by 1."""
    values = np.zeros((3, 100), np.float32)
    values[0, :5] = [2, 4, 6, 8, 10]
    values[2] = np.nan
    conditioning = Conditioning.fit(values, knee=1.0, common=0.01)
    assert conditioning.scale.tolist() == [6.0, 1.0, 1.0]
    assert conditioning.inputs.fill.tolist() == [0.0, 0.0, 0.0]


def test_common_nulls_are_told():
    """Nulls become the median; where both nulls and values are common an indicator says which was which."""
    values = np.array([[1, 2, 3, np.nan], [1, 2, 3, 4]], np.float32)
    conditioning = Conditioning.fit(values, knee=1.0, common=0.25)
    seen = conditioning.see(values)
    assert conditioning.inputs.column.tolist() == [0, 1, 0]
    assert conditioning.inputs.indicator.tolist() == [False, False, True]
    assert (seen[:, 2] > 0).tolist() == [False, False, False, True]
    assert seen[3, 0] == seen[1, 0]
    assert len(Conditioning.fit(values, knee=1.0, common=0.3).center) == 2
