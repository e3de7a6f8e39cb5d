"""Three ways to spoil the future of a log and leave its past as it is: what a check for leaks holds vectors against.

There are two clocks. An event is later if it happened at or after the cut; a trouble is later if it became *known* at
or after the cut, however long ago its event happened. With one vector per event or run, the events that follow the
vector's last one in the entity's own order are later too, though they bear the same time.

What is later stays later: altered and shuffled events are never moved before the cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .columns import Codes
from .exchange import NEVER, TROUBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .timeline import Timeline

__all__ = ["WAYS", "Cut"]

_HOUR = 3_600_000_000
_OTHER_ID = np.uint64(0x9E3779B97F4A7C15)
_UNSEEN = "a value that nobody had"


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the past of a vector ends.

    Attributes
    ----------
    as_of : int
        Microseconds since 1970 UTC; what happened or became known then or after is later.
    entity : int
        Whose vector it is.
    stop : int
        Where its events end in the timeline: what follows it there is later too.
    by : str or None
        The dimension whose runs are the windows; later events begin a run of their own, or they would prolong one.
    """

    as_of: int
    entity: int
    stop: int
    by: str | None = None

    def later(self, timeline: Timeline) -> NDArray[np.bool_]:
        """Which events are later, bool of shape (n,)."""
        later = timeline.at >= self.as_of
        later[self.stop : timeline.first[self.entity + 1]] = True
        return later


def _delete(timeline: Timeline, cut: Cut, rng: np.random.Generator) -> Timeline:  # noqa: ARG001 - as the other ways
    columns = _loosen(timeline)
    if TROUBLE in timeline.notes:
        known = columns["note", TROUBLE]
        known[known >= cut.as_of] = NEVER
    kept = ~cut.later(timeline)
    return _sorted(timeline, {key: column[kept] for key, column in columns.items()})


def _alter(timeline: Timeline, cut: Cut, rng: np.random.Generator) -> Timeline:
    columns, later = _loosen(timeline), np.flatnonzero(cut.later(timeline))
    columns["at", ""][later] = np.maximum(timeline.at[later], cut.as_of) + rng.integers(1, _HOUR, len(later))
    for kind, name in columns:
        column = columns[kind, name]
        if kind in {"dimension", "peer"}:
            column[later] = rng.integers(-1, _values(timeline, kind, name) + 1, len(later))
        elif kind == "place":
            column[later] = rng.uniform(-80.0, 80.0, len(later))
        elif kind == "measure":
            column[later] = np.where(np.isnan(column[later]), 1.0, -3.0 * column[later] - 1.0)
        elif kind == "ids":
            column[later] ^= _OTHER_ID
        elif name == TROUBLE:
            known = np.flatnonzero(column >= cut.as_of)
            other = cut.as_of + rng.integers(0, 1000 * _HOUR, len(known))
            column[known] = np.where(rng.random(len(known)) < 0.5, other, NEVER)
    return _sorted(timeline, _own_runs(timeline, columns, later, cut))


def _shuffle(timeline: Timeline, cut: Cut, rng: np.random.Generator) -> Timeline:
    columns, later = _loosen(timeline), np.flatnonzero(cut.later(timeline))
    for (_, name), column in columns.items():
        where = np.flatnonzero(column >= cut.as_of) if name == TROUBLE else later
        column[where] = column[rng.permutation(where)]
    columns["at", ""][later] = np.maximum(columns["at", ""][later], cut.as_of)
    return _sorted(timeline, _own_runs(timeline, columns, later, cut))


WAYS: Mapping[str, Callable[[Timeline, Cut, np.random.Generator], Timeline]] = {
    "deleted": _delete,
    "altered": _alter,
    "shuffled": _shuffle,
}
"""What is done to everything later: taken away; given another time, other values and another id; mixed, each column by
itself, so that other entities do other things at other times."""

_Columns = dict[tuple[str, str], "NDArray[Any]"]


def _loosen(timeline: Timeline) -> _Columns:
    """Copies of all columns, the owner among them, free to be changed; notes that families make are made again."""
    columns: _Columns = {("owner", ""): timeline.owner.copy(), ("at", ""): timeline.at.copy()}
    columns["row", ""] = timeline.row.copy()
    if timeline.ids is not None:
        columns["ids", ""] = timeline.ids.copy()
    columns |= {("dimension", name): codes.codes.copy() for name, codes in timeline.dimensions.items()}
    columns |= {("measure", name): values.copy() for name, values in timeline.measures.items()}
    if timeline.peer is not None:
        columns["peer", ""] = timeline.peer.codes.copy()
    columns |= {("place", str(n)): row.copy() for n, row in enumerate(() if timeline.place is None else timeline.place)}
    return columns | {("note", name): note.copy() for name, note in timeline.notes.items()}


def _values(timeline: Timeline, kind: str, name: str) -> int:
    codes = timeline.dimensions[name] if kind == "dimension" else timeline.peer
    return 0 if codes is None else len(codes.values)


def _own_runs(timeline: Timeline, columns: _Columns, later: NDArray[np.intp], cut: Cut) -> _Columns:
    if cut.by is not None:
        columns["dimension", cut.by][later] = len(timeline.dimensions[cut.by].values)
    return columns


def _sorted(timeline: Timeline, columns: _Columns) -> Timeline:
    """A timeline of the columns. Stable, and nothing later bears a past time, so the past keeps its order."""
    order = np.lexsort((columns["at", ""], columns["owner", ""]))
    columns = {key: column[order] for key, column in columns.items()}
    events = np.bincount(columns["owner", ""], minlength=len(timeline.entity))
    return replace(
        timeline,
        first=np.concatenate([[0], np.cumsum(events)]),
        at=columns["at", ""],
        dimensions={
            name: _with_unseen(codes, columns["dimension", name]) for name, codes in timeline.dimensions.items()
        },
        measures={name: columns["measure", name] for name in timeline.measures},
        ids=columns.get(("ids", "")),
        row=columns["row", ""],
        notes={name: columns["note", name] for name in timeline.notes},
        place=None if timeline.place is None else np.stack([columns["place", "0"], columns["place", "1"]]),
        peer=None if timeline.peer is None else _with_unseen(timeline.peer, columns["peer", ""]),
    )


def _with_unseen(codes: Codes, column: NDArray[np.int32]) -> Codes:
    return Codes(column, pa.concat_arrays([codes.values, pa.array([_UNSEEN], pa.string())]))
