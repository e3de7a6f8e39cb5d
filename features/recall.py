"""From segments on disk back to columns, and to a timeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from . import columns as col
from .columns import Codes
from .door import FUTURE, ZONELESS, by_hash
from .kernels import kernel, picked
from .segments import AT, BARE, ENTITY, ID, PEER, PLACE, ROW
from .texts import Vocabulary
from .timeline import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from .roles import Roles
    from .segments import Segments
    from .whole import Whole

__all__ = ["CLASH", "Rows", "admitted", "arrivals_of", "rows_of", "stored_columns"]

CLASH = "id used again by a different event"
_ALL = np.empty(0, np.uint32)


@dataclass(frozen=True, eq=False)
class Rows:
    """Stored rows, n of them, in the order of (day, partition, arrival).

    Attributes
    ----------
    codes : mapping of str to Codes
        The entity and all text columns.
    plain : mapping of str to array of shape (n,)
        Times, measures, rows in all that came, whether a time came without a zone.
    ids : pyarrow.ChunkedArray or None
        The log's own, if it has any and they were asked for.
    """

    codes: Mapping[str, Codes]
    plain: Mapping[str, NDArray[Any]]
    ids: pa.ChunkedArray | None

    def __len__(self) -> int:
        return len(next(iter((*self.plain.values(), *(text.codes for text in self.codes.values())))))

    @property
    def row(self) -> NDArray[np.int64]:
        """Which row of all that came each is."""
        return self.plain[ROW]


def stored_columns(roles: Roles) -> dict[str, pa.DataType]:
    """The columns that every segment has, and their types."""
    text = pa.dictionary(pa.int32(), pa.string())
    columns: dict[str, pa.DataType] = {ENTITY: text, **{f"d:{name}": text for name in roles.dimensions}}
    columns |= {} if roles.peer_by is None else {PEER: text}
    columns |= {AT: pa.int64(), **{f"m:{name}": pa.float64() for name in roles.measures}}
    columns |= {} if roles.place is None else dict.fromkeys(PLACE, pa.float64())
    return columns | {ROW: pa.int64()} | ({} if roles.id is None else {ID: pa.string()})


def rows_of(
    segments: Iterable[tuple[Segments, int]],
    columns: Mapping[str, pa.DataType],
    entities: pa.Array | None = None,
) -> Rows:
    """Put segments together.

    Parameters
    ----------
    segments : iterable of (Segments, int)
        Each file's with what is added to its rows to make them rows of all that came.
    columns : mapping of str to pyarrow.DataType
        What to look for, see :func:`stored_columns`; whether a time came without a zone is looked for anyway.
    entities : pyarrow.Array of text, optional
        Only of these.
    """
    held = list(segments)  # column by column, so that the values of one stay in a core's cache
    texts = {name: Vocabulary() for name, kind in columns.items() if pa.types.is_dictionary(kind)}
    numbers = {name: np.dtype(columns[name].to_pandas_dtype()) for name in columns if name not in {*texts, ID}}
    if entities is not None:
        texts[ENTITY] = Vocabulary(entities)
    pieces, total = _pieces(held, None if entities is None else texts[ENTITY])
    codes, plain, ids = {}, {}, []
    for name, seen in texts.items():
        column = np.empty(total, np.int32)
        for there, _, rows, here in pieces:
            text = there.texts[name]
            look_up = seen.find if name == ENTITY and entities is not None else seen.learn
            _rename(column[here], text.codes, (there.first, text.first), look_up(text.values), rows)
        codes[name] = Codes(column, seen.values, {"keys": seen.keys})
    for name, kind in numbers.items():
        plain[name] = np.empty(total, kind)
        for there, first, rows, here in pieces:
            values = there.plain[name].to_numpy()
            plain[name][here] = values if rows is _ALL else picked(values, rows)
            if name == ROW:
                plain[name][here] += first
    plain[BARE] = np.zeros(total, np.bool_)
    for there, _, rows, here in pieces:
        if BARE in there.plain:
            values = there.plain[BARE].to_numpy()
            plain[BARE][here] = values if rows is _ALL else values[rows]
        if ID in columns:
            ids.append(there.plain[ID] if rows is _ALL else there.plain[ID].take(pa.array(rows)))
    return Rows(codes, plain, _ids(ids) if ID in columns else None)


def arrivals_of(rows: Rows, roles: Roles, *, distinct: bool = False) -> Arrivals:
    """Stored rows as arrays; the entities in the order of their hashes.

    Parameters
    ----------
    rows : Rows
    roles : Roles
    distinct : bool
        Whether it is known that no id comes twice.
    """
    ids = None if rows.ids is None else col.encode_ids(rows.ids)
    return Arrivals(
        by_hash(rows.codes[ENTITY]),
        rows.plain[AT],
        None if ids is None else replace(ids, distinct=distinct),
        {name: rows.codes[f"d:{name}"] for name in roles.dimensions},
        {name: rows.plain[f"m:{name}"] for name in roles.measures},
        roles.time_zone,
        None if roles.place is None else np.stack([rows.plain[name] for name in PLACE]),
        rows.codes.get(PEER),
    )


def admitted(
    rows: Rows, whole: Whole, spurned: NDArray[np.int64] | None
) -> tuple[NDArray[np.bool_] | None, dict[str, NDArray[np.intp]]]:
    """What only the whole log can tell of stored rows.

    Parameters
    ----------
    rows : Rows, n of them
    whole : Whole
    spurned : int64 array, or None
        Rows of the source whose ids are other events'.

    Returns
    -------
    kept : bool array of shape (n,), or None
        None if all may come in.
    dropped : dict of str to int array
        Positions of those that may not, by reason.
    """
    out, limit, dropped = np.zeros(len(rows), np.bool_), whole.limit, {}
    reasons = {
        ZONELESS: rows.plain[BARE] if whole.mixed else None,
        FUTURE: None if limit is None else rows.plain[AT] >= limit,
        CLASH: None if spurned is None or not len(spurned) else np.isin(rows.row, spurned),
    }
    for reason, mask in reasons.items():
        if mask is not None and mask.any():
            dropped[reason] = np.flatnonzero(mask & ~out)
            out |= mask
    return (~out if out.any() else None), dropped


def _pieces(
    held: Sequence[tuple[Segments, int]], wanted: Vocabulary | None
) -> tuple[list[tuple[Segments, int, NDArray[np.uint32], slice]], int]:
    """Each file's segments with what is added to their rows, which come, and where to; and how many come in all."""
    pieces, total = [], 0
    for there, first in held:
        rows, size = _ALL, len(there)
        if wanted is not None:
            who = there.texts[ENTITY]
            rows = _chosen(who.codes, (there.first, who.first), wanted.find(who.values) >= 0)
            size = len(rows)
        pieces.append((there, first, rows, slice(total, total + size)))
        total += size
    return pieces, total


# Of both kernels the second argument's pair is where each segment's events and its values begin.
@kernel
def _chosen(
    codes: NDArray[np.int32], first: tuple[NDArray[np.int32], NDArray[np.int32]], wanted: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    """The rows whose value, which all have, is wanted."""
    events, values = first
    rows, n = np.empty(len(codes), np.uint32), 0
    for s in range(len(events) - 1):
        for i in range(events[s], events[s + 1]):
            rows[n] = i
            n += wanted[values[s] + codes[i]]
    return rows[:n].copy()


@kernel
def _rename(
    renamed: NDArray[np.int32],
    codes: NDArray[np.int32],
    first: tuple[NDArray[np.int32], NDArray[np.int32]],
    numbers: NDArray[np.int32],
    rows: NDArray[np.uint32],
) -> None:
    """Fill in the number of the value of each row, or of the given ones, which rise; -1 where it has none."""
    events, values = first
    every, s = len(rows) == 0, 0
    for i in range(len(renamed)):
        row = np.int64(i) if every else np.int64(rows[i])
        while row >= events[s + 1]:
            s += 1
        renamed[i] = numbers[values[s] + codes[row]] if codes[row] >= 0 else -1


def _ids(pieces: Sequence[pa.Array]) -> pa.ChunkedArray:
    """In one column; a piece in which nobody has an id may be of no type."""
    tables = [pa.table({ID: piece}) for piece in pieces]
    return pa.concat_tables(tables, promote_options="default")[ID] if tables else pa.chunked_array([], pa.string())
