"""A dossier as text for a terminal or a pipe, made for 100 columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .leads import local, odds, said, window_text
from .reasons import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from .dossier import Dossier
    from .history import History
    from .leads import EventTable

__all__ = ["bars", "dossier_listing"]

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 15
_FEW = 3  # events, below which a column that repeats itself is no burden
LEAD = "This is a lead to check, not a verdict. Somebody may have a good reason for a day like this."


def dossier_listing(dossier: Dossier, *, limit: int = _SHOWN) -> Iterator[RenderableType]:
    """Yield what to print, part by part.

    Parameters
    ----------
    dossier : Dossier
    limit : int
        Events shown.
    """
    from rich.text import Text

    lead = dossier.lead
    yield Text(f"{lead.entity}, {window_text(lead.since, lead.as_of, dossier.zone)} ({dossier.zone})", style="bold")
    yield _standing(dossier)
    yield Text(LEAD, style="italic")
    yield Text("\nWhy it stands out", style="bold")
    yield _indented(lead.untold) if lead.untold else _reasons(dossier)
    yield from _history(lead.history, dossier.noun)
    yield Text("\nWhat speaks against suspicion", style="bold")
    for line in (*lead.against, *lead.doubts) or ("nothing that the model knows of; you may know more",):
        yield _indented(f"- {line}", hanging=2)
    if lead.change:
        yield Text("\nThe smallest change", style="bold")
        yield _indented(lead.change)
    yield from _events(dossier, limit)
    yield from _made(dossier)


def bars(history: History) -> str:
    """A history as a row of bars: the highest day is a full one, a dot is a day without events.

    Examples
    --------
    >>> import numpy as np
    >>> from peculiar.serving.history import History
    >>> days = np.array([0.0, 1.0, np.nan, 4.0, 8.0])
    >>> bars(History("rides", "rides", "events", 0, days, (0.0, 4.0), 5.0))
    '▁▁·▄█'
    """
    top = max((value for value in history.values.tolist() if value > 0), default=1.0)
    signs = []
    for value in history.values.tolist():
        if math.isnan(value):
            signs.append("·")
            continue
        signs.append(_BARS[max(0, min(7, math.ceil(8 * max(0.0, value) / top) - 1))])
    return "".join(signs)


def _standing(dossier: Dossier) -> Text:
    from rich.text import Text

    standing = dossier.lead.standing
    place = f"number {standing.rank:,} of the {standing.among:,} windows of its day, 1 being the oddest"
    alert = "an alert" if standing.pick == "rank" else "drawn at random" if standing.pick else "no alert"
    line = "" if math.isnan(standing.line) else f"; the day's alerts begin at {standing.line:.2f}"
    said = [f"{place}: {alert}", f"the rule: {dossier.rule}"]
    said += [f"taken off the list by suppression {standing.suppressed}"] if standing.suppressed else []
    said += [odds(standing.p, dossier.noun), f"score {standing.score:.2f}{line}"]
    said += [f"team {standing.team}"] if standing.team else []
    said += [f"case {standing.case}"] if standing.case else []
    return Text("\n".join(f"  {each}" for each in said))


def _reasons(dossier: Dossier) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, expand=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("what", ratio=1, overflow="fold")
    for name in ("seen", "own usual", "99 of 100"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    lead = dossier.lead
    for number, (reason, low, which) in enumerate(zip(lead.reasons, lead.low, lead.values, strict=True), 1):
        weak = "\nweak: without these events it would still be an alert" if reason.weak else ""
        named = f"\n{which}" if which else ""
        words = Text.assemble(said(reason), (f"  [{reason.family}]", "dim"), named, (weak, "italic"))
        values = [_said(value, reason.unit) for value in (reason.seen, reason.usual)]
        everyone = "·" if math.isnan(reason.everyone) else f"{'≥' if low else '≤'} {say(reason.everyone, reason.unit)}"
        table.add_row(str(number), words, *values, everyone, f"{len(reason.events):,}")
    return table


def _said(value: float, unit: str) -> str:
    return "·" if math.isnan(value) else say(value, unit)


def _indented(text: str, *, style: str = "", hanging: int = 0) -> RenderableType:
    """A paragraph two signs in; of a list, its further lines stand under its first word."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    if not hanging:
        return Padding(Text(text, style=style), (0, 0, 0, 2), expand=False)
    grid = Table.grid()
    grid.add_row(Text(text[:hanging]), Text(text[hanging:], style=style))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _history(history: History, noun: str) -> Iterator[RenderableType]:
    from rich.text import Text

    if not history.feature:
        return
    if all(map(math.isnan, history.values[:-1].tolist())):
        yield Text("\nIts own days before", style="bold")
        yield _indented(f"none: it did nothing in the {len(history.values) - 1} days before")
        return
    yield Text(f"\nIts own days before: {history.label}", style="bold")
    days = len(history.values) - 1
    now = _said(history.values[-1], history.unit)
    yield _indented(f"{bars(history)}  {days} days and, last, this window: {now}; a dot is a day without events")
    low, high = history.usual
    own = (
        "too few days to say what is usual for it"
        if math.isnan(low)
        else f"80 of 100 of its own days: {_said(low, history.unit)} to {_said(high, history.unit)}"
    )
    yield _indented(f"{own}; 99 of 100 {noun} of everyone: at most {_said(history.everyone, history.unit)}")


def _events(dossier: Dossier, limit: int) -> Iterator[RenderableType]:
    from rich.text import Text

    table = dossier.lead.events
    more = f", the first {limit} shown" if len(table) > limit else ""
    yield Text("\nWhat it did", style="bold")
    told = f"{table.named:,} events are behind these reasons, the window has {table.window:,}{more}"
    yield _indented(f"{told}; times are those of {dossier.zone}")
    count = min(limit, len(table))
    if same := _alike(table, count):
        yield _indented(f"the same in each event shown: {', '.join(f'{name} {value}' for name, value in same.items())}")
    if count:
        yield _event_table(dossier, count, same)


def _alike(table: EventTable, count: int) -> dict[str, str]:
    """The columns that hold one value in all events shown, and that value; what is told once needs no column."""
    if count < _FEW:
        return {}
    shown = {name: values[:count] for name, values in table.dimensions.items()}
    same = {name: str(values[0]) for name, values in shown.items() if values[0] and len(set(values)) == 1}
    reasons = set(table.reasons[:count])
    if len(reasons) == 1:
        same["reason"] = ", ".join(str(number + 1) for number in reasons.pop())
    return same


def _event_table(dossier: Dossier, count: int, same: Mapping[str, str]) -> Table:
    from rich import box
    from rich.table import Table

    events = dossier.lead.events
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    drawn.add_column("time", no_wrap=True)
    columns = {name: values for name, values in events.dimensions.items() if any(values[:count]) and name not in same}
    amounts = {name: values for name, values in events.measures.items() if any(values[:count] == values[:count])}
    for name in columns:
        drawn.add_column(name, overflow="fold")
    for name in amounts:
        drawn.add_column(name, justify="right")
    drawn.add_column("id", overflow="fold")
    if told_of := "reason" not in same:
        drawn.add_column("reason", no_wrap=True)
    for n in range(count):
        cells = [f"{local(int(events.at[n]), dossier.zone):%Y-%m-%d %H:%M:%S}"]
        cells += [values[n] or "" for values in columns.values()]
        cells += ["" if math.isnan(values[n]) else f"{values[n]:,.2f}" for values in amounts.values()]
        behind = [",".join(str(number + 1) for number in events.reasons[n])] if told_of else []
        drawn.add_row(*_plain([*cells, events.ids[n], *behind]))
    return drawn


def _plain(cells: list[str]) -> list[Text]:
    """Cells in which brackets are brackets: what comes from a log is no markup."""
    from rich.text import Text

    return [Text(cell) for cell in cells]


def _made(dossier: Dossier) -> Iterator[RenderableType]:
    from rich.text import Text

    lead = dossier.lead
    yield Text("\nHow it was made", style="bold")
    made = f"model {dossier.model} ({dossier.sha256[:12]}), plan {dossier.plan}, events {dossier.data[:12]}"
    yield _indented(f"{made}; this look is on record")
    for note in dossier.notes:
        yield _indented(f"note: {note.strip()}", style="dim")
    yield Text("\nWhat to do next", style="bold")
    since, as_of = (local(instant, "UTC").isoformat().replace("+00:00", "Z") for instant in (lead.since, lead.as_of))
    yield Text("  Look at the events, ask who knows the person or the account, then write down what you found:")
    yield Text("  entity,since,as_of,verdict,reviewer,reviewed_at", style="dim")
    yield Text(f"  {lead.entity},{since},{as_of},confirmed or cleared,your name,the time now", style="dim")
    yield Text("  into review.csv, and hand it in: peculiar feedback review.csv")
