"""Windows that budgets are played through on: scores, and what became known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from ..errors import SchemaError
from ..features.columns import to_wall
from ..features.vectors import Vectors
from ..training.judged import about_judged
from ..training.truth import truth_of
from ..training.verdicts import CUT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..training.labels import Labels

__all__ = ["ALSO", "SCORED", "Played"]

SCORED = ("entity", "since", "as_of", "score", "p_value", "chance")  # what is needed of a file of scores
ALSO = ("team", "suppressed")  # what is used of it if it is there
_DAY = 86_400_000_000
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False)
class Played:
    """Scored windows that budgets are played through on, n rows.

    Attributes
    ----------
    entity : pyarrow.StringArray of length n
    day : int64 array of shape (n,), days since 1970
    score : float64 array of shape (n,)
    p_value : float64 array of shape (n,), or None
    confirmed : bool array of shape (n,)
    weight : float64 array of shape (n,)
        How many windows each one whose truth is known stands for, 0 where nothing is known.
    hidden : bool array of shape (n,)
        Windows that a suppression took off the list: they take no place, and trouble among them is missed.
    """

    entity: pa.Array
    day: NDArray[np.int64]
    score: NDArray[np.float64]
    p_value: NDArray[np.float64] | None
    confirmed: NDArray[np.bool_]
    weight: NDArray[np.float64]
    hidden: NDArray[np.bool_]

    @classmethod
    def judged(cls, table: pa.Table) -> Self:
        """The windows that a version was judged on; without labels nothing is known of them.

        Parameters
        ----------
        table : pyarrow.Table
            See :func:`~peculiar.training.judged.judged_table`. What is not confirmed counts as harmless.

        Raises
        ------
        BundleError
            If it is another kind of table.
        """
        about_judged(table)
        known = table["confirmed"].is_valid().to_numpy()
        return cls(
            table["entity"].combine_chunks(),
            table["day"].cast(pa.int64()).to_numpy(),
            table["score"].to_numpy(),
            _p_values(table),
            table["confirmed"].fill_null(False).to_numpy(),
            known.astype(np.float64),
            np.zeros(len(table), np.bool_),
        )

    @classmethod
    def scored(cls, table: pa.Table, labels: Labels | None, *, zone: str, whole: bool = False) -> Self:
        """The windows of a file of scores, and what was found out about them since.

        Parameters
        ----------
        table : pyarrow.Table
            Scores.
        labels : Labels or None
            Verdicts of reviewers: windows that nobody looked at are unknown, and one that was drawn at random stands
            for one over its chance of them.
        zone : str
            Whose days the budgets are of.
        whole : bool
            Labels that tell of all trouble: what they do not confirm is harmless.

        Raises
        ------
        SchemaError
            If a column is missing.
        """
        missing = set(SCORED) - set(table.column_names)
        if missing:
            message = f"expected scores as peculiar score writes them, found no {', '.join(sorted(missing))}"
            raise SchemaError(f"{message}; score again")
        since, as_of = (table[name].cast(_TIME).cast(pa.int64()).to_numpy() for name in ("since", "as_of"))
        entity = table["entity"].cast(pa.string()).combine_chunks()
        cut = (table.schema.metadata or {}).get(CUT, b"calendar").decode()
        bare = np.empty((0, len(since)), np.float32)
        rows = Vectors(entity.dictionary_encode(), since, as_of, bare, (), "scores", cut=cut)
        confirmed, weight = np.zeros(len(since), np.bool_), np.zeros(len(since))
        if labels is not None:
            truth = truth_of(rows, labels, known_by=None)
            chance = table["chance"].fill_null(1.0).to_numpy()
            confirmed, weight = truth.confirmed, np.where(truth.reviewed, 1.0 / chance, 0.0)
            weight = np.ones(len(since)) if whole else weight
        day, score = to_wall(as_of - 1, zone) // _DAY, table["score"].to_numpy()
        suppressed = "suppressed" in table.column_names
        hidden = table["suppressed"].is_valid().to_numpy() if suppressed else np.zeros(len(since), np.bool_)
        return cls(entity, day, score, _p_values(table), confirmed, weight, hidden)


def _p_values(table: pa.Table) -> NDArray[np.float64] | None:
    """None where the model was not calibrated."""
    column = table["p_value"]
    return None if column.null_count else np.asarray(column.to_numpy(), np.float64)
