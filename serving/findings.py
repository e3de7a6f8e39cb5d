"""What moved, in words: behaviour, how much of it, and who is there. Scores have a module of their own.

A feature that moved among entities that were there before is a change of behaviour. One that moved only because of
newcomers is a change of mix, and so are a wave of newcomers, peer groups of another size, and more or fewer entities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..training.usual import psi
from .drift import LARGE, SHIFT, luck_of_psi
from .faults import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.profile import EventProfile
    from .drift import Drift

__all__ = ["changes_of", "mix_of", "newcomer_wave", "volume_of"]

_LEAST_RATIO = np.log(1.25)
_NATURAL = 1.5  # times the farthest that as many days of the training were
_TOLD = 3
_OF_OTHERS = {"sharing"}


def changes_of(drifts: Sequence[Drift], *, wave: bool = False) -> list[Finding]:
    """One finding for each family that has features which moved among entities that were there before.

    Parameters
    ----------
    drifts : sequence of Drift
        Of all features.
    wave : bool
        Whether many are new. Then it is they who are on the same vehicles: what a family counts of others is mix.
    """
    todo = (
        "Find out what changed in the world: a season, a campaign, a new way to pay. If it stays, train again; "
        "until then take alerts of this family with care."
    )
    known = [drift for drift in drifts if drift.moved_known]
    return [
        Finding(
            "mix" if wave and family in _OF_OTHERS else "change",
            "behaviour",
            _told(family, moved, drifts),
            _sure(moved, known),
            todo,
            tuple(names_of(moved)),
        )
        for family, moved in _by_family(known).items()
    ]


def mix_of(
    drifts: Sequence[Drift], groups: tuple[Mapping[str, int], Mapping[str, int]], entities: tuple[int, int]
) -> list[Finding]:
    """Features that moved because of newcomers alone, and peer groups that have another share than in training.

    Parameters
    ----------
    drifts : sequence of Drift
    groups : pair of mapping of str to int
        Rows of each peer group by the hash of its name, in training and now.
    entities : pair of int
        How many entities there were, in training and now.
    """
    found = []
    moved = [drift for drift in drifts if drift.moved and not drift.moved_known]
    if moved:
        what = f"{_count(moved, drifts)} moved with newcomers and not without them: {_most(moved)}"
        todo = "Look at who came. Nothing has to be done if they are to stay and are few; if many stay, train again."
        found.append(Finding("mix", "newcomers", what, _sure(moved, moved), todo, tuple(names_of(moved))))
    return [*found, *_peers(*groups, entities)]


def newcomer_wave(share: float | None, usual: float | None) -> list[Finding]:
    """Many more newcomers than in training, if the share of both is known."""
    if share is None or usual is None or share <= max(1.5 * usual, usual + 0.05):
        return []
    what = f"{share:.0%} of the entities did nothing in the horizon before; in training at most {usual:.0%}"
    todo = "Ask where they come from: a launch, a migration, new ids for known people, or accounts made in bulk."
    sure: Literal["high", "fair"] = "high" if share > max(2 * usual, usual + 0.1) else "fair"
    return [Finding("mix", "newcomers", what, sure, todo)]


def volume_of(then: EventProfile, now: EventProfile) -> list[Finding]:
    """Other numbers of events per active entity (behaviour), or of active entities (mix), than on days of training."""
    rates = [each.events / np.maximum(1, each.active) for each in (then, now)]
    active = [each.active.astype(np.float64) for each in (then, now)]
    looks: tuple[tuple[Literal["change", "mix"], str, list[NDArray[np.float64]]], ...] = (
        ("change", "events per active entity and day", rates),
        ("mix", "active entities a day", active),
    )
    found = []
    for kind, word, (before, after) in looks:
        ratio, usual = _against_weekdays(then, before, now, after)
        least = max(_LEAST_RATIO, _NATURAL * usual)
        if abs(ratio) <= least:
            continue
        what = f"{word} are {np.exp(ratio):.2f} times what they were on the same days of the week in training"
        todo = "Hold it against what was planned: a season, a price; or ask whether part of the log is missing."
        found.append(Finding(kind, "volume", what, "high" if abs(ratio) > 2 * least else "fair", todo))
    return found


def names_of(drifts: Sequence[Drift]) -> list[str]:
    """The names of features, the one that moved most first."""
    return [drift.feature.name for drift in sorted(drifts, key=lambda drift: -drift.psi)]


def _against_weekdays(
    then: EventProfile, before: NDArray[np.float64], now: EventProfile, after: NDArray[np.float64]
) -> tuple[float, float]:
    """Mean logarithm of a period's days over those of the same weekday in training, and the farthest as many were."""
    if not len(before) or not len(after):
        return 0.0, 0.0
    usual = np.full(7, np.log(np.maximum(before, 1e-9)).mean())
    for weekday in np.unique(then.day % 7):
        usual[weekday] = np.log(np.maximum(before[then.day % 7 == weekday], 1e-9)).mean()
    single = np.log(np.maximum(before, 1e-9)) - usual[then.day % 7]
    apart = np.log(np.maximum(after, 1e-9)) - usual[now.day % 7]
    days = min(len(after), 7, len(single))
    return float(apart.mean()), float(np.abs(np.convolve(single, np.full(days, 1 / days), "valid")).max())


def _peers(then: Mapping[str, int], now: Mapping[str, int], entities: tuple[int, int]) -> list[Finding]:
    names = sorted({*then, *now})
    if len(names) < 2 or not then or not now:
        return []
    before, here = (np.array([counts.get(name, 0) for name in names], np.int64) for counts in (then, now))
    far = float(psi(before, here))
    if far <= max(SHIFT, luck_of_psi(len(names), entities, 1)):
        return []
    what = f"peer groups have other shares of the windows than in training (PSI {far:.2f})"
    todo = "Look at the slices below: which group grew or shrank, and whether somebody moved people between groups."
    return [Finding("mix", "peers", what, "high" if far > LARGE else "fair", todo)]


def _by_family(moved: Sequence[Drift]) -> dict[str, list[Drift]]:
    found: dict[str, list[Drift]] = {}
    for drift in moved:
        found.setdefault(drift.feature.family, []).append(drift)
    return found


def _told(family: str, moved: Sequence[Drift], drifts: Sequence[Drift]) -> str:
    whole = [drift for drift in drifts if drift.feature.family == family]
    return f"{family}: {_count(moved, whole)} moved among entities that were there before: {_most(moved)}"


def _count(moved: Sequence[Drift], whole: Sequence[Drift]) -> str:
    return f"{len(moved)} of {len(whole)} features"


def _most(moved: Sequence[Drift]) -> str:
    first = sorted(moved, key=lambda drift: -drift.psi)[:_TOLD]
    return ", ".join(f"{drift.feature.name} {_way(drift)} (PSI {drift.psi:.2f})" for drift in first)


def _way(drift: Drift) -> str:
    return {1: "up", -1: "down", 0: "to both sides"}[drift.direction]


def _sure(moved: Sequence[Drift], whole: Sequence[Drift]) -> Literal["high", "fair", "low"]:
    """One feature alone, of all, is a hint and no more: what changes in earnest shows in several ways."""
    if len(whole) < 2:
        return "low"
    return "high" if len(moved) > 2 or any(drift.psi > LARGE for drift in moved) else "fair"
