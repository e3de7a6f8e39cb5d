"""The entity's own days before a window, told by the number that leads the reasons.

Drawn are only numbers that a window's own events decide (a count, a sum, how many different): what looks back further
could not be told of the first days, since their history was not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..training.asides import days_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.family import Feature
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model
    from .reasons import Reason

__all__ = ["BAND", "History", "histories_of"]

_DAY = 86_400_000_000
BAND = (0.1, 0.9)
_FEW = 5  # so many days are needed before their spread is called usual


@dataclass(frozen=True, eq=False)
class History:
    """One number of one entity, day by day up to the window.

    Attributes
    ----------
    feature : str
        What is counted; empty if the plan has no plain number.
    label : str
        The same in words.
    unit : str
    first : int
        The first day, as days since 1970 of the log's zone.
    values : float64 array of shape (n_days,)
        One a day, the last being the window; the highest where a day has several windows; NaN on a day without events.
    usual : pair of float
        Between these lie 80 of 100 of the days before; NaN if there are fewer than five.
    everyone : float
        99 of 100 windows of the population stay at or under this; NaN if nobody has the number.
    """

    feature: str
    label: str
    unit: str
    first: int
    values: NDArray[np.float64]
    usual: tuple[float, float]
    everyone: float


def histories_of(
    model: Model, timeline: Timeline, vectors: Vectors, reasons: Sequence[Sequence[Reason]]
) -> list[History]:
    """The history of each row.

    Parameters
    ----------
    model : Model
    timeline : Timeline
        With the horizon before the rows' windows.
    vectors : Vectors, k rows
    reasons : sequence of k sequences of Reason

    Returns
    -------
    list of k History
    """
    entities = vectors.entity.dictionary_decode()
    mask = pc.is_in(timeline.entity, value_set=entities.unique()).to_numpy(zero_copy_only=False)
    before = model.vectors(timeline.of_entities(mask))
    past = _Past.of(before, model)
    led = [_leading(model.plan.features, told) for told in reasons]
    day = days_of(vectors, model.plan.windows, model.plan.roles.time_zone)
    span = model.plan.windows.horizon_width // _DAY
    names = entities.to_pylist()
    return [past.history(model, led[n], names[n], (int(day[n]), span), (vectors, n)) for n in range(len(vectors))]


def _leading(features: Sequence[Feature], told: Sequence[Reason]) -> Feature | None:
    """The first told number that a window's own events decide, else the first such number of the plan."""
    plain = {feature.name: feature for feature in features if feature.level}
    named = (plain[reason.feature] for reason in told if reason.feature in plain)
    return next(named, None) or next(iter(plain.values()), None)


@dataclass(frozen=True, eq=False)
class _Past:
    """The windows of the entities in question, by entity."""

    vectors: Vectors
    day: NDArray[np.int64]
    rows: Mapping[str, NDArray[np.intp]]

    @classmethod
    def of(cls, vectors: Vectors, model: Model) -> _Past:
        codes = vectors.entity.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(vectors.entity.dictionary) + 1))
        names = vectors.entity.dictionary.cast(pa.string()).to_pylist()
        rows = {name: order[edges[n] : edges[n + 1]] for n, name in enumerate(names)}
        return cls(vectors, days_of(vectors, model.plan.windows, model.plan.roles.time_zone), rows)

    def history(
        self, model: Model, feature: Feature | None, entity: str, days: tuple[int, int], at: tuple[Vectors, int]
    ) -> History:
        """The days of one entity up to a window that is a row of other vectors."""
        (day, span), (vectors, row) = days, at
        values = np.full(span + 1, np.nan)
        if feature is None:
            return History("", "", "", day - span, values, (np.nan, np.nan), np.nan)
        rows = self.rows[entity]
        rows = rows[(self.vectors.as_of[rows] < vectors.as_of[row]) & (self.day[rows] >= day - span)]
        column = self.vectors.column(feature.name)[rows].astype(np.float64)
        place = self.day[rows] - (day - span)
        for n, value in zip(place.tolist(), column.tolist(), strict=True):
            values[n] = np.fmax(values[n], value)
        before = values[:-1][~np.isnan(values[:-1])]
        usual = tuple(np.quantile(before, BAND).tolist()) if len(before) >= _FEW else (np.nan, np.nan)
        values[-1] = vectors.column(feature.name)[row]
        label = " ".join(feature.told("").split())
        everyone = model.population.quantile(feature.name, 0.99)
        return History(feature.name, label, feature.unit, day - span, values, (usual[0], usual[1]), everyone)
