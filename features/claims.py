"""Folders that a run has for itself while it works, and that the next run removes if it was killed.

A folder is claimed by a lock beside it, which the system lets go of when the process ends, however it ends. So what
nobody holds is nobody's.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["claimed", "sweep", "workspace"]


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder, which need not be there yet.

    Raises
    ------
    filelock.Timeout
        If another process holds it.
    """
    with FileLock(f"{folder}.lock").acquire(timeout=0):
        yield


def sweep(home: Path, pattern: str, *, but: Path | None = None) -> None:
    """Remove the folders of a pattern that nobody holds, but for one."""
    for folder in home.glob(pattern):
        if folder == but or not folder.is_dir():
            continue
        try:
            with claimed(folder):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:
            continue
        Path(f"{folder}.lock").unlink(missing_ok=True)


@contextmanager
def workspace(home: Path, prefix: str) -> Iterator[Path]:
    """A folder of one's own that is gone afterwards; what killed runs left of the kind goes first."""
    sweep(home, f"{prefix}*")
    folder = home / f"{prefix}{uuid.uuid4().hex[:16]}"
    try:
        with claimed(folder):  # before it is there, or another run might sweep it away
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        Path(f"{folder}.lock").unlink(missing_ok=True)
