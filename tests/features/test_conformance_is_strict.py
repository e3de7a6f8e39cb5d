"""A family that breaks a promise is caught by the check that is named for it."""

# ruff: noqa: ARG002, D102 - broken families keep the signatures that the protocol describes

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
from cases import WINDOWS, Case
from conformance import CHECKS
from event_logs import HOUR

from peculiar.features.families import Volume
from peculiar.features.family import Feature


def shown(name, null="never null", phrase="{value} of it", **more):
    """A feature of a broken family."""
    return Feature(
        name, "broken", more.pop("unit", "events"), "What it should not be.", null, phrase,
        subject=more.pop("subject", "x"), **more,
    )  # fmt: skip


@dataclass(frozen=True)
class Broken:
    """A family with one column, which each child fills wrongly in its own way."""

    name: ClassVar[str] = "broken"
    version: ClassVar[int] = 1
    made: ClassVar[Feature] = shown("thing_count_1d")

    def features(self, shape, before):
        return (self.made,)

    def observe(self, timeline, snapshots, shape):
        return {}

    def fill(self, columns, context):
        columns[0] = self.value(context.timeline, context.snapshots)

    def value(self, timeline, snapshots):
        return snapshots.stop - snapshots.start


@dataclass(frozen=True)
class LooksOnePastStop(Broken):
    """Adds one if the next event of the entity, after the window, comes within a day."""

    def value(self, timeline, snapshots):
        after = np.minimum(snapshots.stop, len(timeline) - 1)
        ends = timeline.first[snapshots.entity + 1]
        soon = (snapshots.stop < ends) & (timeline.at[after] - snapshots.as_of < 86_400_000_000)
        return snapshots.stop - snapshots.start + soon


@dataclass(frozen=True)
class LooksBeforeTheHorizon(Broken):
    """Counts all earlier events of the entity."""

    def value(self, timeline, snapshots):
        return snapshots.start - timeline.first[snapshots.entity]


@dataclass(frozen=True)
class LooksAtRows(Broken):
    """Tells where the window's first event stood in the source."""

    def value(self, timeline, snapshots):
        return timeline.row[snapshots.start]


@dataclass(frozen=True)
class LooksAtCodes(Broken):
    """Tells the code of a value, which depends on which value came first."""

    def value(self, timeline, snapshots):
        return timeline.dimensions["device"].codes[snapshots.start]


@dataclass(frozen=True)
class LooksAtNeighbours(Broken):
    """Tells how many entities come before this one."""

    def value(self, timeline, snapshots):
        return snapshots.entity


@dataclass(frozen=True)
class LooksAtTheThread(Broken):
    """Tells how many rows it was asked for at once."""

    def value(self, timeline, snapshots):
        return np.full(len(snapshots), len(snapshots))


@dataclass(frozen=True)
class NullInSilence(Broken):
    """Leaves null what it says is never null."""

    def value(self, timeline, snapshots):
        return np.where(snapshots.stop - snapshots.start == 1, np.nan, 1.0)


@dataclass(frozen=True)
class NeverNullAfterAll(Broken):
    """Documents a null that does not exist."""

    made: ClassVar[Feature] = shown("thing_count_1d", null="no thing")


@dataclass(frozen=True)
class Infinite(Broken):
    """Divides by zero."""

    def value(self, timeline, snapshots):
        return np.where(snapshots.stop - snapshots.start == 1, np.inf, 1.0)


@dataclass(frozen=True)
class Misnamed(Broken):
    """Has a name without a window."""

    made: ClassVar[Feature] = shown("thing")


@dataclass(frozen=True)
class TakesANameTwice(Broken):
    """Has two columns of one name."""

    def features(self, shape, before):
        return (self.made, shown("thing_count_28d"), shown("thing_count_28d"))


@dataclass(frozen=True)
class Mute(Broken):
    """Has a phrase that leaves out the value."""

    made: ClassVar[Feature] = shown("thing_count_1d", phrase="something")


@dataclass(frozen=True)
class AboutNothing(Broken):
    """Does not say what its phrase is about."""

    made: ClassVar[Feature] = shown("thing_count_1d", subject="")


@dataclass(frozen=True)
class NegativeLevel(Broken):
    """Calls a level what can be negative."""

    made: ClassVar[Feature] = shown("thing_count_1d", level=True)

    def value(self, timeline, snapshots):
        return snapshots.start - snapshots.stop


@dataclass(frozen=True)
class ObservesShares(Broken):
    """Observes floats, whose sums depend on their order."""

    def observe(self, timeline, snapshots, shape):
        return {"broken.share": np.ones(2) / 3}


@dataclass(frozen=True)
class ObservesAMean(Broken):
    """Observes what does not add up."""

    def observe(self, timeline, snapshots, shape):
        return {"broken.mean": np.array([len(timeline) // max(1, len(snapshots))], np.int64)}


@dataclass(frozen=True)
class LooksAtTheSun(Broken):
    """Tells the hour that clocks in Greenwich show."""

    def value(self, timeline, snapshots):
        return timeline.at[snapshots.start] // HOUR % 24


@dataclass(frozen=True)
class RemembersTheFit(Broken):
    """Keeps to itself what it saw of everyone, where nobody saves it."""

    def observe(self, timeline, snapshots, shape):
        object.__setattr__(self, "seen", len(timeline))
        return {}

    def value(self, timeline, snapshots):
        return np.full(len(snapshots), getattr(self, "seen", 0))


@dataclass(frozen=True)
class NeedsAValue(Broken):
    """Divides by the number of devices there are."""

    def value(self, timeline, snapshots):
        with np.errstate(divide="ignore"):
            return np.ones(len(snapshots)) / len(timeline.dimensions["device"].values)


@dataclass(frozen=True)
class MoreThanAll(Broken):
    """Tells a count as a share."""

    made: ClassVar[Feature] = shown("thing_share_1d", unit="share")


@dataclass(frozen=True)
class HalfAnEvent(Broken):
    """Counts events by halves."""

    def value(self, timeline, snapshots):
        return (snapshots.stop - snapshots.start) / 2


@dataclass(frozen=True)
class JudgesWhatIsToCome(Broken):
    """Judges a feature that is not there yet."""

    made: ClassVar[Feature] = shown("thing_count_1d", base="thing_count_1d")


@dataclass(frozen=True)
class NotPlain(Broken):
    """Has a setting that JSON does not give back."""

    hours: tuple[int, ...] = field(default=(1, 2))


CAUGHT = (
    (LooksOnePastStop, "future", "later events taken away: thing_count_1d differs"),
    (LooksBeforeTheHorizon, "beyond_horizon", "before the horizon taken away: thing_count_1d differs"),
    (LooksAtRows, "row_order", "rows sorted: thing_count_1d differs"),
    (LooksAtCodes, "row_order", "rows .*: thing_count_1d differs"),
    (LooksAtCodes, "duplicates", "copies added: thing_count_1d differs"),
    (LooksAtNeighbours, "partitions", "2 partitions: thing_count_1d differs"),
    (LooksAtTheThread, "threads", "2 threads: thing_count_1d differs"),
    (NullInSilence, "nulls", "is never null, but is in"),
    (NeverNullAfterAll, "nulls", "says when it is null, but never is"),
    (Infinite, "finite_float32", "thing_count_1d is infinite"),
    (Misnamed, "names", "thing is not <measure>"),
    (TakesANameTwice, "names", "thing_count_28d comes twice"),
    (Mute, "documentation", "has no {value}"),
    (AboutNothing, "documentation", "has a phrase, but no subject"),
    (NegativeLevel, "documentation", "is a level, but negative"),
    (ObservesShares, "observed_counts", "broken.share is float64"),
    (ObservesAMean, "observed_counts", "do not add up"),
    (LooksAtTheSun, "zones", "in another zone: thing_count_1d differs"),
    (RemembersTheFit, "served", "served: thing_count_1d differs"),
    (NeedsAValue, "hollow_log", "thing_count_1d is infinite in a hollow log"),
    (NullInSilence, "hollow_log", "is never null, but is in a hollow log"),
    (MoreThanAll, "ranges", "thing_share_1d in share is not from 0.0 to 1.0"),
    (HalfAnEvent, "ranges", "counts events, but is not whole"),
    (JudgesWhatIsToCome, "documentation", "judges thing_count_1d, which is not there"),
    (NotPlain, "plain_settings", "do not survive JSON"),
)


@pytest.mark.parametrize(("broken", "check", "message"), CAUGHT, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_family_is_caught(broken, check, message):
    """The check that the suite applies to every family fails for one that breaks its promise."""
    with pytest.raises((AssertionError, ValueError), match=message):
        CHECKS[check](Case.last_of((Volume(), broken()), "1d"))


# What a family does wrong with time and place, it does wrong with any windows.
ANYWHERE = [(broken, check) for broken, check, message in CAUGHT if "differs" in message]


@pytest.mark.parametrize("every", [every for every in WINDOWS if every != "1d"])
@pytest.mark.parametrize(("broken", "check"), ANYWHERE, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_family_is_caught_whatever_the_windows(broken, check, every):
    """With a vector for each hour, event or session, too, whoever looks at what it may not is caught."""
    with pytest.raises(AssertionError, match="thing_count_1d differs"):
        CHECKS[check](Case.last_of((Volume(), broken()), every))


@pytest.mark.parametrize("every", WINDOWS)
def test_a_family_that_breaks_nothing_passes(every):
    """The family that the broken ones are made from passes all checks: they fail for their own fault alone."""
    for name, check in CHECKS.items():
        if name != "names" or every in {"1d", "event"}:  # its one column is called after a day
            check(Case.last_of((Volume(), Broken()), every))


def test_no_check_is_toothless():
    """Each check that speaks of values is shown to fail at least once above."""
    of_the_timeline = {"unique_keys", "empty_log", "bare_log"}  # no family can break these: the plan makes the rows
    assert {check for _, check, _ in CAUGHT} == set(CHECKS) - of_the_timeline
