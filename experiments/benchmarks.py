"""What the benchmarks on logs of others share: where their data is, how scores are judged, and the table of figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..training.metrics import evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from rich.table import Table

    from ..features.vectors import Vectors

    Figures = Mapping[str, float]
    Spread = Mapping[str, Mapping[str, float]]

__all__ = ["METRICS", "PUBLISHED_COLUMNS", "add_ours", "data_folder", "judge", "over_seeds"]

METRICS = {
    "roc_auc": "ranking/roc_auc",
    "average_precision": "ranking/average_precision",
    "cp_at_100": "budget/card_precision_at_k",
}
PUBLISHED_COLUMNS = ("", "ROC AUC", "average precision", "CP@100")
_DAY = 86_400_000_000


def data_folder(name: str) -> Path:
    """Where a benchmark's data is: under ``PECULIAR_DATA``, by default ``../shared/data``.

    Raises
    ------
    ConfigError
        If it is not there.
    """
    folder = Path(os.environ.get("PECULIAR_DATA", "../shared/data")) / name
    if not (folder / "events.parquet").is_file():
        message = (
            f"expected the benchmark {name} at {folder}, found none; set PECULIAR_DATA to the folder that holds it"
        )
        raise ConfigError(message)
    return folder


def judge(vectors: Vectors, score: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, float]:
    """The three figures of some scored rows: ``roc_auc``, ``average_precision``, ``cp_at_100``."""
    days = (vectors.as_of - 1) // _DAY
    found = evaluate(truth, score, day=days, entity=vectors.entity, budget=100)
    return {name: found[key] for name, key in METRICS.items()}


def over_seeds(runs: Sequence[Mapping[str, Figures]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over seeds, per detector and metric.

    Examples
    --------
    >>> runs = [{"forest": {"roc_auc": 0.8}}, {"forest": {"roc_auc": 0.9}}]
    >>> {name: round(value, 3) for name, value in over_seeds(runs)["forest"]["roc_auc"].items()}
    {'mean': 0.85, 'std': 0.05}
    """
    return {
        kind: {
            metric: {"mean": float(np.mean(values)), "std": float(np.std(values))}
            for metric in runs[0][kind]
            for values in [[each[kind][metric] for each in runs]]
        }
        for kind in runs[0]
    }


def add_ours(table: Table, results: Mapping[str, Mapping[str, Spread]]) -> None:
    """One row per variant and detector, mean and spread over seeds, below a line."""
    table.add_section()
    for variant, kinds in results.items():
        for kind, metrics in kinds.items():
            told = (f"{metrics[metric]['mean']:.3f} ± {metrics[metric]['std']:.3f}" for metric in METRICS)
            table.add_row(f"ours: {kind}, {variant.replace('_', ' ')}", *told)
