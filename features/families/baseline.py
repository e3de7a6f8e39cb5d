"""Baseline: unlike themselves.

Each level of the current window (events, distinct values, amounts) is held against the entity's own windows within the
horizon: a robust z, (x - median) / (1.4826 MAD), and the ratio to the median on a log2 scale. Median and MAD do not
move when a few past windows were odd. A short history is weak evidence, so centre and spread are drawn towards the
population's, as if ``prior_windows`` more windows had looked like everyone's (the weight an empirical-Bayes estimate
gives); how long the history is stands beside it.

Only windows in which the entity did something count: how often it is active is a feature of its own. Cost: one
insertion and one removal in a short sorted array for each window and level. Blind to slow drift that takes longer than
the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..family import Feature
from ..kernels import kernel, mad, median, rank_in, rank_out
from ..strata import USUAL_SHARES, usual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..population import Population

__all__ = ["Baseline", "own_median"]

_DAY = 86_400e6
_SIGMA = 1.4826  # MAD of a normal distribution times this is its standard deviation


@dataclass(frozen=True)
class Baseline:
    """Unlike themselves: robust z and log2 ratio of each level against the entity's own horizon.

    Attributes
    ----------
    prior_windows : float
        How many windows of everyone's are mixed into the entity's own.
    least_spread : float
        The spread is never taken below this share of everyone's: three rides are no alarm for one who always took two.
    """

    prior_windows: float = 5.0
    least_spread: float = 0.5

    name: ClassVar[str] = "baseline"
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:
        """The length of the history, then z and ratio for each level of the families before."""
        horizon = shape.trailing[-1]
        levels = [feature for feature in before if feature.level]
        return (*_history(shape.window, horizon), *(made for base in levels for made in _against(base, horizon)))

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """One pass for each level."""
        snapshots = context.snapshots
        columns[0] = snapshots.settled - snapshots.prior
        age = (snapshots.since - snapshots.since[snapshots.prior]) / _DAY
        columns[1] = np.where(snapshots.settled > snapshots.prior, age, 0.0)
        ranked = np.empty(int(columns[0].max()) + 1 if len(snapshots) else 1, np.float64)
        for number, level in enumerate(context.levels):
            centre, spread, offset = _usual(context.population, level)
            prior = (self.prior_windows, centre, spread, offset, self.least_spread * spread)
            pair = columns[2 + 2 * number : 4 + 2 * number]
            _judge(pair, context.earlier[level], (snapshots.rows, snapshots.prior, snapshots.settled), prior, ranked)


def own_median(value: float, ratio: float, population: Population, level: str) -> float:
    """The entity's own median of a level, from the level's value and its ``_ratio_vs_own``; NaN without history.

    Examples
    --------
    >>> import numpy as np
    >>> from peculiar.features.population import Population, histogram
    >>> seen = Population(histograms={"rides": histogram([np.ones(9, np.float32)])[0]})
    >>> own_median(50.0, float(np.log2(51 / 3)), seen, "rides")
    2.0
    """
    offset = _usual(population, level)[2]
    return round((value + offset) / 2.0**ratio - offset, 4)


def _history(window: str, horizon: str) -> tuple[Feature, ...]:
    windows = Feature(
        name=f"history_windows_{horizon}",
        family="baseline",
        unit="windows",
        meaning=f"Number of earlier windows of {window} within {horizon} in which the entity did something.",
        null="never null",
        phrase="",  # context for the others, no reason by itself
        subject="history",
    )
    age = Feature(
        name=f"history_age_{horizon}",
        family="baseline",
        unit="days",
        meaning=f"Days since the entity's first active window within {horizon}.",
        null="never null",
        phrase="",
        subject="history",
    )
    return windows, age


def _against(base: Feature, horizon: str) -> tuple[Feature, ...]:
    z = Feature(
        name=f"{base.name}_vs_own",
        family="baseline",
        unit="robust z",
        meaning=f"Robust z of {base.name} against the entity's own windows of {horizon}, shrunk for short histories.",
        null=base.null,
        phrase=base.phrase,
        base=base.name,
        subject=base.subject,
    )
    ratio = Feature(
        name=f"{base.name}_ratio_vs_own",
        family="baseline",
        unit="log2 ratio",
        meaning=f"{base.name} divided by its median over the entity's own windows of {horizon}, on a log2 scale.",
        null=f"no earlier window of {horizon}"
        if base.null == "never null"
        else f"{base.null}, or no earlier one of {horizon} did",
        phrase=base.phrase,
        base=base.name,
        subject=base.subject,
    )
    return z, ratio


def _usual(population: Population, level: str) -> tuple[float, float, float]:
    """Everyone's median, spread, and the offset that keeps ratios of small numbers calm (everyone's median, or 1)."""
    centre, spread = map(float, usual(np.array([population.quantile(level, share) for share in USUAL_SHARES])))
    return centre, spread, max(centre, 1.0) if centre >= 1.0 or centre <= 0.0 else centre


@kernel
def _judge(
    columns: NDArray[np.float32],
    level: NDArray[np.float32],
    rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    prior: tuple[float, float, float, float, float],
    ranked: NDArray[np.float64],
) -> None:
    """Slide a sorted array over the entity's earlier windows; read median and MAD off it; shrink; compare."""
    offsets, first, settled = rows
    weight, centre, spread, offset, least = prior
    for e in range(len(offsets) - 1):
        size, lo, hi = 0, offsets[e], offsets[e]
        for r in range(offsets[e], offsets[e + 1]):
            while lo < min(first[r], hi):
                if not np.isnan(level[lo]):
                    size = rank_out(ranked, size, level[lo])
                lo += 1
            lo, hi = max(lo, first[r]), max(hi, first[r])
            while hi < settled[r]:
                if not np.isnan(level[hi]):
                    size = rank_in(ranked, size, level[hi])
                hi += 1
            x = level[r]
            if not np.isnan(x):
                own = median(ranked, size) if size > 0 else 0.0
                own_spread = _SIGMA * mad(ranked, size) if size > 0 else 0.0
                middle = (size * own + weight * centre) / (size + weight)
                width = (size * own_spread + weight * spread) / (size + weight)
                columns[0, r] = (x - middle) / max(width, least)
                if size > 0:
                    columns[1, r] = (
                        np.log2((x + offset) / (own + offset)) if x + offset > 0 and own + offset > 0 else 0.0
                    )
