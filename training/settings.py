"""What a training is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigError
from ..features.snapshots import WindowSpec
from .detectors import DETECTORS
from .labels import DAY
from .splits import Period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .detector import Detector

__all__ = ["TrainingSettings"]


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training.

    Attributes
    ----------
    windows : WindowSpec
    detectors : tuple of str
        Kinds to fit, from :data:`peculiar.training.detectors.DETECTORS`; without labels those that need some are
        passed over.
    train, test : Period
        By default the last quarter of the days is the test, and all before the gap the training.
    label_delay : int, microseconds
        How long labels take to arrive; the gap between training and test.
    leave_out_known : bool
        Judge only entities that were not known to be in trouble when the day began.
    budget : int
        Alerts a day that a team can read.
    value : str or None
        The measure that tells what is at stake in a window; the log's first if it is not named.
    promote : "first" or "always"
        Whether the best becomes champion only where there is none yet, or always.
    trials : int
        Settings of LightGBM to try on folds in time inside the training period, or without labels of the Isolation
        Forest in a rehearsal; 0 takes the defaults.
    objective : "average_precision" or "recall_at_budget"
        What is searched for on these folds.
    rehearse : int
        Misbehaviours of each kind to stage in a copy of the test period's events, to see how many each detector finds;
        the settings of detectors without labels are searched by such a rehearsal, too. 0 stages none.
    rehearse_kinds : mapping of str to float
        Kinds or purposes of misbehaviour to stage, and how much each counts; what suits the log if none are named.
    seconds : float or None
        Try no more after so long; then the result depends on the machine's speed.
    chosen : tuple of Detector
        Settings of detectors, at most one of a kind; a kind without takes its defaults.
    seed : int
    owner : str
        Who answers for the model, for its card.
    model_name : str
        The registered model.
    """

    windows: WindowSpec = field(default_factory=WindowSpec)
    detectors: tuple[str, ...] = ("isolation_forest", "lightgbm")
    train: Period = field(default_factory=Period)
    test: Period = field(default_factory=Period)
    label_delay: int = 7 * DAY
    leave_out_known: bool = False
    budget: int = 100
    value: str | None = None
    promote: Literal["first", "always"] = "first"
    trials: int = 10
    objective: Literal["average_precision", "recall_at_budget"] = "average_precision"
    rehearse: int = 0
    rehearse_kinds: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    chosen: tuple[Detector, ...] = ()
    seed: int = 0
    owner: str = ""
    model_name: str = "peculiar"

    def detector(self, kind: str) -> Detector:
        """The settings of a kind of detector.

        Raises
        ------
        ConfigError
            If there is no detector of this kind.
        """
        if kind not in DETECTORS:
            message = f"expected a detector among {', '.join(DETECTORS)}, got {kind!r}"
            raise ConfigError(message)
        return next((each for each in self.chosen if each.kind == kind), DETECTORS[kind]())
