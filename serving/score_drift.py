"""Scores of a period against those of the training: how they lie, how many are high, and whether p-values still hold.

A p-value says where a score lies among those of normal windows after the training, so under no drift p-values are
uniform: their distribution is the scores', whatever the detector and on the scale of each peer group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from ..training.calibration import validity
from ..training.usual import ks, psi
from .drift import SHIFT, luck_of_ks, luck_of_psi
from .faults import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..training.calibration import Validity
    from .slices import Rows

__all__ = ["Lie", "ScoreDrift", "score_drift", "score_findings"]

_TENTHS = 10
_RATIO, _BEYOND = 1.5, 5.0


@dataclass(frozen=True, eq=False)
class Lie:
    """How the scores of some windows lie.

    Attributes
    ----------
    above : int
        Windows at or above the score that the training's budget came down to.
    due : float or None
        How many of these there would be at the training's rate; None if it is not known.
    tenths : int64 array of shape (10,)
        Calm windows by the tenth that their p-value is in, the smallest, which is the oddest, first.
    psi, ks : float or None
        Of these against tenths of equal size; None if the model gives no p-values.
    most_psi, most_ks : float
        Limits.
    validity : Validity or None
        How often calm windows reach p <= 0.01.
    """

    above: int
    due: float | None
    tenths: NDArray[np.int64]
    psi: float | None = None
    ks: float | None = None
    most_psi: float = SHIFT
    most_ks: float = 0.0
    validity: Validity | None = None

    @property
    def moved(self) -> bool:
        """Whether the scores lie elsewhere than those of the calibration."""
        return self.psi is not None and self.ks is not None and self.psi > self.most_psi and self.ks > self.most_ks

    @property
    def guard(self) -> str | None:
        """A warning if p-values no longer mean what they say."""
        return None if self.validity is None else self.validity.guard

    @property
    def p01(self) -> float | None:
        """The share of calm windows with p <= 0.01."""
        return None if self.validity is None else self.validity.share.value

    @property
    def crowded(self) -> bool:
        """Whether more or fewer windows than due are as high as alerts were, by more than luck and a factor.

        The root of a count has a standard deviation of a half if each is by itself.
        """
        if self.due is None:
            return False
        ratio = (self.above + 1) / (self.due + 1)
        beyond = abs(2 * (np.sqrt(self.above) - np.sqrt(self.due))) > _BEYOND
        return bool(beyond and not 1 / _RATIO < ratio < _RATIO)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        watched = self.validity
        share = None if watched is None else {**vars(watched.share), "holds": watched.holds}
        plain = {name: getattr(self, name) for name in ("above", "due", "psi", "ks", "moved")}
        limits = {"psi_limit": self.most_psi, "ks_limit": self.most_ks}
        return {**plain, **limits, "p01": share, "p_tenths": self.tenths.tolist()}


@dataclass(frozen=True, eq=False)
class ScoreDrift:
    """The scores of a period, and those of entities that were there before alone.

    Attributes
    ----------
    alerts : int
        As they were raised.
    whole, known : Lie
    """

    alerts: int
    whole: Lie
    known: Lie

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"alerts": self.alerts, **self.whole.to_dict(), "without_newcomers": self.known.to_dict()}


def score_drift(
    rows: Rows, score: NDArray[np.float64], *, line: float | None, rate: float | None, before: int
) -> ScoreDrift:
    """Look at scores and p-values.

    Parameters
    ----------
    rows : Rows
        n windows.
    score : float64 array of shape (n,)
    line, rate : float or None
        The score that the training's budget came down to, and the share of windows that reached it.
    before : int
        Entities of the reference.
    """

    def lie(mask: NDArray[np.bool_]) -> Lie:
        above = 0 if line is None else int(np.count_nonzero(score[mask] >= line))
        due = None if rate is None else rate * int(np.count_nonzero(mask))
        return _lie(rows, mask & rows.calm, (above, due), before)

    return ScoreDrift(int(np.count_nonzero(rows.alert)), lie(np.ones(len(score), np.bool_)), lie(~rows.new))


def score_findings(scores: ScoreDrift) -> list[Finding]:
    """What the scores say: p-values that no longer hold, scores that lie elsewhere, alerts more or fewer than due.

    What is not so without newcomers is a matter of mix.
    """
    whole, known, found = scores.whole, scores.known, []
    if whole.guard is not None:
        what = f"p-values do not hold: {_said(whole)}"
        todo = (
            "Look at who it is; calibrate on newer weeks by training again. Alerts by rate (--fdr) mean less till then."
        )
        found.append(_finding(what, "high", todo, known=known.guard is not None))
    if whole.moved:
        what = f"scores lie elsewhere than those of the calibration (PSI {whole.psi:.2f}, KS {whole.ks:.2f})"
        todo = "See which features moved. The order of alerts within a day may still be good; p-values are not."
        found.append(_finding(what, "fair", todo, known=known.moved))
    if whole.crowded:
        what = f"{whole.above:,} windows reach the score of the training's last alert, where {whole.due:,.0f} were due"
        todo = "More: look at whether it is one matter or many. Fewer: ask whether the events behind alerts still come."
        found.append(_finding(what, "fair", todo, known=known.crowded))
    return found


def _said(lie: Lie) -> str:
    watched = lie.validity
    if watched is None:
        return ""
    share, (least, most) = watched.share, watched.promised
    interval = f"95% interval {share.low:.1%} to {share.high:.1%}"
    weeks = "" if watched.holds is False else ", in single weeks plainly otherwise"
    return (
        f"p <= {watched.level:g} came for {share.value:.1%} of {watched.rows:,} normal windows ({interval}{weeks}), "
        f"promised were {least:.1%} to {most:.1%}"
    )


def _finding(what: str, sure: Literal["high", "fair"], todo: str, *, known: bool) -> Finding:
    if known:
        return Finding("change", "scores", what, sure, todo)
    return Finding("mix", "scores", f"{what}; without newcomers it is not so", sure, todo)


def _lie(rows: Rows, calm: NDArray[np.bool_], counts: tuple[int, float | None], before: int) -> Lie:
    if rows.p is None or not calm.any():
        return Lie(*counts, np.zeros(_TENTHS, np.int64))
    p, entity = rows.p[calm], rows.vectors.entity.filter(pa.array(calm))
    tenths = np.bincount(np.minimum((p * _TENTHS).astype(np.intp), _TENTHS - 1), minlength=_TENTHS)
    even, entities = np.full(_TENTHS, 1_000_000), (before, len(np.unique(entity.indices.to_numpy())))
    limits = max(SHIFT, luck_of_psi(_TENTHS, entities, 1)), luck_of_ks(entities, 1)
    far = float(psi(even, tenths)), float(ks(even, tenths))
    return Lie(*counts, tenths, *far, *limits, validity(p, day=rows.day[calm], entity=entity))
