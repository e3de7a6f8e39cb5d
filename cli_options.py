"""What the verbs of the command line share: options, the bar of progress, and figures as JSON."""

from __future__ import annotations

import json
import math
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .config import Config
    from .features.events import EventLog

__all__ = [
    "BY",
    "CONFIG",
    "EVERY",
    "HOME",
    "JSON",
    "LABELS",
    "MEMORY",
    "MODEL",
    "days_of_text",
    "open_log",
    "progress_bar",
    "write_json",
]

JSON = click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
CONFIG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="Settings; ./peculiar.toml if there is one."
)
HOME = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder of the MLflow store and the audit record, unless MLFLOW_TRACKING_URI names a store.",
)
MODEL = click.option("--model", "model_uri", help="Use the plan and the population of this model.")
EVERY = click.option(
    "--every", type=click.Choice(["1d", "1h", "event"]), help="Overrides windows.every and windows.by."
)
LABELS = click.option(
    "--labels", type=click.Path(path_type=Path, exists=True), help="Trouble known so far; what is known of it is risk."
)
MEMORY = click.option("--memory", help="Take no more memory than this, such as 2GB; split the log on disk.")
BY = click.option("--by", help="Overrides windows.by: one vector for each run of one value of this column.")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error while something long runs; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0)

        def report(what: str, share: float) -> None:
            bar.update(task, description=f"{title}: {what}", completed=min(1.0, share))

        yield report


def open_log(events: str, config: Config) -> EventLog:
    """The log of some events by the roles of the settings, or as they are guessed and shown."""
    from dataclasses import replace

    from .features.events import EventLog

    log = EventLog.open(events, config.roles())
    if log.guessed:
        log = replace(log, roles=replace(log.roles, time_zone=config.events.time_zone))
        click.echo("roles guessed from names and types (write [events] in peculiar.toml to change them):")
        click.echo(log.roles.describe())
    if log.left_out:
        click.echo(f"  no role for {', '.join(log.left_out)}")
    return log


def days_of_text(text: str, option: str) -> int:
    """How many days "2d" is.

    Raises
    ------
    click.BadParameter
        If it is no number of days.
    """
    if not re.fullmatch(r"\d+d", text):
        raise click.BadParameter(f"expected a number of days, such as 2d, got {text!r}", param_hint=option)
    return int(text[:-1])


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write figures as JSON, sorted, with null for what is no number; nothing without a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_finite(figures), indent=2, sort_keys=True, default=str, allow_nan=False) + "\n")


def _finite(figures: Any) -> Any:
    """The same with null for what is no number: JSON has no NaN, and strict readers refuse it."""
    if isinstance(figures, dict):
        return {key: _finite(value) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [_finite(value) for value in figures]
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures
