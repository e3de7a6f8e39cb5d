"""Alerts: how many a day, whose they are, which are hidden, and from which score on.

A budget is a list of places: each day has one for everybody, or one for each team and one for the rest. The list is
filled from the highest rank down. What counts for a place is an entity, since a reviewer who looks at somebody looks at
all of that day: further windows of theirs above the line are alerts, too, and cost nothing. A suppressed window takes
no place either, so the next in rank moves up.

Random picks are drawn from all that is no alert by rank, suppressed windows too, and are never suppressed themselves.
They are there to measure how much the ranks miss; a draw that spares some windows would measure the rest alone, and
what a suppression hides is what nobody else will look at.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from ..training.asides import peer_groups
from .alert_lists import Hiding, Lists, codes_of, fill
from .calibrated import alerts_by_rate
from .cases import GAP
from .picks import Exploration, Picks
from .reasons import explain as tell_reasons
from .suppressions import Scoped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..features.roles import Roles
    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from ..training.model import Model
    from .reasons import Reason
    from .suppressions import Suppressions

__all__ = ["AlertRules", "Alerts", "Scored", "raise_alerts", "teams_of"]

_BUDGET = 100


@dataclass(frozen=True)
class AlertRules:
    """What becomes an alert.

    Attributes
    ----------
    budget : int, optional
        Alerts a day; with ``teams``, of all who are of no named team, together. None asks for as many as ``fdr``
        allows, and for 100 without it.
    fdr : float, optional
        About this share of a day's alerts is false; with a budget, too, no more than that.
    explore : Exploration
        What part of each budget goes to random picks.
    per : "entity" or "window"
        What takes a place of a budget: an entity with all its windows of that day above the line, or each window. They
        are the same where windows are days.
    team_by : str, optional
        A dimension of the log, or its ``peer_by``; the value at a window's last event is its team.
    teams : mapping of str to int
        Budgets of teams that have one of their own.
    case_gap : int
        Alerts of an entity at most so many days apart are one case.
    suppressions : Suppressions, optional
    earlier : pyarrow.Table, optional
        Scores written before, whose open cases go on; see :func:`~peculiar.serving.cases.case_ids`.

    Raises
    ------
    ConfigError
        If teams have budgets but no column, or a number is out of range.

    Examples
    --------
    >>> AlertRules(budget=100, team_by="depot", teams={"North": 20}).limit("North")
    20
    """

    budget: int | None = None
    fdr: float | None = None
    explore: Exploration = field(default_factory=Exploration)
    per: Literal["entity", "window"] = "entity"
    team_by: str | None = None
    teams: Mapping[str, int] = field(default_factory=dict)
    case_gap: int = GAP
    suppressions: Suppressions | None = None
    earlier: pa.Table | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.teams and self.team_by is None:
            message = f"expected alerts.team_by to name the column that {', '.join(sorted(self.teams))} are values of"
            raise ConfigError(f"{message}; got budgets in alerts.teams alone")
        least = min((*self.teams.values(), self.budget or 0, self.case_gap))
        if self.per not in ("entity", "window") or least < 0:
            message = f"expected per to be entity or window, and budgets and case_gap of 0 or more, got {self._given()}"
            raise ConfigError(message)
        if self.fdr is not None and not 0.0 < self.fdr < 1.0:
            message = f"expected alerts.fdr to be a share of false alerts between 0 and 1, such as 0.1, got {self.fdr}"
            raise ConfigError(message)

    def limit(self, team: str | None = None) -> int | None:
        """Alerts a day of a team, or of the rest; None if nothing bounds them but the false-discovery rate."""
        if team is not None and team in self.teams:
            return self.teams[team]
        return _BUDGET if self.budget is None and self.fdr is None else self.budget

    def told(self, team: str = "") -> str:
        """How many become alerts on a day, of a team or of those without one, in words.

        Examples
        --------
        >>> AlertRules(budget=20).told(), AlertRules(fdr=0.1).told()
        ('20 alerts a day', 'as many alerts a day as leave about 10 % of them false')
        """
        limit = self.limit(team or None)
        own = f" for team {team}" if team in self.teams else " for all who are of no team with its own"
        whose = own if self.teams else ""
        if self.fdr is None:
            return f"{limit:,} alerts a day{whose}"
        most = "" if limit is None else f", {limit:,} at most{whose}"
        return f"as many alerts a day as leave about {100 * self.fdr:g} % of them false{most}"

    def check(self, model: Model) -> None:
        """Refuse what this model cannot do.

        Raises
        ------
        ConfigError
            If the column of teams is none of the log's, or a suppression could never match.
        """
        roles = model.plan.roles
        choices = _team_columns(roles)
        if self.team_by is not None and self.team_by not in choices:
            message = f"expected alerts.team_by to name a dimension or peer_by ({', '.join(choices) or 'none'})"
            raise ConfigError(f"{message}, got {self.team_by!r}")
        if self.suppressions is not None:
            self.suppressions.check(model, teams=self.team_by is not None)

    def _given(self) -> str:
        teams = {f"budget of {name}": budget for name, budget in self.teams.items()}
        given = {"per": self.per, "budget": self.budget, "case_gap": self.case_gap, **teams}
        return ", ".join(f"{name} {value}" for name, value in given.items())

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the record of use."""
        given: dict[str, Any] = {"budget": self.limit(), "per": self.per, "case_gap": self.case_gap}
        given |= {} if self.fdr is None else {"fdr": self.fdr}
        given |= {"explore": self.explore.share, "seed": self.explore.seed} if self.explore.share else {}
        given |= {} if self.team_by is None else {"team_by": self.team_by, "teams": dict(self.teams)}
        return given | ({} if self.suppressions is None else {"suppressions": self.suppressions.to_dict()})


@dataclass(frozen=True, eq=False)
class Scored:
    """n windows and what is known of them once they are scored.

    Attributes
    ----------
    vectors : Vectors, n rows
    timeline : Timeline
        The events that the vectors were built from.
    score : float64 array of shape (n,)
    p_value : float64 array of shape (n,), or None
    day : int64 array of shape (n,), days since 1970
    rank : int64 array of shape (n,)
        1 is the highest score of the day.
    lowest : float64 array of shape (n,), or None
        The lowest score of the day, where these are not all of its windows.
    """

    vectors: Vectors
    timeline: Timeline
    score: NDArray[np.float64]
    p_value: NDArray[np.float64] | None
    day: NDArray[np.int64]
    rank: NDArray[np.int64]
    lowest: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Alerts:
    """What became of n scored windows.

    Attributes
    ----------
    picks : Picks
        Alerts by rank and at random.
    team : pyarrow.DictionaryArray of length n, or None
    suppressed : int64 array of shape (n,)
        The number of the entry that took the window off the list, 0 for none.
    line : float64 array of shape (n,)
        The score that the row has to be under to be no alert by rank; NaN where its day and team have none.
    told : mapping of int to list of Reason
        Reasons that had to be known to tell what is suppressed, by row.
    notes : tuple of str
    """

    picks: Picks
    team: pa.DictionaryArray | None
    suppressed: NDArray[np.int64]
    line: NDArray[np.float64]
    told: Mapping[int, list[Reason]]
    notes: tuple[str, ...]

    @property
    def hidden(self) -> dict[int, int]:
        """How many windows each entry of the suppressions took off the list."""
        numbers, counts = np.unique(self.suppressed[self.suppressed > 0], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def raise_alerts(model: Model, scored: Scored, *, rules: AlertRules, most: int = 3) -> Alerts:
    """Turn scores into alerts; those at the lowest score of all are none where others of that score are none.

    Parameters
    ----------
    model : Model
    scored : Scored
    rules : AlertRules
    most : int
        Reasons per alert, where reasons have to be told to know what is suppressed.

    Raises
    ------
    ConfigError
        If the rules do not fit the model; see :meth:`AlertRules.check`.
    """
    rules.check(model)
    vectors, roles = scored.vectors, model.plan.roles
    team = None if rules.team_by is None else teams_of(vectors, scored.timeline, roles, rules.team_by)
    allowed = np.ones(len(vectors), np.bool_)
    if rules.fdr is not None:
        allowed = alerts_by_rate(scored.p_value, vectors, scored.day, rules.fdr)
    told: dict[int, list[Reason]] = {}

    def reasons(rows: NDArray[np.intp]) -> list[list[Reason]]:
        said = tell_reasons(model, vectors.take(rows), most=max(most, 1))
        told.update(zip(rows.tolist(), said, strict=True))
        return said

    scoped = Scoped(vectors.entity, scored.day, _groups(model, scored, rules), team)
    lists = _lists(scored, team, rules)
    placed, suppressed = fill(lists, allowed, Hiding.of(model, rules.suppressions, scoped), reasons)
    unraised = lists.unraised(scored.score, placed, allowed & (suppressed == 0), scored.lowest)
    by_rank = placed & ~unraised
    chance = lists.drawn(vectors, scored.day, by_rank, otherwise=_BUDGET)
    picks = Picks(by_rank, np.where(by_rank, 1.0, chance))
    line = lists.line(scored.score, by_rank, suppressed > 0)
    alerts = Alerts(picks, team, suppressed, line, told, (*_absent(team, rules), *_empty(int(unraised.sum()))))
    if rules.suppressions is None:
        return alerts
    said = rules.suppressions.notes(scored.day, alerts.hidden, int(by_rank.sum()))
    return replace(alerts, notes=(*alerts.notes, *said))


def teams_of(vectors: Vectors, timeline: Timeline, roles: Roles, column: str) -> pa.DictionaryArray:
    """The value of a column at each window's last event, null where it has none.

    Parameters
    ----------
    vectors : Vectors, n rows
    timeline : Timeline
        The events that the vectors were built from.
    roles : Roles
    column : str
        A dimension, or the column that makes entities peers.

    Returns
    -------
    pyarrow.DictionaryArray of length n

    Raises
    ------
    ConfigError
        If the vectors do not know their last event.
    """
    if vectors.last is None:
        raise ConfigError("expected vectors that know their last event, as a plan makes them; build them again")
    values = timeline.dimensions.get(column, timeline.peer if column == roles.peer_by else None)
    if values is None:
        return pa.DictionaryArray.from_arrays(pa.nulls(len(vectors), pa.int32()), pa.array([], pa.string()))
    place = np.zeros(int(timeline.row.max(initial=0)) + 1, np.int64)
    place[timeline.row] = np.arange(len(timeline))
    codes = values.codes[place[vectors.last]]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), values.values)


def _lists(scored: Scored, team: pa.DictionaryArray | None, rules: AlertRules) -> Lists:
    teams = sorted(rules.teams)
    rows = np.arange(len(scored.day))
    entity = scored.vectors.entity.indices.to_numpy().astype(np.int64)
    return Lists.of_day(
        (scored.day, scored.rank),
        entity if rules.per == "entity" else rows,
        codes_of(team, teams, len(rows)),
        [*(rules.teams[name] for name in teams), rules.limit()],
        rules.explore,
    )


def _groups(model: Model, scored: Scored, rules: AlertRules) -> pa.DictionaryArray | None:
    """The peer group of each window, if a suppression asks for it."""
    entries = () if rules.suppressions is None else rules.suppressions.entries
    if all(entry.peer_group is None for entry in entries):
        return None
    return peer_groups(scored.vectors, scored.timeline, model.plan.windows)


def _absent(team: pa.DictionaryArray | None, rules: AlertRules) -> tuple[str, ...]:
    """A word on teams that have a budget and no window: a name that is misspelt gives its alerts to the rest."""
    if team is None or not len(team):
        return ()
    there = set(team.unique().to_pylist())
    named = [name for name in sorted(rules.teams) if name not in there]
    said = f"no window is of a team that has a budget: {', '.join(named)}; {rules.team_by} has other values"
    return (said,) if named else ()


def _empty(places: int) -> tuple[str, ...]:
    """A word on places that were not filled."""
    said = "the windows next in rank have the lowest score of their day, and there are more of them than places"
    return (f"last places that stay empty: {places:,}; {said}",) if places else ()


def _team_columns(roles: Roles) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*roles.dimensions, *(() if roles.peer_by is None else (roles.peer_by,)))))
