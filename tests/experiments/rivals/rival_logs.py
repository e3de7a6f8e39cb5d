"""Small random logs for rivals, and what comes out of the kernels for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from peculiar.experiments.rivals.recipe import Recipe
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from peculiar.features.vectors import Vectors

DAY = 86_400_000_000
START = 1_735_689_600_000_000  # 1 January 2025


def random_log(seed: int, n: int = 4000) -> pa.Table:
    """A small log with nulls, ties, gaps of weeks, users of one event, and names that need quoting."""
    rng = np.random.default_rng(seed)
    at = np.sort(np.append(rng.integers(0, 70 * DAY, n // 2), rng.integers(0, 70 * 24, n - n // 2) * (DAY // 24)))
    at[at > 50 * DAY] += 40 * DAY  # nobody does anything for longer than the horizon

    def names(prefix: str, size: int, share_null: float = 0.0) -> pa.Array:
        values = [f"{prefix}{int(code)}" for code in size * rng.random(n) ** 2]
        return pa.array(values, mask=rng.random(n) < share_null)

    columns = {
        "event_id": np.arange(n),
        "user_id": names("u", 40),
        "ts": pa.array(at + START).cast(pa.timestamp("us", "UTC")),
        "action": names("it's act", 20, 0.05),
        "device": names("d", 30),
        "item": names("i", 9, 0.6),
        "amount": pa.array(np.round(rng.lognormal(3, 1, n), 2), mask=rng.random(n) < 0.7),
        "bytes": rng.integers(0, 50, n).astype(float),
    }
    return pa.table(columns)


def raced(path: Path, families: tuple[str, ...]) -> tuple[Vectors, Recipe]:
    """Our vectors of these families, and what a rival is told."""
    log = EventLog.open(str(path))
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles)
    chosen = tuple(family for family in plan.families if family.name in families)
    plan = replace(plan, families=chosen)  # as the race has it: a baseline of other families' levels is not on course
    population = plan.fit(timeline)
    return plan.vectors(timeline, population), Recipe.of(plan, population)


def written(folder: Path, seed: int, n: int = 4000) -> Path:
    """A random log as a file."""
    path = folder / f"events-{seed}-{n}.parquet"
    pq.write_table(random_log(seed, n), path, row_group_size=1000)
    return path


def held(theirs: pd.DataFrame, ours: Vectors, least: int) -> None:
    """Every row of ours and no other, every column one of ours and equal to it, and at least so many of them."""
    theirs = theirs.assign(entity=theirs["entity"].astype(str)).sort_values(["entity", "as_of"])
    assert theirs["entity"].tolist() == ours.entity.to_pylist()
    np.testing.assert_array_equal(theirs["as_of"], ours.as_of)
    built = set(theirs.columns) - {"entity", "as_of"}
    assert built <= set(ours.names)
    assert len(built) >= least
    for name in sorted(built):
        values = theirs[name].to_numpy(np.float64, na_value=np.nan)
        np.testing.assert_allclose(values, ours.column(name), rtol=1e-4, atol=1e-4, err_msg=name)
