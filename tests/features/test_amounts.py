"""Quantiles, round and repeated amounts against sorting, decimals and counting, over windows of every kind."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.amounts import is_round, quantiles, repeats

AMOUNTS = st.one_of(
    st.sampled_from([np.nan, 0.0, -0.0, 1.0, 2.4, 50.0, -50.0, 250.0, 99.99]), st.floats(-1e6, 1e6, width=32)
)


def looks_round(amount: float) -> bool:
    """In decimals: at most two digits, the second 0 or 5, to one part in ten million."""
    size = abs(Decimal(amount))
    if size == 0:
        return False
    half = Decimal(5).scaleb(size.adjusted() - 1)
    return abs(size / half - round(size / half)) * half <= size * Decimal("1e-7")


@st.composite
def windows(draw, most: int = 90):
    """Amounts of a few entities and windows over them, apart, overlapping or with gaps in the horizon before."""
    sizes = draw(st.lists(st.integers(0, most), min_size=1, max_size=4))
    total = sum(sizes)
    values = np.array(draw(st.lists(AMOUNTS, min_size=total, max_size=total)), np.float64)
    width, horizon = draw(st.integers(1, most)), draw(st.integers(0, most))
    apart = draw(st.booleans())
    rows, start, stop, history, first = [0], [], [], [], 0
    for size in sizes:
        ends = [*range(width, size, width), size] if apart else range(1, size + 1)
        for end in ends if size else []:
            begin = (end - 1) // width * width if apart else max(0, end - width)
            start.append(first + begin)
            stop.append(first + end)
            history.append(first + max(0, begin - horizon))
        rows.append(len(start))
        first += size
    return values, *(np.array(edges, np.int64) for edges in (rows, history, start, stop))


@pytest.mark.parametrize("width", [255, 256, 257, 700])
def test_long_windows_have_the_same_quantiles(width):
    """Whether the amounts of a window are kept in order or in a tree, the columns are those of the sorted window."""
    rng = np.random.default_rng(width)
    values = np.where(rng.random(900) < 0.1, np.nan, np.round(rng.lognormal(2.0, 1.0, 900), 1))
    stop = np.arange(1, 901)
    start = np.where(stop > 800, 800, np.maximum(0, stop - width))
    made = np.full((2, 900), np.nan, np.float32)
    quantiles(made, values, (np.array([0, 800, 900]), start, stop))
    for r in range(900):
        held = values[start[r] : stop[r]]
        held = held[~np.isnan(held)]
        wanted = [np.median(held), np.quantile(held, 0.75, method="inverted_cdf")] if len(held) else [np.nan] * 2
        assert made[:, r].tolist() == pytest.approx(np.float32(wanted).tolist(), nan_ok=True)


@given(windows())
@settings(max_examples=150, deadline=None)
def test_quantiles_equal_those_of_the_sorted_window(drawn):
    """On any windows, a few amounts or many, apart or not, the columns are what numpy reads off the sorted window."""
    values, rows, _, start, stop = drawn
    made = np.full((2, len(start)), np.nan, np.float32)
    quantiles(made, values, (rows, start, stop))
    for r in range(len(start)):
        held = values[start[r] : stop[r]]
        held = held[~np.isnan(held)]
        wanted = [np.median(held), np.quantile(held, 0.75, method="inverted_cdf")] if len(held) else [np.nan] * 2
        np.testing.assert_array_equal(made[:, r], np.array(wanted, np.float32))


@given(windows())
@settings(max_examples=150, deadline=None)
def test_repeats_equal_a_plain_count(drawn):
    """On any windows the columns are the shares and the count that a look at each window and its past gives."""
    values, rows, history, start, stop = drawn
    made = np.full((3, len(start)), np.nan, np.float32)
    repeats(made, values, (rows, history, start, stop))
    for r in range(len(start)):
        held = values[start[r] : stop[r]]
        held = held[~np.isnan(held)].tolist()
        past = set(values[history[r] : start[r]].tolist())
        wanted = [np.nan] * 3
        if held:
            count = max(Counter(held).values())
            wanted = [np.mean([looks_round(v) for v in held]), count, np.mean([v in past for v in held])]
        np.testing.assert_allclose(made[:, r], np.array(wanted, np.float32), rtol=1e-6)


@given(st.integers(1, 9), st.sampled_from([0, 5]), st.integers(-12, 18))
def test_what_is_written_with_two_digits_and_zeros_is_round(first, second, power):
    """Every such amount is round in any unit, whether it came as 64 or 32 bits, or owed."""
    amount = float(f"{first}.{second}e{power}")
    assert is_round(amount)
    assert is_round(-amount)
    assert is_round(float(np.float32(amount)))


@given(st.floats(-1e12, 1e12).filter(lambda amount: amount == 0 or abs(amount) > 1e-12))
def test_round_is_as_decimals_have_it(amount):
    """Any other amount is round exactly if its decimals are."""
    assert is_round(amount) == looks_round(amount)


@given(st.integers(1, 99_999))
def test_euros_and_cents_agree(cents):
    """An amount is as round in cents as it is in euros and in thousands of them."""
    assert is_round(cents) == is_round(cents / 100) == is_round(cents / 100_000)


@pytest.mark.parametrize("amount", [0.0, -0.0, float("nan"), float("inf"), 2.4, 12.0, 249.0, 1234.0, 99.99, 1.01])
def test_these_are_not_round(amount):
    """Nothing, no number, and prices are not round."""
    assert not is_round(amount)


def test_nothing_to_fill_is_no_error():
    """No windows leave no trace, and a window of nulls keeps its null."""
    none = np.empty(0, np.int64)
    quantiles(np.empty((2, 0), np.float32), np.empty(0), (np.zeros(1, np.int64), none, none))
    repeats(np.empty((3, 0), np.float32), np.empty(0), (np.zeros(1, np.int64), none, none, none))
    made = np.full((5, 1), np.nan, np.float32)
    one = tuple(np.array(edges, np.int64) for edges in ([0, 1], [0], [0], [2]))
    quantiles(made[:2], np.full(2, np.nan), (one[0], *one[2:]))
    repeats(made[2:], np.full(2, np.nan), one)
    assert np.isnan(made).all()
