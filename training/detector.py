"""The contract between vectors and scores.

A detector is a frozen dataclass of settings. Fitting it gives a fitted detector, which is data: it scores, explains
and saves itself as a folder of plain files. It holds no threshold; how many alerts a team can read is not its business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..features.vectors import Vectors

__all__ = ["Contributions", "Detector", "FittedDetector"]


@dataclass(frozen=True, eq=False)
class Contributions:
    """How each feature moved each score.

    Attributes
    ----------
    values : float64 array of shape (n, n_features), in the unit of the score
    base : float64 array of shape (n,)
        ``base + values.sum(axis=1)`` equals the score to 1e-9 relative.
    family : list of str, length n
        The family that speaks first in each row's reason.
    """

    values: NDArray[np.float64]
    base: NDArray[np.float64]
    family: list[str]


@runtime_checkable
class FittedDetector(Protocol):
    """What is left after fitting: enough to score and to explain, nothing else."""

    kind: ClassVar[str]

    def score(self, vectors: Vectors) -> NDArray[np.float64]:
        """Score each row, float64 of shape (n,): a higher score is more anomalous. Zero rows give zero scores."""

    def contributions(self, vectors: Vectors) -> Contributions:
        """Split each row's score among its features."""

    def save(self, folder: Path) -> None:
        """Write data files only (JSON, Arrow, LightGBM text) into an existing, empty folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; scores are equal to the last bit."""


@runtime_checkable
class Detector(Protocol):
    """Settings that can be fitted.

    One that is ``supervised`` learns from labels, of which there are few, and so from all rows there are. Another
    learns what is usual, from rows that the population was not learned from.
    """

    kind: ClassVar[str]
    supervised: ClassVar[bool]

    def fit(
        self,
        vectors: Vectors,
        labels: NDArray[np.bool_] | None = None,
        *,
        weight: NDArray[np.float64] | None = None,
        seed: int,
    ) -> FittedDetector:
        """Learn from the rows; the same rows and seed give the same fitted detector.

        Parameters
        ----------
        labels : bool array of shape (n,), optional
            True where the window is confirmed trouble. A detector that needs none ignores them.
        weight : float64 array of shape (n,), optional
            How much each row counts beside the others; 1 without. A detector without labels ignores it.
        """
