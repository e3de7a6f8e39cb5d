"""Optuna's search for LightGBM settings, judged on prequential folds inside the training period.

Each fold learns from labels known when its test begins and is judged by the labels known at the end of the training
period, so the search sees nothing that a team would not have had. The objective is average precision, the mean over
folds; a trial that falls behind the median of earlier trials is given up after a fold.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, LabelError
from .labels import confirmed
from .lightgbm import LightGBM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import optuna
    import pandas as pd
    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .labels import Labels
    from .splits import TimeSplit

__all__ = ["Found", "Search"]


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes
    ----------
    settings : LightGBM
        The best settings.
    average_precision : float
        Their mean over the folds.
    trials : pandas.DataFrame
        One row per trial: ``number``, ``value``, ``state``, ``seconds``, one column ``params_…`` per setting searched.
    """

    settings: LightGBM
    average_precision: float
    trials: pd.DataFrame


@dataclass(frozen=True)
class Search:
    """How long to search, and from where.

    Attributes
    ----------
    trials : int
        At most so many.
    seconds : float or None
        Start no further trial after so long; a limit in time makes the result depend on the machine.
    start : LightGBM
        The first trial, and the value of every setting that is not searched.
    """

    trials: int = 30
    seconds: float | None = None
    start: LightGBM = field(default_factory=LightGBM)

    def __post_init__(self) -> None:
        if self.trials < 1:
            message = f"search.trials is {self.trials}; expected at least 1"
            raise ConfigError(message)

    def run(
        self,
        vectors: Vectors,
        labels: Labels,
        *,
        folds: Sequence[TimeSplit],
        seed: int,
        progress: Callable[[int, float], None] | None = None,
    ) -> Found:
        """Search.

        Parameters
        ----------
        vectors : Vectors
            Of the training period alone.
        labels : Labels
            Known by the end of the training period; filter them with :meth:`Labels.known`.
        folds : sequence of TimeSplit
            From :func:`~peculiar.training.splits.prequential_folds` of these vectors.
        progress : callable, optional
            Called after each trial with the number of trials done and the best average precision so far.

        Raises
        ------
        LabelError
            If no fold can be learned and judged: none has a positive and a negative on both sides.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)  # progress is told by the callback, in one place
        rounds = [each for each in (_Fold.of(vectors, labels, split) for split in folds) if each.usable]
        if not rounds:
            message = (
                f"none of {len(folds)} folds has confirmed and other rows on both sides; take fewer or longer folds"
            )
            raise LabelError(message)
        sampler = optuna.samplers.TPESampler(seed=seed)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
        with _quiet():
            study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        study.enqueue_trial({name: getattr(self.start, name) for name in SPACE})
        told = [] if progress is None else [lambda study, trial: progress(trial.number + 1, study.best_value)]
        with _quiet():
            study.optimize(lambda t: self._value(t, rounds, seed), self.trials, timeout=self.seconds, callbacks=told)
        return Found(self._settings(study.best_params), float(study.best_value), _table(study))

    def _value(self, trial: optuna.Trial, folds: Sequence[_Fold], seed: int) -> float:
        import optuna

        settings = self._settings({name: suggest(trial) for name, suggest in SPACE.items()})
        values: list[float] = []
        for number, fold in enumerate(folds):
            values.append(fold.average_precision(settings, seed))
            trial.report(float(np.mean(values)), number)
            if number + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(values))

    def _settings(self, chosen: dict[str, Any]) -> LightGBM:
        return replace(self.start, **chosen)


SPACE: dict[str, Callable[[optuna.Trial], float]] = {
    "learning_rate": lambda t: t.suggest_float("learning_rate", 0.01, 0.2, log=True),
    "leaves": lambda t: t.suggest_int("leaves", 4, 127, log=True),
    "min_leaf": lambda t: t.suggest_int("min_leaf", 5, 300, log=True),
    "feature_share": lambda t: t.suggest_float("feature_share", 0.3, 1.0),
    "row_share": lambda t: t.suggest_float("row_share", 0.5, 1.0),
    "l1": lambda t: t.suggest_float("l1", 0.0, 10.0),
    "l2": lambda t: t.suggest_float("l2", 0.0, 30.0),
    "positive_weight": lambda t: t.suggest_float("positive_weight", 1.0, 30.0, log=True),
}


@dataclass(frozen=True, eq=False)
class _Fold:
    """One fold's rows and labels, taken out once for all trials."""

    train: Vectors
    truth: NDArray[np.bool_]
    test: Vectors
    judged_by: NDArray[np.bool_]

    @classmethod
    def of(cls, vectors: Vectors, labels: Labels, split: TimeSplit) -> _Fold:
        train, test = split.train(vectors), split.test(vectors)
        truth = confirmed(train, labels, known_by=split.known_by)
        return cls(train, truth, test, confirmed(test, labels, known_by=None))

    @cached_property
    def usable(self) -> bool:
        return all(side.any() and not side.all() for side in (self.truth, self.judged_by))

    def average_precision(self, settings: LightGBM, seed: int) -> float:
        from sklearn.metrics import average_precision_score

        fitted = settings.fit(self.train, self.truth, seed=seed)
        return float(average_precision_score(self.judged_by, fitted.score(self.test)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back Optuna's line per trial; who wants news passes ``progress``."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _table(study: optuna.Study) -> pd.DataFrame:
    table = study.trials_dataframe(attrs=("number", "value", "state", "duration", "params"))
    table.insert(3, "seconds", table.pop("duration").dt.total_seconds())
    return table
