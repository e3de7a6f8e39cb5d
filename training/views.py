"""Saved views: the runs table and the charts as a reader of this project wants to see them first.

MLflow's page can save a view of an experiment and share it by a key; it keeps the view in a tag of the experiment. That
format is not documented, so writing a view is best effort: when it fails, a warning says so and the work goes on.
Checked with MLflow 3.17.
"""

from __future__ import annotations

import base64
import json
import logging
import uuid
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tracking import Store

__all__ = ["CANDIDATES", "SCORES", "TRIALS_VIEW", "View", "bar", "line", "save_views"]

_LOGGER = logging.getLogger(__name__)
_SPACE = uuid.UUID("6e1b1d1c-6d5e-5c0e-9a51-7065637530a1")  # so that the same view has the same bytes
_COLUMNS, _HEIGHT = 2, 300  # of charts: three in a row cut their titles after ten letters


@dataclass(frozen=True, kw_only=True)
class View:
    """A view of the runs of an experiment.

    Attributes
    ----------
    key : str
        Names the view in its address; letters and digits.
    name : str
        What a reader sees.
    role : str
        Runs with this role are shown.
    order : str
        The metric by which they are sorted, highest first.
    params, metrics : tuple of str
        Columns of the table, in order.
    charts : mapping of str to tuple of dict
        Section title to charts, see :func:`bar` and :func:`line`.
    """

    key: str
    name: str
    role: str
    order: str
    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    charts: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)


def bar(metric: str, title: str) -> dict[str, Any]:
    """One bar per run: the metric's last value."""
    return {"type": "BAR", "metricKey": metric, "displayName": title}


def line(metric: str, title: str, *, logarithmic: bool = False) -> dict[str, Any]:
    """One line per run: the metric over its steps."""
    scale = "log" if logarithmic else "linear"
    return {
        "type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "displayName": title, "lineSmoothness": 0,
        "xAxisScaleType": scale, "scaleType": "linear", "range": {}, "xAxisKey": "step", "selectedXAxisMetricKey": "",
        "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False, "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }  # fmt: skip


CANDIDATES = View(
    key="peculiarcandidates",
    name="Candidates",
    role="candidate",
    order="test/average_precision",
    params=("model/kind",),
    metrics=(
        "test/average_precision",
        "test/precision_at_budget",
        "test/recall_at_budget",
        "test/roc_auc",
        "test/value_recall_at_budget",
        "calibration/share_at_1pct",
    ),
    charts={
        "Which detector finds most?": (
            bar("test/average_precision", "Average precision"),
            bar("test/precision_at_budget", "Precision at the alert budget"),
            bar("test/recall_at_budget", "Recall at the alert budget"),
            bar("test/roc_auc", "ROC AUC"),
        ),
        "Do p-values mean what they say? (0.5 % to 1.5 % is promised)": (
            bar("calibration/share_at_1pct", "Normal windows with p <= 1 %"),
        ),
        "What does a budget buy? (x: alerts a day)": (
            line("curve/precision_at_k", "Precision by budget", logarithmic=True),
            line("curve/recall_at_k", "Recall by budget", logarithmic=True),
        ),
    },
)

TRIALS_VIEW = View(
    key="peculiartrials", name="Trials", role="trial", order="tune/objective", metrics=("tune/objective",)
)

SCORES = View(
    key="peculiarscores",
    name="Scored batches",
    role="score",
    order="score/alerts",
    params=("model/version",),
    metrics=("score/rows", "score/alerts", "score/events", "score/rejected"),
    charts={"What was scored?": (bar("score/rows", "Windows scored"), bar("score/alerts", "Alerts"))},
)


def save_views(store: Store, views: tuple[View, ...] = (CANDIDATES, TRIALS_VIEW, SCORES)) -> bool:
    """Write views into the experiment; return whether it worked. A failure is a warning, never an error."""
    from mlflow.exceptions import MlflowException

    try:
        client = store.client
        created = client.get_experiment(store.experiment_id).creation_time
        for view in views:
            tag = {"name": view.name, "createdAt": created, "updatedAt": created, "state": _packed(_state(view))}
            client.set_experiment_tag(store.experiment_id, f"mlflow.sharedViewState.{view.key}", json.dumps(tag))
    except (MlflowException, OSError) as error:
        _LOGGER.warning("the saved views could not be written to %s (%s); everything else is there", store.uri, error)
        return False
    return True


def _packed(state: dict[str, Any]) -> str:
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()


def _state(view: View) -> dict[str, Any]:
    """The page's own state, with its own names."""
    columns = [f"params.`{name}`" for name in view.params] + [f"metrics.`{name}`" for name in view.metrics]
    return _charts(view) | {
        "searchFilter": f"tags.`peculiar.role` = '{view.role}'", "orderByKey": f"metrics.`{view.order}`",
        "orderByAsc": False, "startTime": "ALL", "lifecycleFilter": "Active", "datasetsFilter": [],
        "modelVersionFilter": "All Runs", "selectedColumns": [*columns, "attributes.`Models`"], "columnOrder": [],
        "columnWidths": {}, "runsHiddenMode": "SHOWALL", "viewMaximized": False,
        "runListHidden": False, "isAccordionReordered": True, "useGroupedValuesInCharts": True, "hideEmptyCharts": True,
        "groupBy": None, "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip


def _charts(view: View) -> dict[str, Any]:
    common = {"runsCountToCompare": 100, "deleted": False, "isGenerated": False}
    sections, charts = [], []
    for title, contents in view.charts.items():
        section = _id(view, title)
        sections.append({"uuid": section, "name": title, "display": True, "isReordered": True, "deleted": False,
                         "isGenerated": False, "columns": _COLUMNS, "cardHeight": _HEIGHT})  # fmt: skip
        charts += [chart | common | {"uuid": _id(view, title, chart["displayName"]), "metricSectionId": section}
                   for chart in contents]  # fmt: skip
    return {"compareRunCharts": charts, "compareRunSections": sections} if charts else {}


def _id(view: View, *parts: str) -> str:
    return uuid.uuid5(_SPACE, "/".join((view.key, *parts))).hex
