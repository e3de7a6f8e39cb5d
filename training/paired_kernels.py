"""The passes behind :mod:`peculiar.training.paired`: figures of ranked rows, each entity counting so many times.

Rows are given from the highest score down, over all or within each day; ``code`` is the entity of a row and ``times``
how often each entity counts. Every pass is linear in the rows, and each budget is walked through with copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..features.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["card_precision", "late", "ranking", "stake", "within"]


# One pass from the highest score down. Rows of one score enter together: average precision takes the precision after
# all of them, the area counts a pair of them as half won. Exact whole numbers until the two divisions.
@kernel
def ranking(
    y: NDArray[np.bool_], code: NDArray[np.intp], last: NDArray[np.bool_], times: NDArray[np.int64]
) -> tuple[float, float]:
    """Average precision and the area under the ROC curve; NaN without a confirmed or without another row."""
    seen = found = rows = bad = 0
    precision = pairs = 0.0
    for i in range(len(y)):
        weight = times[code[i]]
        rows += weight
        bad += weight if y[i] else 0
        if last[i]:
            pairs += (rows - bad) * (found + 0.5 * bad)
            seen, found = seen + rows, found + bad
            precision += bad * found / max(seen, 1)
            rows = bad = 0
    if found * (seen - found) == 0:
        return np.nan, np.nan
    return precision / found, pairs / (found * (seen - found))


@kernel
def within(
    day: NDArray[np.int64], y: NDArray[np.bool_], code: NDArray[np.intp], times: NDArray[np.int64], budget: int
) -> tuple[int, int, int]:
    """Alerts, confirmed alerts, and confirmed rows."""
    raised = caught = positives = 0
    left = budget
    for i in range(len(day)):
        if i == 0 or day[i] != day[i - 1]:
            left = budget
        weight = times[code[i]]
        taken = min(weight, left)
        left -= taken
        raised += taken
        if y[i]:
            caught += taken
            positives += weight
    return raised, caught, positives


@kernel
def stake(
    rows: tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.intp]],
    value: NDArray[np.float64],
    times: NDArray[np.int64],
    budget: int,
) -> tuple[float, float]:
    """What is at stake in confirmed rows that are alerted, and in all of them."""
    day, y, code = rows
    found = total = 0.0
    left = budget
    for i in range(len(day)):
        if i == 0 or day[i] != day[i - 1]:
            left = budget
        weight = times[code[i]]
        taken = min(weight, left)
        left -= taken
        if y[i]:
            found += taken * value[i]
            total += weight * value[i]
    return found, total


# A day is walked twice: who is bad that day, then whom the budget reaches, an entity once, at its highest row. The
# copies that are caught leave the game. A day on which no copy has a row is no day.
@kernel
def card_precision(
    day: NDArray[np.int64], y: NDArray[np.bool_], code: NDArray[np.intp], times: NDArray[np.int64], budget: int
) -> float:
    """Mean over days of the share of the budget that is bad entities, each counting until it is found."""
    free = times.copy()
    bad, seen = np.full(len(times), -1, np.int64), np.full(len(times), -1, np.int64)
    lo = days = caught = 0
    while lo < len(day):
        hi, there = lo, 0
        while hi < len(day) and day[hi] == day[lo]:
            there += times[code[hi]]
            if y[hi]:
                bad[code[hi]] = lo
            hi += 1
        left = budget
        for i in range(lo, hi):
            who = code[i]
            if seen[who] != lo:
                seen[who] = lo
                taken = min(free[who], left)
                left -= taken
                if bad[who] == lo:
                    caught += taken
                    free[who] -= taken
        days += 1 if there > 0 else 0
        lo = hi
    return caught / (days * budget) if days else np.nan


# Copy number c of an entity is found by the first of its confirmed rows that has more than c copies within the budget.
@kernel
def late(
    rows: tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.intp]],
    times: NDArray[np.int64],
    budget: int,
    first: NDArray[np.int64],
) -> NDArray[np.int64]:
    """How many entities are found after 0, 1, 2, … days; last, how many never."""
    day, y, code = rows
    late = np.zeros(day[-1] - day[0] + 2, np.int64)
    found = np.zeros(len(times), np.int64)
    left = budget
    for i in range(len(day)):
        if i == 0 or day[i] != day[i - 1]:
            left = budget
        who = code[i]
        taken = min(times[who], left)
        left -= taken
        if y[i] and taken > found[who]:
            late[day[i] - first[who]] += taken - found[who]
            found[who] = taken
    for who in range(len(times)):
        if first[who] <= day[-1]:
            late[-1] += times[who] - found[who]
    return late
