"""A table of labels as it came, read column by column: names are recognised, types and times checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import LabelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .labels import Locate

__all__ = ["ENTITY", "EVENT", "INSTANT", "LabelSource"]

ENTITY = ("entity", "user_id", "entity_id", "user", "customer_id", "account_id", "card_id")
EVENT = ("event_id", "id", "transaction_id")
INSTANT = ("at", "ts", "timestamp", "time")
VALUE = ("label", "is_fraud", "value", "is_anomaly", "target", "y", "verdict")
_YES, _NO, _NOTHING = ("1", "1.0", "true", "confirmed"), ("0", "0.0", "false", "cleared"), ("", "unknown")


@dataclass(frozen=True, eq=False)
class LabelSource:
    """One source of labels on its way to the normal form."""

    table: pa.Table
    name: str
    zone: str

    def find(self, *names: str) -> str | None:
        """The column that has one of these names, whatever their case; None if none has."""
        lower = {column.lower(): column for column in self.table.column_names}
        return next((lower[name] for name in names if name in lower), None)

    def by_event(self, locate: Locate | None) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
        """Who, from and to of labels about events."""
        column = self.find(*EVENT)
        if column is None:
            message = (
                f"{self.name}: expected a column event_id, or entity with from and to (or at); "
                f"got {', '.join(self.table.column_names)}; rename the columns"
            )
            raise LabelError(message)
        if locate is None:
            message = (
                f"{self.name}: labels by {column} need the events they are about; give the event log, with its id role"
            )
            raise LabelError(message)
        who, at = locate(_flat(self.table[column]))
        return who.cast(pa.string()), at, at + 1

    def by_entity(self, locate: Locate | None) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
        """Who, from and to of labels about entities over time; a row without a time may name an event instead."""
        who = self.text(str(self.find(*ENTITY)))
        begin = str(self.find("from") or self.find(*INSTANT))
        named = self.named_events(begin) if locate is not None else np.zeros(len(who), np.bool_)
        start = self.times(begin, but=named)
        if self.find("from") is None:
            stop = start + 1
        elif self.find("to") is None:
            message = f"{self.name}: there is a column from and none called to; give both, or an instant as at"
            raise LabelError(message)
        else:
            stop = self.times("to", but=named)
        if locate is None or not named.any():
            return who, start, stop
        found, at = locate(_flat(self.table[str(self.find(*EVENT))]))
        who = pc.if_else(pa.array(named), found.cast(pa.string()), who)
        return who, np.where(named, at, start), np.where(named, at + 1, stop)

    def named_events(self, begin: str) -> NDArray[np.bool_]:
        """Rows that give no time but an event."""
        event = self.find(*EVENT)
        if event is None:
            return np.zeros(len(self.table), np.bool_)
        only = pc.and_(pc.is_null(self.table[begin]), pc.is_valid(self.table[event]))
        return np.asarray(only.to_numpy(), np.bool_)

    def times(self, name: str, but: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """A column of instants, microseconds since 1970 UTC; each has to be there, except in the rows of ``but``."""
        from ..features.columns import times

        column = self.table[str(self.find(name))]
        if pa.types.is_integer(column.type):
            at, bad = column.cast(pa.int64()).fill_null(0).to_numpy(), column.is_null().to_numpy()
        else:
            read = times(column, self.zone)
            at, bad = read.at, read.null | read.unreadable | read.zoneless
        wrong = np.flatnonzero(bad if but is None else bad & ~but)
        if len(wrong):
            came = column[int(wrong[0])].as_py()
            message = f"{self.name}: {name} of row {wrong[0]} is {came!r}; expected a time such as 2025-03-01T08:00:00Z"
            raise LabelError(message)
        return at

    def text(self, name: str) -> pa.Array:
        """A column as text; nulls if there is none."""
        column = self.find(name)
        return pa.nulls(len(self.table), pa.string()) if column is None else _flat(self.table[column]).cast(pa.string())

    def values(self) -> pa.Array:
        """Confirmed, cleared, or null where nothing is said."""
        column = self.find(*VALUE)
        if column is None:
            return pa.array(np.ones(len(self.table), np.bool_))
        words = pc.utf8_lower(pc.utf8_trim_whitespace(_flat(self.table[column]).cast(pa.string())))
        words = pc.if_else(pc.is_in(words, value_set=pa.array(_NOTHING)), None, words)
        yes, no = (pc.is_in(words, value_set=pa.array(set_)) for set_ in (_YES, _NO))
        odd = pc.and_(pc.is_valid(words), pc.invert(pc.or_(yes, no))).to_numpy(zero_copy_only=False)
        if odd.any():
            row = int(odd.argmax())
            message = (
                f"{self.name}: {column} of row {row} is {words[row].as_py()!r}; expected 0, 1, true, false, confirmed, "
                "cleared, unknown or nothing"
            )
            raise LabelError(message)
        return pc.if_else(pc.is_valid(words), yes, None)

    def chance(self) -> pa.Array:
        """How likely it was that anybody looked, in (0, 1]; 1 where nothing is said."""
        from ..features.columns import numbers

        name = self.find("chance")
        if name is None:
            return pa.array(np.ones(len(self.table)))
        column = pa.chunked_array([_flat(self.table[name])])
        value, unreadable = numbers(column)
        given = ~np.isnan(value)
        wrong = np.flatnonzero(unreadable | (given & ~((value > 0.0) & (value <= 1.0))))
        if len(wrong):
            row = int(wrong[0])
            message = (
                f"{self.name}: {name} of row {row} is {column[row].as_py()!r}; expected a number over 0 and up to 1"
            )
            raise LabelError(message)
        return pa.array(np.where(given, value, 1.0))

    def check(self, start: NDArray[np.int64], stop: NDArray[np.int64], usable: NDArray[np.bool_]) -> None:
        """Refuse stretches of time without length."""
        wrong = np.flatnonzero(usable & (stop <= start))
        if len(wrong):
            message = f"{self.name}: row {wrong[0]} ends no later than it begins; expected from < to (half-open)"
            raise LabelError(message)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    return flat.dictionary_decode() if pa.types.is_dictionary(flat.type) else flat
