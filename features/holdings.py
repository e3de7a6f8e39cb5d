"""What an event store holds, as its manifest says it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Self

from ..errors import PeculiarError
from .roles import Roles
from .whole import Whole

__all__ = ["Manifest", "StoreError", "Stored"]

_FORMAT = 2


class StoreError(PeculiarError):
    """A store is not there, cannot be read, or was made for other columns."""


@dataclass(frozen=True)
class Stored:
    """One file of a store.

    Attributes
    ----------
    path : str
        Below the folder, with slashes.
    day : int
        Days since 1970, in the log's zone.
    rows, bytes : int
    first : int
        What is added to the rows that the file names, to make them rows of all that came.
    """

    path: str
    day: int
    rows: int
    bytes: int
    first: int = 0


@dataclass(frozen=True)
class Manifest:
    """What a store holds.

    Attributes
    ----------
    roles : Roles
    partitions : int
    files : tuple of Stored
        In the order of arrival.
    rejected : tuple of str
        Files of rows that stayed outside.
    counts : mapping of str to int
        Rows that stayed outside, by reason.
    rows : int
        All that came to the door.
    whole : Whole
        Days of all that came.
    rising : tuple of int or None
        First and last id, if ids have only ever risen; None if they have not.
    source : str
        How reports call what came last.
    coming : tuple of str and int
        What was added last, and how many pieces of it are in; empty and 0 if nothing was.
    notes : tuple of str
    """

    roles: Roles
    partitions: int
    files: tuple[Stored, ...] = ()
    rejected: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    whole: Whole = field(default_factory=Whole)
    rising: tuple[int, int] | tuple[()] | None = ()
    source: str = ""
    coming: tuple[str, int] = ("", 0)
    notes: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """As it is stored."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain |= {
            "roles": self.roles.to_dict(),
            "whole": self.whole.to_dict(),
            "files": [asdict(f) for f in self.files],
        }
        return json.dumps({"format": _FORMAT, **plain}, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes, where: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        StoreError
            If it is nothing of the kind.
        """
        try:
            plain = json.loads(content)
            form = plain.pop("format")
            rising = None if plain["rising"] is None else tuple(plain["rising"])
            given = {
                "roles": Roles.from_dict(plain["roles"]),
                "whole": Whole.from_dict(plain["whole"]),
                "rising": rising,
            }
            given |= {"files": tuple(Stored(**each) for each in plain["files"])}
            given |= {name: tuple(plain[name]) for name in ("rejected", "coming", "notes")}
            manifest = cls(**plain | given)
        except (ValueError, KeyError, TypeError) as error:
            message = (
                f"{where}: expected the manifest of an event store, cannot read it ({error}); make the store again"
            )
            raise StoreError(message) from error
        if form != _FORMAT:
            message = f"{where}: expected an event store of format {_FORMAT}, got {form}; make the store again"
            raise StoreError(message)
        return manifest
