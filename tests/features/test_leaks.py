"""The check for leaks: families that know the future are caught and named, those that do not pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from event_logs import DAY, HOUR, Event, instant, rich_log, roles, table_of, timeline_of

from peculiar.errors import LeakageError, SchemaError
from peculiar.features.events import EventLog
from peculiar.features.exchange import NEVER, TROUBLE
from peculiar.features.families import FAMILIES
from peculiar.features.family import Feature
from peculiar.features.leaks import check_leaks, check_timeline
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

WINDOWS = {
    "1d": WindowSpec(),
    "1h": WindowSpec("1h"),
    "event": WindowSpec("event"),
    "by device": WindowSpec(by="device"),
}


def one(name: str, window: str) -> tuple[Feature, ...]:
    """One feature of a family."""
    return (Feature(f"{name}_{window}", name, "events", "A planted leak.", "never null", ""),)


@dataclass(frozen=True)
class Foresight:
    """Counts what its own entity does after the window."""

    name: ClassVar[str] = "foresight"
    version: ClassVar[int] = 1

    def features(self, shape, before):  # noqa: ARG002
        """One."""
        return one("foresight", shape.window)

    def fill(self, columns, context):
        """How many events of the entity come after."""
        snapshots = context.snapshots
        columns[0] = context.timeline.first[snapshots.entity + 1] - snapshots.stop


@dataclass(frozen=True)
class NextTie:
    """Looks at the next event of its entity, if that bears the same time."""

    name: ClassVar[str] = "next_tie"
    version: ClassVar[int] = 1

    def features(self, shape, before):  # noqa: ARG002
        """One."""
        return one("next_tie", shape.window)

    def fill(self, columns, context):
        """Whether there is one."""
        timeline, stop = context.timeline, context.snapshots.stop
        own = stop < timeline.first[context.snapshots.entity + 1]
        at = timeline.at[np.minimum(stop, len(timeline) - 1)]
        columns[0] = own & (at == timeline.at[stop - 1])


@dataclass(frozen=True)
class Crowd:
    """Counts, for each event, the events of all entities at its device: also those that come later."""

    name: ClassVar[str] = "crowd"
    version: ClassVar[int] = 1

    def features(self, shape, before):  # noqa: ARG002
        """One."""
        return one("crowd", shape.window)

    def annotate(self, timeline, shape, windows):  # noqa: ARG002
        """Everybody's events at the device, whenever."""
        codes = timeline.dimensions["device"]
        counts = np.bincount(codes.codes + 1, minlength=len(codes.values) + 1)
        return {"crowd.device": counts[codes.codes + 1].astype(np.float32)}

    def fill(self, columns, context):
        """The count at the last event."""
        columns[0] = context.timeline.notes["crowd.device"][context.snapshots.stop - 1]


@dataclass(frozen=True)
class EarlyNews:
    """Counts its entity's troubles from the moment they happened; if patient, from when they were known."""

    patient: bool = False

    name: ClassVar[str] = "early_news"
    version: ClassVar[int] = 1

    def features(self, shape, before):  # noqa: ARG002
        """One."""
        return one("early_news", shape.window)

    def fill(self, columns, context):
        """Troubles among the events of the window."""
        known, snapshots = context.timeline.notes[TROUBLE], context.snapshots
        for row, (start, stop, as_of) in enumerate(zip(snapshots.start, snapshots.stop, snapshots.as_of, strict=True)):
            columns[0, row] = np.count_nonzero(known[start:stop] < (as_of if self.patient else NEVER))


def planned(leaky, windows: WindowSpec = WINDOWS["1d"]) -> FeaturePlan:
    """A plan of two honest families and a planted one."""
    return FeaturePlan(roles(), windows, ("pay",), (FAMILIES["volume"](), leaky, FAMILIES["timing"]()))


def with_news(timeline, delay: int):
    """The timeline with a trouble at every fourth event, known after a delay."""
    known = np.where(np.arange(len(timeline)) % 4 == 0, timeline.at + delay, NEVER)
    return replace(timeline, notes={TROUBLE: known})


@pytest.fixture(scope="module")
def log():
    """The rich log."""
    return EventLog.open(table_of(rich_log()), roles())


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_no_family_knows_the_future(log, windows):
    """Every family of the default plan, on both clocks and all kinds of windows, gives the same bits."""
    timeline = with_news(log.read()[0], 5 * DAY)
    report = check_timeline(timeline, FeaturePlan.for_log(timeline, log.roles, windows), rows=60, seed=1)
    assert report.ok, str(report)
    assert report.clocks == ("at", "known_at")
    assert report.vectors >= 50
    report.check()


@pytest.mark.parametrize("leaky", [Foresight(), Crowd()], ids=lambda family: family.name)
@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_a_planted_leak_is_caught_and_named(log, windows, leaky):
    """Foresight of the own entity, and of others through a note, is found; the honest families beside it are not."""
    report = check_leaks(log, planned(leaky, windows), rows=60)
    name = f"{leaky.name}_{windows.name}"
    assert [(leak.feature, leak.family) for leak in report.leaks] == [(name, leaky.name)]
    assert set(report.leaks[0].differ) <= {"deleted", "altered", "shuffled"}
    assert report.leaks[0].differ["deleted"] > 10
    assert f"LEAK  {leaky.name}: {name} differs" in str(report)
    with pytest.raises(LeakageError, match=rf"1 of \d+ features know of the future: {name} \({leaky.name}\)"):
        report.check()


def test_a_later_event_of_another_entity_is_a_leak():
    """Nothing later happens to ann herself: what she learns of the future, she learns of bob, who takes her device."""
    at = instant("2025-03-01T08:00")
    ann = [Event("ann", at + n * DAY, f"a{n}", "pay", "phone", 1.0) for n in range(10)]
    bob = [Event("bob", at + n * DAY + HOUR, f"b{n}", "pay", "phone", 1.0) for n in range(10)]
    for every in ("1d", "event"):
        report = check_timeline(timeline_of([*ann, *bob]), planned(Crowd(), WindowSpec(every)), rows=20)
        assert [leak.family for leak in report.leaks] == ["crowd"]


def test_the_order_within_an_instant_is_kept_from_vectors():
    """With one vector per event a feature that looks at the next event of the same instant is caught."""
    events = [Event("ann", instant("2025-03-01") + n // 3 * HOUR, f"{n}", "pay", "x", 1.0) for n in range(90)]
    report = check_timeline(timeline_of(events), planned(NextTie(), WINDOWS["event"]))
    assert report.ties
    assert [leak.family for leak in report.leaks] == ["next_tie"]


@pytest.mark.parametrize(("patient", "caught"), [(False, ["early_news"]), (True, [])])
def test_trouble_counts_from_when_it_was_known(log, patient, caught):
    """Trouble used before it was known is a leak, though its event lies in the past; waiting for the news is none."""
    timeline = with_news(log.read()[0], 3 * HOUR)
    report = check_timeline(timeline, planned(EarlyNews(patient)))
    assert [leak.family for leak in report.leaks] == caught
    assert timeline.notes[TROUBLE].min() < NEVER


def test_the_same_seed_compares_the_same(log):
    """A report is a function of the log, the plan and the seed; another seed looks elsewhere."""
    first, again, other = (check_leaks(log, planned(Crowd()), rows=30, seed=seed) for seed in (3, 3, 4))
    assert first.to_dict() == again.to_dict()
    assert first.to_dict() != other.to_dict()


def test_the_report_tells_what_was_compared(log):
    """Vectors, features, cuts and the population's end are told, for a person and as plain data."""
    report = check_leaks(log, rows=40)
    plain = report.to_dict()
    assert plain["ok"] is True
    assert plain["values"] == report.vectors * report.features * 3
    assert 40 <= report.vectors <= 60
    assert all(cut >= report.population_until for cut in report.cuts)
    assert f"compared {report.vectors} vectors of {report.features} features" in str(report)
    assert str(report).endswith("no leak: every value is the same, bit for bit")


def test_a_log_without_a_later_window_cannot_be_checked():
    """Nothing later than the only day: that is said, and not that all is well."""
    timeline = timeline_of([Event("ann", instant("2025-03-01T08:00"), "1", "pay", "x", 1.0)])
    with pytest.raises(SchemaError, match="there is no future to spoil"):
        check_timeline(timeline, planned(Foresight()))
