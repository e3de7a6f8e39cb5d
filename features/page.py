"""A description as a folder: a page for the browser, and a picture for each family."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .describe import SHARES, family_line
from .figures import family_figure
from .listing import number, share
from .output import beside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .describe import Description, Portrait

__all__ = ["write_page"]

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #22272e; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; } img { max-width: 100%; height: auto; }
p.how, nav, .unit, .told { color: #5f6b76; } nav a { margin-right: 1rem; }
table { border-collapse: collapse; width: 100%; } code { font-weight: 600; }
th, td { border-bottom: 1px solid #e4e7eb; padding: .35rem .5rem; vertical-align: top; text-align: right; }
th:first-child, td:first-child { text-align: left; } td { font-variant-numeric: tabular-nums; }
.told { display: block; }
"""


def write_page(
    description: Description, folder: Path, *, progress: Callable[[str, float], None] | None = None
) -> list[Path]:
    """Write ``index.html`` and ``<family>.png`` into a folder, each whole or not at all.

    Parameters
    ----------
    description : Description
    folder : Path
        Made if it is not there; other files in it stay.
    progress : callable, optional

    Returns
    -------
    list of Path
        What was written, the page first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures, families = [], description.by_family
    for done, (name, portraits) in enumerate(families.items(), 1):
        pictures.append(folder / f"{name}.png")
        with beside(pictures[-1]) as unfinished:
            family_figure(name, family_line(name), portraits).savefig(unfinished, format="png")
        if progress:
            progress(name, done / len(families))
    page = folder / "index.html"
    with beside(page) as unfinished:
        unfinished.write_text(_page(description), encoding="utf-8")
    return [page, *pictures]


def _page(description: Description) -> str:
    families = description.by_family
    source, rows = escape(description.source), f"{description.rows:,} vectors"
    title = f"{rows}, {len(description.portraits)} features in {len(families)} families"
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in families)
    sections = "".join(_section(name, portraits) for name, portraits in families.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Features of {source}</title><style>{_STYLE}</style></head><body>\n<h1>Features of {source}</h1>\n"
        f'<p>{title}; plan <code>{escape(description.plan)}</code></p>\n<nav>{links}</nav>\n<p class="how">Read a row '
        "so: of the vectors that have a value, 25 % have at most the one under 25 %, half at most the one under 50 %. "
        f"“null” is the share of vectors without a value.</p>\n{sections}</body></html>\n"
    )


def _section(name: str, portraits: tuple[Portrait, ...]) -> str:
    heads = "".join(f"<th>{part:.0%}</th>" for part in SHARES)
    rows = "".join(map(_row, portraits))
    name = escape(name)
    return (
        f'<h2 id="{name}">{name}</h2>\n<p>{escape(family_line(name))}</p>\n<img src="{name}.png" '
        f'alt="How the values of each feature of {name} lie">\n'
        f"<table><thead><tr><th>feature</th><th>null</th>{heads}</tr></thead>\n"
        f"<tbody>{rows}</tbody></table>\n"
    )


def _row(portrait: Portrait) -> str:
    feature = portrait.feature
    told = feature.meaning if feature.null == "never null" else f"{feature.meaning} Null: {feature.null}."
    cells = "".join(f"<td>{number(value)}</td>" for value in portrait.quantiles)
    name = f'<code>{escape(feature.name)}</code> <span class="unit">{escape(feature.unit)}</span>'
    first = f'<td>{name}<span class="told">{escape(told)}</span></td>'
    return f"<tr>{first}<td>{share(portrait.nulls)}</td>{cells}</tr>\n"
