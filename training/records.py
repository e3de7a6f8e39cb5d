"""What MLflow is told of a candidate: settings, metrics, curves, figures, tables, the windows it was judged on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from .curves import Curves, curves_page
from .figures import budget_figure, calibration_figure, importance_figure, precision_recall_figure, weeks_figure
from .judged import JUDGED, Judgement, judged_table
from .judgement import LEVEL
from .metrics import budget_curve, precision_recall_points
from .tracking import BY_BUDGET, CALIBRATION, CURVES, IMPORTANCE, KINDS, PR_CURVE, TRIALS, VALIDITY, WEEKS, RunRecord

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure

    from ..features.vectors import Vectors
    from .candidates import Candidate
    from .material import Material
    from .settings import TrainingSettings

__all__ = ["record_of"]

_BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SHOWN = 2000  # rows that the importance figure averages over
_LEVELS = np.logspace(-3, 0, 61)


def record_of(candidate: Candidate, material: Material, settings: TrainingSettings, *, data: str = "") -> RunRecord:
    """Everything about a candidate that MLflow shows, and the windows it was judged on.

    Parameters
    ----------
    candidate : Candidate
    material : Material
    settings : TrainingSettings
    data : str
        Fingerprint of the events, for whoever compares versions later.
    """
    kind, by_budget = candidate.kind, _by_budget(candidate, material)
    curves = _curves(candidate, material, settings, by_budget)
    return RunRecord(
        note=_note(candidate, material),
        params=_params(candidate, material, settings),
        metrics={**candidate.metrics, **_size(material)},
        curves=_lines(candidate, by_budget),
        figures=_figures(candidate, material, settings, (curves, by_budget)),
        tables=_tables(candidate, by_budget),
        texts={
            "plan.json": material.plan.to_json(),
            **({CURVES: curves_page(curves, title=f"{kind}: what the later weeks say")} if _any(curves) else {}),
        },
        parquets={} if material.asides is None else {JUDGED: _judged(candidate, material, settings, data)},
        tags={"peculiar.plan": material.plan.fingerprint},
    )


def _by_budget(candidate: Candidate, material: Material) -> pd.DataFrame | None:
    truth, asides = material.test_truth, material.asides
    if truth is None or asides is None or not truth.any():
        return None
    most = int(np.unique(asides.day, return_counts=True)[1].max())
    budgets = [budget for budget in _BUDGETS if budget <= most] or [1]
    return budget_curve(truth, candidate.score, day=asides.day, entity=material.test.entity, budgets=budgets)


def _curves(
    candidate: Candidate, material: Material, settings: TrainingSettings, by_budget: pd.DataFrame | None
) -> Curves:
    """The points of all curves that can be drawn."""
    told: dict[str, Any] = {}
    truth, judged = material.test_truth, candidate.judged
    if by_budget is not None and truth is not None:
        points = precision_recall_points(truth, candidate.score)
        # The marked point is on the curve: as many rows as all days' budgets together, wherever they lie.
        place = np.argsort(-candidate.score, kind="stable")[: _alerts(material, settings)]
        caught = int(truth[place].sum())
        told = {
            "recall": points["recall"].tolist(),
            "precision": points["precision"].tolist(),
            "marked": (caught / int(truth.sum()), caught / len(place)),
            "budgets": by_budget["budget"].tolist(),
            "budget_precision": by_budget["precision"].tolist(),
            "budget_recall": by_budget["recall"].tolist(),
        }
    if judged.p_value is not None and judged.normal is not None:
        p = np.sort(judged.p_value[judged.normal])
        shares = np.searchsorted(p, _LEVELS * (1 + 1e-12), side="right") / len(p)
        reached = shares > 0  # a logarithmic scale has no place for none
        told |= {"levels": _LEVELS[reached].tolist(), "shares": shares[reached].tolist()}
    return Curves(candidate.kind, **told)


def _any(curves: Curves) -> bool:
    return bool(curves.recall or curves.levels)


def _lines(candidate: Candidate, by_budget: pd.DataFrame | None) -> dict[str, dict[int, float]]:
    lines: dict[str, dict[int, float]] = {}
    if by_budget is not None:
        for name in ("precision", "recall"):
            pairs = zip(by_budget["budget"].tolist(), by_budget[name].tolist(), strict=True)
            lines[f"curve/{name}_at_k"] = dict(pairs)
    if candidate.trials is not None:
        complete = candidate.trials["state"].astype(str) == "COMPLETE"
        told = candidate.trials[complete & candidate.trials["value"].notna()]
        numbers = told["number"].tolist()
        lines["tune/objective"] = dict(zip(numbers, told["value"].tolist(), strict=True))
        lines["tune/best"] = dict(zip(numbers, told["value"].cummax().tolist(), strict=True))
    return lines


def _figures(
    candidate: Candidate,
    material: Material,
    settings: TrainingSettings,
    drawn: tuple[Curves, pd.DataFrame | None],
) -> dict[str, Figure]:
    (curves, by_budget), kind = drawn, candidate.kind
    figures = {IMPORTANCE: importance_figure(_importance(candidate, material.test), kind=kind)}
    if by_budget is not None and material.test_truth is not None:
        rows = _alerts(material, settings)
        figures[PR_CURVE] = precision_recall_figure(material.test_truth, {kind: candidate.score}, budget=rows)
        steps, marked = curves.budgets, _nearest(list(curves.budgets), settings.budget)
        bought = curves.budget_precision, curves.budget_recall
        figures["plots/budget.png"] = budget_figure(steps, *bought, marked=marked)
    watched = candidate.judged.validity
    if watched is not None and curves.levels:
        figures[CALIBRATION] = calibration_figure(curves.levels, curves.shares, rows=watched.rows, kind=kind)
        figures[WEEKS] = weeks_figure(candidate.judged.weeks, level=LEVEL, kind=kind)
    return figures


def _tables(candidate: Candidate, by_budget: pd.DataFrame | None) -> dict[str, dict[str, list[object]]]:
    tables: dict[str, dict[str, list[object]]] = {}
    if by_budget is not None:
        # MLflow lays the second column of several runs side by side: that of the alerts is alike in all of them.
        tables[BY_BUDGET] = by_budget[["budget", "recall", "precision", "alerts"]].to_dict("list")
    if candidate.judged.weeks:
        tables[VALIDITY] = candidate.judged.weeks
    if candidate.judged.kinds:
        tables[KINDS] = dict(candidate.judged.kinds)
    for name, table in candidate.judged.slices.items():
        tables[f"tables/slices_{name}.json"] = table.to_dict("list")
    if candidate.trials is not None:
        tables[TRIALS] = candidate.trials.astype({"state": str}).to_dict("list")
    return tables


def _judged(candidate: Candidate, material: Material, settings: TrainingSettings, data: str) -> pa.Table:
    plan, asides, judged = material.plan, material.asides, candidate.judged
    assert asides is not None
    about = {"budget": settings.budget, "zone": plan.roles.time_zone, "data": data, "plan": plan.fingerprint}
    told = Judgement(candidate.score, judged.p_value, material.test_truth, material.test_cleared, asides.value)
    return judged_table(material.test, asides.day, told, about)


def _alerts(material: Material, settings: TrainingSettings) -> int:
    """How many rows the budgets of all test days come to."""
    assert material.asides is not None
    return min(settings.budget * len(np.unique(material.asides.day)), len(material.test))


def _importance(candidate: Candidate, test: Vectors) -> dict[str, float]:
    """Mean absolute contribution over the oddest and as many evenly chosen rows of the later period."""
    half = min(_SHOWN // 2, len(test))
    oddest = np.argsort(-candidate.score, kind="stable")[:half]
    even = np.linspace(0, len(test) - 1, half).astype(np.intp)
    values = candidate.fitted.contributions(test.take(np.unique(np.concatenate([oddest, even])))).values
    return dict(zip(test.names, np.abs(values).mean(axis=0).tolist(), strict=True))


def _nearest(steps: list[int], budget: int) -> int:
    return min(steps, key=lambda step: (abs(step - budget), step))


def _params(candidate: Candidate, material: Material, settings: TrainingSettings) -> dict[str, Any]:
    plan = material.plan
    own: dict[str, Any] = asdict(candidate.settings)  # type: ignore[call-overload]
    return {
        "model/kind": candidate.kind,
        **{f"model/{name}": value for name, value in own.items()},
        "plan/fingerprint": plan.fingerprint,
        "plan/families": ", ".join(family.name for family in plan.families),
        "plan/features": len(plan.features),
        "plan/every": plan.windows.every,
        "plan/horizon": plan.windows.horizon,
        "split": str(material.split),
        "seed": settings.seed,
        "budget_per_day": settings.budget,
    }


def _size(material: Material) -> dict[str, float]:
    size = {"data/train_rows": float(len(material.train)), "data/test_rows": float(len(material.test))}
    if material.later is not None:
        size["data/calibration_rows"] = float(len(material.later.vectors))
    for name, truth in (("train_positives", material.train_truth), ("test_positives", material.test_truth)):
        if truth is not None:
            size[f"data/{name}"] = float(np.count_nonzero(truth))
    if material.test_cleared is not None and material.test_cleared.any():
        size["data/test_cleared"] = float(material.test_cleared.sum())
    return size


def _finding(candidate: Candidate) -> str:
    """What a reader of the run's page should know first, in one sentence."""
    found = {name.removeprefix("test/"): value for name, value in candidate.metrics.items() if np.isfinite(value)}
    if "average_precision" not in found or "recall_at_budget" not in found:
        return "Nothing could be judged: the later period has no confirmed trouble."
    span = ""
    if "average_precision_low" in found:
        span = f" ({found['average_precision_low']:.3f} to {found['average_precision_high']:.3f})"
    budget = f"Finds {found['recall_at_budget']:.0%} of the confirmed trouble within the alert budget"
    return f"{budget}; average precision {found['average_precision']:.3f}{span}."


def _note(candidate: Candidate, material: Material) -> str:
    plan = f"{len(material.plan.features)} features of the plan `{material.plan.fingerprint}`"
    size = f"{len(material.train):,} windows to learn from, {len(material.test):,} to judge by"
    lines = [
        _finding(candidate),
        "",
        f"{candidate.kind}, {material.split} (UTC). {size}, {plan}.",
        "",
        *(f"- note: {note}" for note in candidate.notes),
        "",
        "A score is a lead for a person to check, never a verdict.",
        "Windows without a label are not known to be harmless, so precision is a lower bound.",
    ]
    return "\n".join(lines)
