"""The events of a training as MLflow is told of them: the whole log, what was learned from, what was judged by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from ..features.events import DataReport, EventLog
    from ..features.timeline import Timeline
    from .dataset import EventLogDataset

__all__ = ["dataset_of", "short_name"]


def dataset_of(
    log: EventLog, timeline: Timeline, report: DataReport, *, period: tuple[str, int, int] | None = None
) -> EventLogDataset:
    """A log, or a period of it, as data that runs and metrics can name.

    A period has a fingerprint of its own events, so that two trainings that judged by the same weeks can be told to
    have done so although the log has grown.

    Parameters
    ----------
    log : EventLog
    timeline : Timeline
        Of the whole log.
    report : DataReport
    period : triple of str, int and int, optional
        What the period is for, and from and until when, microseconds since 1970 UTC.
    """
    from .dataset import EventLogDataset, LogProfile

    part, name = timeline, short_name(report.source)
    if period is not None:
        use, since, until = period
        part, name = timeline.since(since).until(until), f"{name}, {use}"
    profile = LogProfile(
        events=len(part),
        entities=int(np.count_nonzero(np.diff(part.first))),
        first=_iso(part.at.min(initial=2**62)) if len(part) else "",
        last=_iso(part.at.max(initial=0)) if len(part) else "",
        roles=_typed_roles(log),
    )
    uri = report.source if "/" in report.source or "." in report.source else ""
    return EventLogDataset(name, fingerprint=part.fingerprint, profile=profile, uri=uri)


def short_name(source: str) -> str:
    """The last two steps of a path: what a runs table has room for.

    Examples
    --------
    >>> short_name("data/2025/log/events.parquet")
    'log/events.parquet'
    """
    return "/".join(source.split("/")[-2:])


def _typed_roles(log: EventLog) -> dict[str, str]:
    schema, roles = log.source.schema(), log.roles
    parts = {roles.entity: "entity", roles.at: "at", **({roles.id: "id"} if roles.id else {})}
    parts |= dict.fromkeys(roles.place or (), "place") | ({} if roles.peer_by is None else {roles.peer_by: "peers"})
    parts |= dict.fromkeys(roles.dimensions, "dimension") | dict.fromkeys(roles.measures, "measure")
    return {name: f"{part}: {_plain_type(schema.field(name).type)}" for name, part in parts.items()}


def _plain_type(kind: pa.DataType) -> str:
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(int(instant) / 1e6, UTC).isoformat()
