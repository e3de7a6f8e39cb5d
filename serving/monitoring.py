"""A period held against what a model was trained with: figures, findings, and one verdict.

The verdict is the worst that was found. A fault of the data comes first, since whatever else moved may be its doing;
then a change of behaviour, which wears a model out; then a change of mix, which is about who is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .faults import Finding, faults_of, history_faults, quarantine_faults
from .findings import changes_of, mix_of, newcomer_wave, volume_of
from .score_drift import score_findings
from .slices import sliced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..features.profile import EventProfile
    from ..training.usual import Usual
    from .drift import Drift
    from .period import Period
    from .score_drift import ScoreDrift
    from .slices import Slice

__all__ = ["EXIT_CODES", "Monitored", "Verdict", "monitored"]

Verdict = Literal["fault", "change", "mix", "nothing"]
# 1 is an error of ours and 2 a use that cannot be; neither may be taken for a verdict.
EXIT_CODES: dict[Verdict, int] = {"nothing": 0, "fault": 3, "change": 4, "mix": 5}


@dataclass(frozen=True, eq=False)
class Monitored:
    """A period and what was found.

    Attributes
    ----------
    days : pair of int
        The first day and the day after the last, days since 1970 in the log's zone.
    rows, entities : int
    then : Usual or None
        What it was held against; None for a model that was trained before that was kept.
    now : EventProfile
        The events of the period.
    newcomers : pair of float or None
        Share of entities that did nothing in the horizon before; largest such share in training.
    rejected : pair of mapping of str to float
        Share of rows set aside by reason, now and in training.
    findings : tuple of Finding
        Faults first, then changes, then mix.
    drifts : tuple of Drift
        Of every feature, the largest PSI first.
    scores : ScoreDrift
    slices : tuple of Slice
    alerts_by_day : mapping of int to int
        Alerts of each day that has windows.
    notes : tuple of str
        What could not be looked at.
    """

    days: tuple[int, int]
    rows: int
    entities: int
    then: Usual | None
    now: EventProfile
    newcomers: tuple[float | None, float | None]
    rejected: tuple[Mapping[str, float], Mapping[str, float]]
    findings: tuple[Finding, ...]
    drifts: tuple[Drift, ...]
    scores: ScoreDrift
    slices: tuple[Slice, ...]
    alerts_by_day: Mapping[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst kind of finding; what is not sure at all does not count."""
        kinds = {finding.kind for finding in self.findings if finding.sure != "low"}
        return next((kind for kind in ("fault", "change", "mix") if kind in kinds), "nothing")

    @property
    def exit_code(self) -> int:
        """What the command ends with: 0 nothing, 3 fault, 4 change, 5 mix."""
        return EXIT_CODES[self.verdict]

    @property
    def dates(self) -> tuple[str, str]:
        """The first day and the last, as dates."""
        first, last = (str(np.datetime64(day, "D")) for day in (self.days[0], self.days[1] - 1))
        return first, last

    @property
    def moved(self) -> list[Drift]:
        """Features that lie elsewhere, the largest PSI first."""
        return [drift for drift in self.drifts if drift.moved]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "from": self.dates[0],
            "to": self.dates[1],
            "rows": self.rows,
            "entities": self.entities,
            "events": self.now.total,
            "newcomers": dict(zip(("now", "most_in_training"), self.newcomers, strict=True)),
            "rejected": dict(zip(("now", "training"), map(dict, self.rejected), strict=True)),
            "findings": [finding.to_dict() for finding in self.findings],
            "moved": len(self.moved),
            "features": [drift.to_dict() for drift in self.drifts],
            "scores": self.scores.to_dict(),
            "slices": [each.to_dict() for each in self.slices],
            "days": self._by_day(),
            "notes": list(self.notes),
        }

    def _by_day(self) -> list[dict[str, Any]]:
        rows = zip(self.now.day.tolist(), self.now.events.tolist(), self.now.active.tolist(), strict=True)
        return [
            {"day": str(np.datetime64(day, "D")), "events": events, "entities": active,
             "alerts": self.alerts_by_day.get(day, 0)}
            for day, events, active in rows
        ]  # fmt: skip


def monitored(period: Period) -> Monitored:
    """Hold a scored period against the training.

    Parameters
    ----------
    period : Period
    """
    usual, rows = period.usual, period.rows
    alerts = np.unique(rows.day[rows.alert], return_counts=True)
    return Monitored(
        days=period.days,
        rows=len(rows.vectors),
        entities=period.entities,
        then=usual,
        now=period.events,
        newcomers=(period.newcomers, period.usual_newcomers),
        rejected=(period.rejected_shares, {} if usual is None else usual.rejected),
        findings=tuple(_findings(period)),
        drifts=tuple(sorted(period.drifts, key=lambda drift: -drift.psi)),
        scores=period.scores,
        slices=tuple(sliced(rows, period.attributes, period.drifts, before=period.groups_before)),
        alerts_by_day=dict(zip(*(each.tolist() for each in alerts), strict=True)),
        notes=tuple(period.notes),
    )


def _findings(period: Period) -> list[Finding]:
    """Faults, changes, mix. While there is a fault nothing else is sure: it may be the fault's doing."""
    faults, others = _faults(period), _others(period)
    if faults:
        first = "Mend the fault first and look again: this may be its doing. "
        others = [replace(each, sure="low", todo=first + each.todo) for each in others]
    order = ("fault", "change", "mix")
    return sorted([*faults, *others], key=lambda each: order.index(each.kind))


def _faults(period: Period) -> list[Finding]:
    usual, unlabelled = period.usual, _labels_missing(period)
    if usual is None:
        return unlabelled
    found = faults_of(usual.events, period.events, days=period.days, names=period.earlier.names)
    found += quarantine_faults(usual.rejected, period.set_aside, period.events.total + sum(period.set_aside.values()))
    return unlabelled + found + history_faults(usual.events, period.earlier, days=(period.history, period.days[0]))


def _labels_missing(period: Period) -> list[Finding]:
    """A model that knows risk sees all of it gone where nobody says what trouble is known."""
    risk = [feature.name for feature in period.model.plan.features if feature.family == "risk"]
    if not risk or period.labels is not None:
        return []
    what = f"no labels were given, so {len(risk)} features take it that no trouble is known; training knew some"
    return [Finding("fault", "labels", what, "high", "Name what is known so far with --labels.", tuple(risk))]


def _others(period: Period) -> list[Finding]:
    usual = period.usual
    found = score_findings(period.scores)
    if usual is None:
        return [*changes_of(period.drifts), *found]
    come = newcomer_wave(period.newcomers, period.usual_newcomers)
    sizes = usual.entities, period.entities
    moved = [*changes_of(period.drifts, wave=bool(come)), *volume_of(usual.events, period.events)]
    return [*moved, *found, *come, *mix_of(period.drifts, (usual.groups, period.groups_now), sizes)]
