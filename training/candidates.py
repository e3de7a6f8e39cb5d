"""A candidate: one detector fitted on the training period, judged on the later one, and told to MLflow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, LabelError
from .figures import budget_figure, importance_figure, precision_recall_figure
from .lightgbm import LightGBM
from .metrics import budget_curve, evaluate
from .search import Search
from .splits import prequential_folds
from .tracking import BY_BUDGET, CARD, IMPORTANCE, PR_CURVE, TRIALS, RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .detector import Detector, FittedDetector
    from .material import Material
    from .settings import TrainingSettings

__all__ = ["Candidate", "fit_candidate", "record_of"]

_BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SHOWN = 2000  # rows that the importance figure averages over
_FOLDS = 3
_METRICS = {
    "ranking/average_precision": "test/average_precision",
    "ranking/roc_auc": "test/roc_auc",
    "budget/precision": "test/precision_at_budget",
    "budget/recall": "test/recall_at_budget",
    "budget/card_precision_at_k": "test/card_precision_at_budget",
}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted detector and how it did on the later period.

    Attributes
    ----------
    settings : Detector
    fitted : FittedDetector
    score : float64 array of shape (n_test,)
    metrics : mapping of str to float
        Empty without labels.
    trials : pandas.DataFrame or None
        What the search tried.
    notes : tuple of str
    """

    settings: Detector
    fitted: FittedDetector
    score: NDArray[np.float64]
    metrics: Mapping[str, float] = field(default_factory=dict)
    trials: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The detector's kind."""
        return self.fitted.kind


def fit_candidate(
    kind: str,
    material: Material,
    settings: TrainingSettings,
    *,
    progress: Callable[[str, float], None] | None = None,
) -> Candidate:
    """Fit one kind of detector and judge it on the later period.

    Raises
    ------
    ConfigError
        If there is no detector of this kind.
    """
    detector = settings.detector(kind)
    trials: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    if isinstance(detector, LightGBM) and settings.trials:
        detector, trials, notes = _searched(detector, material, settings, progress)
    if detector.supervised:
        fitted = detector.fit(material.train, material.train_truth, seed=settings.seed)
    else:
        fitted = detector.fit(material.unseen, seed=settings.seed)
    score = fitted.score(material.test)
    return Candidate(detector, fitted, score, _metrics(material, score, settings.budget), trials, notes)


def record_of(candidate: Candidate, material: Material, settings: TrainingSettings) -> RunRecord:
    """Everything about a candidate that MLflow shows: settings, metrics, curves, figures, tables, a description."""
    importance = _importance(candidate, material.test)
    figures = {IMPORTANCE: importance_figure(importance, kind=candidate.kind)}
    curves: dict[str, dict[int, float]] = {}
    tables: dict[str, dict[str, list[object]]] = {}
    truth = material.test_truth
    if truth is not None and truth.any():
        by_budget = _by_budget(material.test, truth, candidate.score)
        steps = by_budget["budget"].tolist()
        for name in ("precision", "recall"):
            curves[f"curve/{name}_at_k"] = dict(zip(steps, by_budget[name].tolist(), strict=True))
        tables[BY_BUDGET] = by_budget.to_dict("list")
        rows = settings.budget * len(np.unique(_days(material.test)))
        figures[PR_CURVE] = precision_recall_figure(
            truth, {candidate.kind: candidate.score}, budget=min(rows, len(truth))
        )
        figures["plots/budget.png"] = budget_figure(
            steps,
            by_budget["precision"].tolist(),
            by_budget["recall"].tolist(),
            marked=_nearest(steps, settings.budget),
        )
    if candidate.trials is not None:
        tables[TRIALS] = candidate.trials.astype({"state": str}).to_dict("list")
    return RunRecord(
        note=_note(candidate, material),
        params=_params(candidate, material, settings),
        metrics={**candidate.metrics, **_size(material)},
        curves=curves,
        figures=figures,
        tables=tables,
        texts={CARD: _note(candidate, material), "plan.json": material.plan.to_json()},
        tags={"peculiar.plan": material.plan.fingerprint},
    )


def _searched(
    detector: LightGBM,
    material: Material,
    settings: TrainingSettings,
    progress: Callable[[str, float], None] | None,
) -> tuple[LightGBM, pd.DataFrame | None, tuple[str, ...]]:
    """The best settings on folds inside the training period, if it is long enough for folds with the label delay."""
    if material.labels is None:
        return detector, None, ()

    def tell(number: int, best: float) -> None:
        if progress is not None:
            progress(f"trial {number}, best {best:.3f}", number / settings.trials)

    search = Search(trials=settings.trials, seconds=settings.seconds, start=detector)
    known = material.labels.known(material.split.known_by)
    try:
        folds = prequential_folds(material.train, folds=_FOLDS, gap=settings.label_delay)
        found = search.run(material.train, known, folds=folds, seed=settings.seed, progress=tell)
    except (ConfigError, LabelError) as error:
        return detector, None, (f"LightGBM's default settings were taken, there is nothing to search on: {error}",)
    return found.settings, found.trials, ()


def _metrics(material: Material, score: NDArray[np.float64], budget: int) -> dict[str, float]:
    if material.test_truth is None:
        return {}
    test = material.test
    found = evaluate(material.test_truth, score, day=_days(test), entity=test.entity, budget=budget)
    return {name: found[key] for key, name in _METRICS.items()}


def _by_budget(test: Vectors, truth: NDArray[np.bool_], score: NDArray[np.float64]) -> pd.DataFrame:
    days = _days(test)
    most = int(np.unique(days, return_counts=True)[1].max())
    budgets = [budget for budget in _BUDGETS if budget <= most] or [1]
    return budget_curve(truth, score, day=days, entity=test.entity, budgets=budgets)


def _days(vectors: Vectors) -> NDArray[np.int64]:
    """The day on which each window ends; a window that ends at midnight belongs to the day before."""
    return (vectors.as_of - 1) // 86_400_000_000


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
    if material.train_truth is not None and material.test_truth is not None:
        size["data/train_positives"] = float(material.train_truth.sum())
        size["data/test_positives"] = float(material.test_truth.sum())
    return size


def _note(candidate: Candidate, material: Material) -> str:
    plan = f"{len(material.plan.features)} features of the plan `{material.plan.fingerprint}`"
    size = f"{len(material.train):,} windows to learn from, {len(material.test):,} to judge by"
    lines = [
        f"# {candidate.kind}",
        "",
        f"{material.split} (UTC). {size}, {plan}.",
        "",
        *(f"- {name}: {value:.3f}" for name, value in candidate.metrics.items()),
        *(f"- {note}" for note in candidate.notes),
        "",
        "A score is a lead for a person to check, never a verdict.",
        "Windows without a label are not known to be harmless, so precision is a lower bound.",
    ]
    return "\n".join(lines)
