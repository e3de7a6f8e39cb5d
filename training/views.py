"""Saved views: the runs table and the charts as a reader of this project wants to see them first.

MLflow's page can save a view of an experiment and share it by a key; it keeps the view in a tag of the experiment. That
format is not documented, so writing a view is best effort: when it fails, a warning says so and the work goes on.
Checked with MLflow 3.17 by looking at its pages. A chart of runs has the name of its metric for a title, whatever title
was saved, and the title of a section is cut after some twenty letters: that is where to say what its charts answer.
"""

from __future__ import annotations

import base64
import json
import logging
import uuid
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .search_space import SPACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tracking import Store

__all__ = [
    "CANDIDATES",
    "COMPARISONS",
    "DRIFT",
    "MONITORED",
    "PROMOTIONS",
    "SCORES",
    "TRIALS_VIEW",
    "VIEWS",
    "View",
    "bar",
    "line",
    "parallel",
    "save_views",
    "scatter",
]

_LOGGER = logging.getLogger(__name__)
_SPACE = uuid.UUID("6e1b1d1c-6d5e-5c0e-9a51-7065637530a1")  # so that the same view has the same bytes
_IN_A_ROW, _HEIGHT = 2, 300  # of charts: three in a row cut their titles after ten letters
_NEWEST = "attributes.start_time"
_LETTER, _ROOM = 7, 40  # pixels: of a letter of a heading, and beside it


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
        The metric, or one of ``params``, by which they are sorted, highest first; empty sorts by time, newest first.
        Sorted by time MLflow hides runs inside their parents, so a view of children needs an order.
    tags, metrics, params : tuple of str
        Columns of the table, in this order.
    charts : mapping of str to tuple of dict
        Section title to charts, see :func:`bar`, :func:`line`, :func:`scatter` and :func:`parallel`.
    """

    key: str
    name: str
    role: str
    order: str = ""
    tags: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    charts: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)


def bar(*metrics: str) -> dict[str, Any]:
    """One bar per run: the metric's last value; of several metrics, bars side by side.

    Examples
    --------
    >>> bar("test/roc_auc")["metricKey"]
    'test/roc_auc'
    """
    return {"type": "BAR", "metricKey": metrics[0], "selectedMetricKeys": list(metrics)}


def line(metric: str, *, logarithmic: bool = False, dated: bool = False) -> dict[str, Any]:
    """One line per run: the metric over its steps, or over the dates of its points."""
    scale = "log" if logarithmic else "linear"
    if dated:
        over_time = {"xAxisKey": "time", "useGlobalXaxisKey": False, "displayPoints": True}
        return line(metric) | over_time
    return {
        "type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "lineSmoothness": 0,
        "xAxisScaleType": scale, "scaleType": "linear", "range": {}, "xAxisKey": "step", "selectedXAxisMetricKey": "",
        "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False, "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }  # fmt: skip


def scatter(across: str, up: str) -> dict[str, Any]:
    """One dot per run: one metric against another, with axes that show more than the two decimals of a bar."""
    return {"type": "SCATTER", "xaxis": {"key": across, "type": "METRIC"}, "yaxis": {"key": up, "type": "METRIC"}}


def parallel(params: tuple[str, ...], metric: str) -> dict[str, Any]:
    """One line per run that has all of these settings, through each of them to the metric."""
    return {"type": "PARALLEL", "selectedParams": list(params), "selectedMetrics": [metric], "showAllRuns": False}


CANDIDATES = View(
    key="peculiarcandidates",
    name="Candidates",
    role="candidate",
    order="test/average_precision",
    metrics=(
        "test/average_precision",
        "test/recall_at_budget",
        "test/precision_at_budget",
        "test/value_recall_at_budget",
        "test/roc_auc",
        "calibration/share_at_1pct",
    ),
    params=("seed",),
    charts={
        "Which finds most?": (
            bar("test/average_precision"),
            bar("test/recall_at_budget"),
            bar("test/precision_at_budget"),
            bar("test/roc_auc"),
        ),
        "A day's budget buys": (
            line("curve/precision_at_k", logarithmic=True),
            line("curve/recall_at_k", logarithmic=True),
        ),
        "Do p-values hold?": (
            scatter("calibration/share_at_1pct", "test/average_precision"),
            bar("calibration/holds"),
        ),
        "Did the search help?": (line("tune/best"), line("tune/objective")),
    },
)

TRIALS_VIEW = View(
    key="peculiartrials",
    name="Trials",
    role="trial",
    order="tune/objective",
    tags=("peculiar.kind",),
    metrics=("tune/objective", "tune/seconds"),
    charts={
        "Which settings?": tuple(
            parallel(tuple(f"model/{name}" for name in SPACES[kind]), "tune/objective") for kind in sorted(SPACES)
        ),
        "What did it cost?": (bar("tune/seconds"),),
    },
)

SCORES = View(
    key="peculiarscores",
    name="Scored batches",
    role="score",
    metrics=("score/rows", "score/alerts", "score/events", "score/rejected"),
    params=("model/version", "budget_per_day"),
    charts={"What was scored?": (bar("score/rows"), bar("score/alerts"))},
)


def _gain(metric: str) -> tuple[str, str, str]:
    """The 95 % interval of what the second version gains: its lower end, the value, its upper end."""
    gain = f"compare/{metric}_gain"
    return f"{gain}_low", gain, f"{gain}_high"


COMPARISONS = View(
    key="peculiarcomparisons",
    name="Comparisons",
    role="compare",
    metrics=(*_gain("average_precision"), "compare/recall_at_budget_gain", "compare/jaccard", "compare/appeared"),
    params=("first", "second"),
    charts={
        "What is gained?": (
            bar(*_gain("average_precision")),
            bar(*_gain("recall_at_budget")),
        ),
        "What changes?": (bar("compare/jaccard"), bar("compare/appeared", "compare/disappeared")),
    },
)

PROMOTIONS = View(
    key="peculiarpromotions",
    name="Promotions",
    role="promotion",
    tags=("peculiar.verdict", "peculiar.reason"),
    metrics=("promotion/rules", "promotion/broken"),
    params=("version", "alias"),
    charts={"How many rules?": (bar("promotion/rules"), bar("promotion/broken"))},
)

MONITORED = View(
    key="peculiarmonitored",
    name="Monitored periods",
    role="monitor",
    order="from",
    tags=("peculiar.verdict",),
    metrics=(
        "monitor/faults",
        "monitor/changes",
        "monitor/mixes",
        "monitor/features_moved",
        "monitor/psi_largest",
        "monitor/score_psi",
        "monitor/p01_share",
        "monitor/newcomers",
    ),
    params=("model/version", "from", "to"),
)

DRIFT = View(
    key="peculiardrift",
    name="Drift over time",
    role="watch",
    charts={
        "What was found?": (
            line("monitor/faults", dated=True),
            line("monitor/changes", dated=True),
            line("monitor/features_moved", dated=True),
            line("monitor/psi_largest", dated=True),
        ),
        "Do scores hold?": (
            line("monitor/p01_share", dated=True),
            line("monitor/score_psi", dated=True),
            line("monitor/alerts_a_day", dated=True),
            line("monitor/above_line_of_due", dated=True),
        ),
        "Who and how much?": (
            line("monitor/newcomers", dated=True),
            line("monitor/entities", dated=True),
            line("monitor/events_a_day", dated=True),
            line("monitor/rejected_share", dated=True),
        ),
    },
)

VIEWS = (CANDIDATES, TRIALS_VIEW, COMPARISONS, PROMOTIONS, SCORES, MONITORED, DRIFT)


def save_views(store: Store, views: tuple[View, ...] = VIEWS) -> bool:
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
    kind = "params" if view.order in view.params else "metrics"
    return _charts(view) | _table(view) | {
        "searchFilter": f"tags.`peculiar.role` = '{view.role}'",
        "orderByKey": f"{kind}.`{view.order}`" if view.order else _NEWEST,
        "orderByAsc": False, "startTime": "ALL", "lifecycleFilter": "Active", "datasetsFilter": [],
        "modelVersionFilter": "All Runs", "runsHiddenMode": "SHOWALL", "viewMaximized": False,
        "runListHidden": False, "isAccordionReordered": True, "useGroupedValuesInCharts": True, "hideEmptyCharts": True,
        "groupBy": None, "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip


def _table(view: View) -> dict[str, Any]:
    """Columns in our order, wide enough for their headings; by themselves they are sorted by name and cut."""
    groups = {"tags": view.tags, "metrics": view.metrics, "params": view.params}
    width = {f"{group}.`{name}`": _ROOM + _LETTER * len(name) for group, names in groups.items() for name in names}
    if view.role == "candidate":  # of the others the page shows no model, though they have some as inputs
        width = {"attributes.`Models`": 130} | width
    return {"selectedColumns": list(width), "columnOrder": list(width), "columnWidths": width}


def _charts(view: View) -> dict[str, Any]:
    common = {"runsCountToCompare": 100, "deleted": False, "isGenerated": False}
    sections, charts = [], []
    for title, contents in view.charts.items():
        section = _id(view, title)
        sections.append({"uuid": section, "name": title, "display": True, "isReordered": True, "deleted": False,
                         "isGenerated": False, "columns": _columns(contents), "cardHeight": _HEIGHT})  # fmt: skip
        charts += [chart | common | {"uuid": _id(view, title, str(place)), "metricSectionId": section}
                   for place, chart in enumerate(contents)]  # fmt: skip
    return {"compareRunCharts": charts, "compareRunSections": sections} if charts else {}


def _columns(charts: tuple[dict[str, Any], ...]) -> int:
    """How many charts stand in a row; the axes of many settings need all of it."""
    return 1 if any(chart["type"] == "PARALLEL" for chart in charts) else _IN_A_ROW


def _id(view: View, *parts: str) -> str:
    return uuid.uuid5(_SPACE, "/".join((view.key, *parts))).hex
