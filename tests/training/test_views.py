"""Saved views: written when possible, never in the way."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import pytest

from peculiar.training.store import open_store
from peculiar.training.views import CANDIDATES, save_views


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own for these tests."""
    return open_store(tmp_path_factory.mktemp("store"))


def _tags(store):
    return store.client.get_experiment(store.experiment_id).tags


def test_a_view_can_be_read_back(store):
    """The tag holds the packed state, with the filter, the order, and charts that stand in existing sections."""
    assert save_views(store)
    tag = json.loads(_tags(store)["mlflow.sharedViewState.peculiarcandidates"])
    kind, packed = tag["state"].split(";")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert (kind, tag["name"]) == ("deflate", "Candidates")
    assert state["searchFilter"] == "tags.`peculiar.role` = 'candidate'"
    assert state["orderByKey"] == "metrics.`test/average_precision`"
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
    assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == len(state["compareRunCharts"])


def test_writing_twice_gives_the_same_bytes(store):
    """A view has no random part and no clock in it."""
    save_views(store)
    before = _tags(store)
    save_views(store)
    assert _tags(store) == before


def test_a_failure_is_a_warning(store, caplog):
    """A view that cannot be written costs a warning, not the training."""
    assert not save_views(replace(store, experiment_id="999"), (CANDIDATES,))
    assert "saved views could not be written" in caplog.text
