"""Which detectors there are, and how to get one back from its folder.

Adding a detector is one file, one line here, and its test. A folder names a kind; the class comes from the fixed list
below, never from a name that the folder could choose.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import BundleError
from .isolation_forest import FittedIsolationForest, IsolationForest
from .joint import FittedJoint, Joint
from .lightgbm import FittedLightGBM, LightGBM
from .tails import FittedTails, Tails

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .detector import Detector, FittedDetector

__all__ = ["DETECTORS", "FITTED", "load_detector", "save_detector"]

DETECTORS: Mapping[str, type[Detector]] = {each.kind: each for each in (IsolationForest, Joint, LightGBM, Tails)}
FITTED: Mapping[str, type[FittedDetector]] = {
    each.kind: each for each in (FittedIsolationForest, FittedJoint, FittedLightGBM, FittedTails)
}


def save_detector(fitted: FittedDetector, folder: Path) -> None:
    """Write a fitted detector into a new or empty folder.

    Raises
    ------
    BundleError
        If the folder holds something, or the detector is of a kind that could not be loaded again.
    """
    if FITTED.get(fitted.kind) is not type(fitted):
        message = f"{type(fitted).__qualname__} is not among the detectors {', '.join(sorted(FITTED))}; register it"
        raise BundleError(message)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        message = f"expected an empty folder for the detector, {folder} holds files; choose another"
        raise BundleError(message)
    fitted.save(folder)


def load_detector(folder: Path) -> FittedDetector:
    """Read a fitted detector of any kind.

    Raises
    ------
    BundleError
        If the folder holds no detector, or one of a kind that is not known here.
    """
    path = folder / "detector.json"
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path} does not name a detector ({error!r}); expected a folder that a fitted detector was saved to"
        raise BundleError(message) from error
    if not isinstance(kind, str) or kind not in FITTED:
        message = f"{path}: kind {kind!r} is not known; this version reads {', '.join(sorted(FITTED))}"
        raise BundleError(message)
    return FITTED[kind].load(folder)
