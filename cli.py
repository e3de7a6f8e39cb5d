"""The ``peculiar`` command. Each verb reads its arguments, calls one function, and says what came of it.

Nothing heavy is imported before a verb needs it, so that ``peculiar --help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .cli_models import VERBS
from .cli_options import BY, CONFIG, EVERY, HOME, JSON, LABELS, MEMORY, MODEL, open_log, progress_bar, write_json
from .cli_serving import SERVING_VERBS
from .cli_store import STORE_VERBS
from .errors import ConfigError, LeakageError, PeculiarError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .features.describe import Description
    from .features.events import EventLog
    from .features.output import WrittenVectors
    from .features.snapshots import WindowSpec
    from .features.timeline import Timeline
    from .training.model import Model

__all__ = ["main"]


class _Group(click.Group):
    """Tells an error of ours in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PeculiarError as error:
            click.echo(f"peculiar: {error}", err=True)
            ctx.exit(1 if isinstance(error, LeakageError) else 2)  # 1: what was checked is not so


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="peculiar")
def main() -> None:
    """Find who behaves unlike themselves or unlike everyone, and what exactly they did.

    A score is a lead for a person to check, never a verdict.
    """


@main.command()
@click.option("--events", type=click.IntRange(min=1), default=200_000, show_default=True, help="Events to write.")
@click.option("--users", type=click.IntRange(min=50), default=2_000, show_default=True, help="Card holders.")
@click.option("--days", type=click.IntRange(min=14), default=60, show_default=True, help="Length of the log.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
)
@JSON
def simulate(events: int, users: int, days: int, seed: int, output: Path, json_path: Path | None) -> None:
    """Write a labelled log of a simulated city card: events.parquet and labels.parquet."""
    from .experiments.simulate import write_simulation

    with progress_bar("simulating") as progress:
        figures = write_simulation(
            output,
            events=events,
            users=users,
            days=days,
            seed=seed,
            progress=lambda done, total: progress(f"day {done}", done / total),
        )
    click.echo(f"{output / 'events.parquet'}: {figures['rows']:,} events of {figures['users']:,} users, {days} days")
    click.echo(f"{output / 'labels.parquet'}: {figures['scenarios']}")
    write_json(json_path, figures)


@main.command()
@click.argument("events")
@click.option("--labels", type=click.Path(path_type=Path, exists=True), help="Confirmed trouble, as Parquet or CSV.")
@CONFIG
@HOME
@click.option("--seed", type=click.IntRange(min=0), help="Overrides training.seed of the settings.")
@JSON
def train(
    events: str, labels: Path | None, config_path: Path | None, home: Path, seed: int | None, json_path: Path | None
) -> None:
    """Train, compare and register models on EVENTS (a Parquet, CSV or NDJSON file, folder or glob)."""
    from dataclasses import replace

    from .config import load_config
    from .training.store import open_store
    from .training.train import train as run

    config = load_config(config_path)
    log = open_log(events, config)
    settings = config.training_settings(log.roles.time_zone)
    settings = settings if seed is None else replace(settings, seed=seed)
    store = open_store(home, experiment=config.store.experiment)
    with progress_bar("training") as progress:
        result = run(log, labels, settings=settings, store=store, progress=progress)
    click.echo(result.report)
    click.echo(result.summary())
    click.echo("next: peculiar score EVENTS -o scores.parquet, or compare the models with: peculiar ui")
    write_json(json_path, result.to_dict())


@main.command()
@click.argument("events")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Parquet to write."
)
@CONFIG
@MODEL
@EVERY
@BY
@LABELS
@click.option("--since", type=click.DateTime(), help="First day to write; events before it are history.")
@click.option("--until", type=click.DateTime(), help="The day after the last one to write.")
@MEMORY
@HOME
@JSON
def features(**options: Any) -> None:
    """Build the vectors of EVENTS and write them as Parquet, with the plan that says what each column means."""
    from time import perf_counter

    from .features.large import vectors_by_partition
    from .features.memory import bytes_of
    from .features.output import vectors_to_file

    begun = perf_counter()
    log, windows, model = _planned(options)
    zone = log.roles.time_zone
    how: dict[str, Any] = {
        "windows": windows,
        "fitted": None if model is None else (model.plan, model.population),
        "period": (_midnight(options["since"], zone), _midnight(options["until"], zone)),
        "noted": _noted(options),
    }
    with progress_bar("features") as progress:
        if options["memory"]:
            room = bytes_of(options["memory"])
            written = vectors_by_partition(log, options["output"], memory=room, **how, progress=progress)
        else:
            written = vectors_to_file(log, options["output"], **how, progress=progress)
    if options["model_uri"]:
        _record_use("features", options, written)
    seconds = perf_counter() - begun
    rate = written.report.admitted / seconds
    figures = written.to_dict() | {"seconds": seconds, "events_per_second": rate}
    click.echo(written.report)
    click.echo(f"  population: {written.population}; plan {written.plan.fingerprint}")
    click.echo(f"{written.output}: {figures['rows']:,} vectors of {figures['entities']:,} entities, "
               f"{len(written.plan.features)} features; {seconds:.2f} s, {rate:,.0f} events/s")  # fmt: skip
    write_json(options["json_path"], figures)


@main.command()
@click.argument("source", metavar="[EVENTS|VECTORS]", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for a page and pictures."
)
@CONFIG
@MODEL
@EVERY
@BY
@HOME
@JSON
def describe(**options: Any) -> None:
    """Tell what each feature means and how its values lie: of EVENTS, a file of VECTORS, or a model's training."""
    from rich.console import Console

    from .features.listing import listing

    with progress_bar("describing") as progress:
        description = _describe(options, progress)
        if options["output"] is not None:
            from .features.page import write_page

            page = write_page(description, options["output"], progress=progress)[0]
    console = Console()
    console = console if console.is_terminal else Console(width=100)  # into a file or a pipe: as wide as it is made for
    for part in listing(description):
        console.print(part)
    if options["output"] is not None:
        click.echo(f"{page}: the same with a picture of each family")
    write_json(options["json_path"], description.to_dict())


@main.command("check-leaks")
@click.argument("events")
@CONFIG
@EVERY
@BY
@LABELS
@click.option("--rows", type=click.IntRange(min=1), default=200, show_default=True, help="About how many vectors.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@JSON
def check_leaks(**options: Any) -> None:
    """Check that no feature knows the future: spoil it, build a sample of vectors again, compare the bits.

    Everything at or after a vector's end is deleted, altered and shuffled, and with labels what became known then. Ends
    with 1 if any value changes.
    """
    from .features.leaks import check_leaks as check

    log, windows, _ = _planned(options)
    with progress_bar("checking") as progress:
        given = {"windows": windows, "rows": options["rows"], "seed": options["seed"]}
        report = check(log, **given, noted=_noted(options), progress=progress)
    click.echo(report)
    write_json(options["json_path"], report.to_dict())
    report.check()


@main.command()
@HOME
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--open/--no-open", "open_browser", default=False, help="Open a browser, too.")
def ui(home: Path, port: int, *, open_browser: bool) -> None:
    """Compare the models in the MLflow UI, on the store that training wrote."""
    from .serving.ui import serve_ui
    from .training.store import open_store

    serve_ui(open_store(home), port=port, open_browser=open_browser)


@main.command()
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True, help="Folder."
)
@click.option("--events", type=click.IntRange(min=20_000), default=600_000, show_default=True)
@click.option("--users", type=click.IntRange(min=500), default=12_000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@JSON
def demo(home: Path, events: int, users: int, seed: int, json_path: Path | None) -> None:
    """Show the whole promise: simulate, train, register, score, and explain the oddest."""
    from .experiments.demo import run_demo

    with progress_bar("demo") as progress:
        result = run_demo(home, events=events, users=users, seed=seed, say=click.echo, progress=progress)
    write_json(json_path, result)


def _planned(options: Mapping[str, Any]) -> tuple[EventLog, WindowSpec | None, Model | None]:
    """The log, and what its vectors are made by: the windows of the settings and options, or a model."""
    from dataclasses import replace

    from .config import load_config

    config = load_config(options["config_path"])
    if options.get("model_uri"):
        if options["every"] or options["by"]:
            raise ConfigError("expected either --model, which has windows of its own, or --every and --by, got both")
        from .features.events import EventLog

        model = _load(options)
        return EventLog.open(options["events"], model.plan.roles), None, model
    windows = config.windows_spec()
    if options["every"]:
        windows = replace(windows, every=options["every"], by=None)
    if options["by"]:
        windows = replace(windows, by=options["by"])
    return open_log(options["events"], config), windows, None


def _noted(options: Mapping[str, Any]) -> Callable[[Timeline], Timeline] | None:
    """What notes known trouble on the events, if there are labels."""
    if options["labels"] is None:
        return None
    from .config import load_config
    from .training.trouble import trouble_from

    return trouble_from(options["labels"], delay=load_config(options["config_path"]).label_delay)


def _describe(options: Mapping[str, Any], progress: Callable[[str, float], None]) -> Description:
    from .features.describe import describe, describe_file, describe_population, holds_vectors
    from .features.plan import FeaturePlan

    source = options["source"]
    if source is None:
        if not options["model_uri"]:
            raise ConfigError("expected EVENTS, a file of vectors, or --model, got none of them")
        model = _load(options)
        return describe_population(model.plan, model.population, f"training of {options['model_uri']}")
    if holds_vectors(source):
        return describe_file(source)
    log, windows, known = _planned({**options, "events": source})
    timeline, _, _ = log.read()
    if known is not None:
        return describe(known.vectors(timeline, progress=progress), log.source.name)
    plan = FeaturePlan.for_log(timeline, log.roles, windows)
    return describe(plan.vectors(timeline, plan.fit(timeline, progress=progress)), log.source.name)


def _record_use(verb: str, options: Mapping[str, Any], written: WrittenVectors) -> None:
    """Put on record that a model's vectors of these events were written."""
    from .audit import Use, record
    from .training.references import resolve
    from .training.store import open_store

    store = open_store(options["home"])
    source = resolve(store, options["model_uri"])
    told = {"events": str(options["events"]), "plan": written.plan.fingerprint}
    use = Use(verb=verb, model=options["model_uri"], sha256=source.sha256, rows=written.rows,
              output=str(options["output"]), parameters=told)  # fmt: skip
    record(store.home, use)


def _load(options: Mapping[str, Any]) -> Model:
    from .training.references import load
    from .training.store import open_store

    return load(open_store(options["home"]), options["model_uri"]).model


def _midnight(given: Any, zone: str) -> int | None:
    """The instant at which a day begins in a zone."""
    if given is None:
        return None
    import numpy as np

    from .features.columns import from_wall

    return int(from_wall(np.array([given.date()], "datetime64[us]").astype(np.int64), zone)[0])


for verb in (*SERVING_VERBS, *VERBS, *STORE_VERBS):
    main.add_command(verb)


if __name__ == "__main__":
    sys.exit(main())
