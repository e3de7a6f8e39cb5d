"""What speaks against suspicion: little history, a day that was odd for many, chance, numbers that were calm.

A list of reasons is one-sided by nature: it holds what raised the score. A person who decides needs the other side in
the same place, in the same plain words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..training.asides import days_of
from .examined import is_low
from .reasons import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from ..training.model import Model
    from .leads import Standing
    from .reasons import Reason
    from .scoring import ScoredBatch

__all__ = ["doubts", "weakening"]

_SHORT = 7  # windows of history: with fewer, an own usual is a guess
_MANY = 3.0  # times as many as the population has beyond its 95 % quantile: an odd day for many
_ENOUGH = 20  # windows a day, below which the share beyond a quantile says nothing
_TAIL = 0.05
_NOUNS = {"1d": "days", "1h": "hours"}


def weakening(
    model: Model,
    batch: ScoredBatch,
    rows: NDArray[np.intp],
    reasons: Sequence[Sequence[Reason]],
) -> list[tuple[str, ...]]:
    """Say for each row what makes it less suspicious than its reasons do, without telling how high its score is.

    Parameters
    ----------
    model : Model
    batch : ScoredBatch
        With all windows of the rows' days.
    rows : int array of shape (k,)
        Positions in the batch.
    reasons : sequence of k sequences of Reason

    Returns
    -------
    list of k tuples of str
        Sentences without a full stop, the weightiest first.
    """
    chosen = batch.vectors.take(rows)
    noun = "windows" if model.plan.windows.by is not None else _NOUNS.get(model.plan.windows.every, "windows")
    history, busy = _history(chosen, noun), _odd_for_many(model, batch, rows, reasons, noun)
    calm = _calm(model, chosen)
    return [tuple(line for line in (history[n], busy[n], calm[n]) if line) for n in range(len(rows))]


def doubts(standing: Standing, reasons: Sequence[Reason], noun: str) -> tuple[str, ...]:
    """Say what speaks against suspicion and tells how high the score is: no words for a reviewer who decides blind."""
    return tuple(line for line in (*_frail(reasons), _chance(standing, noun)) if line)


def _history(vectors: Vectors, noun: str) -> list[str]:
    """Too few windows before this one to know what is usual."""
    name = next((name for name in vectors.names if name.startswith("history_windows_")), None)
    if name is None:
        return [""] * len(vectors)
    said = []
    for count in vectors.column(name).tolist():
        if count >= _SHORT:
            said.append("")
            continue
        known = "no earlier window" if count == 0 else f"only {count:.0f} earlier {noun if count > 1 else noun[:-1]}"
        said.append(f"short history: {known} to tell its own usual from")
    return said


def _odd_for_many(
    model: Model,
    batch: ScoredBatch,
    rows: NDArray[np.intp],
    reasons: Sequence[Sequence[Reason]],
    noun: str,
) -> list[str]:
    """A day on which far more windows than usual lie beyond what is rare, in the number that leads the reasons."""
    day = days_of(batch.vectors, model.plan.windows, model.plan.roles.time_zone)
    known: dict[tuple[str, bool, int], str] = {}
    said = []
    for row, told in zip(rows.tolist(), reasons, strict=True):
        if not told:
            said.append("")
            continue
        key = (told[0].feature, is_low(model, told[0]), int(day[row]))
        if key not in known:
            known[key] = _crowd(model, batch.vectors, day == day[row], key[:2], noun)
        said.append(known[key])
    return said


def _crowd(model: Model, vectors: Vectors, on_day: NDArray[np.bool_], number: tuple[str, bool], noun: str) -> str:
    name, low = number
    values = vectors.column(name)[on_day]
    values = values[~np.isnan(values)]
    if len(values) < _ENOUGH:
        return ""
    edge = model.population.quantile(name, _TAIL if low else 1.0 - _TAIL)
    # By the share below a value's bin: whoever shares the bin of the edge is no exception.
    rare = values < edge if low else model.population.share_below(name, values) >= 1.0 - _TAIL
    share = float(rare.mean())
    if share < _MANY * _TAIL:
        return ""
    feature = next(feature for feature in vectors.features if feature.name == name)
    return (
        f"an odd day for many: {100 * share:.0f} of 100 windows are {'under' if low else 'over'} "
        f"{feature.told(say(edge, feature.unit))}, where at most {100 * _TAIL:.0f} of 100 {noun} usually are"
    )


def _frail(reasons: Sequence[Reason]) -> list[str]:
    """Reasons whose events do not carry the score."""
    weak = [number for number, reason in enumerate(reasons, 1) if reason.weak]
    if not weak:
        return []
    which = "the reasons" if len(weak) == len(reasons) else f"reason {', '.join(map(str, weak))}"
    return [f"{which} may not be the whole story: taking the events named away would not change the alert"]


def _chance(standing: Standing, noun: str) -> str:
    """How many windows of a day score as high although nothing is wrong."""
    if standing.pick == "random":
        return "it was drawn at random, not for its score"
    expected = standing.p * standing.among
    if np.isnan(expected) or expected < 0.5:
        return ""
    return (
        f"of {standing.among:,} windows a day about {max(1.0, expected):,.0f} score as high although nothing is wrong "
        f"(as normal {noun} do)"
    )


def _calm(model: Model, vectors: Vectors) -> list[str]:
    """The plain numbers of the three subjects that lowered the score most."""
    if not len(vectors):
        return []
    features = vectors.features
    plain = {feature.subject: n for n, feature in reversed(list(enumerate(features))) if feature.level}
    values = model.detector.contributions(vectors).values
    said = []
    for row in range(len(vectors)):
        weights = dict.fromkeys(plain, 0.0)
        for n in np.flatnonzero(values[row]):
            if features[n].subject in plain:
                weights[features[n].subject] += float(values[row, n])
        lowest = sorted((each for each in weights if weights[each] < 0.0), key=lambda each: (weights[each], each))
        told = [(features[plain[subject]], float(vectors.values[plain[subject], row])) for subject in lowest]
        words = [feature.told(say(value, feature.unit)) for feature, value in told if not np.isnan(value)]
        said.append(f"calm, and lowering the score: {'; '.join(words[:3])}" if words else "")
    return said
