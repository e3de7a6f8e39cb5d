"""From a partition's rows on disk back to a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import columns as col
from .door import FUTURE, ZONELESS, by_hash
from .segments import AT, BARE, ENTITY, ID, PEER, PLACE, ROW
from .timeline import Arrivals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .roles import Roles
    from .whole import Whole

__all__ = ["CLASH", "admitted", "arrivals_of", "no_rows", "only_of"]

CLASH = "id used again by a different event"


def no_rows(roles: Roles) -> pa.Table:
    """A partition without an event, with the columns that one has."""
    text = pa.dictionary(pa.int32(), pa.string())
    columns = {ENTITY: text, **{f"d:{name}": text for name in roles.dimensions}}
    columns |= {} if roles.peer_by is None else {PEER: text}
    columns |= {AT: pa.int64(), **{f"m:{name}": pa.float64() for name in roles.measures}}
    columns |= {} if roles.place is None else dict.fromkeys(PLACE, pa.float64())
    columns |= {ROW: pa.int64()} | ({} if roles.id is None else {ID: pa.string()})
    return pa.schema(columns).empty_table()


def arrivals_of(table: pa.Table, roles: Roles) -> Arrivals:
    """Stored rows as arrays; the entities in the order of their hashes."""
    codes = {name: col.encode(table[name]) for name in table.column_names if name[:2] == "d:" or name == PEER}
    place = None if roles.place is None else np.stack([table[name].to_numpy() for name in PLACE])
    return Arrivals(
        by_hash(col.encode(table[ENTITY])),
        table[AT].to_numpy(),
        None if roles.id is None else col.encode_ids(table[ID]),
        {name: codes[f"d:{name}"] for name in roles.dimensions},
        {name: table[f"m:{name}"].to_numpy() for name in roles.measures},
        roles.time_zone,
        place,
        codes.get(PEER),
    )


def admitted(
    table: pa.Table, whole: Whole, spurned: NDArray[np.int64] | None
) -> tuple[NDArray[np.bool_] | None, dict[str, NDArray[np.intp]]]:
    """What only the whole log can tell of stored rows.

    Parameters
    ----------
    table : pyarrow.Table, n rows
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
    out, limit, dropped = np.zeros(len(table), np.bool_), whole.limit, {}
    bare = table[BARE].fill_null(False).to_numpy() if whole.mixed and BARE in table.column_names else None
    reasons = {
        ZONELESS: bare,
        FUTURE: None if limit is None else table[AT].to_numpy() >= limit,
        CLASH: None if spurned is None else np.isin(table[ROW].to_numpy(), spurned),
    }
    for reason, mask in reasons.items():
        if mask is not None and mask.any():
            dropped[reason] = np.flatnonzero(mask & ~out)
            out |= mask
    return (~out if out.any() else None), dropped


def only_of(table: pa.Table, entities: pa.Array | None) -> pa.Table:
    """The rows of some entities; names are looked up in the dictionary, of which a partition's day has few."""
    if entities is None:
        return table
    column = table[ENTITY].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    there = pc.is_in(column.dictionary, value_set=entities)
    return table.filter(there.take(column.indices))
