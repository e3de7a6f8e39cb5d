"""The record of every use: who looked at whose behaviour, with which model, and where the result went.

``<home>/audit.jsonl`` takes one line of JSON per use and is only ever appended to. Each line carries the SHA-256 of the
line before it, so a line that is changed, removed or slipped in later breaks the chain at that place. Only the end is
open: to see that the last line was changed, or lines were cut off after it, keep the digest that :func:`record` returns
somewhere else (a scoring run can carry it as a tag) and give it to :func:`verify`.

This is the one module that reads the wall clock. Everywhere else time comes from the events, so that results can
be repeated; a record of use is worth nothing without the moment of use.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import PeculiarError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

__all__ = ["AuditError", "Trail", "Use", "operating_user", "record", "verify"]

_FILE = "audit.jsonl"
_START = "0" * 64


class AuditError(PeculiarError):
    """The record of use was altered, or is shorter than it was."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """One use of the package.

    Attributes
    ----------
    verb : str
        What was done: "train", "score", "features".
    model, version, sha256 : str
        The registered model's name, its version and the fingerprint of its data.
    data : str
        Fingerprint of the events.
    rows : int
        Rows that the use wrote or showed.
    output : str
        Where the result went.
    parameters : mapping of str to object
        The settings, as JSON can hold them.
    """

    verb: str
    model: str = ""
    version: str = ""
    sha256: str = ""
    data: str = ""
    rows: int = 0
    output: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Trail:
    """What :func:`verify` found.

    Attributes
    ----------
    lines : int
        Whole lines, each in its place.
    torn : tuple of int
        Numbers of the lines, from 1, that a failure cut short while they were written. They stay, and the chain
        goes on after them.
    head : str
        Digest of the last line.
    """

    lines: int
    torn: tuple[int, ...]
    head: str


def record(home: Path, use: Use) -> str:
    """Append one use to ``<home>/audit.jsonl`` and wait until the disk has it.

    Safe to call from several processes at once.

    Returns
    -------
    str
        The line's SHA-256 digest, which vouches for everything up to it.

    Examples
    --------
    >>> import tempfile
    >>> home = Path(tempfile.mkdtemp())
    >>> digest = record(home, Use(verb="score", model="peculiar", version="3", rows=100))
    >>> verify(home / "audit.jsonl", head=digest).lines
    1
    """
    from filelock import FileLock

    path = Path(home) / _FILE
    with FileLock(f"{path}.lock"), path.open("a+b") as file:
        last = _last_line(file)
        line = _line(use, previous=_digest(last) if last else _START)
        file.write((b"\n" if last and not last.endswith(b"\n") else b"") + line)
        file.flush()
        os.fsync(file.fileno())
    return _digest(line)


def verify(path: Path, *, head: str | None = None) -> Trail:
    """Check that every line stands where it was written and says what it said.

    Parameters
    ----------
    path : Path
    head : str, optional
        A digest that :func:`record` returned: the line that it belongs to must still be there.

    Raises
    ------
    AuditError
        If a line does not follow the one before it, or ``head`` is missing.
    """
    digests, torn = [_START], []
    for number, line in enumerate(Path(path).read_bytes().splitlines(keepends=True), start=1):
        content = _content(line)
        if content is None:
            torn.append(number)
        elif content.get("previous") != digests[-1]:
            message = f"{path}, line {number}, does not follow line {number - 1}: one of the two was altered or removed"
            raise AuditError(message)
        digests.append(_digest(line))
    if head is not None and head not in digests:
        message = f"{path} has no line with the digest {head}: lines were altered, or cut off after the last one kept"
        raise AuditError(message)
    return Trail(len(digests) - 1 - len(torn), tuple(torn), digests[-1])


def operating_user() -> str:
    """Name of the operating system's user, or its number where it has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _content(line: bytes) -> dict[str, object] | None:
    """The line's fields, or None if it was cut short."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _digest(line: bytes) -> str:
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def _last_line(file: BinaryIO) -> bytes:
    """The last line without reading the whole file: step back, twice as far each time, until it is all there."""
    size, step = file.seek(0, os.SEEK_END), 4096
    while True:
        file.seek(max(0, size - step))
        lines = file.read().splitlines(keepends=True)
        if step >= size or len(lines) > 1:
            return lines[-1] if lines else b""
        step *= 2


def _line(use: Use, *, previous: str) -> bytes:
    stamp = {"time": datetime.now(UTC).isoformat(), "user": operating_user()}
    content = stamp | asdict(use) | {"previous": previous}
    return json.dumps(content, ensure_ascii=False, default=str).encode() + b"\n"
