"""The features of the Fraud Detection Handbook, twelve over windows and two flags, driven from the package's own parts.

The book (Le Borgne, Siblini, Lebichot, Bontempi, chapter 3) gives each payment: whether it fell on a weekend or at
night; its customer's payments and their mean amount over the last 1, 7 and 30 days, itself included; and at its
terminal, the payments of 1, 7 and 30 days that ended seven days ago and the share of fraud among them, because a fraud
takes a week to become known. Windows are open at their beginning and closed at their end.

One vector per event with a horizon of 30 days has just the customer's windows, as positions in the timeline. The
terminal's are two pointers over the events by terminal and time. The default families make more, and other, features:
their risk counts troubles by when they became known and shrinks the rates; so this driver, and not a plan, is what is
held against the book.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...features.events import EventLog
from ...features.kernels import kernel
from ...features.roles import Roles
from ...features.snapshots import WindowSpec, snapshots_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ...features.timeline import Timeline

__all__ = ["NAMES", "ROLES", "read", "twelve"]

ROLES = Roles("user_id", "ts", id="event_id", dimensions=("terminal_id",), measures=("amount",))
_DAY = 86_400_000_000
_DELAY = 7 * _DAY
_DAYS = (1, 7, 30)
NAMES = (
    *(f"customer_{what}_{days}d" for days in _DAYS for what in ("count", "mean_amount")),
    *(f"terminal_{what}_{days}d" for days in _DAYS for what in ("count", "risk")),
    "weekend",
    "night",
)


def read(events: Path, labels: Path) -> tuple[Timeline, NDArray[np.uint8]]:
    """Read the payments, and which of them were frauds.

    Parameters
    ----------
    events, labels : Path
        Parquet files: ``event_id, user_id, ts, terminal_id, amount``, and ``event_id, is_fraud``.

    Returns
    -------
    timeline : Timeline, n events
    fraud : uint8 array of shape (n,)
    """
    import pyarrow.parquet as pq

    timeline, _, _ = EventLog.open(events, ROLES).read()
    listed = pq.read_table(labels, columns=["event_id", "is_fraud"])
    bad = listed["event_id"].to_numpy()[listed["is_fraud"].to_numpy().astype(bool)]
    ids = pq.read_table(events, columns=["event_id"])["event_id"].to_numpy()
    return timeline, _marked(ids, bad)[timeline.row]


def _marked(ids: NDArray[np.int64], bad: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Which ids are among the bad ones; a table by id, since ids of one log lie close together."""
    table = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
    table[bad[bad < len(table)]] = 1
    return table[ids]


def twelve(timeline: Timeline, fraud: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The book's twelve features over windows of each payment, and its two flags.

    Parameters
    ----------
    timeline : Timeline, n events
    fraud : uint8 array of shape (n,)

    Returns
    -------
    float32 array of shape (14, n)
        In the order of ``NAMES``; payments in the order of the timeline.
    """
    made = np.empty((len(NAMES), len(timeline)), np.float32)
    snapshots = snapshots_of(timeline, WindowSpec(every="event", horizon="30d"))
    lows = np.vstack([snapshots.start, snapshots.trailing])
    _spent(made[0:6], timeline.measures["amount"], lows, snapshots.stop)
    codes = timeline.dimensions["terminal_id"]
    first, position = _by_terminal(codes.codes, timeline.by_time, len(codes.values))
    widths = np.array(_DAYS, np.int64) * _DAY
    made[6:12] = np.nan  # a payment without a terminal
    _delayed(made[6:12], (first, timeline.at[position], position), fraud, widths)
    _calendar(made[12:14], timeline.at)
    return made


@kernel
def _spent(
    block: NDArray[np.float32], amounts: NDArray[np.float64], lows: NDArray[np.int64], stop: NDArray[np.int64]
) -> None:
    """Count and mean over each window, summed afresh in the order of time so that nothing that left leaves a residue.

    The windows are nested: the sum of the longest is taken from its end backwards, and the shorter ones are read off
    on the way.
    """
    for i in range(len(stop)):
        total, place = 0.0, stop[i]
        for w in range(len(lows)):
            while place > lows[w, i]:
                place -= 1
                total += amounts[place]
            n = stop[i] - lows[w, i]
            block[2 * w, i], block[2 * w + 1, i] = n, total / n


@kernel
def _by_terminal(
    codes: NDArray[np.int32], order: NDArray[np.uint32], terminals: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """A counting sort, stable: the order of time survives within a terminal. Payments without one are left out."""
    first = np.zeros(terminals + 1, np.int64)
    for code in codes:
        if code >= 0:
            first[code + 1] += 1
    for v in range(terminals):
        first[v + 1] += first[v]
    place, position = first.copy(), np.empty(first[terminals], np.uint32)
    for i in order:
        if codes[i] >= 0:
            position[place[codes[i]]] = i
            place[codes[i]] += 1
    return first, position


@kernel
def _delayed(
    block: NDArray[np.float32],
    meeting: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint32]],
    fraud: NDArray[np.uint8],
    widths: NDArray[np.int64],
) -> None:
    """Payments and the share of fraud in (t - delay - width, t - delay] at the terminal: two pointers a width.

    The frauds between the pointers are an integer that slides: one comes in, one goes out.
    """
    first, at, position = meeting
    for w in range(len(widths)):
        for v in range(len(first) - 1):
            lo = hi = first[v]
            bad = 0
            for k in range(first[v], first[v + 1]):
                until = at[k] - _DELAY
                while at[hi] <= until:
                    bad += fraud[position[hi]]
                    hi += 1
                while lo < hi and at[lo] <= until - widths[w]:
                    bad -= fraud[position[lo]]
                    lo += 1
                n, place = hi - lo, position[k]
                block[2 * w, place] = n
                block[2 * w + 1, place] = bad / n if n > 0 else 0.0


@kernel
def _calendar(block: NDArray[np.float32], at: NDArray[np.int64]) -> None:
    """Saturday or Sunday, and the hours from midnight to 6:59, as the book has them."""
    for i in range(len(at)):
        block[0, i] = (at[i] // _DAY + 3) % 7 >= 5  # 1 January 1970 was a Thursday
        block[1, i] = at[i] % _DAY // (_DAY // 24) <= 6
