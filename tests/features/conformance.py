"""What every family of features has to keep, as checks that a broken family fails.

A check takes a :class:`Case` (one family, one width of window, one log) and raises ``AssertionError`` if the promise is
broken. ``CHECKS`` holds them all, so that a family named in ``FAMILIES`` is covered with no change here.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import FrozenInstanceError, asdict, dataclass, fields, is_dataclass, replace
from datetime import timedelta
from functools import cached_property

import numpy as np
from event_logs import DAY, Event, full_roles, rich_log, table_of, timeline_of
from plain_reference import midnight, rows_of, wall

from peculiar.features.events import EventLog
from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.families import FAMILIES
from peculiar.features.family import Annotator, FeatureFamily, Observer, Relator
from peculiar.features.plan import FeaturePlan
from peculiar.features.population import Keyed, Population
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec, snapshots_of
from peculiar.features.vectors import Vectors

ZONE = "Europe/Berlin"
HORIZON = 28


@dataclass(frozen=True)
class Case:
    """A family at the end of a plan that has all families before it, on the rich log."""

    families: tuple
    every: str
    peer_by: str | None = None

    @classmethod
    def of(cls, name: str, every: str) -> Case:
        """The case of a family in FAMILIES: it and those before it, which it may look at."""
        names = list(FAMILIES)
        return cls(tuple(FAMILIES[n]() for n in names[: names.index(name) + 1]), every)

    @property
    def family(self):
        """The family under test."""
        return self.families[-1]

    @cached_property
    def plan(self) -> FeaturePlan:
        """The plan that ends with the family."""
        known, windows = replace(full_roles(ZONE), peer_by=self.peer_by), WindowSpec(self.every, f"{HORIZON}d")
        uses = dict.fromkeys(("baskets", "shared", "risky"), known.dimensions)
        return FeaturePlan(known, windows, ("pay", "view", "login"), self.families, **uses)

    @cached_property
    def events(self) -> list[Event]:
        """The rich log."""
        return rich_log()

    @cached_property
    def timeline(self):
        """The rich log, sorted."""
        return troubled(self.events)

    @cached_property
    def population(self):
        """Fitted once, on the whole log."""
        return self.plan.fit(self.timeline)

    @cached_property
    def whole(self) -> Vectors:
        """The vectors of the whole log, which every variation is held against."""
        return self.plan.vectors(self.timeline, self.population, threads=1)

    @property
    def features(self) -> tuple:
        """The features of the family under test."""
        return tuple(f for f in self.plan.features if f.family == self.family.name)

    def vectors(self, events, threads: int = 1) -> Vectors:
        """The vectors of other events, with the same plan and population."""
        return self.plan.vectors(troubled(events), self.population, threads=threads)

    def partitions(self, parts: int) -> list:
        """The rich log in partitions of entities.

        Each is a log of its own, which knows of no other entity. For a family that looks across entities they are
        taken after the exchange, as whoever works in partitions has to.
        """
        users = sorted({event.user for event in self.events})
        if not isinstance(self.family, Annotator):
            split = [[e for e in self.events if users.index(e.user) % parts == n] for n in range(parts)]
            return [troubled(events) for events in split]
        exchanged = self.plan.annotated(self.timeline)
        return [exchanged.of_entities(np.arange(len(users)) % parts == n) for n in range(parts)]

    def instants(self, count: int = 4) -> list[int]:
        """Some ``as_of`` spread over the log."""
        found = np.unique(self.whole.as_of)
        return [int(found[int(place)]) for place in np.linspace(len(found) // 4, len(found) - 2, count)]

    def horizon_of(self, since: int) -> int:
        """The instant at which the horizon before a window begins."""
        if self.every == "1h":
            return since - HORIZON * DAY
        return midnight(wall(since, ZONE).date() - timedelta(days=HORIZON), ZONE)


def troubled(events):
    """The timeline of the events, about a fifth of which are known trouble at once or within two days."""
    timeline = timeline_of(events, ZONE)
    drawn = [zlib.crc32(event.id.encode()) for event in events]
    known = [e.at + n % 3 * DAY if n % 5 == 0 else NEVER for e, n in zip(events, drawn, strict=True)]
    return replace(timeline, notes={TROUBLE: np.array(known, np.int64)[timeline.row]})


def keyed(vectors: Vectors) -> list[tuple]:
    """The key of each row."""
    return list(zip(vectors.entity.to_pylist(), vectors.as_of.tolist(), strict=True))


def same(case: Case, got: Vectors, wanted: Vectors, when: str) -> None:
    """See that both have the same rows and the same bits in the columns of the family under test."""
    assert keyed(got) == keyed(wanted), f"{when}: other rows"
    for feature in case.features:
        ours, theirs = got.column(feature.name), wanted.column(feature.name)
        assert ours.tobytes() == theirs.tobytes(), f"{when}: {feature.name} differs"


def up_to(vectors: Vectors, as_of: int) -> Vectors:
    """The rows whose window has ended by then."""
    return vectors.take(vectors.as_of <= as_of)


def row_order(case: Case) -> None:
    """The order of rows changes nothing, neither in vectors nor in the population."""
    rng = np.random.default_rng(1)
    by_time = sorted(case.events, key=lambda event: event.at)
    shuffled = [case.events[i] for i in rng.permutation(len(case.events))]
    for name, events in (("sorted", by_time), ("reversed", by_time[::-1]), ("shuffled", shuffled)):
        same(case, case.vectors(events), case.whole, f"rows {name}")
        same_population(case.plan.fit(troubled(events)), case.population, f"rows {name}")


def partitions(case: Case) -> None:
    """Partitions of entities give together what the whole gives."""
    for parts in (2, len(case.timeline.entity)):
        split = case.partitions(parts)
        joined = Vectors.concat([case.plan.vectors(timeline, case.population, threads=1) for timeline in split])
        same(case, joined, case.whole, f"{parts} partitions")


def threads(case: Case) -> None:
    """The number of threads changes nothing, neither in vectors nor in the population."""
    for number in (2, 5):
        vectors = case.plan.vectors(case.timeline, case.population, threads=number)
        same(case, vectors, case.whole, f"{number} threads")
        same_population(case.plan.fit(case.timeline, threads=number), case.population, f"{number} threads")


def duplicates(case: Case) -> None:
    """Exact copies of events, told by their id, change nothing."""
    rng = np.random.default_rng(2)
    copies = [case.events[i] for i in rng.integers(0, len(case.events), len(case.events) // 2)]
    same(case, case.vectors([*copies, *case.events, *copies]), case.whole, "copies added")


def future(case: Case) -> None:
    """Events at or after ``as_of`` change nothing: taken away, altered, or joined by more."""
    for as_of in case.instants():
        past = [event for event in case.events if event.at < as_of]
        later = [event for event in case.events if event.at >= as_of]
        away = {"lat": -33.9, "lon": 151.2, "team": "new"}
        altered = [e._replace(at=e.at + 7, action="new", device=f"d {e.id}", amount=-5.0, **away) for e in later]
        users = sorted({event.user for event in case.events})
        at_once = [Event(user, as_of, f"now {user}", "pay", "x", 1e6, **away) for user in users]
        minutes = [(n, as_of + n * 60_000_000) for n in range(30)]
        crowd = [Event(u, at, f"{u} {n}", "view", f"y {n}", 9.0, n, -n) for n, at in minutes for u in users]
        wanted = up_to(case.whole, as_of)
        for name, more in (("taken away", []), ("altered", altered), ("added", [*later, *at_once, *crowd])):
            same(case, up_to(case.vectors(past + more), as_of), wanted, f"later events {name}")


def beyond_horizon(case: Case) -> None:
    """Events before the horizon change nothing: the horizon's events alone give the same bits."""
    for as_of in case.instants()[1:]:
        wanted = case.whole.take(case.whole.as_of == as_of)
        assert len(wanted), "nothing to compare"
        begin = case.horizon_of(int(wanted.since[0]))
        horizon = [event for event in case.events if begin <= event.at < as_of]
        old = [Event(e.user, e.at - 40 * DAY, f"old {e.id}", "pay", f"z {e.id}", 77.0, 1.0, 2.0, "x") for e in horizon]
        old = [event for event in old if event.at < begin]
        for name, more in (("taken away", []), ("replaced", old)):
            vectors = case.vectors(horizon + more)
            same(case, vectors.take(vectors.as_of == as_of), wanted, f"events before the horizon {name}")


def observed_counts(case: Case) -> None:
    """What the family observes of everyone is integer counts, and those of partitions add up to the whole's."""
    pieces = [case.plan.annotated(case.timeline), *case.partitions(3)]
    first = adding_up([observed(case, timeline) for timeline in pieces])
    adding_up([related(case, timeline, first) for timeline in pieces])


def observed(case: Case, timeline) -> Population:
    """What a family observes of some events in its first look."""
    if not isinstance(case.family, Observer):
        return Population()
    counts = case.family.observe(timeline, snapshots_of(timeline, case.plan.windows), case.plan.shape)
    return integers(counts)


def related(case: Case, timeline, first: Population) -> Population:
    """What it counts in its second look, knowing what everyone's first look came to."""
    if not isinstance(case.family, Relator):
        return Population()
    return integers(case.family.relate(timeline, snapshots_of(timeline, case.plan.windows), case.plan.shape, first))


def integers(counts) -> Population:
    """Counts as a population, if they are integers."""
    for name, count in counts.items():
        kind = (count.counts if isinstance(count, Keyed) else count).dtype
        assert kind == np.int64, f"{name} is {kind}"
    return Population.observed(counts)


def adding_up(populations: list[Population]) -> Population:
    """The first of them, if the others add up to it."""
    whole, *parts = populations
    total = Population()
    for part in parts:
        total = total.merged(part)
    assert set(total.counts) == set(whole.counts), "partitions observe other things"
    assert set(total.keyed) == set(whole.keyed), "partitions observe other things"
    for name, counts in whole.counts.items():
        assert np.array_equal(total.counts[name], counts), f"{name} of partitions do not add up"
    for name, counts in whole.keyed.items():
        same_keys = np.array_equal(total.keyed[name].keys, counts.keys)
        assert same_keys, f"{name} of partitions have other keys"
        assert np.array_equal(total.keyed[name].counts, counts.counts), f"{name} do not add up"
    return whole


def nulls(case: Case) -> None:
    """A feature that is never null never is; one that may be null is so somewhere in a log with every gap in it."""
    for feature in case.features:
        null = np.isnan(case.whole.column(feature.name))
        if feature.null == "never null":
            assert not null.any(), f"{feature.name} is never null, but is in {int(null.sum())} rows"
        else:
            assert null.any(), f"{feature.name} says when it is null, but never is"
            assert not null.all(), f"{feature.name} is always null"


def finite_float32(case: Case) -> None:
    """All values are float32, and finite where they are not null."""
    assert case.whole.values.dtype == np.float32
    for feature in case.features:
        column = case.whole.column(feature.name)
        assert not np.isinf(column).any(), f"{feature.name} is infinite"


def unique_keys(case: Case) -> None:
    """There is one row for each entity and window with an event, in the order of entity and time, and no other."""
    keys = keyed(case.whole)
    assert len(set(keys)) == len(keys), "a key comes twice"
    assert keys == sorted(keys), "rows are out of order"
    assert keys == [(row.entity, row.as_of) for row in rows_of(case.events, ZONE, case.every)]


def names(case: Case) -> None:
    """Names are unique, say what, how and over which window, and hold no blank at their ends."""
    windows = "|".join((case.every, *case.plan.windows.trailing))
    form = re.compile(rf"\S+(_\S+)*_({windows})((_[a-z]+)?_vs_[a-z]+)?")
    found = [feature.name for feature in case.plan.features]
    assert len(set(found)) == len(found), "a name comes twice"
    for feature in case.features:
        assert form.fullmatch(feature.name), f"{feature.name} is not <measure>_<statistic>_<window>[_vs_...]"


def documentation(case: Case) -> None:
    """Each feature tells its unit, its meaning in a sentence, its null, and how a reason speaks of it."""
    assert type(case.family).__doc__, "the family says nothing of itself"
    names = {feature.name for feature in case.plan.features}
    for feature in case.features:
        assert feature.family == case.family.name, f"{feature.name} says it is of {feature.family}"
        assert feature.unit.strip(), f"{feature.name} has no unit"
        assert feature.meaning[:1].isalnum(), f"{feature.name} has no meaning"
        assert feature.meaning.endswith("."), f"the meaning of {feature.name} is no sentence"
        assert feature.null.strip(), f"{feature.name} does not say what its null means"
        if feature.phrase:
            assert feature.phrase.count("{value}") == 1, f"the phrase of {feature.name} has no {{value}}"
            assert feature.told("7") == feature.phrase.replace("{value}", "7")
            assert feature.subject, f"{feature.name} has a phrase, but no subject"
        assert feature.base is None or feature.base in names, (
            f"{feature.name} judges {feature.base}, which is not there"
        )
        if feature.level:
            column = case.whole.column(feature.name)
            assert not (column < 0).any(), f"{feature.name} is a level, but negative"


def plain_settings(case: Case) -> None:
    """The family is a frozen dataclass whose settings survive JSON, with a name and a version."""
    family = case.family
    assert isinstance(family, FeatureFamily)
    assert is_dataclass(family), "not a dataclass"
    assert re.fullmatch(r"[a-z][a-z_]*", family.name), f"{family.name!r} is no name"
    assert isinstance(family.version, int), "the version is no whole number"
    assert type(family)(**json.loads(json.dumps(asdict(family)))) == family, "settings do not survive JSON"
    for setting in fields(family):
        try:
            setattr(family, setting.name, None)
        except FrozenInstanceError:
            continue
        raise AssertionError(f"{setting.name} can be changed")


def empty_log(case: Case) -> None:
    """A log without events gives no row, and a population that others can be merged with."""
    nothing = timeline_of([], ZONE)
    population = case.plan.fit(nothing)
    assert len(case.plan.vectors(nothing, population)) == 0
    same_population(population.merged(case.population), case.population, "merged with nothing")


def bare_log(case: Case) -> None:
    """A log of entities and times alone is enough: features that need more are absent, the rest keep their names."""
    bare = Roles("user", "at", time_zone=ZONE)
    timeline = EventLog.open(table_of(case.events).select(["user", "at"]), bare).read()[0]
    plan = FeaturePlan(bare, case.plan.windows, (), case.families)
    assert keyed(plan.vectors(timeline, plan.fit(timeline))) == keyed(case.whole)
    assert {f.name for f in plan.features} <= {f.name for f in case.plan.features}


def same_population(got, wanted, when: str) -> None:
    """See that two populations hold the same counts."""
    for kind in ("counts", "histograms"):
        ours, theirs = getattr(got, kind), getattr(wanted, kind)
        assert set(ours) == set(theirs), f"{when}: the population knows other {kind}"
        for name, counts in ours.items():
            assert np.array_equal(counts, theirs[name]), f"{when}: {kind} of {name} differ in the population"


CHECKS = {
    check.__name__: check
    for check in (
        row_order, partitions, threads, duplicates, future, beyond_horizon, observed_counts, nulls, finite_float32,
        unique_keys, names, documentation, plain_settings, empty_log, bare_log,
    )
}  # fmt: skip
