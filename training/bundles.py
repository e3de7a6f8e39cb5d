"""A model's data files, looked through before anything is built of them.

A file that fits its sum is whole; that it is also sound is checked here, by its kind, so that a folder whose manifest
was made to fit as well still gives an error and no crash: JSON says each thing once, Arrow holds numbers, text and
lists of them and no types of a library's own, and LightGBM's trees are trees.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import BundleError
from .booster_text import check_booster_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

__all__ = ["FORMAT", "KINDS", "check_file", "once", "read_about", "read_json", "read_table"]

FORMAT = 1


def read_json(path: Path) -> Any:
    """Read a JSON file that says each thing once; only a card may say NaN, of a figure that could not be told.

    Raises
    ------
    BundleError
        If it cannot be read, or a name comes twice in an object: which one counts would depend on the reader.
    """
    constant = float if path.name == "card.json" else _no_number
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once, parse_constant=constant)
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path} cannot be read as JSON ({error}); save it again"
        raise BundleError(message) from error


def _no_number(word: str) -> float:
    message = f"{word} is no number"
    raise ValueError(message)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs of a JSON object as a dict, for ``object_pairs_hook``; a ValueError if a name comes twice."""
    named = dict(pairs)
    if len(named) < len(pairs):
        twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        message = f"{twice[:40]!r} comes twice"
        raise ValueError(message)
    return named


def read_about(folder: Path, kind: str) -> dict[str, Any]:
    """Read detector.json and check that it speaks of this kind of detector, in a format known here."""
    path = folder / "detector.json"
    about = read_json(path)
    if not isinstance(about, dict) or (about.get("kind"), about.get("format")) != (kind, FORMAT):
        message = f"{path}: expected a detector of kind {kind!r} in format {FORMAT}, got {str(about)[:80]}"
        raise BundleError(message)
    return about


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Read an Arrow file as one array per column."""
    table = _arrow(path)
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _arrow(path: Path) -> pa.Table:
    """An Arrow file's table: plain types, no nulls, offsets that stay within."""
    try:
        with pa.ipc.open_file(path) as reader:
            odd = [field.name for field in reader.schema if not _plain(field.type)]
            if odd:
                message = f"{path}: column {odd[0]!r} is {reader.schema.field(odd[0]).type}; expected numbers or text"
                raise BundleError(message)
            table = reader.read_all()
        table.validate(full=True)
        if any(column.null_count for column in table.columns):
            message = f"{path}: expected a value in every row, found nulls; save the detector again"
            raise BundleError(message)
    except (OSError, pa.ArrowException, MemoryError) as error:
        message = f"{path} cannot be read as an Arrow file ({error}); save the detector again"
        raise BundleError(message) from error
    return table


def _plain(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _plain(kind.value_type)
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or kind == pa.string()


def _booster(path: Path) -> None:
    try:
        check_booster_text(path.read_bytes().decode())
    except (OSError, ValueError, OverflowError) as error:
        message = f"{path} cannot be read as LightGBM's text ({str(error)[:200]}); save the detector again"
        raise BundleError(message) from error


def _text(path: Path) -> None:
    try:
        path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read as text ({error}); save the model again"
        raise BundleError(message) from error


KINDS: dict[str, Callable[[Path], Any]] = {
    ".json": read_json,
    ".arrow": _arrow,
    ".txt": _booster,
    ".html": _text,
    ".md": _text,
}


def check_file(path: Path) -> None:
    """See that a file is a sound one of its kind.

    Raises
    ------
    BundleError
        Naming the file and what is wrong with it.
    """
    KINDS[path.suffix](path)
