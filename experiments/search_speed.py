"""How long a search for LightGBM's settings takes on vectors as many and as wide as a large team has them.

``python -m peculiar.experiments.search_speed --json search.json`` runs 50 trials on three folds of 500,000 vectors with
150 features, one in a hundred of them confirmed trouble. The vectors are drawn, not built: a tenth of the features says
something, weakly, and the rest is noise with heavy tails and nulls, as features have them.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa

from ..features.family import Feature
from ..features.vectors import Vectors
from ..training.folds import Sampling
from ..training.labels import read_labels
from ..training.search import Search
from ..training.splits import prequential_folds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..training.labels import Labels

__all__ = ["drawn", "measure"]

_DAY = 86_400_000_000
_DAYS = 60
_ROWS_AN_ENTITY = 20


def drawn(rows: int, features: int, *, positives: float, seed: int = 0) -> tuple[Vectors, Labels]:
    """Vectors of sixty days, and labels of a share of them that are known a day later.

    Parameters
    ----------
    rows, features : int
    positives : float
        Share of the rows that are confirmed trouble.
    seed : int

    Examples
    --------
    >>> vectors, labels = drawn(1_000, 20, positives=0.01)
    >>> vectors.values.shape, len(labels)
    ((20, 1000), 10)
    """
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((features, rows), np.float32)
    telling = max(1, features // 10)
    suspicion = values[:telling].sum(axis=0) / np.sqrt(telling) + 0.6 * rng.standard_normal(rows)
    bad = np.sort(np.argsort(-suspicion, kind="stable")[: round(positives * rows)])
    for column in range(1, features, 3):
        np.exp(values[column], out=values[column])
        values[column, rng.random(rows) < 0.1] = np.nan
    day = np.sort(rng.integers(0, _DAYS, rows))
    who = rng.integers(0, max(1, rows // _ROWS_AN_ENTITY), rows).astype(np.int32)
    names = pa.array([f"u{number:07d}" for number in range(max(1, rows // _ROWS_AN_ENTITY))])
    made = tuple(
        Feature(f"f{n}", f"family {n * 10 // features}", "count", "a number", "nothing", "{value}")
        for n in range(features)
    )
    entity = pa.DictionaryArray.from_arrays(pa.array(who), names)
    vectors = Vectors(entity, day * _DAY, (day + 1) * _DAY, values, made, "drawn")
    return vectors, _labels(vectors, bad)


def _labels(vectors: Vectors, bad: NDArray[np.intp]) -> Labels:
    who = vectors.entity.take(pa.array(bad))
    since, as_of = vectors.since[bad], vectors.as_of[bad]
    return read_labels(pa.table({"entity": who, "from": since, "to": as_of, "known_at": as_of + _DAY}))


def measure(
    data: tuple[Vectors, Labels], *, trials: int, folds: int, sampling: Sampling, seed: int = 0
) -> dict[str, Any]:
    """Search, and tell the time.

    Returns
    -------
    dict
        Plain data: ``seconds``, ``cpu_seconds``, ``first_seconds`` (drawing rows, cutting bins, and the first trial),
        ``trial_seconds`` (median), ``pruned``, ``start_value``, ``value``, and the size of the task.
    """
    vectors, labels = data
    begun, cpu, first = time.perf_counter(), time.process_time(), []
    splits = prequential_folds(vectors, folds=folds, gap=2 * _DAY)
    search = Search(trials=trials, sampling=sampling)
    found = search.run(
        vectors, labels, folds=splits, seed=seed, progress=lambda *_: first.append(time.perf_counter() - begun)
    )
    states = found.trials["state"].tolist()
    return {
        "rows": len(vectors),
        "features": len(vectors.features),
        "positives": len(labels),
        "folds": folds,
        "trials": len(states),
        "pruned": states.count("PRUNED"),
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu,
        "first_seconds": first[0],
        "trial_seconds": float(found.trials["seconds"].median()),
        "start_value": float(found.trials.loc[0, "value"]),
        "value": found.value,
        "sampling": vars(sampling),
        "cores": os.cpu_count(),
    }


@click.command()
@click.option("--rows", default=500_000, show_default=True, help="Vectors.")
@click.option("--features", default=150, show_default=True)
@click.option("--positives", default=0.01, show_default=True, help="Share of the vectors that are confirmed trouble.")
@click.option("--trials", default=50, show_default=True)
@click.option("--folds", default=3, show_default=True)
@click.option("--learn", default=Sampling.rows, show_default=True, help="Rows of a fold to learn from, about.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def main(  # noqa: PLR0913, PLR0917 - as many parameters as options
    rows: int, features: int, positives: float, trials: int, folds: int, learn: int, out: Path | None
) -> None:
    """Measure how long a search for LightGBM's settings takes."""
    data = drawn(rows, features, positives=positives)
    found = measure(data, trials=trials, folds=folds, sampling=Sampling(rows=learn))
    print(
        f"{found['trials']} trials ({found['pruned']} given up early) on {folds} folds of {rows:,} vectors with "
        f"{features} features: {found['seconds']:.1f} s, {found['cpu_seconds']:.1f} CPU-s; average precision "
        f"{found['start_value']:.3f} -> {found['value']:.3f}"
    )
    if out is not None:
        out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
