"""Small vectors and labels for the tests of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from peculiar.features.family import Feature
from peculiar.features.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DAY = 86_400_000_000


def feature(name: str, family: str) -> Feature:
    """A feature that only has a name and a family."""
    return Feature(name, family, "count", "a number", "nothing to count", "{value}")


def vectors_of(
    matrix: NDArray[np.float64], *, day: NDArray[np.int64] | None = None, families: int = 3, entity: Sequence[str] = ()
) -> Vectors:
    """Vectors of a matrix (n, n_features): one day per row, one entity per row unless told otherwise."""
    n, columns = matrix.shape
    days = np.zeros(n, np.int64) if day is None else np.asarray(day, np.int64)
    names = list(entity) or [f"user {row:06d}" for row in range(n)]
    features = [feature(f"f{number}", f"family {number * families // columns}") for number in range(columns)]
    return Vectors(
        pa.array(names, pa.string()).dictionary_encode(),
        days * DAY,
        (days + 1) * DAY,
        np.ascontiguousarray(matrix.T, np.float32),
        tuple(features),
        "toy",
    )


def awkward(rows: int = 600, seed: int = 0) -> tuple[Vectors, NDArray[np.bool_]]:
    """Vectors with all that a detector must bear, and labels: heavy tails, nulls, constants, counts, extremes."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 9))
    matrix[:, 1] = np.exp(4 * matrix[:, 1])
    matrix[:, 2] = rng.poisson(0.05, rows)
    matrix[:, 3] = 7.0
    matrix[:, 4] = np.nan
    matrix[rng.random(rows) < 0.3, 5] = np.nan
    matrix[0, 6], matrix[1, 6] = 3e38, -3e38
    bad = rng.random(rows) < 0.1
    matrix[bad, 7:] += 3.0
    return vectors_of(matrix, day=np.sort(rng.integers(0, 30, rows))), bad
