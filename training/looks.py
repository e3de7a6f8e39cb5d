"""Which columns of a forest tell what is rehearsed: sets of them, each a step wider than the one before.

Most subjects of a vector tell nothing of what a team looks for, and what they find odd takes up the budget. Their small
forests are grown once, with either side of a column odd and with the high side alone; the surprises are kept. Then the
subject and side that find most are taken, again and again that which adds most to those taken, all judged by the
rehearsals alone. That costs comparisons of a few thousand rows and no further forest. How far to go along this order is
for the search to try, with whole forests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .isolation_forest import FittedIsolationForest, IsolationForest
    from .rehearsal import Rehearsal

__all__ = ["Looks", "looks_of"]

_STEPS = 12  # subjects that are taken one after the other
_ROWS = 30_000  # real rows of a rehearsal that the order is judged by
_LEAST = 1e-9  # what another subject must add to be taken for better


@dataclass(frozen=True)
class Looks:
    """Settings of a forest that look at some columns, from few to many.

    Attributes
    ----------
    steps : tuple of mappings
        ``columns``, ``high`` and ``low`` of each step; the last is what the forest had before.
    value : tuple of float
        What the small forests find at each step but the last, as :meth:`Rehearsal.gain`.
    """

    steps: tuple[Mapping[str, Any], ...]
    value: tuple[float, ...]

    @property
    def best(self) -> int:
        """The step that finds most, counted from 1; the narrowest of several."""
        return int(np.argmax(self.value)) + 1 if self.value else 1


@dataclass(frozen=True, eq=False)
class _Heard:
    """A grove's small forests, and their surprises at the rows of each rehearsal to the power of the norm."""

    fitted: FittedIsolationForest
    power: list[NDArray[np.float64]]


def looks_of(start: IsolationForest, train: Vectors, rehearsals: Sequence[Rehearsal], *, seed: int) -> Looks:
    """Order the subjects that a forest looks at by what they add to what is found.

    Parameters
    ----------
    start : IsolationForest
        Subjects and columns that it does not look at are not looked at in any step. A plain forest has no steps but
        its own.
    train : Vectors
        To learn from.
    rehearsals : sequence of Rehearsal
    seed : int
    """
    own = {name: getattr(start, name) for name in ("columns", "high", "low")}
    if not start.grove:
        return Looks((own,), ())
    staged = [each.thinned(_ROWS) for each in rehearsals]
    sides = [start, replace(start, high=("*",), low=())]
    heard = [_hear(replace(each, trees=1), train, staged, seed) for each in dict.fromkeys(sides)]
    taken, values = _taken(heard, staged, start.norm)
    steps = [_step(heard, taken[: number + 1]) for number in range(len(taken))]
    return Looks((*steps, own), tuple(values))


def _hear(settings: IsolationForest, train: Vectors, staged: Sequence[Rehearsal], seed: int) -> _Heard:
    fitted = settings.fit(train, seed=seed)
    power = []
    for each in staged:
        values = np.ascontiguousarray(each.vectors.values)
        part = slice(0, len(each.vectors))
        reach = fitted.reach.of(values, part, len(fitted.group_names))
        for number, (forest, tail) in enumerate(zip(fitted.forests[1:], fitted.tails[1:], strict=True)):
            length, place = forest.distinct_path_length(values, part)
            np.maximum(reach[number], tail(forest.scale(length))[place], out=reach[number])
        power.append(reach**settings.norm)
    return _Heard(fitted, power)


def _taken(
    heard: Sequence[_Heard], staged: Sequence[Rehearsal], norm: float
) -> tuple[list[tuple[int, int]], list[float]]:
    """Side and number of each subject in the order of what it adds, and what is found with it and all before."""
    groups = len(heard[0].fitted.group_names)
    left = set(range(groups))
    taken: list[tuple[int, int]] = []
    values: list[float] = []
    before = [np.zeros(len(each.case)) for each in staged]
    while left and len(taken) < _STEPS:
        best, most = (0, min(left)), -np.inf
        for group in sorted(left):
            for side, own in enumerate(heard):
                found = np.mean([
                    each.gain((power + own.power[n][group]) ** (1.0 / norm))
                    for n, (each, power) in enumerate(zip(staged, before, strict=True))
                ])  # fmt: skip
                if found > most + _LEAST:
                    best, most = (side, group), float(found)
        left.remove(best[1])
        taken.append(best)
        values.append(most)
        before = [power + heard[best[0]].power[n][best[1]] for n, power in enumerate(before)]
    return taken, values


def _step(heard: Sequence[_Heard], taken: Sequence[tuple[int, int]]) -> dict[str, tuple[str, ...]]:
    """The columns of these subjects, and on which side each is odd, as patterns of names."""
    chosen: dict[str, list[str]] = {"columns": [], "high": [], "low": []}
    for side, group in taken:
        fitted = heard[side].fitted
        features = list(zip(fitted.features, fitted.families, fitted.subjects, strict=True))
        looked = fitted.settings.looked(features)
        for column in looked.groups[fitted.group_names[group]].tolist():
            name = fitted.features[column].replace("[", "[[]")
            chosen["columns"].append(name)
            if looked.side[column]:
                chosen["high" if looked.side[column] > 0 else "low"].append(name)
    return {name: tuple(patterns) for name, patterns in chosen.items()}
