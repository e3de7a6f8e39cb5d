"""What a later period is held against: how features lay, and the log arrived, while a model was trained.

The rows are those that the population was not learned from, before and in the test: a row that the population has seen
knows its own rarities, and no later row is like that. Each feature is cut into cells of about equal counts along the
fixed bins of the population; beside the counts stands how far single days and weeks were from the whole, since a Sunday
is no drift. It is plain data and travels on the model's card: counts and hashes, no name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..features.kernels import kernel
from ..features.population import BIN_BITS, N_BINS, histogram
from ..features.profile import EventProfile, newcomers, profile_of
from .asides import days_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from ..features.events import DataReport
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from .material import Material

__all__ = ["CELLS", "Cells", "Usual", "cells_of", "count_cells", "ks", "psi", "usual_of"]

_DAY = 86_400_000_000
_FORMAT = 1
CELLS = 32
_TENTHS = 10
_WEEK = 7


@dataclass(frozen=True, eq=False)
class Cells:
    """One feature's reference.

    Attributes
    ----------
    start : int64 array of shape (k,), rising, the first is 0
        The bin of the population's histogram that each cell begins with.
    counts : int64 array of shape (k + 1,)
        Rows in each cell; the last is of null.
    daily, weekly : pair of float, or None
        The largest PSI and KS of a single day, and of seven in a row, against the whole; None if too few are known.
    """

    start: NDArray[np.int64]
    counts: NDArray[np.int64]
    daily: tuple[float, float] | None = None
    weekly: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Usual:
    """All that a later period is held against.

    Attributes
    ----------
    since, until : int, microseconds since 1970 UTC
    rows : int
    entities : int
    cells : mapping of str to Cells
    events : EventProfile
    newcomers : mapping of str to float
        The largest share of newcomers among the entities of a ``day`` and of a ``week``, if known.
    groups : mapping of str to int
        Rows of each peer group, by the hash of its name in hexadecimal.
    rejected : mapping of str to float
        Rows set aside by reason, as a share of all that were read.
    line : float or None
        The score that the alert budget of the test came down to.
    alerts : float or None
        Alerts a day at that line.
    """

    since: int
    until: int
    rows: int
    entities: int
    cells: Mapping[str, Cells]
    events: EventProfile
    newcomers: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, float] = field(default_factory=dict)
    line: float | None = None
    alerts: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the card."""
        cells = {name: [_joined(c.start), _joined(c.counts), c.daily, c.weekly] for name, c in self.cells.items()}
        return {**vars(self), "format": _FORMAT, "cells": cells, "events": self.events.to_dict()}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self | None:
        """What the card of a model tells; None for a model that was trained before it was kept."""
        plain = card.get("usual")
        if not plain or plain.get("format") != _FORMAT:
            return None
        cells = {
            name: Cells(_split(start), _split(counts), daily and tuple(daily), weekly and tuple(weekly))
            for name, (start, counts, daily, weekly) in plain["cells"].items()
        }
        rest = {name: value for name, value in plain.items() if name not in {"format", "cells", "events"}}
        return cls(**rest, cells=cells, events=EventProfile.from_dict(plain["events"]))


def psi(reference: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """The population stability index of counts over the same bins, ``sum((q - p) log(q / p))``.

    Half a row is added to each bin, so that an empty one is rare and not impossible.

    Parameters
    ----------
    reference, now : int64 arrays of shape (..., k)
        The index is of the last axis.

    References
    ----------
    Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 no shift, above 0.25 a large one. It is the symmetrised
    divergence of Kullback and Leibler, Annals of Mathematical Statistics 1951.

    Examples
    --------
    >>> float(psi(np.array([50, 50]), np.array([500, 500])))
    0.0
    >>> round(float(psi(np.array([500, 500]), np.array([200, 800]))), 2)
    0.41
    """
    p, q = (_shares(counts, 0.5) for counts in (reference, now))
    return ((q - p) * np.log(q / p)).sum(axis=-1)[()]


def ks(reference: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """The largest difference of the cumulative shares at the bins' ends: the Kolmogorov-Smirnov statistic, or less.

    What differs within a bin is not seen, so that the true one is larger by at most the share of one bin.

    Examples
    --------
    >>> float(ks(np.array([50, 50]), np.array([20, 80])))
    0.3
    """
    p, q = (_shares(counts, 0.0) for counts in (reference, now))
    return np.round(np.abs(np.cumsum(p - q, axis=-1)).max(axis=-1, initial=0.0), 12)[()]


def tenths(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where to cut cells so that each stretch has about a tenth of the rows: first cells, for ``np.add.reduceat``."""
    before = np.cumsum(counts[:-1]) - counts[:-1]
    tenth = before * _TENTHS // max(1, int(counts[:-1].sum()))
    first = np.flatnonzero(np.diff(tenth, prepend=-1))
    return np.append(first, len(counts) - 1)


def cells_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut a histogram on the fixed bins into at most 32 cells of about equal counts; the first bin of each."""
    return _cut(np.asarray(counts, np.int64), CELLS)


def _cut(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """A cell ends once it has its share, so that a value that many rows have is a cell of its own."""
    share, start, held = counts.sum() / most, [0], 0
    for place in np.flatnonzero(counts):
        if held and (held + counts[place] > share) and place > start[-1]:
            start.append(int(place))
            held = 0
        held += int(counts[place])
    return np.array(start[:most], np.int64)


def count_cells(
    column: NDArray[np.float32], start: NDArray[np.int64], group: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """Count a column into its cells, for each group of rows.

    Parameters
    ----------
    column : float32 array of shape (n,)
    start : int64 array of shape (k,)
        The first bin of each cell.
    group : int64 array of shape (n,)

    Returns
    -------
    int64 array of shape (n_groups, k + 1)
        The last column is of nulls.
    """
    of = (np.searchsorted(start, np.arange(N_BINS), side="right") - 1).astype(np.int32)
    words = np.ascontiguousarray(column).view(np.uint32)
    return _count_cells(words, of, (len(start), 32 - BIN_BITS), group, n_groups)


@kernel
def _count_cells(
    words: NDArray[np.uint32], of: NDArray[np.int32], sizes: tuple[int, int], group: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """Bin by the leading bits, as the population's histograms do, then look the cell up."""
    null, drop = sizes
    counts = np.zeros((n_groups, null + 1), np.int64)
    for row in range(len(words)):
        word = words[row]
        if (word & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
            counts[group[row], null] += 1
            continue
        flipped = ~word if word >> np.uint32(31) else word | np.uint32(0x80000000)
        counts[group[row], of[flipped >> np.uint32(drop)]] += 1
    return counts


def usual_of(material: Material, timeline: Timeline, report: DataReport) -> Usual:
    """What to hold a later period against, from a training's material and the events behind it.

    Parameters
    ----------
    material : Material
    timeline : Timeline
        The whole log.
    report : DataReport
        What came to the door.
    """
    plan, rows = material.plan, _rows(material, timeline)
    since, until = int(rows.fresh.min()), int(rows.as_of.max())
    day = days_of(rows, plan.windows, plan.roles.time_zone)
    read = max(1, report.rows)
    return Usual(
        since,
        until,
        len(rows),
        len(np.unique(rows.entity.indices.to_numpy())),
        {name: _reference(column, day - day.min()) for name, column in zip(rows.names, rows.values, strict=True)},
        profile_of(timeline, (since, until), action=plan.roles.action, actions=plan.actions),
        _newcomers(timeline, (since, until), plan.windows.horizon_width),
        {} if material.asides is None else _groups(material.asides.group),
        {reason: count / read for reason, count in report.rejected.items()},
    )


def _rows(material: Material, timeline: Timeline) -> Vectors:
    """Rows that neither the population has seen nor the log's begin cuts short; those of the test, if no others are."""
    split, horizon = material.split, material.plan.windows.horizon_width
    full = (int(timeline.at.min()) if len(timeline) else 0) + horizon
    earlier = material.train.between(max(material.acquainted, full), None)
    if material.acquainted >= split.train_until or not len(earlier):
        later = material.test.between(full, None)
        return later if len(later) else material.test
    return type(earlier).concat([earlier, material.test])


def _reference(column: NDArray[np.float32], day: NDArray[np.int64]) -> Cells:
    start = cells_of(histogram([column])[0])
    by_day = count_cells(column, start, day, int(day.max()) + 1)
    there = by_day.sum(axis=1) > 0
    whole = by_day.sum(axis=0)
    weeks = np.array([by_day[at : at + _WEEK].sum(axis=0) for at in range(0, len(by_day) - _WEEK + 1, _WEEK)])
    return Cells(start, whole, _apart(whole, by_day[there]), _apart(whole, weeks))


def _apart(whole: NDArray[np.int64], parts: NDArray[np.int64]) -> tuple[float, float] | None:
    """The largest PSI and KS of a part against the whole; None if there are not two parts."""
    parts = parts[parts.sum(axis=1) > 0] if len(parts) else parts
    if len(parts) < 2:
        return None
    cut = tenths(whole)
    far = psi(np.add.reduceat(whole, cut), np.add.reduceat(parts, cut, axis=1))
    return round(float(np.max(far)), 4), round(float(np.max(ks(whole, parts))), 4)


def _newcomers(timeline: Timeline, period: tuple[int, int], horizon: int) -> dict[str, float]:
    found = {}
    for name, days in (("day", 1), ("week", _WEEK)):
        begins = range(period[0], period[1] - days * _DAY + 1, days * _DAY)
        shares = [newcomers(timeline, at, at + days * _DAY, horizon) for at in begins]
        known = [share for share in shares if share is not None]
        if known:
            found[name] = max(known)
    return found


def _groups(group: pa.DictionaryArray | None) -> dict[str, int]:
    """Rows of each peer group of the test, by hash."""
    from ..features.columns import stable_hash

    if group is None:
        return {}
    codes = group.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes[codes >= 0], minlength=len(group.dictionary))
    return {f"{key:016x}": int(n) for key, n in zip(stable_hash(group.dictionary).tolist(), counts, strict=True) if n}


def _shares(counts: NDArray[np.int64], floor: float) -> NDArray[np.float64]:
    padded = np.asarray(counts, np.float64) + floor
    return padded / np.maximum(padded.sum(axis=-1, keepdims=True), 1e-300)


def _joined(values: NDArray[np.int64]) -> str:
    return " ".join(map(str, values.tolist()))


def _split(text: str) -> NDArray[np.int64]:
    return np.array(text.split(), np.int64)
