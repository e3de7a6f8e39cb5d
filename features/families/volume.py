"""Volume: how much was done.

Counts of events, in all and per action, over the current and the trailing windows, and of each measure the sum, mean,
maximum, median and upper quartile. Aggregates of this kind are what a card's fraud shows in (Whitrow, Hand, Juszczak,
Weston and Adams, "Transaction aggregation as a strategy for credit card fraud detection", 2009). The quartile is the
value of nearest rank, so that one amount has it too; a quantile further up would be the maximum in most days (of a
simulated city's days the 90th percentile was in 86 of 100, the 75th in 55).

Invented amounts tend to be round and to come again (Nigrini, "Forensic Analytics", 2011, chapter 8, on number
duplication and round numbers; "Round numbers: a fingerprint of fraud", 2018). *Round* is an amount of one or two
leading digits, of which the second is 0 or 5, and zeros: 7, 50, 250, 1500, 45,000, 0.35, but not 2.40, 249 or 1234.
That asks for no unit: euros and cents, dollars and thousands of them agree. Of amounts of three digits by chance about
one in fifty is round, of four one in 500. Amounts are equal if they are the same number to the last bit.

Cost: one look at each event of the window per column read, one insertion into the window's sorted amounts, and one
place in a table of the entity's own amounts; where windows overlap, as those of single events do, log n steps instead
of a new sort. Blind to order, to variety and to who the
user usually is; to roundness in measures of one digit, where all are round, and in prices that end in 9 by custom; and
to amounts that are varied by a cent to look new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..amounts import is_round, quantiles, repeats
from ..family import Feature
from ..kernels import kernel
from ..sliding import highest
from ..witness import window_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Context, Shape

__all__ = ["Volume"]

_UNITS = float(1 << 40)
_SMALLEST, _LARGEST = 2.0**-28, 2.0**40
_LEVELS = ("sum", "mean", "max")
_STATISTICS = (*_LEVELS, "median", "p75", "round_share", "repeat_max", "known_share")


@dataclass(frozen=True)
class Volume:
    """How much: events, events per action; totals, quantiles, round and repeated amounts of each measure."""

    name: ClassVar[str] = "volume"
    version: ClassVar[int] = 3

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """Counts first, then the measures."""
        counts = [_count("events", "events", shape.window, level=True)]
        counts += [_count("events", "events", window, level=False) for window in shape.trailing]
        counts += [_count(action, f"{action} events", shape.window, level=True) for action in shape.actions]
        return (*counts, *(made for name in shape.measures for made in _measures(name, shape.window, shape.trailing)))

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Counts by subtracting positions, the rest by one pass over the window."""
        snapshots, shape = context.snapshots, context.shape
        columns[0] = snapshots.stop - snapshots.start
        counts = 1 + len(shape.trailing)
        columns[1:counts] = snapshots.stop - snapshots.trailing
        row = counts
        if shape.action is not None and shape.actions:
            codes = context.timeline.dimensions[shape.action]
            slots = _slots(codes.values.to_pylist(), shape.actions)
            _per_action(columns[row : row + len(shape.actions)], codes.codes, slots, snapshots.start, snapshots.stop)
            row += len(shape.actions)
        for name in shape.measures:
            _amounts(columns[row : row + len(_STATISTICS)], context.timeline.measures[name], context)
            row += len(_STATISTICS)

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The events counted; of amounts those without which the rest would be like everyone's, the farthest first.

        A count over a longer window is told by the events of this one: the others were there the day before.
        """
        now, shape = window_of(context, row), context.shape
        how = feature.name.removeprefix(f"{feature.subject}_").removesuffix(f"_{shape.window}")
        if feature.subject in shape.measures and how in _STATISTICS:
            values = context.timeline.measures[feature.subject]
            valued = now[~np.isnan(values[now])]
            if how == "known_share":
                before = values[context.snapshots.history[row] : context.snapshots.start[row]]
                return valued[np.isin(values[valued], before)]
            usual, most = (context.population.quantile(feature.name, share) for share in (0.5, 0.99))
            return _far(values, valued, how, (usual, most))
        if how == "count" and shape.action is not None and feature.subject in shape.actions:
            codes = context.timeline.dimensions[shape.action]
            return now[codes.codes[now] == codes.code_of(feature.subject)]
        return now


def _count(what: str, noun: str, window: str, *, level: bool) -> Feature:
    return Feature(
        name=f"{what}_count_{window}",
        family="volume",
        unit="events",
        meaning=f"Number of {noun} in the last {window}.",
        null="never null",
        phrase=f"{{value}} {noun}" + ("" if level else f" in {window}"),
        subject=what,
        level=level,
    )


def _measures(name: str, window: str, trailing: tuple[str, ...]) -> tuple[Feature, ...]:
    """One for each of ``_STATISTICS``."""
    over, horizon = f"in the last {window}", trailing[-1]
    rows = (
        (name, f"The total {name} {over}, over events that have one.", f"total {name} {{value}}"),
        (name, f"The mean {name} {over}, over events that have one.", f"mean {name} {{value}}"),
        (name, f"The largest {name} {over}, over events that have one.", f"largest {name} {{value}}"),
        (name, f"The median {name} {over}, over events that have one.", f"median {name} {{value}}"),
        (name, f"The {name} {over} that three in four do not exceed (nearest rank).",
         f"upper quartile of {name} {{value}}"),
        ("share", f"Share of events {over} whose {name} is round: two leading digits, the second 0 or 5, then zeros.",
         f"{{value}} with a round {name}"),
        ("events", f"How many events {over} have the commonest exact {name}.",
         f"{{value}} events with exactly the same {name}"),
        ("share", f"Share of events {over} whose exact {name} the entity had within {horizon} before.",
         f"{{value}} with a {name} exactly as before"),
    )  # fmt: skip
    null = f"no event of the window has {name}"
    return tuple(
        Feature(f"{name}_{how}_{window}", "volume", unit, meaning, null, phrase, subject=name, level=how in _LEVELS)
        for how, (unit, meaning, phrase) in zip(_STATISTICS, rows, strict=True)
    )


def _slots(values: list[str], actions: tuple[str, ...]) -> NDArray[np.int64]:
    """The column of each action code; -1 for the rarer actions that have none, and for null at the end."""
    number = {action: column for column, action in enumerate(actions)}
    return np.array([number.get(value, -1) for value in values] + [-1], np.int64)


@kernel
def _per_action(
    columns: NDArray[np.float32],
    codes: NDArray[np.int32],
    slots: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> None:
    """One histogram over a dozen actions, which slides: each event adds one to its column and takes it away."""
    now, lo, hi = np.zeros(len(columns), np.int64), 0, 0
    for r in range(len(start)):
        if start[r] >= hi:
            now[:] = 0
            lo, hi = start[r], start[r]
        for i in range(hi, stop[r]):
            if slots[codes[i]] >= 0:
                now[slots[codes[i]]] += 1
        for i in range(lo, start[r]):
            if slots[codes[i]] >= 0:
                now[slots[codes[i]]] -= 1
        lo, hi = start[r], stop[r]
        for slot in range(len(now)):
            columns[slot, r] = now[slot]


@kernel
def _totals(
    columns: NDArray[np.float32], values: NDArray[np.float64], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> None:
    """Sum and mean of the window, from sums of integers, which may slide: each amount is the sum of three.

    They are of wholes, of 2^-40 and of 2^-80, which is every bit of an amount from 4e-9 to 1e12, so that nothing is
    rounded. A window with an amount beyond is summed afresh, in the order of time.
    """
    parts, lo, hi = np.zeros(5, np.int64), 0, 0
    for r in range(len(start)):
        if start[r] >= hi:
            parts[:] = 0
            lo, hi = start[r], start[r]
        for i in range(hi, stop[r]):
            _enter(parts, values[i], 1)
        for i in range(lo, start[r]):
            _enter(parts, values[i], -1)
        lo, hi = start[r], stop[r]
        n, beyond = parts[3], parts[4]
        if n > 0:
            total = parts[0] + (parts[1] + parts[2] / _UNITS) / _UNITS
            total = _afresh(values, lo, hi) if beyond > 0 else total
            columns[0, r], columns[1, r] = total, total / n


@kernel
def _enter(parts: NDArray[np.int64], value: float, sign: int) -> None:
    """Let an amount in or out: its three parts, the number of amounts, and of those that do not fit."""
    if np.isnan(value):
        return
    parts[3] += sign
    if value != 0.0 and not _SMALLEST <= abs(value) < _LARGEST:
        parts[4] += sign
        return
    whole = np.rint(value)
    rest = (value - whole) * _UNITS
    middle = np.rint(rest)
    parts[0] += sign * np.int64(whole)
    parts[1] += sign * np.int64(middle)
    parts[2] += sign * np.int64((rest - middle) * _UNITS)


@kernel
def _afresh(values: NDArray[np.float64], lo: int, hi: int) -> float:
    total = 0.0
    for i in range(lo, hi):
        total += 0.0 if np.isnan(values[i]) else values[i]
    return total


def _amounts(columns: NDArray[np.float32], values: NDArray[np.float64], context: Context) -> None:
    """Totals and maxima, then quantiles, then what takes a memory of the entity's amounts."""
    start, stop = context.snapshots.start, context.snapshots.stop
    _totals(columns[:2], values, start, stop)
    highest(columns[2], values, start, stop)
    with context.looked_at(columns[len(_LEVELS) :]) as (rest, few):
        quantiles(rest[:2], values, (few.rows, few.start, few.stop))
        repeats(rest[2:], values, (few.rows, few.history, few.start, few.stop))


def _far(
    values: NDArray[np.float64], events: NDArray[np.int64], how: str, usual: tuple[float, float]
) -> NDArray[np.int64]:
    """Of events with an amount those that make a statistic what it is; ``usual`` is everyone's middle and 99th of 100.

    Of a sum or a mean the largest amounts, until what is left is no more than everyone's; the smallest, where it is
    less than everyone's. If nothing can be taken away to that end, all events make it so.
    """
    amounts = values[events]
    if not len(events):
        return events
    if how == "round_share":
        return events[[is_round(amount) for amount in amounts.tolist()]]
    if how == "repeat_max":
        _, which, counts = np.unique(amounts, return_inverse=True, return_counts=True)
        return events[which == counts.argmax()]
    n, figure = len(amounts), _statistic(amounts, how)
    sign = -1.0 if figure < usual[0] else 1.0
    order = np.argsort(-sign * amounts, kind="stable")
    if how == "max":
        return events[order[: max(1, np.count_nonzero(amounts >= min(figure, usual[1])))]] if sign > 0 else events
    if how in ("median", "p75"):
        return events[order[: np.count_nonzero(sign * amounts >= sign * figure)]]
    left = figure * (1 if how == "sum" else n) - np.cumsum(amounts[order])
    left = left[:-1] / (1.0 if how == "sum" else np.arange(n - 1, 0, -1))
    enough = np.flatnonzero(sign * left <= sign * usual[0])
    return events[order[: int(enough[0]) + 1]] if len(enough) else events[order]


def _statistic(amounts: NDArray[np.float64], how: str) -> float:
    """One of the levels, the median or the upper quartile of some amounts."""
    if how == "p75":
        return float(np.sort(amounts)[-(-3 * len(amounts) // 4) - 1])
    if how == "median":
        return float(np.median(amounts))
    return float(amounts.max() if how == "max" else amounts.sum() if how == "sum" else amounts.mean())
