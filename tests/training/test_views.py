"""Saved views: written when possible, never in the way."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import pandas as pd
import pytest

from peculiar.training.search_space import SPACES
from peculiar.training.store import open_store
from peculiar.training.tracking import RunRecord, running, write_record, write_trials
from peculiar.training.views import CANDIDATES, COMPARISONS, MONITORED, PROMOTIONS, TRIALS_VIEW, VIEWS, save_views


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own for these tests."""
    return open_store(tmp_path_factory.mktemp("store"))


def _tags(store):
    return store.client.get_experiment(store.experiment_id).tags


def _state(store, view):
    """What the page would read."""
    save_views(store, (view,))
    tag = json.loads(_tags(store)[f"mlflow.sharedViewState.{view.key}"])
    return json.loads(zlib.decompress(base64.b64decode(tag["state"].split(";")[1])))


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


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_columns_stand_in_their_order(store, view):
    """The page would sort columns by name: each one chosen has its place and a width that its heading fits into."""
    state = _state(store, view)
    names = [*view.tags, *view.metrics, *view.params]
    shown = [column for column in state["columnOrder"] if not column.startswith("attributes.")]
    assert [column.split("`")[1] for column in shown] == names
    assert state["selectedColumns"] == state["columnOrder"] == list(state["columnWidths"])
    assert all(state["columnWidths"][column] > 6 * len(name) for column, name in zip(shown, names, strict=True))


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_titles_of_sections_are_short(view):
    """The page cuts titles, and shows none of a chart but its metric's name."""
    assert all(len(title) <= 20 for title in view.charts)


def test_decisions_are_sorted_by_time(store):
    """Comparisons and promotions have no best one; the newest comes first."""
    for view in (COMPARISONS, PROMOTIONS):
        state = _state(store, view)
        assert (state["orderByKey"], state["orderByAsc"]) == ("attributes.start_time", False)


def test_periods_are_not_hidden_inside_their_parent(store):
    """Sorted by the first day, newest first; sorted by time, the page would show the run they are children of."""
    state = _state(store, MONITORED)
    assert (state["orderByKey"], state["orderByAsc"]) == ("params.`from`", False)


def test_the_filter_finds_the_runs_of_its_role(store):
    """A view's filter is a query that the store understands, and finds the runs of its role alone."""
    for view in VIEWS:
        with running(store, view.role, name=f"a {view.role}") as run:
            write_record(run, RunRecord(note="for a test"))
    for view in VIEWS:
        found = store.client.search_runs([store.experiment_id], _state(store, view)["searchFilter"])
        assert {run.info.run_name for run in found} == {f"a {view.role}"}


def test_settings_of_trials_are_those_that_trials_write(tmp_path):
    """Each detector with a space has a chart, whose axes are the names that its trials write."""
    store = open_store(tmp_path)
    charts = {tuple(chart["selectedParams"]) for chart in TRIALS_VIEW.charts["Which settings?"]}
    for kind, space in SPACES.items():
        row = {f"params_{name}": 1 for name in space}
        trials = pd.DataFrame([{"number": 0, "value": 0.5, "state": "COMPLETE", "seconds": 1.0} | row])
        with running(store, "candidate", name=kind, kind=kind) as run:
            write_trials(run, trials)
        query = f"tags.`peculiar.role` = 'trial' AND tags.`peculiar.kind` = '{kind}'"
        (trial,) = store.client.search_runs([store.experiment_id], query)
        assert sum(set(axes) == set(trial.data.params) for axes in charts) == 1


def test_wide_charts_stand_alone(store):
    """Axes of many settings get the whole row, bars share it."""
    sections = {section["name"]: section["columns"] for section in _state(store, TRIALS_VIEW)["compareRunSections"]}
    assert sections == {"Which settings?": 1, "What did it cost?": 2}
