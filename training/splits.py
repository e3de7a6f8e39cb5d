"""Splits in time, and no others: what is learned ends before what is judged begins, with a gap for labels to arrive.

Days and hours count as a whole: one that straddles a boundary is on neither side. Of a window that ends with an event
that event counts: the window may look back over the boundary, as it will when the model works.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import ConfigError, LeakageError
from .labels import DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..features.vectors import Vectors

__all__ = ["Period", "TimeSplit", "acquaintance", "prequential_folds", "split_by_time"]

_ACQUAINTANCE = 0.6  # of the time until the training ends


@dataclass(frozen=True)
class Period:
    """A stretch of time, half-open, microseconds since 1970 UTC; None leaves that side to be chosen.

    Raises
    ------
    ConfigError
        If it ends no later than it begins.
    """

    start: int | None = None
    stop: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.stop is not None and self.stop <= self.start:
            message = f"expected a period that ends after it begins, got {_iso(self.start)} to {_iso(self.stop)}"
            raise ConfigError(message)


OPEN = Period()


class Windows(Protocol):
    """Anything with windows: vectors, or the snapshots that will become vectors."""

    @property
    def since(self) -> NDArray[np.int64]:
        """When each window begins, microseconds since 1970 UTC."""

    @property
    def as_of(self) -> NDArray[np.int64]:
        """When each window ends."""

    @property
    def cut(self) -> str:
        """What windows are: see :attr:`peculiar.features.snapshots.WindowSpec.cut`."""


@dataclass(frozen=True)
class TimeSplit:
    """A training period and the test period after it, both half-open, microseconds since 1970 UTC.

    Raises
    ------
    LeakageError
        If the test begins before the training ends.
    ConfigError
        If a period is empty.

    Examples
    --------
    >>> TimeSplit(0, 7 * DAY, 14 * DAY, 21 * DAY).gap // DAY
    7
    """

    train_from: int
    train_until: int
    test_from: int
    test_until: int

    def __post_init__(self) -> None:
        if self.test_from < self.train_until:
            message = f"the test begins before the training ends ({self}); move the test later"
            raise LeakageError(message)
        if self.train_from >= self.train_until or self.test_from >= self.test_until:
            message = f"a period is empty ({self}); take a longer log, a shorter gap, or fewer folds"
            raise ConfigError(message)

    @property
    def gap(self) -> int:
        """Time between training and test, in microseconds: what labels need to arrive."""
        return self.test_from - self.train_until

    @property
    def known_by(self) -> int:
        """The moment the model goes to work: labels known later do not exist for its training."""
        return self.test_from

    def train(self, vectors: Vectors) -> Vectors:
        """The rows to learn from."""
        return vectors.between(self.train_from, self.train_until)

    def test(self, vectors: Vectors) -> Vectors:
        """The rows to judge by."""
        return vectors.between(self.test_from, self.test_until)

    def __str__(self) -> str:
        """The four moments for a person, in UTC."""
        stamps = [_iso(at) for at in (self.train_from, self.train_until, self.test_from, self.test_until)]
        return f"train {stamps[0]} to {stamps[1]}, test {stamps[2]} to {stamps[3]}"


def split_by_time(
    vectors: Windows, *, gap: int = 0, train: Period = OPEN, test: Period = OPEN, test_share: float = 0.25
) -> TimeSplit:
    """Choose a training and a test period; what is not given is chosen so that the test takes the last days.

    Parameters
    ----------
    vectors : Vectors or Snapshots
    gap : int, microseconds
        Left out between training and test where the end of the training is not given: the usual delay of labels.
    train, test : Period, optional
        Sides that are None are chosen: from the first day, until ``gap`` before the test; the last ``test_share`` of
        the days, until the last.

    Raises
    ------
    ConfigError
        If there are too few days.
    LeakageError
        If the test would begin before the training ends.
    """
    first, last = _days(vectors)
    stop = _or(test.stop, last)
    chosen = stop - max(1, round((stop - first) / DAY * test_share)) * DAY
    start = _or(test.start, _snap(chosen, vectors))
    return TimeSplit(_or(train.start, first), _or(train.stop, start - gap), start, stop)


def prequential_folds(
    vectors: Windows, *, folds: int = 4, gap: int = 0, test_length: int | None = None, train_length: int | None = None
) -> list[TimeSplit]:
    """Test periods one after another up to the end, each judged by what was learned before it, earliest first.

    Parameters
    ----------
    vectors : Vectors or Snapshots
    folds : int
        How many test periods.
    gap : int, microseconds
        Left out before each test period.
    test_length : int, optional, microseconds
        Length of a test period; by default the last half of the days in equal whole days.
    train_length : int, optional, microseconds
        Learn from so much time before the gap; by default from all there is.

    Raises
    ------
    ConfigError
        If the days do not suffice.

    References
    ----------
    Dawid, "Statistical theory: the prequential approach", 1984; Gama et al., "On evaluating stream learning
    algorithms", Machine Learning 2013.
    """
    start, stop = _days(vectors)
    length = test_length or round((stop - start) / DAY) // (2 * max(1, folds)) * DAY
    if folds < 1 or length < 1:
        message = f"{folds} folds do not fit into {round((stop - start) / DAY)} days; take fewer folds or a longer log"
        raise ConfigError(message)
    tests = [_snap(stop - (folds - fold) * length, vectors) for fold in range(folds)]
    begins = [start if train_length is None else max(start, at - gap - train_length) for at in tests]
    ends = [*tests[1:], stop]
    return [TimeSplit(begin, at - gap, at, end) for begin, at, end in zip(begins, tests, ends, strict=True)]


def acquaintance(split: TimeSplit, windows: Windows, *, horizon: int) -> int:
    """Until when the population is learned: what everyone does, before anyone is judged by it.

    A row that the population was learned from knows its own rarities, so nothing in it is new to everyone; later rows
    are not like that. So a detector that learns what is usual learns it from rows that the population has not seen.
    Where the log goes back a horizon or more before the training, that is all of the training; else the later part.

    Parameters
    ----------
    split : TimeSplit
    windows : Vectors or Snapshots
        Of the whole log.
    horizon : int, microseconds

    Returns
    -------
    int
        Microseconds since 1970 UTC, at most the end of the training; its end where that lasts under two days.
    """
    first, _ = _days(windows)
    if split.train_from - first >= horizon:
        return split.train_from
    if split.train_until - split.train_from < 2 * DAY:
        return split.train_until
    days = round(_ACQUAINTANCE * (split.train_until - first) / DAY)
    last = split.train_until - DAY
    return min(max(_snap(first + days * DAY, windows), split.train_from), _snap(last, windows))


def _or(given: int | None, chosen: int) -> int:
    return chosen if given is None else given


def _days(vectors: Windows) -> tuple[int, int]:
    if not len(vectors.since):
        message = "there are no vectors to split; check the period and the entities that were asked for"
        raise ConfigError(message)
    if vectors.cut != "calendar":  # windows end when they end, and days are those of UTC
        return (int(vectors.as_of.min()) - 1) // DAY * DAY, -(-int(vectors.as_of.max()) // DAY) * DAY
    return int(vectors.since.min()), int(vectors.as_of.max())


def _snap(at: int, vectors: Windows) -> int:
    """The nearest begin of a window within two hours: where clocks change a day has 23 or 25."""
    if vectors.cut != "calendar":
        return at
    starts = np.unique(vectors.since)
    nearest = int(starts[np.abs(starts - at).argmin()])
    return nearest if abs(nearest - at) <= DAY // 12 else at


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="minutes").removesuffix("+00:00")
