"""How good a ranking is for people who can check so many alerts a day.

Ties. A list of alerts has to break them; by row number or by label would flatter or punish. Here equal scores are put
in the order of a hash of the entity's key (the same on every machine, unrelated to anything about the entity), and rows
that still tie, those of one entity, with the unconfirmed ones first.

Intervals. What one entity does on Monday says much of what it does on Tuesday, so rows are no independent witnesses.
Entities are: an interval redraws them, each with all of its rows, and measures anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import ConfigError, LabelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Detection",
    "Interval",
    "JudgedRows",
    "Overlap",
    "alert_overlap",
    "average_precision_interval",
    "budget_curve",
    "entity_keys",
    "evaluate",
    "metrics_by_slice",
    "precision_recall_points",
    "redrawn",
    "time_to_detection",
    "value_recall",
]

RESAMPLES = 200  # of the entities: the ends of a 95 % interval then move by about a tenth of its width with the seed
FEW = 20  # entities in trouble below which a slice's figures are mostly chance
NO_NAME = np.uint64(0x9E3779B97F4A7C15)  # the key of null
_SLICE_COLUMNS = (
    "rows", "entities", "positives", "positive_entities", "alerts", "precision", "recall",
    "average_precision", "low", "high", "few_positives",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """The rows that a ranking is judged on, and the truth about them.

    Attributes
    ----------
    y : bool array of shape (n,)
        True where the row is confirmed trouble.
    day : int array of shape (n,)
        Number of the day, rising by one a day.
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too
    """

    y: NDArray[np.bool_]
    day: ArrayLike
    entity: object


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Detection:
    """How soon trouble is found.

    Attributes
    ----------
    cases : pandas.DataFrame
        One row per incident: ``incident``, ``first`` (day of its first confirmed window), ``alerted`` (day of the first
        alert on one of its confirmed windows, NaN if there is none), ``days`` between them; by ``first``, then by name.
    median_days : float
        Over all incidents, one that is never found counting as infinitely late; NaN without an incident.
    never : float
        Share of incidents that are never found; NaN without an incident.
    """

    cases: pd.DataFrame
    median_days: float
    never: float


@dataclass(frozen=True, eq=False)
class Overlap:
    """Whom two models alert alike. An alert here is an entity on a day, however many of its rows are in the list.

    Attributes
    ----------
    jaccard : float
        Alerts of both as a share of those of either; NaN without any.
    shared : int
    appeared, disappeared : pandas.DataFrame
        ``day`` and ``entity`` of alerts that only the challenger, and only the champion raises; by day, then by name.
    """

    jaccard: float
    shared: int
    appeared: pd.DataFrame
    disappeared: pd.DataFrame


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


def value_recall(
    rows: JudgedRows, score: NDArray[np.float64], value: NDArray[np.float64], *, budget: int
) -> pd.DataFrame:
    """How much of each day's value in trouble is among the day's ``budget`` highest rows.

    Parameters
    ----------
    rows : JudgedRows
    score : float64 array of shape (n,)
        Higher is more anomalous.
    value : float64 array of shape (n,), in any one unit, not negative
        What is at stake in each row; only that of confirmed rows counts. Of rows that tie in all else the least
        valuable come first, so a tie never flatters.
    budget : int
        Alerts a day.

    Returns
    -------
    pandas.DataFrame
        One row per day: ``day``, ``at_stake``, ``found``, ``recall`` (their ratio, NaN where nothing is at stake). The
        recall of the whole period is that of the sums, not the mean of the days.

    Raises
    ------
    LabelError
        If the arrays differ in length, a score is NaN, or a value is negative or NaN.
    ConfigError
        If the budget is not positive.

    Examples
    --------
    >>> rows = JudgedRows(np.array([True, True, False]), day=np.zeros(3, int), entity=["a", "b", "c"])
    >>> value_recall(rows, np.array([3.0, 1.0, 2.0]), np.array([90.0, 10.0, 500.0]), budget=2)["recall"].tolist()
    [0.9]
    """
    import pandas as pd

    _positive(budget)
    worth = np.asarray(value, np.float64)
    if not (worth >= 0).all():
        row = int((~(worth >= 0)).argmax())
        message = f"expected values of 0 or more, that of row {row} is {worth[row]}; fill in or leave out such rows"
        raise LabelError(message)
    ranked = _Ranked.judged(rows, score, last=worth)
    days, at = np.unique(ranked.day, return_inverse=True)
    stake = np.where(ranked.y, worth[ranked.row], 0.0)
    total = np.bincount(at, stake, len(days))
    found = np.bincount(at, stake * (ranked.place < budget), len(days))
    recall = np.divide(found, total, out=np.full(len(days), np.nan), where=total > 0)
    return pd.DataFrame({"day": days, "at_stake": total, "found": found, "recall": recall})


def average_precision_interval(
    y: NDArray[np.bool_], score: NDArray[np.float64], *, entity: object, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Average precision with a 95 % percentile bootstrap interval over entities.

    A redrawn entity weighs as many times as it was drawn, so that rows are sorted once and each redraw is a cumulative
    sum. Redraws without a positive are left out.

    Parameters
    ----------
    y : bool array of shape (n,)
    score : float64 array of shape (n,)
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too
    resamples : int
    seed : int

    Returns
    -------
    Interval
        NaN without a positive or without a negative.

    Raises
    ------
    LabelError
        If the arrays differ in length or a score is NaN.

    References
    ----------
    Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 2007.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(3000) < 0.05
    >>> found = average_precision_interval(y, rng.normal(size=3000) + 2 * y, entity=np.arange(3000) // 10)
    >>> found.low < found.value < found.high
    True
    """
    ranked = _Ranked.of(y, score, day=np.zeros(len(y), np.int64), entity=entity)
    if not ranked.y.any() or ranked.y.all():
        return Interval(np.nan, np.nan, np.nan)
    ends = np.flatnonzero(np.append(ranked.score[1:] != ranked.score[:-1], True))
    names, codes = np.unique(ranked.entity, return_inverse=True)
    drawn = [_weighted_precision(ranked.y, times[codes], ends) for times in redrawn(len(names), resamples, seed)]
    value = _weighted_precision(ranked.y, np.ones(len(codes), np.int64), ends)
    usable = np.array([each for each in drawn if not np.isnan(each)])
    if not len(usable):
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(usable, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def time_to_detection(
    rows: JudgedRows, score: NDArray[np.float64], *, budget: int, incident: object | None = None
) -> Detection:
    """How many days each incident goes on before an alert falls on one of its confirmed windows.

    Parameters
    ----------
    rows : JudgedRows
    score : float64 array of shape (n,)
    budget : int
        Alerts a day.
    incident : array of shape (n,), of text or whole numbers, optional
        Which incident a confirmed row belongs to; null belongs to none. By default each entity is one incident.

    Raises
    ------
    LabelError
        If the arrays differ in length or a score is NaN.
    ConfigError
        If the budget is not positive.

    Examples
    --------
    >>> rows = JudgedRows(np.array([True, True, True, False]), day=np.array([0, 1, 1, 1]), entity=["a", "a", "b", "c"])
    >>> found = time_to_detection(rows, np.array([0.0, 9.0, 1.0, 2.0]), budget=1)
    >>> found.cases["days"].tolist(), found.never
    ([0.0, nan], 0.5)
    """
    import pandas as pd

    _positive(budget)
    codes, names = _named(rows.entity if incident is None else incident)
    ranked = _Ranked.judged(rows, score, last=codes)
    case, confirmed = codes[ranked.row], ranked.y & (codes[ranked.row] >= 0)
    first, alerted = np.full((2, len(names)), np.inf)
    np.minimum.at(first, case[confirmed], ranked.day[confirmed])
    caught = confirmed & (ranked.place < budget)
    np.minimum.at(alerted, case[caught], ranked.day[caught])
    there = np.flatnonzero(np.isfinite(first))
    there = there[np.argsort(first[there], kind="stable")]
    first, late = first[there].astype(np.int64), alerted[there] - first[there]
    days = np.where(np.isfinite(late), late, np.nan)
    cases = pd.DataFrame({"incident": [names[code] for code in there], "first": first, "alerted": first + days})
    cases["days"] = days
    median = float(np.median(late)) if len(late) else float("nan")
    return Detection(cases, median, _share(int(np.isinf(late).sum()), len(late)))


def alert_overlap(
    champion: NDArray[np.float64], challenger: NDArray[np.float64], *, day: ArrayLike, entity: object, budget: int
) -> Overlap:
    """Whom a challenger would alert instead of whom.

    Parameters
    ----------
    champion, challenger : float64 arrays of shape (n,)
        Two models' scores of the same rows.
    day : int array of shape (n,)
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too
    budget : int
        Alerts a day.

    Raises
    ------
    LabelError
        If the arrays differ in length or a score is NaN.
    ConfigError
        If the budget is not positive.

    Examples
    --------
    >>> day, entity = np.zeros(3, int), ["ann", "ben", "cas"]
    >>> both = alert_overlap(np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, 2.0]), day=day, entity=entity, budget=2)
    >>> round(both.jaccard, 2), both.appeared["entity"].tolist(), both.disappeared["entity"].tolist()
    (0.33, ['cas'], ['ben'])
    """
    import pandas as pd

    _positive(budget)
    codes, names = _named(entity)
    days, at = np.unique(np.asarray(day), return_inverse=True)
    lists: list[NDArray[np.int64]] = []
    for score in (champion, challenger):
        ranked = _Ranked.of(np.zeros(len(score), np.bool_), score, day=day, entity=entity)
        rows = ranked.row[ranked.place < budget]
        lists.append(np.unique(at[rows] * len(names) + codes[rows]))
    before, after = lists
    shared = len(np.intersect1d(before, after))

    def table(alerts: NDArray[np.int64]) -> pd.DataFrame:
        whom = [names[code] for code in alerts % max(1, len(names))]
        return pd.DataFrame({"day": days[alerts // max(1, len(names))], "entity": whom})

    gone, new = np.setdiff1d(before, after), np.setdiff1d(after, before)
    return Overlap(_share(shared, shared + len(gone) + len(new)), shared, table(new), table(gone))


def metrics_by_slice(
    rows: JudgedRows, score: NDArray[np.float64], by: object, *, budget: int, seed: int = 0
) -> pd.DataFrame:
    """How the one list of alerts treats each peer group, or each value of an attribute kept for audits.

    The budget is that of the whole list: a slice gets as many alerts as its rows win.

    Parameters
    ----------
    rows : JudgedRows
    score : float64 array of shape (n,)
    by : array of shape (n,), of text, whole numbers or booleans; a pyarrow array too
        Null is a slice without a name, the last.
    budget : int
        Alerts a day.
    seed : int
        Of the redraws behind the intervals.

    Returns
    -------
    pandas.DataFrame
        One row per slice: ``slice``, ``rows``, ``entities``, ``positives``, ``positive_entities``, ``alerts``,
        ``precision``, ``recall``, ``average_precision``, ``low``, ``high`` (its 95 % interval), ``few_positives``: True
        if under 20 entities are in trouble, of which nothing should be concluded.

    Raises
    ------
    LabelError
        If the arrays differ in length or a score is NaN.
    ConfigError
        If the budget is not positive.

    Examples
    --------
    >>> rows = JudgedRows(np.array([True, False, True, False]), day=np.zeros(4, int), entity=["a", "b", "c", "d"])
    >>> told = metrics_by_slice(rows, np.array([4.0, 3.0, 1.0, 2.0]), ["north", "north", "south", "south"], budget=2)
    >>> told[["slice", "alerts", "precision", "recall", "few_positives"]].values.tolist()
    [['north', 2, 0.5, 1.0, True], ['south', 0, nan, 0.0, True]]
    """
    import pandas as pd

    _positive(budget)
    codes, names = _named(by)
    ranked = _Ranked.judged(rows, score, last=codes)
    part, alerts = codes[ranked.row], ranked.place < budget
    told = []
    for code in sorted(set(part.tolist()), key=lambda code: (code < 0, code)):
        here = part == code
        own = {"slice": names[code] if code >= 0 else None}
        told.append(own | _slice(ranked.y[here], ranked.score[here], ranked.entity[here], alerts[here], seed))
    return pd.DataFrame(told, columns=["slice", *_SLICE_COLUMNS])


def entity_keys(entity: object) -> NDArray[np.uint64]:
    """A hash of each row's entity or group, the same on every machine; null has its own.

    Parameters
    ----------
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too

    Examples
    --------
    >>> keys = entity_keys(["ann", "ben", "ann"])
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    from ..features.columns import stable_hash

    column = _dictionary(entity)
    keys = np.append(stable_hash(column.dictionary), NO_NAME)
    return np.asarray(keys[_codes(column)], np.uint64)


def redrawn(entities: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw as many entities as there are, with replacement, again and again.

    Yields
    ------
    int64 array of shape (entities,)
        How many times each was drawn.

    Examples
    --------
    >>> [int(times.sum()) for times in redrawn(4, 2, seed=0)]
    [4, 4]
    """
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, entities, entities), minlength=entities)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows by day and, within a day, from the first alert to the last; ``place`` counts from 0 in each day.

    ``row`` is where each stood in the arrays that were given.
    """

    y: NDArray[np.bool_]
    score: NDArray[np.float64]
    day: NDArray[Any]
    entity: NDArray[np.uint64]
    place: NDArray[np.intp]
    row: NDArray[np.intp]

    @classmethod
    def of(cls, y: NDArray[np.bool_], score: NDArray[np.float64], *, day: ArrayLike, entity: object) -> _Ranked:
        return cls.judged(JudgedRows(y, day, entity), score)

    @classmethod
    def judged(
        cls, rows: JudgedRows, score: NDArray[np.float64], *, last: NDArray[np.generic] | None = None
    ) -> _Ranked:
        """Rank; rows that tie in all else are in the order of ``last``."""
        truth, points, days, keys = (
            np.asarray(rows.y, np.bool_),
            np.asarray(score, np.float64),
            np.asarray(rows.day),
            entity_keys(rows.entity),
        )
        lengths = [len(each) for each in (truth, points, days, keys, *(() if last is None else (last,)))]
        if len(set(lengths)) != 1:
            more = "" if last is None else ", and what they are told apart by,"
            message = f"expected y, score, day and entity{more} of one length, got {lengths}"
            raise LabelError(message)
        if np.isnan(points).any():
            message = f"the score of row {int(np.isnan(points).argmax())} is NaN; every row needs a score to be ranked"
            raise LabelError(message)
        order = np.lexsort((*(() if last is None else (last,)), truth, keys, -points, days))
        days = days[order]
        place = np.arange(len(days)) - np.searchsorted(days, days, side="left")
        return cls(truth[order], points[order], days, keys[order], place, order)


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


def _weighted_precision(y: NDArray[np.bool_], times: NDArray[np.int64], ends: NDArray[np.intp]) -> float:
    """Average precision of rows from the highest down that count so many times; ``ends`` are the last of each score."""
    seen, found = np.cumsum(times)[ends], np.cumsum(times * y)[ends]
    if not found[-1]:
        return float("nan")
    return float((np.diff(found, prepend=0) * found / np.maximum(seen, 1)).sum() / found[-1])


def _slice(
    y: NDArray[np.bool_], score: NDArray[np.float64], entity: NDArray[np.uint64], alerts: NDArray[np.bool_], seed: int
) -> dict[str, object]:
    caught, raised, positives = (int(each.sum()) for each in (alerts & y, alerts, y))
    bad = len(np.unique(entity[y]))
    precision = average_precision_interval(y, score, entity=entity, seed=seed)
    values = (
        len(y), len(np.unique(entity)), positives, bad, raised, _share(caught, raised), _share(caught, positives),
        precision.value, precision.low, precision.high, bad < FEW,
    )  # fmt: skip
    return dict(zip(_SLICE_COLUMNS, values, strict=True))


def _dictionary(values: object) -> pa.DictionaryArray:
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(np.asarray(values))
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()


def _codes(column: pa.DictionaryArray) -> NDArray[np.int64]:
    """The position of each row's value in the dictionary; -1 is null."""
    return np.asarray(column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False))


def _named(values: object) -> tuple[NDArray[np.int64], list[Any]]:
    """Each row's place among the distinct values in their own order, and these; -1 is null."""
    column = _dictionary(values)
    names = sorted({name for name in column.dictionary.to_pylist() if name is not None})
    place = {name: number for number, name in enumerate(names)}
    places = np.array([*(place.get(name, -1) for name in column.dictionary.to_pylist()), -1], np.int64)
    return places[_codes(column)], names


def _positive(budget: int) -> None:
    if budget < 1:
        message = f"expected a budget of at least 1 alert a day, got {budget}"
        raise ConfigError(message)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
