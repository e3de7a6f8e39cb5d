"""The order that rows are learned from: whatever order they came in, a fit sees them alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import PlanMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..features.vectors import Vectors

__all__ = ["require_features", "time_order"]


def time_order(vectors: Vectors) -> NDArray[np.intp]:
    """Positions of the rows in the order of (as_of, entity), shape (n,)."""
    names = vectors.entity.dictionary.to_numpy(zero_copy_only=False).astype(str)
    by_name = names.argsort(kind="stable").argsort(kind="stable")
    return np.lexsort((by_name[vectors.entity.indices.to_numpy()], vectors.as_of))


def require_features(fitted: Sequence[str], vectors: Vectors) -> None:
    """Refuse vectors whose features are not those of the fit, in that order.

    Raises
    ------
    PlanMismatchError
        Naming the first feature that differs.
    """
    got = vectors.names
    if list(fitted) == got:
        return
    pairs = zip([*fitted, "nothing"], [*got, "nothing"], strict=False)
    expected, came = next(pair for pair in pairs if pair[0] != pair[1])
    message = (
        f"the detector was fitted on {len(fitted)} features, the vectors have {len(got)}: expected {expected!r}, "
        f"got {came!r}; build the vectors with the plan of the model"
    )
    raise PlanMismatchError(message)
