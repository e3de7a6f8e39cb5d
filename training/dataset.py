"""An event log as MLflow knows data: what a run was trained on, measured on, or scored.

MLflow's own ``from_pandas`` hashes the first 10,000 rows alone, so two different logs can pass for one. Here the digest
comes from a fingerprint of all rows that does not depend on their order.

Importing this module imports MLflow (1.5 s), because its class has to be known to subclass it; import it where needed.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from ..errors import ConfigError
from .tracking import prepare_environment

prepare_environment()  # before the imports below: MLflow reads its telemetry switch while it is imported

from mlflow.data.code_dataset_source import CodeDatasetSource  # noqa: E402
from mlflow.data.dataset import Dataset  # noqa: E402
from mlflow.data.dataset_source_registry import resolve_dataset_source  # noqa: E402
from mlflow.types import ColSpec, DataType, Schema  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.data.dataset_source import DatasetSource
    from mlflow.entities import Dataset as DatasetEntity

__all__ = ["EventLogDataset", "LogProfile"]

_LONGEST_DIGEST = 36  # MLflow's limit
_ADDRESSES = {"", "file", "s3", "gs", "abfss", "wasbs", "http", "https"}


@dataclass(frozen=True, kw_only=True)
class LogProfile:
    """What an event log holds.

    Attributes
    ----------
    events, entities : int
        Events left after the checks at the door, and different entities among them.
    first, last : str
        Time of the first and the last event, ISO 8601 in UTC.
    roles : mapping of str to str
        Column name to role and type, for example ``{"user_id": "entity: string", "amount": "measure: double"}``.
    """

    events: int
    entities: int
    first: str
    last: str
    roles: Mapping[str, str] = field(default_factory=dict)


class EventLogDataset(Dataset):
    """One event log, or one period of it.

    Parameters
    ----------
    name : str
        What the runs table shows, for example "fraud_handbook, April to July".
    fingerprint : str
        Order-free fingerprint of all events, at most 36 characters.
    profile : LogProfile
    uri : str, optional
        Path or address of the events; empty for events that came from memory.

    Raises
    ------
    ConfigError
        If the fingerprint is empty or longer than MLflow stores.

    Examples
    --------
    >>> profile = LogProfile(events=3, entities=2, first="2026-05-01T08:00:00Z", last="2026-05-03T09:30:00Z")
    >>> dataset = EventLogDataset("buses", fingerprint="9f2c", profile=profile, uri="events.parquet")
    >>> dataset.digest
    '9f2c'
    >>> dataset.profile["entities"]
    2
    """

    def __init__(self, name: str, *, fingerprint: str, profile: LogProfile, uri: str = "") -> None:
        if not 0 < len(fingerprint) <= _LONGEST_DIGEST:
            message = f"expected a fingerprint of 1 to {_LONGEST_DIGEST} characters, got {len(fingerprint)}; shorten it"
            raise ConfigError(message)
        self._log = profile
        self._fingerprint = fingerprint
        super().__init__(source=_source(uri), name=name, digest=fingerprint)

    def _compute_digest(self) -> str:
        return self._fingerprint

    @property
    def profile(self) -> dict[str, object]:
        """Numbers of events and entities, and the period."""
        log = self._log
        return {"events": log.events, "entities": log.entities, "first": log.first, "last": log.last}

    @property
    def schema(self) -> Schema | None:
        """Each column, named with its role; None if no roles were given."""
        if not self._log.roles:
            return None
        return Schema([_column(name, *role.split(": ", 1)) for name, role in self._log.roles.items()])

    def to_dict(self) -> dict[str, str]:
        """Everything MLflow stores, as text."""
        schema = self.schema
        stored = {**super().to_dict(), "profile": json.dumps(self.profile)}
        return stored if schema is None else stored | {"schema": json.dumps({"mlflow_colspec": schema.to_dict()})}

    def to_entity(self) -> DatasetEntity:
        """The form that ``MlflowClient.log_inputs`` takes."""
        from mlflow.entities import Dataset as Entity

        return Entity(**self.to_dict())


def _source(uri: str) -> DatasetSource:
    """MLflow's idea of the place, or a bare name for one that it has no idea of, such as a database."""
    parts = urlsplit(uri)
    public = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))  # no password goes into the store
    if not uri or parts.scheme not in _ADDRESSES:
        return CodeDatasetSource({"mlflow.source.name": public or "memory"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two of MLflow's own classes, both right, fit a local path
        return resolve_dataset_source(public)


def _column(name: str, role: str, kind: str = "string") -> ColSpec:
    key = "datetime" if kind.startswith(("timestamp", "date")) else kind
    return ColSpec(DataType.__members__.get(key, DataType.string), f"{name} ({role})")
