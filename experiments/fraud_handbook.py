"""The Fraud Detection Handbook's test, one score per payment, from raw events to the registered models.

Trains with the checked-in settings, on the book's week and, in another variant, on all labels known by then; scores the
test week with the registered models, and prints the metrics beside the published ones.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import load_config
from ..features.events import EventLog
from ..serving.batch import ScoringRequest, score_to_file
from ..training.labels import DAY, confirmed, entities_known_bad, read_labels
from ..training.store import open_store
from ..training.train import train
from .benchmarks import PUBLISHED_COLUMNS, add_ours, data_folder, judge, over_seeds

if TYPE_CHECKING:
    from ..config import Config
    from ..training.labels import Labels
    from ..training.store import Store

__all__ = ["PUBLISHED", "VARIANTS", "main", "run"]

PUBLISHED = {
    "logistic regression (ch. 3)": (0.871, 0.606, 0.291),
    "random forest (ch. 3)": (0.867, 0.658, 0.287),
    "XGBoost (ch. 3)": (0.862, 0.639, 0.273),
    "LSTM (ch. 7)": (0.876, 0.665, 0.297),
    "Isolation Forest, no labels (ch. 7)": (0.808, 0.164, 0.190),
    "autoencoder, no labels (ch. 7)": (0.836, 0.180, 0.217),
}
_CONFIGS = Path(__file__).parent / "configs"
VARIANTS = {"book_week": "fraud_handbook.toml", "all_labels": "fraud_handbook_all_labels.toml"}
_WEEK = (date(2018, 8, 8), date(2018, 8, 15))
_KNOWN_SINCE = 17_737 * DAY  # 25 July 2018: customers defrauded from then on are left out once that is known


@dataclass(frozen=True)
class Protocol:
    """The book's data and our settings for it."""

    folder: Path
    config: Config

    @property
    def events(self) -> Path:
        """The payments."""
        return self.folder / "events.parquet"

    @property
    def labels(self) -> Path:
        """The frauds."""
        return self.folder / "labels.parquet"


def run(folder: Path, home: Path, *, seed: int, variant: str = "book_week") -> dict[str, dict[str, float]]:
    """Train and register with one seed, score the test week with each registered model, and measure.

    Parameters
    ----------
    folder : Path
        Holds the book's events.parquet and labels.parquet.
    home : Path
        Gets the MLflow store and the scores.
    seed : int
    variant : str
        One of :data:`VARIANTS`.

    Returns
    -------
    dict
        Detector kind to ``roc_auc``, ``average_precision`` and ``cp_at_100``.
    """
    protocol = Protocol(folder, load_config(_CONFIGS / VARIANTS[variant]))
    store = open_store(home, experiment=protocol.config.store.experiment)
    log = EventLog.open(protocol.events, protocol.config.roles())
    settings = replace(protocol.config.training_settings(log.roles.time_zone), seed=seed)
    result = train(log, protocol.labels, settings=settings, store=store)
    timeline, _, _ = log.read()
    labels = read_labels(protocol.labels, locate=timeline.locate)
    return {
        candidate.kind: _measured(protocol, labels, store, version.uri)
        for candidate, version in zip(result.candidates, result.versions, strict=True)
    }


def _measured(protocol: Protocol, labels: Labels, store: Store, model_uri: str) -> dict[str, float]:
    """Score the week from raw events with the registered model, and judge by the book's protocol."""
    output = store.home / "scores.parquet"
    request = ScoringRequest(protocol.events, model_uri, output, days=_WEEK, reasons=0, labels=protocol.labels)
    written = score_to_file(request, store)
    vectors, score = written.batch.vectors, written.table["score"].to_numpy()
    judged = ~entities_known_bad(vectors, labels, since=_KNOWN_SINCE)
    return judge(vectors.take(judged), score[judged], confirmed(vectors, labels, known_by=None)[judged])


def _print(results: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*PUBLISHED_COLUMNS, title="fraud_handbook, 8 to 14 August 2018")
    for name, figures in PUBLISHED.items():
        table.add_row(f"published: {name}", *(f"{figure:.3f}" for figure in figures))
    add_ours(table, results)
    Console(width=110).print(table)


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds 0 to N - 1.")
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), help="Folder of the store; temporary by default."
)
@click.option(
    "--variant", "variants", multiple=True, type=click.Choice(list(VARIANTS)), help="One of them; all by default."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(seeds: int, home: Path | None, variants: tuple[str, ...], json_path: Path | None) -> None:
    """Run the Fraud Detection Handbook's test on the registered models."""
    folder = data_folder("fraud_handbook")
    with tempfile.TemporaryDirectory() as temporary:
        place = home or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        results = {
            variant: over_seeds([run(folder, place, seed=seed, variant=variant) for seed in range(seeds)])
            for variant in variants or VARIANTS
        }
    _print(results)
    if json_path is not None:
        json_path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
