"""A small city with weeks after its training, a model of it, and what can befall the log."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peculiar.config import Config
from peculiar.experiments.simulate import Scenarios, simulate
from peculiar.features.events import EventLog
from peculiar.features.profile import EventProfile, profile_of
from peculiar.serving.alerts import AlertRules
from peculiar.serving.faults import Finding, faults_of
from peculiar.serving.monitoring import Monitored, monitored
from peculiar.serving.period import Period as Watched
from peculiar.serving.scoring import score_batch
from peculiar.training.candidates import fit_candidate
from peculiar.training.card import card_of
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.material import prepare, with_audited
from peculiar.training.model import Model
from peculiar.training.splits import Period
from peculiar.training.usual import Usual, usual_of

if TYPE_CHECKING:
    from peculiar.features.timeline import Timeline

DAY, HOUR = 86_400_000_000, 3_600_000_000
DAYS, TRAINED = 91, 70
FEW = Scenarios(fifty_buses=3)


def settings_of(log: EventLog, start: int):
    """Ten weeks of training, of which the last two are the test."""
    small = IsolationForest(trees=50, group_trees=5, samples=256)
    given = Config().training_settings(log.roles.time_zone)
    test = Period(start + (TRAINED - 14) * DAY, start + TRAINED * DAY)
    return replace(given, trials=0, budget=5, chosen=(small,), detectors=("isolation_forest",), test=test)


def watched_city(seed: int = 0, *, users: int = 400, events: int = 60_000) -> SimpleNamespace:
    """``events`` of thirteen weeks, a ``model`` of the first ten, and ``start``, when the log begins."""
    table = with_groups(simulate(events=events, users=users, days=DAYS, seed=seed, stories=FEW).events)
    guessed = EventLog.open(table).roles
    dimensions = tuple(name for name in guessed.dimensions if name not in {"depot", "born"})
    log = EventLog.open(table, replace(guessed, dimensions=dimensions, peer_by="depot", audit_only=("born",)))
    start = int(pc.min(table["ts"]).cast(pa.int64()).as_py()) // DAY * DAY
    settings = settings_of(log, start)
    timeline, report, _ = log.read()
    material = prepare(timeline, log.roles, None, settings=settings)
    material = replace(with_audited(material, log), usual=usual_of(material, timeline, report))
    candidate = fit_candidate("isolation_forest", material, settings)
    card = card_of(candidate, material, settings, report=report, data="")
    model = Model(material.plan, material.population, candidate.fitted, card, candidate.judged.calibration)
    return SimpleNamespace(events=table, model=model, start=start, material=material)


def with_groups(table: pa.Table) -> pa.Table:
    """Two more columns by the number of the user: ``depot``, which makes peers, and ``born``, for audits alone."""
    number = np.array([int(name[1:]) for name in table["user_id"].cast(pa.string()).to_pylist()])
    depots, born = np.array(["East", "North", "South"]), np.array(["before 1980", "since 1980"])
    table = table.append_column("depot", pa.array(depots[number % 3]))
    return table.append_column("born", pa.array(born[number // 7 % 2]))


def watch(city: SimpleNamespace, events: pa.Table, day: int = TRAINED, days: int = 7) -> Monitored:
    """Monitor ``days`` days from the ``day``-th on."""
    since, until = city.start + day * DAY, city.start + (day + days) * DAY
    log = EventLog.open(events, city.model.plan.roles)
    batch = score_batch(city.model, log, since=since, until=until, explain=0, rules=AlertRules(budget=5))
    return monitored(Watched(city.model, batch, log, (since, until)))


def faults_in(city: SimpleNamespace, events: pa.Table, day: int = TRAINED, days: int = 7) -> list[Finding]:
    """The faults that the events alone show."""
    since, until = city.start + day * DAY, city.start + (day + days) * DAY
    plan, then = city.model.plan, Usual.from_card(city.model.card).events
    timeline, _, _ = EventLog.open(events, plan.roles).read(since - 28 * DAY, until)
    known = {"action": plan.roles.action, "actions": plan.actions}
    now, earlier = profile_of(timeline, (since, until), **known), profile_of(timeline, (0, since), **known)
    return faults_of(then, now, days=(since // DAY, until // DAY), names=earlier.names)


class Plants:
    """What befalls the days ``[first, last)`` of a city's log; each method gives the log with it."""

    def __init__(self, city: SimpleNamespace, first: int = TRAINED, last: int = TRAINED + 7) -> None:
        table = city.events
        for place, name in enumerate(table.column_names):  # plain text, so that any value can be put in
            if pa.types.is_dictionary(table[name].type):
                table = table.set_column(place, name, table[name].cast(pa.string()))
        self.table, self.at = table, table["ts"].cast(pa.int64()).to_numpy()
        self.begin = city.start + first * DAY
        self.plan = city.model.plan
        self.here = (self.at >= self.begin) & (self.at < city.start + last * DAY)

    def _with(self, name: str, values: object) -> pa.Table:
        """The column replaced where the period is."""
        chosen = pc.if_else(pa.array(self.here), values, self.table[name].combine_chunks())
        return self.table.set_column(self.table.column_names.index(name), name, chosen)

    def copied(
        self, rows: np.ndarray, *, later: int = 0, first: int = 10**7, table: pa.Table | None = None, **columns: object
    ) -> pa.Table:
        """A log, by default the city's, and some events of the city once more, later and under new ids."""
        more = self.table.filter(pa.array(rows))
        ids = pa.array(np.arange(more.num_rows) + first)
        moved = pa.array(more["ts"].cast(pa.int64()).to_numpy() + later).cast(self.table["ts"].type)
        for name, values in {"event_id": ids, "ts": moved, **columns}.items():
            more = more.set_column(more.column_names.index(name), name, values)
        return pa.concat_tables([self.table if table is None else table, more.cast(self.table.schema)])

    def timeline(self, table: pa.Table) -> Timeline:
        """A log, read."""
        return EventLog.open(table, self.plan.roles).read()[0]

    def profile(self, timeline: Timeline, since: int, until: int) -> EventProfile:
        """The events of a stretch of time."""
        return profile_of(timeline, (since, until), action=self.plan.roles.action, actions=self.plan.actions)

    def cents(self) -> pa.Table:
        """Amounts a hundred times as large."""
        return self._with("amount", pc.multiply(self.table["amount"].combine_chunks(), 100.0))

    def blank(self, name: str = "category") -> pa.Table:
        """A column without values."""
        return self._with(name, pa.nulls(self.table.num_rows, self.table[name].type))

    def constant(self, name: str = "district") -> pa.Table:
        """A column with one value."""
        value = pc.drop_null(self.table[name])[0]
        return self._with(name, pa.array([value.as_py()] * self.table.num_rows, self.table[name].type))

    def clock(self, hours: float = 2) -> pa.Table:
        """Times that are off."""
        return self._with("ts", pa.array(self.at + int(hours * HOUR)).cast(self.table["ts"].type))

    def copies(self, share: float = 0.2) -> pa.Table:
        """Events that came twice, with new ids."""
        return self.copied(self.here & (np.random.default_rng(0).random(len(self.at)) < share))

    def hole(self, hours: int = 12, since: int = 2 * 24 + 6) -> pa.Table:
        """Hours without an event."""
        first = self.begin + since * HOUR
        return self.table.filter(pa.array((self.at < first) | (self.at >= first + hours * HOUR)))

    def recoded(self, name: str = "item") -> pa.Table:
        """Other codes for the same values."""
        return self._with(name, pc.binary_join_element_wise("new", self.table[name].combine_chunks(), "-"))

    def nameless(self, share: float = 0.05) -> pa.Table:
        """Rows without an entity."""
        lost = self.here & (np.random.default_rng(0).random(len(self.at)) < share)
        name = pc.if_else(pa.array(lost), pa.scalar(None, pa.string()), self.table["user_id"].combine_chunks())
        return self.table.set_column(self.table.column_names.index("user_id"), "user_id", name)

    def twice_the_rides(self) -> pa.Table:
        """Everyone rides twice as much: each ride again, somewhat later."""
        rides = pc.equal(self.table["action"], "ride").to_numpy(zero_copy_only=False)
        return self.copied(self.here & rides, later=47 * HOUR // 60)

    def wave(self, share: float = 0.5) -> pa.Table:
        """Newcomers who do what half of the users do."""
        names = self.table["user_id"].to_pylist()
        taken = self.here & np.array([hash_of(name) < share for name in names])
        new = pa.array([f"n{name}" for name, chosen in zip(names, taken, strict=True) if chosen])
        device = self.table.filter(pa.array(taken))["device"]
        return self.copied(taken, user_id=new, device=pc.binary_join_element_wise("n", device.combine_chunks(), ""))


def hash_of(name: str) -> float:
    """A number within [0, 1) that a name always has."""
    return int(name[1:]) * 2_654_435_761 % 2**32 / 2**32
