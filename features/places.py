"""Where files lie: a folder of this machine or an object store, told apart by the address.

Addresses are those of pyarrow's own file systems (``s3://bucket/key``, ``gs://``, ``abfs://``, ``hdfs://``,
``file://``), so credentials and regions come from where these look for them: the environment, the profile of the
machine. ``s3`` also heeds ``AWS_ENDPOINT_URL``, the customary way to name a store that is not Amazon's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pyarrow import fs

from ..errors import SchemaError

__all__ = ["check_address", "file_system", "files_at", "is_remote"]

_WILD = re.compile(r"[*\[]")
_SECRETS = ("key", "secret", "token", "password", "sig", "credential")
_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")


def is_remote(location: str | Path) -> bool:
    """Whether an address names a store and not a path of this machine.

    Examples
    --------
    >>> is_remote("s3://bucket/events.parquet"), is_remote("events.parquet")
    (True, False)
    """
    return str(location).partition("://")[0] in _SCHEMES and "://" in str(location)


def file_system(location: str | Path) -> tuple[fs.FileSystem, str]:
    """The file system that an address lies on, and the path there.

    Parameters
    ----------
    location : str or Path
        A path of this machine, ``file://…``, or the address of an object store.

    Raises
    ------
    SchemaError
        If the address cannot be read.

    Examples
    --------
    >>> file_system("scores/march")[1].endswith("scores/march")
    True
    """
    text = str(location)
    if not is_remote(text):
        plain = text.removeprefix("file://") if text.startswith("file://") else text
        return fs.LocalFileSystem(), str(Path(plain).absolute())
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    try:
        if text.startswith("s3://") and endpoint and "endpoint_override" not in text:
            parts, at = urlsplit(text), urlsplit(endpoint)
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            store = fs.S3FileSystem(endpoint_override=at.netloc, scheme=at.scheme, region=region)
            return store, f"{parts.netloc}{parts.path}".rstrip("/")
        return fs.FileSystem.from_uri(text)
    except (OSError, ValueError) as error:
        message = f"{text}: expected a path or the address of an object store, such as s3://bucket/folder: {error}"
        raise SchemaError(message) from error


def check_address(location: str | Path) -> None:
    """Refuse an address that holds credentials: addresses go into reports, the record of use and MLflow.

    Raises
    ------
    SchemaError
        Without the address.

    Examples
    --------
    >>> check_address("s3://bucket/events")
    """
    if not is_remote(location):
        return
    parts = urlsplit(str(location))
    user = parts.netloc.rpartition("@")[0]
    named = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    # abfs://container@account names no user; a pair of key and secret stands before the bucket elsewhere.
    if (
        ":" in user
        or (user and not parts.scheme.startswith("abfs"))
        or any(word in n for n in named for word in _SECRETS)
    ):
        message = (
            f"expected the address of a {parts.scheme} store without credentials, since addresses are written into "
            "reports; give them in the environment (AWS_ACCESS_KEY_ID and so on) or the machine's profile"
        )
        raise SchemaError(message)


def files_at(pattern: str) -> tuple[fs.FileSystem, tuple[str, ...]]:
    """The files of an object store that an address or a glob names, and the store.

    Parameters
    ----------
    pattern : str
        The address of a file, of a folder (all that is below it), or a glob: ``*`` stays within a folder, ``**`` does
        not, ``[…]`` is one of some characters.

    Returns
    -------
    system : pyarrow.fs.FileSystem
    paths : tuple of str
        In the order of their names; empty if there are none.

    Raises
    ------
    SchemaError
        If the address holds credentials or cannot be read, or the store does not answer.
    """
    check_address(pattern)
    wild = _WILD.search(pattern)
    base = pattern[: wild.start()].rpartition("/")[0] if wild else pattern
    system, path = file_system(base)
    fits = re.compile(_regex(path + pattern[len(base) :]) if wild else ".*", re.DOTALL)
    try:
        found = [system.get_file_info(path)]
        if found[0].type != fs.FileType.File:
            found = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    except OSError as error:
        message = f"{pattern}: the store does not answer: {str(error).splitlines()[0]}"
        raise SchemaError(message) from error
    return system, tuple(sorted(f.path for f in found if f.type == fs.FileType.File and fits.fullmatch(f.path)))


def _regex(pattern: str) -> str:
    """A glob as a regular expression."""
    kinds = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    parts = re.split(r"(\*\*/|\*\*|\*|\[!?[^\]]+\])", pattern)
    return "".join(
        kinds.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part)) for part in parts
    )
