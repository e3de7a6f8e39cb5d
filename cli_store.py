"""The verb about event stores, ``peculiar store``; :mod:`peculiar.cli` gathers it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import CONFIG, HOME, JSON, progress_bar, write_json
from .errors import ConfigError

if TYPE_CHECKING:
    from .config import Config
    from .features.events import EventLog
    from .features.plan import FeaturePlan
    from .features.snapshots import WindowSpec

__all__ = ["STORE_VERBS"]

_STORE = click.argument("folder", metavar="STORE", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def store() -> None:
    """Keep the events of the horizon split on disk, so that a new day costs what a day costs."""


@store.command()
@_STORE
@click.argument("events")
@click.option("--model", "model_uri", help="Whose plan tells which vectors change; else the windows of the settings.")
@click.option("--partitions", type=click.IntRange(min=1), help="Of a new store: 1, 2, 4 … 4096.")
@click.option(
    "--memory", default="2GB", show_default=True, help="Take no more; a new store is cut to fit its first log."
)
@click.option("--late", default="0d", show_default=True, help="Days before the first new one that are built again.")
@click.option("--keep", default="0d", help="Days to keep before these; by default what their windows look at.")
@CONFIG
@HOME
@JSON
def add(**options: Any) -> None:
    """Add EVENTS to a store, which is made if it is not there; days that left the horizon are deleted.

    The same events again change nothing. A run that was killed goes on where it stopped.
    """
    from .cli_options import days_of_text
    from .config import load_config
    from .features.memory import bytes_of
    from .serving.keeping import Keeping, add_to_store

    log, plan = _log_and_plan(options, load_config(options["config_path"]))
    keeping = Keeping(
        folder=options["folder"],
        memory=bytes_of(options["memory"]),
        partitions=options["partitions"],
        late=days_of_text(options["late"], "--late"),
        keep=days_of_text(options["keep"], "--keep"),
    )
    with progress_bar("adding") as progress:
        done = add_to_store(log, plan, keeping, home=options["home"], progress=progress)
    figures = done.to_dict()
    click.echo(f"{done.came:,} rows came in" if done.came else "nothing came in: all of it was there")
    for day, entities in done.changed.items():
        click.echo(f"  {day}: vectors of {'all' if entities is None else f'{entities:,}'} entities to build")
    if done.gone:
        click.echo(f"  deleted: {len(done.gone):,} days, {done.gone[0]} to {done.gone[-1]}")
    _tell(figures)
    write_json(options["json_path"], figures)


@store.command()
@_STORE
@JSON
def show(folder: Path, json_path: Path | None) -> None:
    """Tell what a store holds: days, rows, bytes, partitions."""
    from .features.store import EventStore
    from .serving.keeping import stored

    figures = stored(EventStore.open(folder))
    for day, rows in figures["days"].items():
        click.echo(f"  {day}: {rows:,} rows")
    _tell(figures)
    write_json(json_path, figures)


def _log_and_plan(options: dict[str, Any], config: Config) -> tuple[EventLog, FeaturePlan | WindowSpec]:
    """The log by the roles of the model, of the store, of the settings, or as they are guessed and shown."""
    from .cli_options import open_log
    from .features.events import EventLog
    from .features.store import EventStore, is_store

    if options["model_uri"]:
        from .training.references import load
        from .training.store import open_store

        plan = load(open_store(options["home"]), options["model_uri"]).model.plan
        return EventLog.open(options["events"], plan.roles), plan
    if is_store(options["folder"]):
        roles = EventStore.open(options["folder"]).manifest.roles
        if config.roles() not in {None, roles}:
            raise ConfigError(f"expected the roles that {options['folder']} was made with, got others in the settings")
        return EventLog.open(options["events"], roles), config.windows_spec()
    return open_log(options["events"], config), config.windows_spec()


def _tell(figures: dict[str, Any]) -> None:
    days, size = list(figures["days"]), f"{figures['bytes'] / 1e6:,.1f} MB"
    span = f"{len(days):,} days, {days[0]} to {days[-1]}" if days else "no day"
    click.echo(f"{figures['store']}: {span}; {figures['rows']:,} rows, {size}, {figures['partitions']:,} partitions")
    if figures["rejected"]:
        click.echo(f"  stayed outside: {figures['rejected']}")


STORE_VERBS: tuple[click.Command, ...] = (store,)
