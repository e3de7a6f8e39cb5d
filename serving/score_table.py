"""The table of scores: one row for each window, with what became of it and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..training.verdicts import CUT
from .cases import case_ids, open_cases
from .evidence import columns
from .reasons import untold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from ..training.model import Model
    from .alerts import AlertRules, Alerts, Scored
    from .reasons import Reason

__all__ = ["score_table"]


def score_table(
    model: Model, scored: Scored, alerts: Alerts, rules: AlertRules, reasons: Mapping[int, Sequence[Reason]]
) -> pa.Table:
    """Put everything that is known of scored windows into one table.

    Parameters
    ----------
    model : Model
    scored : Scored, n windows
    alerts : Alerts
    rules : AlertRules
    reasons : mapping of int to sequence of Reason
        By row, of those that have any told.

    Returns
    -------
    pyarrow.Table
        n rows, as :class:`~peculiar.serving.scoring.ScoredBatch` describes them; the metadata tells how windows are
        cut.
    """
    vectors, p, time = scored.vectors, scored.p_value, pa.timestamp("us", tz="UTC")
    rows, entity = len(vectors), vectors.entity.dictionary_decode().cast(pa.string())
    return pa.table(
        {
            "entity": entity,
            "since": pa.array(vectors.since).cast(time),
            "as_of": pa.array(vectors.as_of).cast(time),
            "score": scored.score,
            "p_value": pa.nulls(rows, pa.float64()) if p is None else pa.array(p),
            "rank": scored.rank,
            **alerts.picks.columns(),
            "team": pa.nulls(rows, pa.string()) if alerts.team is None else alerts.team.cast(pa.string()),
            "case": _cases(model, entity, scored.day, alerts, rules),
            "suppressed": _suppressed(alerts, rules),
            **_told(model, vectors, reasons),
        },
        metadata={CUT: vectors.cut},
    )


def _cases(model: Model, entity: pa.Array, day: NDArray[np.int64], alerts: Alerts, rules: AlertRules) -> pa.Array:
    begun = {}
    if rules.earlier is not None and len(day):
        begun = open_cases(rules.earlier, before=int(day.min()), zone=model.plan.roles.time_zone)
    return case_ids(entity, day, alerts.picks.by_rank, gap=rules.case_gap, begun=begun)


def _suppressed(alerts: Alerts, rules: AlertRules) -> pa.Array:
    labels = pa.array(() if rules.suppressions is None else rules.suppressions.labels, pa.string())
    return labels.take(pa.array(alerts.suppressed - 1, mask=alerts.suppressed == 0))


def _told(model: Model, vectors: Vectors, reasons: Mapping[int, Sequence[Reason]]) -> dict[str, pa.Array]:
    """The columns that tell reasons, null in rows that have none told; where there are none, why so."""
    said = [reasons.get(row) for row in range(len(vectors))]
    family = pa.array([told[0].family if told else None for told in said], pa.string())
    silent = np.array([row for row, told in enumerate(said) if told is not None and not told], np.intp)
    without = dict(zip(silent.tolist(), untold(model, vectors.take(silent)), strict=True)) if len(silent) else {}
    return {"family": family, **columns(said, without)}
