"""Reading a detector's data files, with errors that name the file and the way out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

__all__ = ["FORMAT", "read_about", "read_table"]

FORMAT = 1


def read_about(folder: Path, kind: str) -> dict[str, Any]:
    """Read detector.json and check that it speaks of this kind of detector, in a format known here."""
    path = folder / "detector.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read as JSON ({error}); save the detector again"
        raise BundleError(message) from error
    if not isinstance(about, dict) or (about.get("kind"), about.get("format")) != (kind, FORMAT):
        message = f"{path}: expected a detector of kind {kind!r} in format {FORMAT}, got {str(about)[:80]}"
        raise BundleError(message)
    return about


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Read an Arrow file as one array per column."""
    try:
        with pa.ipc.open_file(path) as reader:
            table = reader.read_all()
    except (OSError, pa.ArrowInvalid) as error:
        message = f"{path} cannot be read as an Arrow file ({error}); save the detector again"
        raise BundleError(message) from error
    return {name: table.column(name).to_numpy() for name in table.column_names}
