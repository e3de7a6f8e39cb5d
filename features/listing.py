"""A description as a table for the terminal, family by family, that reads well at 100 columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .describe import SHARES, family_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from .describe import Description, Portrait

__all__ = ["listing", "number", "share"]

_THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def listing(description: Description) -> Iterator[RenderableType]:
    """Yield what to print: a heading, how to read it, and a table for each family."""
    from rich.text import Text

    features, families = len(description.portraits), len(description.by_family)
    yield Text(f"{description.source}: {description.rows:,} vectors, {features} features in {families} families")
    yield Text(
        "Read a row so: of the vectors that have a value, 25 % have at most the one under 25 %, half at most the one "
        "under 50 %. 'null' is the share of vectors without a value.",
        style="dim",
    )
    for name, portraits in description.by_family.items():
        yield Text()
        yield Text.assemble((name, "bold green"), f" ({len(portraits)})  {family_line(name)}")
        yield _table(portraits)


def number(value: float) -> str:
    """A number in at most seven signs or so: three digits that matter, whole numbers whole up to 9,999.

    Examples
    --------
    >>> [number(value) for value in (3.0, 1234.0, 86400.0, 0.01234, -2.5, float("nan"))]
    ['3', '1,234', '86.4k', '0.0123', '-2.5', '·']
    """
    if math.isnan(value):
        return "·"
    size = abs(value)
    if value == round(value) and size < 1e4:
        return f"{round(value):,}"
    for unit, letter in _THOUSANDS:
        if size >= unit * (10 if unit == 1e3 else 1):
            return f"{value / unit:.3g}{letter}" if size < 1e15 else f"{value:.1e}"
    if size >= 1e3:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 1e-3 else f"{value:.0e}"


def share(part: float) -> str:
    """A share in per cent; what is not quite nothing or all is not told as such.

    Examples
    --------
    >>> [share(part) for part in (0.0, 0.0004, 0.123, 0.9999, 1.0)]
    ['0%', '<1%', '12%', '>99%', '100%']
    """
    if math.isnan(part):
        return "·"
    if 0.0 < part < 0.01:
        return "<1%"
    return ">99%" if 0.99 < part < 1.0 else f"{part:.0%}"


def _table(portraits: tuple[Portrait, ...]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, expand=True)
    table.add_column(Text("feature [unit], and what it is"), min_width=36, ratio=1, overflow="fold")
    table.add_column("null", justify="right", no_wrap=True)
    for part in SHARES:
        table.add_column(f"{part:.0%}", justify="right", no_wrap=True, min_width=6)
    for portrait in portraits:
        quantiles = [number(value) for value in portrait.quantiles]
        table.add_row(_words(portrait), share(portrait.nulls), *quantiles)
    return table


def _words(portrait: Portrait) -> Text:
    from rich.text import Text

    feature = portrait.feature
    told = feature.meaning if feature.null == "never null" else f"{feature.meaning} Null: {feature.null}."
    return Text.assemble((feature.name, "bold cyan"), f" [{feature.unit}]\n", (told, "dim"))
