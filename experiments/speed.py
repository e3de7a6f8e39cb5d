"""How fast events become vectors, against a bare scan of the same file and against other ways to the same features.

``python -m peculiar.experiments.speed --events 10000000 --json speed.json`` does the whole comparison in one run on one
simulated log. ``docs/speed.md`` tells how it is measured, what is shared, and where the figures end to be honest.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from ..features.families import FAMILIES
from .rivals import entrants
from .rivals.duels import RIVALS, duel
from .rivals.entrants import Course, Size
from .rivals.stopwatch import middle, run_apart
from .rivals.track import Track, figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.table import Table

__all__ = ["measure"]

_LIBRARIES = ("duckdb", "numba", "numpy", "pandas", "polars", "pyarrow")
_MOST = {"1d": 10_000_000, "1h": 10_000_000, "event": 1_000_000}
_DAYS_ONLY = "it is written for windows of days only"


def measure(size: Size, track: Track, *, rivals: Mapping[str, int | None], book: bool) -> dict[str, Any]:
    """Race on a log of this size.

    Parameters
    ----------
    size : Size
    track : Track
    rivals : mapping of str to int or None
        Whom to race against, and how many events each gets at most; none leaves that to the rival.
    book : bool
        Whether to build the Fraud Detection Handbook's features too.

    Returns
    -------
    dict
        Plain data, as the JSON file holds it.
    """
    course = track.course(size, track.families)
    busy = os.getloadavg()[0]
    fit, runs = track.ours(size, track.families)
    compiled = _compiled(track, course) if track.compiling else None
    ours = figures(size.events, runs)
    found = {
        **size.__dict__,
        "every": track.every,
        "repeats": track.repeats,
        "file_bytes": course.log.stat().st_size,
        "snapshots": runs[0].rows,
        **ours,
        **_against_scan(size.events, ours["seconds"], track, course),
        "fit_seconds": fit.stages["fit"],
        "fit_peak_rss_bytes": fit.peak_rss_bytes,
        "compile_seconds": compiled,
        **_against_rivals(size, track, rivals),
        **(_book(track) if book else {"book_12_features_seconds": None, "book": {"left_out": "not asked for"}}),
    }
    return {**found, "cores": os.cpu_count(), "load_before": busy, "versions": _versions()}


def _against_scan(events: int, seconds: float, track: Track, course: Course) -> dict[str, Any]:
    both = (entrants.scan, entrants.scan_codes)
    plain, codes = (figures(events, track.run(entrant, course, track.repeats)) for entrant in both)
    return {
        "scan": plain,
        "scan_codes": codes,
        "ratio_to_scan": seconds / plain["seconds"],
        "ratio_to_scan_codes": seconds / codes["seconds"],
    }


def _against_rivals(size: Size, track: Track, rivals: Mapping[str, int | None]) -> dict[str, Any]:
    """One duel after the other; who cannot race is left out with the reason, and its ratio is null."""
    met: dict[str, dict[str, Any]] = {}
    left_out = {name: "not asked for" for name in RIVALS if name not in rivals}
    for name, most in rivals.items():
        if track.every != "1d":
            left_out[name] = _DAYS_ONLY
            continue
        try:
            met[name] = duel(RIVALS[name], size, track, most=most)
        except (ConfigError, ModuleNotFoundError) as error:
            left_out[name] = str(error)
    pandas = met.get("pandas")
    ratios = {
        f"ratio_over_{name}{how}": met.get(name, {}).get(f"ratio{how}") for name in RIVALS for how in ("", "_cpu")
    }
    told = {"rivals": met, "left_out": left_out, "pandas": pandas}
    return {**ratios, "shared_features": pandas and pandas["features"], **told}


def _book(track: Track) -> dict[str, Any]:
    """The book's features by our parts, and one vector per payment by the default families; null without its data."""
    from .benchmarks import data_folder

    try:
        folder = data_folder("fraud_handbook")
    except ConfigError as error:
        return {"book_12_features_seconds": None, "book": {"left_out": str(error)}}
    with track.console.status("the book's features"):
        twelve = [run_apart(entrants.book_twelve, folder) for _ in range(track.repeats)]
        default = [run_apart(entrants.book_default, folder)]
    rows = twelve[0].rows
    told = {"events": rows, "twelve": figures(rows, twelve), "default_families": figures(rows, default)}
    return {"book_12_features_seconds": middle(twelve).seconds, "book": told}


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _tables(found: dict[str, Any]) -> list[Table]:
    from rich.table import Table

    title = f"{found['events']:,} events, {found['users']:,} users, {found['days']} days"
    race = Table("", "events", "seconds", "CPU s", "events/s", "peak GB", title=title)
    for who, events, entry in _entries(found):
        seconds, cpu, peak = (entry[key] for key in ("seconds", "cpu_seconds", "peak_rss_bytes"))
        race.add_row(
            who, f"{events:,}", f"{seconds:.2f}", f"{cpu:.2f}", f"{events / seconds:,.0f}", f"{peak / 1e9:.1f}"
        )
    stages = Table("stage of ours", "seconds", title=f"{found['cores']} cores")
    for stage, seconds in found["stages"].items():
        stages.add_row(stage, f"{seconds:.2f}")
    return [race, stages]


def _entries(found: dict[str, Any]) -> list[tuple[str, int, dict[str, Any]]]:
    events = found["events"]
    entries = [
        ("scan, pyarrow's defaults", events, found["scan"]),
        ("scan, text as codes", events, found["scan_codes"]),
        (f"ours, {found['features']} features", events, found),
    ]
    for name, rival in found["rivals"].items():
        ours, against = rival["ours"], rival["events"] if rival["compared"] == "same log" else events
        if ours["seconds"] != found["seconds"]:
            entries.append((f"ours against {RIVALS[name].said}, {ours['features']} features", against, ours))
        built = f"{rival['built']} features, {rival['features']} of ours"
        entries.append((f"{RIVALS[name].said}, {built}", rival["events"], rival))
    if found["book_12_features_seconds"] is not None:
        book = found["book"]
        entries.append(("the book's 12 features and 2 flags", book["events"], book["twelve"]))
        default = book["default_families"]
        entries.append((f"its payments, {default['features']} default features", book["events"], default))
    return entries


def _summary(found: dict[str, Any]) -> str:
    lines = [
        f"{found['ratio_to_scan']:.1f} times the bare scan ({found['ratio_to_scan_codes']:.1f} with text as codes)"
    ]
    for name, rival in found["rivals"].items():
        how = "" if rival["compared"] == "same log" else f", {rival['compared']} from {rival['events']:,} events"
        ratios = (
            f"{rival['ratio']:,.1f} times as fast as {RIVALS[name].said} ({rival['ratio_cpu']:,.1f} by CPU time{how})"
        )
        lines.append(ratios)
    lines += [f"{RIVALS[name].said} is left out: {reason}" for name, reason in found["left_out"].items()]
    if "left_out" in found["book"]:
        lines.append(f"the book's features are left out: {found['book']['left_out']}")
    if found["load_before"] > 0.5:
        lines.append(
            f"the machine was busy before the start (load {found['load_before']:.1f}): trust CPU time, or rerun"
        )
    apart = [f"fit {found['fit_seconds']:.1f} s"]
    if found["compile_seconds"] is not None:
        apart.append(f"first-use compilation {found['compile_seconds']:.1f} s")
    return "\n".join([*lines, f"apart from that: {', '.join(apart)}"])


def _chosen(text: str, known: Iterable[str], what: str) -> tuple[str, ...]:
    """Names with commas between them, each of which must be known."""
    names = tuple(filter(None, text.split(",")))
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise click.BadParameter(f"expected {what} among {', '.join(known)}, got {', '.join(unknown)}")
    return names


def _compiled(track: Track, course: Course) -> float:
    """Seconds to compile all kernels at first use: the cache's place is settled when they are declared, so at start."""
    before = os.environ.get("NUMBA_CACHE_DIR")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["NUMBA_CACHE_DIR"] = empty
        try:
            (run,) = track.run(entrants.compile_kernels, course)
        finally:
            os.environ.pop("NUMBA_CACHE_DIR")
            os.environ |= {} if before is None else {"NUMBA_CACHE_DIR": before}
    return run.stages["compile"]


@click.command()
@click.option("--events", type=click.IntRange(20_000), help="Size of the log; 10 M, or 1 M by event, if not given.")
@click.option("--users", type=click.IntRange(100), help="Users; one for each 100 events, if not given.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(7), help="Length of the log.")
@click.option("--seed", default=7, show_default=True, help="Seed of the simulation.")
@click.option("--every", default="1d", show_default=True, type=click.Choice(list(_MOST)), help="Window of a vector.")
@click.option(
    "--families", default="", help="Of ours, with commas between them; all of the default plan, if not given."
)
@click.option("--rivals", default="all", show_default=True, help=f"all, none, or some of {','.join(RIVALS)}.")
@click.option("--pandas-events", type=click.IntRange(20_000), help="Events pandas gets; at most 2 M, if not given.")
@click.option("--book/--no-book", default=True, help="Also build the Fraud Detection Handbook's features.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1), help="Runs of ours and of the scan.")
@click.option("--compile/--no-compile", "compiling", default=True, help="Also measure first-use compilation.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keeps the logs between runs.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here.")
def main(  # noqa: PLR0913 - a command has as many parameters as options
    *,
    events: int | None,
    users: int | None,
    days: int,
    seed: int,
    every: str,
    families: str,
    rivals: str,
    pandas_events: int | None,
    book: bool,
    repeats: int,
    compiling: bool,
    folder: Path | None,
    json_file: Path | None,
) -> None:
    """Measure events per second, Parquet on disk to vectors in memory."""
    from rich.console import Console

    console = Console(stderr=True)
    place, chosen = folder or Path(tempfile.gettempdir()) / "peculiar-speed", _chosen(families, FAMILIES, "families")
    names = {"all": ",".join(RIVALS), "none": ""}.get(rivals, rivals)
    against: dict[str, int | None] = dict.fromkeys(_chosen(names, RIVALS, "rivals"))
    if pandas_events and "pandas" in against:
        against["pandas"] = pandas_events
    track = Track(place, repeats, every, compiling, console, chosen)
    count = events or _MOST[every]
    size = Size(count, users or max(100, count // 100), days, seed)
    found = measure(size, track, rivals=against, book=book)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    shown = Console(width=max(100, console.width))
    shown.print(*_tables(found), _summary(found), sep="\n")


if __name__ == "__main__":
    main()
