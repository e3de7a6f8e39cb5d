"""The store: where runs, models and figures are kept.

It is whatever ``MLFLOW_TRACKING_URI`` (or an earlier ``mlflow.set_tracking_uri``) names; without one it is a SQLite
file with the artifacts beside it, both in the project's folder. Everything speaks to it through an ``MlflowClient``
bound to it, not through MLflow's process-wide "current" store or run, so that two stores can be open in one process and
a library user's own runs are left alone.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

__all__ = ["EXPERIMENT", "Store", "current", "open_store", "prepare_environment"]

EXPERIMENT = "peculiar"

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # an event log is nobody else's business, nor that they are being looked at
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default of 7 keeps a client of a dead server waiting for 4 minutes
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # standard error is for our own bar, and for errors
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to the command line
}


def prepare_environment() -> None:
    """Set MLflow's switches that have to stand before its first import; a value the user has set wins."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for chatty in ("alembic.runtime.migration", "mlflow.store.db.utils"):  # 80 lines when a database is created
        logging.getLogger(chatty).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Store:
    """An open store and the experiment in it.

    Attributes
    ----------
    uri : str
        MLflow's tracking URI.
    home : Path
        The project's folder, absolute.
    experiment : str
    experiment_id : str
    """

    uri: str
    home: Path
    experiment: str
    experiment_id: str

    @property
    def client(self) -> MlflowClient:
        """A client bound to this store, whatever the process's current tracking URI is."""
        return _client(self.uri)

    @property
    def remote(self) -> bool:
        """Whether a server keeps the store, so that artifacts travel over the network."""
        return not self.uri.startswith("sqlite:")


def open_store(home: Path | None = None, *, experiment: str = EXPERIMENT) -> Store:
    """Open the store, and create it and the experiment if they do not exist yet.

    Safe to call from several processes at once: the first one creates the database, under a file lock and under
    another name, so that a kill while creating leaves no half-made database.

    Parameters
    ----------
    home : Path, optional
        The project's folder, the current one by default; created if it does not exist. Without a tracking URI set for
        MLflow, the database is ``<home>/mlflow.db`` and the artifacts are in ``<home>/mlartifacts``.
    experiment : str
        The experiment's name.

    Raises
    ------
    ConfigError
        If the experiment was deleted.
    """
    prepare_environment()
    import mlflow

    folder = Path(home or ".").absolute()
    uri = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else f"sqlite:///{folder / 'mlflow.db'}"
    if not uri.startswith("sqlite:///"):
        artifacts = None if urlsplit(uri).scheme in {"http", "https"} else folder / "mlartifacts"
        return Store(uri, folder, experiment, _experiment_id(uri, experiment, artifacts))
    return Store(uri, folder, experiment, _open_database(Path(uri.removeprefix("sqlite:///")), experiment))


@contextmanager
def current(store: Store) -> Iterator[None]:
    """Make a store MLflow's process-wide one for a moment: a few calls of a bound client look there nevertheless."""
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(store.uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None unsets it


def _open_database(database: Path, experiment: str) -> str:
    from filelock import FileLock

    database.absolute().parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        if not database.exists():
            _create_database(database)
        return _experiment_id(f"sqlite:///{database}", experiment, database.absolute().parent / "mlartifacts")


def _create_database(database: Path) -> None:
    building = database.with_name(f"{database.name}.new")
    building.unlink(missing_ok=True)  # left by a process that was killed here
    _client(f"sqlite:///{building}").search_experiments(max_results=1)
    with closing(sqlite3.connect(building)) as connection:
        # Readers no longer wait for writers, and a small run takes 30 ms instead of 95. The mode stays in the file.
        connection.execute("PRAGMA journal_mode=WAL")
    building.replace(database)


def _experiment_id(uri: str, name: str, artifacts: Path | None) -> str:
    """Find or create the experiment; ``artifacts`` is None where a server decides where they go."""
    from mlflow.exceptions import MlflowException

    client = _client(uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifacts.as_uri() if artifacts else None, _EXPERIMENT_TAGS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another client of the same server was first
                raise
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        message = f"the experiment {name!r} in {uri} was deleted; restore it in MLflow, or name another"
        raise ConfigError(message)
    return str(found.experiment_id)


_EXPERIMENT_TAGS = {
    "mlflow.note.content": (
        "Who behaves unlike themselves, unlike their peers, or in a combination nobody has seen.\n\n"
        "Each training is a **study** with one **candidate** run per detector; each scored batch is a **score** run "
        "(tag `peculiar.role`). The saved view *Candidates* lays the candidates side by side."
    ),
}


def _client(uri: str) -> MlflowClient:
    prepare_environment()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)
