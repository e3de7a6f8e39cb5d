"""Work ahead keeps the order, holds no more than it was told, and passes errors on."""

from __future__ import annotations

import threading

import pytest

from peculiar.features.ahead import ahead


def test_the_order_is_that_of_the_items():
    """However long each takes, the first comes first."""
    gate = threading.Event()

    def make(number: int) -> int:
        if number == 0:
            gate.wait(5)
        else:
            gate.set()
        return number * 2

    assert list(ahead(make, range(3), most=2)) == [(0, 0), (1, 2), (2, 4)]
    assert list(ahead(make, [])) == []


def test_no_more_than_one_is_made_ahead():
    """While an item is used, one more is made and none after it."""
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        return number

    found = ahead(make, range(5))
    assert next(found) == (0, 0)
    assert set(begun) <= {0, 1}
    assert next(found) == (1, 1)
    assert set(begun) <= {0, 1, 2}
    found.close()
    assert len(begun) <= 3


def test_what_fails_fails_where_it_is_taken():
    """The items before it are given out."""
    found = ahead(lambda number: 1 // number, [1, 0])
    assert next(found) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        next(found)
