"""The families of features: one family, one file.

To add one: write ``families/<name>.py`` with a frozen dataclass that follows
:class:`~peculiar.features.family.FeatureFamily`, name it below, and mirror it in ``tests/features/families``. A test
holds this list against the folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .baseline import Baseline
from .breadth import Breadth
from .combination import Combination
from .moment import Moment
from .novelty import Novelty
from .peers import Peers
from .risk import Risk
from .sequence import Sequence
from .sharing import Sharing
from .timing import Timing
from .travel import Travel
from .velocity import Velocity
from .volume import Volume

if TYPE_CHECKING:
    from ..family import FeatureFamily

__all__ = [
    "FAMILIES",
    "Baseline",
    "Breadth",
    "Combination",
    "Moment",
    "Novelty",
    "Peers",
    "Risk",
    "Sequence",
    "Sharing",
    "Timing",
    "Travel",
    "Velocity",
    "Volume",
]

# In the order of the vector: a family sees the columns of those before it, so those that judge others come last.
FAMILIES: dict[str, type[FeatureFamily]] = {
    family.name: family
    for family in (
        Volume,
        Velocity,
        Breadth,
        Novelty,
        Sharing,
        Risk,
        Timing,
        Travel,
        Sequence,
        Combination,
        Moment,
        Baseline,
        Peers,
    )
}
