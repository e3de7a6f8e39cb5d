"""Two models on the same windows: each figure of both, and of their difference, with intervals that know of entities.

Entities are redrawn, each with all of its rows, and both models are measured on the *same* redraw. What makes a month
easy or hard makes it so for both and leaves the difference, so the interval of the difference tells apart what the two
intervals side by side, which overlap far too often, cannot.

A redrawn entity is that many copies of it. Rows stay in the order they are in, a copy is a row that counts once more,
and a budget may end between two copies of one row; of an entity's copies the same ones come first every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ConfigError, LabelError
from . import paired_kernels as kernels
from .metrics import RESAMPLES, Interval, JudgedRows, entity_keys, redrawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEVEL", "METRICS", "Paired", "measure", "paired", "share_reached"]

LEVEL = 0.01  # of the p-values whose share is watched
METRICS = (
    "average_precision", "roc_auc", "precision_at_budget", "recall_at_budget", "card_precision_at_k", "value_recall",
    "days_to_detection", "never_detected",
)  # fmt: skip


@dataclass(frozen=True)
class Paired:
    """A figure of two models, and what the second has more of it; 95 % intervals over the same redraws."""

    first: Interval
    second: Interval
    difference: Interval


def paired(
    rows: JudgedRows,
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    budget: int,
    value: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> dict[str, Paired]:
    """Measure two models on the same rows.

    Parameters
    ----------
    rows : JudgedRows, n rows
    scores : pair of float64 arrays of shape (n,)
        Higher is more anomalous.
    budget : int
        Alerts a day.
    value : float64 array of shape (n,), optional
        What is at stake in each row, 0 or more; without it ``value_recall`` is NaN.
    seed : int
        Of the 200 redraws. A redraw on which a figure is not defined for both is left out of its interval.

    Returns
    -------
    dict of str to Paired
        ``average_precision``, ``roc_auc``, ``precision_at_budget``, ``recall_at_budget``, ``card_precision_at_k``,
        ``value_recall`` (found of all that is at stake in confirmed rows), ``days_to_detection`` (median over entities
        in trouble, one that is never found being infinitely late), ``never_detected`` (share of them).

    Raises
    ------
    LabelError
        If the arrays differ in length or a score is NaN.
    ConfigError
        If the budget is not positive.

    References
    ----------
    Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 2007.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, entity = rng.random(3000) < 0.05, np.arange(3000) // 10
    >>> noise = rng.normal(size=3000)
    >>> found = paired(JudgedRows(y, np.arange(3000) % 10, entity), (noise + y, noise + 3 * y), budget=20)
    >>> precision = found["average_precision"]
    >>> precision.difference.low > 0, precision.first.value < precision.second.value
    (True, True)
    """
    first, second = (_Sorted.of(rows, score, value, budget) for score in scores)
    whole = np.ones(first.entities, np.int64)
    values = np.array([first.measure(whole), second.measure(whole)])
    drawn = np.array([
        (first.measure(times), second.measure(times)) for times in redrawn(first.entities, RESAMPLES, seed)
    ])  # fmt: skip
    return {name: _paired(values[:, place], drawn[:, :, place]) for place, name in enumerate(METRICS)}


def measure(
    rows: JudgedRows, score: NDArray[np.float64], *, budget: int, value: NDArray[np.float64] | None = None
) -> dict[str, float]:
    """The figures of :func:`paired` for one model, without intervals.

    Examples
    --------
    >>> rows = JudgedRows(np.array([True, False, True]), day=np.array([0, 0, 1]), entity=["a", "b", "a"])
    >>> told = measure(rows, np.array([1.0, 2.0, 3.0]), budget=1)
    >>> told["precision_at_budget"], told["days_to_detection"], told["never_detected"]
    (0.5, 1.0, 0.0)
    """
    ready = _Sorted.of(rows, score, value, budget)
    return dict(zip(METRICS, ready.measure(np.ones(ready.entities, np.int64)), strict=True))


def share_reached(
    p: tuple[NDArray[np.float64], NDArray[np.float64]], entity: object, *, level: float = LEVEL, seed: int = 0
) -> Paired:
    """The share of rows with a p-value at or below a level, of two models.

    Parameters
    ----------
    p : pair of float64 arrays of shape (n,)
        p-values of the same rows, those not known to be in trouble.
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too

    Examples
    --------
    >>> share_reached((np.array([0.01, 0.5]), np.array([0.3, 0.5])), ["a", "b"]).difference.value
    -0.5
    """
    names, code = np.unique(entity_keys(entity), return_inverse=True)
    count = np.stack(
        [np.bincount(code, each, len(names)) for each in (*(part <= level for part in p), np.ones(len(code)))]
    )
    drawn = (
        np.array([count @ times for times in redrawn(len(names), RESAMPLES, seed)]) if len(code) else np.ones((1, 3))
    )
    total = count.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return _paired(total[:2] / total[2], drawn[:, :2] / drawn[:, 2:])


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Rows from the highest score down, over all and within each day, with the entity as a code below ``entities``."""

    entities: int
    budget: int
    overall: tuple[
        NDArray[np.bool_], NDArray[np.intp], NDArray[np.bool_]
    ]  # y, code, whether a row is the last of its score
    daily: tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.intp]]  # day, y, code
    value: NDArray[np.float64] | None
    first: NDArray[np.int64]  # of each entity the day of its first confirmed row

    @classmethod
    def of(
        cls, rows: JudgedRows, score: NDArray[np.float64], value: NDArray[np.float64] | None, budget: int
    ) -> _Sorted:
        y, points, day = np.asarray(rows.y, np.bool_), np.asarray(score, np.float64), np.asarray(rows.day, np.int64)
        names, code = np.unique(entity_keys(rows.entity), return_inverse=True)
        worth = np.zeros(len(y)) if value is None else np.asarray(value, np.float64)
        _check(y, points, day, code, worth, budget=budget)
        high = np.argsort(-points, kind="stable")
        last = np.append(points[high][1:] != points[high][:-1], True)[: len(high)]
        order = np.lexsort((worth, y, code, -points, day))
        first = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(first, code[y], day[y])
        daily = day[order], y[order], code[order]
        stake = None if value is None else worth[order]
        return cls(len(names), budget, (y[high], code[high], last), daily, stake, first)

    def measure(self, times: NDArray[np.int64]) -> tuple[float, ...]:
        """The figures, in the order of ``METRICS``, with each entity counting so many times."""
        precision, area = kernels.ranking(*self.overall, times)
        day, y, code = self.daily
        raised, caught, positives = kernels.within(day, y, code, times, self.budget)
        recalled = np.nan if self.value is None else _stake_found(self.daily, self.value, times, self.budget)
        cards = kernels.card_precision(day, y, code, times, self.budget)
        late = kernels.late(self.daily, times, self.budget, self.first) if len(day) else np.zeros(1, np.int64)
        never = _share(int(late[-1]), int(late.sum()))
        return (
            precision, area, _share(caught, raised), _share(caught, positives), cards, recalled, _median(late), never,
        )  # fmt: skip


def _stake_found(
    daily: tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.intp]],
    value: NDArray[np.float64],
    times: NDArray[np.int64],
    budget: int,
) -> float:
    found, total = kernels.stake(daily, value, times, budget)
    return found / total if total > 0 else float("nan")


def _median(late: NDArray[np.int64]) -> float:
    """The median of delays given as counts, the last being those of infinity."""
    total = int(late.sum())
    if not total:
        return float("nan")
    both = np.searchsorted(np.cumsum(late), [(total - 1) // 2, total // 2], side="right")
    return float(np.where(both == len(late) - 1, np.inf, both).mean())


def _paired(values: NDArray[np.float64], drawn: NDArray[np.float64]) -> Paired:
    """Values of both models, and their redraws in rows."""
    usable = drawn[~np.isnan(drawn).any(axis=1)]
    if np.isnan(values).any():
        usable = usable[:0]
    more = _minus(usable[:, 1], usable[:, 0])
    first, second = (_interval(float(value), usable[:, place]) for place, value in enumerate(values))
    return Paired(first, second, _interval(float(_minus(values[1], values[0])), more))


def _minus(second: Any, first: Any) -> Any:
    """The difference; two that are alike differ by nothing, infinite ones too."""
    with np.errstate(invalid="ignore"):
        return np.where(second == first, 0.0, second - first)


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    """The percentiles of the redraws; where some are infinite, those of redraws that were there, not between two."""
    if not len(drawn):
        return Interval(value, float("nan"), float("nan"))
    method: Literal["linear", "closest_observation"] = "linear" if np.isfinite(drawn).all() else "closest_observation"
    low, high = (float(np.quantile(drawn, part, method=method)) for part in (0.025, 0.975))
    return Interval(value, low, high)


def _check(*columns: NDArray[Any], budget: int) -> None:
    y, points, _, _, worth = columns
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        message = f"expected y, score, day, entity and value of one length, got {lengths}"
        raise LabelError(message)
    if np.isnan(points).any() or not (worth >= 0).all():
        message = f"expected {len(y):,} scores, and values of 0 or more; some are NaN or negative: leave such rows out"
        raise LabelError(message)
    if budget < 1:
        message = f"expected a budget of at least 1 alert a day, got {budget}"
        raise ConfigError(message)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
