"""Two versions held against each other on the windows that both were judged on.

With labels: who finds more, with an interval of the difference. Without: only how far they agree, how steadily, and
whether their p-values keep their promise; which of the two is better nobody can tell then, and it is said so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ConfigError
from .calibration import validity
from .judged import about_judged, read_judged
from .metrics import FEW
from .paired import LEVEL, measure, paired, share_reached
from .shared_windows import SharedWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from .calibration import Validity
    from .paired import Paired
    from .registry import Version
    from .store import Store

__all__ = ["Comparison", "NotComparableError", "compare", "compare_versions", "iso"]

_WEEKLY = ("average_precision", "precision_at_budget", "recall_at_budget")


class NotComparableError(ConfigError):
    """Two versions were judged on no window in common."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two versions make of the same windows; "second" is the newcomer.

    Attributes
    ----------
    names : pair of str
    budget : int
        Alerts a day.
    windows, entities : int
        Shared by both.
    first_day, last_day : int
        Days since 1970.
    alone : pair of int
        Windows that only one of them was judged on, which count for nothing here.
    confirmed, troubled : int or None
        Confirmed windows, and entities that have one; None without labels.
    metrics : dict of str to Paired
        See :func:`~peculiar.training.paired.paired`, and ``share_at_1pct``, the share of windows not known to be in
        trouble with p <= 0.01, if both are calibrated; empty without labels but for the latter.
    jaccard : float
        Alerts (an entity on a day) of both as a share of those of either.
    shared : int
    appeared, disappeared : pandas.DataFrame
        Alerts of the second alone, and of the first alone, the highest first: ``day`` (ISO 8601), ``entity``,
        ``first_score``, ``first_rank``, ``second_score``, ``second_rank`` (of its day), ``confirmed`` (None without
        labels).
    rank_correlation : float
        Spearman's, over all shared windows; NaN if a model scores all alike.
    weeks : pandas.DataFrame
        By seven days from the first: ``day``, ``windows``, ``confirmed``, ``jaccard``, and for each model (``first_…``,
        ``second_…``) the figures of the week and ``again``: the share of its alerted entities that it alerted the week
        before, too.
    calibrations : pair of Validity or None
        Whether later windows reach a p-value of 0.01 as often as promised.
    notes : tuple of str
    """

    names: tuple[str, str]
    budget: int
    windows: int
    entities: int
    first_day: int
    last_day: int
    alone: tuple[int, int]
    confirmed: int | None
    troubled: int | None
    metrics: dict[str, Paired]
    jaccard: float
    shared: int
    appeared: pd.DataFrame
    disappeared: pd.DataFrame
    rank_correlation: float
    weeks: pd.DataFrame
    calibrations: tuple[Validity | None, Validity | None]
    notes: tuple[str, ...] = field(default=())

    @property
    def new_alerts(self) -> float:
        """The share of the second's alerts that the first does not raise."""
        alerts = self.shared + len(self.appeared)
        return len(self.appeared) / alerts if alerts else float("nan")

    @property
    def verdict(self) -> str:
        """One line in words."""
        new = f"{self.new_alerts:.0%} of its alerts are new"
        if not self.confirmed:
            return (
                f"without confirmed trouble nobody can tell which finds more; of the alerts of {self.names[1]} "
                f"{self.new_alerts:.0%} are new, rank correlation {self.rank_correlation:.2f}"
            )
        gain = self.metrics["average_precision"].difference
        told = f"average precision {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
        if not gain.low <= 0 <= gain.high:
            return f"{self.names[1]} finds {'more' if gain.value > 0 else 'less'} than {self.names[0]}: {told}; {new}"
        return f"no difference between {self.names[0]} and {self.names[1]} can be told: {told}; {new}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        plain = ("budget", "windows", "entities", "confirmed", "troubled", "jaccard", "shared", "rank_correlation")
        calibration = [None if each is None else {"share": vars(each.share), "holds": each.holds, "guard": each.guard}
                       for each in self.calibrations]  # fmt: skip
        return {
            "first": self.names[0], "second": self.names[1], "verdict": self.verdict, "notes": list(self.notes),
            "from": iso(self.first_day), "until": iso(self.last_day + 1), "alone": list(self.alone),
            **{name: getattr(self, name) for name in plain},
            "metrics": {name: asdict(both) for name, both in self.metrics.items()},
            "appeared": self.appeared.to_dict("records"), "disappeared": self.disappeared.to_dict("records"),
            "weeks": self.weeks.to_dict("records"), "calibration": calibration,
        }  # fmt: skip


def compare(first: pa.Table, second: pa.Table, *, names: tuple[str, str], budget: int, newest: int = 1) -> Comparison:
    """Hold two versions against each other on the windows that both scored.

    Windows are joined by entity, since and as_of; of several at one instant the first of one belongs to the first of
    the other, and so on.

    Parameters
    ----------
    first, second : pyarrow.Table
        As :func:`~peculiar.training.judged.judged_table` makes them.
    names : pair of str
        What to call them.
    budget : int
        Alerts a day.
    newest : {0, 1}
        Whose truth counts where both were told one: labels learn, so that of the version that was judged later.

    Raises
    ------
    NotComparableError
        If there is no such window.
    LabelError
        If a score is NaN.
    ConfigError
        If the budget is not positive.

    Examples
    --------
    >>> time = pa.array([0, 0, 0]).cast(pa.timestamp("us", tz="UTC"))
    >>> windows = {"entity": ["ann", "ben", "cas"], "since": time, "as_of": time, "day": [0, 0, 0]}
    >>> unknown = {name: pa.nulls(3, kind) for name, kind in (("p_value", pa.float64()), ("confirmed", pa.bool_()),
    ...            ("cleared", pa.bool_()), ("value", pa.float64()))}
    >>> old, new = (pa.table(windows | unknown | {"score": score}) for score in ([3.0, 2.0, 1.0], [3.0, 1.0, 2.0]))
    >>> told = compare(old, new, names=("old", "new"), budget=2)
    >>> told.appeared["entity"].tolist(), told.disappeared["entity"].tolist(), told.confirmed
    (['cas'], ['ben'], None)
    """
    if budget < 1:
        message = f"expected a budget of at least 1 alert a day, got {budget}"
        raise ConfigError(message)
    pair = SharedWindows.of(first, second, newest=newest)
    if not len(pair.day):
        raise NotComparableError(_apart((first, second), names))
    whom, alerts = _alerts(pair, budget)
    both, known = alerts.all(axis=1), None if pair.y is None else int(pair.y.sum())
    return Comparison(
        names, budget, len(pair.day), len(np.unique(pair.keys)), int(pair.day.min()), int(pair.day.max()),
        (len(first) - len(pair.day), len(second) - len(pair.day)), known,
        None if pair.y is None else len(np.unique(pair.keys[pair.y])), _metrics(pair, budget),
        float(both.mean()), int(both.sum()),
        _listed(whom[alerts[:, 1] & ~both], "second"), _listed(whom[alerts[:, 0] & ~both], "first"),
        _spearman(*pair.scores), _weeks(pair, budget), _calibrations(pair), _notes(pair, newest, names),
    )  # fmt: skip


def compare_versions(
    store: Store,
    pair: tuple[Version, Version],
    *,
    budget: int | None = None,
    judged: Callable[[Store, Version], pa.Table] = read_judged,
) -> Comparison:
    """Hold two registered versions against each other.

    Parameters
    ----------
    store : Store
    pair : pair of Version
        The second is the newcomer.
    budget : int, optional
        Alerts a day; by default what the newcomer was judged with.
    judged : callable
        Tells the windows that a version was judged on; by default those of its training.

    Raises
    ------
    BundleError
        If it is not known what a version was judged on.
    NotComparableError
        If the two share no window.
    """
    first, second = (judged(store, version) for version in pair)
    names = (f"{pair[0].name}/{pair[0].number}", f"{pair[1].name}/{pair[1].number}")
    asked = int(about_judged(second)["budget"]) if budget is None else budget
    began = [store.client.get_run(each.run_id).info.start_time if each.run_id else 0 for each in pair]
    return compare(first, second, names=names, budget=asked, newest=int(began[1] >= began[0]))


def iso(day: int) -> str:
    """The date of a day that is counted since 1970."""
    return str(np.datetime64(int(day), "D"))


def _alerts(pair: SharedWindows, budget: int) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """One row per entity and day with its highest score and best rank by each model, and which of them alert it."""
    import pandas as pd

    frame = pd.DataFrame({"day": pair.day, "key": pair.keys, "row": np.arange(len(pair.day))})
    for name, score in zip(("first", "second"), pair.scores, strict=True):
        order = np.lexsort((pair.keys, -score, pair.day))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order)) - np.searchsorted(pair.day[order], pair.day[order])
        frame[f"{name}_score"], frame[f"{name}_rank"] = score, place + 1
    frame["confirmed"] = False if pair.y is None else pair.y
    kinds = {"row": "first", "first_score": "max", "first_rank": "min", "second_score": "max", "second_rank": "min"}
    whom = frame.groupby(["day", "key"], as_index=False).agg(kinds | {"confirmed": "max"})
    alerts = whom[["first_rank", "second_rank"]].to_numpy() <= budget
    whom = whom[alerts.any(axis=1)].reset_index(drop=True)
    whom["entity"] = pair.entity.take(pa.array(whom.pop("row").to_numpy())).to_pylist()
    whom["confirmed"] = None if pair.y is None else whom["confirmed"].astype(bool)
    return whom, alerts[alerts.any(axis=1)]


def _listed(whom: pd.DataFrame, by: str) -> pd.DataFrame:
    """Alerts from the highest rank down, as they are told."""
    ordered = whom.sort_values([f"{by}_rank", "day", "entity"], ignore_index=True)
    ordered["day"] = [iso(day) for day in ordered["day"]]
    scores = [f"{side}_{what}" for side in ("first", "second") for what in ("score", "rank")]
    return ordered[["day", "entity", *scores, "confirmed"]]


def _metrics(pair: SharedWindows, budget: int) -> dict[str, Paired]:
    found: dict[str, Paired] = {}
    if pair.y is not None and pair.y.any():
        found |= paired(pair.judged(), pair.scores, budget=budget, value=pair.value)
        if pair.value is None:
            del found["value_recall"]
    if pair.p[0] is not None and pair.p[1] is not None:
        normal = np.ones(len(pair.day), np.bool_) if pair.y is None else ~pair.y
        entity = pair.entity.filter(pa.array(normal))
        found["share_at_1pct"] = share_reached((pair.p[0][normal], pair.p[1][normal]), entity)
    return found


def _calibrations(pair: SharedWindows) -> tuple[Validity | None, Validity | None]:
    normal = np.ones(len(pair.day), np.bool_) if pair.y is None else ~pair.y
    entity = pair.entity.filter(pa.array(normal))
    told = [
        None if p is None or not normal.any()
        else validity(p[normal], day=pair.day[normal], entity=entity, level=LEVEL)
        for p in pair.p
    ]  # fmt: skip
    return told[0], told[1]


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata

    ranks = [rankdata(score) for score in (first, second)]
    if min(np.ptp(each) for each in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def _weeks(pair: SharedWindows, budget: int) -> pd.DataFrame:
    import pandas as pd

    start = int(pair.day.min())
    rows: list[dict[str, object]] = []
    before: list[set[str]] = [set(), set()]
    for week in np.unique((pair.day - start) // 7):
        part = pair.rows((pair.day - start) // 7 == week)
        whom, alerts = _alerts(part, budget)
        told: dict[str, object] = {"day": iso(start + 7 * int(week)), "windows": len(part.day)}
        told["confirmed"] = None if part.y is None else int(part.y.sum())
        told["jaccard"] = float(alerts.all(axis=1).mean())
        for place, name in enumerate(("first", "second")):
            now = set(whom["entity"][alerts[:, place]])
            told |= {f"{name}_{what}": value for what, value in _week(part, place, budget)}
            told[f"{name}_again"] = len(now & before[place]) / len(now) if rows else float("nan")
            before[place] = now
        rows.append(told)
    return pd.DataFrame(rows)


def _week(part: SharedWindows, place: int, budget: int) -> Iterator[tuple[str, float]]:
    """The figures of one model in one week."""
    if part.y is not None:
        figures = measure(part.judged(), part.scores[place], budget=budget)
        yield from ((name, figures[name]) for name in _WEEKLY)
    p, normal = part.p[place], slice(None) if part.y is None else ~part.y
    if p is not None:
        yield "share_at_1pct", float((p[normal] <= LEVEL).mean()) if len(p[normal]) else float("nan")


def _notes(pair: SharedWindows, newest: int, names: tuple[str, str]) -> tuple[str, ...]:
    told = []
    if pair.y is None:
        told.append("neither was judged with labels: no figure here says which of the two finds more")
    elif (few := len(np.unique(pair.keys[pair.y]))) < FEW:
        told.append(f"only {few} entities in trouble are among the shared windows: conclude little from them")
    if pair.disagree:
        told.append(f"{pair.disagree:,} windows have another truth by now; that of {names[newest]} counts")
    return tuple(told)


def _apart(tables: tuple[pa.Table, pa.Table], names: tuple[str, str]) -> str:
    told = [f"{name} on {len(table):,} windows{_span(table)}" for name, table in zip(names, tables, strict=True)]
    return (
        f"there is no window that both were judged on: {told[0]}, {told[1]}; score the same events with both: "
        f"add --events EVENTS, and --labels LABELS if there are any"
    )


def _span(table: pa.Table) -> str:
    if not len(table):
        return ""
    days = pc.min_max(table["day"]).as_py()
    return f" of {iso(days['min'])} to {iso(days['max'])}"
