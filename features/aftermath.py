"""What followed known trouble at a value: how long ago it was, since when, and what happened there unharmed.

Trouble at a value ends, and not when the news of it ends. How long ago its last known trouble happened, and its first
of the horizon, tell where in its course it is. Events there since then that nothing is known of tell that it may be
over, and a run of trouble that lasts to the latest event that it goes on; but only by those events for which news could
have come by now. How long news takes nobody says: so the *frontier* stands for it, the latest instant of which trouble
anywhere is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .exchange import NEVER, TROUBLE, look_back
from .family import Feature
from .kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .family import Shape
    from .snapshots import Snapshots, WindowSpec
    from .timeline import Timeline

__all__ = ["AFTERMATH", "aftermath", "aftermath_features", "gather"]

AFTERMATH = ("last", "first", "calm", "spared", "run")
_DAY = 86_400_000_000
_LONGEST = 64  # events of a run that are counted


def aftermath(timeline: Timeline, name: str, windows: WindowSpec) -> NDArray[np.float32]:
    """For each event, what is known of trouble at its value of a dimension by then.

    Parameters
    ----------
    timeline : Timeline
        With the note of when the trouble of each event became known; without it none is known.
    name : str
        The dimension.
    windows : WindowSpec
        Trouble longer ago than the horizon is forgotten.

    Returns
    -------
    float32 array of shape (5, n)
        Days since the latest trouble known at the value happened, and since the earliest; events there after the
        latest, and from the earliest on but not in trouble, both up to the frontier; of the events up to the frontier
        how many of the latest, 64 at most, are all in trouble. NaN where none is known.
    """
    found, codes = np.full((len(AFTERMATH), len(timeline)), np.nan, np.float32), timeline.dimensions[name]
    known = timeline.notes.get(TROUBLE)
    bad = np.flatnonzero(known != NEVER) if known is not None else np.empty(0, np.intp)
    touched = np.zeros(len(codes.values) + 1, np.bool_)
    touched[codes.codes[bad]] = True
    touched[-1] = False  # where nulls fall
    chosen = np.flatnonzero(touched[codes.codes])
    if known is None or not len(chosen):
        return found
    order = chosen[np.lexsort((timeline.at[chosen], codes.codes[chosen]))]
    counts_from = _counts_from(timeline.at, known)
    clock = timeline.at[order], look_back(timeline, windows)[order], _frontier(timeline.at, counts_from, bad, order)
    told = np.full((len(AFTERMATH), len(order)), np.nan, np.float32)
    _follow(told, codes.codes[order], clock, counts_from[order])
    found[:, order] = told
    return found


def aftermath_features(name: str, shape: Shape) -> tuple[Feature, ...]:
    """The five of a dimension, over the events of a window."""
    at, null = f"known at its value of {name}", f"no trouble is known at any value of {name} in the window"
    since = f"of an event of the last {shape.window} since"
    could = "of which news could have come, the fewest"
    latest = f"The latest events at its value of {name} that were all trouble, of which news could have come"
    rows = (
        ("last_min", "days", f"Days from the latest trouble {at} to an event of the last {shape.window}, the least",
         f"{{value}} days after known trouble at a value of {name}"),
        ("first_max", "days", f"Days from the earliest trouble {at} to an event of the last {shape.window}, the most",
         f"{{value}} days after trouble at a value of {name} began"),
        ("calm_min", "events", f"Events at its value of {name} {since} the latest trouble there, {could}",
         f"{{value}} events since known trouble at a value of {name}"),
        ("spared_min", "events", f"Events not in trouble at its value of {name} {since} the earliest there, {could}",
         f"{{value}} events without trouble among those at a value of {name} with trouble"),
        ("run_max", "events", f"{latest}, the most of an event of the last {shape.window}",
         f"the last {{value}} events at a value of {name} were trouble"),
    )  # fmt: skip
    return tuple(
        Feature(
            f"{name}_trouble_{what}_{shape.window}", "risk", unit, f"{meaning}.", null, phrase, subject=_about(name)
        )
        for what, unit, meaning, phrase in rows
    )


def gather(columns: NDArray[np.float32], notes: list[NDArray[np.float32]], windows: Snapshots) -> None:
    """Fill the five: the most over the window of days since the earliest and of the run, the least of the others."""
    for column, note, sign in zip(columns, notes, (1.0, -1.0, 1.0, 1.0, -1.0), strict=True):
        _least(column, note, np.float32(sign), windows.start, windows.stop)


def _about(name: str) -> str:
    return f"trouble at {name}"


def _counts_from(at: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Trouble counts once it is both over and known."""
    return np.where(known == NEVER, NEVER, np.maximum(known, at + 1))


def _frontier(
    at: NDArray[np.int64], counts_from: NDArray[np.int64], bad: NDArray[np.intp], order: NDArray[np.intp]
) -> NDArray[np.int64]:
    """The latest instant of which trouble anywhere is known, as of each event of ``order``."""
    by_news = bad[np.argsort(counts_from[bad], kind="stable")]
    latest = np.maximum.accumulate(at[by_news])
    heard = np.searchsorted(counts_from[by_news], at[order], side="right")
    return np.where(heard > 0, latest[np.maximum(heard, 1) - 1], np.iinfo(np.int64).min)


@kernel
def _follow(
    told: NDArray[np.float32],
    value: NDArray[np.int32],
    clock: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    counts_from: NDArray[np.int64],
) -> None:
    """Go through the events of each value in the order of time, and through its troubles in that of their news.

    The earliest known one is looked for from where it was last found, and news of an earlier one goes back to it.
    """
    at, lower, frontier = clock
    is_known, begin = np.zeros(len(value), np.bool_), 0
    while begin < len(value):
        end = begin + np.searchsorted(value[begin:], value[begin] + 1)
        trouble = begin + np.flatnonzero(counts_from[begin:end] != NEVER)
        by_news = trouble[np.argsort(counts_from[trouble], kind="mergesort")]
        heard, known, last, first, gone = 0, 0, -1, begin, begin
        for k in range(begin, end):
            while heard < len(by_news) and counts_from[by_news[heard]] <= at[k]:
                j = by_news[heard]
                heard += 1
                if at[j] >= lower[k]:
                    is_known[j], known, last, first = True, known + 1, max(last, j), min(first, j)
            while at[gone] < lower[k]:
                known -= is_known[gone]
                gone += 1
            if last < gone:
                continue
            first = max(first, gone)
            while not is_known[first]:
                first += 1
            here = at[begin:end]
            passed = np.searchsorted(here, frontier[k], side="right")
            told[0, k] = (at[k] - at[last]) / _DAY
            told[1, k] = (at[k] - at[first]) / _DAY
            told[2, k] = passed - np.searchsorted(here, at[last], side="right")
            told[3, k] = passed - np.searchsorted(here, at[first]) - known
            told[4, k] = _run(is_known, at, gone, begin + passed)
        begin = end


@kernel
def _run(is_known: NDArray[np.bool_], at: NDArray[np.int64], start: int, stop: int) -> int:
    """How many of the latest events of a stretch are in known trouble, without those of the instant of one that is not.

    So the events of one instant count alike in whatever order they stand.
    """
    j = stop - 1
    while j >= start and is_known[j] and stop - 1 - j < _LONGEST:
        j -= 1
    i = j + 1
    while start <= j and not is_known[j] and i < stop and at[i] == at[j]:
        i += 1
    return stop - i


@kernel
def _least(
    column: NDArray[np.float32],
    note: NDArray[np.float32],
    sign: np.float32,
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> None:
    """The least of a note over each window, or the most with a sign of -1; null where all are."""
    for r in range(len(start)):
        for i in range(start[r], stop[r]):
            if not np.isnan(note[i]) and not sign * column[r] <= sign * note[i]:
                column[r] = note[i]
