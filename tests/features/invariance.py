"""Checks that what must not change a vector does not: order, partitions, threads, copies, the future, the far past.

The variation of the log is built once for all families of a stage; each check compares the columns of its own family.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from cases import Case, Stage, prints
from event_logs import DAY, HOUR, Event

from peculiar.features.population import Population
from peculiar.features.vectors import Vectors


def keyed(vectors: Vectors) -> list[tuple]:
    """The key of each row; where two windows of an entity end at one instant it comes twice, in their order."""
    return list(zip(vectors.entity.to_pylist(), vectors.as_of.tolist(), strict=True))


def same(case: Case, got: Vectors, wanted: Vectors, when: str) -> None:
    """See that both have the same rows and the same bits in the columns of the family under test."""
    assert keyed(got) == keyed(wanted), f"{when}: other rows"
    same_bits(case, got, wanted, when)


def same_bits(case: Case, got: Vectors, wanted: Vectors, when: str) -> None:
    """See that the columns of the family under test have the same bits."""
    theirs = case.columns(wanted)
    for name, ours in case.columns(got).items():
        assert ours.tobytes() == theirs[name].tobytes(), f"{when}: {name} differs"


def same_counts(case: Case, got: dict, when: str) -> None:
    """See that a population's fingerprints are, for the family under test, those of the whole log's."""
    ours, wanted = case.own(got), case.own(fitted(case.stage, ("whole",), lambda: case.stage.population))
    assert set(ours) == set(wanted), f"{when}: the population knows other counts"
    for (kind, name), told in wanted.items():
        assert ours[kind, name] == told, f"{when}: {kind} of {name} differ in the population"


def fitted(stage: Stage, variation: tuple, make) -> dict:
    """The fingerprints of a population, fitted once for all families."""
    return stage.once(("fitted", *variation), lambda: prints(make()))


def row_order(case: Case) -> None:
    """The order of rows changes nothing, neither in vectors nor in the population; nor does that of equal times."""
    stage, rng = case.stage, np.random.default_rng(1)
    by_time = sorted(stage.events, key=lambda event: event.at)
    shuffled = [stage.events[i] for i in rng.permutation(len(stage.events))]
    for name, events in (("sorted", by_time), ("reversed", by_time[::-1]), ("shuffled", shuffled)):
        same(case, stage.vectors(("order", name), lambda: events), stage.whole, f"rows {name}")  # noqa: B023
        counts = fitted(stage, ("order", name), lambda: stage.plan.fit(stage.troubled(events)))  # noqa: B023
        same_counts(case, counts, f"rows {name}")


def partitions(case: Case) -> None:
    """Partitions of entities give together what the whole gives: no entity changes another's vectors."""
    stage, exchanged = case.stage, case.exchanged
    for parts in (2, len(stage.timeline.entity)):

        def joined() -> Vectors:
            split = stage.partitions(parts, exchanged=exchanged)  # noqa: B023
            return Vectors.concat([stage.of_timeline(timeline) for timeline in split])

        same(case, stage.once(("parts", parts, exchanged), joined), stage.whole, f"{parts} partitions")


def threads(case: Case) -> None:
    """The number of threads changes nothing, neither in vectors nor in the population."""
    stage = case.stage
    for number in (2, 5):
        vectors = stage.once(("threads", number), lambda: stage.of_timeline(stage.timeline, number))  # noqa: B023
        same(case, vectors, stage.whole, f"{number} threads")
        counts = fitted(stage, ("threads", number), lambda: stage.plan.fit(stage.timeline, threads=number))  # noqa: B023
        same_counts(case, counts, f"{number} threads")


def duplicates(case: Case) -> None:
    """Exact copies of events, told by their id, change nothing."""
    stage, rng = case.stage, np.random.default_rng(2)
    copies = [stage.events[i] for i in rng.integers(0, len(stage.events), len(stage.events) // 2)]
    vectors = stage.vectors(("copies",), lambda: [*copies, *stage.events, *copies])
    same(case, vectors, stage.whole, "copies added")


def future(case: Case) -> None:
    """Events at or after ``as_of`` change nothing: taken away, altered, or joined by more."""
    stage = case.stage
    for as_of in stage.instants():
        wanted = settled(stage, stage.whole, as_of)
        for name in ("taken away", "altered", "added"):
            vectors = stage.vectors(("future", as_of, name), lambda: with_future(stage, as_of, name))  # noqa: B023
            same(case, settled(stage, vectors, as_of), wanted, f"later events {name}")


def with_future(stage: Stage, as_of: int, what: str) -> list[Event]:
    """The events before an instant, and what is to come after it; none of it goes on with a session from before."""
    past = [event for event in stage.events if event.at < as_of]
    later = [event for event in stage.events if event.at >= as_of]
    away = {"lat": -33.9, "lon": 151.2, "team": "new", "session": "new"}
    if what == "taken away":
        return past
    if what == "altered":
        altered = {"action": "new", "amount": -5.0, **away}
        return past + [e._replace(at=e.at + 7, device=f"d {e.id}", **altered) for e in later]
    users = sorted({event.user for event in stage.events})
    at_once = [Event(user, as_of, f"now {user}", "pay", "x", 1e6, **away) for user in users]
    minutes = [(n, as_of + n * 60_000_000) for n in range(30)]
    crowd = [Event(u, at, f"{u} {n}", "view", f"y {n}", 9.0, n, -n, session="new") for n, at in minutes for u in users]
    return [*past, *later, *at_once, *crowd]


def settled(stage: Stage, vectors: Vectors, as_of: int) -> Vectors:
    """The rows whose window has ended by then; a run that what follows cuts short has not ended."""
    ended = vectors.as_of <= as_of
    if stage.every == "session":
        known = stage.once(("runs",), lambda: {(row.entity, row.since, row.as_of) for row in stage.rows})
        keys = zip(vectors.entity.to_pylist(), vectors.since.tolist(), vectors.as_of.tolist(), strict=True)
        ended &= np.array([key in known for key in keys], np.bool_)
    return vectors.take(ended)


def beyond_horizon(case: Case) -> None:
    """Events before the horizon change nothing: the horizon's events alone give the same bits."""
    stage = case.stage
    for begin in stage.beginnings():
        for name in ("taken away", "replaced"):
            vectors = stage.vectors(("past", begin, name), lambda: with_past(stage, begin, name))  # noqa: B023
            same_since(case, vectors, begin, f"events before the horizon {name}")


def same_since(case: Case, got: Vectors, begin: int, when: str) -> None:
    """See that the rows whose horizon does not reach back before an instant are the same."""
    stage = case.stage
    wanted = stage.whole.take(stage.horizons(stage.whole) >= begin)
    assert len(wanted), "nothing to compare"
    same(case, got.take(stage.horizons(got) >= begin), wanted, when)


def with_past(stage: Stage, begin: int, what: str) -> list[Event]:
    """The events from an instant on, alone or after other ones.

    A run of one session that has begun before that and goes on is kept whole, as scoring keeps it: cut short, it would
    look like another run.
    """
    cuts = {event.user: begin for event in stage.events}
    reaching = [row for row in stage.rows if row.since < begin < row.as_of] if stage.every == "session" else []
    cuts |= {row.entity: row.since for row in reaching}
    kept = [event for event in stage.events if event.at >= cuts[event.user]]
    assert len(kept) < len(stage.events), "nothing lies before the horizon"
    if what == "taken away":
        return kept
    old = [Event(e.user, e.at - 40 * DAY, f"old {e.id}", "pay", f"z {e.id}", 77.0, 1.0, 2.0, "x") for e in kept]
    return kept + [event._replace(session="old") for event in old if event.at < cuts[event.user]]


def served(case: Case) -> None:
    """Serving gives the bits of training, with the settings and the population of a file and the horizon's events."""
    stage = case.stage

    def elsewhere(begin: int) -> Vectors:
        families = [type(f)(**json.loads(json.dumps(asdict(f)))) for f in stage.families]
        plan = stage.plan_of(tuple(families))
        assert plan.fingerprint == stage.plan.fingerprint, "the plan has another fingerprint elsewhere"
        with tempfile.TemporaryDirectory() as folder:
            stage.population.save(Path(folder) / "population.arrow")
            population = Population.load(Path(folder) / "population.arrow")
        return plan.vectors(stage.troubled(with_past(stage, begin, "taken away")), population, threads=2)

    begin = stage.beginnings()[0]
    same_since(case, stage.once(("served",), lambda: elsewhere(begin)), begin, "served")


def zones(case: Case) -> None:
    """Clocks three hours ahead are the same as events three hours later: days and hours are those of the zone."""
    stage, ahead = case.stage, 3 * HOUR
    later = [event._replace(at=event.at + ahead) for event in stage.events]
    there = stage.once(("zone",), lambda: fitted_in(stage, stage.events, "Etc/GMT-3"))
    here = stage.once(("no zone",), lambda: fitted_in(stage, later, "UTC"))
    assert [(user, at + ahead) for user, at in keyed(there)] == keyed(here), "in another zone: other rows"
    same_bits(case, there, here, "in another zone")


def fitted_in(stage: Stage, events, zone: str) -> Vectors:
    """The vectors of events in a zone, held against themselves."""
    plan, timeline = stage.plan_of(stage.families, zone), stage.troubled(events, zone)
    return plan.vectors(timeline, plan.fit(timeline))
