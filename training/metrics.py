"""How good a ranking is for people who can check so many alerts a day.

Ties. A list of alerts has to break them; by row number or by label would flatter or punish. Here equal scores are put
in the order of a hash of the entity's key (the same on every machine, unrelated to anything about the entity), and rows
that still tie, those of one entity, with the unconfirmed ones first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import ConfigError, LabelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = ["budget_curve", "evaluate", "precision_recall_points"]


def evaluate(
    y: NDArray[np.bool_], score: NDArray[np.float64], *, day: ArrayLike, entity: object, budget: int
) -> dict[str, float]:
    """Measure a ranking.

    Parameters
    ----------
    y : bool array of shape (n,)
        True where the row is confirmed trouble.
    score : float64 array of shape (n,)
        Higher is more anomalous.
    day : int array of shape (n,)
        Any number per day that rises with time.
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too
    budget : int
        Alerts a day.

    Returns
    -------
    dict of str to float
        ``ranking/roc_auc``, ``ranking/average_precision`` (NaN without a positive or without a negative);
        ``budget/precision``, ``budget/recall``, ``budget/alerts``: the ``budget`` highest rows of each day;
        ``budget/card_precision_at_k``: mean over days of the share of bad entities among the ``budget`` with the
        highest score of the day, where an entity once detected is left out on later days (a day with fewer entities
        still divides by ``budget``); ``data/prevalence``, ``data/rows``, ``data/positives``, ``data/entities``,
        ``data/days``.

    Raises
    ------
    LabelError
        If the arrays differ in length or a score is NaN.
    ConfigError
        If the budget is not positive.

    References
    ----------
    Card precision: Le Borgne et al., "Reproducible Machine Learning for Credit Card Fraud Detection", chapter 4.

    Examples
    --------
    >>> y, score = np.array([True, False, False, True]), np.array([3.0, 2.0, 1.0, 0.0])
    >>> found = evaluate(y, score, day=np.array([0, 0, 1, 1]), entity=["a", "b", "a", "b"], budget=1)
    >>> found["budget/precision"], found["budget/recall"], found["budget/card_precision_at_k"]
    (0.5, 0.5, 1.0)
    """
    ranked = _Ranked.of(y, score, day=day, entity=entity)
    _positive(budget)
    alerts = ranked.place < budget
    caught = int((alerts & ranked.y).sum())
    return {
        **_ranking(ranked.y, ranked.score),
        "budget/precision": _share(caught, int(alerts.sum())),
        "budget/recall": _share(caught, int(ranked.y.sum())),
        "budget/alerts": float(alerts.sum()),
        "budget/card_precision_at_k": _card_precision(ranked, budget),
        "data/prevalence": _share(int(ranked.y.sum()), len(ranked.y)),
        "data/rows": float(len(ranked.y)),
        "data/positives": float(ranked.y.sum()),
        "data/entities": float(len(np.unique(ranked.entity))),
        "data/days": float(len(np.unique(ranked.day))),
    }


def precision_recall_points(y: NDArray[np.bool_], score: NDArray[np.float64], *, points: int = 500) -> pd.DataFrame:
    """The precision-recall curve, at most ``points`` of its points.

    Returns
    -------
    pandas.DataFrame
        Columns ``threshold``, ``precision``, ``recall``; rising thresholds; no row without a positive.
    """
    import pandas as pd
    from sklearn.metrics import precision_recall_curve

    if not y.any():
        return pd.DataFrame({"threshold": [], "precision": [], "recall": []}, dtype=np.float64)
    precision, recall, threshold = precision_recall_curve(y, score)
    chosen = np.unique(np.linspace(0, len(threshold) - 1, min(points, len(threshold))).astype(np.intp))
    curve = {"threshold": threshold[chosen], "precision": precision[chosen], "recall": recall[chosen]}
    return pd.DataFrame(curve)


def budget_curve(
    y: NDArray[np.bool_], score: NDArray[np.float64], *, day: ArrayLike, entity: object, budgets: Sequence[int]
) -> pd.DataFrame:
    """Precision and recall for several numbers of alerts a day.

    Returns
    -------
    pandas.DataFrame
        Columns ``budget``, ``alerts``, ``precision``, ``recall``, one row per budget.
    """
    import pandas as pd

    ranked = _Ranked.of(y, score, day=day, entity=entity)
    rows = []
    for budget in budgets:
        _positive(budget)
        alerts = ranked.place < budget
        caught, raised = int((alerts & ranked.y).sum()), int(alerts.sum())
        rows.append((budget, raised, _share(caught, raised), _share(caught, int(ranked.y.sum()))))
    return pd.DataFrame(rows, columns=["budget", "alerts", "precision", "recall"])


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows by day and, within a day, from the first alert to the last; ``place`` counts from 0 in each day."""

    y: NDArray[np.bool_]
    score: NDArray[np.float64]
    day: NDArray[Any]
    entity: NDArray[np.uint64]
    place: NDArray[np.intp]

    @classmethod
    def of(cls, y: NDArray[np.bool_], score: NDArray[np.float64], *, day: ArrayLike, entity: object) -> _Ranked:
        truth, points, days, keys = (
            np.asarray(y, np.bool_),
            np.asarray(score, np.float64),
            np.asarray(day),
            _keys(entity),
        )
        lengths = [len(truth), len(points), len(days), len(keys)]
        if len(set(lengths)) != 1:
            message = f"expected y, score, day and entity of one length, got {lengths}"
            raise LabelError(message)
        if np.isnan(points).any():
            message = f"the score of row {int(np.isnan(points).argmax())} is NaN; every row needs a score to be ranked"
            raise LabelError(message)
        order = np.lexsort((truth, keys, -points, days))
        days = days[order]
        place = np.arange(len(days)) - np.searchsorted(days, days, side="left")
        return cls(truth[order], points[order], days, keys[order], place)


def _ranking(y: NDArray[np.bool_], score: NDArray[np.float64]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not y.any() or y.all():
        return {"ranking/roc_auc": float("nan"), "ranking/average_precision": float("nan")}
    auc, precision = roc_auc_score(y, score), average_precision_score(y, score)
    return {"ranking/roc_auc": float(auc), "ranking/average_precision": float(precision)}


def _card_precision(ranked: _Ranked, budget: int) -> float:
    detected = np.zeros(0, np.uint64)
    shares = []
    for day in np.unique(ranked.day):
        today = slice(*np.searchsorted(ranked.day, [day, day + 1]))
        entity, y = ranked.entity[today], ranked.y[today]
        open_cases = ~np.isin(entity, detected)
        entity, y = entity[open_cases], y[open_cases]
        names, first = np.unique(entity, return_index=True)  # rows are ranked, so the first is the entity's highest
        alerts = names[np.argsort(first)[:budget]]
        caught = np.intersect1d(alerts, entity[y])
        detected = np.union1d(detected, caught)
        shares.append(len(caught) / budget)
    return float(np.mean(shares)) if shares else float("nan")


def _keys(entity: object) -> NDArray[np.uint64]:
    from ..features.columns import stable_hash

    column = entity if isinstance(entity, pa.Array | pa.ChunkedArray) else pa.array(np.asarray(entity))
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    keys = stable_hash(column.dictionary)
    return np.asarray(keys[column.indices.to_numpy(zero_copy_only=False)], np.uint64)


def _positive(budget: int) -> None:
    if budget < 1:
        message = f"expected a budget of at least 1 alert a day, got {budget}"
        raise ConfigError(message)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
