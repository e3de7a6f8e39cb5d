"""What the conformance checks look at: a family, at work in a plan, on the rich log.

What a check varies (the order of rows, the partitions, the events after an instant) is built once for all families of a
plan and kept, since it is the same for each of them: a check then compares the columns of its own family.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from event_logs import DAY, Event, full_roles, in_sessions, rich_log, timeline_of
from plain_reference import in_order, midnight, rows_of, wall

from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.families import FAMILIES, Moment
from peculiar.features.family import Annotator
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from peculiar.features.population import Population
    from peculiar.features.vectors import Vectors

ZONE = "Europe/Berlin"
HORIZON = 28
WINDOWS = {
    "1d": WindowSpec("1d", f"{HORIZON}d"),
    "1h": WindowSpec("1h", f"{HORIZON}d"),
    "event": WindowSpec("event", f"{HORIZON}d"),
    "session": WindowSpec(horizon=f"{HORIZON}d", by="session"),
}
PLAIN, RICH = ("action", "device"), ("action", "device", "session")


@dataclass(frozen=True, eq=False)
class Stage:
    """A plan of some families on the rich log, and all that the checks have asked of it so far.

    Attributes
    ----------
    families : tuple of FeatureFamily
    every : str
        The kind of windows, a key of ``WINDOWS``.
    peer_by : str or None
    log : tuple of Event
    """

    families: tuple
    every: str
    peer_by: str | None
    log: tuple[Event, ...]
    kept: dict = field(default_factory=dict, repr=False)

    def roles(self, zone: str = ZONE):
        """The parts of all columns; the session is one where windows go by it."""
        known = replace(full_roles(zone), peer_by=self.peer_by)
        return replace(known, dimensions=(*known.dimensions, "session")) if self.every == "session" else known

    def plan_of(self, families: tuple, zone: str = ZONE) -> FeaturePlan:
        """A plan that uses each dimension in every way, but the session, which names windows."""
        known = self.roles(zone)
        uses = dict.fromkeys(("baskets", "shared", "risky"), PLAIN)
        return FeaturePlan(known, WINDOWS[self.every], ("pay", "view", "login"), families, **uses)

    @cached_property
    def plan(self) -> FeaturePlan:
        """The plan that all variations are held against."""
        return self.plan_of(self.families)

    @cached_property
    def events(self) -> list[Event]:
        """The log in the order in which it is read."""
        return list(self.log)

    @cached_property
    def timeline(self):
        """The log, sorted."""
        return self.troubled(self.events)

    @cached_property
    def population(self) -> Population:
        """Fitted once, on the whole log."""
        return self.plan.fit(self.timeline)

    @cached_property
    def whole(self) -> Vectors:
        """The vectors of the whole log, which every variation is held against."""
        return self.plan.vectors(self.timeline, self.population, threads=1)

    @cached_property
    def rows(self) -> list:
        """The windows, told plainly."""
        return rows_of(in_order(self.events, self.timeline), ZONE, self.every)

    def troubled(self, events, zone: str = ZONE):
        """The timeline of the events, about a fifth of which are known trouble at once or within two days."""
        timeline = timeline_of(events, zone, self.roles(zone))
        drawn = [zlib.crc32(event.id.encode()) for event in events]
        known = [e.at + n % 3 * DAY if n % 5 == 0 else NEVER for e, n in zip(events, drawn, strict=True)]
        return replace(timeline, notes={TROUBLE: np.array(known, np.int64)[timeline.row]})

    def once(self, variation: tuple, make: Callable):
        """What ``make`` gives, made at the first call for this variation."""
        if variation not in self.kept:
            self.kept[variation] = make()
        return self.kept[variation]

    def vectors(self, variation: tuple, events: Callable[[], list[Event]]) -> Vectors:
        """The vectors of other events, with the same plan and population."""
        return self.once(variation, lambda: self.of_timeline(self.troubled(events())))

    def of_timeline(self, timeline, threads: int = 1) -> Vectors:
        """The vectors of a timeline, with the same plan and population."""
        return self.plan.vectors(timeline, self.population, threads=threads)

    def partitions(self, parts: int, *, exchanged: bool) -> list:
        """The log in partitions of entities.

        Each is a log of its own, which knows of no other entity, or was taken after the exchange between entities, as
        whoever works in partitions has to where a family looks across them.
        """
        users = sorted({event.user for event in self.events})
        if not exchanged:
            split = [[e for e in self.events if users.index(e.user) % parts == n] for n in range(parts)]
            return [self.troubled(events) for events in split]
        whole = self.plan.annotated(self.timeline)
        return [whole.of_entities(np.arange(len(users)) % parts == n) for n in range(parts)]

    def instants(self, count: int = 4) -> list[int]:
        """Some ``as_of`` spread over the log."""
        found = np.unique(self.whole.as_of)
        return [int(found[int(place)]) for place in np.linspace(len(found) // 4, len(found) - 2, count)]

    def horizons(self, vectors: Vectors) -> np.ndarray:
        """The instant at which the horizon before each window begins."""
        if self.every != "1d":
            return vectors.since - HORIZON * DAY
        days = [wall(since, ZONE).date() - timedelta(days=HORIZON) for since in vectors.since.tolist()]
        return np.array([midnight(day, ZONE) for day in days], np.int64)

    def beginnings(self, count: int = 3) -> list[int]:
        """Some beginnings of horizons, with events before them and windows after them."""
        found = np.unique(self.horizons(self.whole))
        found = found[found > min(event.at for event in self.events)]
        return [int(found[int(place)]) for place in np.linspace(0, len(found) - 1, count + 2)[1:-1]]


@dataclass(frozen=True)
class Case:
    """One family under test, on a stage."""

    stage: Stage
    name: str

    @classmethod
    def of(cls, name: str, every: str) -> Case:
        """A family of FAMILIES, among all of them."""
        return cls(stage_of(tuple(made() for made in FAMILIES.values()), every), name)

    @classmethod
    def last_of(cls, families: tuple, every: str, peer_by: str | None = None) -> Case:
        """The last of some families."""
        return cls(stage_of(families, every, peer_by), families[-1].name)

    @property
    def family(self):
        """The family under test."""
        return next(family for family in self.stage.families if family.name == self.name)

    @property
    def features(self) -> tuple:
        """Its features."""
        return self.stage.plan.by_family[self.name]

    @cached_property
    def names(self) -> set[str]:
        """Their names."""
        return {feature.name for feature in self.features}

    @property
    def exchanged(self) -> bool:
        """Whether it looks across entities, or reads the notes of those that do."""
        return isinstance(self.family, Annotator | Moment)

    def columns(self, vectors: Vectors) -> dict[str, np.ndarray]:
        """The columns of the family by name."""
        return {name: column for name, column in zip(vectors.names, vectors.values, strict=True) if name in self.names}

    def own(self, found: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
        """Of the fingerprints of a population, those of the family's counts and of its features' histograms."""
        return {key: value for key, value in found.items() if key[1] in self.names or key[1].split(".")[0] == self.name}


@cache
def stage_of(families: tuple, every: str, peer_by: str | None = None) -> Stage:
    """One stage for all cases of the same plan."""
    return Stage(families, every, peer_by, rich_sessions())


@cache
def rich_sessions() -> tuple[Event, ...]:
    """The rich log, in sessions; the order of its rows is random."""
    return tuple(in_sessions(rich_log()))


def prints(population: Population) -> dict[tuple[str, str], str]:
    """A fingerprint of each of a population's counts; a population is large, and many are compared."""
    dense = [("counts", *item) for item in population.counts.items()]
    dense += [("histograms", *item) for item in population.histograms.items()]
    found = {(kind, name): _digest(np.flatnonzero(counts), counts[counts != 0]) for kind, name, counts in dense}
    keyed = {("keyed", name): _digest(counts.keys, counts.counts) for name, counts in population.keyed.items()}
    return found | keyed


def _digest(places: np.ndarray, counts: np.ndarray) -> str:
    """Of where something was counted, and how often; zeros, which are nearly all, need no telling."""
    return hashlib.sha256(places.tobytes() + counts.tobytes()).hexdigest()
