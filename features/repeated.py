"""Ids that several events bear, found over all partitions: the earliest keeps its id, as in a log in one piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import stable_hash
from .kernels import SPREAD
from .timeline import content_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from .timeline import Timeline

__all__ = ["Named", "Repeated", "later_ones", "spurned_rows", "witnesses"]


@dataclass(frozen=True, eq=False)
class Named:
    """The events of a partition that have ids.

    Attributes
    ----------
    timeline : Timeline
    there : bool array of shape (n,)
        Which events have an id.
    row : int64 array of shape (n,)
        Where each event stood in all that came.
    """

    timeline: Timeline
    there: NDArray[np.bool_]
    row: NDArray[np.int64]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """The ids that are there."""
        assert self.timeline.ids is not None
        return self.timeline.ids[self.there]


@dataclass(frozen=True, eq=False)
class Repeated:
    """Ids on their way to each other.

    First the ids alone are brought together, in parts on disk; mostly none comes twice, and nothing else has to be
    looked at. Where some do, their events are compared in the order that decides in one piece: time, entity, content.

    Attributes
    ----------
    folder : Path
        For the parts; deleted by whoever made it.
    parts : int
    """

    folder: Path
    parts: int
    _files: set[int] = field(default_factory=set)

    def bring(self, named: Named) -> None:
        """Hand over the ids of a partition, in which each comes once."""
        part = (named.keys * SPREAD) % np.uint64(self.parts)
        order = np.argsort(part, kind="stable")
        edges = np.searchsorted(part[order], np.arange(self.parts + 1))
        for number in range(self.parts):
            mine = named.keys[order[edges[number] : edges[number + 1]]]
            if len(mine):
                self._files.add(number)
                with (self.folder / f"{number}.ids").open("ab") as file:
                    mine.tofile(file)

    def suspects(self) -> NDArray[np.uint64]:
        """The ids that come in several partitions, rising."""
        found = [np.empty(0, np.uint64)]
        for number in sorted(self._files):
            keys = np.sort(np.fromfile(self.folder / f"{number}.ids", np.uint64))
            found.append(np.unique(keys[1:][keys[1:] == keys[:-1]]))
        return np.sort(np.concatenate(found))


def spurned_rows(partitions: Iterable[Named], suspects: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows of all events whose id an earlier one has, int64.

    Parameters
    ----------
    partitions : iterable of Named
    suspects : uint64 array
        The ids in question.
    """
    found = [witnesses(named, suspects) for named in partitions]
    key, at, who, content, row = (np.concatenate(column) for column in zip(*found, strict=True))
    return np.sort(row[later_ones(key, at, who, content)])


def later_ones(*columns: NDArray[Any]) -> NDArray[np.intp]:
    """Positions of the events whose id an earlier one has, by id, time, entity and content."""
    order = np.lexsort(columns[::-1])
    key = columns[0][order]
    return order[np.concatenate([[False], key[1:] == key[:-1]])[: len(order)]]


def witnesses(named: Named, suspects: NDArray[np.uint64]) -> tuple[NDArray[Any], ...]:
    """What decides who keeps an id: id, time, entity and content of the events that bear one of the suspects; rows."""
    timeline = named.timeline
    assert timeline.ids is not None
    which = np.flatnonzero(named.there & np.isin(timeline.ids, suspects))
    who = stable_hash(timeline.entity)[timeline.owner[which]]
    return timeline.ids[which], timeline.at[which], who, content_hashes(timeline, which), named.row[which]
