"""Risk: known trouble nearby.

Labelled trouble gathers at values: a terminal that was tampered with, a merchant that leaks cards, a device in a
fraudster's hands. For each event, how many troubles at its value had become known within the last day, the last week
and the horizon, and how many for each event there was, shrunk towards everyone's where there were few; and how many
troubles of the entity's own were known.

How long ago the trouble at a value was, and what happened there since, tells whether it is over (:mod:`.aftermath`).

Two clocks: trouble counts from the instant at which it was both over and known (``known_at``), never before, and as
long as its own event lies within the horizon. The spans of a day and a week go by when the news came, or a delay of
seven days would leave them empty for ever: with a fixed delay these are the delayed windows of the Fraud Detection
Handbook. The rate is that of news for each event of the same span, (t + w p) / (n + w), with everyone's rate p and the
weight w of so many more events, the posterior mean of a gamma prior.

Cost: for each dimension one sweep over all events in the order of time, which each of them enters once and leaves once
for each span, and one for the troubles, in the order in which they happened and in that of their news. Blind to trouble
that nobody labelled or nobody labelled in time, and to trouble that moves on to another value. Where an entity is
blocked once its trouble is known, what is left of its own trouble says little.

References
----------
Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection", chapter 3,
terminal risk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..aftermath import AFTERMATH, aftermath, aftermath_features, gather
from ..ahead import side_by_side
from ..exchange import BLOCK, NEVER, TROUBLE, Stream, look_backs
from ..family import Feature
from ..kernels import kernel, picked
from ..snapshots import micros
from ..witness import alike, window_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..columns import Codes
    from ..family import Context, Observation, Shape
    from ..population import Population
    from ..snapshots import Snapshots, WindowSpec
    from ..timeline import Timeline

__all__ = ["Risk"]

_PER_SPAN = 3
_STEPS = 20  # a note's, for each event


@dataclass(frozen=True)
class Risk:
    """Known trouble nearby: counts, shrunk rates and course of what had become known at the same values; needs labels.

    Attributes
    ----------
    prior_events : float
        How many events like everyone's are added to those of a value.
    """

    prior_events: float = 10.0

    name: ClassVar[str] = "risk"
    version: ClassVar[int] = 3
    remembers: ClassVar[tuple[str, ...]] = ("risk.own",)

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Three for each risky dimension and span, the aftermath, and the entity's own; none without labels."""
        if not shape.risky:
            return ()
        spans = look_backs(shape.trailing[-1])
        nearby = [made for name in shape.risky for span in spans for made in _nearby(name, span, shape)]
        after = [made for name in _aftermaths(shape) for made in aftermath_features(name, shape)]
        return (*nearby, *after, _own(shape.trailing[-1]))

    def annotate(self, timeline: Timeline, shape: Shape, windows: WindowSpec) -> Mapping[str, NDArray[np.float32]]:
        """For each event the troubles known at its value, and the events there; without a note of trouble none is."""
        if not shape.risky:
            return {}
        stream, spans = Stream.of(timeline, windows), look_backs(windows.horizon)
        troubles = _Troubles.of(timeline, stream)

        def note(name: str) -> dict[str, NDArray[np.float32]]:
            events, known = _noted(timeline.dimensions[name], stream, spans, troubles)
            pairs = zip(spans, known, events, strict=True)
            after = zip(AFTERMATH, aftermath(timeline, name, windows), strict=True)
            return {f"risk.{name}.{what}": column for what, column in after} | {
                f"risk.{name}.{what}.{span}": column
                for span, *pair in pairs
                for what, column in zip(("troubles", "events"), pair, strict=True)
            }

        made = side_by_side(note, shape.risky, steps=_STEPS * len(timeline) * len(shape.risky))
        return {name: values for notes in made for name, values in notes.items()}

    def remember(self, timeline: Timeline, shape: Shape, windows: WindowSpec) -> Mapping[str, NDArray[np.float32]]:
        """For each event its entity's own known troubles."""
        if not shape.risky:
            return {}
        stream = Stream.of(timeline, windows)
        return {"risk.own": _own_noted(timeline, stream, windows.horizon, _Troubles.of(timeline, stream))}

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
        for number, name in enumerate(_aftermaths(context.shape)):
            first = len(places) * _PER_SPAN + number * len(AFTERMATH)
            notes = [timeline.notes[f"risk.{name}.{what}"] for what in AFTERMATH]
            gather(columns[first : first + len(AFTERMATH)], notes, context.snapshots)
        columns[-1] = timeline.notes["risk.own"][stop - 1]

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The events at the value with most trouble, by count, rate or course; the entity's own known troubles."""
        now, timeline = window_of(context, row), context.timeline
        name = feature.subject.removeprefix("trouble at ")
        if name not in context.shape.risky:
            lo, hi = int(context.snapshots.history[row]), int(now[-1]) + 1
            known = timeline.notes[TROUBLE][lo:hi] if TROUBLE in timeline.notes else np.full(hi - lo, NEVER)
            at, last = timeline.at[lo:hi], timeline.at[hi - 1]
            within = at >= last - micros(context.shape.trailing[-1])  # the history reaches back from the window's begin
            return lo + np.flatnonzero(within & (np.maximum(known, at + 1) <= last))
        by = self._troubled(feature.name.removeprefix(f"{name}_trouble_"), (name, now), context)
        if np.isnan(by).all():
            return now[:0]
        if "_rate_mean_" in feature.name:
            return now[by >= np.nanmean(by)]
        codes = timeline.dimensions[name].codes
        return alike(codes, now, codes[now[int(np.nanargmax(by))]])

    def _troubled(self, what: str, where: tuple[str, NDArray[np.int64]], context: Context) -> NDArray[np.float64]:
        """Of some events what a feature of a dimension goes by, the more of it the more telling."""
        (name, events), after = where, what.split("_", maxsplit=1)[0]
        if after in AFTERMATH:
            note = context.timeline.notes[f"risk.{name}.{after}"][events].astype(np.float64)
            return note if after in ("first", "run") else -note
        span = what.rsplit("_", maxsplit=1)[-1]
        troubles, company = (note[events].astype(np.float64) for note in _pair(context.timeline, name, span))
        if not what.startswith("rate"):
            return troubles
        expected = self.prior_events * _base(context.population, f"risk.{name}.{span}")
        return (troubles + expected) / (company + self.prior_events)


def _aftermaths(shape: Shape) -> tuple[str, ...]:
    """The dimensions whose aftermath is told over windows; that of an event by itself is told by the moment."""
    return () if shape.cut == "event" else shape.risky


@dataclass(frozen=True, eq=False)
class _Troubles:
    """The troubles among the events: as they happened, and as they came out.

    Attributes
    ----------
    which : int64 array of shape (t,)
        Their places in the stream, in the order of time.
    happened, counts_from : int64 arrays of shape (t,), microseconds since 1970 UTC
    news : int64 array of shape (t,)
        Their numbers in the order in which they begin to count.
    """

    which: NDArray[np.int64]
    happened: NDArray[np.int64]
    counts_from: NDArray[np.int64]
    news: NDArray[np.int64]

    @classmethod
    def of(cls, timeline: Timeline, stream: Stream) -> Self:
        """Without a note of trouble there is none."""
        if TROUBLE not in timeline.notes:
            return cls(*(np.empty(0, np.int64) for _ in range(4)))
        known = picked(timeline.notes[TROUBLE], stream.order)
        which = np.flatnonzero(known != NEVER)
        counts_from = np.maximum(known[which], stream.at[which] + 1)  # an event never sees its own instant
        return cls(which, stream.at[which], counts_from, np.argsort(counts_from, kind="stable"))

    def note(
        self, notes: NDArray[np.float32], stream: Stream, where: NDArray[np.uint32], n: int, spans: tuple[str, ...]
    ) -> None:
        """Write how many were known within each span at the value that ``where`` tells, one of ``n``; ``n`` is null."""
        if len(self.which):
            clock = stream.at, stream.lower, np.array([micros(span) for span in spans])
            troubles = where[self.which], self.happened, self.counts_from, self.news
            _known(notes, stream.order, where, clock, troubles, np.zeros((n + 1, len(spans)), np.int32))


def _noted(
    codes: Codes, stream: Stream, spans: tuple[str, ...], troubles: _Troubles
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Events, and troubles known, within each span before each event at its value; NaN without a value."""
    n, widths = len(codes.values), np.array([micros(span) for span in spans])
    events = np.empty((len(spans), len(codes.codes)), np.float32)
    where = _events(events, codes.codes, (stream.order, stream.at, stream.lower), widths, n)
    known = np.empty_like(events)
    known[:] = np.where(codes.codes < 0, np.float32(np.nan), np.float32(0.0))
    troubles.note(known, stream, where, n, spans)
    return events, known


def _own_noted(timeline: Timeline, stream: Stream, horizon: str, troubles: _Troubles) -> NDArray[np.float32]:
    """The entity's own troubles known within the horizon before each event."""
    own = np.zeros((1, len(timeline)), np.float32)
    if len(troubles.which):
        troubles.note(
            own, stream, picked(timeline.owner, stream.order).view(np.uint32), len(timeline.entity), (horizon,)
        )
    return own[0]


def _pair(timeline: Timeline, name: str, span: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return timeline.notes[f"risk.{name}.troubles.{span}"], timeline.notes[f"risk.{name}.events.{span}"]


@kernel
def _total(note: NDArray[np.float32]) -> int:
    """The sum of a note's whole numbers, in integers and so the same in any order."""
    total = 0
    for number in note:
        if not np.isnan(number):
            total += int(number)
    return total


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
         "shrunk towards everyone's"), ""),
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
def _events(
    events: NDArray[np.float32],
    codes: NDArray[np.int32],
    stream: tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]],
    widths: NDArray[np.int64],
    n_values: int,
) -> NDArray[np.uint32]:
    """How many events at the value lie within each span, in one sweep; and the values in the order of time.

    At each value are counted, in ``met``, those that left each span and, last, all so far. Null counts as one more
    value, of which nothing is told.
    """
    order, at, lower = stream
    where, met = np.empty(len(order), np.uint32), np.zeros((len(widths) + 1, n_values + 1), np.int32)
    around, ends = np.empty((len(widths) + 1, BLOCK), np.int32), np.zeros(len(widths) + 1, np.uint64)
    for begin in range(0, len(order), BLOCK):
        end = min(begin + BLOCK, len(order))
        for k in range(begin, end):
            where[k] = codes[order[k]] if codes[order[k]] >= 0 else n_values
        ends[-1] = _enter(around[-1], (begin, end), at, (where, met[-1]), ends[-1])
        for s in range(len(widths)):
            ends[s] = _leave(around[s], (begin, end), (at, lower, widths[s]), (where, met[s]), ends[s])
        for k in range(begin, end):
            for s in range(len(widths)):
                events[s, order[k]] = around[-1, k - begin] - around[s, k - begin] if where[k] < n_values else np.nan
    return where


@kernel
def _enter(
    around: NDArray[np.int32],
    block: tuple[int, int],
    at: NDArray[np.int64],
    values: tuple[NDArray[np.uint32], NDArray[np.int32]],
    first: np.uint64,
) -> np.uint64:
    """How many events were at the value before the instant of each event; the first event that is not counted yet."""
    where, met = values
    for k in range(block[0], block[1]):
        while at[first] < at[k]:
            met[where[first]] += 1
            first += np.uint64(1)
        around[k - block[0]] = met[where[k]]
    return first


@kernel
def _leave(
    around: NDArray[np.int32],
    block: tuple[int, int],
    clock: tuple[NDArray[np.int64], NDArray[np.int64], int],
    values: tuple[NDArray[np.uint32], NDArray[np.int32]],
    first: np.uint64,
) -> np.uint64:
    """How many events at the value had left the span by the time of each event; the first event that did not."""
    at, lower, width = clock
    where, met = values
    for k in range(block[0], block[1]):
        bound = max(lower[k], at[k] - width)
        for _ in range(2):
            out = at[first] < bound
            met[where[first]] += np.int32(out)
            first += np.uint64(out)
        while at[first] < bound:
            met[where[first]] += 1
            first += np.uint64(1)
        around[k - block[0]] = met[where[k]]
    return first


@kernel
def _known(
    notes: NDArray[np.float32],
    order: NDArray[np.uint32],
    where: NDArray[np.uint32],
    clock: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    troubles: tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    known: NDArray[np.int32],
) -> None:
    """How many troubles became known within each span and happened within the horizon, in one sweep.

    Those that are news lie between ``old`` and ``new`` in the order of news; those before ``gone`` in the order of
    their happening have left the horizon. A trouble is counted while it is news and not gone; ``known`` counts them at
    each value. Most events see none, and for those the note stays as it is.
    """
    at, lower, widths = clock
    values, happened, counts_from, news = troubles
    n_values = len(known) - 1
    counted = np.zeros((len(happened), len(widths)), np.bool_)
    old, new, gone = np.zeros(len(widths), np.int64), 0, 0
    for k in range(len(order)):
        while gone < len(happened) and happened[gone] < lower[k]:
            for s in range(len(widths)):
                _discount(known, counted, values, gone, s)
            gone += 1
        while new < len(news) and counts_from[news[new]] <= at[k]:
            if news[new] >= gone:
                counted[news[new]] = True
                known[values[news[new]]] += 1
            new += 1
        for s in range(len(widths)):
            while old[s] < new and counts_from[news[old[s]]] <= at[k] - widths[s]:
                _discount(known, counted, values, news[old[s]], s)
                old[s] += 1
            if where[k] < n_values and known[where[k], s] > 0:
                notes[s, order[k]] = known[where[k], s]


@kernel
def _discount(
    known: NDArray[np.int32], counted: NDArray[np.bool_], values: NDArray[np.uint32], trouble: int, span: int
) -> None:
    """Count a trouble no longer within a span; once only."""
    if counted[trouble, span]:
        known[values[trouble], span] -= 1
        counted[trouble, span] = False


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
