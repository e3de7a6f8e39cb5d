"""`peculiar budget`: a version's budgets played through, on what it was judged on or on a later file of scores."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ..audit import Use, record
from ..errors import ConfigError, LabelError
from ..features.events import EventLog
from ..training.feedback import with_feedback
from ..training.judged import read_judged
from ..training.labels import read_labels
from ..training.references import load
from ..training.versions import find_version
from .cases import GAP
from .dataset import ScoreDataset, is_dataset, read_scores
from .played import ALSO, SCORED, Played
from .what_if import BUDGETS, RATES, what_if

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from ..features.roles import Roles
    from ..training.labels import Labels
    from ..training.metrics import Interval
    from ..training.registry import Version
    from ..training.store import Store
    from .what_if import Expected, WhatIf

__all__ = ["BudgetRequest", "PlayedBudgets", "budget_listing", "play_budgets"]


@dataclass(frozen=True)
class BudgetRequest:
    """What to play through.

    Attributes
    ----------
    model : str
        A registered version: ``@champion``, ``3``, ``models:/<name>/<number>``.
    name : str
        The registered model, where the version names none.
    scores : object, optional
        A file of scores, or a dataset; by default the windows that the version was judged on.
    labels : object, optional
        All trouble in the time of the scores; by default the verdicts of reviewers, as far as they go.
    events : object, optional
        The log, for labels that name events alone.
    budgets : tuple of int
        Alerts a day, beside the usual ones.
    per : "entity" or "window"
    gap : int
        See :class:`~peculiar.serving.alerts.AlertRules`.
    team : str, optional
        Only the windows of this team of the scores.
    """

    model: str = "@champion"
    name: str = "peculiar"
    scores: object | None = None
    labels: object | None = None
    events: object | None = None
    budgets: tuple[int, ...] = ()
    per: Literal["entity", "window"] = "entity"
    gap: int = GAP
    team: str | None = None


@dataclass(frozen=True)
class PlayedBudgets:
    """What each budget would have brought, and where that was seen.

    Attributes
    ----------
    told : WhatIf
    model : str
        Name and version.
    where : str
        What the windows are.
    truth : str
        What is known of them.
    """

    told: WhatIf
    model: str
    where: str
    truth: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"model": self.model, "where": self.where, "truth": self.truth, **self.told.to_dict()}


def play_budgets(request: BudgetRequest, store: Store) -> PlayedBudgets:
    """Play budgets through, and put the use on record.

    Raises
    ------
    BundleError
        If there is no such version, or it has no windows that it was judged on.
    SchemaError
        If the scores lack a column.
    LabelError
        If the labels or the verdicts cannot be read.
    ConfigError
        If there is no window, no such team, or a budget is below 1.
    """
    version = find_version(store, request.model, name=request.name)
    if request.scores is None:
        rows, where = Played.judged(read_judged(store, version)), "the windows it was judged on"
        truth = "labels of its training" if rows.weight.any() else "nothing is known of them"
    else:
        # The model knows the zone for as long as it is there; what it was judged on may be deleted before.
        rows, truth = _scored(request, store, load(store, version.uri).model.plan.roles)
        where = str(request.scores) + ("" if request.team is None else f", team {request.team}")
    told = what_if(rows, budgets=(*BUDGETS, *request.budgets), rates=RATES, per=request.per, gap=request.gap)
    _record(request, store, version, told.windows)
    return PlayedBudgets(told, f"{version.name}/{version.number}", where, truth)


def budget_listing(played: PlayedBudgets) -> Iterator[RenderableType]:
    """Yield what to print, made for 100 columns."""
    from rich.table import Table
    from rich.text import Text

    told = played.told
    extent = f"{told.windows:,} windows of {told.entities:,} entities on {told.days:,} days"
    yield Text(f"{played.model} on {played.where}: {extent}")
    yield Text(f"{told.known:,} of them known, {told.confirmed:,} confirmed ({played.truth})")
    if told.settings and not told.confirmed:
        yield Text("note: without confirmed windows there is no recall; give --labels, or take in feedback", "yellow")
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "alerts", "cases", "line", "precision", "recall", "by chance"):
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    for each in told.settings:
        table.add_row(*_row(each))
    yield table
    yield Text(
        "alerts, cases begun and alerts by chance (at most, as calibrated) a day; line: median of the lowest score that"
        " is an alert; precision and recall with 95 % intervals over entities"
    )
    if any(each.empty for each in told.settings):
        yield Text(
            "note: some places stay empty: the next in rank share the lowest score of their day and are more than there"
            " are places, so that none of them is an alert, as in scoring",
            "yellow",
        )


def _scored(request: BudgetRequest, store: Store, roles: Roles) -> tuple[Played, str]:
    table, zone = _of_team(_read(request.scores), request.team), roles.time_zone
    if request.labels is not None:
        return Played.scored(table, _labels(request, roles), zone=zone, whole=True), "labels"
    verdicts = with_feedback(None, store.home)
    return Played.scored(table, verdicts, zone=zone), "no verdicts" if verdicts is None else "verdicts of reviewers"


def _labels(request: BudgetRequest, roles: Roles) -> Labels:
    """The labels; those that name events alone are looked up in the log."""
    if request.events is not None:
        timeline, _, _ = EventLog.open(request.events, roles).read()
        return read_labels(request.labels, locate=timeline.locate, zone=timeline.zone)
    try:
        return read_labels(request.labels, zone=roles.time_zone)
    except LabelError as error:
        message = f"{error}; labels that name events alone need the log: give --events"
        raise LabelError(message) from error


def _read(scores: object) -> pa.Table:
    """Scores with the columns that matter; of a dataset what is committed, and not the rows set aside beside it."""
    from ..features.sources import open_source

    if isinstance(scores, str | Path) and is_dataset(scores) and ScoreDataset.open(scores).days():
        source = open_source(read_scores(scores))
    else:
        source = open_source(scores)
    schema = source.schema()
    names = [name for name in (*SCORED, *ALSO) if name in schema.names]
    return source.read(names).replace_schema_metadata(schema.metadata)


def _of_team(table: pa.Table, team: str | None) -> pa.Table:
    if team is None:
        return table
    column = table["team"] if "team" in table.column_names else pa.nulls(len(table), pa.string())
    column = column.cast(pa.string())
    few = table.filter(pc.equal(column, team))
    if not len(few):
        there = sorted(pc.unique(column.drop_null()).to_pylist())
        message = (
            f"expected a team of the scores ({', '.join(there[:20]) or 'there are none: score with alerts.team_by'})"
        )
        raise ConfigError(f"{message}, got {team!r}")
    return few


def _record(request: BudgetRequest, store: Store, version: Version, rows: int) -> None:
    asked = {
        "scores": None if request.scores is None else str(request.scores),
        "labels": None if request.labels is None else str(request.labels),
        "budgets": list(request.budgets),
        "per": request.per,
        "team": request.team,
    }
    use = Use(
        verb="budget",
        model=version.name,
        version=str(version.number),
        sha256=version.sha256,
        rows=rows,
        parameters=asked,
    )
    record(store.home, use)


def _row(each: Expected) -> tuple[str, ...]:
    setting = f"{each.setting:,.0f} a day" if each.by == "budget" else f"fdr {each.setting:g}"
    plain = (_number(each.alerts), _number(each.cases), "-" if isnan(each.line) else f"{each.line:.2f}")
    return (setting, *plain, _share(each.precision), _share(each.recall), _number(each.false_alerts))


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:,.1f}"


def _share(interval: Interval) -> str:
    if isnan(interval.value):
        return "-"
    return f"{interval.value:.0%} ({interval.low:.0%} to {interval.high:.0%})"
