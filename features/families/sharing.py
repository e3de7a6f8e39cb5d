"""Sharing: in bad company.

How many other entities touched the values that an entity touches (its devices, addresses, terminals), within the
horizon before each of its events and within the last day. One phone under thirty accounts is one story told thirty
times, and each account by itself looks calm. What is shared is counted as of the event, from events strictly before it,
so that events at one instant do not see each other.

A popular merchant is touched by thousands and means nothing. So the plan takes only dimensions whose values few
entities touch, and beside the plain counts stand the surge (the last day's company against the value's own usual day)
and the growth (how much of the company is of the last day), neither of which popularity moves.

Cost: for each dimension a counting sort by value and one sliding counter of distinct entities, which each event enters
and leaves once, for each of two spans; values with one holder only are passed over. Blind to who the others are and
whether they are trouble (that is risk), to a value that was passed on before the horizon, and to a ring whose members
never touch the same value; the first to come sees nobody, only those after it do.

Counting the distinct accounts behind a device or address is the velocity check of card networks; that what few share
tells more than what many share is Adamic and Adar, "Friends and neighbors on the Web", Social Networks 25 (2003).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..exchange import Meeting
from ..family import Feature
from ..kernels import enter, kernel, leave
from ..snapshots import micros
from ..survey import holders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..snapshots import WindowSpec
    from ..timeline import Timeline

__all__ = ["Sharing"]

_DAY = 86_400_000_000
_COLUMNS = 6


@dataclass(frozen=True)
class Sharing:
    """In bad company: how many others touched the same values, as of each event, and how that grows."""

    name: ClassVar[str] = "sharing"
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Six for each shared dimension. None is a level: those of earlier windows look beyond the horizon."""
        return tuple(made for name in shape.shared for made in _company_features(name, shape))

    def annotate(self, timeline: Timeline, shape: Shape, windows: WindowSpec) -> Mapping[str, NDArray[np.float32]]:
        """For each event the number of other entities at its value, over the horizon and over the last day."""
        notes: dict[str, NDArray[np.float32]] = {}
        with ThreadPoolExecutor() as pool:
            for name in shape.shared:
                codes, met = timeline.dimensions[name], np.append(holders(timeline, name) > 1, False)
                shared = np.where(met[codes.codes], codes.codes, np.int32(-1))  # most devices have one holder for ever
                meeting = Meeting.of(timeline, shared, len(codes.values))
                spans = {"horizon": meeting.look_back(timeline, windows), "day": meeting.at - _DAY}
                alone = np.where(codes.codes < 0, np.float32(np.nan), np.float32(0.0))
                made = pool.map(partial(_noted, meeting, timeline.owner[meeting.position], alone), spans.values())
                notes |= {f"sharing.{name}.{span}": note for span, note in zip(spans, made, strict=True)}
        return notes

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Sum up the notes of the window's events, one pass for each dimension."""
        start, stop, notes = context.snapshots.start, context.snapshots.stop, context.timeline.notes
        days = micros(context.shape.trailing[-1]) / _DAY
        for number, name in enumerate(context.shape.shared):
            block = columns[number * _COLUMNS : (number + 1) * _COLUMNS]
            _company(block, (notes[f"sharing.{name}.horizon"], notes[f"sharing.{name}.day"]), start, stop, days)


def _noted(
    meeting: Meeting, who: NDArray[np.int32], alone: NDArray[np.float32], lower: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Others since ``lower``, as a note; who meets nobody keeps the one that is given."""
    others, counter = np.empty(len(meeting.at), np.float32), np.zeros(int(who.max(initial=-1)) + 1, np.int32)
    _others(others, meeting.first, (meeting.at, lower), who, counter)
    note = alone.copy()
    note[meeting.position] = others
    return note


def _company_features(name: str, shape: Shape) -> tuple[Feature, ...]:
    window, horizon = shape.window, shape.trailing[-1]
    one, in_horizon = f"one value of {name}", f"within the {horizon} before an event of the last {window}"
    nothing = f"no event of the window has {name}"
    rows = (
        (
            "others_max",
            "entities",
            f"Most other entities that touched {one} {in_horizon}",
            nothing,
            f"{{value}} others on {one} within {horizon}",
        ),
        (
            "others_mean",
            "entities",
            f"Other entities that touched its value of {name} {in_horizon}, mean over the events",
            nothing,
            f"{{value}} others on a value of {name} on average",
        ),
        (
            "others_day",
            "entities",
            f"Most other entities that touched {one} within the day before an event of the last {window}",
            nothing,
            f"{{value}} others on {one} within a day",
        ),
        (
            "others_growth",
            "share",
            f"Of the others on the most shared value of {name}, the share that touched it within the last day",
            f"nobody else touched its values of {name}",
            f"{{value}} of the others on {one} came within a day",
        ),
        (
            "others_surge",
            "log2 ratio",
            (
                f"Others on {one} within the last day against a usual day of that value, those "
                f"within {horizon} divided by its days, one added to both"
            ),
            nothing,
            f"{{value}} doublings of the usual company on {one}",
        ),
        (
            "alone",
            "share",
            (
                f"Share of the events of the last {window} at values of {name} that nobody else touched within "
                f"the {horizon} before"
            ),
            nothing,
            f"{{value}} of the events at values of {name} that nobody else uses",
        ),
    )
    return tuple(
        Feature(f"{name}_{what}_{horizon}", "sharing", unit, f"{meaning}.", null, phrase, subject=name)
        for what, unit, meaning, null, phrase in rows
    )


@kernel
def _others(
    others: NDArray[np.float32],
    first: NDArray[np.int64],
    clock: tuple[NDArray[np.int64], NDArray[np.int64]],
    who: NDArray[np.int32],
    counter: NDArray[np.int32],
) -> None:
    """A sliding counter of distinct entities at each value: what happened before the instant enters, the old leaves."""
    at, lower = clock
    for v in range(len(first) - 1):
        lo = hi = first[v]
        distinct = 0
        for k in range(first[v], first[v + 1]):
            while at[hi] < at[k]:
                distinct += enter(counter, who[hi])
                hi += 1
            while lo < hi and at[lo] < lower[k]:
                distinct -= leave(counter, who[lo])
                lo += 1
            others[k] = distinct - (1 if counter[who[k]] > 0 else 0)
        while lo < hi:
            leave(counter, who[lo])
            lo += 1


@kernel
def _company(
    block: NDArray[np.float32],
    notes: tuple[NDArray[np.float32], NDArray[np.float32]],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    days: float,
) -> None:
    """One look at each event of the window; of values with equal company the one that grew most tells the growth."""
    horizon, day = notes
    for r in range(len(start)):
        n, alone, total = 0, 0, 0.0
        most, most_day, growth, surge = np.float32(0.0), np.float32(0.0), 0.0, -np.inf
        for i in range(start[r], stop[r]):
            if np.isnan(horizon[i]):
                continue
            n += 1
            alone += horizon[i] == 0
            total += horizon[i]
            if horizon[i] > 0 and horizon[i] >= most:
                share = day[i] / horizon[i]
                growth = share if horizon[i] > most else max(growth, share)
                most = horizon[i]
            most_day = max(most_day, day[i])
            surge = max(surge, np.log2((day[i] + 1.0) / (horizon[i] / days + 1.0)))
        if n > 0:
            block[0, r], block[1, r], block[2, r], block[4, r], block[5, r] = (
                most,
                total / n,
                most_day,
                surge,
                alone / n,
            )
        if most > 0:
            block[3, r] = growth
