"""A dossier: everything there is to say about one entity's window, for a person who has never seen a score.

It scores the day in question with the horizon before it, and nothing else. Whoever reads a dossier looks at somebody's
behaviour: each one is on record.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..audit import Use, record
from ..errors import SchemaError
from ..features.columns import from_wall
from ..features.events import EventLog
from ..features.snapshots import snapshots_of
from ..training.asides import days_of
from ..training.references import load
from .alerts import AlertRules
from .examined import examine
from .leads import leads_of, local, noun_of, odds
from .scoring import score_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray

    from ..features.timeline import Timeline
    from ..training.model import Model
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .leads import Lead
    from .scoring import ScoredBatch

__all__ = ["Dossier", "DossierRequest", "explain_entity"]

_DAY = 86_400_000_000
_NEAREST, _EVENTS = 5, 200


@dataclass(frozen=True)
class DossierRequest:
    """Whom to explain, and when.

    Attributes
    ----------
    entity : str
    at : datetime
        Midnight asks for the day, and its oddest window if there are several; any other time for the window that holds
        it. In the zone of the model's roles.
    events : object
        A path, glob, frame, or anything that speaks Arrow; with the horizon before the day.
    model_uri : str
        As :class:`~peculiar.serving.batch.ScoringRequest` has it.
    rules : AlertRules
        To say whether it was an alert, and what would have made it none: those that its day was scored by. 100 a day
        by default.
    reasons : int
        How many at most.
    labels : object, optional
        Confirmed trouble, for a model that knows risk.
    """

    entity: str
    at: datetime
    events: object
    model_uri: str
    rules: AlertRules = field(default_factory=AlertRules)
    reasons: int = 5
    labels: object | None = None


@dataclass(frozen=True, eq=False)
class Dossier:
    """A lead, and how it was made.

    Attributes
    ----------
    lead : Lead
    model, sha256, plan : str
        Name and version of the model, the fingerprints of its files and of its plan.
    data : str
        Fingerprint of the events that were read.
    zone, noun : str
        The zone of all times; what a window is called: "days", "hours", "windows".
    notes : tuple of str
        What scoring had to say of the data.
    rule : str
        What became an alert on its day, of its team, in words.
    """

    lead: Lead
    model: str
    sha256: str
    plan: str
    data: str
    zone: str
    noun: str
    notes: tuple[str, ...] = ()
    rule: str = field(default_factory=AlertRules().told)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        lead, history = self.lead, self.lead.history
        standing = {name: getattr(lead.standing, name) for name in lead.standing.__slots__}
        days = (history.first + np.arange(len(history.values))).astype("datetime64[D]").astype(str).tolist()
        return {
            "entity": lead.entity,
            "since": local(lead.since, "UTC").isoformat(),
            "as_of": local(lead.as_of, "UTC").isoformat(),
            "event": lead.event or None,
            "standing": standing,
            "p_value_in_words": odds(lead.standing.p, self.noun),
            "rule": self.rule,
            "reasons": [
                _reason(each) | {"values": values} for each, values in zip(lead.reasons, lead.values, strict=True)
            ],
            "untold": lead.untold or None,
            "events": _events(lead),
            "events_named": lead.events.named,
            "events_in_window": lead.events.window,
            "history": {
                "feature": history.feature,
                "usual": history.usual,
                "everyone": history.everyone,
                "days": dict(zip(days, history.values.tolist(), strict=True)),
            },
            "against": [*lead.against, *lead.doubts],
            "change": lead.change or None,
            "made_by": {"model": self.model, "sha256": self.sha256, "plan": self.plan, "data": self.data},
            "time_zone": self.zone,
            "notes": self.notes,
        }


def explain_entity(
    request: DossierRequest, store: Store, *, progress: Callable[[str, float], None] | None = None
) -> Dossier:
    """Make the dossier of one entity's window, and put the use on record.

    Raises
    ------
    BundleError
        If there is no such model, or its files are not those that were registered.
    SchemaError
        If the events lack a column, do not know the entity, or have no window of it on that day.
    ConfigError
        If the rules do not fit the model; see :meth:`~peculiar.serving.alerts.AlertRules.check`.
    """
    loaded = load(store, request.model_uri)
    model = loaded.model
    log = EventLog.open(request.events, model.plan.roles)
    batch = _scored(model, log, request, progress)
    row = _row(model, batch, log, request)
    rows = np.array([row], np.intp)
    reasons, changes = examine(model, batch, rows, most=request.reasons)
    lead = leads_of(model, batch, log, rows, reasons, most_events=_EVENTS, changes=changes)[0]
    dossier = Dossier(
        # One day alone does not tell when a case began.
        lead=replace(lead, standing=replace(lead.standing, case="")),
        model=_name(loaded),
        sha256=loaded.source.sha256,
        plan=model.plan.fingerprint,
        data=batch.fingerprint,
        zone=model.plan.roles.time_zone,
        noun=noun_of(model),
        notes=batch.report.notes,
        rule=request.rules.told(lead.standing.team),
    )
    _on_record(loaded, dossier, request, store)
    return dossier


def _scored(
    model: Model, log: EventLog, request: DossierRequest, progress: Callable[[str, float], None] | None
) -> ScoredBatch:
    """The day in question, scored; windows that begin on the day before and end on it are in the batch, too."""
    midnight = np.datetime64(request.at.date(), "us").astype(np.int64)
    edges = np.array([midnight, midnight + _DAY])
    since, until = (int(edge) for edge in from_wall(edges, model.plan.roles.time_zone))
    try:
        return score_batch(
            model,
            log,
            labels=request.labels,
            since=since,
            until=until,
            rules=request.rules,
            explain=0,
            progress=progress,
        )
    except SchemaError:
        _check_there(model, log, request)
        raise


def _row(model: Model, batch: ScoredBatch, log: EventLog, request: DossierRequest) -> int:
    """The row of the window that is asked for."""
    mine = pc.equal(batch.table["entity"].cast(pa.string()), request.entity).to_numpy()
    if request.at.time() != request.at.min.time():
        instant = _instant(request.at, model.plan.roles.time_zone)
        mine &= (batch.vectors.since <= instant) & (instant < batch.vectors.as_of)
    rows = np.flatnonzero(mine)
    if not len(rows):
        _check_there(model, log, request)
        message = (
            f"{request.entity!r} did nothing at {request.at:%Y-%m-%d %H:%M:%S}; give the day alone, or another time"
        )
        raise SchemaError(message)
    return int(rows[np.argmax(batch.table["score"].to_numpy()[rows])])


def _instant(at: datetime, zone: str) -> int:
    return int(from_wall(np.array([np.datetime64(at.replace(tzinfo=None), "us").astype(np.int64)]), zone)[0])


def _check_there(model: Model, log: EventLog, request: DossierRequest) -> None:
    """Say what is missing: the entity, or its day.

    Raises
    ------
    SchemaError
        With near names, or the nearest days.
    """
    timeline, _, _ = log.read()
    names = timeline.entity.to_pylist()
    if request.entity not in names:
        near = difflib.get_close_matches(request.entity, names, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {len(names):,} others"
        message = f"{log.source.name}: expected events of {request.entity!r}, found none; {hint}"
        raise SchemaError(message)
    mine = timeline.of_entities(np.array([name == request.entity for name in names]))
    days = np.unique(_days(model, mine))
    asked = (request.at.date() - date(1970, 1, 1)).days
    if asked in days:
        return
    close = np.sort(days[np.argsort(np.abs(days - asked), kind="stable")[:_NEAREST]]).astype("datetime64[D]")
    message = (
        f"{request.entity!r} has no window on {request.at:%Y-%m-%d}: it did nothing that day; the nearest days are "
        f"{', '.join(close.astype(str).tolist())}"
    )
    raise SchemaError(message)


def _days(model: Model, timeline: Timeline) -> NDArray[np.int64]:
    snapshots = snapshots_of(timeline, model.plan.windows)
    return days_of(snapshots, model.plan.windows, model.plan.roles.time_zone)


def _name(loaded: LoadedModel) -> str:
    version = loaded.source.version
    return f"{version.name}/{version.number}" if version else loaded.source.sha256[:12]


def _on_record(loaded: LoadedModel, dossier: Dossier, request: DossierRequest, store: Store) -> None:
    version, lead = loaded.source.version, dossier.lead
    told = {
        "entity": lead.entity,
        "window": [local(instant, "UTC").isoformat() for instant in (lead.since, lead.as_of)],
        "asked": request.at.isoformat(),
        "rules": request.rules.to_dict(),
    }
    use = Use(
        verb="explain",
        model=version.name if version else request.model_uri,
        version=version.number if version else "",
        sha256=dossier.sha256,
        data=dossier.data,
        rows=1,
        parameters=told,
    )
    record(store.home, use)


def _reason(reason: Any) -> dict[str, Any]:
    names = ("feature", "family", "weight", "text", "seen", "usual", "everyone", "unit", "weak")
    return {name: getattr(reason, name) for name in names} | {"events": len(reason.events)}


def _events(lead: Lead) -> list[dict[str, Any]]:
    table = lead.events
    columns = {name: list(values) for name, values in table.dimensions.items()}
    columns |= {name: values.tolist() for name, values in table.measures.items()}
    return [
        {"at": local(int(table.at[n]), "UTC").isoformat(), "id": table.ids[n]}
        | {name: values[n] for name, values in columns.items()}
        | {"reasons": [number + 1 for number in table.reasons[n]]}
        for n in range(len(table))
    ]
