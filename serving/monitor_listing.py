"""A monitored period as text for a terminal or a pipe, made for 100 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .monitor_page import ADVICE, HEADLINES, SIGNS, medians_of, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType
    from rich.table import Table

    from .monitoring import Monitored

__all__ = ["monitor_listing"]

_SHOWN = 10
_SURE = {"high": "sure", "fair": "likely", "low": "unsure"}
_STYLE = {"fault": "bold red", "change": "bold magenta", "mix": "bold blue", "nothing": "bold green"}


def monitor_listing(monitored: Monitored, *, model: str, limit: int = _SHOWN) -> Iterator[RenderableType]:
    """Yield what to print, part by part.

    Parameters
    ----------
    monitored : Monitored
    model : str
        Name and version.
    limit : int
        Features shown.
    """
    from rich.padding import Padding
    from rich.text import Text

    verdict, (first, last) = monitored.verdict, monitored.dates
    span = first if first == last else f"{first} to {last}"
    yield Text(f"{SIGNS[verdict]} {HEADLINES[verdict]}: {span}, model {model}", style=_STYLE[verdict])
    yield Padding(Text(ADVICE[verdict]), (0, 0, 0, 2), expand=False)
    yield Padding(Text(_facts(monitored), style="dim"), (0, 0, 1, 2), expand=False)
    following = [*(each.todo for each in monitored.findings[1:]), ""]
    for finding, next_todo in zip(monitored.findings, following, strict=False):  # of none there is none to follow
        head = f"{SIGNS[finding.kind]} {finding.kind}, {finding.code} ({_SURE[finding.sure]}): "
        yield Text.assemble((head, _STYLE[finding.kind]), finding.what)
        if finding.todo != next_todo:  # what is to be done about several is said once
            yield Padding(Text(finding.todo, style="italic"), (0, 0, 0, 2), expand=False)
    if monitored.moved:
        yield Text(f"\n{len(monitored.moved)} of {len(monitored.drifts)} features moved", style="bold")
        yield _features(monitored, limit)
    yield Text(f"\n{_scores(monitored)}")
    if monitored.slices:
        yield Text("\nSlices", style="bold")
        yield _slices(monitored)
    for note in monitored.notes:
        yield Text(f"note: {note}", style="dim")


def _facts(monitored: Monitored) -> str:
    now, usual = monitored.newcomers
    most = "" if usual is None else f" (in training at most {percent(usual)})"
    aside = sum(monitored.rejected[0].values())
    return (
        f"{monitored.now.total:,} events, {monitored.rows:,} windows of {monitored.entities:,} entities, "
        f"{monitored.scores.alerts:,} alerts; newcomers {percent(now)}{most}; set aside {percent(aside)} of the rows"
    )


def _scores(monitored: Monitored) -> str:
    lie = monitored.scores.whole
    told = []
    if lie.psi is not None:
        told.append(f"scores: PSI {lie.psi:.2f} (limit {lie.most_psi:.2f}), KS {lie.ks:.2f} (limit {lie.most_ks:.2f})")
    if lie.validity is not None:
        share = lie.validity.share
        told.append(f"p <= 0.01 for {percent(share.value)} ({percent(share.low)} to {percent(share.high)})")
    if lie.due is not None:
        told.append(f"{lie.above:,} windows as high as the training's last alert, {lie.due:,.0f} due")
    return "; ".join(told) or "scores: nothing to hold them against"


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _features(monitored: Monitored, limit: int) -> Table:
    table = _table("feature", "PSI", "limit", "KS", "limit", "median then", "now", "null then", "now")
    for drift in monitored.moved[:limit]:
        figures = [f"{value:.2f}" for value in (drift.psi, drift.most_psi, drift.ks, drift.most_ks)]
        table.add_row(drift.feature.name, *figures, *medians_of(drift), *map(percent, drift.nulls))
    return table


def _slices(monitored: Monitored) -> Table:
    table = _table("slice", "windows", "then", "entities", "new", "of alerts", "p <= 0.01")
    for each in monitored.slices:
        p01 = None if each.validity is None else each.validity.share.value
        counts = (f"{each.entities:,}", f"{each.newcomers:,}")
        shares = percent(each.share), percent(each.before), *counts, percent(each.alerts_share), percent(p01)
        table.add_row(f"{each.by} = {each.name}", *shares)
    return table
