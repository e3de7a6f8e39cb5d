"""An event log as MLflow knows data."""

from __future__ import annotations

import json

import pytest

from peculiar.errors import ConfigError
from peculiar.training.dataset import EventLogDataset, LogProfile

PROFILE = LogProfile(
    events=3, entities=2, first="2026-05-01", last="2026-05-03",
    roles={"user": "entity: string", "at": "time: timestamp[us]", "amount": "measure: double"},
)  # fmt: skip


def test_everything_mlflow_stores_is_there():
    """Digest, source, profile and the columns with their roles."""
    stored = EventLogDataset("log", fingerprint="cafe", profile=PROFILE, uri="/data/events.parquet").to_dict()
    assert (stored["name"], stored["digest"], stored["source_type"]) == ("log", "cafe", "local")
    assert json.loads(stored["source"]) == {"uri": "/data/events.parquet"}
    assert json.loads(stored["profile"])["events"] == 3
    columns = {column["name"]: column["type"] for column in json.loads(stored["schema"])["mlflow_colspec"]}
    assert columns == {"user (entity)": "string", "at (time)": "datetime", "amount (measure)": "double"}


@pytest.mark.parametrize(("uri", "shown"), [
    ("", "memory"),
    ("postgresql://reader:secret@db.example/events", "postgresql://db.example/events"),
])  # fmt: skip
def test_a_source_mlflow_does_not_know_is_named_without_its_password(uri, shown):
    """A database is told by its address; what stands before the @ never enters the store."""
    stored = EventLogDataset("log", fingerprint="cafe", profile=PROFILE, uri=uri).to_dict()
    assert shown in stored["source"]
    assert "secret" not in json.dumps(stored)


@pytest.mark.parametrize("fingerprint", ["", "f" * 37])
def test_a_fingerprint_that_mlflow_would_refuse_is_refused_at_once(fingerprint):
    """Nothing, and more than 36 characters, are errors."""
    with pytest.raises(ConfigError, match="fingerprint of 1 to 36 characters"):
        EventLogDataset("log", fingerprint=fingerprint, profile=PROFILE)
