"""Optuna's search for a detector's settings, with labels on folds in time or without on rehearsed misbehaviour.

With labels each fold learns from those known when its test begins and is judged by those known at the end of the
training period, so the search sees nothing that a team would not have had. The value of a trial is the mean over its
rounds (folds, or rehearsals); one that falls behind the median of earlier trials is given up after a round.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, LabelError
from .folds import Fold, Sampling, Stage
from .isolation_forest import IsolationForest
from .lightgbm import LightGBM
from .looks import looks_of
from .search_space import Steps, configured, space_of
from .studies import digest, finished, next_trial, open_study, quiet, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import optuna
    import pandas as pd
    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .detector import Detector, FittedDetector
    from .folds import Round, Verdict
    from .labels import Labels
    from .looks import Looks
    from .rehearsal import Rehearsal
    from .search_space import Part
    from .splits import TimeSplit

__all__ = ["OBJECTIVES", "Found", "Search"]

OBJECTIVES = ("average_precision", "recall_at_budget", "rehearsal_recall", "rehearsal_credit", "rehearsal_gain")
"""What can be searched for: the first two with labels, the others without."""

_BEST = 5


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes
    ----------
    settings : Detector
        The best settings.
    value : float
        Their objective, the mean over the rounds.
    objective : str
        One of ``OBJECTIVES``.
    trials : pandas.DataFrame
        One row per trial: ``number``, ``value``, ``state`` ("COMPLETE" or "PRUNED", whose value is that of the rounds
        it had), ``seconds``, one column ``params_…`` per setting searched; in a rehearsal also one column ``kind_…``
        per kind of misbehaviour with its recall, and ``labelled`` where there was a witness.
    best_trials : pandas.DataFrame
        The best complete trials, the best first.
    """

    settings: Detector
    value: float
    objective: str
    trials: pd.DataFrame
    best_trials: pd.DataFrame


@dataclass(frozen=True)
class Search:
    """What to search for, how long, and from where.

    Attributes
    ----------
    trials : int
        At most so many, those of an earlier run of the same study among them.
    seconds : float or None
        Start no further trial after so long; a limit in time makes the result depend on the machine.
    start : Detector
        The first trial, and the value of every setting that is not searched.
    objective : str
        One of ``OBJECTIVES``.
    budget : int
        Alerts a day, for the recall among them.
    study_path : Path or None
        A file to keep the trials in. A search with the same data, folds, space, objective and seed goes on where it
        stopped; another one starts a study of its own in the same file.
    sampling : Sampling
        How much of the data a search with labels works on.
    """

    trials: int = 30
    seconds: float | None = None
    start: Detector = field(default_factory=LightGBM)
    objective: str = "average_precision"
    budget: int = 100
    study_path: Path | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if self.trials < 1 or self.budget < 1:
            name = "trials" if self.trials < 1 else "budget"
            message = f"search.{name} is {getattr(self, name)}; expected at least 1"
            raise ConfigError(message)
        if self.objective not in OBJECTIVES:
            message = f"expected search.objective among {', '.join(OBJECTIVES)}, got {self.objective!r}"
            raise ConfigError(message)

    def run(  # noqa: PLR0913 - labels, folds and what may be learned from are separate questions
        self,
        vectors: Vectors,
        labels: Labels,
        *,
        folds: Sequence[TimeSplit],
        seed: int,
        acquainted: int | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> Found:
        """Search with labels.

        Parameters
        ----------
        vectors : Vectors
            Of the training period alone.
        labels : Labels
            Known by the end of the training period; filter them with :meth:`Labels.heard`.
        folds : sequence of TimeSplit
            From :func:`~peculiar.training.splits.prequential_folds` of these vectors.
        seed : int
        acquainted : int, optional, microseconds since 1970 UTC
            A detector that learns what is usual learns from rows since then, which the population has not seen.
        progress : callable, optional
            Called after each trial with the number of trials done and the best value so far.

        Raises
        ------
        LabelError
            If no fold can be learned and judged: none has a positive and a negative on both sides.
        ConfigError
            If the objective needs a rehearsal, or the detector has nothing to search.
        """
        self._expect(OBJECTIVES[:2], "rehearsed")
        made = [
            Fold.of((vectors, labels), split, self.start, measure=(self.objective, self.budget),
                    sampling=self.sampling, seed=seed, since=acquainted)
            for split in folds
        ]  # fmt: skip
        rounds = [fold for fold in made if fold.usable(self.start)]
        if not rounds:
            message = (
                f"none of {len(folds)} folds has confirmed and other rows on both sides; take fewer or longer folds"
            )
            raise LabelError(message)
        return self._searched(rounds, _Begin.of(self.start), seed, progress)

    def rehearsed(  # noqa: PLR0913 - what is learned from, judged by and recorded are separate questions
        self,
        vectors: Vectors,
        rehearsals: Sequence[Rehearsal],
        *,
        seed: int,
        truth: NDArray[np.bool_] | None = None,
        witness: Callable[[FittedDetector], float] | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> Found:
        """Search without labels.

        Of an Isolation Forest it is also searched what it looks at: of its columns those that tell what is rehearsed,
        see :func:`~peculiar.training.looks.looks_of`; the number of subjects is told as ``params_looked``.

        Parameters
        ----------
        vectors : Vectors
            To learn from: rows that the population was not learned from, of days before those of the rehearsals.
        rehearsals : sequence of Rehearsal
            From :func:`~peculiar.training.rehearsal.rehearse`; with several, trials can be given up after one.
        seed : int
        truth : bool array of shape (n,), optional
            For a detector that learns from labels.
        witness : callable, optional
            Given each fitted detector, says what labels think of it; told in the column ``labelled`` and never
            searched by. See :func:`~peculiar.training.rehearsal.proxy_agreement`.
        progress : callable, optional
            See :meth:`run`.

        Raises
        ------
        ConfigError
            If there is no rehearsal, the objective needs labels, or the detector has nothing to search.
        LabelError
            If the detector learns from labels and gets none.
        """
        self._expect(OBJECTIVES[2:], "run")
        if not rehearsals:
            message = "expected at least one rehearsal to search by, got none"
            raise ConfigError(message)
        rounds = [Stage(vectors, truth, each, self.objective, witness) for each in rehearsals]
        begin = _Begin.of(self.start)
        if isinstance(self.start, IsolationForest):
            begin = begin.looking(looks_of(self.start, vectors, rehearsals, seed=seed))
        return self._searched(rounds, begin, seed, progress)

    def _expect(self, objectives: tuple[str, ...], other: str) -> None:
        if self.objective not in objectives:
            message = (
                f"expected search.objective among {', '.join(objectives)}, got {self.objective!r}; "
                f"that is for Search.{other}()"
            )
            raise ConfigError(message)

    def _searched(
        self, rounds: Sequence[Round], begin: _Begin, seed: int, progress: Callable[[int, float], None] | None
    ) -> Found:
        space, begun = begin.space, time.monotonic()
        settings: dict[str, Any] = asdict(self.start)  # type: ignore[call-overload]
        setup = digest(self.objective, self.budget, seed, space, settings, [each.fingerprint for each in rounds])
        with quiet():
            study = open_study(f"{self.start.kind} {self.objective} {setup}", self.study_path)
            while len(finished(study)) < self.trials:
                if self.seconds is not None and finished(study) and time.monotonic() - begun >= self.seconds:
                    break
                trial = next_trial(study, seed, begin.tries)
                chosen = {name: part.suggest(trial, name) for name, part in space.items()}
                self._tried(study, trial, configured(self.start, space, chosen), rounds, seed)
                if progress is not None:
                    progress(len(finished(study)), study.best_value)
        return self._found(study, space)

    def _tried(
        self, study: optuna.Study, trial: optuna.Trial, settings: Detector, rounds: Sequence[Round], seed: int
    ) -> None:
        """Judge settings round by round and tell the study; what is given up has the value of its rounds so far."""
        import optuna

        verdicts: list[Verdict] = []
        state = optuna.trial.TrialState.COMPLETE
        for number, each in enumerate(rounds):
            verdicts.append(each.judge(settings, seed))
            trial.report(float(np.mean([verdict.value for verdict in verdicts])), number)
            if number + 1 < len(rounds) and trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        for name, value in _noted(verdicts).items():
            trial.set_user_attr(name, value)
        value = float(np.mean([verdict.value for verdict in verdicts]))
        study.tell(trial, value if state == optuna.trial.TrialState.COMPLETE else None, state=state)

    def _found(self, study: optuna.Study, space: Mapping[str, Part]) -> Found:
        trials = table(study)
        complete = trials[trials["state"] == "COMPLETE"].sort_values("value", ascending=False, kind="stable")
        best = configured(self.start, space, study.best_params)
        return Found(best, float(study.best_value), self.objective, trials, complete.head(_BEST).reset_index(drop=True))


@dataclass(frozen=True)
class _Begin:
    """What is searched, and the choices that are tried first."""

    space: Mapping[str, Part]
    tries: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, start: Detector) -> _Begin:
        """A detector's space, from its own settings on."""
        space = space_of(start)
        return cls(dict(space), ({name: getattr(start, name) for name in space},))

    def looking(self, looks: Looks) -> _Begin:
        """With what is looked at; the step that is thought the best is tried with either opinion, too."""
        if not looks.value:
            return self
        own, best = len(looks.steps), looks.best
        starts = [{**first, "looked": own} for first in self.tries]
        more = [{**starts[0], "looked": best, "opinion": opinion} for opinion in ("loudest", "adding")]
        return _Begin({**self.space, "looked": Steps(looks.steps)}, (*starts, *more))


def _noted(verdicts: Sequence[Verdict]) -> Mapping[str, float]:
    """The mean recall of each kind over the rounds that staged it, and what labels say."""
    kinds = dict.fromkeys(kind for verdict in verdicts for kind in verdict.kinds)
    noted = {
        f"kind_{kind}": float(np.mean([verdict.kinds[kind] for verdict in verdicts if kind in verdict.kinds]))
        for kind in kinds
    }
    said = [verdict.labelled for verdict in verdicts if verdict.labelled is not None]
    return {**noted, "labelled": float(np.mean(said))} if said else noted
