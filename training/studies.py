"""A study that can be interrupted: Optuna's trials in a file, from which a search goes on where it stopped.

Each trial is drawn by a sampler of its own, seeded by the number of trials before it, from the finished trials alone.
So a search that was interrupted and went on tries what it would have tried in one go.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import optuna
    import pandas as pd

__all__ = ["digest", "finished", "next_trial", "open_study", "quiet", "table"]

_BEFORE_PRUNING = 5  # trials that are carried through


def open_study(name: str, path: Path | None) -> optuna.Study:
    """The study of this name: in memory, or in a journal that is made if there is none.

    Parameters
    ----------
    name : str
        Tells setups apart: a journal holds a study for each.
    path : Path or None
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = None
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _repair(path)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING)
    study = optuna.create_study(
        study_name=name, storage=storage, pruner=pruner, direction="maximize", load_if_exists=True
    )
    for left in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)
    return study


def _repair(path: Path) -> None:
    """Take away the half of a line that a killed run may have left at the end."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        text = file.read()
        file.truncate(text.rfind(b"\n") + 1)


def next_trial(study: optuna.Study, seed: int, starts: Sequence[Mapping[str, Any]]) -> optuna.Trial:
    """The next trial to run; the first of them try the starts."""
    import optuna

    done = len(finished(study))
    waiting = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
    if done < len(starts) and not waiting:
        study.enqueue_trial(dict(starts[done]))
    own = int(np.random.SeedSequence([seed, done]).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=own)
    return study.ask()


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that came to an end or were given up, in their order; not those that were interrupted."""
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def table(study: optuna.Study) -> pd.DataFrame:
    """One row per finished trial: ``number``, ``value``, ``state``, ``seconds``, ``params_…`` and what was noted."""
    import pandas as pd

    rows = [
        {
            "number": number,
            "value": trial.value,
            "state": trial.state.name,
            "seconds": trial.duration.total_seconds() if trial.duration else float("nan"),
            **{f"params_{name}": value for name, value in sorted(trial.params.items())},
            **trial.user_attrs,
        }
        for number, trial in enumerate(finished(study))
    ]
    return pd.DataFrame(rows)


def digest(*parts: object) -> str:
    """16 hexadecimal digits of what a study depends on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back Optuna's line per trial; who wants news passes ``progress``."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
