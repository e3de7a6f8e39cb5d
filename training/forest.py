"""A fitted isolation forest as plain arrays: packed once, scored by a compiled pass.

The trees are scikit-learn's; their nodes are renumbered level by level, siblings side by side, so that a node needs no
pointer: the k-th node that asks a question has its children at ``2k + 1`` and ``2k + 2`` of its tree. Thresholds are
float32 in the features' own units (the conditioning of the inputs is folded into them when fitting), so that scoring
compares raw values, and nothing but comparisons decides where a row ends.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .routes import Routes, routes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .conditioning import Inputs
    from .shapley import Game

__all__ = ["Forest", "average_path", "in_threads"]

# Rows a thread takes at a time. At most: more of them would be found equal, but not kept in a core's cache. At least:
# two threads of half as many take as long as one, and twice the work, since each looks for equal rows among its own.
LONGEST, SHORTEST = 65_536, 4096
# Rows of no more columns than this are likely to have equals, which are sent down the trees once.
NARROW = 32


def average_path(rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """Average depth of an unsuccessful search in a binary tree of so many rows: the part of a path a leaf leaves out.

    Parameters
    ----------
    rows : int array of any shape

    Returns
    -------
    float64 array of the same shape, in levels

    References
    ----------
    Liu, Ting, Zhou, "Isolation Forest", ICDM 2008, equation 1.

    Examples
    --------
    >>> average_path(np.array([1, 2, 256])).round(3).tolist()
    [0.0, 1.0, 10.245]
    """
    count = np.maximum(np.asarray(rows, np.float64), 2.0)
    many = 2.0 * (np.log(count - 1.0) + np.euler_gamma) - 2.0 * (count - 1.0) / count
    return np.where(np.asarray(rows) <= 1, 0.0, np.where(np.asarray(rows) == 2, 1.0, many))


@dataclass(frozen=True, eq=False)
class Forest:
    """The nodes of many trees, tree after tree, level after level.

    Attributes
    ----------
    inputs : Inputs
        Which columns of the vectors the trees look at, and what they see for a null.
    root : int32 array of shape (trees + 1,)
        The first node of each tree, and the end of the last.
    feature : int32 array of shape (nodes,)
        The number of the input asked about; -1 in a leaf.
    threshold : float32 array of shape (nodes,)
        A row with input <= threshold goes left.
    rows : int32 array of shape (nodes,)
        How many fitting rows of the tree's sample reached the node.
    """

    inputs: Inputs
    root: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    rows: NDArray[np.int32]

    @property
    def trees(self) -> int:
        """Number of trees."""
        return len(self.root) - 1

    @cached_property
    def left(self) -> NDArray[np.int32]:
        """Each node's left child, int32 of shape (nodes,); the right one is next to it. A leaf points at itself."""
        inner = self.feature >= 0
        before = np.concatenate([[0], np.cumsum(inner)])
        start = np.repeat(self.root[:-1], np.diff(self.root))
        child = start + 1 + 2 * (before[:-1] - before[start])
        return np.where(inner, child, np.arange(len(inner))).astype(np.int32)

    @cached_property
    def length(self) -> NDArray[np.float64]:
        """The path length that ends in each node, in levels, float64 of shape (nodes,)."""
        depth = np.zeros(len(self.feature))
        parents = self.root[:-1]
        while len(parents):
            parents = parents[self.feature[parents] >= 0]
            children = (self.left[parents][:, None] + np.arange(2)).ravel()
            depth[children] = np.repeat(depth[parents], 2) + 1.0
            parents = children
        return depth + average_path(self.rows)

    @cached_property
    def expected(self) -> NDArray[np.float64]:
        """The mean path length of the fitting rows that reached each node, float64 of shape (nodes,)."""
        mean = self.length.copy()
        for parents in reversed(self.levels()):
            child = self.left[parents]
            weight = self.rows[child] / self.rows[parents]
            mean[parents] = weight * mean[child] + (1.0 - weight) * mean[child + 1]
        return mean

    @cached_property
    def routes(self) -> Routes:
        """The nodes as the compiled pass wants them."""
        return routes_of(self)

    @cached_property
    def game(self) -> Game:
        """The nodes as the Shapley values want them."""
        from .shapley import game_of

        return game_of(self)

    @cached_property
    def usual(self) -> float:
        """The path length that the score counts in: the average one for a tree's sample, in levels."""
        return float(average_path(self.rows[self.root[:1]])[0])

    def path_length(self, values: NDArray[np.float32], *, threads: int | None = None) -> NDArray[np.float64]:
        """Mean path length over the trees.

        Parameters
        ----------
        values : float32 array of shape (n_features, n)
            As in :class:`~peculiar.features.vectors.Vectors`; NaN is null.
        threads : int, optional
            By default as many as Numba would use. Changes the speed, never a bit of the result.

        Returns
        -------
        float64 array of shape (n,), in levels
        """
        values, out = np.ascontiguousarray(values), np.empty(values.shape[1])

        def work(part: slice) -> None:
            length, place = self.distinct_path_length(values, part)
            out[part] = length[place]

        in_threads(work, len(out), threads=threads)
        return out

    def distinct_path_length(
        self, values: NDArray[np.float32], part: slice
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Mean path length over the trees, once for rows that are equal in all that the forest looks at.

        Only a forest over few columns looks for equal rows; to others each row is distinct. In one thread.

        Parameters
        ----------
        values : float32 array of shape (n_features, n), contiguous
        part : slice
            Which of the rows, with a start and a stop.

        Returns
        -------
        length : float64 array of shape (distinct,), in levels
        place : int32 array of shape (rows of the part,)
            Which of the distinct rows each row is.
        """
        columns, column = self._columns
        if len(columns) > NARROW:
            length = self._mean_length(values, part, self.inputs.column)
            return length, np.arange(len(length), dtype=np.int32)
        few, place = _distinct(np.ascontiguousarray(values[columns, part]))
        return self._mean_length(few, slice(0, few.shape[1]), column), place

    @cached_property
    def _columns(self) -> tuple[NDArray[np.integer], NDArray[np.int32]]:
        """The columns of the vectors that the forest looks at, and which of these each input is."""
        columns, column = np.unique(self.inputs.column, return_inverse=True)
        return columns, column.astype(np.int32)

    def _mean_length(self, values: NDArray[np.float32], part: slice, column: NDArray[np.int32]) -> NDArray[np.float64]:
        from .descent import path_lengths

        own = self.routes
        questions = (own.question, own.asked, own.cut, own.first, own.split)
        stops = (own.stop, own.beyond, own.quiet, own.length)
        source = (column, self.inputs.indicator, self.inputs.fill)
        out = np.zeros(part.stop - part.start)
        path_lengths(values, part.start, source, questions, stops, out)
        return out / self.trees

    def score(self, values: NDArray[np.float32], *, threads: int | None = None) -> NDArray[np.float64]:
        """The published score: ``2 ** (-path length / usual path length)``, float64 of shape (n,), between 0 and 1.

        Equal to the negated ``score_samples`` of scikit-learn's forest with these trees, to 1e-9.
        """
        return self.scale(self.path_length(values, threads=threads))

    def scale(self, length: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn mean path lengths into scores."""
        return np.exp2(-length / self.usual) if self.usual else np.full(len(length), 0.5)

    def shapley(self, values: NDArray[np.float32], *, threads: int | None = None) -> NDArray[np.float64]:
        """Split ``path length - base_length`` among the columns of the vectors: their Shapley values.

        Parameters
        ----------
        values : float32 array of shape (n_features, n)
        threads : int, optional
            As in :meth:`path_length`.

        Returns
        -------
        float64 array of shape (n, n_features), in levels

        References
        ----------
        Lundberg, Erion, Lee, "Consistent individualized feature attribution for tree ensembles", 2018.
        """
        from .shapley import path_shapley

        own, source = self.game, (self.inputs.column, self.inputs.indicator, self.inputs.fill)
        nodes = (self.root, self.feature, self.threshold, self.left, self.length)
        game = (own.earlier, own.share, own.prior), (own.chance, own.weight)
        values, out = np.ascontiguousarray(values), np.zeros(values.T.shape)
        in_threads(
            lambda part: path_shapley(values, part.start, source, nodes, game, out[part]), len(out), threads=threads
        )
        return out / self.trees

    @property
    def base_length(self) -> float:
        """Mean path length before any question is asked, in levels."""
        return float(self.expected[self.root[:-1]].mean())

    def levels(self) -> list[NDArray[np.int32]]:
        """The inner nodes of all trees, level by level from the roots."""
        levels: list[NDArray[np.int32]] = []
        parents = self.root[:-1]
        while len(parents := parents[self.feature[parents] >= 0]):
            levels.append(parents)
            parents = np.stack([self.left[parents], self.left[parents] + 1], axis=1).ravel().astype(np.int32)
        return levels


def in_threads(
    work: Callable[[slice], None], rows: int, *, threads: int | None = None, shortest: int = SHORTEST
) -> None:
    """Do the work on slices of the rows; every row is computed alone, so the cut cannot change a result.

    Parameters
    ----------
    work : callable
        Takes a slice, and writes what comes of its rows where nobody else writes.
    rows : int
    threads : int, optional
        By default as many as Numba would use.
    shortest : int
        Fewer rows than this are not worth a thread.
    """
    from numba import get_num_threads

    count = threads or get_num_threads()
    rounds = -(-rows // (count * LONGEST))
    step = -(-rows // max(1, min(count * rounds, rows // shortest))) or 1
    parts = [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
    if min(count, len(parts)) <= 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(count) as pool:
        for _ in pool.map(work, parts):
            pass


def _distinct(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The distinct of the rows (n_columns, n), bit for bit: (n_columns, distinct), and which of them each row is."""
    from .descent import distinct_rows

    first, place = np.empty((2, rows.shape[1]), np.int32)
    found = distinct_rows(rows.view(np.uint32), first, place)
    return np.stack([np.take(column, first[:found]) for column in rows]), place
