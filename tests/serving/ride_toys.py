"""A log of rides of which everything is known, and a model that counts, for tests of what evidence carries."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.serving.reasons import Reason

DAY, HOUR = 86_400_000_000, 3_600_000_000
START = 20_094 * DAY  # 6 January 2025
VEHICLES, RIDES = "vehicle_distinct_1d", "events_count_1d"


@dataclass(frozen=True)
class Counting:
    """A detector that scores a row by one of its numbers."""

    number: str

    def score(self, vectors):
        """The number itself."""
        return vectors.column(self.number).astype(np.float64)


@dataclass(frozen=True)
class Unmoved:
    """A detector that nothing moves."""

    def score(self, vectors):
        """Nine, whatever comes."""
        return np.full(len(vectors), 9.0)


@dataclass(frozen=True)
class Rides:
    """What one rider did, and the vector of the last day."""

    log: EventLog
    timeline: object
    plan: FeaturePlan
    population: object
    vectors: object

    def model(self, detector) -> SimpleNamespace:
        """As much of a model as a replay asks for."""
        return SimpleNamespace(plan=self.plan, population=self.population, detector=detector)

    def named(self, positions) -> list[str]:
        """The ids of events."""
        ids = self.log.source.read(["ride"])["ride"].to_pylist()
        return [ids[row] for row in self.timeline.row[np.asarray(positions, np.intp)]]


def rides(last_day: list[str], *, before: int = 20) -> Rides:
    """One ride a day on vehicle v0 for some days, then these vehicles within one day, an hour apart or less."""
    at = [START + day * DAY + 8 * HOUR for day in range(before)]
    at += [START + before * DAY + n * (12 * HOUR // max(1, len(last_day))) for n in range(len(last_day))]
    vehicles = ["v0"] * before + last_day
    names = [f"r{n}" for n in range(before)] + [f"last{n}" for n in range(len(last_day))]
    times = pa.array(at, pa.timestamp("us", tz="UTC"))
    table = pa.table({"rider": ["ann"] * len(at), "ts": times, "ride": names, "vehicle": vehicles})
    log = EventLog.open(table, Roles("rider", "ts", id="ride", dimensions=("vehicle",)))
    timeline = log.read()[0]
    plan = FeaturePlan.for_log(timeline, log.roles)
    population = plan.fit(timeline)
    vectors = plan.vectors(timeline, population)
    return Rides(log, timeline, plan, population, vectors.take(np.array([len(vectors) - 1])))


def told(feature: str, *, seen: float, usual: float = 1.0, unit: str = "values") -> Reason:
    """A reason that has all of the weight."""
    return Reason("breadth", feature, 1.0, "many", seen=seen, usual=usual, unit=unit, behind=((feature, 1.0),))
