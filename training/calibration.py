"""p-values: how often a normal window would score as high, learned from a later window than the detector learned from.

A detector's score has no unit, and its own fitting rows flatter it. So scores of rows that came after the training are
kept, and a new score's p-value is ``(1 + count) / (n + 1)``, where ``count`` of those n rows score as high: as long as
new rows are like the kept ones, p is at or below any level at most that often, whatever the detector and whatever its
scores. Each peer group with enough rows is held against its own; all others are held against one another.

What holds only as long as nothing drifts has to be watched: :func:`validity` counts how often later rows reach a
level, and :attr:`Validity.guard` says so when that has gone beyond what was promised.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa

from ..errors import BundleError, ConfigError
from .metrics import NO_NAME, Interval, entity_keys

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Calibration", "Validity", "alerts_at_rate", "validity"]

# With fewer rows the luck of which were kept alone moves the true share of p <= 0.01 out of 0.5 % to 1.5 % more than
# one time in twenty: that share is Beta(k, n + 1 - k), k = floor((n + 1) / 100).
LEAST = 1500
_PROMISED = (0.5, 1.5)  # times the level
_ABOUT, _FORMAT = b"peculiar.calibration", 1


@dataclass(frozen=True, eq=False)
class Calibration:
    """What rows of a later, held-out period scored.

    Attributes
    ----------
    group : uint64 array of shape (n_groups,), rising
        Hashes of the peer groups that have scores of their own.
    scores : tuple of float64 arrays, each rising, length n_groups + 1
        First what rows of all other groups, of none and of unknown ones are held against, then those of each group.

    References
    ----------
    Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005 (Mondrian conformal p-values); Laxhammar,
    "Conformal anomaly detection", 2014.
    """

    group: NDArray[np.uint64]
    scores: tuple[NDArray[np.float64], ...]

    @classmethod
    def fit(cls, scores: NDArray[np.float64], group: object | None = None, *, least: int = LEAST) -> Self:
        """Keep the scores of a period after the training.

        Rows known to be in trouble should be left out: each one that stays makes every p-value above it larger.

        Parameters
        ----------
        scores : float64 array of shape (n,), n >= 1
            Higher is more anomalous.
        group : array of shape (n,), of text or whole numbers, optional; a pyarrow array too
            Peer group of each row; null is none.
        least : int
            Rows that a group needs for scores of its own. If those of all smaller groups together are fewer, they
            are held against everyone. The default keeps the promise of the guard, 95 times in 100, if rows were
            independent; rows of few entities are worth fewer.

        Raises
        ------
        ConfigError
            If there is no row, a score is NaN, the lengths differ, or ``least`` is not positive.

        Examples
        --------
        >>> calibration = Calibration.fit(np.arange(99.0))
        >>> calibration.p_values(np.array([98.5, 98.0, 49.0, -1.0])).tolist()
        [0.01, 0.02, 0.51, 1.0]
        """
        values, keys = _checked(scores, group)
        if not len(values) or least < 1:
            message = f"expected scores to calibrate by and least >= 1, got {len(values)} scores and least={least}"
            raise ConfigError(message)
        names, at, rows = np.unique(keys, return_inverse=True, return_counts=True)
        own = np.zeros(len(names), np.bool_) if group is None else (rows >= least) & (names != NO_NAME)
        rest = ~own[at]
        others = values[rest] if rest.sum() >= least else values
        parts = [others, *(values[at == place] for place in np.flatnonzero(own))]
        return cls(names[own], tuple(np.sort(part) for part in parts))

    def p_values(self, scores: NDArray[np.float64], group: object | None = None) -> NDArray[np.float64]:
        """How often a kept row scores as high: in (0, 1], smaller is odder.

        Parameters
        ----------
        scores : float64 array of shape (n,)
        group : array of shape (n,), of text or whole numbers, optional; a pyarrow array too
            As in :meth:`fit`. Without, all rows are held against those that have no scores of their own.

        Returns
        -------
        float64 array of shape (n,)
            Never below ``1 / (n + 1)`` of the n rows that a row is held against: what no kept row reached is all alike.

        Raises
        ------
        ConfigError
            If a score is NaN, or the lengths differ.

        Examples
        --------
        >>> usual = np.concatenate([np.arange(99.0), 100 + np.arange(99.0)])
        >>> calibration = Calibration.fit(usual, ["rider"] * 99 + ["courier"] * 99, least=50)
        >>> calibration.p_values(np.array([150.0, 150.0]), ["rider", "courier"]).tolist()
        [0.01, 0.5]
        """
        values, keys = _checked(scores, group)
        if not len(values):
            return np.empty(0)
        place = np.searchsorted(self.group, keys)
        known = np.append(self.group, np.uint64(0))[place] == keys
        part = np.where(known & (place < len(self.group)), place + 1, 0)
        order = np.argsort(part, kind="stable")
        found, starts = np.unique(part[order], return_index=True)
        p = np.empty(len(values))
        for number, rows in zip(found, np.split(order, starts[1:]), strict=True):
            kept = self.scores[number]
            reached = len(kept) - np.searchsorted(kept, values[rows], side="left")
            p[rows] = (1 + reached) / (len(kept) + 1)
        return p

    def save(self, path: Path) -> None:
        """Write one Arrow file: ``part`` (int32) and ``score`` (float64), the groups' hashes in its metadata."""
        part = np.repeat(np.arange(len(self.scores), dtype=np.int32), [len(scores) for scores in self.scores])
        about = {"format": _FORMAT, "groups": [f"{key:016x}" for key in self.group.tolist()]}
        table = pa.table({"part": part, "score": np.concatenate(self.scores)})
        table = table.replace_schema_metadata({_ABOUT: json.dumps(about)})
        with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote; p-values are equal to the last bit.

        Raises
        ------
        BundleError
            If the file is missing or unreadable, or of another format.
        """
        try:
            with pa.ipc.open_file(path) as reader:
                table = reader.read_all()
            about = json.loads((table.schema.metadata or {})[_ABOUT])
            groups = np.array([int(key, 16) for key in about["groups"]], np.uint64)
            part, scores = (table.column(name).to_numpy() for name in ("part", "score"))
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            message = f"{path} cannot be read as a calibration ({error}); calibrate and save it again"
            raise BundleError(message) from error
        if about.get("format") != _FORMAT:
            message = f"{path}: expected a calibration of format {_FORMAT}, got {about.get('format')}; calibrate again"
            raise BundleError(message)
        ends = np.searchsorted(part, np.arange(len(groups) + 2))
        return cls(groups, tuple(scores[start:stop].copy() for start, stop in pairwise(ends)))


@dataclass(frozen=True, eq=False)
class Validity:
    """How often later rows reached a level, against what was promised.

    Attributes
    ----------
    level : float
    share : Interval
        Share of rows with ``p <= level``.
    rows, entities : int
    weeks : pandas.DataFrame
        The same by seven days, counted from the first: ``day`` (the first of the seven), ``rows``, ``share``, ``low``,
        ``high``.
    """

    level: float
    share: Interval
    rows: int
    entities: int
    weeks: pd.DataFrame

    @property
    def promised(self) -> tuple[float, float]:
        """Between which shares the level is promised to lie: half and one and a half times the level."""
        return self.level * _PROMISED[0], self.level * _PROMISED[1]

    @property
    def holds(self) -> bool | None:
        """True if the whole interval is within what was promised, False if none of it is, None if it cannot be told."""
        least, most = self.promised
        if self.share.high < least or self.share.low > most:
            return False
        return True if least <= self.share.low and self.share.high <= most else None

    @property
    def guard(self) -> str | None:
        """A warning if p-values no longer mean what they say, in the whole period or in a week of it; None if not."""
        least, most = self.promised
        broken = self.weeks[(self.weeks["high"] < least) | (self.weeks["low"] > most)]
        if self.holds is not False and broken.empty:
            return None
        days = ", ".join(f"{week.day} ({week.share:.2%})" for week in broken.itertuples())
        where = f", most plainly in the weeks from day {days}" if days else ""
        return (
            f"p <= {self.level:g} was promised for {least:.2%} to {most:.2%} of normal rows and came for "
            f"{self.share.value:.2%} of {self.rows:,} (95 % interval {self.share.low:.2%} to {self.share.high:.2%})"
            f"{where}; scores have drifted since the calibration, or there is more trouble than then: look at who it "
            "is, calibrate on newer rows, or train again"
        )


def validity(p: NDArray[np.float64], *, day: ArrayLike, entity: object, level: float = 0.01) -> Validity:
    """Count how often later, normal rows reach a level, with an interval that knows of entities.

    Parameters
    ----------
    p : float64 array of shape (n,)
        p-values of rows after the calibration, without those known to be in trouble.
    day : int array of shape (n,)
        Number of the day, rising by one a day.
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too
    level : float

    Raises
    ------
    ConfigError
        If there is no row, the lengths differ, a p-value is not in [0, 1], or the level not within (0, 2/3).

    Notes
    -----
    Rows of one entity hang together. The variance of the share between entities, linearised, says how many independent
    rows these rows are worth, and the interval is the exact binomial one for so many. On simulated entities with a
    share of 1 % it covered it 95 to 97 times in 100, and it does not shrink to nothing where no row happens to reach
    the level.

    References
    ----------
    Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated
    from survey data", Survey Methodology 1998.

    Examples
    --------
    >>> calibration, rng = Calibration.fit(np.arange(9999.0)), np.random.default_rng(0)
    >>> day, entity = np.arange(20000) % 28, np.arange(20000) // 28
    >>> same = calibration.p_values(rng.uniform(0, 10000, 20000))
    >>> validity(same, day=day, entity=entity).guard is None
    True
    >>> drifted = calibration.p_values(rng.uniform(300, 10300, 20000))
    >>> validity(drifted, day=day, entity=entity).guard.split(" (")[0]
    'p <= 0.01 was promised for 0.50% to 1.50% of normal rows and came for 3.95% of 20,000'
    """
    days, keys = np.asarray(day), entity_keys(entity)
    _same_length(p=p, day=days, entity=keys)
    if not len(days) or not ((p >= 0) & (p <= 1)).all() or not 0 < level * _PROMISED[1] < 1:
        message = f"expected p-values in [0, 1] of one row or more and a level in (0, 2/3), got {len(days)}, {level}"
        raise ConfigError(message)
    names, at = np.unique(keys, return_inverse=True)
    week = (days - days.min()) // 7
    shares, rows = _shares(at, week, p <= level)
    table = _weeks(int(days.min()), shares[1:], rows[1:])
    return Validity(level, shares[0], len(days), len(names), table)


def alerts_at_rate(
    p: NDArray[np.float64], *, day: ArrayLike, entity: object, rate: float = 0.1, method: Literal["bh", "by"] = "bh"
) -> NDArray[np.bool_]:
    """The rows to alert so that about ``rate`` of a day's alerts are false: as many as the evidence allows.

    Parameters
    ----------
    p : float64 array of shape (n,)
    day : int array of shape (n,)
        Each day has a list of its own.
    entity : array of shape (n,), of text or whole numbers; a pyarrow array too
    rate : float
        Expected share of false alerts.
    method : "bh" or "by"
        Benjamini and Hochberg's procedure, or Benjamini and Yekutieli's.

    Returns
    -------
    bool array of shape (n,)
        Of each alerted entity the rows with its smallest p-value of the day.

    Raises
    ------
    ConfigError
        If the lengths differ, a p-value is not in [0, 1], or the rate not within (0, 1).

    Notes
    -----
    Rows of one entity depend on each other in any way, so an entity has one p-value a day: its smallest times its rows.
    Those of different entities depend on each other through the kept scores alone, and in the direction for which the
    first procedure is proven (Bates et al.). The second assumes nothing and pays for it: on simulated days of 2,000
    entities, 1 % of them in trouble, at a rate of 10 %, the first had 9.7 % to 10 % false alerts and found 62 % to
    97 %, the second had 1 % and found 21 % to 87 %.

    No p-value is below ``1 / (n + 1)``. For an alert at least ``m / (rate * (n + 1))`` of a day's m entities must
    reach it together, so calibrate on ten or more times as many rows as a day has, or ask for a budget.

    References
    ----------
    Bates, Candès, Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 2023.

    Examples
    --------
    >>> p = np.array([0.001, 0.2, 0.6, 0.04, 0.5, 0.9])
    >>> alerts_at_rate(p, day=np.array([0, 0, 0, 1, 1, 1]), entity=["a", "b", "c", "a", "b", "c"]).tolist()
    [True, False, False, False, False, False]
    """
    from scipy.stats import false_discovery_control

    days, keys = np.asarray(day), entity_keys(entity)
    _same_length(p=p, day=days, entity=keys)
    if not ((p >= 0) & (p <= 1)).all() or not 0 < rate < 1:
        message = f"expected p-values in [0, 1] and a rate in (0, 1), got rate={rate}; rates are shares, not percent"
        raise ConfigError(message)
    order = np.lexsort((p, keys, days))
    new = np.append(True, (np.diff(keys[order]) != 0) | (np.diff(days[order]) != 0))[: len(order)]
    case, first = np.cumsum(new) - 1, order[new]
    smallest = p[first]
    joint = np.minimum(smallest * np.bincount(case, minlength=len(first)), 1.0)
    alerted = np.zeros(len(first), np.bool_)
    for today in np.split(np.arange(len(first)), np.flatnonzero(np.diff(days[first])) + 1):
        alerted[today] = false_discovery_control(joint[today], method=method) <= rate
    alerts = np.empty(len(p), np.bool_)
    alerts[order] = alerted[case] & (p[order] == smallest[case])
    return alerts


def _shares(
    at: NDArray[np.intp], week: NDArray[np.int64], reached: NDArray[np.bool_]
) -> tuple[list[Interval], NDArray[np.int64]]:
    """The share of rows that reached the level, and the rows: of all first, then of each week."""
    entities, weeks = int(at.max()) + 1, int(week.max()) + 1
    cell, shape = at * weeks + week, (entities, weeks)
    rows = np.bincount(cell, minlength=entities * weeks).reshape(shape)
    hits = np.bincount(cell[reached], minlength=entities * weeks).reshape(shape)
    rows, hits = (np.column_stack([each.sum(axis=1), each]) for each in (rows, hits))
    return [_interval(*each) for each in zip(hits.T, rows.T, strict=True)], rows.sum(axis=0)


def _interval(hits: NDArray[np.int64], rows: NDArray[np.int64]) -> Interval:
    """The exact binomial interval for as many independent rows as these are worth, given the counts of each entity."""
    from scipy.stats import beta

    n, k, entities = int(rows.sum()), int(hits.sum()), np.count_nonzero(rows)
    if not n:
        return Interval(np.nan, np.nan, np.nan)
    share, worth = k / n, float(entities)
    if entities > 1 and 0 < k < n:
        alone = share * (1 - share)
        variance = float(((hits - share * rows) ** 2).sum()) / n**2 * entities / (entities - 1)
        worth = alone / max(variance, alone / n)
    reached = share * worth
    low = float(beta.ppf(0.025, reached, worth - reached + 1)) if k else 0.0
    high = float(beta.ppf(0.975, reached + 1, worth - reached)) if k < n else 1.0
    return Interval(share, low, high)


def _weeks(start: int, shares: list[Interval], rows: NDArray[np.int64]) -> pd.DataFrame:
    import pandas as pd

    table = {"day": start + 7 * np.arange(len(rows)), "rows": rows, "share": [each.value for each in shares]}
    table |= {"low": [each.low for each in shares], "high": [each.high for each in shares]}
    return pd.DataFrame(table)[rows > 0].reset_index(drop=True)


def _checked(scores: NDArray[np.float64], group: object | None) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    values = np.asarray(scores, np.float64)
    keys = np.zeros(len(values), np.uint64) if group is None else entity_keys(group)
    _same_length(scores=values, group=keys)
    if np.isnan(values).any():
        message = f"the score of row {int(np.isnan(values).argmax())} is NaN; leave out rows that have no score"
        raise ConfigError(message)
    return values, keys


def _same_length(**columns: NDArray[np.generic]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        message = f"expected columns of one length, got {lengths}"
        raise ConfigError(message)
