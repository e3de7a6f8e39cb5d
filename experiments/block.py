"""A block of simulated events as plain arrays, codes instead of strings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .city import Floats, Ints

__all__ = ["NONE", "Block", "concatenated"]

NONE = -1
"""The code of "no value"."""


@dataclass(frozen=True)
class Block:
    """Events, one array a column, all of one length.

    Attributes
    ----------
    at
        Microseconds since 1970 (UTC).
    user, action, item, vehicle, device, country
        Codes; :data:`NONE` where the event has none.
    amount
        Money in the city's currency; NaN where none moves.
    incident
        The planted incident that the event belongs to, or :data:`NONE`.
    """

    at: Ints
    user: Ints
    action: Ints
    item: Ints
    vehicle: Ints
    device: Ints
    country: Ints
    amount: Floats
    incident: Ints

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def empty(cls) -> Block:
        """Return a block without events."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, none, none, none, none, np.empty(0), none)

    def taken(self, rows: Ints | slice) -> Block:
        """Return the block of the given rows, in their order."""
        return Block(*(getattr(self, field.name)[rows] for field in fields(self)))

    def in_time_order(self) -> Block:
        """Return the block sorted by time; equal times keep their order, so the result is one of a kind."""
        return self.taken(np.argsort(self.at, kind="stable"))


def concatenated(blocks: list[Block]) -> Block:
    """Stack blocks."""
    return Block(*(np.concatenate([getattr(block, field.name) for block in blocks]) for field in fields(Block)))
