"""The plan is data, and its fingerprint covers every definition."""

# ruff: noqa: ARG002, D102 - families made up here keep the signatures that the protocol describes

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from event_logs import Event, full_roles, instant, rich_log, roles, table_of, timeline_of

from peculiar.errors import PlanMismatchError
from peculiar.features.events import EventLog
from peculiar.features.families import FAMILIES, Baseline, Breadth, Timing, Velocity, Volume
from peculiar.features.family import Feature
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec

PLAN = FeaturePlan(roles(), WindowSpec(), ("pay", "view"))


def test_the_default_plan_has_every_family_in_order():
    """A plan made for a log has all families in the order of FAMILIES and the log's actions, the commonest first."""
    timeline = timeline_of(rich_log())
    plan = FeaturePlan.for_log(timeline, roles())
    assert [family.name for family in plan.families] == list(FAMILIES)
    assert plan.actions[0] == "pay"
    assert set(plan.actions) == {"pay", "view", "login"}
    assert list(plan.by_family) == list(FAMILIES)
    assert FeaturePlan.for_log(timeline, Roles("user", "at")).actions == ()


def test_actions_are_the_commonest_and_ties_go_by_name():
    """At most sixteen actions get a count of their own; equally common ones are chosen by name, not by row."""
    events = [Event("ann", instant("2025-03-01") + n, str(n), f"a{n % 20:02}", None, None) for n in range(41)]
    for rows in (events, events[::-1]):
        assert FeaturePlan.for_log(timeline_of(rows), roles()).actions == tuple(f"a{n:02}" for n in range(16))


def test_a_plan_survives_json():
    """A plan written to JSON and read back is equal, with the same fingerprint and the same features."""
    families = (Volume(), Timing(prior_events=3.0), Baseline(prior_windows=9.0))
    plan = FeaturePlan(roles("Europe/Berlin"), WindowSpec("1h", "14d"), ("pay",), families)
    back = FeaturePlan.from_json(plan.to_json())
    assert back == plan
    assert back.fingerprint == plan.fingerprint
    assert back.features == plan.features


@dataclass(frozen=True)
class NewerVolume(Volume):
    """Volume after a change of definition."""

    version: ClassVar[int] = Volume.version + 1


@dataclass(frozen=True)
class Reworded(Volume):
    """Volume with one text or name of its first feature changed."""

    def features(self, shape, before):
        first, *rest = super().features(shape, before)
        return (replace(first, **{self.field: self.text}), *rest)

    field: ClassVar[str] = ""
    text: ClassVar[str] = "something else {value}"


REWORDED = {
    name: type(f"Reworded_{name}", (Reworded,), {"field": name})
    for name in ("name", "unit", "meaning", "null", "phrase", "base", "subject")
}
CHANGES = {
    "setting of a family": {"families": (Volume(), Timing(prior_events=13.0))},
    "version of a family": {"families": (NewerVolume(), Timing())},
    "fewer families": {"families": (Volume(),)},
    "order of families": {"families": (Timing(), Volume())},
    "width of the window": {"windows": WindowSpec("1h")},
    "horizon": {"windows": WindowSpec("1d", "14d")},
    "actions": {"actions": ("pay",)},
    "order of actions": {"actions": ("view", "pay")},
    "entity": {"roles": replace(roles(), entity="card")},
    "time zone": {"roles": roles("Europe/Berlin")},
    "dimensions": {"roles": replace(roles(), dimensions=("action", "shop"))},
    "measures": {"roles": replace(roles(), measures=())},
    "place": {"roles": replace(roles(), place=("lat", "lon"))},
    "what makes peers": {"roles": replace(roles(), peer_by="team")},
    "audited attributes": {"roles": replace(roles(), audit_only=("gender",))},
    **{f"{name} of a feature": {"families": (made(), Timing())} for name, made in REWORDED.items()},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_covers_every_definition(change):
    """Whatever can change a vector, or what is said of it, changes the fingerprint."""
    plan = FeaturePlan(roles(), WindowSpec(), ("pay", "view"), (Volume(), Timing()))
    assert replace(plan, **CHANGES[change]).fingerprint != plan.fingerprint


def test_the_fingerprint_is_that_of_the_definition_alone():
    """Two plans made alike have one fingerprint, of 16 hexadecimal digits."""
    again = FeaturePlan(roles(), WindowSpec("1d", "28d"), ("pay", "view"))
    assert again.fingerprint == PLAN.fingerprint
    assert len(PLAN.fingerprint) == 16
    assert int(PLAN.fingerprint, 16) >= 0


def test_names_are_unique():
    """No two features of any plan share a name, whatever the window."""
    for every in ("1d", "1h"):
        names = [feature.name for feature in FeaturePlan(roles(), WindowSpec(every), ("pay",)).features]
        assert len(names) == len(set(names)) > 20


def test_features_that_would_share_a_name_are_refused():
    """An action called "events" would have the name of the count of all events: refused, with the way out."""
    with pytest.raises(PlanMismatchError, match=r"events_count_1d.* comes twice; rename a column of the log"):
        _ = FeaturePlan(roles(), WindowSpec(), ("events",)).features


def altered(**changes):
    """The plan's JSON with some keys replaced."""
    return json.dumps({**json.loads(PLAN.to_json()), **changes})


def test_a_plan_of_other_definitions_is_refused():
    """A saved plan whose definitions this version has changed is refused, both fingerprints told."""
    with pytest.raises(
        PlanMismatchError, match=f"with other definitions .*{'0' * 16}, now {PLAN.fingerprint}.* train again"
    ):
        FeaturePlan.from_json(altered(fingerprint="0" * 16))
    with pytest.raises(PlanMismatchError, match="with other definitions"):
        FeaturePlan.from_json(altered(actions=["pay"]))


def test_a_plan_this_version_cannot_know_is_refused():
    """A saved plan of another format, with an unknown family, or with an unknown setting is refused."""
    with pytest.raises(PlanMismatchError, match=r"expected a plan of format 2 .* got format 3"):
        FeaturePlan.from_json(altered(format=3))
    with pytest.raises(PlanMismatchError, match=r"with families among volume, .* unknown families .*karma"):
        FeaturePlan.from_json(altered(families=[{"name": "karma", "version": 1, "settings": {}}]))
    with pytest.raises(PlanMismatchError, match=r"a setting that this version does not know: .*colour"):
        FeaturePlan.from_json(altered(families=[{"name": "volume", "version": 1, "settings": {"colour": "red"}}]))


def test_events_without_a_column_of_the_plan_are_refused():
    """Vectors cannot be built from events that were read without a column that the plan needs."""
    timeline, _, _ = EventLog.open(table_of(rich_log()), Roles("user", "at", dimensions=("action",))).read()
    with pytest.raises(
        PlanMismatchError, match="needs the columns device, amount, which these events were read without"
    ):
        PLAN.fit(timeline)


def test_a_population_of_another_plan_is_refused():
    """A population that was fitted without the levels that a family judges is refused."""
    timeline = timeline_of(rich_log())
    other = FeaturePlan(roles(), WindowSpec(), (), (Timing(),)).fit(timeline)
    with pytest.raises(PlanMismatchError, match="the population knows no feature 'events_count_1d'"):
        PLAN.vectors(timeline, other)


def test_the_population_knows_every_feature():
    """Fitting leaves a histogram of each feature, which counts each value of the training period once."""
    timeline = timeline_of(rich_log())
    population = PLAN.fit(timeline)
    vectors = PLAN.vectors(timeline, population)
    assert list(population.histograms) == vectors.names
    for name, counts in population.histograms.items():
        assert counts.sum() == np.count_nonzero(~np.isnan(vectors.column(name)))


def test_vectors_carry_the_plan_and_the_windows():
    """Vectors bear the plan's fingerprint and features; each key is an entity and the end of a day it was active on."""
    timeline = timeline_of(rich_log())
    vectors = PLAN.vectors(timeline, PLAN.fit(timeline))
    assert vectors.plan == PLAN.fingerprint
    assert vectors.features == PLAN.features
    assert vectors.values.shape == (len(PLAN.features), len(vectors))
    assert len(vectors) == len({(event.user, event.at // 86_400_000_000) for event in rich_log()})


def test_progress_tells_each_family_and_ends_at_one():
    """Progress names the families in order; the share of work rises to 1."""
    timeline, told = timeline_of(rich_log()), []
    PLAN.vectors(timeline, PLAN.fit(timeline), progress=lambda name, share: told.append((name, share)))
    assert [name for name, _ in told] == list(FAMILIES)
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_family_that_has_no_use_emits_nothing():
    """Breadth of a log without dimensions has no column and harms nobody."""
    bare = Roles("user", "at")
    timeline, _, _ = EventLog.open(pa.table({"user": ["a"], "at": ["2025-03-01T00:00:00Z"]}), bare).read()
    plan = FeaturePlan(bare, WindowSpec(), (), (Volume(), Breadth(), Velocity()))
    assert plan.by_family["breadth"] == ()
    assert len(plan.vectors(timeline, plan.fit(timeline))) == 1


@dataclass(frozen=True)
class Idle:
    """A family that fills nothing."""

    name: ClassVar[str] = "idle"
    version: ClassVar[int] = 1

    def features(self, shape, before):
        return (Feature("idle_count_1d", "idle", "events", "Nothing.", "always", ""),)

    def observe(self, timeline, snapshots, shape):
        return {"idle.events": np.array([len(timeline)], np.int64)}

    def fill(self, columns, context):
        assert set(context.earlier) == {feature.name for feature in context_before}
        assert context.levels == tuple(feature.name for feature in context_before if feature.level)


context_before = FeaturePlan(roles(), WindowSpec(), ("pay", "view"), (Volume(),)).features


def test_what_is_not_filled_is_null_and_what_came_before_is_seen():
    """A column that a family leaves alone is null; a family sees the columns before it, and its counts are kept."""
    plan = FeaturePlan(roles(), WindowSpec(), ("pay", "view"), (Volume(), Idle()))
    timeline = timeline_of(rich_log())
    population = plan.fit(timeline)
    assert np.isnan(plan.vectors(timeline, population).column("idle_count_1d")).all()
    assert population.counts["idle.events"].tolist() == [len(timeline)]


@pytest.mark.parametrize("windows", [WindowSpec(), WindowSpec("1h", "7d"), WindowSpec("event")])
def test_the_latest_and_the_last_windows_are_rows_of_all(windows):
    """Asked for alone, windows after an instant and each entity's last have the bits that a build of all gives them."""
    timeline = timeline_of(rich_log(), known=full_roles())
    plan = FeaturePlan.for_log(timeline, full_roles(), windows)
    population = plan.fit(timeline)
    whole, middle = plan.vectors(timeline, population), instant("2025-04-01")
    latest = plan.vectors(timeline, population, since=middle)
    expected = whole.take(whole.as_of > middle)
    assert len(latest) == len(expected) > 0
    assert latest.values.tobytes() == expected.values.tobytes()
    ends = np.append(np.diff(whole.entity.indices.to_numpy()) != 0, True)
    for since, rows in ((None, ends), (middle, ends & (whole.as_of > middle))):
        last = plan.vectors(timeline, population, since=since, last=True)
        assert last.as_of.tobytes() == whole.as_of[rows].tobytes()
        assert last.values.tobytes() == whole.take(rows).values.tobytes()


@dataclass(frozen=True)
class Gaps:
    """A family that fills in whether its columns lie apart in memory, as those of a part of the rows do."""

    name: ClassVar[str] = "gaps"
    version: ClassVar[int] = 1

    def features(self, shape, before):
        return tuple(Feature(f"gaps_{name}", "gaps", "events", "Nothing.", "never null", "") for name in "ab")

    def fill(self, columns, context):
        columns[:] = not columns.flags.c_contiguous


@dataclass(frozen=True)
class Thread:
    """A family that fills in whether a thread of its own does it."""

    name: ClassVar[str] = "thread"
    version: ClassVar[int] = 1

    def features(self, shape, before):
        return (Feature("thread", "thread", "events", "Nothing.", "never null", ""),)

    def fill(self, columns, context):
        columns[:] = threading.current_thread() is not threading.main_thread()


@pytest.mark.parametrize("small", [200_000, 1])
def test_a_small_log_takes_one_thread(monkeypatch, small):
    """Unless told otherwise the caller's own thread builds the vectors of a small log, and others those of a large."""
    monkeypatch.setattr("peculiar.features.plan._SMALL", small)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    plan = FeaturePlan(roles(), WindowSpec(), ("pay", "view"), (Thread(),))
    timeline = timeline_of(rich_log())
    population = plan.fit(timeline)
    assert set(plan.vectors(timeline, population).column("thread")) == {float(small == 1)}
    assert set(plan.vectors(timeline, population, threads=2).column("thread")) == {1.0}


@pytest.mark.parametrize("users", ["a", "ab", "abc"])
def test_kernels_are_compiled_for_one_layout(users):
    """A log that is one part and a log of many ask for the same machine code; the vectors are columns without gaps."""
    plan = FeaturePlan(roles(), WindowSpec(), ("pay", "view"), (Gaps(),))
    days = ("2025-03-01", "2025-03-02")
    timeline = timeline_of([Event(user, instant(day), None, "pay", "d1", 1.0) for user in users for day in days])
    vectors = plan.vectors(timeline, plan.fit(timeline))
    assert (vectors.values == 1.0).all()
    assert vectors.values.shape == (2, 2 * len(users))
    assert vectors.values.flags.c_contiguous
