"""Inputs a random cut can work with: heavy tails drawn in, nulls filled and told, frozen at the time of the fit.

An isolation forest cuts at a uniform random point of a feature's range. One value a million times the usual makes
nearly every such cut a waste, so values are drawn in: linear within ``knee`` interquartile ranges of the median,
logarithmic beyond. The map is monotone, so a fitted tree can be rewritten with thresholds in the feature's own unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..features.ahead import side_by_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Conditioning", "Inputs", "condition"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a forest looks at: columns of the vectors, and whether some of them are null.

    Attributes
    ----------
    column : int32 array of shape (n_inputs,)
        The column of the vectors.
    indicator : bool array of shape (n_inputs,)
        True where the input is 1 for a null and 0 for a value, instead of the value.
    fill : float32 array of shape (n_inputs,)
        What a null is seen as: the median of the fitting rows, so that "too little to say" is not odd in itself.
    """

    column: NDArray[np.int32]
    indicator: NDArray[np.bool_]
    fill: NDArray[np.float32]


def condition(
    values: NDArray[np.float32], center: NDArray[np.float64] | float, scale: NDArray[np.float64] | float
) -> NDArray[np.float32]:
    """Draw in the tails: ``asinh((value - center) / scale)``, float32 of the values' shape.

    Examples
    --------
    >>> condition(np.array([10.0, 12.0, 1e9], np.float32), 10.0, 2.0).round(1).tolist()
    [0.0, 0.8999999761581421, 20.700000762939453]
    """
    return np.arcsinh((values.astype(np.float64) - center) / scale).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Conditioning:
    """How the values of each input are drawn in; all arrays have shape (n_inputs,)."""

    inputs: Inputs
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    number: NDArray[np.intp]

    def of(self, columns: NDArray[np.intp]) -> Conditioning:
        """The part about the given columns; ``number`` tells which of all inputs these are."""
        keep = np.flatnonzero(np.isin(self.inputs.column, columns))
        inputs = Inputs(self.inputs.column[keep], self.inputs.indicator[keep], self.inputs.fill[keep])
        return Conditioning(inputs, self.center[keep], self.scale[keep], self.number[keep])

    def alone(self) -> Conditioning:
        """The same inputs as all there are."""
        return replace(self, number=np.arange(len(self.number)))

    @classmethod
    def fit(cls, values: NDArray[np.float32], *, knee: float, common: float) -> Conditioning:
        """Learn centre, scale and fill of each column, and which columns get a null indicator.

        Parameters
        ----------
        values : float32 array of shape (n_features, n)
        knee : float
            Within so many interquartile ranges of the median the map is nearly linear.
        common : float
            A column whose nulls, and whose values, are each at least this share of the rows gets an indicator.
        """
        found = side_by_side(_center_and_scale, values, steps=values.size)
        center, scale = np.array(found).reshape(-1, 2).T
        nulls = np.isnan(values).mean(axis=1)
        told = np.flatnonzero((nulls >= common) & (nulls <= 1.0 - common))
        column = np.concatenate([np.arange(len(values)), told]).astype(np.int32)
        indicator = np.arange(len(column)) >= len(values)
        inputs = Inputs(column, indicator, np.where(indicator, 0.0, center[column]).astype(np.float32))
        plain = np.where(indicator, 0.0, center[column]), np.where(indicator, 1.0, knee * scale[column])
        return cls(inputs, *plain, np.arange(len(column)))

    def see(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a forest is fitted on: float32 of shape (n, n_inputs), without nulls."""
        seen = np.empty((values.shape[1], len(self.center)), np.float32)
        fill = np.where(self.inputs.indicator, np.float32(1.0), self.inputs.fill)

        def look(number: int) -> None:
            raw, null = values[self.inputs.column[number]], np.isnan(values[self.inputs.column[number]])
            told = np.where(null, fill[number], np.float32(0.0) if self.inputs.indicator[number] else raw)
            seen[:, number] = condition(told, self.center[number], self.scale[number])

        side_by_side(look, range(len(self.center)), steps=seen.size)
        return seen

    def see_column(self, column: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """One column of the vectors, float32 of shape (n,), drawn in; null stays null."""
        return condition(values, self.center[column], self.scale[column])

    def raw_thresholds(self, asked: NDArray[np.int32], threshold: NDArray[np.float64]) -> NDArray[np.float32]:
        """Rewrite thresholds in the features' own units.

        The answer is the largest float32 whose conditioned value does not exceed the threshold, found by bisection over
        the 2**32 float32 numbers in order; so a raw value passes if and only if its conditioned value does.

        Parameters
        ----------
        asked : int array of shape (nodes,)
            The input that each threshold is about.
        threshold : float64 array of shape (nodes,)
            On the conditioned scale.
        """
        center, scale = self.center[asked], self.scale[asked]
        top = int(np.float32(np.finfo(np.float32).max).view(np.int32))
        low, high = np.full(len(asked), -top - 1, np.int64), np.full(len(asked), top, np.int64)
        while (low < high).any():
            middle = (low + high + 1) >> 1
            passes = condition(_nth_float(middle), center, scale) <= threshold
            low, high = np.where(passes, middle, low), np.where(passes, high, middle - 1)
        return _nth_float(low)


def _center_and_scale(column: NDArray[np.float32]) -> tuple[float, float]:
    """Median and interquartile range; where that is 0, how far values off the median lie from it; else 1."""
    known = column[~np.isnan(column)].astype(np.float64)
    if not len(known):
        return 0.0, 1.0
    low, center, high = np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf")
    off = np.abs(known[known != center] - center)
    return float(center), float(high - low) or (float(np.median(off)) if len(off) else 1.0)


def _nth_float(number: NDArray[np.int64]) -> NDArray[np.float32]:
    """The float32 numbers in order: 0 is 0.0, 1 the smallest positive one, -1 is -0.0, -2 the largest negative one."""
    bits = np.where(number >= 0, number, (-number - 1) | 0x80000000)
    return bits.astype(np.uint32).view(np.float32)
