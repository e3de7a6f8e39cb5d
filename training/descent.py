"""The compiled passes over a packed forest: how far rows descend, and which rows are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..features.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Source = tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.float32]]
    Questions = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint16]]
    Walking = tuple[NDArray[np.int32], NDArray[np.int32]]
    Stops = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.void], NDArray[np.float64]]

__all__ = ["distinct_rows", "path_lengths", "see"]

# Rows that go down a tree together. More of them share the cost of turning to the next question, and of fetching the
# quiet questions of a large forest, which it waits for. Measured, 300 trees over 265 inputs, microseconds a row:
# 5.7 with 1,024 rows, 5.0 with 2,048, 4.35 with 4,096, 5.3 with 8,192; small forests do not mind.
BLOCK = 4096
PRIME = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio, made odd: spreads neighbours far apart


@kernel
def see(values: NDArray[np.float32], source: Source, start: int, stop: int, block: NDArray[np.float32]) -> int:
    """Copy as many rows as fit into the block (n_inputs, lanes), nulls as the forest saw them; how many they are."""
    column, indicator, fill = source
    rows = min(block.shape[1], stop - start)
    for k in range(len(column)):
        raw, seen, instead = values[column[k], start : start + rows], block[k], fill[k]
        if indicator[k]:
            for r in range(rows):
                seen[r] = np.float32(1.0) if np.isnan(raw[r]) else np.float32(0.0)
        else:
            for r in range(rows):
                seen[r] = instead if np.isnan(raw[r]) else raw[r]
    return rows


@kernel
def _ask(
    place: NDArray[np.uint16], column: NDArray[np.float32], cut: np.float32, first: np.uint16, split: np.uint16
) -> None:
    """Send the rows that stand before this question, and answer "greater", to the right."""
    for r in range(len(place)):
        place[r] = split if (place[r] == first) & (column[r] > cut) else place[r]


# The rows that stopped before a quiet question walk on, all of them one step a round, so that the waiting for memory of
# one is filled with the steps of others. Those that arrive drop out of the list without a branch to mispredict. Indices
# are made unsigned because Python's negative ones cost a test each: a third of the walk.
@kernel
def _walk(
    walkers: int, walking: Walking, leaf: NDArray[np.int32], block: NDArray[np.float32], quiet: NDArray[np.void]
) -> None:
    """Walk ``row[:walkers]`` from the questions that they stand before to their leaves, noted in ``leaf``."""
    row, before = walking
    while walkers > 0:
        kept = 0
        for i in range(walkers):
            who, node = row[i], quiet[np.uint64(before[i])]
            right = block[np.uint64(node["asked"] * BLOCK + who)] > node["cut"]
            child = node["right"] if right else node["left"]
            leaf[np.uint64(who)] = child
            row[kept], before[kept] = who, child
            kept += child >= 0
        walkers = kept


@kernel
def _arrive(place: NDArray[np.uint16], beyond: NDArray[np.int32], walking: Walking, leaf: NDArray[np.int32]) -> int:
    """Note what stands at the rows' stops in ``leaf``, and list the rows that have to walk on; how many they are."""
    row, before = walking
    walkers = 0
    for r in range(len(place)):
        node = beyond[np.uint64(place[r])]
        leaf[r] = node
        row[walkers], before[walkers] = r, node
        walkers += node >= 0
    return walkers


# Every crowded question of a tree is put to every row of the block. A row's place is the first of the stops that it may
# still reach; a question concerns the rows whose place is the first stop beneath it, and these alone: parents are asked
# before children, and the ranges of stops that rows stand before never overlap. So one pass over neighbours in memory,
# vectorised by the compiler, does what a thousand unpredictable branches would. The quiet rest is walked. Cost a row
# and tree: the number of crowded questions (some 80) times a thirtieth of a nanosecond, and the one or two quiet
# questions that it meets. Right because a row ends in the same leaf of each tree as by walking from the root, and the
# lengths are added in the order of the trees: its sum does not depend on its companions.
@kernel
def path_lengths(  # noqa: PLR0913, PLR0917 - numba takes arrays, by position
    values: NDArray[np.float32],
    begin: int,
    source: Source,
    questions: Questions,
    stops: Stops,
    out: NDArray[np.float64],
) -> None:
    """Add the path lengths of the rows from ``begin`` on in all trees to ``out``, float64 of shape (rows,)."""
    (question, asked, cut, first, split), (stop, beyond, quiet, length) = questions, stops
    block = np.zeros((len(source[0]), BLOCK), np.float32)
    places, leaf = np.zeros(BLOCK, np.uint16), np.empty(BLOCK, np.int32)
    walking = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32)
    for start in range(0, len(out), BLOCK):
        rows = see(values, source, begin + start, begin + len(out), block)
        place = places[:rows]
        for tree in range(len(question) - 1):
            place[:] = 0
            for q in range(question[tree], question[tree + 1]):
                _ask(place, block[asked[q], :rows], cut[q], first[q], split[q])
            walkers = _arrive(place, beyond[stop[tree] : stop[tree + 1]], walking, leaf)
            _walk(walkers, walking, leaf, block.reshape(-1), quiet)
            for r in range(rows):
                out[start + r] += length[np.uint64(-1 - leaf[r])]


# Open addressing: a row is looked up by a hash of its bits and compared with the row that is there. Cost: one
# multiplication a value, and about one look into a table twice as long as the rows.
@kernel
def distinct_rows(bits: NDArray[np.uint32], first: NDArray[np.int32], place: NDArray[np.int32]) -> int:
    """Number the distinct rows of ``bits`` (n_columns, n) in order of appearance; return how many there are.

    ``first[k]`` becomes where the k-th of them appeared first, and ``place[r]`` which of them row r is; both (n,).
    """
    columns, rows = bits.shape
    size = 2
    while size < 2 * rows:
        size *= 2
    table, mixed, found = np.full(size, -1, np.int32), np.zeros(rows, np.uint64), 0
    for k in range(columns):
        mixed = (mixed ^ bits[k]) * PRIME
        mixed ^= mixed >> np.uint64(32)
    for r in range(rows):
        slot = np.int64(mixed[r] & np.uint64(size - 1))
        while table[slot] >= 0 and not _same(bits, first[table[slot]], r):
            slot = (slot + 1) & (size - 1)
        if table[slot] < 0:
            table[slot], first[found] = found, r
            found += 1
        place[r] = table[slot]
    return found


@kernel
def _same(bits: NDArray[np.uint32], one: int, other: int) -> bool:
    equal = True
    for k in range(len(bits)):
        equal &= bits[k, one] == bits[k, other]
    return equal
