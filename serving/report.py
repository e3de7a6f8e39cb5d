"""Scores as a person reads them: the oddest entities, each once, with the reasons of their oddest window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OddEntity", "oddest", "oddest_entities"]


@dataclass(frozen=True)
class OddEntity:
    """An entity and its oddest window.

    Attributes
    ----------
    entity : str
    day : str
        The day on which the window begins, ISO 8601 (UTC).
    score : float
    rank : int
        Among all windows of its day, 1 being the oddest.
    family : str or None
        The family that speaks loudest.
    reasons : tuple of str
    suppressed : str or None
        The number and reason of the suppression that took the window off the list.
    """

    entity: str
    day: str
    score: float
    rank: int
    family: str | None
    reasons: tuple[str, ...]
    suppressed: str | None = None


def oddest_entities(scores: pa.Table, *, limit: int = 10) -> list[OddEntity]:
    """The entities with the highest scores, each with its oddest window.

    Parameters
    ----------
    scores : pyarrow.Table
        As :class:`~peculiar.serving.scoring.ScoredBatch` holds it.
    limit : int
        How many at most.
    """
    order = np.argsort(-scores["score"].to_numpy(), kind="stable")
    entity = scores["entity"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, first = np.unique(entity[order], return_index=True)
    rows = order[np.sort(first)[:limit]]
    picked = scores.take(rows).append_column("day", pc.strftime(pc.take(scores["since"], rows), "%Y-%m-%d"))
    return [_odd(row) for row in picked.to_pylist()]


def oddest(scores: pa.Table, *, limit: int = 10) -> str:
    """The oddest entities as text for a terminal."""
    lines = []
    for place, odd in enumerate(oddest_entities(scores, limit=limit), 1):
        hidden = f"; suppressed, {odd.suppressed}" if odd.suppressed else ""
        line = f"{place:>3}. {odd.entity} on {odd.day}, score {odd.score:.2f}, number {odd.rank} of its day{hidden}"
        lines.append(line)
        lines += [f"       - {reason}" for reason in odd.reasons]
    return "\n".join(lines) or "no window to score"


def _odd(row: dict[str, Any]) -> OddEntity:
    reasons = tuple(row["reasons"] or ())
    told = (row["entity"], row["day"], row["score"], row["rank"], row["family"])
    return OddEntity(*told, reasons, row.get("suppressed"))
