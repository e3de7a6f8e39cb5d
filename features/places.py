"""Where files lie: a folder of this machine or an object store, told apart by the address.

Addresses are those of pyarrow's own file systems (``s3://bucket/key``, ``gs://``, ``abfs://``, ``hdfs://``,
``file://``), so credentials and regions come from where these look for them: the environment, the profile of the
machine. ``s3`` also heeds ``AWS_ENDPOINT_URL``, the customary way to name a store that is not Amazon's.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs

from ..errors import SchemaError

__all__ = ["file_system", "is_remote"]

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
