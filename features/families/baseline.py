"""Baseline: unlike themselves.

Each level of the current window (events, distinct values, amounts) is held against the entity's own windows within the
horizon: a robust z, (x - median) / (1.4826 MAD), and the ratio to the median on a log2 scale. Median and MAD do not
move when a few past windows were odd. A short history is weak evidence, so centre and spread are drawn towards the
population's, as if ``prior_windows`` more windows had looked like everyone's (the weight an empirical-Bayes estimate
gives); how long the history is stands beside it. The ratio is not drawn anywhere, or nobody could read the entity's
own usual off it: a detector weighs it by the length of the history, and a person should.

Each measure's largest amount is also held against the entity's single amounts in the horizon before: their mean and
their maximum, on a log2 scale. The mean is the geometric one, as fits amounts that are spread over powers of ten: one
car among many coffees hardly moves it. Above zero against the maximum is a record, which is cheap after a short history
and says more the longer that is. Refunds and zeros have no logarithm and are passed over. To hold a payment against
what the card's holder spent before is what amounts are aggregated for in the first place (Whitrow et al., "Transaction
aggregation as a strategy for credit card fraud detection", 2009; Bahnsen et al., "Feature engineering strategies for
credit card fraud detection", 2016).

Only windows in which the entity did something count: how often it is active is a feature of its own. Windows that end
with each event overlap, so of those only the last of each day counts (of each hour, where they reach back an hour), and
a busy day is one day of the history and not a hundred of it. What a vector tells of its one event alone is held against
every single event before.

Cost: one insertion and one removal in a short sorted array for each window that counts and each level, a division and a
logarithm for each vector and level, and for each measure a logarithm and a few steps for each event, however long the
horizon is. Blind to slow drift that takes longer than the horizon, to an entity that raised its own usual in steps,
and, with one vector per event, to what its windows were like between the last events of its days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..earlier import Earlier, which_count
from ..family import Feature
from ..kernels import kernel, mad, median, rank_in, rank_out
from ..strata import USUAL_SHARES, usual
from ..witness import window_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..population import Population

__all__ = ["Baseline", "own_median"]

_DAY = 86_400e6
_UNITS = float(1 << 20)  # logarithms are counted in millionths: sums of integers may slide, sums of floats may not
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
    version: ClassVar[int] = 3
    judges: ClassVar[bool] = True
    looks_back: ClassVar[bool] = True

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:
        """The length of the history, z and ratio for each level of the families before, mean and record of measures."""
        horizon = shape.trailing[-1]
        judged = [made for base in before if base.level for made in _against(base, shape)]
        largest = _largest(shape, [feature.name for feature in before])
        records = [made for measure, base in largest.items() for made in _records(measure, base, horizon)]
        return (*_history(shape), *judged, *records)

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """One pass for each level, one for each measure."""
        snapshots, single = context.snapshots, Earlier.all(context.snapshots)
        apart = Earlier.apart(context.timeline, snapshots, context.shape)
        columns[0] = apart.number
        age = (snapshots.since - snapshots.since[apart.counted[np.minimum(apart.first, len(apart.counted) - 1)]]) / _DAY
        columns[1] = np.where(apart.number > 0, age, 0.0)
        ranked = np.empty(max(apart.room, single.room), np.float64)
        asked = np.ones(len(snapshots), np.bool_) if context.asked is None else context.asked
        for number, level in enumerate(context.levels):
            centre, spread, offset = _usual(context.population, level)
            prior = (self.prior_windows, centre, spread, offset, self.least_spread * spread)
            pair, earlier = columns[2 + 2 * number : 4 + 2 * number], single if _of_one_event(level) else apart
            now, bounds = context.earlier[level], (earlier.rows, earlier.first, earlier.last)
            _judge(pair, (now, asked), now[earlier.counted], bounds, prior, ranked)
        row = 2 + 2 * len(context.levels)
        for measure, largest in _largest(context.shape, list(context.earlier)).items():
            values, bounds = context.timeline.measures[measure], (snapshots.rows, snapshots.history, snapshots.start)
            _outdo(columns[row : row + 2], context.earlier[largest], values, bounds)
            row += 2

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:  # noqa: ARG002
        """The events of the window; whoever knows the plan asks the family of the base, which knows them better."""
        return window_of(context, row)


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


def _history(shape: Shape) -> tuple[Feature, ...]:
    window, horizon = shape.window, shape.trailing[-1]
    counted = which_count(shape)
    windows = Feature(
        name=f"history_windows_{horizon}",
        family="baseline",
        unit="windows",
        meaning=f"Number of earlier windows of {window} within {horizon}{counted} in which the entity did something.",
        null="never null",
        phrase="",  # context for the others, no reason by itself
        subject="history",
    )
    age = Feature(
        name=f"history_age_{horizon}",
        family="baseline",
        unit="days",
        meaning=f"Days since the entity's first active window within {horizon}{counted}.",
        null="never null",
        phrase="",
        subject="history",
    )
    return windows, age


def _against(base: Feature, shape: Shape) -> tuple[Feature, ...]:
    horizon = shape.trailing[-1]
    own = f"single events of {horizon}" if _of_one_event(base.name) else f"windows of {horizon}{which_count(shape)}"
    z = Feature(
        name=f"{base.name}_vs_own",
        family="baseline",
        unit="robust z",
        meaning=f"Robust z of {base.name} against the entity's own {own}, shrunk for short histories.",
        null=base.null,
        phrase=base.phrase,
        base=base.name,
        subject=base.subject,
    )
    ratio = Feature(
        name=f"{base.name}_ratio_vs_own",
        family="baseline",
        unit="log2 ratio",
        meaning=f"{base.name} divided by its median over the entity's own {own}, on a log2 scale.",
        null=f"no earlier window of {horizon}"
        if base.null == "never null"
        else f"{base.null}, or no earlier one of {horizon} did",
        phrase=base.phrase,
        base=base.name,
        subject=base.subject,
    )
    return z, ratio


def _of_one_event(level: str) -> bool:
    """Whether it tells of the event alone, so that its windows share nothing and every one of them counts."""
    return level.endswith("_event")


def _largest(shape: Shape, before: list[str]) -> dict[str, str]:
    """The measures whose largest amount a family before has told, and under which name."""
    names = {measure: f"{measure}_max_{shape.window}" for measure in shape.measures}
    return {measure: name for measure, name in names.items() if name in before}


def _records(measure: str, base: str, horizon: str) -> tuple[Feature, ...]:
    rows = (("mean", "geometric mean"), ("record", "maximum"))
    return tuple(
        Feature(
            name=f"{base}_{how}_vs_own",
            family="baseline",
            unit="log2 ratio",
            meaning=f"{base} divided by the {words} of the entity's own {measure} above zero in {horizon} before,"
            " on a log2 scale.",
            null=f"no {measure} above zero in the window, or none in {horizon} before",
            phrase=f"largest {measure} {{value}}",
            base=base,
            subject=measure,
        )
        for how, words in rows
    )


def _usual(population: Population, level: str) -> tuple[float, float, float]:
    """Everyone's median, spread, and the offset that keeps ratios of small numbers calm (everyone's median, or 1)."""

    def made() -> tuple[float, float, float]:
        centre, spread = map(float, usual(np.array([population.quantile(level, share) for share in USUAL_SHARES])))
        return centre, spread, max(centre, 1.0) if centre >= 1.0 or centre <= 0.0 else centre

    return population.derive(f"baseline.{level}", made)


@kernel
def _judge(
    columns: NDArray[np.float32],
    windows: tuple[NDArray[np.float32], NDArray[np.bool_]],
    past: NDArray[np.float32],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    prior: tuple[float, float, float, float, float],
    ranked: NDArray[np.float64],
) -> None:
    """Slide a sorted array over the entity's earlier windows; as it changes, read median and MAD off it; compare.

    Where windows end with each event most rows find it as the row before them did, and cost a division and a logarithm.
    """
    now, asked = windows
    rows, first, last = bounds
    weight, centre, spread, offset, least = prior
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        size, lo, hi = 0, first[rows[e]], first[rows[e]]
        own, middle, width = 0.0, centre, max(spread, least)
        for r in range(rows[e], rows[e + 1]):
            if not asked[r]:
                continue
            if lo < first[r] or hi < last[r]:
                size = _out(ranked, size, past, lo, min(first[r], hi))
                size = _in(ranked, size, past, max(first[r], hi), last[r])
                lo, hi = first[r], last[r]
                own = median(ranked, size) if size > 0 else 0.0
                own_spread = _SIGMA * mad(ranked, size) if size > 0 else 0.0
                middle = (size * own + weight * centre) / (size + weight)
                width = max((size * own_spread + weight * spread) / (size + weight), least)
            x = np.float64(now[r])
            if not np.isnan(x):
                columns[0, r] = (x - middle) / width
                if size > 0:
                    columns[1, r] = (
                        np.log2((x + offset) / (own + offset)) if x + offset > 0 and own + offset > 0 else 0.0
                    )


@kernel
def _out(ranked: NDArray[np.float64], size: int, past: NDArray[np.float32], lo: int, hi: int) -> int:
    """Take out of the sorted array what has left the horizon; the new size."""
    for i in range(lo, hi):
        if not np.isnan(past[i]):
            size = rank_out(ranked, size, past[i])
    return size


@kernel
def _in(ranked: NDArray[np.float64], size: int, past: NDArray[np.float32], lo: int, hi: int) -> int:
    """Take in what has come; the new size."""
    for i in range(lo, hi):
        if not np.isnan(past[i]):
            size = rank_in(ranked, size, past[i])
    return size


@kernel
def _outdo(
    columns: NDArray[np.float32],
    largest: NDArray[np.float32],
    values: NDArray[np.float64],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Slide the sum of logarithms, in whole units, and the maximum over the horizon before each window.

    The maximum is the first of a queue of falling amounts: one that comes drops those before it that it outdoes, for
    they can be the maximum no more. So each amount enters once and leaves once.
    """
    rows, history, start = bounds
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        first = history[rows[e]]
        size = start[rows[e + 1] - 1] - first
        logs, queue = np.zeros(size, np.int64), np.empty(size, np.int64)
        total = known = head = tail = 0
        old = lo = first
        for r in range(rows[e], rows[e + 1]):
            for i in range(lo, start[r]):
                if values[i] > 0.0:
                    logs[i - first] = np.int64(np.rint(_UNITS * np.log2(values[i])))
                    total, known = total + logs[i - first], known + 1
                    while tail > head and values[queue[tail - 1]] <= values[i]:
                        tail -= 1
                    queue[tail] = i
                    tail += 1
            for i in range(old, history[r]):
                total, known = total - logs[i - first], known - (1 if values[i] > 0.0 else 0)
                head += 1 if head < tail and queue[head] == i else 0
            old, lo = history[r], start[r]
            if known > 0 and largest[r] > 0.0:
                top = np.log2(np.float64(largest[r]))
                columns[0, r] = top - total / (known * _UNITS)
                columns[1, r] = top - np.log2(np.float64(np.float32(values[queue[head]])))
