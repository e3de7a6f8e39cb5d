"""Time and memory of one piece of work, in a process of its own.

A fresh process per run, so that nobody profits from another's warm caches or pays for another's memory. Imports and a
first run on a tiny log (which loads or compiles kernels and starts thread pools) come before the watch is started.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Run", "Stopwatch", "middle", "run_apart"]


@dataclass
class Stopwatch:
    """Laps of wall time, by the name of the stage that they end.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> watch.start()
    >>> watch.lap("read")
    >>> list(watch.seconds)
    ['read']
    """

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    _wall: float = 0.0
    _cpu: float = 0.0

    def start(self) -> None:
        """Begin the first stage; what came before does not count."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def lap(self, stage: str) -> None:
        """End a stage and begin the next."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + wall - self._wall
        self.cpu_seconds += cpu - self._cpu
        self._wall, self._cpu = wall, cpu

    def move(self, seconds: float, *, stage: str, out_of: str) -> None:
        """Give a part of one stage, measured inside it, a name of its own."""
        self.seconds = {stage: seconds, **self.seconds, out_of: self.seconds[out_of] - seconds}


@dataclass(frozen=True)
class Run:
    """What one run took.

    Attributes
    ----------
    stages : dict of str to float
        Wall seconds of each stage.
    cpu_seconds : float
        Of all threads, over all stages.
    peak_rss_bytes : int
        The most memory the process ever held, imports included.
    rows : int
    names : tuple of str
        The features it built; none for a scan.
    """

    stages: dict[str, float]
    cpu_seconds: float
    peak_rss_bytes: int
    rows: int
    names: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Wall seconds in all."""
        return sum(self.stages.values())


def run_apart(work: Callable[..., tuple[int, Sequence[str]]], *arguments: object) -> Run:
    """Do a piece of work in a fresh process.

    Parameters
    ----------
    work : callable
        Takes a :class:`Stopwatch` and the arguments; returns how many rows it made, and of which columns.
    *arguments : object
        Whatever can be pickled.

    Returns
    -------
    Run
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_timed, work, arguments).result()


def middle(runs: Sequence[Run]) -> Run:
    """The run whose time is the median (the slower of two in the middle)."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


def _timed(work: Callable[..., tuple[int, Sequence[str]]], arguments: tuple[object, ...]) -> Run:
    watch = Stopwatch()
    rows, names = work(watch, *arguments)
    return Run(watch.seconds, watch.cpu_seconds, _peak_rss(), rows, tuple(names))


def _peak_rss() -> int:
    """On Linux getrusage also remembers the memory of the process that started this one; its own status does not."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii", errors="replace").splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
