"""Which columns a forest looks at, and on which side of their median values count as odd."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

import numpy as np

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Looked", "as_tuples"]


@dataclass(frozen=True, eq=False)
class Looked:
    """The columns that are looked at, and how.

    Attributes
    ----------
    columns : int array, rising
        Positions of the columns.
    groups : dict of (family, subject) to int array
        The columns of each subject of each family, in the order of first appearance.
    side : int8 array of shape (n_features,)
        1 where only values above the median are odd, -1 where only those below it, else 0.
    """

    columns: NDArray[np.intp]
    groups: dict[tuple[str, str], NDArray[np.intp]]
    side: NDArray[np.int8]

    @property
    def odd(self) -> NDArray[np.bool_]:
        """Which sides are odd, the upper and the lower: bool of shape (n_features, 2)."""
        return np.stack([self.side >= 0, self.side <= 0], axis=1)

    @classmethod
    def of(
        cls,
        features: Sequence[tuple[str, str, str]],
        *,
        columns: Sequence[str],
        high: Sequence[str],
        low: Sequence[str],
    ) -> Self:
        """Choose by shell patterns, each held against names and families.

        Parameters
        ----------
        features : sequence of (name, family, subject)
        columns : sequence of str
            What is looked at; everything if it is empty.
        high, low : sequence of str
            Of which columns one side alone is odd; ``low`` has the last word.

        Raises
        ------
        ConfigError
            If a pattern fits no feature.

        Examples
        --------
        >>> features = [("rides_1d", "volume", "rides"), ("paid_1d", "volume", "paid"), ("risk_1d", "risk", "trouble")]
        >>> looked = Looked.of(features, columns=["volume"], high=["*"], low=["rides_*"])
        >>> looked.columns.tolist(), looked.side.tolist()
        ([0, 1], [-1, 1, 1])
        """
        chosen = np.flatnonzero(_fits(features, columns or ["*"]))
        side = np.zeros(len(features), np.int8)
        side[_fits(features, high)], side[_fits(features, low)] = 1, -1
        numbers: dict[tuple[str, str], list[int]] = {}
        for number in chosen.tolist():
            numbers.setdefault(features[number][1:], []).append(number)
        return cls(chosen, {group: np.array(own, np.intp) for group, own in numbers.items()}, side)

    def sided(self, values: NDArray[np.float32], center: NDArray[np.float64]) -> NDArray[np.float32]:
        """The values with those on a side that is not odd moved to the median, and what is not looked at null.

        Parameters
        ----------
        values : float32 array of shape (n_features, n)
        center : float64 array of shape (n_features,)
            The medians.

        Returns
        -------
        float32 array of the same shape; the same array if there is nothing to do
        """
        if len(self.columns) == len(values) and not self.side.any():
            return values
        sided = np.full_like(values, np.nan)
        for column in self.columns:
            side, middle = self.side[column], np.float32(center[column])
            own = values[column]
            sided[column] = own if not side else np.maximum(own, middle) if side > 0 else np.minimum(own, middle)
        return sided


def as_tuples(settings: object, *names: str) -> None:
    """Make tuples of some fields of frozen settings, which are lists where they come from a file.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> given = SimpleNamespace(high=["risk"])
    >>> as_tuples(given, "high")
    >>> given.high
    ('risk',)
    """
    for name in names:
        object.__setattr__(settings, name, tuple(getattr(settings, name)))


def _fits(features: Sequence[tuple[str, str, str]], patterns: Sequence[str]) -> NDArray[np.bool_]:
    """Whether any of the patterns fits each feature's name or family."""
    fits = np.array([[fnmatchcase(name, each) or fnmatchcase(family, each) for name, family, _ in features]
                     for each in patterns], np.bool_).reshape(len(patterns), len(features))  # fmt: skip
    useless = np.flatnonzero(~fits.any(axis=1))
    if len(useless):
        names = ", ".join(dict.fromkeys(family for _, family, _ in features))
        message = f"no feature or family fits {patterns[useless[0]]!r}; the families are {names}"
        raise ConfigError(message)
    return np.asarray(fits.any(axis=0))
