"""Which values a reason is about: the vehicles that were ridden, the two items that nobody has together.

A sentence says how many or how odd; a person who checks it asks which. The events behind the reason know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..features.family import Feature
    from ..features.timeline import Timeline
    from .reasons import Reason

__all__ = ["listed", "values_behind"]

_LISTED = 4


def values_behind(timeline: Timeline, features: Mapping[str, Feature], reason: Reason) -> str:
    """Name the values of the dimension that a reason is about, as its events have them, the first four of them.

    Parameters
    ----------
    timeline : Timeline
        That the reason's events are positions in.
    features : mapping of str to Feature
    reason : Reason

    Returns
    -------
    str
        Empty where the reason is about no dimension, or no event is behind it. Of an odd pair it says, too, how much
        rarer than by chance the two meet.
    """
    feature = features[reason.feature]
    about = feature.subject.split()
    names = [name for name in timeline.dimensions if name in about or name == feature.subject]
    events = np.asarray(reason.events, np.int64)
    cells = [_texts(timeline, name, events) for name in names]
    values = [" ".join(parts) for parts in zip(*cells, strict=True) if None not in parts]
    found = listed(values)
    if "pair_surprise_max" in feature.name and len(set(values)) == 2:
        return f"{found}, which meet {2.0**reason.seen:.0f} times as seldom as chance would have it"
    return found


def listed(values: list[str]) -> str:
    """Name different values in the order of first use, and count those beyond the fourth.

    Examples
    --------
    >>> listed(["b", "a", "b"]), listed(list("abcdefg"))
    ('b and a', 'a, b, c, d and 3 more')
    """
    different = list(dict.fromkeys(values))
    if len(different) > _LISTED + 1:
        return f"{', '.join(different[:_LISTED])} and {len(different) - _LISTED:,} more"
    return " and ".join(filter(None, [", ".join(different[:-1]), *different[-1:]]))


def _texts(timeline: Timeline, name: str, events: NDArray[np.int64]) -> list[str | None]:
    codes = timeline.dimensions[name]
    own = codes.codes[events]
    return list(codes.values.take(pa.array(own, mask=own < 0)).to_pylist())
