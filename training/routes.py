"""A forest's nodes laid out for the compiled pass: the questions that crowds are asked, and the quiet rest.

Random cuts seldom fall in the middle, so a tree is a few long corridors that nearly every row goes down, and a great
many side rooms that few enter. The *crowded* questions, those that at least one in 64 of the tree's own rows reached,
are put to every row, needed or not, because asking a thousand neighbours in memory costs little more than asking one.
What is reached from there, a leaf or a *quiet* question, is a *stop*; the stops of a tree are numbered from left to
right, so that the stops beneath a node are a range, and a row's place in the tree is the first stop of its range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .forest import Forest

__all__ = ["QUIET", "Routes", "routes_of"]

CROWD = 1 / 64  # of a tree's rows; measured flat between 1/100 and 1/50

# A quiet question fits in a quarter of a cache line. Children are questions, or leaves as -1 - number.
QUIET = np.dtype([("cut", np.float32), ("asked", np.int32), ("left", np.int32), ("right", np.int32)])


@dataclass(frozen=True, eq=False)
class Routes:
    """The crowded questions in the order they are put, the stops they lead to, and the quiet questions.

    Attributes
    ----------
    question : int32 array of shape (trees + 1,)
        The first crowded question of each tree, and the end of the last.
    asked : int32 array of shape (crowded,)
        The input that the question is about.
    cut : float32 array of shape (crowded,)
        Rows with input > cut go right.
    first, split : uint16 arrays of shape (crowded,)
        The first stop beneath the question, and the first on its right side.
    stop : int32 array of shape (trees + 1,)
        Where the stops of each tree begin, and the end of the last.
    beyond : int32 array of shape (stops,)
        What stands at each stop: a quiet question, or -1 - the number of a leaf.
    quiet : array of QUIET, shape (inner,)
    length : float64 array of shape (leaves,)
        The path length that ends in each leaf, in levels.
    """

    question: NDArray[np.int32]
    asked: NDArray[np.int32]
    cut: NDArray[np.float32]
    first: NDArray[np.uint16]
    split: NDArray[np.uint16]
    stop: NDArray[np.int32]
    beyond: NDArray[np.int32]
    quiet: NDArray[np.void]
    length: NDArray[np.float64]


def routes_of(forest: Forest) -> Routes:
    """Lay out a forest; a few array operations a level, for all trees at once."""
    inner, left = forest.feature >= 0, forest.left
    code = np.where(inner, np.cumsum(inner, dtype=np.int32) - 1, -np.cumsum(~inner, dtype=np.int32))
    base = np.repeat(forest.root[:-1], np.diff(forest.root))
    crowded = inner & (forest.rows >= forest.rows[base] * CROWD)
    stands = np.zeros(len(inner), np.bool_)
    asking = np.flatnonzero(crowded)
    stands[forest.root[:-1]] = stands[left[asking]] = stands[left[asking] + 1] = True
    stands &= ~crowded
    first = _first_stops(forest, crowded, stands)
    stop = np.concatenate([[0], np.cumsum(stands)])[forest.root].astype(np.int32)
    beyond = np.empty(stop[-1], np.int32)
    tree = np.repeat(np.arange(forest.trees), np.diff(forest.root))
    beyond[stop[tree[stands]] + first[stands]] = code[stands]
    question = np.concatenate([[0], np.cumsum(crowded)])[forest.root].astype(np.int32)
    places = first[asking].astype(np.uint16), first[left[asking] + 1].astype(np.uint16)
    asked, cut = forest.feature[asking], forest.threshold[asking]
    return Routes(question, asked, cut, *places, stop, beyond, _quiet(forest, inner, code), forest.length[~inner])


def _first_stops(forest: Forest, crowded: NDArray[np.bool_], stands: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number, within its tree, of the first stop beneath each crowded node and each stop; int64 (nodes,)."""
    beneath = stands.astype(np.int64)
    levels = [parents[crowded[parents]] for parents in forest.levels()]
    for parents in reversed(levels):
        left = forest.left[parents]
        beneath[parents] = beneath[left] + beneath[left + 1]
    first = np.zeros(len(stands), np.int64)
    for parents in levels:
        left = forest.left[parents]
        first[left] = first[parents]
        first[left + 1] = first[parents] + beneath[left]
    return first


def _quiet(forest: Forest, inner: NDArray[np.bool_], code: NDArray[np.int32]) -> NDArray[np.void]:
    quiet = np.empty(np.count_nonzero(inner), QUIET)
    quiet["cut"], quiet["asked"] = forest.threshold[inner], forest.feature[inner]
    quiet["left"], quiet["right"] = code[forest.left[inner]], code[forest.left[inner] + 1]
    return quiet
