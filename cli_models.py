"""The verbs about registered models and what reviewers say of their alerts; :mod:`peculiar.cli` gathers them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import CONFIG, HOME, JSON, write_json
from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pyarrow as pa
    from rich.console import RenderableType

    from .config import Config
    from .training.labels import Locate
    from .training.registry import Version
    from .training.store import Store

__all__ = ["VERBS"]


@click.command()
@click.argument("verdicts", metavar="FILE", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--scores",
    type=click.Path(path_type=Path, exists=True),
    help="The scores that were reviewed: a verdict has to be about a window in it, and a random pick gets its chance.",
)
@click.option("--events", help="The log, for verdicts that name events instead of windows.")
@CONFIG
@HOME
@JSON
def feedback(**options: Any) -> None:
    """Take in what reviewers found: FILE says who, which window, confirmed or cleared, by whom and when.

    Columns: entity; since and as_of as in the scores (or from and to, or event_id); verdict; reviewer; reviewed_at; and
    chance and note if there are any. Rows without a verdict are left out. The next training reads it.
    """
    from .config import load_config
    from .training.feedback import take_in

    config = load_config(options["config_path"])
    received = take_in(
        options["verdicts"],
        options["home"],
        scores=options["scores"],
        locate=None if options["events"] is None else _locate(options["events"], config),
        zone=config.events.time_zone,
    )
    click.echo(received)
    write_json(options["json_path"], received.to_dict())


def _locate(events: str, config: Config) -> Locate:
    """What tells who did an event, and when."""
    from .features.events import EventLog

    timeline, _, _ = EventLog.open(events, config.roles()).read()
    return timeline.locate


def _judging(command: Callable[..., None]) -> Callable[..., None]:
    """The options of verbs that hold versions against each other."""
    given = (
        click.option("--model", "name", help="The registered model; as the settings say, else peculiar."),
        click.option("--events", help="Score these events with both, instead of what each was judged on in training."),
        click.option("--labels", type=click.Path(path_type=Path, exists=True), help="What became known, for --events."),
        click.option("--since", type=click.DateTime(), help="First day of the events to judge on."),
        click.option("--until", type=click.DateTime(), help="The day after the last one to judge on."),
        click.option("--budget", help="Alerts a day; by default what the newcomer was judged with."),
        CONFIG,
        HOME,
        JSON,
    )
    for option in reversed(given):
        command = option(command)
    return command


@click.command()
@click.argument("first", metavar="V1")
@click.argument("second", metavar="V2")
@click.option("--limit", type=click.IntRange(min=0), default=10, show_default=True, help="Alerts to show of each kind.")
@_judging
def compare(**options: Any) -> None:
    """Hold version V2 against version V1: who finds more, and whom it alerts instead of whom.

    A version is 3, @champion, cards/3 or models:/cards/3. Both are compared on the windows that both were judged on in
    training; with --events on the same events, scored with both.
    """
    from .config import load_config
    from .training.comparison import compare_versions
    from .training.comparison_report import listing, track
    from .training.store import open_store
    from .training.versions import find_version

    config = load_config(options["config_path"])
    store = open_store(options["home"], experiment=config.store.experiment)
    name = options["name"] or config.store.model
    pair = (find_version(store, options["first"], name=name), find_version(store, options["second"], name=name))
    budget, judged = _judged(options, config)
    told = compare_versions(store, pair, budget=budget, judged=judged)
    run_id = track(store, told, pair)
    _print(listing(told, limit=options["limit"]))
    write_json(options["json_path"], told.to_dict() | {"run_id": run_id})


@click.command()
@click.argument("version")
@click.option("--alias", default="champion", show_default=True, help="What the version is to be.")
@click.option("--anyway", is_flag=True, help="Even if rules are broken; needs --reason.")
@click.option("--reason", default="", help="Why, for the record.")
@_judging
def promote(**options: Any) -> None:
    """Make VERSION the champion if it passes the rules of [promotion], and write down why in any case.

    A version is 3, @challenger, cards/3 or models:/cards/3. `previous` goes one step back, which needs --reason and
    passes no rules. Ends with 1 if the version is refused.
    """
    from .config import load_config
    from .training.promotion import Asked, promote
    from .training.store import open_store

    config = load_config(options["config_path"])
    store = open_store(options["home"], experiment=config.store.experiment)
    budget, judged = _judged(options, config)
    asked = Asked(
        name=options["name"] or config.store.model,
        alias=options["alias"],
        rules=config.promotion_rules(),
        budget=budget,
        anyway=options["anyway"],
        reason=options["reason"],
        judged=judged,
    )
    done = promote(store, options["version"], asked)
    write_json(options["json_path"], done.to_dict())
    click.echo(done, err=not done.moved)
    if not done.moved:
        click.echo("train another, mend what is broken, or promote it with: --anyway --reason TEXT", err=True)
        raise click.exceptions.Exit(1)


def _judged(options: Mapping[str, Any], config: Config) -> tuple[int | None, Callable[[Store, Version], pa.Table]]:
    """The budget, if one is asked for, and what tells the windows that a version was judged on."""
    from .serving.scoring import Budget
    from .training.judged import read_judged

    budget = None if options["budget"] is None else Budget.parse(options["budget"]).per_day
    if options["events"] is None:
        if options["labels"] or options["since"] or options["until"]:
            raise ConfigError("expected --events with --labels, --since or --until, got these alone")
        return budget, read_judged
    from .serving.judging import judged_on

    days = (options["since"] and options["since"].date(), options["until"] and options["until"].date())
    given = {"labels": options["labels"], "days": days, "budget": budget or Budget.parse(config.alerts.budget).per_day}
    return budget, judged_on(options["events"], **given)


def _print(parts: Iterable[RenderableType]) -> None:
    """Print tables; into a file or a pipe as wide as they are made for."""
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=100)
    for part in parts:
        console.print(part)


VERBS: tuple[click.Command, ...] = (feedback, compare, promote)
