"""A fitted grove as data files: Arrow for nodes, inputs and tails, JSON for the rest; none of it is code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import BundleError
from .bundles import FORMAT, read_about, read_table
from .conditioning import Inputs
from .forest import Forest
from .reach import Reach
from .tail import Tail

if TYPE_CHECKING:
    from pathlib import Path

    from .isolation_forest import FittedIsolationForest

__all__ = ["GroveParts", "load_grove", "save_grove"]


@dataclass(frozen=True, eq=False)
class GroveParts:
    """What the files of a grove say."""

    settings: dict[str, Any]
    features: tuple[str, ...]
    families: tuple[str, ...]
    subjects: tuple[str, ...]
    forests: tuple[Forest, ...]
    tails: tuple[Tail, ...]
    opinions: tuple[Tail, ...]
    reach: Reach


def save_grove(fitted: FittedIsolationForest, folder: Path, *, settings: dict[str, Any]) -> None:
    """Write the files of a grove into an existing folder."""
    about = {
        "kind": fitted.kind,
        "format": FORMAT,
        "settings": settings,
        "features": list(fitted.features),
        "families": list(fitted.families),
        "subjects": list(fitted.subjects),
        "trees": [forest.trees for forest in fitted.forests],
        "excess": [tail.excess for tail in fitted.tails + fitted.opinions],
    }
    (folder / "detector.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    nodes = {"feature": pa.int32(), "threshold": pa.float32(), "rows": pa.int32()}
    _write(folder / "nodes.arrow", nodes, [(_tree_numbers(forest), forest) for forest in fitted.forests])
    inputs = {"column": pa.int32(), "indicator": pa.bool_(), "fill": pa.float32()}
    _write(folder / "inputs.arrow", inputs, [(None, forest.inputs) for forest in fitted.forests])
    tails = {"score": pa.float64(), "surprise": pa.float64()}
    _write(folder / "tails.arrow", tails, [(None, tail) for tail in fitted.tails + fitted.opinions])
    fitted.reach.save(folder / "reach.arrow")


def load_grove(folder: Path) -> GroveParts:
    """Read the files of a grove.

    Raises
    ------
    BundleError
        If a file is missing or unreadable, or of another format.
    """
    about = read_about(folder, "isolation_forest")
    nodes, inputs, tails = (read_table(folder / f"{name}.arrow") for name in ("nodes", "inputs", "tails"))
    forests = tuple(_forest(number, trees, nodes, inputs) for number, trees in enumerate(about["trees"]))
    knots = [_part(tails, number) for number in range(len(about["excess"]))]
    curves = tuple(Tail(k["score"], k["surprise"], excess) for k, excess in zip(knots, about["excess"], strict=True))
    features, families, subjects = (tuple(about[key]) for key in ("features", "families", "subjects"))
    for number, forest in enumerate(forests):
        _check_forest(forest, len(features), f"{folder}: forest {number}")
    tails_of, opinions = curves[: len(forests)], curves[len(forests) :]
    reach = Reach.load(folder / "reach.arrow", len(features))
    if (
        len(tails_of) not in {0, len(forests)}
        or reach.value.shape[2] < 2
        or np.any(reach.group >= max(1, len(forests) - 1))
    ):
        message = (
            f"{folder}: expected a tail of each forest, and columns of forests that exist; save the detector again"
        )
        raise BundleError(message)
    tables = (forests, tails_of, opinions, reach)
    return GroveParts(about["settings"], features, families, subjects, *tables)


def _write(path: Path, columns: dict[str, pa.DataType], parts: list[tuple[Any, Any]]) -> None:
    names = ["forest", *columns] if all(tree is None for tree, _ in parts) else ["forest", "tree", *columns]
    types = {"forest": pa.int32(), "tree": pa.int32(), **columns}
    lengths = [len(getattr(part, next(iter(columns)))) for _, part in parts]
    arrays = {name: [np.asarray(getattr(part, name)) for _, part in parts] for name in columns}
    arrays["forest"] = [np.full(length, number) for number, length in enumerate(lengths)]
    arrays["tree"] = [tree for tree, _ in parts]
    joined = [pa.array(np.concatenate(arrays[name] or [np.zeros(0)])).cast(types[name]) for name in names]
    table = pa.table(joined, names=names)
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)


def _tree_numbers(forest: Forest) -> np.ndarray:
    return np.repeat(np.arange(forest.trees), np.diff(forest.root))


def _part(table: dict[str, np.ndarray], number: int) -> dict[str, np.ndarray]:
    start, stop = np.searchsorted(table["forest"], [number, number + 1])
    return {name: column[start:stop].copy() for name, column in table.items()}


def _forest(number: int, trees: int, nodes: dict[str, np.ndarray], inputs: dict[str, np.ndarray]) -> Forest:
    own, seen = _part(nodes, number), _part(inputs, number)
    root = np.searchsorted(own["tree"], np.arange(trees + 1)).astype(np.int32)
    where = Inputs(seen["column"], seen["indicator"], seen["fill"])
    return Forest(where, root, own["feature"], own["threshold"], own["rows"])


def _check_forest(forest: Forest, n_features: int, where: str) -> None:
    """See that the nodes are trees over columns that exist: compiled code follows them without looking."""
    size, inner = np.diff(forest.root), forest.feature >= 0
    asking = np.add.reduceat(inner, forest.root[:-1]) if len(size) and (size > 0).all() else np.full(len(size), -1)
    here = np.arange(len(inner))
    sound = (
        len(size) > 0
        and np.array_equal(size, 2 * asking + 1)  # a tree has one leaf more than questions
        and forest.root[-1] == len(inner)
        and bool((forest.left[inner] > here[inner]).all())
        and bool((forest.feature < len(forest.inputs.column)).all())
        and bool(((forest.inputs.column >= 0) & (forest.inputs.column < n_features)).all())
        and bool((forest.rows > 0).all())
    )
    if not sound:
        message = f"{where}: expected trees over {n_features} columns, found nodes that lead nowhere; save it again"
        raise BundleError(message)
