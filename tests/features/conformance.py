"""What every family of features has to keep, as checks that a broken family fails.

A check takes a :class:`Case` (one family among others, one kind of windows, one log) and raises ``AssertionError`` if
the promise is broken. ``CHECKS`` holds them all, so that a family named in ``FAMILIES`` is covered with no change here.
"""

from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass
from typing import TYPE_CHECKING

import numpy as np
from cases import WINDOWS, ZONE, Case
from event_logs import Event, table_of, timeline_of
from invariance import (
    beyond_horizon,
    duplicates,
    fitted,
    future,
    keyed,
    partitions,
    row_order,
    same_counts,
    served,
    threads,
    zones,
)

from peculiar.features.events import EventLog
from peculiar.features.family import FeatureFamily, Observer, Relator
from peculiar.features.plan import FeaturePlan
from peculiar.features.population import Keyed, Population
from peculiar.features.roles import Roles
from peculiar.features.snapshots import snapshots_of

if TYPE_CHECKING:
    from peculiar.features.vectors import Vectors

# What a unit says of a number. A unit that is not here, such as a robust z or an amount of money, may be any number.
SHARE, INDEX, AMOUNT = (0.0, 1.0), (-1.0, 1.0), (0.0, np.inf)
RANGES = {
    **dict.fromkeys(("share", "circular variance"), SHARE),
    **dict.fromkeys(("sine", "cosine", "index from -1 to 1"), INDEX),
    **dict.fromkeys(("events", "values", "cells", "windows", "entities", "rate"), AMOUNT),
    **dict.fromkeys(("seconds", "days", "km", "km/h", "bits"), AMOUNT),
}
WHOLE = ("events", "values", "cells", "windows")


def observed_counts(case: Case) -> None:
    """What the family observes of everyone is integer counts, and those of partitions add up to the whole's."""
    stage = case.stage
    whole = stage.once(("annotated",), lambda: stage.plan.annotated(stage.timeline))
    pieces = [whole, *stage.once(("pieces", case.exchanged), lambda: stage.partitions(3, exchanged=case.exchanged))]
    first = adding_up([observed(case, timeline) for timeline in pieces])
    adding_up([related(case, timeline, first) for timeline in pieces])


def observed(case: Case, timeline) -> Population:
    """What a family observes of some events in its first look."""
    if not isinstance(case.family, Observer):
        return Population()
    plan = case.stage.plan
    return integers(case.family.observe(timeline, snapshots_of(timeline, plan.windows), plan.shape))


def related(case: Case, timeline, first: Population) -> Population:
    """What it counts in its second look, knowing what everyone's first look came to."""
    if not isinstance(case.family, Relator):
        return Population()
    plan = case.stage.plan
    return integers(case.family.relate(timeline, snapshots_of(timeline, plan.windows), plan.shape, first))


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
    whole = case.columns(case.stage.whole)
    for feature in case.features:
        null = np.isnan(whole[feature.name])
        if feature.null == "never null":
            assert not null.any(), f"{feature.name} is never null, but is in {int(null.sum())} rows"
        else:
            assert null.any(), f"{feature.name} says when it is null, but never is"
            assert not null.all(), f"{feature.name} is always null"


def hollow_log(case: Case) -> None:
    """A log whose columns are all null, but for entity, time and id, has its rows; what is never null still is not."""
    stage = case.stage
    nothing = dict.fromkeys(set(Event._fields) - {"user", "at", "id"})

    def hollow() -> Vectors:
        timeline = stage.troubled([event._replace(**nothing) for event in stage.events])
        return stage.plan.vectors(timeline, stage.plan.fit(timeline))

    columns = case.columns(stage.once(("hollow",), hollow))
    for feature in case.features:
        column = columns[feature.name]
        assert len(column), "no row"
        assert not np.isinf(column).any(), f"{feature.name} is infinite in a hollow log"
        never = feature.null == "never null"
        assert not (never and np.isnan(column).any()), f"{feature.name} is never null, but is in a hollow log"


def finite_float32(case: Case) -> None:
    """All values are float32, and finite where they are not null."""
    assert case.stage.whole.values.dtype == np.float32
    for name, column in case.columns(case.stage.whole).items():
        assert not np.isinf(column).any(), f"{name} is infinite"


def ranges(case: Case) -> None:
    """A number is one that its unit can be: a share lies between 0 and 1, a count is whole and not negative."""
    whole = case.columns(case.stage.whole)
    for feature in case.features:
        values = whole[feature.name][~np.isnan(whole[feature.name])]
        lo, hi = RANGES.get(feature.unit, (-np.inf, np.inf))
        assert ((values >= lo) & (values <= hi)).all(), f"{feature.name} in {feature.unit} is not from {lo} to {hi}"
        if feature.unit in WHOLE:
            assert (values == np.floor(values)).all(), f"{feature.name} counts {feature.unit}, but is not whole"


def unique_keys(case: Case) -> None:
    """There is one row for each window with an event, in the order of entity and time, and no other.

    Where windows are no days or hours the key has the window's last event in it.
    """
    stage, whole = case.stage, case.stage.whole
    last = [stage.events[row].id for row in whole.last]
    calendar = WINDOWS[stage.every].calendar
    keys = keyed(whole) if calendar else [(*key, event) for key, event in zip(keyed(whole), last, strict=True)]
    assert len(set(keys)) == len(keys), "a key comes twice"
    assert keyed(whole) == sorted(keyed(whole)), "rows are out of order"
    told = list(zip(*keyed_columns(whole), last, strict=True))
    assert told == [(row.entity, row.since, row.as_of, _last(row.now)) for row in stage.rows]


def keyed_columns(vectors: Vectors) -> tuple[list, list, list]:
    """Entity, beginning and end of each window."""
    return vectors.entity.to_pylist(), vectors.since.tolist(), vectors.as_of.tolist()


def _last(events: list[Event]) -> str | None:
    return events[-1].id


def names(case: Case) -> None:
    """Names are unique, say what, how and over which window, and hold no blank at their ends."""
    plan = case.stage.plan
    windows = "|".join((plan.shape.window, *plan.shape.trailing, "event"))
    form = re.compile(rf"\S+(_\S+)*_({windows})((_[a-z]+)?_vs_[a-z]+)?")
    found = [feature.name for feature in plan.features]
    assert len(set(found)) == len(found), "a name comes twice"
    for feature in case.features:
        assert form.fullmatch(feature.name), f"{feature.name} is not <measure>_<statistic>_<window>[_vs_...]"


def documentation(case: Case) -> None:
    """Each feature tells its unit, its meaning in a sentence, its null, and how a reason speaks of it."""
    assert type(case.family).__doc__, "the family says nothing of itself"
    names, whole = [feature.name for feature in case.stage.plan.features], case.columns(case.stage.whole)
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
        before = names[: names.index(feature.name)]
        assert feature.base is None or feature.base in before, (
            f"{feature.name} judges {feature.base}, which is not there"
        )
        if feature.level:
            assert not (whole[feature.name] < 0).any(), f"{feature.name} is a level, but negative"


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
    stage = case.stage

    def merged() -> Population:
        nothing = timeline_of([], ZONE, stage.roles())
        population = stage.plan.fit(nothing)
        assert len(stage.plan.vectors(nothing, population)) == 0
        return population.merged(stage.population)

    same_counts(case, fitted(stage, ("nothing",), merged), "merged with nothing")


def bare_log(case: Case) -> None:
    """A log of entities and times alone is enough: features that need more are absent, the rest keep their names.

    Where windows go by a column it is there too.
    """
    stage = case.stage
    named = ("session",) if stage.every == "session" else ()

    def bare() -> Vectors:
        known = Roles("user", "at", dimensions=named, time_zone=ZONE)
        timeline = EventLog.open(table_of(stage.events, sessions=True).select(["user", "at", *named]), known).read()[0]
        plan = FeaturePlan(known, stage.plan.windows, (), stage.families)
        return plan.vectors(timeline, plan.fit(timeline))

    vectors = stage.once(("bare",), bare)
    if WINDOWS[stage.every].by is None:  # without ids the order within one instant is another, and so are some runs
        assert keyed(vectors) == keyed(stage.whole)
    ours = {feature.name for feature in vectors.features if feature.family == case.name}
    assert ours <= {feature.name for feature in case.features}


CHECKS = {
    check.__name__: check
    for check in (
        row_order, partitions, threads, duplicates, future, beyond_horizon, served, zones, observed_counts, nulls,
        hollow_log, finite_float32, ranges, unique_keys, names, documentation, plain_settings, empty_log, bare_log,
    )
}  # fmt: skip
