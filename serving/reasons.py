"""Reasons: what was seen, what is usual for the entity, what is usual for everyone, in words.

A detector says how much each feature moved the score. Features that judge the same thing (a count, its z, its ratio)
are one reason, told by the plain number; the family that speaks loudest comes first. What has no words of its own (the
sine of the hour, the burstiness of gaps) counts for what it is about, and the reason says that the score goes by it. Of
numbers that go together
(rides, vehicles ridden, pauses between them) a detector may use any one, so those that carry next to nothing of the
score come last, in the order of how far they are from what is usual, even if it lowered the score by next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..features.families.baseline import own_median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..features.family import Feature
    from ..features.vectors import Vectors
    from ..training.detector import Contributions
    from ..training.model import Model

__all__ = ["Reason", "explain", "untold"]

_BATCH = 2048
_UNREMARKABLE = (0.05, 0.95)  # what lies between these quantiles of everyone's is not what a reader wants told first
_TWICE = 1.0  # log2 of the ratio to the own usual
_LIGHT = 0.05  # of all that raised the score: which of many numbers that go together carries so little is chance
_RAREST = 2.0**-20
_PART = 0.1  # of the loudest feature's part: one that carries less is not what a reason is about
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_NO_REASON = "no reason can be told"
_WHOLE = ("events", "values", "windows", "days", "entities", "cells")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of one score.

    Attributes
    ----------
    family : str
    feature : str
        The feature whose plain value is told.
    weight : float
        How much of the score this reason carries, in the score's unit.
    text : str
        The sentence.
    seen : float
        The feature's value; NaN where it has none.
    usual : float
        The entity's own median of it; NaN where it has no such history.
    everyone : float
        What 99 of 100 of everyone's windows stay at or under, or are at or over if the value is a low one; NaN where
        nobody has such a number.
    unit : str
        Of the three.
    weak : bool
        Whether the window would be an alert without the events, too.
    events : tuple of int
        Positions in the timeline of the events that make the value what it is; empty until they were looked for.
    ids : tuple of str
        What the log calls the first of them.
    behind : tuple of pairs of str and float
        The features that carry the weight, and how much each, the weightiest first.
    """

    family: str
    feature: str
    weight: float
    text: str
    seen: float = field(default=float("nan"), compare=False)  # a NaN is unlike itself; what it tells is in the text
    usual: float = field(default=float("nan"), compare=False)
    everyone: float = field(default=float("nan"), compare=False)
    unit: str = ""
    weak: bool = False
    events: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()
    behind: tuple[tuple[str, float], ...] = ()


def explain(model: Model, vectors: Vectors, *, most: int = 3) -> list[list[Reason]]:
    """The reasons of each row, the weightiest first.

    Parameters
    ----------
    model : Model
    vectors : Vectors of n rows
        Built by the model's plan.
    most : int
        At most this many reasons a row.

    Returns
    -------
    list of n lists of Reason
        Shorter where fewer subjects raised the score. Where none did on the whole, those are told of which a part did,
        with what that part carries. Empty where there is nothing to tell; see :func:`untold`.
    """
    teller = _Teller(model, vectors)
    reasons: list[list[Reason]] = []
    for lo in range(0, len(vectors), _BATCH):
        part = vectors.take(np.arange(lo, min(lo + _BATCH, len(vectors))))
        contributions = model.detector.contributions(part)
        reasons += [teller.tell(contributions, row, lo + row, most) for row in range(len(part))]
    return reasons


def untold(model: Model, vectors: Vectors) -> list[str]:
    """Of each row without a reason why none can be told, in words.

    Parameters
    ----------
    model : Model
    vectors : Vectors of n rows
        Rows for which :func:`explain` finds nothing.

    Returns
    -------
    list of n str
    """
    said = []
    for row in model.detector.contributions(vectors).values:
        loudest = int(row.argmax()) if len(row) else 0
        if not (row > 0.0).any():
            said.append(f"{_NO_REASON}: nothing about it raised the score")
            continue
        feature = vectors.features[loudest]
        said.append(f"{_NO_REASON}: what raised the score says nothing of what was done ({_meaning(feature)})")
    return said


class _Teller:
    """Knows what each feature is about, and how to say a number.

    Features are gathered twice: a count, its z and its ratio are one *number*, told by the plain count; the numbers
    about one thing (vehicles) are one *reason*, told by the number that is most worth telling.
    """

    def __init__(self, model: Model, vectors: Vectors) -> None:
        self.model, self.vectors = model, vectors
        self.column = {feature.name: n for n, feature in enumerate(vectors.features)}
        self.number = np.array([self.column[feature.base or feature.name] for feature in vectors.features], np.intp)
        self.told = np.array([bool(feature.phrase) for feature in vectors.features])
        self.families = np.array([feature.family for feature in vectors.features])
        self.subjects = [feature.subject or feature.name for feature in vectors.features]
        self.quantiles: dict[tuple[str, float], float] = {}
        self.remarkable: dict[int, NDArray[np.bool_]] = {}
        self.telling: dict[int, NDArray[np.float64]] = {}
        self.about: dict[str, list[int]] = {}
        for n, subject in enumerate(self.subjects):
            self.about.setdefault(subject, []).append(n)
        numbers = set(self.number.tolist())
        self.able = {
            subject: [n for n in about if n in numbers and self.told[n]] for subject, about in self.about.items()
        }
        self.tellable = np.array([bool(self.able[subject]) for subject in self.subjects])
        self.noun = {"1d": "days", "1h": "hours"}.get(model.plan.windows.every, "windows")

    def tell(self, contributions: Contributions, row: int, position: int, most: int) -> list[Reason]:
        parts = np.where(self.tellable, contributions.values[row], 0.0)
        weights = self._weights(parts)
        if not any(weight > 0.0 for weight in weights.values()):
            parts = np.maximum(parts, 0.0)
            weights = self._weights(parts)
        numbers = np.zeros(len(self.number))
        np.add.at(numbers, self.number, parts)
        loud = {self.subjects[n] for n in np.flatnonzero((self.families == contributions.family[row]) & (parts > 0.0))}
        light = _LIGHT * sum(max(0.0, weight) for weight in weights.values())
        chosen = {
            subject: self._worth_telling(subject, numbers, position)
            for subject, weight in weights.items()
            if weight > -light
        }
        plain = {subject for subject, number in chosen.items() if not self._remarkable(number, position)}
        chosen = {subject: number for subject, number in chosen.items() if weights[subject] > 0 or subject not in plain}

        def place(subject: str) -> tuple[bool, bool, float, str]:
            weight, telling = weights[subject], self._telling(chosen[subject], position)
            return (subject in plain, weight < light, -weight if weight >= light else -telling, subject)

        by_weight = sorted(chosen, key=place)
        first = next((subject for subject in by_weight if subject in loud and subject not in plain), None)
        order = sorted(by_weight, key=lambda subject: subject != first)
        return [self._reason(chosen[subject], position, weights[subject], parts) for subject in order[:most]]

    def _weights(self, parts: NDArray[np.float64]) -> dict[str, float]:
        """What each subject carries."""
        weights: dict[str, float] = {}
        for n in np.flatnonzero(parts):
            weights[self.subjects[n]] = weights.get(self.subjects[n], 0.0) + parts[n]
        return weights

    def _worth_telling(self, subject: str, numbers: NDArray[np.float64], position: int) -> int:
        """Of numbers that raised the score, and plain quantities: the remarkable, the plain, then the weightiest."""
        features = self.vectors.features
        able = self.able[subject]
        about = [n for n in able if numbers[n] > 0.0 or features[n].level] or able
        return max(about, key=lambda n: (self._remarkable(n, position), features[n].level, numbers[n], -n))

    def _remarkable(self, number: int, row: int) -> bool:
        """Whether a number is rare among everyone, or at least twice or at most half of the entity's own usual."""
        if number not in self.remarkable:
            feature, values = self.vectors.features[number], self.vectors.values[number]
            few, most = _UNREMARKABLE
            low = self._quantile(feature.name, few)
            # By the share below its bin: a quantile is the lower edge of a bin, and all that share the bin are usual.
            below = self.model.population.share_below(feature.name, values)
            odd = ~(low <= values) | (below >= most) | (self._moved(feature) >= _TWICE)
            self.remarkable[number] = odd & ~np.isnan(values)
        return bool(self.remarkable[number][row])

    def _telling(self, number: int, row: int) -> float:
        """How far a number is from everyone's or from the entity's own usual, in bits: the farther of the two."""
        if number not in self.telling:
            feature, values = self.vectors.features[number], self.vectors.values[number]
            moved, below = self._moved(feature), self.model.population.share_below(feature.name, values)
            self.telling[number] = np.fmax(moved, -np.log2(np.maximum(1.0 - below, _RAREST)))
        return float(self.telling[number][row])

    def _moved(self, feature: Feature) -> NDArray[np.float64]:
        """Of each row how many times the own usual was doubled or halved; 0 where there is none."""
        ratio = self.column.get(f"{feature.name}_ratio_vs_own")
        if ratio is None:
            return np.zeros(len(self.vectors))
        return np.abs(np.nan_to_num(self.vectors.values[ratio].astype(np.float64)))

    def _reason(self, number: int, row: int, weight: float, parts: NDArray[np.float64]) -> Reason:
        feature = self.vectors.features[number]
        about = self.about[self.subjects[number]]
        loud = sorted((n for n in about if parts[n] > 0.0), key=lambda n: (-parts[n], n))
        speaks = loud[0] if loud else max(about, key=lambda n: (parts[n], -n))
        seen = float(self.vectors.values[number, row])
        usual, high = self._usual(feature, seen, row), not seen < self._quantile(feature.name, 0.5)
        everyone = self._quantile(feature.name, 0.99 if high else 0.01)
        return Reason(
            family=str(self.families[speaks]),
            feature=feature.name,
            weight=float(weight),
            text=self._sentence(feature, (seen, usual, everyone), high=high) + self._goes_by(speaks, row),
            seen=seen,
            usual=usual,
            everyone=everyone,
            unit=feature.unit,
            behind=tuple(
                (self.vectors.features[n].name, float(parts[n])) for n in loud if parts[n] >= _PART * parts[loud[0]]
            ),
        )

    def _usual(self, feature: Feature, value: float, row: int) -> float:
        """The entity's own median, read off the ratio; NaN where there is none."""
        ratio = self.column.get(f"{feature.name}_ratio_vs_own")
        moved = float("nan") if ratio is None else float(self.vectors.values[ratio, row])
        if np.isnan(value) or np.isnan(moved):
            return float("nan")
        return own_median(value, moved, self.model.population, feature.name)

    def _sentence(self, feature: Feature, figures: tuple[float, float, float], *, high: bool) -> str:
        seen, usual, everyone = figures
        if np.isnan(seen):
            return feature.null
        said = [feature.told(say(seen, feature.unit))]
        if not np.isnan(usual):
            said.append(f"its own usual is {say(usual, feature.unit)}")
        if np.isnan(everyone):
            said.append(f"none of the {self.noun} that were learned from has such a number")
        else:
            side = "stay at or under" if high else "are at or over"
            said.append(f"99 of 100 {self.noun} {side} {say(everyone, feature.unit)}")
        return "; ".join(said)

    def _goes_by(self, number: int, row: int) -> str:
        """What the score goes by, where that has no words of its own and is not what is told."""
        feature, value = self.vectors.features[number], float(self.vectors.values[number, row])
        if self.told[number]:
            return ""
        return f"; the score goes by this: {feature.null if np.isnan(value) else _valued(feature, value)}"

    def _quantile(self, name: str, share: float) -> float:
        """Of everyone's; each is asked for often, and is a sum over a whole histogram."""
        if (name, share) not in self.quantiles:
            self.quantiles[name, share] = self.model.population.quantile(name, share)
        return self.quantiles[name, share]


def _meaning(feature: Feature) -> str:
    meaning = feature.meaning.rstrip(".")
    return meaning[:1].lower() + meaning[1:]


def _valued(feature: Feature, value: float) -> str:
    return f"{_meaning(feature)}: {say(value, feature.unit)}"


def say(value: float, unit: str) -> str:
    """A number as a person would say it.

    Examples
    --------
    >>> say(50.0, "events"), say(0.25, "share"), say(5400.0, "seconds"), say(1234.5, "amount"), say(0.00417, "rate")
    ('50', '25 %', '1.5 h', '1,234.50', '0.0042')
    """
    if unit == "rate":
        return f"{value:.2g}"
    value = 0.0 if abs(value) < 5e-4 else value
    if unit in _WHOLE:
        return f"{value:,.0f}" if abs(value - round(value)) < 1e-3 else f"{value:,.1f}"
    if unit == "share":
        return f"{100 * value:.0f} %"
    if unit == "seconds":
        return _duration(value)
    return f"{value:,.2f}"


def _duration(seconds: float) -> str:
    for size, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 1.5 * size or (name == "h" and seconds >= size):
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.3g} s"
