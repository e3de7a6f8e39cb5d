"""How a promise of memory is kept: how much of it each stage of working through partitions may take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ..errors import ConfigError
from .segments import MOST_PARTITIONS

if TYPE_CHECKING:
    from .roles import Roles

__all__ = ["Room", "bytes_of"]

_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_ALWAYS = 600 * 10**6  # the interpreter, its libraries and compiled kernels
_LEAST = 10**9
_SKEW = 1.5  # the fullest partition against the mean; heavier ones are told by their own size
_SORTING = 4.0  # an event while it is sorted, and one of the partition before at rest, against one at rest


@dataclass(frozen=True)
class Room:
    """What each stage may hold at a time.

    Attributes
    ----------
    piece : int
        Rows of the source.
    partition : int
        Events of a partition.
    vectors : int
        Bytes of vectors.

    Examples
    --------
    >>> from peculiar.features.roles import Roles
    >>> room = Room.of(bytes_of("2GB"), Roles("user", "at", measures=("amount",)))
    >>> room.partitions(10_000_000) in (4, 8, 16)
    True
    """

    piece: int
    partition: int
    vectors: int

    @classmethod
    def of(cls, memory: int, roles: Roles) -> Self:
        """Share out what is left beside what a process takes anyway.

        Raises
        ------
        ConfigError
            If less than 1 GB is promised.
        """
        if memory < _LEAST:
            message = f"expected 1GB of memory or more, got {memory / 1e9:.2f}GB"
            raise ConfigError(message)
        width = 8 * (3 + len(roles.measures) + 2 * (roles.place is not None)) + 4 * (2 + len(roles.dimensions))
        third = (memory - _ALWAYS) // 3
        return cls(int(third / (_SORTING * width)), int(third / (_SORTING * _SKEW * width)), third)

    def partitions(self, events: int) -> int:
        """How many partitions a log of so many events is cut into: a power of two."""
        number = 1
        while number < MOST_PARTITIONS and events > number * self.partition:
            number *= 2
        return number


def bytes_of(text: str) -> int:
    """A size in words as bytes.

    Raises
    ------
    ConfigError
        If it is no size.

    Examples
    --------
    >>> bytes_of("2GB"), bytes_of("512MiB")
    (2000000000, 536870912)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)", text.strip())
    if found is None:
        message = f"expected a size such as 2GB or 1500MB, got {text!r}"
        raise ConfigError(message)
    return int(float(found[1]) * _UNITS[found[2]])
