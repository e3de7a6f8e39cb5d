"""The passes behind alerts: down the ranks of each day's list until its budget is used up.

Rows are given list by list (a day, or a day and a team), each from its highest rank down; ``who`` is what a row counts
as: the entity's code if its windows of one list count once, or a code of its own. Each row is looked at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..features.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["found_within", "reached"]


# What the list reaches to is the row that took the last place of its budget. A row that brings in somebody new takes
# along the rows passed since the last such row: windows of those who are in already, above the line. What is hidden is
# passed and taken along, but takes no place. Each row is taken along at most once, so the pass is linear.
@kernel
def reached(
    of: NDArray[np.int64],
    who: NDArray[np.int64],
    most: NDArray[np.int64],
    candidate: NDArray[np.bool_],
    hidden: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which candidates lie at or above the line of their list; ``most`` is the budget of a row's list."""
    inside = np.zeros(len(of), np.bool_)
    codes = who.max() + 1 if len(who) else 0
    counted, passed = np.full(codes, -1), np.full(codes, -1)
    number, used, mark = -1, 0, 0
    for i in range(len(of)):
        if i == 0 or of[i] != of[i - 1]:
            number, used, mark = number + 1, 0, i
        if used >= most[i] or not candidate[i] or counted[who[i]] == number:
            continue
        if hidden[i]:
            if passed[who[i]] == number:
                continue
            passed[who[i]] = number
        else:
            counted[who[i]] = number
            used += 1
        for j in range(mark, i + 1):
            inside[j] = candidate[j]
        mark = i + 1
    return inside


# The same pass with each entity counting so many times, as in a redraw: copies of an entity are so many entities, and a
# budget may end between two of them. A list whose budget is used up is left at once, so a pass costs what the budget
# lets in, not what there is, unless it reached the lowest score of its list: then those of that score are looked at
# until one is found whom places were too few for, and if there is one, they are no alerts (Lists.unraised).
@kernel
def found_within(
    ends: NDArray[np.int64],
    rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]],
    truth: tuple[NDArray[np.bool_], NDArray[np.float64]],
    times: NDArray[np.int64],
    budget: int,
) -> tuple[float, float]:
    """The weight of alerts whose truth is known, and of confirmed ones.

    ``ends`` are where lists end; ``rows`` is what each row counts as, its entity, its score, and whether it is hidden;
    ``truth`` whether it is confirmed, and its weight, 0 where nothing is known; ``times`` how often each entity counts.
    """
    who, code, _, hidden = rows
    y, weight = truth
    known = caught = 0.0
    codes = who.max() + 1 if len(who) else 0
    counted, passed, taken = np.full(codes, -1), np.full(codes, -1), np.zeros(codes, np.int64)
    start = 0
    for number in range(len(ends)):
        left, mark = budget, start
        for i in range(start, ends[number]):
            if left == 0:
                break
            if counted[who[i]] == number or times[code[i]] == 0:
                continue
            if hidden[i]:
                if passed[who[i]] == number:
                    continue
                passed[who[i]] = number
            else:
                counted[who[i]], taken[who[i]] = number, min(times[code[i]], left)
                left -= taken[who[i]]
            mark = i + 1
        lists = (number, start, ends[number])
        mark = _raised_to(lists, mark, rows, times, (counted, taken))
        for j in range(start, mark):
            if counted[who[j]] == number and not hidden[j]:
                known += weight[j] * taken[who[j]]
                caught += weight[j] * taken[who[j]] * y[j]
        start = ends[number]
    return known, caught


@kernel
def _raised_to(
    lists: tuple[int, int, int],
    mark: int,
    rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]],
    times: NDArray[np.int64],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> int:
    """Where a list's alerts end: at ``mark``, or before its lowest score if others of that score got no place."""
    number, start, end = lists
    who, code, score, hidden = rows
    counted, taken = places
    last = end - 1
    while last >= start and times[code[last]] == 0:
        last -= 1
    if last < start or mark <= start or score[mark - 1] != score[last]:
        return mark
    floor = score[last]
    for i in range(last, start - 1, -1):
        if score[i] != floor:
            return mark
        if times[code[i]] > 0 and not hidden[i] and (counted[who[i]] != number or taken[who[i]] < times[code[i]]):
            while mark > start and score[mark - 1] == floor:
                mark -= 1
            return mark
    return mark
