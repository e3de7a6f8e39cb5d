"""What a simulated log turned out to be: its labels and its figures, gathered day by day while it is written."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pyarrow as pa

from .block import NONE, Block
from .event_files import LABEL_SCHEMA
from .scenarios import EVENT_BY_EVENT, Incident

if TYPE_CHECKING:
    from .city import Ints
    from .world import World

__all__ = ["Figures", "Witness"]


class Figures(TypedDict):
    """Counts of a simulated log.

    Attributes
    ----------
    rows
        Events.
    users
        Users with at least one event.
    days
        Days of the period.
    scenarios
        Incidents of each scenario.
    """

    rows: int
    users: int
    days: int
    scenarios: dict[str, int]


class Witness:
    """Notes, day by day, who appeared and which events belong to which incident."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._appeared = np.zeros(world.habits.rhythm.users, dtype=bool)
        self._seen: list[Ints] = []
        self.rows = 0

    def see(self, block: Block) -> None:
        """Take note of a day."""
        rows = np.flatnonzero(block.incident != NONE)
        self._seen.append(np.stack([block.incident[rows], self.rows + rows, block.at[rows]]))
        self._appeared[block.user] = True
        self.rows += len(block)

    def figures(self) -> Figures:
        """Count rows, users, days, and incidents by scenario."""
        scenarios = Counter(incident.scenario for incident in self._world.incidents)
        return {
            "rows": self.rows,
            "users": int(self._appeared.sum()),
            "days": len(self._world.agendas),
            "scenarios": dict(scenarios),
        }

    def labels(self) -> pa.Table:
        """Return the labels of all incidents, in their order."""
        incident, event, at = np.concatenate(self._seen, axis=1)
        order = np.argsort(incident, kind="stable")
        bounds = np.searchsorted(incident[order], np.arange(len(self._world.incidents) + 1))
        rows: list[dict[str, object]] = []
        for index, story in enumerate(self._world.incidents):
            own = order[bounds[index] : bounds[index + 1]]
            entity = self._world.vocabulary.user_id[story.user].as_py()
            rows.extend(_label_rows(story, entity, event[own], at[own]))
        return pa.Table.from_pylist(rows, schema=LABEL_SCHEMA)


def _label_rows(incident: Incident, entity: str, events: Ints, at: Ints) -> list[dict[str, object]]:
    """Return the labels of one incident: one an event, or one for the span from its first to its last event."""
    about = {"entity": entity, "scenario": incident.scenario, "known_at": int(at[-1]) + incident.known_after}
    if incident.scenario in EVENT_BY_EVENT:
        return [{**about, "event_id": event} for event in events.tolist()]
    return [{**about, "from": int(at[0]), "to": int(at[-1]) + 1}]
