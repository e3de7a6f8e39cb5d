"""Volume, breadth and timing as they are usually written in pandas: a Python function for each user, by ``apply``.

No trick, only the definitions: for each day a slice of the user's events by time, and a pandas verb for each feature.
So it reads like a specification, and it is what most feature code looks like before somebody makes it fast.

Names and definitions are ours, for windows of days in UTC; a test holds every column against the kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .recipe import Recipe

__all__ = ["FAMILIES", "build", "read"]

FAMILIES = ("volume", "breadth", "timing")
_NIGHT_UNTIL = 6


def read(path: Path, recipe: Recipe) -> pd.DataFrame:
    """Read the columns of the log, text as text, times without their zone."""
    frame = pd.read_parquet(path, columns=recipe.columns)
    at = recipe.roles.at
    return frame.assign(**{at: frame[at].dt.tz_localize(None)}).sort_values(at, kind="stable")


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
        One row for each entity and day on which it did something: ``entity``, ``as_of`` (the end of the day), features.
    """

    def of_user(events: pd.DataFrame) -> pd.DataFrame:
        days = events[recipe.roles.at].dt.floor("D").unique()
        return pd.DataFrame([dict(_row(events, day, recipe)) for day in days])

    made = frame.groupby(recipe.roles.entity).apply(of_user)
    return made.reset_index(level=0).rename(columns={recipe.roles.entity: "entity"})


def _row(events: pd.DataFrame, day: pd.Timestamp, recipe: Recipe) -> Iterator[tuple[str, object]]:
    """All features of one user and day."""
    end = day + pd.Timedelta(days=1)
    moments = events[recipe.roles.at]
    now = events[(moments >= day) & (moments < end)]
    before = events[(moments >= day - pd.Timedelta(days=recipe.trailing[-1])) & (moments < day)]
    yield "as_of", end
    yield "events_count_1d", len(now)
    if recipe.roles.action is not None:
        for name in recipe.actions:
            yield f"{name}_count_1d", (now[recipe.roles.action] == name).sum()
    for name in recipe.roles.measures:
        yield f"{name}_sum_1d", now[name].sum(min_count=1)
        yield f"{name}_mean_1d", now[name].mean()
        yield f"{name}_max_1d", now[name].max()
    for name in recipe.roles.dimensions:
        yield f"{name}_distinct_1d", now[name].nunique()
        share = now[name].value_counts(normalize=True)
        yield f"{name}_entropy_1d", -(share * np.log2(share)).sum() if len(share) else np.nan
    for days in recipe.trailing:
        window = events[(moments >= end - pd.Timedelta(days=days)) & (moments < end)]
        yield f"events_count_{days}d", len(window)
        for name in recipe.roles.dimensions:
            yield f"{name}_distinct_{days}d", window[name].nunique()
    yield from _hours(now[recipe.roles.at], before[recipe.roles.at], recipe)


def _hours(now: pd.Series, before: pd.Series, recipe: Recipe) -> Iterator[tuple[str, object]]:
    """When: the clock of the day, and how unusual its hours are for the user."""
    angle = (now.dt.hour * 60 + now.dt.minute) * (2.0 * np.pi / 1440)
    sine, cosine = np.sin(angle).mean(), np.cos(angle).mean()
    yield "night_share_1d", (now.dt.hour < _NIGHT_UNTIL).mean()
    yield "weekend_share_1d", (now.dt.day_of_week >= 5).mean()
    yield "hour_sin_1d", sine
    yield "hour_cos_1d", cosine
    yield "hour_spread_1d", 1.0 - min(1.0, np.hypot(sine, cosine))
    past = before.dt.hour.value_counts().reindex(range(24), fill_value=0).to_numpy()
    share = (past + recipe.hours) / (past.sum() + recipe.hours.sum())
    bits = pd.Series(-np.log2(share)).loc[now.dt.hour]
    yield "hour_surprise_mean_1d_vs_own", bits.mean()
    yield "hour_surprise_max_1d_vs_own", bits.max()
