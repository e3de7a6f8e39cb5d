"""What can be searched of each detector's settings.

A setting becomes searchable by its line in ``SPACES``. A line whose setting a detector does not have is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import optuna

    from .detector import Detector

__all__ = ["SPACES", "Choice", "Part", "Span", "Steps", "configured", "space_of"]


@dataclass(frozen=True)
class Span:
    """Numbers from one to another, both of them in it; whole numbers if both are.

    Attributes
    ----------
    low, high : int or float
    log : bool
        Whether ratios count and not differences.

    Examples
    --------
    >>> Span(4, 127, log=True).around(200)
    Span(low=4, high=200, log=True)
    """

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> int | float:
        """A number for this trial."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def around(self, value: float) -> Span:
        """The span, reaching as far as a value that is to be tried."""
        if self.log and value <= 0:
            return Span(min(value, self.low), max(value, self.high))
        return replace(self, low=min(value, self.low), high=max(value, self.high))


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    options: tuple[str | int | float | bool, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> str | int | float | bool:
        """One of them for this trial."""
        chosen = trial.suggest_categorical(name, self.options)
        assert chosen is not None
        return chosen

    def around(self, value: Any) -> Choice:
        """The choice, with a value that is to be tried among the options."""
        return self if value in self.options else Choice((*self.options, value))


@dataclass(frozen=True)
class Steps:
    """Some settings at once, each step wider than the one before; the number of the step is searched, from 1 on.

    Attributes
    ----------
    steps : tuple of mappings
        Names of settings, and their values.
    """

    steps: tuple[Mapping[str, Any], ...]

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        """The number of a step for this trial; few columns are tried more often than many."""
        return trial.suggest_int(name, 1, len(self.steps), log=True)


Part = Span | Choice | Steps
"""What can be searched."""

SPACES: Mapping[str, Mapping[str, Span | Choice]] = {
    "lightgbm": {
        "learning_rate": Span(0.01, 0.2, log=True),
        "leaves": Span(4, 127, log=True),
        "min_leaf": Span(5, 300, log=True),
        "feature_share": Span(0.3, 1.0),
        "row_share": Span(0.5, 1.0),
        "l1": Span(0.0, 10.0),
        "l2": Span(0.0, 30.0),
        "positive_weight": Span(1.0, 30.0, log=True),
    },
    "isolation_forest": {
        "samples": Span(256, 16_384, log=True),
        "norm": Span(1.0, 12.0, log=True),
        "knee": Span(1.0, 30.0, log=True),
        "opinion": Choice(("either", "loudest", "adding")),
    },
    "joint": {
        "even": Span(0.05, 1.0),
        "knee": Span(1.0, 300.0, log=True),
        "leaves": Span(4, 63, log=True),
        "min_leaf": Span(20, 300, log=True),
        "feature_share": Span(0.3, 1.0),
        "rounds": Span(100, 600, log=True),
    },
}
"""The searched settings of each kind of detector; not how many trees there are, of which more are better."""


def space_of(start: Detector) -> dict[str, Span | Choice]:
    """The space of a detector's settings, reaching as far as those it starts from.

    Raises
    ------
    ConfigError
        If nothing of this kind can be searched.
    """
    space = SPACES.get(start.kind, {})
    names = {each.name for each in fields(start)}  # type: ignore[arg-type]
    found = {name: part.around(getattr(start, name)) for name, part in space.items() if name in names}
    if not found:
        message = f"there is nothing to search of {start.kind!r}; expected one of {', '.join(SPACES)}"
        raise ConfigError(message)
    return found


def configured(start: Detector, space: Mapping[str, Part], chosen: Mapping[str, Any]) -> Detector:
    """The detector's settings with what was chosen in their place.

    Examples
    --------
    >>> from peculiar.training.isolation_forest import IsolationForest
    >>> looked = Steps(({"columns": ("risk",)}, {"columns": ()}))
    >>> configured(IsolationForest(), {"looked": looked}, {"looked": 1}).columns
    ('risk',)
    """
    plain: dict[str, Any] = {}
    for name, value in chosen.items():
        part = space[name]
        plain |= part.steps[value - 1] if isinstance(part, Steps) else {name: value}
    return replace(start, **plain)  # type: ignore[type-var]
