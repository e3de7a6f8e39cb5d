"""The five families of the default plan as an expert would write them in pandas: no loop over groups, no ``apply``.

Where pandas has a vectorised verb it is used (``groupby`` on one integer key, categoricals read straight from the
file's dictionaries); where it has none, numpy does what an expert does then. Two tricks carry most of it. *Sorted
keys*: entity and day in one integer, so that a trailing window is one ``searchsorted``. *Intervals*: a value counts as
seen from its event until it leaves the window or comes again, so that a running distinct count is entries less exits.

Names and definitions are ours, for windows of days in UTC; a test holds every column against the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .pandas_baseline import baseline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from .recipe import Recipe

__all__ = ["FAMILIES", "build", "read"]

FAMILIES = ("volume", "velocity", "breadth", "timing", "baseline")
_DAY = 86_400_000_000
_SPANS = {"10m": 600_000_000, "1h": 3_600_000_000}
_STEP = 1 << 20  # days: more than any log has, so that the windows of one entity never reach the next

Columns = dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Log:
    """Events sorted by entity and time, and the rows they fall into: one for each entity and day."""

    events: pd.DataFrame
    rows: pd.DataFrame
    actions: list[str]

    @property
    def row(self) -> NDArray[np.int64]:
        """The row of each event."""
        return self.events["row"].to_numpy()

    @property
    def at(self) -> NDArray[np.int64]:
        """Microseconds since 1970 of each event."""
        return self.events["at"].to_numpy()

    @property
    def start(self) -> NDArray[np.int64]:
        """The first event of each row."""
        return self.rows["start"].to_numpy()

    @cached_property
    def days(self) -> NDArray[np.int64]:
        """Entity and day in one sorted integer."""
        return (self.rows["entity"] * _STEP + self.rows["day"]).to_numpy()

    @cached_property
    def moments(self) -> NDArray[np.int64]:
        """Row and time of day in one sorted integer; no span reaches from one row into the next."""
        return self.row * (2 * _DAY) + self.at % _DAY

    @cached_property
    def grouped(self) -> pd.api.typing.DataFrameGroupBy:
        """The events of each row."""
        return self.events.groupby("row", sort=False)

    def earliest(self, days: int) -> NDArray[np.int64]:
        """The entity's first row no more than so many days before each row."""
        return np.searchsorted(self.days, self.days - days)


def read(path: Path, recipe: Recipe) -> pd.DataFrame:
    """Read the columns of the log; text arrives as categories, undecoded."""
    return pd.read_parquet(path, columns=recipe.columns, read_dictionary=recipe.text)


def build(frame: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Build the features of every entity and day.

    Parameters
    ----------
    frame : pandas.DataFrame
        The log, as :func:`read` gives it.
    recipe : Recipe

    Returns
    -------
    pandas.DataFrame
        One row for each entity and day on which it did something, in that order: ``entity``, ``as_of`` (the end of the
        day, microseconds since 1970 UTC), and the features as float32.
    """
    log = _prepare(frame, recipe)
    columns = {**_volume(log, recipe), **_velocity(log, recipe), **_breadth(log, recipe), **_timing(log, recipe)}
    columns = {name: np.asarray(column, np.float32) for name, column in columns.items()}
    columns |= baseline(columns, log.rows["day"].to_numpy(), log.earliest(recipe.trailing[-1]), recipe)
    entity = frame[recipe.roles.entity].cat.categories.take(log.rows["entity"])
    return pd.DataFrame({"entity": entity, "as_of": (log.rows["day"] + 1) * _DAY, **columns})


def _prepare(frame: pd.DataFrame, recipe: Recipe) -> _Log:
    """Codes for text, integers for time, sorted by entity and time."""
    roles = recipe.roles
    if roles.id is not None and not frame[roles.id].is_monotonic_increasing:
        frame = frame.sort_values(roles.id).drop_duplicates(roles.id)
    columns: Columns = {"entity": frame[roles.entity].cat.codes.astype(np.int64)}
    columns["at"] = frame[roles.at].astype("datetime64[us, UTC]").astype(np.int64)
    columns |= {name: frame[name].cat.codes.astype(np.int64) for name in roles.dimensions}
    columns |= {name: frame[name] for name in roles.measures}
    events = pd.DataFrame(columns)
    if not events["at"].is_monotonic_increasing:
        events = events.sort_values("at", kind="stable")
    events = events.take(np.argsort(events["entity"].to_numpy(), kind="stable"))
    days = (events["entity"] * _STEP + events["at"] // _DAY).to_numpy()
    new = np.append(True, days[1:] != days[:-1])
    events["row"] = np.cumsum(new) - 1
    start = np.flatnonzero(new)
    stop = np.append(start[1:], len(events))
    rows = {"entity": days[start] // _STEP, "day": days[start] % _STEP, "start": start, "stop": stop}
    actions = [] if roles.action is None else list(frame[roles.action].cat.categories)
    return _Log(events, pd.DataFrame(rows), actions)


def _volume(log: _Log, recipe: Recipe) -> Columns:
    """Counts of windows by subtracting positions, of actions by one histogram, amounts by one grouping."""
    made: Columns = {"events_count_1d": log.rows["stop"] - log.start}
    for days in recipe.trailing:
        made[f"events_count_{days}d"] = log.rows["stop"] - log.start[log.earliest(days - 1)]
    if recipe.roles.action is not None:
        made |= _actions(log, recipe, recipe.roles.action)
    for name in recipe.roles.measures:
        table = log.grouped[name].agg(["mean", "max"])
        made[f"{name}_sum_1d"] = log.grouped[name].sum(min_count=1)
        made |= {f"{name}_{statistic}_1d": table[statistic] for statistic in ("mean", "max")}
    return made


def _actions(log: _Log, recipe: Recipe, action: str) -> Columns:
    slots = len(log.actions) + 1
    keys = log.row * slots + log.events[action].to_numpy() + 1
    table = np.bincount(keys, minlength=len(log.rows) * slots).reshape(-1, slots)
    return {f"{name}_count_1d": table[:, log.actions.index(name) + 1] for name in recipe.actions}


def _velocity(log: _Log, recipe: Recipe) -> Columns:
    made: Columns = {}
    for span, width in _SPANS.items():
        since = np.searchsorted(log.moments, log.moments - width, side="right")
        made[f"events_max_{span}_1d"] = np.maximum.reduceat(np.arange(len(since)) - since + 1, log.start)
    made |= _gaps(log, recipe.trailing[-1])
    until = np.searchsorted(log.moments, log.moments + _SPANS["1h"])
    for name in recipe.roles.dimensions:
        made[f"{name}_distinct_max_1h_1d"] = _busiest_variety(log, log.events[name].to_numpy(), until)
    return made


def _gaps(log: _Log, horizon: int) -> Columns:
    """Differences of neighbours, grouped by row; the gap before a row counts if the horizon holds its other end."""
    gaps = log.events["at"].diff()
    before = gaps.to_numpy()[log.start] * 1e-6
    gaps.iloc[log.start] = np.nan
    grouped = (gaps * 1e-6).groupby(log.row, sort=False)
    mean, spread = grouped.mean(), grouped.std(ddof=0)
    total = mean + spread
    burstiness = ((spread - mean) / total).where(total > 0.0, 0.0)
    known = log.earliest(horizon) < np.arange(len(log.rows))
    return {
        "gap_min_1d": grouped.min(),
        "gap_median_1d": grouped.median(),
        "gap_burstiness_1d": burstiness.where(log.rows["stop"].to_numpy() - log.start > 2),
        "gap_before_1d": np.where(known, before, np.nan),
    }


def _busiest_variety(log: _Log, codes: NDArray[np.int64], until: NDArray[np.intp]) -> NDArray[np.int64]:
    """The most values seen at once: each is seen from its event until an hour has passed or it comes again."""
    valid = codes >= 0
    places = np.flatnonzero(valid)
    keys = log.row[places] * (int(codes.max(initial=0)) + 1) + codes[places]
    order = np.argsort(keys, kind="stable")
    again = np.full(len(places), len(codes))
    same = keys[order[1:]] == keys[order[:-1]]
    again[order[:-1][same]] = places[order[1:][same]]
    exits = np.bincount(np.minimum(again, until[places]), minlength=len(codes) + 1)[:-1]
    return np.maximum.reduceat(np.cumsum(valid - exits), log.start)


def _breadth(log: _Log, recipe: Recipe) -> Columns:
    return {name: column for dimension in recipe.roles.dimensions for name, column in _variety(log, dimension, recipe)}


def _variety(log: _Log, dimension: str, recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """Everything about one dimension, from its distinct pairs of row and value and how often each comes."""
    codes = log.events[dimension].to_numpy()
    size = int(codes.max(initial=0)) + 1
    pairs, counts = np.unique((log.row * size + codes)[codes >= 0], return_counts=True)
    row, code = np.divmod(pairs, size)
    yield f"{dimension}_distinct_1d", np.bincount(row, minlength=len(log.rows))
    entity, day = log.rows["entity"].to_numpy()[row], log.rows["day"].to_numpy()[row]
    order = np.argsort(entity * size + code, kind="stable")
    row, entity, day, value = row[order], entity[order], day[order], code[order]
    again = np.append((entity[1:] == entity[:-1]) & (value[1:] == value[:-1]), False)
    entries = np.bincount(row, minlength=len(log.rows))
    for days in recipe.trailing:
        exits = np.minimum(day + days, np.where(again, np.append(day[1:], 0), np.iinfo(np.int64).max))
        gone = np.bincount(np.searchsorted(log.days, entity * _STEP + exits), minlength=len(log.rows) + 1)[:-1]
        yield f"{dimension}_distinct_{days}d", np.cumsum(entries - gone)
    yield f"{dimension}_entropy_1d", _entropy(pairs // size, counts, len(log.rows))


def _entropy(row: NDArray[np.int64], counts: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    total = np.bincount(row, counts, rows)
    bits = np.bincount(row, counts * np.log2(counts), rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(0.0, np.log2(total) - bits / total)


def _timing(log: _Log, recipe: Recipe) -> Columns:
    minute = log.at // 60_000_000 % 1440
    angle = np.arange(1440) * (2.0 * np.pi / 1440)
    events = {"night": minute < 360, "sine": np.sin(angle)[minute], "cosine": np.cos(angle)[minute]}
    means = pd.DataFrame(events).groupby(log.row, sort=False).mean()
    spread = 1.0 - np.minimum(1.0, np.hypot(means["sine"], means["cosine"]))
    weekend = (log.rows["day"] + 3) % 7 >= 5
    shares = {"night_share_1d": means["night"], "weekend_share_1d": weekend, "hour_spread_1d": spread}
    circle = {"hour_sin_1d": means["sine"], "hour_cos_1d": means["cosine"]}
    return {**shares, **circle, **_surprise(log, minute // 60, recipe)}


def _surprise(log: _Log, hour: NDArray[np.int64], recipe: Recipe) -> Columns:
    """A histogram of hours for each row; running totals of it give the histogram of the horizon before."""
    now = np.bincount(log.row * 24 + hour, minlength=len(log.rows) * 24).reshape(-1, 24)
    before = np.cumsum(now, axis=0) - now
    past = before - before[log.earliest(recipe.trailing[-1])]
    share = (past + recipe.hours) / (past.sum(axis=1, keepdims=True) + recipe.hours.sum())
    bits = np.where(now > 0, -np.log2(share), 0.0)
    mean = (now * bits).sum(axis=1) / now.sum(axis=1)
    return {"hour_surprise_mean_1d_vs_own": mean, "hour_surprise_max_1d_vs_own": bits.max(axis=1)}
