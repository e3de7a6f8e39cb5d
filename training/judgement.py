"""Judging a fitted detector on the later period: calibrated, measured, sliced, and what to warn a reader of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .calibration import LEAST, Calibration, validity
from .metrics import (
    FEW,
    JudgedRows,
    average_precision_interval,
    evaluate,
    metrics_by_slice,
    time_to_detection,
    value_recall,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from .asides import Asides
    from .calibration import Validity
    from .detector import FittedDetector
    from .material import Material

__all__ = ["LEVEL", "Judged", "judge", "measured"]

LEVEL = 0.01  # at which calibrated scores are watched
_OTHERS, _SLICES = "(others)", 30
_METRICS = {
    "ranking/average_precision": "test/average_precision",
    "ranking/roc_auc": "test/roc_auc",
    "budget/precision": "test/precision_at_budget",
    "budget/recall": "test/recall_at_budget",
    "budget/card_precision_at_k": "test/card_precision_at_budget",
}


@dataclass(frozen=True, eq=False)
class Judged:
    """What came of judging.

    Attributes
    ----------
    calibration : Calibration or None
        None if no row was left to calibrate by.
    p_value : float64 array of shape (n_test,), or None
    normal : bool array of shape (n_test,), or None
        Rows after the calibration that nobody knows to be trouble, by which its validity is watched.
    validity : Validity or None
        How often normal rows after the calibration reach ``p <= 0.01``; None if there are none.
    metrics : mapping of str to float
        ``test/…`` with labels, ``calibration/…`` if calibrated, ``slice/…`` where slices can be compared,
        ``rehearsal/…`` after one.
    kinds : mapping of str to list
        Staged misbehaviours by kind, and how many were found; empty without a rehearsal.
    slices : mapping of str to pandas.DataFrame
        By peer group, and by each attribute kept for audits.
    notes : tuple of str
    """

    calibration: Calibration | None = None
    p_value: NDArray[np.float64] | None = None
    normal: NDArray[np.bool_] | None = None
    validity: Validity | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    kinds: Mapping[str, list[object]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def weeks(self) -> dict[str, list[object]]:
        """How often normal rows reached the level week by week: the table that MLflow shows."""
        if self.validity is None:
            return {}
        told: dict[str, list[object]] = self.validity.weeks.to_dict("list")
        return told | {"day": [str(date(1970, 1, 1) + timedelta(days=int(day))) for day in self.validity.weeks["day"]]}


def judge(fitted: FittedDetector, score: NDArray[np.float64], material: Material, *, budget: int, seed: int) -> Judged:
    """Judge a fitted detector.

    Parameters
    ----------
    fitted : FittedDetector
    score : float64 array of shape (n_test,)
        Of the test rows.
    material : Material
    budget : int
        Alerts a day.
    seed : int
        Of the redraws behind the intervals.
    """
    calibration, notes = _calibration(fitted, material)
    p = None if calibration is None else calibration.p_values(score, _group(material))
    normal = _normal(material)
    watched = None if p is None or normal is None else _watched(material, p, normal)
    if watched is not None and watched.guard:
        notes = (*notes, watched.guard)
    metrics = _measured(material, score, budget, seed) | _calibrated(watched)
    slices = _sliced(material, score, budget, seed)
    kinds: dict[str, list[object]] = {}
    if material.rehearsal is not None:
        staged = fitted.score(material.rehearsal.vectors)
        kinds, metrics["rehearsal/recall"] = material.rehearsal.table(staged), material.rehearsal.mean(staged)
    metrics |= _gaps(slices)
    return Judged(calibration, p, normal, watched, metrics=metrics, slices=slices, kinds=kinds, notes=notes)


def _calibration(fitted: FittedDetector, material: Material) -> tuple[Calibration | None, tuple[str, ...]]:
    later = material.later
    if later is None:
        return None, ("scores are not calibrated: no row lies between training and test, or in half of the test",)
    made = Calibration.fit(fitted.score(later.vectors), later.group)
    if len(later.vectors) >= LEAST:
        return made, ()
    few = f"calibrated on {len(later.vectors):,} rows, fewer than {LEAST:,}: how often small p-values come is uncertain"
    return made, (few,)


def _group(material: Material) -> pa.DictionaryArray | None:
    return None if material.asides is None else material.asides.group


def _normal(material: Material) -> NDArray[np.bool_] | None:
    """Rows after the calibration that did not turn out to be trouble; None without any."""
    if material.later is None or material.asides is None:
        return None
    normal = material.test.as_of > material.later.until
    if material.test_truth is not None:
        normal &= ~material.test_truth
    return normal if normal.any() else None


def _watched(material: Material, p: NDArray[np.float64], normal: NDArray[np.bool_]) -> Validity | None:
    if material.asides is None:
        return None
    entity = material.test.entity.filter(pa.array(normal))
    return validity(p[normal], day=material.asides.day[normal], entity=entity, level=LEVEL)


def _calibrated(watched: Validity | None) -> dict[str, float]:
    if watched is None:
        return {}
    holds = float("nan") if watched.holds is None else float(watched.holds)
    share = watched.share
    return {
        "calibration/share_at_1pct": float(share.value),
        "calibration/share_at_1pct_low": share.low,
        "calibration/share_at_1pct_high": share.high,
        "calibration/holds": holds,
        "calibration/rows": float(watched.rows),
    }


def measured(material: Material, score: NDArray[np.float64], budget: int) -> dict[str, float]:
    """The figures by which detectors are ranked, ``test/…``; empty without labels to judge by."""
    if material.test_truth is None or material.asides is None:
        return {}
    day, entity = material.asides.day, material.test.entity
    found = evaluate(material.test_truth, score, day=day, entity=entity, budget=budget)
    return {name: found[key] for key, name in _METRICS.items()}


def _measured(material: Material, score: NDArray[np.float64], budget: int, seed: int) -> dict[str, float]:
    truth, asides, entity = material.test_truth, material.asides, material.test.entity
    if truth is None or asides is None:
        return {}
    metrics = measured(material, score, budget)
    precision = average_precision_interval(truth, score, entity=entity, seed=seed)
    metrics |= {"test/average_precision_low": precision.low, "test/average_precision_high": precision.high}
    rows = JudgedRows(truth, asides.day, entity)
    if asides.value is not None:
        worth = value_recall(rows, score, asides.value, budget=budget)[["found", "at_stake"]].sum()
        metrics["test/value_recall_at_budget"] = _share(worth["found"], worth["at_stake"])
    detection = time_to_detection(rows, score, budget=budget)
    days = detection.median_days if np.isfinite(detection.median_days) else float("nan")
    metrics |= {"test/median_days_to_detection": days, "test/never_detected": detection.never}
    return metrics | _reviewed(material, asides, score, budget)


def _reviewed(material: Material, asides: Asides, score: NDArray[np.float64], budget: int) -> dict[str, float]:
    """The share of confirmed ones among alerts that somebody has looked at; nothing if nobody was ever cleared."""
    cleared, truth = material.test_cleared, material.test_truth
    if cleared is None or truth is None or not cleared.any():
        return {}
    good, bad = (_alerted(y, score, material, asides, budget) for y in (truth, cleared))
    return {"test/reviewed_precision_at_budget": _share(good, good + bad), "test/reviewed_alerts": good + bad}


def _alerted(
    y: NDArray[np.bool_], score: NDArray[np.float64], material: Material, asides: Asides, budget: int
) -> float:
    found = evaluate(y, score, day=asides.day, entity=material.test.entity, budget=budget)
    return float(round(found["budget/precision"] * found["budget/alerts"]))


def _sliced(material: Material, score: NDArray[np.float64], budget: int, seed: int) -> dict[str, pd.DataFrame]:
    """Tables by peer group and by each audited attribute; without labels only how the alerts fall."""
    asides, entity = material.asides, material.test.entity
    if asides is None:
        return {}
    truth = material.test_truth
    rows = JudgedRows(np.zeros(len(score), np.bool_) if truth is None else truth, asides.day, entity)
    by = ({} if asides.group is None else {"peer_group": asides.group}) | dict(asides.audited)
    made = {}
    for name, column in by.items():
        table = metrics_by_slice(rows, score, _large(column, entity), budget=budget, seed=seed)
        table.insert(5 if truth is not None else 3, "alert_share", table["alerts"] / table["rows"])
        made[name] = table if truth is not None else table[["slice", "rows", "entities", "alerts", "alert_share"]]
    return made


def _large(column: pa.DictionaryArray, entity: pa.DictionaryArray) -> pa.DictionaryArray:
    """The column with its small slices in one: a slice of a few entities is chance, and would point at persons."""
    codes = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    whom = entity.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = np.unique(np.stack([codes, whom]), axis=1)[0]
    entities = np.bincount(pairs[pairs >= 0], minlength=len(column.dictionary))
    kept = np.argsort(-entities, kind="stable")[:_SLICES]
    kept = kept[entities[kept] >= FEW]
    place = np.full(len(column.dictionary) + 1, len(kept))
    place[kept] = np.arange(len(kept))
    names = pa.concat_arrays([column.dictionary.cast(pa.string()).take(pa.array(kept)), pa.array([_OTHERS])])
    return pa.DictionaryArray.from_arrays(pa.array(place[codes], mask=codes < 0), names)


def _gaps(slices: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """How far recall differs between the slices in which enough entities are in trouble to tell."""
    gaps = {}
    for name, table in slices.items():
        told = table[~table["few_positives"].astype(bool)]["recall"] if "recall" in table else []
        if len(told) > 1:
            gaps[f"slice/{name}_recall_gap"] = float(max(told) - min(told))
    return gaps


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
