"""Text as it lies in memory: the hash of each value, and the distinct values of a column that comes in pieces.

A log's text columns come as pieces that each have a dictionary of their own: one for every partition of every day. To
make one column of them, values are known again by hash and bytes, without an object being made of any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from ..errors import SchemaError
from .kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Held = tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint8]]

__all__ = ["Vocabulary", "text_hash"]

_KEY = np.frombuffer(b"0123456789123456", "<u8")
_FIRST, _SECOND = _KEY[0], _KEY[1]
_MIXING = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NULL = "None"  # what a null is hashed as
T = TypeVar("T", bound=np.generic)

_MOST_BYTES = int(np.iinfo(np.int32).max)
_LEAST = 64  # values that a vocabulary has room for from the beginning


def text_hash(values: pa.Array) -> NDArray[np.uint64]:
    """A hash of each text that is the same on every machine: SipHash-2-4 and a mixer, as pandas has it.

    Parameters
    ----------
    values : pyarrow.Array of text

    Returns
    -------
    uint64 array of shape (n,)
        What ``pandas.util.hash_array`` gives for the same values as objects.

    References
    ----------
    Aumasson, Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012.

    Examples
    --------
    >>> from pandas.util import hash_array
    >>> bool((text_hash(pa.array(["ann", "ben"])) == hash_array(np.array(["ann", "ben"], object))).all())
    True
    """
    offsets, data = _in_memory(values)
    found = np.empty(len(values), np.uint64)
    _hash(offsets, data, found)
    return found


class Vocabulary:
    """The distinct values of a text column that comes in pieces, numbered in the order in which they come.

    Values are told apart by their bytes; two of one hash are two.

    Examples
    --------
    >>> seen = Vocabulary()
    >>> seen.learn(pa.array(["bus", "tram"])).tolist(), seen.learn(pa.array(["tram", "ferry"])).tolist()
    ([0, 1], [1, 2])
    >>> seen.find(pa.array(["ferry", "plane"])).tolist(), seen.values.to_pylist()
    ([2, -1], ['bus', 'tram', 'ferry'])
    """

    def __init__(self, values: pa.Array | None = None) -> None:
        self._number = 0
        self._table = np.full(2 * _LEAST, -1, np.int32)
        self._keys, self._ends = np.empty(_LEAST, np.uint64), np.zeros(_LEAST + 1, np.int64)
        self._data = np.empty(16 * _LEAST, np.uint8)
        if values is not None:
            self.learn(values)

    def __len__(self) -> int:
        return self._number

    @property
    def values(self) -> pa.StringArray:
        """The distinct values, text.

        Raises
        ------
        SchemaError
            If they are more than 2 GB, beyond which Arrow's offsets do not reach.
        """
        ends = self._ends[: self._number + 1]
        if ends[-1] > _MOST_BYTES:
            message = (
                f"expected at most {_MOST_BYTES:,} bytes of different values of a text column in one piece, got "
                f"{int(ends[-1]):,}; work in more partitions"
            )
            raise SchemaError(message)
        data = pa.py_buffer(self._data[: ends[-1]].copy())
        return pa.StringArray.from_buffers(self._number, pa.py_buffer(ends.astype(np.int32)), data)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """The hash of each of them, uint64."""
        return self._keys[: self._number].copy()

    def learn(self, values: pa.Array) -> NDArray[np.int32]:
        """The number of each of some values, none of them null, int32 of the same length; new ones are added."""
        offsets, data = _in_memory(values)
        self._grow(len(values), len(data))
        numbers = np.empty(len(values), np.int32)
        self._number = _known(offsets, data, self._held, numbers, self._number, 1)
        return numbers

    def find(self, values: pa.Array) -> NDArray[np.int32]:
        """The number of each of some values, -1 where it is none of these; int32 of the same length."""
        numbers = np.empty(len(values), np.int32)
        _known(*_in_memory(values), self._held, numbers, self._number, 0)
        return numbers

    @property
    def _held(self) -> Held:
        return self._table, self._keys, self._ends, self._data

    def _grow(self, values: int, size: int) -> None:
        """Make room for so many more values of so many bytes in all."""
        if self._number + values > len(self._keys):
            room = max(2 * len(self._keys), self._number + values)
            self._keys, self._ends = _longer(self._keys, room), _longer(self._ends, room + 1)
        if self._ends[self._number] + size > len(self._data):
            self._data = _longer(self._data, max(2 * len(self._data), int(self._ends[self._number]) + size))
        if 2 * (self._number + values) > len(self._table):
            bits = int(2 * len(self._keys) - 1).bit_length()
            self._table = np.full(1 << bits, -1, np.int32)
            _placed(self._table, self._keys, self._number)


def _longer(column: NDArray[T], size: int) -> NDArray[T]:
    longer = np.empty(size, column.dtype)
    longer[: len(column)] = column
    return longer


def _in_memory(values: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each text begins and ends, n + 1 offsets, and their bytes."""
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        values = values.cast(pa.large_string())
    values = values.fill_null(_NULL) if values.null_count else values
    wide = np.int64 if pa.types.is_large_string(values.type) else np.int32
    _, offsets, data = values.buffers()
    if offsets is None or not len(values):
        return np.zeros(len(values) + 1, np.int64), np.empty(0, np.uint8)
    ends = np.frombuffer(offsets, wide)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    content = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return ends - ends[0], content


@kernel
def _round(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """One round of SipHash."""
    a += b
    c += d
    b = ((b << np.uint64(13)) | (b >> np.uint64(51))) ^ a
    d = ((d << np.uint64(16)) | (d >> np.uint64(48))) ^ c
    a = (a << np.uint64(32)) | (a >> np.uint64(32))
    a += d
    c += b
    b = ((b << np.uint64(17)) | (b >> np.uint64(47))) ^ c
    d = ((d << np.uint64(21)) | (d >> np.uint64(43))) ^ a
    c = (c << np.uint64(32)) | (c >> np.uint64(32))
    return a, b, c, d


@kernel
def _hash_one(data: NDArray[np.uint8], begin: int, end: int) -> np.uint64:
    """The hash of the bytes ``data[begin:end]``."""
    a, b = _FIRST ^ np.uint64(0x736F6D6570736575), _SECOND ^ np.uint64(0x646F72616E646F6D)
    c, d = _FIRST ^ np.uint64(0x6C7967656E657261), _SECOND ^ np.uint64(0x7465646279746573)
    last = end - (end - begin) % 8
    for at in range(begin, last, 8):
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        d ^= word
        a, b, c, d = _round(a, b, c, d)
        a, b, c, d = _round(a, b, c, d)
        a ^= word
    word = np.uint64(end - begin) << np.uint64(56)
    for k in range(end - last):
        word |= np.uint64(data[last + k]) << np.uint64(8 * k)
    d ^= word
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    a ^= word
    c ^= np.uint64(0xFF)
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    mixed = a ^ b ^ c ^ d
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIXING[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIXING[1]
    return mixed ^ (mixed >> np.uint64(31))


@kernel
def _hash(offsets: NDArray[np.int64], data: NDArray[np.uint8], found: NDArray[np.uint64]) -> None:
    for i in range(len(found)):
        found[i] = _hash_one(data, offsets[i], offsets[i + 1])


@kernel
def _known(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    held: Held,
    numbers: NDArray[np.int32],
    there: int,
    add: int,
) -> int:
    """Number the values by those that are held, and add those that are not if wanted; how many are held then.

    Open addressing: a value is looked up by its hash, and compared with the values that are there. Cost: a hash and
    about one comparison a value.
    """
    table, keys, ends, own = held
    mask = np.uint64(len(table) - 1)
    for i in range(len(numbers)):
        begin, size = offsets[i], offsets[i + 1] - offsets[i]
        key = _hash_one(data, offsets[i], offsets[i + 1])
        slot, number = key & mask, np.int32(-1)
        while table[slot] >= 0:
            which = table[slot]
            at = ends[which]
            same = keys[which] == key and ends[which + 1] - at == size
            for k in range(size if same else 0):
                same &= own[at + k] == data[begin + k]
            if same:
                number = which
                break
            slot = (slot + np.uint64(1)) & mask
        if number < 0 and add:
            number = np.int32(there)
            table[slot], keys[there] = number, key
            ends[there + 1] = ends[there] + size
            own[ends[there] : ends[there] + size] = data[begin : begin + size]
            there += 1
        numbers[i] = number
    return there


@kernel
def _placed(table: NDArray[np.int32], keys: NDArray[np.uint64], there: int) -> None:
    """Put the numbers of all keys into an empty table."""
    mask = np.uint64(len(table) - 1)
    for number in range(there):
        slot = keys[number] & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = number
