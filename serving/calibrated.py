"""p-values of scored rows, alerts by false-discovery rate, and a word when p-values no longer mean what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ..errors import ConfigError
from ..training.asides import peer_groups
from ..training.calibration import alerts_at_rate, validity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model

__all__ = ["alerts_by_rate", "drift_notes", "p_values_of"]


def p_values_of(
    model: Model, vectors: Vectors, timeline: Timeline, score: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """How often a normal window of the row's peer group would score as high; None if the model was not calibrated.

    Parameters
    ----------
    model : Model
    vectors : Vectors, n rows
    timeline : Timeline
        The events that the vectors were built from.
    score : float64 array of shape (n,)
    """
    if model.calibration is None:
        return None
    by_group = len(model.calibration.group) > 0
    return model.calibration.p_values(score, peer_groups(vectors, timeline, model.plan.windows) if by_group else None)


def alerts_by_rate(
    p: NDArray[np.float64] | None, vectors: Vectors, day: NDArray[np.int64], rate: float
) -> NDArray[np.bool_]:
    """The rows to alert so that about ``rate`` of a day's alerts are false.

    Raises
    ------
    ConfigError
        If the model was not calibrated, or the rate is not within (0, 1).
    """
    if p is None:
        message = (
            f"expected a calibrated model for alerts by false-discovery rate (fdr = {rate:g}), this one gives no "
            "p-values; train again with some days between training and test, or ask for a budget"
        )
        raise ConfigError(message)
    return alerts_at_rate(p, day=day, entity=vectors.entity, rate=rate)


def drift_notes(
    model: Model, p: NDArray[np.float64] | None, vectors: Vectors, day: NDArray[np.int64], calm: NDArray[np.bool_]
) -> tuple[str, ...]:
    """A warning if ``p <= 0.01`` comes plainly more or less often than promised among the rows after the calibration.

    Parameters
    ----------
    calm : bool array of shape (n,)
        Rows that nobody knows to be trouble.
    """
    calibrated = model.card.get("calibration")
    if p is None or not calibrated:
        return ()
    watched = calm & (vectors.as_of > calibrated["until"])
    if not watched.any():
        return ()
    entity = vectors.entity.filter(pa.array(watched))
    guard = validity(p[watched], day=day[watched], entity=entity).guard
    return () if guard is None else (guard,)
