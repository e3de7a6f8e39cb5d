"""Columns as arrays of machine numbers: text as dense codes, times as microseconds, amounts as floats."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .texts import text_hash

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = [
    "Codes",
    "Ids",
    "Times",
    "day_at",
    "encode",
    "encode_ids",
    "from_wall",
    "numbers",
    "stable_hash",
    "times",
    "to_wall",
]

MICROSECONDS = pa.timestamp("us")
AWARE = pa.timestamp("us", tz="UTC")
_LARGEST = 1e30  # a window's sum of larger ones could leave the range of float32
_DAY, _EPOCH = 86_400_000_000, date(1970, 1, 1)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_NO_CODE = -2  # -1 is null
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_ZONELESS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")


@dataclass(frozen=True, eq=False)
class Codes:
    """A categorical column.

    Attributes
    ----------
    codes : int32 array of shape (n,)
        The position of each row's value in ``values``; -1 is null.
    values : pyarrow.StringArray
        The distinct values. Their order depends on the order of rows, so no feature may.
    """

    codes: NDArray[np.int32]
    values: pa.StringArray
    _hashed: dict[str, NDArray[np.uint64]] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """A hash of each value that is the same on every machine and in every order, uint64 of shape (n_values,)."""
        if "keys" not in self._hashed:
            self._hashed["keys"] = stable_hash(self.values)
        return self._hashed["keys"]

    def code_of(self, value: str) -> int:
        """The code of a value; one that no row has if it is none of the values.

        Examples
        --------
        >>> pays = Codes(np.array([0], np.int32), pa.array(["pay"]))
        >>> pays.code_of("pay"), pays.code_of("view")
        (0, -2)
        """
        place = int(pc.index(self.values, value).as_py())
        return place if place >= 0 else _NO_CODE

    def hashes(self, rows: NDArray[np.intp] | slice) -> NDArray[np.uint64]:
        """The hash of the value of each of the given rows; null has its own."""
        return self._keys_and_null[self.codes[rows]]

    @cached_property
    def _keys_and_null(self) -> NDArray[np.uint64]:
        return np.append(self.keys, _ODD)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Codes:
        """The given rows, in the given order: positions, or a mask; the values are hashed once for all of these."""
        return Codes(self.codes[rows], self.values, self._hashed)


@dataclass(frozen=True, eq=False)
class Ids:
    """The keys of events.

    Attributes
    ----------
    keys : uint64 array of shape (n,)
        Equal for equal ids.
    null : bool array of shape (n,), or None if every event has an id
    distinct : bool
        Whether it is known that no id comes twice.
    """

    keys: NDArray[np.uint64]
    null: NDArray[np.bool_] | None = None
    distinct: bool = False

    def null_at(self, rows: NDArray[np.intp] | NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which of the given rows have no id."""
        return np.zeros(len(rows), np.bool_) if self.null is None else self.null[rows]

    @cached_property
    def unique(self) -> bool:
        """True if no id comes twice, as where they only ever rise, a log's own numbering; else nothing is known yet."""
        return self.distinct or (self.null is None and bool((self.keys[1:] > self.keys[:-1]).all()))


@dataclass(frozen=True, eq=False)
class Times:
    """A column of instants.

    Attributes
    ----------
    at : int64 array of shape (n,)
        Microseconds since 1970 UTC; 0 where there is no usable time.
    null, unreadable, zoneless : bool arrays of shape (n,)
        No time given; text that is no time; a time without a zone among times with one.
    assumed : bool
        True if no time carries a zone, so that the log's zone was taken.
    text : bool
        True if the times were read from text, of which each may carry a zone or not.
    """

    at: NDArray[np.int64]
    null: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    zoneless: NDArray[np.bool_]
    assumed: bool
    text: bool = False


def stable_hash(values: pa.Array) -> NDArray[np.uint64]:
    """Hash text or whole numbers to uint64, equal on every machine (SipHash for text, a bit mixer for numbers)."""
    if pa.types.is_integer(values.type):
        from pandas.util import hash_array

        return hash_array(values.to_numpy(zero_copy_only=False))
    return text_hash(values)


def encode(column: pa.ChunkedArray) -> Codes:
    """Turn a column of text, whole numbers or booleans into codes; dictionary pages are taken as they are.

    Examples
    --------
    >>> import pyarrow as pa
    >>> encode(pa.chunked_array([["bus 7", None, "bus 7"]])).codes
    array([ 0, -1,  0], dtype=int32)
    """
    given = pa.types.is_dictionary(column.type)
    if not given:
        column = pc.dictionary_encode(_hashable(column))
    if column.num_chunks == 0:
        return Codes(np.empty(0, np.int32), pa.array([], pa.string()))
    own = len(column.chunk(0).dictionary)
    column = column.unify_dictionaries()
    values = column.chunk(0).dictionary.cast(pa.string())
    pieces = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    codes = np.concatenate(pieces).astype(np.int32, copy=False)
    suspect = given and len(values) == own  # one that was just merged from several repeats nothing
    if values.null_count or (suspect and pc.count_distinct(values).as_py() < len(values)):  # Arrow allows both
        return encode(column.cast(column.type.value_type).cast(pa.string()))
    return Codes(codes, values)


def numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Turn a column into float64 with NaN for null, and say which rows hold something that is no finite number."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        return _read_numbers(column)
    values = column.cast(pa.float64()).to_numpy()
    return values, np.abs(values) > _LARGEST


def times(column: pa.ChunkedArray, zone: str, *, mixed: bool = False) -> Times:
    """Turn timestamps, dates or text into microseconds since 1970 UTC; what has no zone is read in ``zone``.

    ``mixed`` says that text elsewhere in the log carries a zone, so that none without one may be read.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        aware = pa.types.is_timestamp(column.type) and column.type.tz is not None
        return _from_timestamps(column, zone, aware=aware)
    return _from_text(column, zone, mixed=mixed)


def from_wall(wall: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """The instants at which clocks in ``zone`` show the given wall times (the first, where it comes twice)."""
    if zone == "UTC":
        return wall
    stamps = pa.array(wall).cast(MICROSECONDS)
    aware = pc.assume_timezone(stamps, zone, ambiguous="earliest", nonexistent="latest")
    return aware.cast(pa.int64()).to_numpy()


def to_wall(at: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """What clocks in ``zone`` show at the given instants, in microseconds since 1970 of that clock."""
    if zone == "UTC":
        return at
    stamps = pa.array(at).cast(pa.timestamp("us", tz=str(ZoneInfo(zone))))
    return pc.local_timestamp(stamps).cast(pa.int64()).to_numpy()


def day_at(instant: int, zone: str) -> date:
    """The day that clocks in ``zone`` show at an instant, microseconds since 1970 UTC.

    Examples
    --------
    >>> day_at(1_740_870_000_000_000, "Europe/Berlin").isoformat()
    '2025-03-02'
    """
    return _EPOCH + timedelta(days=int(to_wall(np.array([instant]), zone)[0]) // _DAY)


def _hashable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string_view(column.type) or pa.types.is_boolean(column.type):
        return column.cast(pa.string())
    return column


def _from_timestamps(column: pa.ChunkedArray, zone: str, *, aware: bool) -> Times:
    none = np.zeros(len(column), np.bool_)
    null = column.is_null().to_numpy() if column.null_count else none
    stamps = column.cast(AWARE if aware else MICROSECONDS, safe=False).cast(pa.int64())
    at = (stamps.fill_null(0) if column.null_count else stamps).to_numpy()
    return Times(at if aware else from_wall(at, zone), null, none, none, assumed=not aware)


def _from_text(column: pa.ChunkedArray, zone: str, *, mixed: bool) -> Times:
    """Read ISO 8601 only: which of 3/4/2025 is the month, no reader of a file can know."""
    import polars as pl

    text = pl.Series("at", column.cast(pa.large_string())).str.strip_chars().str.replace(" ", "T")
    given = (text.is_not_null() & (text != "")).fill_null(value=False).to_numpy()
    has_zone = text.str.contains(r"T.*([zZ]|[+-]\d{2}(:?\d{2})?)$").fill_null(value=False).to_numpy()
    with_zone, naive = _parse(text, _ZONED), _parse(text, _ZONELESS)
    readable = np.where(has_zone, with_zone.is_not_null().to_numpy(), naive.is_not_null().to_numpy())
    at = np.where(has_zone, _micros(with_zone), from_wall(_micros(naive), zone))
    mixed = mixed or bool(has_zone.any())
    return Times(at, ~given, given & ~readable, readable & ~has_zone & mixed, assumed=not mixed, text=True)


def _parse(text: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    import polars as pl

    tries = [pl.col("at").str.to_datetime(form, time_unit="us", strict=False) for form in formats]
    zones = [attempt.dt.replace_time_zone(None) for attempt in tries]
    return text.to_frame().select(pl.coalesce(zones)).to_series()


def _micros(stamps: pl.Series) -> NDArray[np.int64]:
    return stamps.to_physical().fill_null(0).to_numpy()


def _read_numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    import polars as pl

    text = pl.Series("measure", column.cast(pa.large_string())).str.strip_chars()
    read = text.cast(pl.Float64, strict=False)
    given = (text.is_not_null() & (text != "")).to_numpy()
    values = read.fill_null(float("nan")).to_numpy()
    return values, given & ~(np.abs(values) <= _LARGEST)


def encode_ids(column: pa.ChunkedArray) -> Ids:
    """A 64-bit key of each event's id: whole numbers as they are, text by its hash."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    null = column.is_null().to_numpy() if column.null_count else None
    if pa.types.is_integer(column.type):
        filled = column.fill_null(0) if column.null_count else column
        return Ids(filled.cast(pa.int64(), safe=False).to_numpy().view(np.uint64), null)
    text = column.cast(pa.large_string()).fill_null("")
    keys = np.concatenate([stable_hash(chunk) for chunk in text.chunks] or [np.empty(0, np.uint64)])
    return Ids(keys, null)
