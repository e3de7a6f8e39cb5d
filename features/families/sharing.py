"""Sharing: in bad company.

How many other entities touched the values that an entity touches (its devices, addresses, terminals), within the
horizon before each of its events and within the last day. One phone under thirty accounts is one story told thirty
times, and each account by itself looks calm. What is shared is counted as of the event, from events strictly before it,
so that events at one instant do not see each other.

A popular merchant is touched by thousands and means nothing. So the plan takes only dimensions whose values few
entities touch, and beside the plain counts stand the surge (the last day's company against the value's own usual day)
and the growth (how much of the company is of the last day), neither of which popularity moves.

Cost: for each dimension one pass over each entity's own events, which tells when the entity comes to a value and when
it is gone from there, and one sweep over all events in the order of time, which adds up these comings and goings for
both spans; values with one holder only are passed over. Blind to who the others are and whether they are trouble (that
is risk), to a value that was passed on before the horizon, and to a ring whose members never touch the same value; the
first to come sees nobody, only those after it do.

Counting the distinct accounts behind a device or address is the velocity check of card networks; that what few share
tells more than what many share is Adamic and Adar, "Friends and neighbors on the Web", Social Networks 25 (2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..ahead import side_by_side
from ..exchange import BLOCK, Stream, look_back
from ..family import Feature
from ..kernels import kernel
from ..snapshots import micros
from ..witness import alike, window_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..snapshots import WindowSpec
    from ..timeline import Timeline

__all__ = ["Sharing"]

_DAY = 86_400_000_000
_COLUMNS = 6
_STEPS = 20  # a note's, for each event
_FEW = 8  # sorting an eighth of the events costs about what going through all of them does
_GOES_BIT, _OWN_BIT = 2, 4
_COMES, _GOES, _OWN = 1, 1 << _GOES_BIT, 1 << _OWN_BIT  # marks of the horizon; those of the day are their doubles
_MET = 64  # the mark of all others at crowded values


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
        if not shape.shared:
            return {}
        lower = look_back(timeline, windows)
        steps = _STEPS * len(timeline) * len(shape.shared)
        made = side_by_side(lambda name: _Marked.of(timeline, name, lower), shape.shared, steps=steps)
        whole = Stream.of(timeline, windows) if any(marked.many for marked in made) else None
        side_by_side(lambda marked: marked.meet(timeline, windows, whole), made, steps=steps)
        spans = [("horizon", marked.horizon) for marked in made], [("day", marked.day) for marked in made]
        named = zip(shape.shared, *spans, strict=True)
        return {f"sharing.{name}.{span}": note for name, *notes in named for span, note in notes}

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Sum up the notes of the window's events, one pass for each dimension."""
        start, stop, notes = context.snapshots.start, context.snapshots.stop, context.timeline.notes
        days = micros(context.shape.trailing[-1]) / _DAY
        for number, name in enumerate(context.shape.shared):
            block = columns[number * _COLUMNS : (number + 1) * _COLUMNS]
            _company(block, (notes[f"sharing.{name}.horizon"], notes[f"sharing.{name}.day"]), start, stop, days)

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The events at the value that is shared most, or most suddenly; those in company, or those alone."""
        now, name, notes = window_of(context, row), feature.subject, context.timeline.notes
        others, day = (notes[f"sharing.{name}.{span}"][now].astype(np.float64) for span in ("horizon", "day"))
        what = feature.name.removeprefix(f"{name}_").removesuffix(f"_{context.shape.trailing[-1]}")
        if np.isnan(others).all():
            return now[:0]
        if what == "alone":
            return now[others == 0]
        if what == "others_mean":
            return now[others >= np.nanmean(others)]
        days = micros(context.shape.trailing[-1]) / _DAY
        growth = np.where(others == np.nanmax(others), day, -1.0)
        surge = np.log2((day + 1.0) / (others / days + 1.0))
        by = {"others_max": others, "others_day": day, "others_growth": growth, "others_surge": surge}[what]
        codes = context.timeline.dimensions[name].codes
        return alike(codes, now, codes[now[int(np.nanargmax(by))]])


@dataclass(frozen=True, eq=False)
class _Marked:
    """The two notes of a dimension, first as if nobody met, and which events have a part in who meets whom.

    Attributes
    ----------
    codes : int32 array of shape (n,)
    n_values : int
    marks : uint8 array of shape (n,)
    chosen : uint32 array of shape (m,)
        The events that are marked: most devices have one holder for ever, and those of the others are few.
    horizon, day : float32 arrays of shape (n,)
    """

    codes: NDArray[np.int32]
    n_values: int
    marks: NDArray[np.uint8]
    chosen: NDArray[np.uint32]
    horizon: NDArray[np.float32]
    day: NDArray[np.float32]

    @classmethod
    def of(cls, timeline: Timeline, name: str, lower: NDArray[np.int64]) -> Self:
        """Mark the events at values that several entities hold; ``lower`` is how far back each event may look."""
        codes, n_values, n = timeline.dimensions[name].codes, len(timeline.dimensions[name].values), len(timeline)
        crowded = _crowded(codes, timeline.first, np.full(n_values, -1, np.int32))
        marks, horizon, day = np.zeros(n, np.uint8), np.empty(n, np.float32), np.empty(n, np.float32)
        last = np.full(n_values, -1, np.int64)
        _mark((marks, horizon, day), codes, timeline.first, (timeline.at, lower), (crowded, last))
        return cls(codes, n_values, marks, np.flatnonzero(marks).astype(np.uint32), horizon, day)

    @property
    def many(self) -> bool:
        """Whether to go through the stream of all events rather than to sort those that are marked."""
        return len(self.chosen) * _FEW > len(self.codes)

    def meet(self, timeline: Timeline, windows: WindowSpec, whole: Stream | None) -> None:
        """Write the others into the notes."""
        stream = whole if whole is not None and self.many else Stream.of(timeline, windows, self.chosen)
        times, company = (stream.order, stream.at, stream.lower), np.zeros((self.n_values, 2), np.int32)
        _others((self.horizon, self.day), times, self.codes, self.marks, company)


def _company_features(name: str, shape: Shape) -> tuple[Feature, ...]:
    window, horizon = shape.window, shape.trailing[-1]
    one, in_horizon = f"one value of {name}", f"within the {horizon} before an event of the last {window}"
    nothing = f"no event of the window has {name}"
    alone = f"Share of the events of the last {window} at values of {name} that nobody else touched"
    usual = f"a usual day of that value, those within {horizon} divided by its days, one added to both"
    rows = (
        ("others_max", "entities", f"Most other entities that touched {one} {in_horizon}",
         nothing, f"{{value}} others on {one} within {horizon}"),
        ("others_mean", "entities",
         f"Other entities that touched its value of {name} {in_horizon}, mean over the events",
         nothing, f"{{value}} others on a value of {name} on average"),
        ("others_day", "entities",
         f"Most other entities that touched {one} within the day before an event of the last {window}",
         nothing, f"{{value}} others on {one} within a day"),
        ("others_growth", "share",
         f"Of the others on the most shared value of {name}, the share that touched it within the last day",
         f"nobody else touched its values of {name}", f"{{value}} of the others on {one} came within a day"),
        ("others_surge", "log2 ratio", f"Others on {one} within the last day against {usual}",
         nothing, f"{{value}} doublings of the usual company on {one}"),
        ("alone", "share", f"{alone} within the {horizon} before",
         nothing, f"{{value}} of the events at values of {name} that nobody else uses"),
    )  # fmt: skip
    return tuple(
        Feature(f"{name}_{what}_{horizon}", "sharing", unit, f"{meaning}.", null, phrase, subject=name)
        for what, unit, meaning, null, phrase in rows
    )


@kernel
def _crowded(codes: NDArray[np.int32], first: NDArray[np.int64], last: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether several entities hold each value: ``last`` tells who was there last."""
    crowded = np.zeros(len(last), np.bool_)
    for e in range(len(first) - 1):
        for i in range(first[e], first[e + 1]):
            if codes[i] >= 0 and last[codes[i]] != e:
                crowded[codes[i]] = last[codes[i]] >= 0
                last[codes[i]] = e
    return crowded


@kernel
def _mark(
    notes: tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]],
    codes: NDArray[np.int32],
    first: NDArray[np.int64],
    clock: tuple[NDArray[np.int64], NDArray[np.int64]],
    values: tuple[NDArray[np.bool_], NDArray[np.int64]],
) -> None:
    """Mark the events with which an entity comes to a crowded value and after which it goes; note nobody as yet.

    An entity comes with an event if its event before at the value is out of sight by then, and goes when its last
    event before a pause, or for good, gets out of sight. While it is about it must not count itself: its own mark says
    whether it was, before the instant of the event.
    """
    marks, horizon, day = notes
    at, lower = clock
    crowded, last = values
    for e in range(len(first) - 1):
        for i in range(first[e], first[e + 1]):
            horizon[i] = day[i] = np.float32(0.0) if codes[i] >= 0 else np.float32(np.nan)
            if codes[i] < 0 or not crowded[codes[i]]:
                continue
            before, mark = last[codes[i]], np.uint8(_MET + 3 * _GOES)
            last[codes[i]] = i
            if before < first[e]:
                marks[i] = mark | np.uint8(3 * _COMES)
                continue
            known = marks[before]
            for double, reach in ((1, lower[i]), (2, at[i] - _DAY)):
                if at[before] < reach:
                    mark |= np.uint8(double * _COMES)
                    continue
                known &= ~np.uint8(double * _GOES)
                if at[before] < at[i] or known & np.uint8(double * _OWN):
                    mark |= np.uint8(double * _OWN)
            marks[before], marks[i] = known, mark


@kernel
def _others(
    notes: tuple[NDArray[np.float32], NDArray[np.float32]],
    stream: tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]],
    codes: NDArray[np.int32],
    marks: NDArray[np.uint8],
    company: NDArray[np.int32],
) -> None:
    """Comings less goings at each value in one sweep, block by block: fetched, added up, written.

    ``company`` holds who is about at each value, within the horizon and within a day. Where nothing is marked nobody
    comes or goes, at whichever value.
    """
    horizon, day = notes
    order, at, lower = stream
    where, what = np.empty(len(order), np.uint32), np.empty(len(order), np.uint8)
    others, ends = np.empty((2, BLOCK), np.float32), np.zeros(3, np.uint64)
    for begin in range(0, len(order), BLOCK):
        end = min(begin + BLOCK, len(order))
        for k in range(begin, end):
            where[k], what[k] = max(codes[order[k]], 0), marks[order[k]]
        _sweep(others, (begin, end), (at, lower), (where, what, company), ends)
        for k in range(begin, end):
            if what[k] > 0:
                horizon[order[k]], day[order[k]] = others[0, k - begin], others[1, k - begin]


@kernel
def _sweep(
    others: NDArray[np.float32],
    block: tuple[int, int],
    clock: tuple[NDArray[np.int64], NDArray[np.int64]],
    values: tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.int32]],
    ends: NDArray[np.uint64],
) -> None:
    """What happened before the instant enters, the old leaves; ``ends`` keeps from block to block how far that went."""
    at, lower = clock
    where, what, company = values
    new, gone, old = ends
    for k in range(block[0], block[1]):
        while at[new] < at[k]:
            company[where[new], 0] += what[new] & _COMES
            company[where[new], 1] += (what[new] >> 1) & _COMES
            new += np.uint64(1)
        gone = _leave(values, 0, at, gone, lower[k])
        old = _leave(values, 1, at, old, at[k] - _DAY)
        others[0, k - block[0]] = company[where[k], 0] - ((what[k] >> _OWN_BIT) & 1)
        others[1, k - block[0]] = company[where[k], 1] - ((what[k] >> (_OWN_BIT + 1)) & 1)
    ends[0], ends[1], ends[2] = new, gone, old


@kernel
def _leave(
    values: tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.int32]],
    span: int,
    at: NDArray[np.int64],
    first: np.uint64,
    bound: int,
) -> np.uint64:
    """Those go whose last event is before the bound; the first event that is not."""
    where, what, company = values
    for _ in range(2):
        out = at[first] < bound
        company[where[first], span] -= (what[first] >> (_GOES_BIT + span)) & np.uint8(out)
        first += np.uint64(out)
    while at[first] < bound:
        company[where[first], span] -= (what[first] >> (_GOES_BIT + span)) & 1
        first += np.uint64(1)
    return first


@kernel
def _company(
    block: NDArray[np.float32],
    notes: tuple[NDArray[np.float32], NDArray[np.float32]],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    days: float,
) -> None:
    """What each window's events see, each event looked at twice however far windows overlap.

    Counts slide: they are whole numbers, and so is the sum of the others. Largest values cannot slide, so they are kept
    for all that came since ``mid``, and for what came before it from each event on up to ``mid``, which moves up to the
    latest event when the window has left it behind.
    """
    horizon, day = notes
    from_here, since = np.empty((np.max(stop - start) if len(start) else 0, 4)), np.empty(4)
    begin = lo = mid = hi = n = alone = total = 0
    for r in range(len(start)):
        if start[r] >= hi:
            lo = mid = hi = start[r]
            n = alone = total = 0
            _nobody(since)
        for i in range(lo, start[r]):
            n, alone, total = _counted(-1, horizon[i], n, alone, total)
        for i in range(hi, stop[r]):
            n, alone, total = _counted(1, horizon[i], n, alone, total)
            _see(since, horizon[i], day[i], days)
        lo, hi = start[r], stop[r]
        if mid < lo:
            begin, mid = lo, hi
            _nobody(since)
            for i in range(hi - 1, lo - 1, -1):
                _see(since, horizon[i], day[i], days)
                from_here[i - begin] = since
            _nobody(since)
        if n > 0:
            _tell(block, r, since, from_here, lo - begin if lo < mid else -1)
            block[1, r], block[5, r] = total / n, alone / n


@kernel
def _counted(sign: int, others: float, n: int, alone: int, total: int) -> tuple[int, int, int]:
    """Count an event in or out: events at a value, those of them alone there, and the sum of the others."""
    if np.isnan(others):
        return n, alone, total
    return n + sign, alone + sign * (others == 0), total + sign * int(others)


@kernel
def _nobody(seen: NDArray[np.float64]) -> None:
    """Nothing is seen as yet."""
    seen[0], seen[1], seen[2], seen[3] = 0.0, 0.0, 0.0, -np.inf


@kernel
def _see(seen: NDArray[np.float64], others: float, of_the_day: float, days: float) -> None:
    """Add what an event sees to the most of what others see."""
    if not np.isnan(others):
        growth = of_the_day / others if others > 0 else 0.0
        _most(seen, others, growth, of_the_day, np.log2((of_the_day + 1.0) / (others / days + 1.0)))


@kernel
def _most(seen: NDArray[np.float64], others: float, growth: float, of_the_day: float, surge: float) -> None:
    """Most others, of the day too, and the largest surge; of equal company that which grew most tells the growth."""
    if others > seen[0]:
        seen[0], seen[1] = others, growth
    elif others == seen[0]:
        seen[1] = max(seen[1], growth)
    seen[2], seen[3] = max(seen[2], of_the_day), max(seen[3], surge)


@kernel
def _tell(
    block: NDArray[np.float32], r: int, since: NDArray[np.float64], from_here: NDArray[np.float64], here: int
) -> None:
    """Write the most that either part of the window sees, if there are two; growth where there is company."""
    others, growth, of_the_day, surge = since[0], since[1], since[2], since[3]
    if here >= 0:
        before = from_here[here, 0]
        if before >= others:
            growth = from_here[here, 1] if before > others else max(growth, from_here[here, 1])
        others, of_the_day = max(others, before), max(of_the_day, from_here[here, 2])
        surge = max(surge, from_here[here, 3])
    block[0, r], block[2, r], block[4, r] = others, of_the_day, surge
    if others > 0:
        block[3, r] = growth
