"""A candidate: one detector fitted on the training period, calibrated and judged on the later one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import ConfigError, LabelError
from .isolation_forest import IsolationForest
from .judgement import Judged, judge, measured
from .search import Search
from .splits import prequential_folds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from .detector import Detector, FittedDetector
    from .material import Material
    from .settings import TrainingSettings

__all__ = ["Candidate", "fit_candidate", "plain_forest"]

_FOLDS = 3
_PLAIN = IsolationForest(grove=False, trees=100, samples=256)
_NAMES = {"lightgbm": "LightGBM", "isolation_forest": "Isolation Forest"}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted detector and how it did on the later period.

    Attributes
    ----------
    settings : Detector
    fitted : FittedDetector
    score : float64 array of shape (n_test,)
    metrics : mapping of str to float
        ``test/…`` with labels only, ``calibration/…``, ``slice/…``.
    trials : pandas.DataFrame or None
        What the search tried.
    notes : tuple of str
        Of the search, and what judging warns of.
    judged : Judged
    """

    settings: Detector
    fitted: FittedDetector
    score: NDArray[np.float64]
    metrics: Mapping[str, float] = field(default_factory=dict)
    trials: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    judged: Judged = field(default_factory=Judged)

    @property
    def kind(self) -> str:
        """The detector's kind."""
        return self.fitted.kind


def fit_candidate(
    kind: str,
    material: Material,
    settings: TrainingSettings,
    *,
    studies: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Candidate:
    """Fit one kind of detector and judge it on the later period.

    Parameters
    ----------
    studies : Path, optional
        A folder that keeps the trials of searches: one that was cut off goes on there, and an equal one is done.

    Raises
    ------
    ConfigError
        If there is no detector of this kind.
    """
    detector = settings.detector(kind)
    trials: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    if settings.trials and (detector.supervised or material.practice is not None):
        detector, trials, notes = _searched(detector, material, settings, (studies, progress))
    if detector.supervised:
        fitted = detector.fit(material.train, material.train_truth, weight=material.train_weight, seed=settings.seed)
    else:
        fitted = detector.fit(material.unseen, seed=settings.seed)
    score = fitted.score(material.test)
    judged = judge(fitted, score, material, budget=settings.budget, seed=settings.seed)
    return Candidate(detector, fitted, score, judged.metrics, trials, (*notes, *judged.notes), judged)


def plain_forest(material: Material, settings: TrainingSettings) -> dict[str, float]:
    """How a plain, single forest does, as it was published: what every other detector has to be better than.

    Returns
    -------
    dict of str to float
        ``plain_forest/…``; empty without labels to judge by.
    """
    if material.test_truth is None:
        return {}
    fitted = _PLAIN.fit(material.unseen, seed=settings.seed)
    found = measured(material, fitted.score(material.test), settings.budget)
    return {name.replace("test/", "plain_forest/"): value for name, value in found.items()}


def _searched(
    detector: Detector,
    material: Material,
    settings: TrainingSettings,
    about: tuple[Path | None, Callable[[str, float], None] | None],
) -> tuple[Detector, pd.DataFrame | None, tuple[str, ...]]:
    """The best settings: on folds inside the training period, if it is long enough for them, or in a rehearsal."""
    studies, progress = about

    def tell(number: int, best: float) -> None:
        if progress is not None:
            progress(f"trial {number}, best {best:.3f}", number / settings.trials)

    objective = settings.objective if detector.supervised else "rehearsal_gain"
    path = None if studies is None else studies / f"{settings.model_name}.{detector.kind}.log"
    limits = {"trials": settings.trials, "seconds": settings.seconds, "budget": settings.budget, "study_path": path}
    search = Search(start=detector, objective=objective, **limits)  # type: ignore[arg-type]
    try:
        if detector.supervised:
            if material.labels is None:
                return detector, None, ()
            known = material.labels.heard(material.split.known_by)
            folds = prequential_folds(material.train, folds=_FOLDS, gap=settings.label_delay)
            found = search.run(material.train, known, folds=folds, seed=settings.seed, progress=tell)
        else:
            assert material.practice is not None
            learned, rehearsal = material.practice
            found = search.rehearsed(learned, [rehearsal], seed=settings.seed, progress=tell)
    except (ConfigError, LabelError) as error:
        name = _NAMES.get(detector.kind, detector.kind)
        return detector, None, (f"{name}'s default settings were taken, there is nothing to search on: {error}",)
    return found.settings, found.trials, ()
