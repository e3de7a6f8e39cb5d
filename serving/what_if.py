"""What another budget would bring: alerts and cases a day, how many of them are right, and how much is missed.

Each budget is played through on windows that were scored already: those that a version was judged on, or a later file
of scores. Places are given out by the lists that scoring fills, so that a budget raises what it would have raised
there: none at the lowest score of a day, if others of that score get no place. What is confirmed gives precision and
recall. The calibration gives a second answer, which needs no labels: of normal windows a share of at most p scores as
high as one with the p-value p, so of a day's windows so many are above the line by chance. It holds as long as nothing
drifts.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from ..errors import ConfigError
from ..training.calibration import alerts_at_rate
from ..training.metrics import RESAMPLES, Interval, redrawn
from .alert_kernels import found_within
from .alert_lists import Lists
from .cases import GAP, case_ids
from .picks import Exploration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from .played import Played

__all__ = ["BUDGETS", "RATES", "Expected", "WhatIf", "what_if"]

BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
RATES = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Expected:
    """What one setting brings.

    Attributes
    ----------
    by : "budget" or "fdr"
    setting : float
        Alerts a day, or the share of false ones.
    alerts, cases : float
        Alerted windows a day; cases that begin, a day.
    line : float
        The median over days of the lowest score that is an alert; NaN without any.
    precision, recall : Interval
        Of the alerts whose truth is known the share that is confirmed; of what is confirmed the share that is alerted.
        95 % over redrawn entities; NaN where nothing is known.
    false_alerts : float
        At most so many alerts a day are by chance, by the calibration; NaN without one.
    empty : float
        Windows a day that get no place, since they have the lowest score of their day and others of it would get none.
    """

    by: Literal["budget", "fdr"]
    setting: float
    alerts: float
    cases: float
    line: float
    precision: Interval
    recall: Interval
    false_alerts: float
    empty: float = 0.0


@dataclass(frozen=True)
class WhatIf:
    """What each budget and each rate would have brought.

    Attributes
    ----------
    settings : tuple of Expected
    days, windows, entities : int
    known, confirmed : int
        Windows whose truth is known, and confirmed ones.
    """

    settings: tuple[Expected, ...]
    days: int
    windows: int
    entities: int
    known: int
    confirmed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def what_if(
    rows: Played,
    *,
    budgets: Iterable[int] = BUDGETS,
    rates: Iterable[float] = RATES,
    per: Literal["entity", "window"] = "entity",
    gap: int = GAP,
) -> WhatIf:
    """Play budgets and false-discovery rates through.

    Parameters
    ----------
    rows : Played
    budgets : iterable of int
        Alerts a day.
    rates : iterable of float
        Left out where there are no p-values.
    per : "entity" or "window"
        What takes a place of a budget; see :class:`~peculiar.serving.alerts.AlertRules`.
    gap : int
        Alerts of an entity at most so many days apart are one case.

    Raises
    ------
    ConfigError
        If there is no window, or a budget or a rate is out of range.

    Notes
    -----
    Of windows at the lowest score of their day none is an alert if there are more of them than places: see
    :meth:`~peculiar.serving.alert_lists.Lists.unraised`. With a budget an interval plays each redraw through anew, so
    that the budget stays what it is; copies of an entity are so many entities. With a rate the alerts stay those of the
    whole, and are redrawn with their entities.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.serving.played import Played
    >>> day, score = np.repeat([20000, 20001], 3), np.array([3.0, 2.0, 1.0, 3.0, 2.0, 1.0])
    >>> found = np.array([True, False, False, False, True, False])
    >>> rows = Played(pa.array(list("abcdbc")), day, score, None, found, np.ones(6), np.zeros(6, np.bool_))
    >>> one = what_if(rows, budgets=[1]).settings[0]
    >>> one.alerts, one.line, one.precision.value, one.recall.value
    (1.0, 3.0, 0.5, 0.5)
    """
    asked = sorted(set(budgets))
    if not len(rows.day) or any(budget < 1 for budget in asked):
        message = f"expected scored windows and budgets of 1 or more alerts a day, got {len(rows.day)} and {asked}"
        raise ConfigError(message)
    play = _Play.of(rows, per, gap)
    told = [play.budget(budget) for budget in asked]
    if rows.p_value is not None:
        told += [play.rate(rate) for rate in sorted(set(rates))]
    known, bad = int((rows.weight > 0).sum()), int((rows.confirmed & (rows.weight > 0)).sum())
    return WhatIf(tuple(told), play.days, len(rows.day), play.entities, known, bad)


@dataclass(frozen=True, eq=False)
class _Play:
    """The rows day by day, each from the highest score down; equal scores in the order of the entity's name."""

    rows: Played
    order: NDArray[np.intp]
    who: NDArray[np.int64]
    code: NDArray[np.int64]
    days: int
    entities: int
    gap: int

    @classmethod
    def of(cls, rows: Played, per: str, gap: int) -> Self:
        # Codes in the order of names, and of an entity's rows that tie the unconfirmed first: no order of rows counts.
        names, code = np.unique(rows.entity.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
        order = np.lexsort((rows.confirmed, code, -rows.score, rows.day))
        who = code if per == "entity" else np.arange(len(code))
        return cls(rows, order, who, code, len(np.unique(rows.day)), len(names), gap)

    def budget(self, budget: int) -> Expected:
        rows, order = self.rows, self.order
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        everybody = np.zeros(len(order), np.int64)
        lists = Lists.of_day((rows.day, rank), self.who, everybody, [budget], Exploration())
        placed = lists.reached(np.ones(len(order), np.bool_), rows.hidden) & ~rows.hidden
        unraised = lists.unraised(rows.score, placed, ~rows.hidden)
        ends = np.append(np.flatnonzero(np.diff(rows.day[order])) + 1, len(order))
        ready = (self.who[order], self.code[order], rows.score[order], rows.hidden[order])
        truth = (rows.confirmed[order], rows.weight[order])

        def found(times: NDArray[np.int64]) -> tuple[float, float]:
            known, caught = found_within(ends, ready, truth, times, budget)
            return known, caught

        expected = self._expected("budget", budget, placed & ~unraised, found)
        return replace(expected, empty=float(unraised.sum()) / self.days)

    def rate(self, rate: float) -> Expected:
        rows = self.rows
        if rows.p_value is None:
            raise ConfigError("expected p-values for a false-discovery rate, got none; ask for budgets alone")
        alert = alerts_at_rate(rows.p_value, day=rows.day, entity=rows.entity, rate=rate) & ~rows.hidden
        weight = np.where(alert, rows.weight, 0.0)
        known, caught = (np.bincount(self.code, each, self.entities) for each in (weight, weight * rows.confirmed))

        def found(times: NDArray[np.int64]) -> tuple[float, float]:
            return float(known @ times), float(caught @ times)

        return self._expected("fdr", rate, alert, found)

    def _expected(
        self,
        by: Literal["budget", "fdr"],
        setting: float,
        alert: NDArray[np.bool_],
        found: Callable[[NDArray[np.int64]], tuple[float, float]],
    ) -> Expected:
        rows = self.rows
        bad = np.bincount(self.code, rows.weight * rows.confirmed, self.entities)

        def shares(times: NDArray[np.int64]) -> tuple[float, float]:
            known, caught = found(times)
            return _share(caught, known), _share(caught, float(bad @ times))

        drawn = np.array([shares(times) for times in redrawn(self.entities, RESAMPLES, 0)])
        whole = shares(np.ones(self.entities, np.int64))
        precision, recall = (_interval(value, drawn[:, place]) for place, value in enumerate(whole))
        cases = case_ids(rows.entity, rows.day, alert, gap=self.gap)
        return Expected(
            by=by,
            setting=setting,
            alerts=float(alert.sum()) / self.days,
            cases=len(cases.drop_null().unique()) / self.days,
            line=self._line(alert),
            precision=precision,
            recall=recall,
            false_alerts=self._by_chance(alert),
        )

    def _line(self, alert: NDArray[np.bool_]) -> float:
        if not alert.any():
            return math.nan
        days, at = np.unique(self.rows.day[alert], return_inverse=True)
        lowest = np.full(len(days), np.inf)
        np.minimum.at(lowest, at, self.rows.score[alert])
        return float(np.median(lowest))

    def _by_chance(self, alert: NDArray[np.bool_]) -> float:
        """Each day's windows times the largest p-value that is an alert, but no more than there are alerts."""
        if self.rows.p_value is None:
            return math.nan
        _, at, windows = np.unique(self.rows.day, return_inverse=True, return_counts=True)
        largest = np.zeros(len(windows))
        np.maximum.at(largest, at[alert], self.rows.p_value[alert])
        return float(np.minimum(largest * windows, np.bincount(at[alert], minlength=len(windows))).mean())


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    """The percentiles of the redraws that the figure is defined on."""
    usable = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(usable):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(usable, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
