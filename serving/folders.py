"""Where a dataset's files lie, as five verbs: read, put, list, remove, and keep others out.

On this machine a file is written under a hidden name, forced to the disk, and renamed; the folder is forced, too, so
that after a power cut nothing is named that is not there. One run at a time writes, which a lock sees to; the system
drops the lock of a process that dies.

An object store has no lock and no rename, but an object appears whole or not at all, and the last one put under a name
wins. That is enough as long as names come from contents, so that two runs can only ever put the same bytes under one
name.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
from pyarrow import fs

from ..features.output import beside
from ..features.places import file_system, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["Folder", "LocalFolder", "StoreFolder", "open_folder"]

_LOCK = ".lock"


class Folder(Protocol):
    """A folder of this machine, or a prefix of an object store; names are relative and have slashes."""

    @property
    def spare_age(self) -> int:
        """How much older than a commit a file that no commit names has to be to be removed, in nanoseconds."""

    def read(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError if there is none."""

    def put(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file that appears whole or not at all, in place of one of that name."""

    def files(self, under: str) -> dict[str, int]:
        """Name and time (nanoseconds, by the store's own clock) of the files right under a folder, sorted by name."""

    def remove(self, name: str) -> None:
        """Take a file away; nothing if it is gone already."""

    def only_one(self) -> AbstractContextManager[None]:
        """Wait until no other run writes here, and keep others out; does nothing where there are no locks."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine."""

    root: Path
    spare_age: int = -(2**62)  # under the lock nobody else writes: a file that no commit names is nobody's

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return (self.root / name).read_bytes()

    def put(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write beside the target, force it to the disk, rename."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as unfinished:
            unfinished.write_bytes(content)

    def files(self, under: str) -> dict[str, int]:
        """Name and time of the files right under a folder, hidden ones too."""
        try:
            there = sorted(os.scandir(self.root / under), key=lambda entry: entry.name)
        except FileNotFoundError:
            return {}
        times = {f"{under}/{entry.name}": _time(entry) for entry in there if entry.is_file()}
        return {name: time for name, time in times.items() if time is not None}

    def remove(self, name: str) -> None:
        """Take a file away."""
        (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Hold the lock; another run waits until this one is done, or dead."""
        from filelock import FileLock

        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / _LOCK):
            yield


@dataclass(frozen=True)
class StoreFolder:
    """A prefix of an object store."""

    system: fs.FileSystem
    root: str
    spare_age: int = 86_400_000_000_000  # a day: longer than any run takes from its first file to its commit

    def read(self, name: str) -> bytes:
        """The content of an object."""
        with self.system.open_input_stream(f"{self.root}/{name}") as stream:
            content: bytes = stream.read()
        return content

    def put(self, name: str, content: bytes | pa.Buffer) -> None:
        """Send the whole content at once; the object is there when the store has all of it."""
        with self.system.open_output_stream(f"{self.root}/{name}") as stream:
            stream.write(content)

    def files(self, under: str) -> dict[str, int]:
        """Name and time of the objects right under a prefix."""
        selector = fs.FileSelector(f"{self.root}/{under}", allow_not_found=True)
        there = sorted(self.system.get_file_info(selector), key=lambda info: str(info.path))
        found = [info for info in there if info.type == fs.FileType.File]
        return {f"{under}/{PurePosixPath(info.path).name}": info.mtime_ns or 0 for info in found}

    def remove(self, name: str) -> None:
        """Take an object away."""
        if self.system.get_file_info(f"{self.root}/{name}").type == fs.FileType.File:
            self.system.delete_file(f"{self.root}/{name}")

    def only_one(self) -> AbstractContextManager[None]:
        """Nothing: there is no lock to hold."""
        return nullcontext()


def open_folder(location: str | Path) -> LocalFolder | StoreFolder:
    """The folder at a path of this machine or at the address of an object store; created when something is put there.

    Raises
    ------
    SchemaError
        If the address cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = open_folder(tempfile.mkdtemp())
    >>> folder.put("a/b.txt", b"whole")
    >>> folder.read("a/b.txt"), list(folder.files("a"))
    (b'whole', ['a/b.txt'])
    """
    system, path = file_system(location)
    return StoreFolder(system, path) if is_remote(location) else LocalFolder(Path(path))


def _time(entry: os.DirEntry[str]) -> int | None:
    """When a file was written; None if it is gone by now, as what is unfinished may be."""
    try:
        return entry.stat().st_mtime_ns
    except FileNotFoundError:
        return None
