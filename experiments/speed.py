"""How fast events become vectors, against a bare scan of the same file and against other ways to the same features.

``python -m peculiar.experiments.speed --events 10000000 --json speed.json`` does the whole comparison in one run on one
simulated log. ``docs/speed.md`` tells how it is measured, what is shared, and where the figures end to be honest.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..features.families import FAMILIES
from .rivals import entrants
from .rivals.entrants import Course, Size
from .rivals.stopwatch import Run, middle, run_apart

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["Track", "measure"]

_TINY = {"events": 20_000, "users": 300, "days": 30}
_PANDAS_FAMILIES = ("volume", "velocity", "breadth", "timing", "baseline")
_LIBRARIES = ("numba", "numpy", "pandas", "polars", "pyarrow")


@dataclass(frozen=True)
class Track:
    """How to race: where files are kept, how often the fast ones run, over which windows, with which families."""

    folder: Path
    repeats: int
    every: str
    compiling: bool
    console: Console
    families: tuple[str, ...] = ()

    def course(self, size: Size, families: tuple[str, ...] = ()) -> Course:
        """A simulated log of this size with its frozen plan, made unless an earlier run left it."""
        log = self._log(size)
        frozen = log.parent / f"frozen-{self.every}-{'-'.join(families) or 'all'}"
        tiny = self._log(Size(**_TINY, seed=size.seed))
        return Course(log, tiny, frozen, self.every, families)

    def run(self, entrant: Any, course: Course, times: int = 1) -> list[Run]:
        """Run an entrant so many times, each in a process of its own."""
        with self.console.status(f"{entrant.__name__} on {course.log.parent.name}"):
            return [run_apart(entrant, course) for _ in range(times)]

    def _log(self, size: Size) -> Path:
        folder = self.folder / f"{size.events}-events-{size.users}-users-{size.days}-days-seed-{size.seed}"
        if not (folder / "events.parquet").is_file():
            with self.console.status(f"simulating {size.events:,} events"):
                run_apart(entrants.simulate, folder, size)
        return folder / "events.parquet"


def measure(size: Size, track: Track, *, pandas_events: int | None) -> dict[str, Any]:
    """Race on a log of this size.

    Parameters
    ----------
    size : Size
    track : Track
    pandas_events : int or None
        How many events pandas gets; none leaves it out.

    Returns
    -------
    dict
        Plain data, as the JSON file holds it.
    """
    course = track.course(size, track.families)
    busy = os.getloadavg()[0]
    (fit,) = track.run(entrants.fit, course)
    compiled = track.run(entrants.compile_kernels, course)[0].stages["compile"] if track.compiling else None
    runs = track.run(entrants.ours, course, track.repeats)
    ours = _figures(size.events, runs)
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
        **_against_pandas(size, track, pandas_events),
    }
    return {**found, "cores": os.cpu_count(), "load_before": busy, "versions": _versions()}


def _figures(events: int, runs: list[Run]) -> dict[str, Any]:
    """What the runs of one entrant say: the median one, and the most memory that any took."""
    run = middle(runs)
    return {
        "features": len(run.names),
        "events_per_second": events / run.seconds,
        "seconds": run.seconds,
        "seconds_of_runs": [each.seconds for each in runs],
        "cpu_seconds": run.cpu_seconds,
        "stages": run.stages,
        "peak_rss_bytes": max(each.peak_rss_bytes for each in runs),
    }


def _against_scan(events: int, seconds: float, track: Track, course: Course) -> dict[str, Any]:
    both = (entrants.scan, entrants.scan_codes)
    plain, codes = (_figures(events, track.run(entrant, course, track.repeats)) for entrant in both)
    return {
        "scan": plain,
        "scan_codes": codes,
        "ratio_to_scan": seconds / plain["seconds"],
        "ratio_to_scan_codes": seconds / codes["seconds"],
    }


def _against_pandas(size: Size, track: Track, events: int | None) -> dict[str, Any]:
    """Both on the same sample and for the same families; the ratio is that of their times."""
    if events is None:
        return {"ratio_over_pandas": None, "ratio_over_pandas_cpu": None, "shared_features": None, "pandas": None}
    sample = size.scaled(events)
    course = track.course(sample, _PANDAS_FAMILIES)
    track.run(entrants.fit, course)
    ours = track.run(entrants.ours, course, track.repeats)
    rival = track.run(entrants.pandas, course)
    shared = set(middle(ours).names) & set(rival[0].names)
    told = {**sample.__dict__, **_figures(events, rival), "features": len(shared), "ours": _figures(events, ours)}
    return {
        "ratio_over_pandas": told["seconds"] / told["ours"]["seconds"],
        "ratio_over_pandas_cpu": told["cpu_seconds"] / told["ours"]["cpu_seconds"],
        "shared_features": len(shared),
        "pandas": told,
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def _tables(found: dict[str, Any]) -> list[Table]:
    from rich.table import Table

    title = f"{found['events']:,} events, {found['users']:,} users, {found['days']} days"
    race = Table("", "events", "seconds", "CPU s", "events/s", "peak GB", title=title)
    for who, events, figures in _entries(found):
        seconds, cpu, peak = (figures[key] for key in ("seconds", "cpu_seconds", "peak_rss_bytes"))
        race.add_row(
            who, f"{events:,}", f"{seconds:.2f}", f"{cpu:.2f}", f"{events / seconds:,.0f}", f"{peak / 1e9:.1f}"
        )
    stages = Table("stage of ours", "seconds", title=f"{found['cores']} cores")
    for stage, seconds in found["stages"].items():
        stages.add_row(stage, f"{seconds:.2f}")
    return [race, stages]


def _entries(found: dict[str, Any]) -> list[tuple[str, int, dict[str, Any]]]:
    events, rival = found["events"], found["pandas"]
    entries = [
        ("scan, pyarrow's defaults", events, found["scan"]),
        ("scan, text as codes", events, found["scan_codes"]),
        (f"ours, {found['features']} features", events, found),
    ]
    if rival is not None:
        shared = f"{found['shared_features']} of {rival['ours']['features']} features"
        entries.append(("ours, on pandas' sample", rival["events"], rival["ours"]))
        entries.append((f"pandas, {shared}", rival["events"], rival))
    return entries


def _summary(found: dict[str, Any]) -> str:
    scans = f"{found['ratio_to_scan']:.1f} times the bare scan ({found['ratio_to_scan_codes']:.1f} with text as codes)"
    pandas, cpu = found["ratio_over_pandas"], found["ratio_over_pandas_cpu"]
    apart = [f"fit {found['fit_seconds']:.1f} s"]
    if found["compile_seconds"] is not None:
        apart.append(f"first-use compilation {found['compile_seconds']:.1f} s")
    lines = [scans, *([f"{pandas:.1f} times as fast as vectorised pandas ({cpu:.1f} by CPU time)"] if pandas else [])]
    if found["load_before"] > 0.5:
        lines.append(
            f"the machine was busy before the start (load {found['load_before']:.1f}): trust CPU time, or rerun"
        )
    return "\n".join([*lines, f"apart from that: {', '.join(apart)}"])


@click.command()
@click.option("--events", default=10_000_000, show_default=True, type=click.IntRange(20_000), help="Size of the log.")
@click.option("--users", type=click.IntRange(100), help="Users; one for each 100 events, if not given.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(7), help="Length of the log.")
@click.option("--seed", default=7, show_default=True, help="Seed of the simulation.")
@click.option("--every", default="1d", show_default=True, type=click.Choice(["1d", "1h"]), help="Window of a vector.")
@click.option(
    "--families", default="", help="Of ours, with commas between them; all of the default plan, if not given."
)
@click.option("--rivals", default="all", show_default=True, type=click.Choice(["none", "pandas", "all"]))
@click.option("--pandas-events", type=click.IntRange(20_000), help="Events pandas gets; at most 2 M, if not given.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1), help="Runs of ours and of the scan.")
@click.option("--compile/--no-compile", "compiling", default=True, help="Also measure first-use compilation.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keeps the logs between runs.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here.")
def main(  # noqa: PLR0913 - a command has as many parameters as options
    *,
    events: int,
    users: int | None,
    days: int,
    seed: int,
    every: str,
    families: str,
    rivals: str,
    pandas_events: int | None,
    repeats: int,
    compiling: bool,
    folder: Path | None,
    json_file: Path | None,
) -> None:
    """Measure events per second, Parquet on disk to vectors in memory."""
    from rich.console import Console

    console = Console(stderr=True)
    place, chosen = folder or Path(tempfile.gettempdir()) / "peculiar-speed", tuple(filter(None, families.split(",")))
    unknown = sorted(set(chosen) - set(FAMILIES))
    if unknown:
        raise click.BadParameter(f"expected families among {', '.join(FAMILIES)}, got {', '.join(unknown)}")
    track = Track(place, repeats, every, compiling, console, chosen)
    sample: int | None = min(events, pandas_events or 2_000_000)
    if rivals == "none" or every != "1d":
        console.print("pandas is left out" + ("" if rivals == "none" else ": it is written for windows of days only"))
        sample = None
    found = measure(Size(events, users or max(100, events // 100), days, seed), track, pandas_events=sample)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    shown = Console(width=max(100, console.width))
    shown.print(*_tables(found), _summary(found), sep="\n")


if __name__ == "__main__":
    main()
