"""Risk: known trouble nearby.

Labelled trouble gathers at values: a terminal that was tampered with, a merchant that leaks cards, a device in a
fraudster's hands. For each event, how many troubles at its value had become known within the last day, the last week
and the horizon, and how many for each event there was, shrunk towards everyone's where there were few; and how many
troubles of the entity's own were known.

Two clocks: trouble counts from the instant at which it was both over and known (``known_at``), never before, and as
long as its own event lies within the horizon. The spans of a day and a week go by when the news came, or a delay of
seven days would leave them empty for ever: with a fixed delay these are the delayed windows of the Fraud Detection
Handbook. The rate is that of news for each event of the same span, (t + w p) / (n + w), with everyone's rate p and the
weight w of so many more events, the posterior mean of a gamma prior.

Cost: a counting sort by value, two pointers for the events, and for the troubles, which are few, one list in the order
of their news: each enters and leaves once. Blind to trouble that nobody labelled or nobody labelled in time, and to
trouble that moves on to another value. Where an entity is blocked once its trouble is known, what is left of its own
trouble says little.

References
----------
Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection", chapter 3,
terminal risk.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..exchange import NEVER, TROUBLE, Meeting, look_backs
from ..family import Feature
from ..kernels import kernel
from ..snapshots import micros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..family import Context, Observation, Shape
    from ..population import Population
    from ..snapshots import Snapshots, WindowSpec
    from ..timeline import Timeline

__all__ = ["Risk"]

_PER_SPAN = 3


@dataclass(frozen=True)
class Risk:
    """Known trouble nearby: counts and shrunk rates of what had become known at the same values; needs labels.

    Attributes
    ----------
    prior_events : float
        How many events like everyone's are added to those of a value.
    """

    prior_events: float = 10.0

    name: ClassVar[str] = "risk"
    version: ClassVar[int] = 1

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Three for each risky dimension and span, and the entity's own; none without labels."""
        if not shape.risky:
            return ()
        spans = look_backs(shape.trailing[-1])
        nearby = [made for name in shape.risky for span in spans for made in _nearby(name, span, shape)]
        return (*nearby, _own(shape.trailing[-1]))

    def annotate(self, timeline: Timeline, shape: Shape, windows: WindowSpec) -> Mapping[str, NDArray[np.float32]]:
        """For each event the troubles known at its value, the events there, and its entity's own known troubles.

        Without a note of trouble none is known.
        """
        notes: dict[str, NDArray[np.float32]] = {}
        if not shape.risky:
            return notes
        known_at = timeline.notes.get(TROUBLE, np.full(len(timeline), NEVER))
        spans = look_backs(windows.horizon)
        for name in shape.risky:
            codes = timeline.dimensions[name]
            around = _Around.of(Meeting.of(timeline, codes.codes, len(codes.values)), timeline, known_at, windows)
            with ThreadPoolExecutor() as pool:
                for span, pair in zip(spans, pool.map(partial(around.notes, len(timeline)), spans), strict=True):
                    notes[f"risk.{name}.troubles.{span}"], notes[f"risk.{name}.events.{span}"] = pair
        alone = Meeting(timeline.first, np.arange(len(timeline), dtype=np.uint32), timeline.at)
        own = _Around.of(alone, timeline, known_at, windows)
        return notes | {"risk.own": own.notes(len(timeline), windows.horizon)[0]}

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, Observation]:  # noqa: ARG002
        """Everyone's rate for each dimension and span: troubles and events over all that events look back on."""
        return {
            f"risk.{name}.{span}": np.array([_total(pair) for pair in _pair(timeline, name, span)], np.int64)
            for name in shape.risky
            for span in look_backs(shape.trailing[-1])
        }

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Sum up the notes of the window's events; the entity's own are those known at its last event."""
        timeline, start, stop = context.timeline, context.snapshots.start, context.snapshots.stop
        places = [(name, span) for name in context.shape.risky for span in look_backs(context.shape.trailing[-1])]
        for number, (name, span) in enumerate(places):
            block = columns[number * _PER_SPAN : (number + 1) * _PER_SPAN]
            base = _base(context.population, f"risk.{name}.{span}")
            _gathered(block, _pair(timeline, name, span), (start, stop), self.prior_events, self.prior_events * base)
        columns[-1] = timeline.notes["risk.own"][stop - 1]


@dataclass(frozen=True, eq=False)
class _Around:
    """Events by value, how far each may look back, and the troubles among them: as they happened, and as they came out.

    ``troubles`` holds the offsets of each value's troubles, when they happened, from when they count, and their order
    of news; the order is by value first.
    """

    meeting: Meeting
    lower: NDArray[np.int64]
    troubles: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, meeting: Meeting, timeline: Timeline, known_at: NDArray[np.int64], windows: WindowSpec) -> Self:
        known = known_at[meeting.position]
        marked = np.flatnonzero(known != NEVER)
        offsets = np.searchsorted(marked, meeting.first)
        counts_from = np.maximum(known[marked], meeting.at[marked] + 1)  # an event never sees its own instant
        value = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        troubles = (offsets, meeting.at[marked], counts_from, np.lexsort((counts_from, value)))
        return cls(meeting, meeting.look_back(timeline, windows), troubles)

    def notes(self, n: int, span: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Troubles known and events within the span before each of the timeline's ``n`` events; NaN without a value."""
        troubles, events = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
        at, first, position = self.meeting.at, self.meeting.first, self.meeting.position
        lower = np.maximum(self.lower, at - micros(span))
        events[position] = _events(first, at, lower)
        troubles[position] = _known(first, (at, self.lower, micros(span)), self.troubles)
        return troubles, events


def _pair(timeline: Timeline, name: str, span: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return timeline.notes[f"risk.{name}.troubles.{span}"], timeline.notes[f"risk.{name}.events.{span}"]


def _total(note: NDArray[np.float32]) -> int:
    """The sum of a note's whole numbers, exact below 2**53 and so the same in any order."""
    return int(np.nansum(note, dtype=np.float64))


def _base(population: Population, name: str) -> float:
    troubles, events = population.counts[name]
    return float(troubles / events) if events else 0.0


def _nearby(name: str, span: str, shape: Shape) -> tuple[Feature, ...]:
    nothing, horizon = f"no event of the window has {name}", shape.trailing[-1]
    news = f"that became known within {span} before an event of the last {shape.window}, at its value of {name}"
    rows = (
        ("trouble_max", "events", f"Most troubles of the last {horizon} {news}",
         f"{{value}} troubles at one value of {name} became known within {span}"),
        ("trouble_rate_max", "rate", (f"Troubles {news}, for each event there within {span}; highest of the window, "
         "shrunk towards everyone's"), f"{{value}} known troubles for each event at one value of {name} within {span}"),
        ("trouble_rate_mean", "rate", (f"Troubles {news}, for each event there within {span}; mean of the window, "
         "shrunk towards everyone's"), f"{{value}} known troubles for each event around its values of {name}"),
    )  # fmt: skip
    return tuple(
        Feature(f"{name}_{what}_{span}", "risk", unit, f"{meaning}.", nothing, phrase, subject=f"trouble at {name}")
        for what, unit, meaning, phrase in rows
    )


def _own(horizon: str) -> Feature:
    return Feature(
        name=f"own_trouble_count_{horizon}",
        family="risk",
        unit="events",
        meaning=f"Troubles of the entity itself within the {horizon} before its last event that were known by then.",
        null="never null",
        phrase=f"{{value}} known troubles of its own within {horizon}",
        subject="own trouble",
    )


@kernel
def _events(first: NDArray[np.int64], at: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.float32]:
    """How many events at the value lie in ``[lower, at)``: two pointers."""
    events = np.empty(len(at), np.float32)
    for v in range(len(first) - 1):
        lo = hi = first[v]
        for k in range(first[v], first[v + 1]):
            while at[hi] < at[k]:
                hi += 1
            while lo < hi and at[lo] < lower[k]:
                lo += 1
            events[k] = hi - lo
    return events


@kernel
def _known(
    first: NDArray[np.int64],
    clock: tuple[NDArray[np.int64], NDArray[np.int64], int],
    troubles: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.float32]:
    """How many troubles became known within the span and happened within the horizon: three pointers at each value.

    Those that are news lie between ``old`` and ``new`` in the order of news; those before ``gone`` in the order of
    their happening have left the horizon. A trouble is counted while it is news and not gone.
    """
    at, lower, span = clock
    offsets, happened, counts_from, order = troubles
    known = np.zeros(len(at), np.float32)
    counted = np.zeros(len(happened), np.bool_)
    for v in range(len(first) - 1):
        last = offsets[v + 1]
        old = new = gone = offsets[v]
        n = 0
        for k in range(first[v], first[v + 1] if last > new else first[v]):
            while gone < last and happened[gone] < lower[k]:
                n -= counted[gone]
                counted[gone] = False
                gone += 1
            while new < last and counts_from[order[new]] <= at[k]:
                counted[order[new]] = order[new] >= gone
                n += counted[order[new]]
                new += 1
            while old < new and counts_from[order[old]] <= at[k] - span:
                n -= counted[order[old]]
                counted[order[old]] = False
                old += 1
            known[k] = n
    return known


@kernel
def _gathered(
    block: NDArray[np.float32],
    notes: tuple[NDArray[np.float32], NDArray[np.float32]],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    weight: float,
    expected: float,
) -> None:
    """One look at each event of the window: the most troubles, the highest and the mean of the shrunk rates."""
    troubles, events = notes
    start, stop = bounds
    for r in range(len(start)):
        n, total, highest, most = 0, 0.0, 0.0, np.float32(0.0)
        for i in range(start[r], stop[r]):
            if np.isnan(troubles[i]):
                continue
            rate = (troubles[i] + expected) / (events[i] + weight)
            n += 1
            total += rate
            highest = max(highest, rate)
            most = max(most, troubles[i])
        if n > 0:
            block[0, r], block[1, r], block[2, r] = most, highest, total / n
