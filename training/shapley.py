"""Shapley values of a forest's path lengths: what each column of a row adds to them, whichever are known before it.

The game is that of path-dependent TreeSHAP. Some of the columns are known: a question about a known column sends the
row where it belongs, one about an unknown column splits it as it split the fitting rows. What a null is seen as and
whether it is null are inputs of one column, hence one player. A column's Shapley value is what knowing it changes in
the expected path length, on average over all orders in which the columns can become known.

Let each column be known with chance ``t``, independently of the others. The Shapley value is then the change of the
expected length with a column's own chance, averaged over ``t`` from 0 to 1 (Owen). Beneath a question about a column
with a share ``z`` of the fitting rows on its left, a share ``z + s * (answer - z)`` of the row goes left, where ``s``
is the chance that the column is known, given that the row got there; so one pass up the tree and one down give the
changes for all columns. Along ``t`` they are polynomials of a degree below the number of columns that a path asks
about, so that a few points of Gauss and Legendre give their averages exactly: seven for thirteen columns.

References
----------
Lundberg, Erion, Lee, "Consistent individualized feature attribution for tree ensembles", 2018. Owen, "Multilinear
extensions of games", Management Science 1972. Yu et al., "Linear TreeShap", NeurIPS 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..features.kernels import kernel
from .descent import see

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .descent import Source
    from .forest import Forest

    Tree = tuple[int, int]
    Nodes = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]
    Splits = tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]
    Points = tuple[NDArray[np.float64], NDArray[np.float64]]
    Room = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

__all__ = ["Game", "game_of", "path_shapley"]

# Rows that go through a tree together. Measured per row: 64 and 128 alike, 32 a quarter slower, one alone ten times.
LANES = 64


@dataclass(frozen=True, eq=False)
class Game:
    """What the game knows of a forest's nodes beside the questions, and at which chances it is played.

    Attributes
    ----------
    earlier : int32 array of shape (nodes,)
        Of a question that follows another about the same column: the child of that other one that leads here. Else -1.
    share : float64 array of shape (nodes,)
        Which share of the fitting rows that reached a question went left.
    prior : float64 array of shape (nodes,)
        The product of the shares that earlier questions about the same column sent this way; 1 at the first of them.
    chance, weight : float64 arrays of shape (points,)
        Points of Gauss and Legendre between 0 and 1.
    """

    earlier: NDArray[np.int32]
    share: NDArray[np.float64]
    prior: NDArray[np.float64]
    chance: NDArray[np.float64]
    weight: NDArray[np.float64]


def game_of(forest: Forest) -> Game:
    """Look at each question's earlier ones about the same column; cost: a short walk up per question."""
    inner = np.flatnonzero(forest.feature >= 0)
    column, share = np.full(len(forest.feature), -1, np.int32), np.zeros(len(forest.feature))
    column[inner] = forest.inputs.column[forest.feature[inner]]
    share[inner] = forest.rows[forest.left[inner]] / forest.rows[inner]
    earlier, prior = np.full(len(column), -1, np.int32), np.ones(len(column))
    most = _look_back(column, forest.left, share, earlier, prior)
    point, weight = np.polynomial.legendre.leggauss(max(1, (most + 1) // 2))
    return Game(earlier, share, prior, (point + 1.0) / 2.0, weight / 2.0)


@kernel
def _look_back(
    column: NDArray[np.int32],
    left: NDArray[np.int32],
    share: NDArray[np.float64],
    earlier: NDArray[np.int32],
    prior: NDArray[np.float64],
) -> int:
    """Fill ``earlier`` and ``prior``; return the most columns that a path asks about. Parents come before children."""
    parent, asked, most = np.full(len(column), -1, np.int32), np.zeros(len(column), np.int32), 0
    for node in range(len(column)):
        if column[node] < 0:
            most = max(most, asked[node])
            continue
        child = node
        while parent[child] >= 0 and column[parent[child]] != column[node]:
            child = parent[child]
        before = parent[child]
        if before >= 0:
            part = share[before] if child == left[before] else 1.0 - share[before]
            earlier[node], prior[node] = child, prior[before] * part
        for side in range(2):
            parent[left[node] + side], asked[left[node] + side] = node, asked[node] + (before < 0)
    return most


# The room for a tree: whether each row answered like the path to a node does, about the column its parent asked about
# (nodes, lanes); what knowing a column changes in a question's answer (nodes, lanes); the expected length from a node
# on, and later how much of a row arrives there (nodes, lanes); and what each input is credited with (inputs, lanes).


# An answer is 1 where the row goes left, else 0; less the share of the fitting rows that did, that is what knowing the
# column changes. It changes nothing where an earlier question about the column leads elsewhere, for a row whose column
# is known never gets here.
@kernel
def _answer(tree: Tree, nodes: Nodes, splits: Splits, block: NDArray[np.float32], room: Room) -> None:
    """Note how the rows answer the questions of a tree."""
    (first, last), (_, feature, threshold, left, _), (earlier, share, _) = tree, nodes, splits
    alike, change, _, _ = room
    for node in range(first, last):
        if feature[node] >= 0:
            own, asked, cut, part = node - first, feature[node], threshold[node], share[node]
            lower = left[node] - first
            came = max(earlier[node] - first, 0)  # at the root there is nothing to differ in
            for r in range(block.shape[1]):
                alike[lower, r] = alike[came, r] if block[asked, r] <= cut else 0.0
            for r in range(block.shape[1]):
                alike[lower + 1, r] = alike[came, r] - alike[lower, r]
                change[own, r] = alike[lower, r] - alike[came, r] * part


@kernel
def _expect(tree: Tree, nodes: Nodes, splits: Splits, chance: float, room: Room) -> None:
    """Fill in the expected length from each node on, from the leaves up, where columns are known with this chance."""
    (first, last), (_, feature, _, left, length), (_, share, prior) = tree, nodes, splits
    _, change, beneath, _ = room
    for node in range(last - 1, first - 1, -1):
        own, lower = node - first, left[node] - first
        if feature[node] < 0:
            beneath[own] = length[node]
            continue
        part, known = share[node], chance / (prior[node] + chance * (1.0 - prior[node]))
        for r in range(beneath.shape[1]):
            less = beneath[lower, r] - beneath[lower + 1, r]
            beneath[own, r] = beneath[lower + 1, r] + (part + known * change[own, r]) * less


@kernel
def _credit(tree: Tree, nodes: Nodes, splits: Splits, chance: float, room: Room) -> None:
    """Credit each question's input with what its column's chance changes, from the root down, which has the weight."""
    (first, last), (_, feature, _, left, _), (_, share, prior) = tree, nodes, splits
    _, change, arrives, credit = room
    for node in range(first, last):
        if feature[node] >= 0:
            own, asked, lower = node - first, feature[node], left[node] - first
            either = prior[node] + chance * (1.0 - prior[node])
            part, known, gain = share[node], chance / either, prior[node] / (either * either)
            for r in range(arrives.shape[1]):  # beneath stand the expected lengths, up to now
                less = arrives[lower, r] - arrives[lower + 1, r]
                credit[asked, r] += gain * arrives[own, r] * change[own, r] * less
            for r in range(arrives.shape[1]):
                arrives[lower, r] = arrives[own, r] * (part + known * change[own, r])
                arrives[lower + 1, r] = arrives[own, r] - arrives[lower, r]


# Cost: two passes over all nodes for each point, a dozen operations a row. Every row has a lane of its own, and what
# falls to the trees is added up in their order, so that what a row gets does not depend on its companions.
@kernel
def path_shapley(  # noqa: PLR0913, PLR0917 - numba takes arrays, by position
    values: NDArray[np.float32],
    begin: int,
    source: Source,
    nodes: Nodes,
    game: tuple[Splits, Points],
    out: NDArray[np.float64],
) -> None:
    """Add the Shapley values of the path lengths of the rows from ``begin`` on to ``out``, (rows, n_features)."""
    root, column, (splits, (chance, weight)) = nodes[0], source[0], game
    lanes, most = max(1, min(LANES, len(out))), np.diff(root).max()
    block, credit = np.zeros((len(column), lanes), np.float32), np.zeros((len(column), lanes))
    room = np.ones((most, lanes)), np.zeros((most, lanes)), np.zeros((most, lanes)), credit
    for start in range(0, len(out), lanes):
        rows = see(values, source, begin + start, begin + len(out), block)
        credit[:] = 0.0
        for number in range(len(root) - 1):
            tree = (root[number], root[number + 1])
            _answer(tree, nodes, splits, block, room)
            for k in range(len(chance)):
                _expect(tree, nodes, splits, chance[k], room)
                room[2][0] = weight[k]
                _credit(tree, nodes, splits, chance[k], room)
        for k in range(len(column)):
            for r in range(rows):
                out[start + r, column[k]] += credit[k, r]
