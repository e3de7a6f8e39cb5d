"""The verbs of the ``peculiar`` command that use a registered model: score and what follows from scores."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import CONFIG, HOME, JSON, LABELS, MEMORY, days_of_text, progress_bar, write_json

if TYPE_CHECKING:
    from datetime import date, datetime

    from .serving.batch import ScoringRequest, WrittenScores
    from .serving.large_run import LargeScores
    from .serving.nightly import WrittenDataset
    from .training.store import Store

__all__ = ["SERVING_VERBS"]

_BUDGET = click.option("--budget", help="Alerts that can be read in a day; as the settings say, else 100/day.")
_FDR = click.option(
    "--fdr", type=float, help="Alert so that about this share of alerts is false, instead of by budget."
)


@click.command()
@click.argument("events")
@click.option(
    "--model", "model_uri", default="models:/peculiar@champion", show_default=True, help="Which model scores."
)
@click.option(
    "-o", "--output", required=True, help="Parquet to write, or the folder of a dataset; a path, or s3://bucket/…"
)
@LABELS
@CONFIG
@_BUDGET
@_FDR
@click.option(
    "--since", type=click.DateTime(), help="First day to score; by default the day after a dataset's last, or all."
)
@click.option("--until", type=click.DateTime(), help="The day after the last one to score.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Score this day alone; instead of --since and --until.")
@click.option("--late", help="Days before the first, as 2d, that a dataset has and that are scored again.")
@click.option("--reasons", type=click.IntRange(min=0), help="Reasons per alert; as the settings say, else 3.")
@click.option("--shadow/--no-shadow", default=None, help="Let a challenger score beside the champion, as it does.")
@MEMORY
@HOME
@JSON
def score(**options: Any) -> None:
    """Score EVENTS with the registered model; the oddest of each day come with reasons.

    An output without .parquet at its end is a dataset, a folder for each day: what is there already is left alone.
    With --memory EVENTS may be a store that peculiar store add keeps: the days of the horizon alone are read.
    """
    from .config import load_config
    from .features.places import is_remote
    from .serving.batch import ScoringRequest
    from .serving.dataset import is_dataset
    from .training.store import open_store

    config, output = load_config(options["config_path"]), options["output"]
    request = ScoringRequest(
        events=options["events"],
        model_uri=options["model_uri"],
        output=output if is_remote(output) else Path(output),
        days=_period(options),
        reasons=config.alerts.reasons if options["reasons"] is None else options["reasons"],
        labels=options["labels"],
        rules=config.alert_rules(budget=options["budget"], fdr=options["fdr"]),
        late=config.scoring.days["late"] if options["late"] is None else days_of_text(options["late"], "--late"),
        block=config.scoring.days["block"],
        shadow=config.scoring.shadow if options["shadow"] is None else options["shadow"],
    )
    store = open_store(options["home"])
    if options["memory"]:
        written: WrittenScores | WrittenDataset | LargeScores = _within(request, store, options["memory"])
    else:
        written = _into_dataset(request, store) if is_dataset(output) else _into_file(request, store)
    if written.untracked:
        click.echo(f"peculiar: {written.untracked}", err=True)
    write_json(options["json_path"], written.to_dict())


def _into_file(request: ScoringRequest, store: Store) -> WrittenScores:
    from .serving.batch import score_to_file
    from .serving.report import oddest

    with progress_bar("scoring") as progress:
        written = score_to_file(request, store, progress=progress)
    click.echo(written.report)
    click.echo(oddest(written.table, limit=10))
    click.echo(f"{written.output}: {written.table.num_rows:,} rows, {written.alerts:,} alerts, model {written.model}")
    return written


def _within(request: ScoringRequest, store: Store, memory: str) -> LargeScores:
    from .features.memory import bytes_of
    from .serving.dataset import is_dataset
    from .serving.large_run import score_within
    from .serving.report import oddest

    if is_dataset(str(request.output)):
        raise click.UsageError("expected a file ending in .parquet as output with --memory, got a dataset")
    with progress_bar("scoring") as progress:
        written = score_within(request, store, memory=bytes_of(memory), progress=progress)
    click.echo(written.report)
    click.echo(oddest(written.listed, limit=10))
    rows, alerts = written.counts["rows"], written.counts["alerts"]
    click.echo(f"{written.output}: {rows:,} rows, {alerts:,} alerts, model {written.model}")
    return written


def _into_dataset(request: ScoringRequest, store: Store) -> WrittenDataset:
    from .serving.dataset import read_scores
    from .serving.nightly import score_to_dataset
    from .serving.report import oddest

    with progress_bar("scoring") as progress:
        written = score_to_dataset(request, store, progress=progress)
    click.echo(written.report)
    if days := written.written:
        click.echo(oddest(read_scores(written.location, days), limit=10))
    click.echo(written.summary())
    return written


@click.command()
@click.argument("user")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]),
    required=True,
    help="The day, or a time within the window, in the log's zone.",
)
@click.option("--events", help="The log: a Parquet, CSV or NDJSON file, folder or glob.")
@click.option(
    "--model", "model_uri", default="models:/peculiar@champion", show_default=True, help="Which model explains."
)
@LABELS
@CONFIG
@_BUDGET
@_FDR
@click.option("--reasons", type=click.IntRange(min=1), default=5, show_default=True, help="Reasons at most.")
@click.option("--limit", type=click.IntRange(min=1), default=15, show_default=True, help="Events shown at most.")
@HOME
@JSON
def explain(**options: Any) -> None:
    """Print the dossier of USER at a date: why it stands out, what exactly it did, and what speaks against suspicion.

    Whether it was an alert goes by the rules of score: give the same settings, and the same --budget or --fdr. Each
    use is on record, with the name.
    """
    from rich.console import Console

    from .config import load_config
    from .errors import ConfigError
    from .serving.dossier import DossierRequest, explain_entity
    from .serving.dossier_listing import dossier_listing
    from .training.store import open_store

    if options["events"] is None:
        raise ConfigError("expected --events, the log that holds the day and the weeks before it, got none")
    names = {"entity": "user", "at": "at", "events": "events", "model_uri": "model_uri", "labels": "labels"}
    given = {name: options[option] for name, option in names.items()}
    rules = load_config(options["config_path"]).alert_rules(budget=options["budget"], fdr=options["fdr"])
    request = DossierRequest(**given, reasons=options["reasons"], rules=rules)
    with progress_bar("explaining") as progress:
        dossier = explain_entity(request, open_store(options["home"]), progress=progress)
    console = Console()
    console = console if console.is_terminal else Console(width=100)  # into a file or a pipe: as wide as it is made for
    for part in dossier_listing(dossier, limit=options["limit"]):
        console.print(part)
    write_json(options["json_path"], dossier.to_dict())


@click.command()
@click.argument("scores")
@click.option("--events", help="The log that was scored: a Parquet, CSV or NDJSON file, folder or glob.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="HTML file to write."
)
@click.option("--model", "model_uri", help="Which model made the scores; by default the version that they name.")
@LABELS
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day to review; by default all of SCORES.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The day after the last one to review.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Review this day alone.")
@click.option("--reasons", type=click.IntRange(min=1), default=3, show_default=True, help="Reasons per alert.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Events shown per alert.")
@click.option("--blind/--open", default=None, help="Leave out scores and ranks; by default where picks are random.")
@click.option("--mlflow/--no-mlflow", "tracked", default=True, show_default=True, help="Log the page to MLflow, too.")
@HOME
@JSON
def review(**options: Any) -> None:
    """Put the alerts of SCORES, a file or a dataset, on one HTML page, to be decided on without any network.

    The page names people. Each use is on record, and with --mlflow whoever sees the experiment sees the page.
    """
    from .errors import ConfigError
    from .serving.reviewing import ReviewRequest, review_scores
    from .training.store import open_store

    if options["events"] is None:
        raise ConfigError("expected --events, the log that was scored, got none")
    names = {"scores", "events", "output", "model_uri", "reasons", "labels", "blind", "tracked"}
    given = {name: options[name] for name in names}
    request = ReviewRequest(**given, most_events=options["limit"], days=_period(options))
    with progress_bar("reviewing") as progress:
        written = review_scores(request, open_store(options["home"]), progress=progress)
    for note in written.notes:
        click.echo(f"  note: {note}")
    if written.untracked:
        click.echo(f"peculiar: {written.untracked}", err=True)
    how = "; blind, since some were drawn at random" if written.blind and options["blind"] is None else ""
    size = f"{written.size / 1e6:.1f} MB, model {written.model}"
    click.echo(f"{written.output}: {written.alerts:,} alerts, {size}{how}")
    click.echo("open it in a browser; it names people, so keep it as safe as the log")
    if written.run_id:
        click.echo(f"in MLflow: run {written.run_id}, artifact review/{written.output.name}")
    write_json(options["json_path"], written.to_dict())


@click.command()
@click.argument("scores", required=False)
@click.option("--model", "version", default="@champion", show_default=True, help="A version: 3, @champion, cards/3.")
@click.option("--at", "at", type=click.IntRange(min=1), multiple=True, help="This budget, too; may be given again.")
@click.option(
    "--labels", type=click.Path(path_type=Path, exists=True), help="All trouble in the time of SCORES, not verdicts."
)
@click.option("--events", help="The log that was scored, for labels that name events alone.")
@click.option("--team", help="Only the windows of this team of SCORES.")
@CONFIG
@HOME
@JSON
def budget(**options: Any) -> None:
    """Show what other budgets would bring: alerts and cases a day, expected precision and recall.

    On the windows that the version was judged on, or on SCORES that were made later, a file or a dataset, with the
    verdicts that came in since.
    """
    from rich.console import Console

    from .config import load_config
    from .errors import ConfigError
    from .serving.budgets import BudgetRequest, budget_listing, play_budgets
    from .training.store import open_store

    if options["labels"] is not None and options["scores"] is None:
        raise ConfigError("expected SCORES with --labels, got labels alone; a version was judged by its own")
    if options["team"] is not None and options["scores"] is None:
        raise ConfigError("expected SCORES with --team, got a team alone; what a version was judged on knows no teams")
    config = load_config(options["config_path"])
    rules = config.alert_rules()
    request = BudgetRequest(
        model=options["version"],
        name=config.store.model,
        scores=options["scores"],
        labels=options["labels"],
        events=options["events"],
        budgets=options["at"],
        per=rules.per,
        gap=rules.case_gap,
        team=options["team"],
    )
    played = play_budgets(request, open_store(options["home"], experiment=config.store.experiment))
    console = Console()
    console = console if console.is_terminal else Console(width=100)  # into a file or a pipe: as wide as it is made for
    for part in budget_listing(played):
        console.print(part)
    write_json(options["json_path"], played.to_dict())


@click.command()
@click.argument("events")
@click.option(
    "--model", "model_uri", default="models:/peculiar@champion", show_default=True, help="Whose training it is held to."
)
@click.option("--scores", help="What peculiar score wrote of these days, a file or dataset; else they are scored.")
@LABELS
@CONFIG
@click.option("--since", type=click.DateTime(), help="First day; by default the one after training and test.")
@click.option("--until", type=click.DateTime(), help="The day after the last one; by default until the last event.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="This day alone; instead of --since and --until.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="HTML page to write.")
@HOME
@JSON
@click.pass_context
def monitor(context: click.Context, /, **options: Any) -> None:
    """Tell a fault of the data, a change of behaviour and other people apart, on days of EVENTS.

    Ends with 0 if nothing moved, 3 if the data has a fault, 4 if behaviour changed, 5 if other people are there.
    """
    from rich.console import Console

    from .config import load_config
    from .serving.monitor_listing import monitor_listing
    from .serving.watch import MonitorRequest
    from .serving.watch import monitor as monitor_period
    from .training.store import open_store

    names = ("events", "model_uri", "labels", "scores", "output")
    given = {name: options[name] for name in names}
    rules = load_config(options["config_path"]).alert_rules()
    request = MonitorRequest(**given, days=_period(options), rules=rules)
    with progress_bar("monitoring") as progress:
        watched = monitor_period(request, open_store(options["home"]), progress=progress)
    console = Console()
    console = console if console.is_terminal else Console(width=100)  # into a file or a pipe: as wide as it is made for
    for part in monitor_listing(watched.monitored, model=watched.model):
        console.print(part)
    if watched.untracked:
        click.echo(f"peculiar: {watched.untracked}", err=True)
    write_json(options["json_path"], watched.to_dict())
    context.exit(watched.monitored.exit_code)


def _period(options: dict[str, Any]) -> tuple[date | None, date | None]:
    """The first day and the day after the last; a single day is both."""
    if options["day"] is None:
        return _day(options["since"]), _day(options["until"])
    if options["since"] or options["until"]:
        raise click.UsageError("expected either --day, or --since and --until")
    return _day(options["day"]), _day(options["day"] + timedelta(days=1))


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


SERVING_VERBS: tuple[click.Command, ...] = (
    score,
    explain,
    review,
    budget,
    monitor,
)
