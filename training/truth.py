"""What is known of each window: confirmed, cleared or neither, and for how many like it a confirmed one stands.

Unlabelled is not negative: most windows were never looked at. Those that were looked at were seen with a chance: an
alert by rank with certainty, a random pick with the chance that it was drawn with. A confirmed random pick therefore
stands for others like it, which nobody saw, and weighs one over its chance (Horvitz and Thompson).

Cleared and unknown windows weigh 1. There are plenty of them, and nearly all unknown ones are what they are taken for;
to weigh the few cleared picks up would say the same with more variance. What remains is a small bias: trouble that
nobody looked at is learned as none. The weight of confirmed picks is what stands against it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .labels import under

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from .labels import Labels

__all__ = ["Truth", "truth_of"]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of each of n windows.

    Attributes
    ----------
    confirmed : bool array of shape (n,)
        A label that confirms trouble overlaps the window.
    cleared : bool array of shape (n,)
        None does, but one that clears. A window that is neither is unknown, which is not harmless.
    weight : float64 array of shape (n,)
        How much the window counts in training: 1, and for a confirmed one 1 over the chance that anybody looked.
    """

    confirmed: NDArray[np.bool_]
    cleared: NDArray[np.bool_]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.confirmed)

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """Which windows somebody has looked at, bool of shape (n,)."""
        return self.confirmed | self.cleared


def truth_of(vectors: Vectors, labels: Labels, *, known_by: int | None, most: float = 20.0) -> Truth:
    """What is known of each window at a moment.

    Parameters
    ----------
    vectors : Vectors, n rows
    labels : Labels
    known_by : int or None, microseconds since 1970 UTC
        Take what held then (:meth:`~peculiar.training.labels.Labels.known`); None takes the last word.
    most : float
        The largest weight. Without a bound a single pick of a thousand could rule a fit; with it, trouble that is only
        ever found at random counts for less than there is of it.

    Returns
    -------
    Truth
        Where several labels confirm a window, the largest of their chances counts.

    References
    ----------
    Horvitz, Thompson, "A Generalization of Sampling Without Replacement From a Finite Universe", Journal of the
    American Statistical Association 47 (1952).

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.events import EventLog
    >>> from peculiar.features.plan import FeaturePlan
    >>> from peculiar.training.labels import read_labels
    >>> log = EventLog.open(pa.table({"user_id": ["ann", "bob", "cyd"], "ts": ["2025-03-01T08:00:00Z"] * 3}))
    >>> timeline, _, _ = log.read()
    >>> plan = FeaturePlan.for_log(timeline, log.roles)
    >>> vectors = plan.vectors(timeline, plan.fit(timeline))
    >>> said = {"entity": ["ann", "bob"], "verdict": ["confirmed", "cleared"], "chance": [0.1, 0.1]}
    >>> labels = read_labels(pa.table({**said, "from": ["2025-03-01"] * 2, "to": ["2025-03-02"] * 2}))
    >>> truth = truth_of(vectors, labels, known_by=None)
    >>> truth.confirmed.tolist(), truth.cleared.tolist(), truth.weight.tolist()
    ([True, False, False], [False, True, False], [10.0, 1.0, 1.0])
    """
    held = labels.known(known_by)
    bad = held.positive()
    confirmed = under(vectors, bad)
    weight = np.ones(len(vectors))
    weight[confirmed] = np.minimum(1.0 / _chances(_bare(vectors, confirmed), bad), most)
    return Truth(confirmed, under(vectors, held.negative()) & ~confirmed, weight)


def _chances(vectors: Vectors, labels: Labels) -> NDArray[np.float64]:
    """The largest chance among the labels over each window; every window is under one.

    Chances are tried from the largest down, each on the windows that no larger one was found for. Nearly all labels
    have the chance 1, so few windows are left after the first.
    """
    of_label = labels.table["chance"].to_numpy()
    chances = np.ones(len(vectors))
    left = np.arange(len(vectors))
    for chance in np.unique(of_label)[::-1].tolist():
        if not len(left):
            break
        alike = replace(labels, table=labels.table.filter(of_label == chance))
        found = under(_bare(vectors, left), alike)
        chances[left[found]] = chance
        left = left[~found]
    return chances


def _bare(vectors: Vectors, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Vectors:
    """The given rows, their entities and windows without the features: small enough to be taken again and again."""
    few = replace(vectors, values=vectors.values[:0], features=()).take(rows)
    return replace(few, entity=few.entity.dictionary_decode().dictionary_encode())
