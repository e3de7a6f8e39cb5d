"""Who runs in a race. Each entrant prepares, starts the watch, does its work, and says what it made.

Everything heavy is imported inside an entrant, since the process that starts it must stay small, and since the
compiler's cache must be chosen before the compiler is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from ...features.plan import FeaturePlan
    from ...features.population import Population
    from ...features.sources import Source
    from ...features.timeline import Timeline
    from .stopwatch import Stopwatch

__all__ = [
    "Course",
    "Size",
    "book_default",
    "book_twelve",
    "compile_kernels",
    "duckdb",
    "fit",
    "groupby_apply",
    "ours",
    "pandas",
    "polars",
    "scan",
    "scan_codes",
    "simulate",
]

Made = tuple[int, "Sequence[str]"]


@dataclass(frozen=True)
class Size:
    """The size of a simulated log.

    Attributes
    ----------
    events, users, days, seed : int
    """

    events: int
    users: int
    days: int
    seed: int

    def scaled(self, events: int) -> Size:
        """A log of as many events per user and day, but fewer users."""
        return Size(events, max(100, self.users * events // self.events), self.days, self.seed)


@dataclass(frozen=True)
class Course:
    """What is raced on.

    Attributes
    ----------
    log : Path
        The Parquet file of events.
    tiny : Path
        A small file of the same columns, to warm up with.
    frozen : Path
        Folder of the plan and the population, which :func:`fit` fills.
    every : str
        The window of a vector, "1d", "1h" or "event".
    families : tuple of str
        The families to build; none given means all of the default plan.
    """

    log: Path
    tiny: Path
    frozen: Path
    every: str = "1d"
    families: tuple[str, ...] = ()


def simulate(watch: Stopwatch, folder: Path, size: Size) -> Made:
    """Write the simulated log, in a process of its own because it takes memory."""
    from ..simulate import write_simulation

    watch.start()
    figures = write_simulation(folder, events=size.events, users=size.users, days=size.days, seed=size.seed)
    watch.lap("simulate")
    return figures["rows"], ()


def compile_kernels(watch: Stopwatch, course: Course) -> Made:
    """Compile every kernel: the first run on a tiny log less a second one, in a process whose cache is empty."""
    for library in ("pandas", "polars", "peculiar.features.plan"):
        importlib.import_module(library)
    watch.start()
    _vectors(course.tiny, course)
    watch.lap("compile")
    began = time.perf_counter()
    _vectors(course.tiny, course)
    watch.move(time.perf_counter() - began, stage="second run", out_of="compile")
    return 0, ()


def fit(watch: Stopwatch, course: Course) -> Made:
    """Read the log, make the default plan for it, learn the population, and freeze both."""
    _vectors(course.tiny, course)
    watch.start()
    timeline, plan = _planned(course.log, course)
    watch.lap("timeline")
    population = plan.fit(timeline)
    watch.lap("fit")
    course.frozen.mkdir(parents=True, exist_ok=True)
    (course.frozen / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    population.save(course.frozen / "population.arrow")
    return len(timeline), [feature.name for feature in plan.features]


def ours(watch: Stopwatch, course: Course) -> Made:
    """Parquet on disk to vectors in memory, with a frozen plan and population, as serving does."""
    from ...features.events import EventLog

    plan, population = _frozen(course)
    _vectors(course.tiny, course)
    watch.start()
    log = EventLog.open(str(course.log), plan.roles)
    source = _Timed(log.source)
    timeline, _, _ = replace(log, source=source).read()
    watch.lap("timeline")
    watch.move(source.seconds, stage="read", out_of="timeline")
    vectors = plan.vectors(timeline, population, progress=lambda family, _: watch.lap(family))
    watch.lap("vectors")
    return len(vectors), vectors.names


def pandas(watch: Stopwatch, course: Course) -> Made:
    """The same by vectorised pandas."""
    from . import pandas_features as rival
    from .recipe import Recipe

    recipe = Recipe.of(*_frozen(course))
    rival.build(rival.read(course.tiny, recipe), recipe)
    watch.start()
    frame = rival.read(course.log, recipe)
    watch.lap("read")
    made = rival.build(frame, recipe)
    watch.lap("features")
    return len(made), list(made.columns)


def polars(watch: Stopwatch, course: Course) -> Made:
    """The same by Polars."""
    from . import polars_features as rival
    from .recipe import Recipe

    recipe = Recipe.of(*_frozen(course))
    rival.build(course.tiny, recipe)
    watch.start()
    made = rival.build(course.log, recipe)
    watch.lap("features")
    return len(made), made.columns


def duckdb(watch: Stopwatch, course: Course) -> Made:
    """The same by DuckDB; the vectors stay a table in its memory."""
    from . import duckdb_features as rival
    from .recipe import Recipe

    recipe, threads = Recipe.of(*_frozen(course)), os.cpu_count() or 1
    with rival.connect(threads) as database:
        rival.build(database, course.tiny, recipe)
    with rival.connect(threads) as database:
        watch.start()
        rows = rival.build(database, course.log, recipe)
        watch.lap("features")
        return rows, database.table("vectors").columns


def groupby_apply(watch: Stopwatch, course: Course) -> Made:
    """The same by a Python function for each user, in pandas; no first run, which would take as long."""
    from . import pandas_apply as rival
    from .recipe import Recipe

    recipe = Recipe.of(*_frozen(course))
    watch.start()
    frame = rival.read(course.log, recipe)
    watch.lap("read")
    made = rival.build(frame, recipe)
    watch.lap("features")
    return len(made), list(made.columns)


def book_twelve(watch: Stopwatch, folder: Path) -> Made:
    """The features of the Fraud Detection Handbook by the package's parts; the first run compiles or loads them."""
    from . import book

    files = folder / "events.parquet", folder / "labels.parquet"
    book.twelve(*book.read(*files))
    watch.start()
    payments = book.read(*files)
    watch.lap("read")
    made = book.twelve(*payments)
    watch.lap("features")
    return made.shape[1], book.NAMES


def book_default(watch: Stopwatch, folder: Path) -> Made:
    """One vector per payment of the same log, by every family of the default plan for logs without labels."""
    from ...features.events import EventLog
    from ...features.plan import FeaturePlan
    from ...features.snapshots import WindowSpec
    from .book import ROLES

    log = EventLog.open(folder / "events.parquet", ROLES)
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, ROLES, WindowSpec(every="event", horizon="30d"))
    population = plan.fit(timeline)
    watch.start()
    timeline, _, _ = log.read()
    watch.lap("timeline")
    vectors = plan.vectors(timeline, population)
    watch.lap("vectors")
    return len(vectors), vectors.names


def scan(watch: Stopwatch, course: Course) -> Made:
    """Read the same columns with pyarrow's defaults, and do nothing with them."""
    return _scan(watch, course, as_codes=False)


def scan_codes(watch: Stopwatch, course: Course) -> Made:
    """Read the same columns with pyarrow, text left as dictionary codes."""
    return _scan(watch, course, as_codes=True)


def _scan(watch: Stopwatch, course: Course, *, as_codes: bool) -> Made:
    import pyarrow.parquet as pq

    roles = json.loads((course.frozen / "plan.json").read_text(encoding="utf-8"))["roles"]
    text = [roles["entity"], *roles["dimensions"]]
    columns = [*text, *filter(None, [roles["at"], roles["id"]]), *roles["measures"]]
    codes = text if as_codes else None
    pq.read_table(course.tiny, columns=columns, read_dictionary=codes)
    watch.start()
    table = pq.read_table(course.log, columns=columns, read_dictionary=codes)
    watch.lap("scan")
    return len(table), ()


class _Timed:
    """A source that remembers how long reading took."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.seconds = 0.0

    @property
    def name(self) -> str:
        return self._source.name

    def schema(self) -> pa.Schema:
        return self._source.schema()

    def read(self, columns: Sequence[str]) -> pa.Table:
        began = time.perf_counter()
        table = self._source.read(columns)
        self.seconds = time.perf_counter() - began
        return table


def _planned(log: Path, course: Course) -> tuple[Timeline, FeaturePlan]:
    from ...features.events import EventLog
    from ...features.families import FAMILIES
    from ...features.plan import FeaturePlan
    from ...features.snapshots import WindowSpec

    opened = EventLog.open(str(log))
    timeline, _, _ = opened.read()
    plan = FeaturePlan.for_log(timeline, opened.roles, WindowSpec(every=course.every))
    if course.families:
        plan = replace(plan, families=tuple(FAMILIES[name]() for name in course.families))
    return timeline, plan


def _vectors(log: Path, course: Course) -> None:
    timeline, plan = _planned(log, course)
    plan.vectors(timeline, plan.fit(timeline))


def _frozen(course: Course) -> tuple[FeaturePlan, Population]:
    from ...features.plan import FeaturePlan
    from ...features.population import Population

    plan = FeaturePlan.from_json((course.frozen / "plan.json").read_text(encoding="utf-8"))
    return plan, Population.load(course.frozen / "population.arrow")
