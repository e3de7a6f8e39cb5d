"""How to race: where logs are kept, how often each runs, and what a run is summed up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import entrants
from .entrants import Course, Size
from .stopwatch import Run, middle, run_apart

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["Track", "figures"]

_TINY = {"events": 20_000, "users": 300, "days": 30}


@dataclass(frozen=True)
class Track:
    """How to race: where files are kept, how often the fast ones run, over which windows, with which families."""

    folder: Path
    repeats: int
    every: str
    compiling: bool
    console: Console
    families: tuple[str, ...] = ()
    _ours: dict[tuple[Size, tuple[str, ...]], tuple[Run, list[Run]]] = field(default_factory=dict)

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

    def ours(self, size: Size, families: tuple[str, ...]) -> tuple[Run, list[Run]]:
        """The fit of a population on a log of this size, and our runs with these families; measured once."""
        if (size, families) not in self._ours:
            course = self.course(size, families)
            (fit,) = self.run(entrants.fit, course)
            self._ours[size, families] = fit, self.run(entrants.ours, course, self.repeats)
        return self._ours[size, families]

    def _log(self, size: Size) -> Path:
        folder = self.folder / f"{size.events}-events-{size.users}-users-{size.days}-days-seed-{size.seed}"
        if not (folder / "events.parquet").is_file():
            with self.console.status(f"simulating {size.events:,} events"):
                run_apart(entrants.simulate, folder, size)
        return folder / "events.parquet"


def figures(events: int, runs: list[Run]) -> dict[str, Any]:
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
