"""Volume, breadth and timing as an expert would write them for Polars: physical codes, and one grouping a purpose.

The file is read by the streaming engine, text as categories and at once as their integers. A trailing window is one
``search_sorted`` over a sorted integer of entity and day and a difference of running totals, and distinct counts are
entries less exits, as in the pandas and DuckDB versions. Groupings are sorted by the same integer, so that columns are
laid side by side and nothing is joined but what a day may lack.

Names and definitions are ours, for windows of days in UTC; a test holds every column against the kernels. Copies of an
event are not looked for, which is in Polars' favour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .recipe import Recipe

__all__ = ["FAMILIES", "build"]

FAMILIES = ("volume", "breadth", "timing")
_DAY = 86_400_000_000
_STEP = 1 << 16  # days: more than any log has, so that the windows of one entity never reach the next
_NEVER = 1 << 60


def build(path: Path, recipe: Recipe) -> pl.DataFrame:
    """Build the features of every entity and day.

    Parameters
    ----------
    path : Path
        The Parquet file of events.
    recipe : Recipe

    Returns
    -------
    polars.DataFrame
        One row for each entity and day on which it did something: ``entity`` (a category), ``as_of`` (the end of the
        day, microseconds since 1970 UTC), and the features as float32.
    """
    events = _read(path, recipe)
    rows = _now(events, recipe).sort("k")
    made = [*_windows(rows, recipe.trailing), *_surprise(events, rows, recipe)]
    for name in recipe.roles.dimensions:
        made += _variety(events, rows["k"], name, recipe.trailing)
    weekend = (pl.col("k") % _STEP + 3) % 7 >= 5
    spread = 1.0 - pl.min_horizontal(1.0, (pl.col("hour_sin_1d") ** 2 + pl.col("hour_cos_1d") ** 2).sqrt())
    rows = rows.with_columns(*made, weekend.alias("weekend_share_1d"), spread.alias("hour_spread_1d"))
    features = pl.all().exclude("k", "entity", "as_of").cast(pl.Float32)
    return rows.select("entity", ((pl.col("k") % _STEP + 1) * _DAY).alias("as_of"), features)


def _read(path: Path, recipe: Recipe) -> pl.DataFrame:
    """Text as integers, entity and day as one integer."""
    roles = recipe.roles
    entity, moment = pl.col(roles.entity).cast(pl.Categorical), pl.col(roles.at).dt.epoch("us")
    columns = {name: pl.col(name).cast(pl.Categorical).to_physical() for name in roles.dimensions}
    columns |= {name: pl.col(name) for name in roles.measures if name not in columns}
    if roles.action is not None:
        columns |= {f"{name}_count_1d": pl.col(roles.action) == name for name in recipe.actions}
    key = entity.to_physical().cast(pl.Int64) * _STEP + moment // _DAY
    minute = (moment // 60_000_000 % 1440).cast(pl.Int16)
    angle = minute * (2.0 * np.pi / 1440)
    circle = {"hour_sin_1d": angle.sin(), "hour_cos_1d": angle.cos()}
    log = pl.scan_parquet(path).select(entity=entity, k=key, minute=minute, **circle, **columns)
    return log.collect(engine="streaming")


def _now(events: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """One grouping for all that needs the current day alone."""
    made = [pl.len().alias("events_count_1d"), pl.col("entity").first()]
    made += [pl.col(f"{name}_count_1d").sum() for name in recipe.actions]
    for name in recipe.roles.measures:
        known, value = pl.col(name).count() > 0, pl.col(name)
        made += [pl.when(known).then(value.sum()).alias(f"{name}_sum_1d")]
        made += [value.mean().alias(f"{name}_mean_1d"), value.max().alias(f"{name}_max_1d")]
    made += [(pl.col("minute") < 360).mean().alias("night_share_1d"), pl.col("hour_sin_1d", "hour_cos_1d").mean()]
    return events.lazy().group_by("k").agg(made).collect(engine="streaming")


def _windows(rows: pl.DataFrame, trailing: tuple[int, ...]) -> Iterator[pl.Series]:
    """Counts of events by differences of a running total."""
    key, total = rows["k"], rows["events_count_1d"].cast(pl.Int64).cum_sum()
    for days in trailing:
        yield (total - _before(key, key - (days - 1), total)).alias(f"events_count_{days}d")


def _before(key: pl.Series, bound: pl.Series, total: pl.Series) -> pl.Series:
    """The running total just before the first row whose key is not below the bound."""
    return pl.concat([pl.Series([0], dtype=total.dtype), total]).gather(key.search_sorted(bound, side="left"))


def _surprise(events: pl.DataFrame, rows: pl.DataFrame, recipe: Recipe) -> Iterator[pl.Series]:
    """How often each hour of the day came in the horizon before, from a table of entities, hours and days."""
    horizon, key = recipe.trailing[-1], rows["k"]
    hour = (pl.col("minute") // 60).cast(pl.Int64)
    place = (pl.col("k") // _STEP * 24 + hour) * _STEP + pl.col("k") % _STEP
    hours = events.lazy().group_by(place.alias("place")).agg(c=pl.len()).collect(engine="streaming").sort("place")
    running = hours["c"].cast(pl.Int64).cum_sum()
    past = running - hours["c"] - _before(hours["place"], hours["place"] - horizon, running)
    total = rows["events_count_1d"].cast(pl.Int64).cum_sum()
    known = total - rows["events_count_1d"] - _before(key, key - horizon, total)
    back = hours["place"] // _STEP // 24 * _STEP + hours["place"] % _STEP
    row = key.search_sorted(back, side="left")
    prior = pl.Series(recipe.hours).gather(hours["place"] // _STEP % 24)
    bits = -((past + prior) / (known.gather(row) + recipe.hours.sum())).log(2.0)
    table = pl.DataFrame({"row": row, "c": hours["c"], "bits": bits}).lazy().group_by("row")
    means = table.agg(mean=(pl.col("c") * pl.col("bits")).sum() / pl.col("c").sum(), worst=pl.col("bits").max())
    made = means.collect().sort("row")
    yield made["mean"].alias("hour_surprise_mean_1d_vs_own")
    yield made["worst"].alias("hour_surprise_max_1d_vs_own")


def _variety(events: pl.DataFrame, key: pl.Series, name: str, trailing: tuple[int, ...]) -> Iterator[pl.Series]:
    """Everything about one dimension, from its distinct pairs of day and value and the day each value comes again."""
    value = (pl.col("k") // _STEP).cast(pl.Int64) * (1 << 32) + pl.col(name).cast(pl.Int64)
    grouped = events.lazy().filter(pl.col(name).is_not_null()).group_by("k", value.alias("v")).agg(c=pl.len())
    pairs = grouped.collect(engine="streaming").sort("v", "k")
    same = pl.col("v") == pl.col("v").shift(-1)
    again = pl.when(same).then(pl.col("k").shift(-1)).otherwise(_NEVER)
    c = pl.col("c").cast(pl.Float64)
    pairs = pairs.lazy().select("k", c=c, bits=c * c.log(2.0), again=again).collect()
    summed = pairs.lazy().group_by("k").agg(pl.len(), total=pl.col("c").sum(), bits=pl.col("bits").sum()).collect()
    place = key.search_sorted(summed["k"], side="left")
    counts = _laid(place, summed["len"], len(key))
    yield counts.alias(f"{name}_distinct_1d")
    for days in trailing:
        exits = pairs.select(pl.min_horizontal(pl.col("k") + days, "again"))["k"]
        gone = key.search_sorted(exits, side="left").alias("place").value_counts()
        left = _laid(gone["place"], gone["count"], len(key))
        yield (counts - left).cum_sum().alias(f"{name}_distinct_{days}d")
    entropy = summed["total"].log(2.0) - summed["bits"] / summed["total"]
    yield _laid(place, entropy.clip(lower_bound=0.0), len(key), empty=None).alias(f"{name}_entropy_1d")


def _laid(place: pl.Series, values: pl.Series, length: int, empty: int | None = 0) -> pl.Series:
    """A column of the given length with the values at their places; places beyond the end are dropped."""
    column = pl.repeat(empty, length + 1, dtype=pl.Float64 if values.dtype.is_float() else pl.Int64, eager=True)
    return column.scatter(place, values.cast(column.dtype)).head(length)
