"""Runs: how a training, a candidate, a trial and a scored batch are written down.

A training is one run of the role ``study`` with one child of the role ``candidate`` per detector; tuning adds
``trial`` runs, batch scoring ``score`` runs, and monitoring one ``watch`` run a version with ``monitor`` runs below it.
The role is a tag, and the saved views filter by it. A run is opened by :func:`running`, which closes it whatever
happens, and filled by :func:`write_record` from a :class:`RunRecord`, which is plain data.
"""

from __future__ import annotations

import math
import platform
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from ..audit import operating_user
from .figures import colour_of
from .store import EXPERIMENT, Store, open_store, prepare_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun

    from .dataset import EventLogDataset

__all__ = [
    "BY_BUDGET",
    "CALIBRATION",
    "CARD",
    "CARD_PAGE",
    "CURVES",
    "EXPERIMENT",
    "IMPORTANCE",
    "KINDS",
    "PR_CURVE",
    "SOURCE_TAGS",
    "TRIALS",
    "VALIDITY",
    "WEEKS",
    "LiveRun",
    "Role",
    "RunRecord",
    "Store",
    "close_orphans",
    "lasting_run",
    "log_inputs",
    "open_store",
    "prepare_environment",
    "running",
    "write_points",
    "write_record",
    "write_trials",
]

# The same paths in every run: that is what lets MLflow lay artifacts of several runs side by side.
PR_CURVE = "plots/pr_curve.png"
CALIBRATION = "plots/calibration.png"
WEEKS = "plots/by_week.png"
CURVES = "plots/curves.html"
IMPORTANCE = "plots/importance.png"
BY_BUDGET = "tables/by_budget.json"
TRIALS = "tables/trials.json"
VALIDITY = "tables/validity.json"
KINDS = "tables/injected_kinds.json"
CARD, CARD_PAGE = "card.md", "card.html"

SOURCE_TAGS = {"mlflow.source.name": "peculiar", "mlflow.source.type": "LOCAL"}

Role = Literal["study", "candidate", "trial", "score", "review", "compare", "promotion", "monitor", "watch"]


@dataclass(frozen=True)
class LiveRun:
    """A run that is being written.

    Attributes
    ----------
    store : Store
    run_id : str
    name : str
    kind : str
        The detector's kind; empty for a study or a scoring run.
    started : int
        When MLflow opened it, milliseconds since 1970 UTC: the time that its metrics bear, so that no clock of ours
        enters a run.
    """

    store: Store
    run_id: str
    name: str
    kind: str
    started: int


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run has to tell. Every part is optional.

    Attributes
    ----------
    note : str
        A description in Markdown that a person can read; MLflow shows it on top of the run.
    params : mapping of str to object
        Settings, as text.
    metrics : mapping of str to float
        ``group/name`` to value: the part before the slash becomes a section of charts. A value that is not finite
        is left out, since MLflow would draw it as zero.
    curves : mapping of str to mapping of int to float
        A metric drawn as a line: step to value. For ``curve/precision_at_k`` the step is the alert budget.
    figures : mapping of str to matplotlib Figure
        Artifact path to figure.
    tables : mapping of str to mapping of str to sequence
        Artifact path to column name to values.
    texts : mapping of str to str
        Artifact path to text.
    parquets : mapping of str to pyarrow.Table
        Artifact path to a table that programs read, not people.
    tags : mapping of str to str
    """

    note: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Sequence[object]]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    parquets: Mapping[str, pa.Table] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def running(store: Store, role: Role, *, name: str, kind: str = "", parent: LiveRun | None = None) -> Iterator[LiveRun]:
    """Open a run, and close it as FINISHED, as FAILED on an error, or as KILLED on Ctrl-C.

    Parameters
    ----------
    store : Store
    role : {"study", "candidate", "trial", "score", "review", "compare", "promotion", "monitor", "watch"}
    name : str
        What the runs table shows.
    kind : str
        The detector's kind, which decides the run's colour.
    parent : LiveRun, optional
        The run this one is shown under.
    """
    tags = _identity() | {"peculiar.role": role, "mlflow.runColor": colour_of(kind)}
    tags |= {"peculiar.kind": kind} if kind else {}
    if parent is not None:
        tags["mlflow.parentRunId"] = parent.run_id
    info = store.client.create_run(store.experiment_id, run_name=name, tags=tags).info
    status = "FAILED"
    try:
        yield LiveRun(store, info.run_id, name, kind, info.start_time)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        store.client.set_terminated(info.run_id, status)


def lasting_run(store: Store, role: Role, *, name: str, about: str) -> LiveRun:
    """The one run of a role about something, which goes on from day to day; opened at its first use.

    It is never left open: MLflow takes metrics of a run that has ended.

    Parameters
    ----------
    store : Store
    role : "watch"
    name : str
        What the runs table shows.
    about : str
        What tells it from others of its role: name and version of a model.
    """
    query = f"tags.`peculiar.role` = '{role}' AND tags.`peculiar.about` = '{about}'"
    found = store.client.search_runs([store.experiment_id], query, order_by=["attributes.start_time ASC"])
    if found:
        info = found[0].info
        return LiveRun(store, info.run_id, info.run_name, "", info.start_time)
    with running(store, role, name=name) as run:
        store.client.set_tag(run.run_id, "peculiar.about", about)
    return run


def write_points(run: LiveRun, metrics: Mapping[str, float], *, day: int) -> None:
    """Add a point to each line of a lasting run, at a day of the log.

    Parameters
    ----------
    run : LiveRun
    metrics : mapping of str to float
        What is not finite is left out.
    day : int
        Days since 1970: the step, and as an instant the time of the point, which MLflow shows as a date. A day that is
        looked at twice has two points, of which the later was written last.
    """
    from mlflow.entities import Metric

    finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
    points = [Metric(key, value, day * 86_400_000, day) for key, value in finite.items()]
    run.store.client.log_batch(run.run_id, metrics=points)


def write_record(
    run: LiveRun,
    record: RunRecord,
    *,
    model_id: str | None = None,
    dataset: EventLogDataset | None = None,
    context: str = "evaluation",
) -> None:
    """Write a record into a run.

    Parameters
    ----------
    run : LiveRun
    record : RunRecord
    model_id : str, optional
        The logged model that the metrics judge.
    dataset : EventLogDataset, optional
        The events that they were measured on; it becomes an input of the run.
    context : str
        What the events were used for.
    """
    from mlflow.entities import Param, RunTag

    client = run.store.client
    if dataset is not None:
        log_inputs(run, dataset=dataset, context=context)
    tags = dict(record.tags) | ({"mlflow.note.content": record.note} if record.note else {})
    client.log_batch(
        run.run_id,
        metrics=_metrics(run, record, model_id, dataset),
        params=[Param(key, str(value)) for key, value in record.params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    _write_files(client, run.run_id, record)


def write_trials(run: LiveRun, trials: pd.DataFrame, *, most: int = 10) -> int:
    """Write the best trials of a search as runs of their own, below the candidate that it was for.

    The rest is in the candidate's table of trials: a run each would hide the few that somebody wants to look at.

    Parameters
    ----------
    run : LiveRun
        The candidate's.
    trials : pandas.DataFrame
        ``number``, ``value``, ``state``, ``seconds``, ``params_…``, one row per trial; those given up are left out.
    most : int

    Returns
    -------
    int
        How many were written.
    """
    complete = trials["value"].notna() & (trials["state"].astype(str) == "COMPLETE")
    best = trials[complete].sort_values("value", ascending=False, kind="stable").head(most)
    for row in best.to_dict("records"):
        chosen = {f"model/{name.removeprefix('params_')}": row[name] for name in row if name.startswith("params_")}
        metrics = {"tune/objective": float(row["value"]), "tune/seconds": float(row["seconds"])}
        note = f"Trial {row['number']} of the search for {run.kind}: {row['value']:.4f}."
        with running(run.store, "trial", name=f"{run.kind} trial {row['number']}", kind=run.kind, parent=run) as trial:
            write_record(trial, RunRecord(note=note, params=chosen, metrics=metrics))
    return len(best)


def log_inputs(
    run: LiveRun, *, dataset: EventLogDataset | None = None, context: str = "training", model_id: str | None = None
) -> None:
    """Tie events, or a model made by another run, to this run as its input.

    Parameters
    ----------
    context : str
        What the events were used for: "training", "evaluation", "scoring".
    """
    from mlflow.entities import DatasetInput, InputTag, LoggedModelInput

    tags = [InputTag("mlflow.data.context", context)]
    datasets = [] if dataset is None else [DatasetInput(dataset.to_entity(), tags)]
    models = [] if model_id is None else [LoggedModelInput(model_id)]
    run.store.client.log_inputs(run.run_id, datasets=datasets, models=models)


def close_orphans(store: Store) -> list[str]:
    """Mark as FAILED every run that a process of this machine left open when it was killed; return their ids.

    So are the models that such a run had begun to log, which would stay PENDING for ever.
    """
    query = "attributes.status = 'RUNNING' AND tags.`peculiar.host` != ''"
    orphans = [run for run in store.client.search_runs([store.experiment_id], query) if _is_orphan(run)]
    for run in orphans:
        for model in store.client.search_logged_models([store.experiment_id], f"source_run_id = '{run.info.run_id}'"):
            if str(model.status) == "PENDING":
                store.client.finalize_logged_model(model.model_id, "FAILED")
        store.client.set_terminated(run.info.run_id, "FAILED")
    return [str(run.info.run_id) for run in orphans]


def _is_orphan(run: MlflowRun) -> bool:
    import psutil

    tags = run.data.tags
    if tags["peculiar.host"] != _identity()["peculiar.host"]:
        return False
    number, started = tags["peculiar.process"].split("@")
    try:  # a process number alone may have been given to another process since
        return f"{psutil.Process(int(number)).create_time():.0f}" != started
    except psutil.NoSuchProcess:
        return True


def _identity() -> dict[str, str]:
    """Who runs this, and in which process."""
    import psutil

    process = psutil.Process()
    return {
        **SOURCE_TAGS,
        "mlflow.user": operating_user(),
        "peculiar.host": platform.node(),
        "peculiar.process": f"{process.pid}@{process.create_time():.0f}",
    }


def _metrics(run: LiveRun, record: RunRecord, model_id: str | None, dataset: EventLogDataset | None) -> list[Metric]:
    from mlflow.entities import Metric

    data = (None, None) if dataset is None else (dataset.name, dataset.digest)
    points = [(key, value, 0, model_id) for key, value in record.metrics.items()]
    # Without the model: its page would list every point of a curve as a metric of its own.
    points += [(key, value, step, None) for key, curve in record.curves.items() for step, value in curve.items()]
    finite = [point for point in points if math.isfinite(point[1])]
    return [Metric(key, float(value), run.started, int(step), model, *data) for key, value, step, model in finite]


def _write_files(client: MlflowClient, run_id: str, record: RunRecord) -> None:
    for path, figure in record.figures.items():
        client.log_figure(run_id, figure, path)
    with warnings.catch_warnings():  # MLflow asks pandas for columns of objects, and pandas 3 warns of counting text
        warnings.filterwarnings("ignore", message="For backward compatibility, 'str' dtypes are included")
        for path, table in record.tables.items():
            client.log_table(run_id, {column: list(values) for column, values in table.items()}, path)
    for path, text in record.texts.items():
        client.log_text(run_id, text, path)
    for path, parquet in record.parquets.items():
        _log_parquet(client, run_id, path, parquet)


def _log_parquet(client: MlflowClient, run_id: str, path: str, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PurePosixPath(path).name
        pq.write_table(table, file, compression="zstd")
        client.log_artifact(run_id, str(file), str(PurePosixPath(path).parent).removeprefix("."))
