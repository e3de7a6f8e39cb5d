"""What each feature means, and how its values lie: of a log, of a file of vectors, or of a model's population."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PlanMismatchError, SchemaError
from .families import FAMILIES
from .family import Feature
from .output import FEATURES, FINGERPRINT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .plan import FeaturePlan
    from .population import Population
    from .vectors import Vectors

__all__ = [
    "SHARES",
    "Description",
    "Portrait",
    "describe",
    "describe_file",
    "describe_population",
    "family_line",
    "holds_vectors",
]

SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)
_FINE, _COARSE = 1000, 200  # points that stand for a distribution in a picture


@dataclass(frozen=True, eq=False)
class Portrait:
    """A feature and how its values lie.

    Attributes
    ----------
    feature : Feature
    nulls : float
        Share of vectors in which it is null.
    quantiles : tuple of float
        The values at ``SHARES`` of the vectors that have one; NaN if none has.
    points : float64 array
        Values at evenly spaced shares, rising: the distribution, for a picture. Empty if every value is null.
    """

    feature: Feature
    nulls: float
    quantiles: tuple[float, ...]
    points: NDArray[np.float64] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        shown = {name: getattr(self.feature, name) for name in ("name", "family", "unit", "meaning", "null")}
        quantiles = {f"{share:.0%}": value for share, value in zip(SHARES, self.quantiles, strict=True)}
        return {**shown, "nulls": self.nulls, "quantiles": quantiles}


@dataclass(frozen=True, eq=False)
class Description:
    """The features of many vectors.

    Attributes
    ----------
    source : str
        What was described, for a person.
    rows : int
        How many vectors.
    plan : str
        Fingerprint of the plan that made them.
    portraits : tuple of Portrait
        In the order of the vector.
    """

    source: str
    rows: int
    plan: str
    portraits: tuple[Portrait, ...]

    @property
    def by_family(self) -> dict[str, tuple[Portrait, ...]]:
        """The features of each family, families in the order of the vector."""
        families = dict.fromkeys(portrait.feature.family for portrait in self.portraits)
        return {name: tuple(p for p in self.portraits if p.feature.family == name) for name in families}

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        features = [portrait.to_dict() for portrait in self.portraits]
        families = {name: len(portraits) for name, portraits in self.by_family.items()}
        return {
            "source": self.source,
            "rows": self.rows,
            "plan": self.plan,
            "families": families,
            "features": features,
        }


def describe(vectors: Vectors, source: str = "vectors in memory") -> Description:
    """Describe vectors in memory.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.events import EventLog
    >>> from peculiar.features.plan import FeaturePlan
    >>> log = EventLog.open(pa.table({"user_id": ["ann", "ann"], "ts": ["2025-03-01T08:00Z", "2025-03-01T09:00Z"]}))
    >>> timeline, _, _ = log.read()
    >>> plan = FeaturePlan.for_log(timeline, log.roles)
    >>> first = describe(plan.vectors(timeline, plan.fit(timeline))).portraits[0]
    >>> first.feature.name, first.quantiles
    ('events_count_1d', (2.0, 2.0, 2.0, 2.0, 2.0))
    """
    return _described(source, vectors.plan, zip(vectors.features, vectors.values, strict=True), len(vectors))


def describe_file(path: str | Path) -> Description:
    """Describe a Parquet file of vectors, as ``peculiar features`` writes it; the features speak for themselves.

    Raises
    ------
    SchemaError
        If it is another kind of file, or lacks a column that it says it has.
    PlanMismatchError
        If what it says of its features is not what this version reads.
    """
    import pyarrow.parquet as pq

    metadata = _metadata(path)
    if FEATURES not in metadata:
        message = f"{path}: expected vectors as 'peculiar features' writes them, found Parquet without their metadata"
        raise SchemaError(message)
    try:
        features = [Feature(**plain) for plain in json.loads(metadata[FEATURES])]
    except TypeError as error:
        message = f"{path}: its features are told in another way: {error}; use the version of peculiar that wrote it"
        raise PlanMismatchError(message) from error
    file = pq.ParquetFile(path)
    missing = sorted({feature.name for feature in features} - set(file.schema_arrow.names))
    if missing:
        raise SchemaError(f"{path}: expected the columns {', '.join(missing[:5])}, found none; build the vectors again")
    columns = ((feature, file.read([feature.name])[feature.name].to_numpy().astype(np.float32)) for feature in features)
    return _described(str(path), metadata[FINGERPRINT].decode(), columns, file.metadata.num_rows)


def describe_population(plan: FeaturePlan, population: Population, source: str) -> Description:
    """Describe the vectors that a population was fitted on, from its histograms: to the width of a bin, 3 to 6 %.

    A histogram does not count nulls; the fullest tells how many vectors there were.
    """
    counts = {feature.name: int(population.histograms[feature.name].sum()) for feature in plan.features}
    rows = max(counts.values(), default=0)
    portraits = []
    for feature in plan.features:
        quantiles = tuple(population.quantile(feature.name, share) for share in SHARES)
        held = [population.quantile(feature.name, share) for share in _even(_COARSE)] if counts[feature.name] else []
        nulls = 1.0 - counts[feature.name] / rows if rows else float("nan")
        portraits.append(Portrait(feature, nulls, quantiles, np.array(held)))
    return Description(source, rows, plan.fingerprint, tuple(portraits))


def holds_vectors(path: str | Path) -> bool:
    """Whether this is a Parquet file that ``peculiar features`` wrote."""
    return Path(path).is_file() and FEATURES in _metadata(path)


def family_line(name: str) -> str:
    """What a family says of itself, in a line; empty for one that this version does not have.

    Examples
    --------
    >>> family_line("velocity")
    'How fast: busiest spans, gaps, burstiness, most different values within an hour.'
    """
    return ((FAMILIES[name].__doc__ or "") if name in FAMILIES else "").strip().split("\n\n", 1)[0]


def _described(
    source: str, plan: str, columns: Iterable[tuple[Feature, NDArray[np.float32]]], rows: int
) -> Description:
    return Description(source, rows, plan, tuple(_portrait(feature, column) for feature, column in columns))


def _portrait(feature: Feature, column: NDArray[np.float32]) -> Portrait:
    held = np.sort(column[~np.isnan(column)])
    if not len(held):
        nothing = float("nan")
        return Portrait(feature, 1.0 if len(column) else nothing, (nothing,) * len(SHARES), np.empty(0))
    nulls = 1.0 - len(held) / len(column)
    points = held if len(held) <= _FINE else held[_places(_even(_FINE), len(held))]
    quantiles = tuple(held[_places(np.array(SHARES), len(held))].tolist())
    return Portrait(feature, nulls, quantiles, points.astype(np.float64))


def _even(points: int) -> NDArray[np.float64]:
    return (np.arange(points) + 0.5) / points


def _places(shares: NDArray[np.float64], rows: int) -> NDArray[np.intp]:
    """Where the smallest value stands that at least such a share does not exceed: a value that there is, no mean."""
    return np.maximum(np.ceil(shares * rows).astype(np.intp) - 1, 0)


def _metadata(path: str | Path) -> dict[bytes, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return {}
