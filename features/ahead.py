"""Work in threads: what comes next is made while the one before is used, and several things side by side."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["ahead", "side_by_side"]

Item = TypeVar("Item")
Made = TypeVar("Made")

_WORTH_THREADS = 500_000  # steps: to start and to end threads takes as long


def ahead(make: Callable[[Item], Made], items: Iterable[Item], *, most: int = 1) -> Iterator[tuple[Item, Made]]:
    """Each item with what is made of it, in their order; so many more are made in threads meanwhile.

    Parameters
    ----------
    make : callable
        Must not mind that others run at the same time.
    items : iterable
    most : int
        How many are made, or wait to be taken, beside the one that was given out.

    Examples
    --------
    >>> list(ahead(lambda number: number * number, range(4)))
    [(0, 0), (1, 1), (2, 4), (3, 9)]
    """
    with ThreadPoolExecutor(most) as pool:
        coming: deque[tuple[Item, Future[Made]]] = deque()
        for item in items:
            coming.append((item, pool.submit(make, item)))
            if len(coming) > most:
                yield _first(coming)
        while coming:
            yield _first(coming)


def side_by_side(work: Callable[[Item], Made], items: Iterable[Item], *, steps: int) -> list[Made]:
    """What some work makes of each item, in their order; in threads, where there is so much to do that it is worth it.

    Parameters
    ----------
    work : callable
        Must not mind that others run at the same time.
    items : iterable
    steps : int
        That all of it takes, such as a value that is moved; roughly.

    Examples
    --------
    >>> side_by_side(lambda number: number + 1, [1, 2], steps=2)
    [2, 3]
    """
    if steps < _WORTH_THREADS:
        return [work(item) for item in items]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(work, items))


def _first(coming: deque[tuple[Item, Future[Made]]]) -> tuple[Item, Made]:
    """The first of them when it is made; nothing here holds on to it."""
    item, made = coming.popleft()
    return item, made.result()
