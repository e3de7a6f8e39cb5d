"""The compiled passes over a packed forest: how far rows descend, and which questions sent them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Source = tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.float32]]
    Nodes = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]

__all__ = ["path_credits", "path_lengths"]

BLOCK = 64  # rows that go down a tree together: one bit each in a 64-bit word
FEW = 12  # so few rows at a node are walked one by one; measured flat between 8 and 16
DEEPEST = 128  # levels a tree may have; scikit-learn stops at log2 of its sample
ONE, ALL = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
BIT = ONE << np.arange(BLOCK, dtype=np.uint64)
# 2 generates the integers modulo 67, so the remainder of a single bit tells its place.
PLACES = np.uint64(67)
PLACE = np.zeros(67, np.int64)
PLACE[BIT % PLACES] = np.arange(BLOCK)
PAIRS, QUADS, BYTES = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)


@njit(cache=True, nogil=True, inline="always")
def _count(word: np.uint64) -> np.uint64:  # how many bits are set: sums of neighbours, of pairs, of quads, of bytes
    word = word - ((word >> np.uint64(1)) & PAIRS)
    word = (word & QUADS) + ((word >> np.uint64(2)) & QUADS)
    word = (word + (word >> np.uint64(4))) & BYTES
    word = word + (word >> np.uint64(8))
    word = word + (word >> np.uint64(16))
    return (word + (word >> np.uint64(32))) & np.uint64(127)


@njit(cache=True, nogil=True)
def _see(values: NDArray[np.float32], source: Source, start: int, block: NDArray[np.float32]) -> None:
    """Copy up to 64 rows into the block (n_inputs, 64), nulls as the forest saw them when fitted."""
    column, indicator, fill = source
    rows = min(BLOCK, values.shape[1] - start)
    for k in range(len(column)):
        for r in range(rows):
            value = values[column[k], start + r]
            null = np.isnan(value)
            if indicator[k]:
                block[k, r] = np.float32(1.0) if null else np.float32(0.0)
            else:
                block[k, r] = fill[k] if null else value


@njit(cache=True, nogil=True)
def _goes_left(column: NDArray[np.float32], threshold: np.float32) -> np.uint64:
    word = np.uint64(0)
    for r in range(BLOCK):
        word |= BIT[r] if column[r] <= threshold else np.uint64(0)
    return word


@njit(cache=True, nogil=True)
def _arrive(total: NDArray[np.float64], length: float, word: np.uint64) -> None:
    for r in range(BLOCK):
        total[r] += length if (word & BIT[r]) != 0 else 0.0


@njit(cache=True, nogil=True)
def _together(
    start: tuple[int, np.uint64],
    block: NDArray[np.float32],
    nodes: Nodes,
    total: NDArray[np.float64],
    left_over: NDArray[np.int32],
) -> int:
    """Send the block down from a root while its rows are many; returns how many (row, node) pairs are left to walk."""
    _, feature, threshold, left, length = nodes
    node_stack, word_stack = np.empty(DEEPEST, np.int32), np.empty(DEEPEST, np.uint64)
    node_stack[0], word_stack[0] = start
    top, walkers = 1, 0
    while top > 0:
        top -= 1
        node, word = node_stack[top], word_stack[top]
        if _count(word) <= FEW:
            while word != 0:
                low = word & (~word + ONE)
                left_over[0, walkers], left_over[1, walkers] = PLACE[low % PLACES], node
                walkers += 1
                word ^= low
        elif feature[node] < 0:
            _arrive(total, length[node], word)
        else:
            lefts = _goes_left(block[feature[node]], threshold[node])
            node_stack[top], word_stack[top] = left[node] + 1, word & ~lefts
            top += (word & ~lefts) != 0
            node_stack[top], word_stack[top] = left[node], word & lefts
            top += (word & lefts) != 0
    return walkers


@njit(cache=True, nogil=True)
def _one_by_one(
    walkers: int, block: NDArray[np.float32], nodes: Nodes, total: NDArray[np.float64], left_over: NDArray[np.int32]
) -> None:
    """Walk the remaining (row, node) pairs a level at a time; those that arrive drop out of the list."""
    _, feature, threshold, left, length = nodes
    while walkers > 0:
        kept = 0
        for i in range(walkers):
            row, node = left_over[0, i], left_over[1, i]
            leaf = feature[node] < 0
            total[row] += length[node] if leaf else 0.0
            asked = 0 if leaf else feature[node]
            right = 0 if block[asked, row] <= threshold[node] else 1
            left_over[0, kept], left_over[1, kept] = row, left[node] + right
            kept += 0 if leaf else 1
        walkers = kept


# A tree of an isolation forest is a few long corridors that nearly every row goes down, and many short side rooms. So
# 64 rows descend together as the bits of one word: a node costs one comparison of 64 neighbours in memory (vectorised
# by the compiler) whatever the number of rows in it, and the word splits in two. Once a word holds few rows they are
# set aside and walked in lockstep, without a branch to mispredict. Cost: about the number of *distinct* nodes a block
# visits, not rows times depth. Right because every row arrives in exactly one leaf of each tree, trees are added in
# order, and adding zero changes no bit: a row's sum does not depend on its companions.
@njit(cache=True, nogil=True)
def path_lengths(values: NDArray[np.float32], source: Source, nodes: Nodes, out: NDArray[np.float64]) -> None:
    """Sum of the path lengths over the trees, into ``out``, float64 of shape (n,)."""
    block = np.zeros((len(source[0]), BLOCK), np.float32)
    left_over = np.empty((2, BLOCK), np.int32)
    total = np.empty(BLOCK, np.float64)
    for start in range(0, len(out), BLOCK):
        rows = min(BLOCK, len(out) - start)
        present = ALL >> np.uint64(BLOCK - rows)
        _see(values, source, start, block)
        total[:] = 0.0
        for tree in range(len(nodes[0]) - 1):
            walkers = _together((nodes[0][tree], present), block, nodes, total, left_over)
            _one_by_one(walkers, block, nodes, total, left_over)
        out[start : start + rows] = total[:rows]


# Every step from a node to its child changes the expected path length by a known amount; that amount belongs to the
# feature asked about. The steps telescope, so a row's credits sum to its path length less the root's expectation. Cost:
# one plain walk per row and tree; only rows that need an explanation pay it.
@njit(cache=True, nogil=True)
def path_credits(values: NDArray[np.float32], source: Source, nodes: Nodes, out: NDArray[np.float64]) -> None:
    """Add the changes of expected path length along every path to ``out``, float64 of shape (n, n_features)."""
    root, feature, threshold, left, expected = nodes
    block = np.zeros((len(source[0]), BLOCK), np.float32)
    for start in range(0, len(out), BLOCK):
        _see(values, source, start, block)
        for row in range(min(BLOCK, len(out) - start)):
            for tree in range(len(root) - 1):
                node = root[tree]
                while feature[node] >= 0:
                    asked = feature[node]
                    child = left[node] + (0 if block[asked, row] <= threshold[node] else 1)
                    out[start + row, source[0][asked]] += expected[child] - expected[node]
                    node = child
