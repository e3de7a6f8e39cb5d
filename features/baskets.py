"""Values that make sets: those of one dimension, or of the action and a dimension together (bought *this*)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from .population import Keyed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .family import Shape
    from .population import Population
    from .timeline import Timeline

__all__ = ["Basket", "baskets_of"]

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NOBODY = Keyed.of(np.empty(0, np.uint64), np.empty(0, np.int64))


def baskets_of(shape: Shape) -> tuple[tuple[str, ...], ...]:
    """The dimensions whose values make sets, one by one, and then the two that make sets together.

    Examples
    --------
    >>> from peculiar.features.family import Shape
    >>> both = ("action", "item")
    >>> baskets_of(Shape(both, (), "action", ("buy",), "1d", ("28d",), ("item",), crossed=(both,)))
    (('item',), ('action', 'item'))
    """
    return (*((name,) for name in shape.baskets), *shape.crossed)


@dataclass(frozen=True, eq=False)
class Basket:
    """The values of one dimension, or of the action and one dimension.

    Attributes
    ----------
    dimensions : tuple of str
    codes : int32 array of shape (n,)
        The dimension's value of each event; -1 for none.
    value_keys : uint64 array of shape (n_values,)
        Its hashes.
    done : int32 array of shape (n,), or None with one dimension alone
        The action of each event; -1 for none.
    place : int8 array of shape (n_action_values + 1,)
        The place of each action among those of the plan; -1 for another, and for none at the end.
    action_keys : uint64 array of shape (n_actions,)
        Their hashes; of 1 where there is one dimension alone.
    """

    dimensions: tuple[str, ...]
    codes: NDArray[np.int32]
    value_keys: NDArray[np.uint64]
    done: NDArray[np.int32] | None
    place: NDArray[np.int8]
    action_keys: NDArray[np.uint64]

    @classmethod
    def of(cls, timeline: Timeline, dimensions: tuple[str, ...], actions: tuple[str, ...]) -> Self:
        """Look at one dimension, or at the action and one other; ``actions`` are those of the plan."""
        codes = timeline.dimensions[dimensions[-1]]
        if len(dimensions) == 1:
            return cls(dimensions, codes.codes, codes.keys, None, np.zeros(1, np.int8), np.zeros(1, np.uint64))
        done = timeline.dimensions[dimensions[0]]
        names = done.values.to_pylist()
        place = np.array([*(actions.index(each) if each in actions else -1 for each in names), -1], np.int8)
        key_of = dict(zip(names, done.keys.tolist(), strict=True))
        keys = np.array([key_of.get(action, 0) for action in actions], np.uint64)
        return cls(dimensions, codes.codes, codes.keys, done.codes, place, keys)

    @property
    def name(self) -> str:
        """The dimensions, joined."""
        return "_".join(self.dimensions)

    @property
    def size(self) -> int:
        """How many values there could be."""
        return len(self.value_keys) * len(self.action_keys)

    def cells(self, rows: slice) -> NDArray[np.int32]:
        """The number of each event's value, int32 below ``size``; -1 for none."""
        codes = self.codes[rows]
        if self.done is None:
            return codes
        done = self.place[self.done[rows]]
        return np.where((codes < 0) | (done < 0), np.int32(-1), done * np.int32(len(self.value_keys)) + codes)

    def keys(self, cells: NDArray[np.intp]) -> NDArray[np.uint64]:
        """The hashes of some values, the same on every machine."""
        if self.done is None:
            return self.value_keys[cells]
        done, value = np.divmod(cells, len(self.value_keys))
        mixed = self.value_keys[value] + _FIRST * self.action_keys[done]
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
        return mixed ^ (mixed >> np.uint64(31))

    def slots(self, population: Population, keys: NDArray[np.uint64]) -> NDArray[np.int16]:
        """The place of each value among ``keys``, int16 of shape (size + 1,); -1 for others, and for none at the end.

        What is done to a value is no commoner than the value is, so actions at rare values need no look.
        """
        slots = np.full(self.size + 1, -1, np.int16)
        cells = np.arange(len(self.value_keys))
        if self.done is not None:
            least = population.keyed[f"combination.{self.name}"].of_keys(keys).min()
            held = population.keyed.get(f"combination.{self.dimensions[-1]}", _NOBODY).of_keys(self.value_keys)
            cells = np.add.outer(np.arange(len(self.action_keys)) * len(cells), np.flatnonzero(held >= least)).ravel()
        order, found = np.argsort(keys, kind="stable"), self.keys(cells)
        place = order[np.minimum(np.searchsorted(keys, found, sorter=order), len(keys) - 1)]
        slots[cells] = np.where(keys[place] == found, place, -1)
        return slots

    def slots_of(self, cells: NDArray[np.int32], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place of each event's value among ``keys``, for a few events; -1 for others, and for none."""
        found, which = np.unique(cells[cells >= 0].astype(np.intp), return_inverse=True)
        slots = np.full(len(cells), -1, np.int64)
        if len(found) and len(keys):
            order, own = np.argsort(keys, kind="stable"), self.keys(found)
            place = order[np.minimum(np.searchsorted(keys, own, sorter=order), len(keys) - 1)]
            slots[cells >= 0] = np.where(keys[place] == own, place, -1)[which]
        return slots
