"""The verbs of the ``peculiar`` command that use a registered model: score and what follows from scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import CONFIG, HOME, JSON, LABELS, progress_bar, write_json

if TYPE_CHECKING:
    from datetime import date, datetime

__all__ = ["SERVING_VERBS"]


@click.command()
@click.argument("events")
@click.option(
    "--model", "model_uri", default="models:/peculiar@champion", show_default=True, help="Which model scores."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Parquet to write."
)
@LABELS
@CONFIG
@click.option("--budget", help="Alerts that can be read in a day; as the settings say, else 100/day.")
@click.option("--fdr", type=float, help="Alert so that about this share of alerts is false, instead of by budget.")
@click.option("--since", type=click.DateTime(), help="First day to score; the whole log by default.")
@click.option("--until", type=click.DateTime(), help="The day after the last one to score.")
@click.option("--reasons", type=click.IntRange(min=0), help="Reasons per alert; as the settings say, else 3.")
@HOME
@JSON
def score(**options: Any) -> None:
    """Score EVENTS with the registered model; the oddest of each day come with reasons."""
    from .config import load_config
    from .serving.batch import ScoringRequest, score_to_file
    from .serving.picks import Exploration
    from .serving.report import oddest
    from .serving.scoring import Budget
    from .training.store import open_store

    config = load_config(options["config_path"])
    alerts = config.alerts
    fdr = alerts.fdr if options["fdr"] is None else options["fdr"]
    unbounded = fdr is not None and options["budget"] is None and "budget" not in alerts.model_fields_set
    request = ScoringRequest(
        events=options["events"],
        model_uri=options["model_uri"],
        output=options["output"],
        budget=None if unbounded else Budget.parse(options["budget"] or alerts.budget).per_day,
        days=(_day(options["since"]), _day(options["until"])),
        reasons=alerts.reasons if options["reasons"] is None else options["reasons"],
        labels=options["labels"],
        fdr=fdr,
        explore=Exploration(alerts.explore, config.training.seed) if alerts.explore else None,
    )
    with progress_bar("scoring") as progress:
        written = score_to_file(request, open_store(options["home"]), progress=progress)
    click.echo(written.report)
    click.echo(oddest(written.table, limit=10))
    click.echo(f"{written.output}: {written.table.num_rows:,} rows, {written.alerts:,} alerts, model {written.model}")
    write_json(options["json_path"], written.to_dict())


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


SERVING_VERBS: tuple[click.Command, ...] = (score,)
