"""The lists of places that a day's budgets are, and how they are filled when some windows are hidden.

Some suppressions are about reasons, and to tell the reasons of every window would take hours. So the lists are filled
as if nothing of the kind were hidden, the reasons of those who got in are told, and the lists are filled anew without
those who turn out to be in scope, until nobody unknown is in. That looks at as many windows as there are alerts and
hidden ones, and ends in the same place as to walk down the ranks one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from .alert_kernels import reached
from .picks import random_picks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from ..training.model import Model
    from .picks import Exploration
    from .reasons import Reason
    from .suppressions import Scoped, Suppressions

__all__ = ["Hiding", "Lists", "codes_of", "fill", "line_of"]

_UNBOUNDED = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Lists:
    """The windows in the order in which they may take places: list by list, each from its highest rank down.

    Attributes
    ----------
    order : intp array of shape (n,)
        Rows in that order.
    team : int64 array of shape (n,)
        Which of the teams with a budget of their own each row is of; the number after the last is the rest.
    of : int64 array of shape (n,)
        The list of each row.
    who : int64 array of shape (n,)
        What each row counts as: rows that count once together have the same.
    budgets : tuple of int or None
        Of each team and of the rest; None is unbounded.
    explore : Exploration
    """

    order: NDArray[np.intp]
    team: NDArray[np.int64]
    of: NDArray[np.int64]
    who: NDArray[np.int64]
    budgets: tuple[int | None, ...]
    explore: Exploration

    @classmethod
    def of_day(
        cls,
        ranked: tuple[NDArray[np.int64], NDArray[np.int64]],
        who: NDArray[np.int64],
        team: NDArray[np.int64],
        budgets: Sequence[int | None],
        explore: Exploration,
    ) -> Self:
        """Order n rows by their day and rank; ``who`` of those whose list is unbounded is made their own."""
        day, rank = ranked
        unbounded = np.array([budget is None for budget in budgets])[team]
        alone = int(who.max(initial=-1)) + 1 + np.arange(len(who))
        return cls(
            np.lexsort((rank, team, day)),
            team,
            day * len(budgets) + team,
            np.where(unbounded, alone, who),
            tuple(budgets),
            explore,
        )

    def reached(self, candidate: NDArray[np.bool_], hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which candidates lie at or above the line of their list, bool of shape (n,), hidden ones too."""
        places = [_UNBOUNDED if budget is None else self.explore.split(budget)[0] for budget in self.budgets]
        most = np.array(places, np.int64)[self.team]
        order, inside = self.order, np.empty(len(self.order), np.bool_)
        inside[order] = reached(self.of[order], self.who[order], most[order], candidate[order], hidden[order])
        return inside

    def unraised(
        self,
        score: NDArray[np.float64],
        alert: NDArray[np.bool_],
        able: NDArray[np.bool_],
        lowest: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """The alerts at the lowest score of their list, if others of that score were left out for want of places.

        Nothing raises one of these above another: to fill the last places with those that come first by name would
        send people after nobody in particular.

        Parameters
        ----------
        score : float64 array of shape (n,)
        alert, able : bool arrays of shape (n,)
            Alerts by rank, and what may be one and is not hidden.
        lowest : float64 array of shape (n,), optional
            The lowest score of each row's list, where these are not all of its rows.
        """
        _, at = np.unique(self.of, return_inverse=True)
        filled, crowded = np.zeros((2, len(at)), np.bool_)
        if lowest is None:
            least = np.full(int(at.max(initial=-1)) + 1, np.inf)
            np.minimum.at(least, at, score)
            lowest = least[at]
        floor = score == lowest
        filled[at[alert & floor]] = True
        others = np.flatnonzero(able & ~alert & floor & filled[at])
        taker = self.of * (int(self.who.max(initial=0)) + 1) + self.who  # who is in has further windows for nothing
        crowded[at[others[~np.isin(taker[others], taker[alert])]]] = True
        return alert & floor & crowded[at]

    def drawn(
        self, vectors: Vectors, day: NDArray[np.int64], taken: NDArray[np.bool_], *, otherwise: int
    ) -> NDArray[np.float64]:
        """The chance of random picks among the rows that are not taken, NaN elsewhere; from each list its share.

        ``otherwise`` is the budget whose share is drawn from a list that is unbounded.
        """
        chance = np.full(len(vectors), np.nan)
        for team, budget in enumerate(self.budgets):
            most = self.explore.split(otherwise if budget is None else budget)[1]
            others = taken | (self.team != team)
            own = random_picks(vectors, day, others, most=most, seed=self.explore.seed)
            chance = np.where(np.isnan(own), chance, own)
        return chance

    def line(
        self, score: NDArray[np.float64], alert: NDArray[np.bool_], hidden: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The score that each row has to be under to be no alert; see :func:`line_of`."""
        return line_of(self.of, score, alert, hidden)


@dataclass(frozen=True, eq=False)
class Hiding:
    """Which suppression hides which window, as far as it is known.

    Attributes
    ----------
    number : int64 array of shape (n,)
        The entry that hides a row whatever its reasons, 0 for none; of several the first.
    pending : bool array of shape (n_entries, n)
        Where it depends on the reasons.
    """

    suppressions: Suppressions | None
    number: NDArray[np.int64]
    pending: NDArray[np.bool_]
    subjects: dict[str, str]

    @classmethod
    def of(cls, model: Model, suppressions: Suppressions | None, rows: Scoped) -> Self:
        """Settle all that can be told without reasons."""
        none = np.zeros((0, len(rows.day)), np.bool_)
        if suppressions is None or not suppressions.entries:
            return cls(suppressions, np.zeros(len(rows.day), np.int64), none, {})
        covered = suppressions.covers(rows)
        by_reason = np.array([entry.by_reason for entry in suppressions.entries])[:, np.newaxis]
        plain = covered & ~by_reason
        number = np.where(plain.any(axis=0), plain.argmax(axis=0) + 1, 0)
        subjects = {feature.name: feature.subject or feature.name for feature in model.plan.features}
        return cls(suppressions, number, covered & by_reason & (number == 0), subjects)

    def entry(self, row: int, reasons: Sequence[Reason]) -> int:
        """The number of the first entry that is about a row and its first reason, 0 if there is none."""
        if self.suppressions is None or not reasons:
            return 0
        first, subject = reasons[0], self.subjects.get(reasons[0].feature, reasons[0].feature)
        for number in np.flatnonzero(self.pending[:, row]).tolist():
            if self.suppressions.entries[number].speaks_of(first, subject):
                return int(number) + 1
        return 0


def fill(
    lists: Lists,
    candidate: NDArray[np.bool_],
    hiding: Hiding,
    reasons: Callable[[NDArray[np.intp]], list[list[Reason]]],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Fill the places.

    Parameters
    ----------
    lists : Lists, n rows
    candidate : bool array of shape (n,)
        Rows that may be alerts.
    hiding : Hiding
    reasons : callable
        Tells the reasons of rows, the weightiest first.

    Returns
    -------
    bool array of shape (n,)
        Alerts.
    int64 array of shape (n,)
        Of each window that would be one, the number of the entry that hides it; 0 elsewhere.
    """
    number = hiding.number.copy()
    unknown: NDArray[np.bool_] = np.logical_or.reduce(hiding.pending, axis=0)
    while True:
        inside = lists.reached(candidate, number > 0)
        ask = np.flatnonzero(inside & unknown)
        if not len(ask):
            return inside & (number == 0), np.where(inside, number, 0)
        number[ask] = [hiding.entry(row, said) for row, said in zip(ask.tolist(), reasons(ask), strict=True)]
        unknown[ask] = False


def codes_of(column: pa.DictionaryArray | None, names: Sequence[str], rows: int) -> NDArray[np.int64]:
    """The place of each row's value among the names; the number after the last for others, null, and no column."""
    if column is None:
        return np.full(rows, len(names), np.int64)
    place = {name: number for number, name in enumerate(names)}
    of_value = np.array([*(place.get(value, len(names)) for value in column.dictionary.to_pylist()), len(names)])
    codes = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(of_value[codes], np.int64)


def line_of(
    lists: NDArray[np.int64], score: NDArray[np.float64], alert: NDArray[np.bool_], hidden: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The score that each row has to be under to be no alert, NaN on a list without one.

    That is the lowest of an alert on the row's list. Where places were too few for all windows of that score, to have
    it makes no alert: a row above it need not fall deeper than to the level of those that were left out.

    Parameters
    ----------
    lists : int64 array of shape (n,)
        The list of each row.
    score : float64 array of shape (n,)
    alert, hidden : bool arrays of shape (n,)
        Alerts by rank, and windows that a suppression took off the list.

    Examples
    --------
    >>> alert = np.array([True, True, False, False])
    >>> line_of(np.zeros(4, np.int64), np.array([9.0, 2.0, 2.0, 1.0]), alert, np.zeros(4, np.bool_)) - 2.0 > 0.0
    array([ True, False, False, False])
    """
    _, at = np.unique(lists, return_inverse=True)
    lowest = np.full(int(at.max(initial=-1)) + 1, np.inf)
    np.minimum.at(lowest, at[alert], score[alert])
    left_out = np.zeros(len(lowest), np.bool_)
    left_out[at[~alert & ~hidden & (score == lowest[at])]] = True
    line = np.where(left_out[at] & (score > lowest[at]), np.nextafter(lowest[at], np.inf), lowest[at])
    return np.where(np.isinf(lowest[at]), np.nan, line)
