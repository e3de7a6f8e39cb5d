"""Users banned from Wikipedia, one score per edit, from raw edits to the registered models.

Learns from the edits before the last 15 %, scores those with the registered models, and prints the metrics beside the
published ones. A ban is a label on the user's last edit, known from that edit on; an edit is scored from itself and
what was strictly before it.

The data and its published figures: Kumar, Zhang, Leskovec, "Predicting dynamic embedding trajectory in temporal
interaction networks", KDD 2019; Rossi et al., "Temporal graph networks", 2020; Yu et al., "Towards better dynamic graph
learning", NeurIPS 2023.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..config import load_config
from ..features.events import EventLog
from ..serving.batch import ScoringRequest, score_to_file
from ..training.labels import confirmed, read_labels
from ..training.splits import Period
from ..training.store import open_store
from ..training.train import train
from .benchmarks import PUBLISHED_COLUMNS, add_ours, data_folder, judge, over_seeds

if TYPE_CHECKING:
    from ..features.timeline import Timeline
    from ..training.labels import Labels
    from ..training.store import Store

__all__ = ["PUBLISHED", "VARIANTS", "Variant", "main", "run"]

PUBLISHED = {
    "JODIE": 0.8899, "TGN": 0.878, "DyGFormer": 0.874, "GraphMixer": 0.868, "DyRep": 0.864, "TGAT": 0.841,
}  # fmt: skip
_CONFIG = Path(__file__).parent / "configs" / "wikipedia_bans.toml"
_JUDGED = 0.85  # of the edits come before those that are judged


@dataclass(frozen=True)
class Variant:
    """What may be learned from.

    Attributes
    ----------
    share : float
        How many of the edits, the first in time.
    labels : bool
        False: no ban is known, neither to the fit nor to a feature.
    """

    share: float = _JUDGED
    labels: bool = True


VARIANTS = {"all_earlier": Variant(), "first_70": Variant(share=0.70), "no_labels": Variant(labels=False)}


@dataclass(frozen=True, eq=False)
class _Bans:
    """The edits and the bans, read once."""

    folder: Path
    timeline: Timeline
    labels: Labels

    @property
    def events(self) -> Path:
        return self.folder / "events.parquet"

    @property
    def bans(self) -> Path:
        return self.folder / "labels.parquet"

    def after(self, share: float) -> int:
        """The first instant later than so many of the edits, microseconds since 1970 UTC."""
        return int(np.floor(np.quantile(self.timeline.at, share))) + 1


def run(folder: Path, home: Path, *, seed: int, variant: str = "all_earlier") -> dict[str, dict[str, float]]:
    """Train and register with one seed, score the last 15 % of the edits with each registered model, and measure.

    Parameters
    ----------
    folder : Path
        Holds events.parquet and labels.parquet.
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
    chosen, config = VARIANTS[variant], load_config(_CONFIG)
    store = open_store(home, experiment=config.store.experiment)
    log = EventLog.open(folder / "events.parquet", config.roles())
    timeline, _, _ = log.read()
    bans = _Bans(folder, timeline, read_labels(folder / "labels.parquet", locate=timeline.locate))
    learned, judged = Period(None, bans.after(chosen.share)), Period(bans.after(_JUDGED), None)
    settings = replace(config.training_settings(log.roles.time_zone), seed=seed, train=learned, test=judged)
    result = train(log, bans.bans if chosen.labels else None, settings=settings, store=store)
    return {
        candidate.kind: _measured(bans, store, version.uri, known=chosen.labels)
        for candidate, version in zip(result.candidates, result.versions, strict=True)
    }


def _measured(bans: _Bans, store: Store, model_uri: str, *, known: bool) -> dict[str, float]:
    """Score from raw edits with the registered model, and judge the edits after the split."""
    first, output = bans.after(_JUDGED), store.home / "scores.parquet"
    days = datetime.fromtimestamp(first / 1e6, UTC).date(), None
    told = bans.bans if known else None
    written = score_to_file(ScoringRequest(bans.events, model_uri, output, days=days, reasons=0, labels=told), store)
    judged = written.batch.vectors.as_of > first
    vectors, score = written.batch.vectors.take(judged), written.table["score"].to_numpy()[judged]
    return judge(vectors, score, confirmed(vectors, bans.labels, known_by=None))


def _print(results: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*PUBLISHED_COLUMNS, title="wikipedia_bans, the last 15 % of the edits")
    for name, figure in PUBLISHED.items():
        table.add_row(f"published: {name}", f"{figure:.3f}", "", "")
    add_ours(table, results)
    Console(width=110).print(table)


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Seeds 0 to N - 1.")
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), help="Folder of the store; temporary by default."
)
@click.option(
    "--variant", "variants", multiple=True, type=click.Choice(list(VARIANTS)), help="One of them; all by default."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(seeds: int, home: Path | None, variants: tuple[str, ...], json_path: Path | None) -> None:
    """Judge the registered models by who was banned from Wikipedia."""
    folder = data_folder("wikipedia_bans")
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
