"""Reasons: what was seen, what is usual for the entity, what is usual for everyone, in words.

A detector says how much each feature moved the score. Features that judge the same thing (a count, its z, its ratio)
are one reason, told by the plain number; the family that speaks loudest comes first. Of numbers that go together
(rides, vehicles ridden, pauses between them) a detector may use any one, so those that carry next to nothing of the
score come last, in the order of how far they are from what is usual, even if it lowered the score by next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..features.families.baseline import own_median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..features.family import Feature
    from ..features.vectors import Vectors
    from ..training.detector import Contributions
    from ..training.model import Model

__all__ = ["Reason", "explain"]

_BATCH = 2048
_UNREMARKABLE = (0.05, 0.95)  # what lies between these quantiles of everyone's is not what a reader wants told first
_TWICE = 1.0  # log2 of the ratio to the own usual
_LIGHT = 0.05  # of all that raised the score: which of many numbers that go together carries so little is chance
_RAREST = 2.0**-20
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_WHOLE = ("events", "values", "windows", "days")


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
    """

    family: str
    feature: str
    weight: float
    text: str


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
        Shorter where fewer features raised the score.
    """
    teller = _Teller(model, vectors)
    reasons: list[list[Reason]] = []
    for lo in range(0, len(vectors), _BATCH):
        part = vectors.take(np.arange(lo, min(lo + _BATCH, len(vectors))))
        contributions = model.detector.contributions(part)
        reasons += [teller.tell(contributions, row, lo + row, most) for row in range(len(part))]
    return reasons


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
        self.noun = {"1d": "days", "1h": "hours"}.get(model.plan.windows.every, "windows")

    def tell(self, contributions: Contributions, row: int, position: int, most: int) -> list[Reason]:
        parts = np.where(self.told, contributions.values[row], 0.0)
        numbers = np.zeros(len(self.number))
        np.add.at(numbers, self.number, parts)
        weights: dict[str, float] = {}
        for n in np.flatnonzero(parts):
            weights[self.subjects[n]] = weights.get(self.subjects[n], 0.0) + parts[n]
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

    def _worth_telling(self, subject: str, numbers: NDArray[np.float64], position: int) -> int:
        """Of numbers that raised the score, and plain quantities: the remarkable, the plain, then the weightiest."""
        features = self.vectors.features
        able = [n for n in np.unique(self.number) if self.subjects[n] == subject and self.told[n]]
        about = [n for n in able if numbers[n] > 0.0 or features[n].level] or able
        return int(max(about, key=lambda n: (self._remarkable(n, position), features[n].level, numbers[n], -n)))

    def _remarkable(self, number: int, row: int) -> bool:
        """Whether a number is rare among everyone, or at least twice or at most half of the entity's own usual."""
        feature, value = self.vectors.features[number], float(self.vectors.values[number, row])
        if np.isnan(value):
            return False
        population, (few, most) = self.model.population, _UNREMARKABLE
        low = population.quantile(feature.name, few)
        # By the share below its bin: a quantile is the lower edge of a bin, and all that share the bin are usual.
        below = float(population.share_below(feature.name, np.array([value], np.float32))[0])
        ratio = self.column.get(f"{feature.name}_ratio_vs_own")
        moved = 0.0 if ratio is None else np.nan_to_num(float(self.vectors.values[ratio, row]))
        return not low <= value or below >= most or abs(moved) >= _TWICE

    def _telling(self, number: int, row: int) -> float:
        """How far a number is from everyone's or from the entity's own usual, in bits: the farther of the two."""
        feature, value = self.vectors.features[number], self.vectors.values[number, row : row + 1]
        below = float(self.model.population.share_below(feature.name, value)[0])
        ratio = self.column.get(f"{feature.name}_ratio_vs_own")
        moved = 0.0 if ratio is None else abs(float(np.nan_to_num(self.vectors.values[ratio, row])))
        return moved if np.isnan(below) else max(moved, -float(np.log2(max(1.0 - below, _RAREST))))

    def _reason(self, number: int, row: int, weight: float, parts: NDArray[np.float64]) -> Reason:
        feature = self.vectors.features[number]
        about = [n for n in range(len(parts)) if self.subjects[n] == self.subjects[number]]
        speaks = max(about, key=lambda n: (parts[n], -n))
        text = self._sentence(feature, float(self.vectors.values[number, row]), row)
        return Reason(str(self.families[speaks]), feature.name, float(weight), text)

    def _sentence(self, feature: Feature, value: float, row: int) -> str:
        if np.isnan(value):
            return feature.null
        said = [feature.told(say(value, feature.unit))]
        ratio = self.column.get(f"{feature.name}_ratio_vs_own")
        if ratio is not None and not np.isnan(self.vectors.values[ratio, row]):
            usual = own_median(value, float(self.vectors.values[ratio, row]), self.model.population, feature.name)
            said.append(f"its own usual is {say(usual, feature.unit)}")
        return "; ".join([*said, self._everyone(feature, value)])

    def _everyone(self, feature: Feature, value: float) -> str:
        population = self.model.population
        if np.isnan(population.quantile(feature.name, 0.5)):
            return f"none of the {self.noun} that were learned from has such a number"
        if value >= population.quantile(feature.name, 0.5):
            return (
                f"99 of 100 {self.noun} stay at or under {say(population.quantile(feature.name, 0.99), feature.unit)}"
            )
        return f"99 of 100 {self.noun} are at or over {say(population.quantile(feature.name, 0.01), feature.unit)}"


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
