"""What a new day costs on a store of ninety days, as a share of building all of them again.

The full rebuild splits the whole log and makes vectors and scores of all days. The new day is added to a store that has
all days but the last, and its vectors and scores are made. Each is done in a fresh process, where start and imports do
not count, and the day's vectors and scores have to be the same in every bit.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..features.daily import take_in
from ..features.events import EventLog
from ..features.memory import Room
from ..features.store import EventStore
from ..serving.batch import day_begins
from ..training.model import Model
from .rivals.stopwatch import run_apart
from .scale import scores_on_disk, trained_model, warm_up, written

if TYPE_CHECKING:
    from datetime import date

    from .rivals.stopwatch import Run, Stopwatch

__all__ = ["measure_increment"]

_DAYS = 90


def measure_increment(
    folder: Path, events: int, *, memory: int, detector: str = "isolation_forest", days: int = _DAYS
) -> dict[str, Any]:
    """Hold the last day of a log, added to a store of the days before it, against a full rebuild.

    Parameters
    ----------
    folder : Path
        Where log, store and output go; a log that is there already is taken as it is.
    events : int
    memory : int
        Bytes that each process may take.
    detector : str
    days : int
        Length of the log.

    Returns
    -------
    dict
        Plain data: ``rebuild`` and ``new_day`` (each with ``seconds``, ``cpu_seconds``, ``stages``, ``vectors``,
        ``peak_bytes``), ``share`` and ``cpu_share`` of the second in the first, ``identical``, ``events``, ``day``,
        ``day_events``, ``partitions``.
    """
    model, log = trained_model(folder, detector), written(folder, events, days)
    day, last = _parted(log, folder)
    parts = Room.of(memory, Model.load(model).plan.roles).partitions(events)
    _made(folder, model, parts, days)
    runs = [
        run_apart(work, (str(log), str(model), str(folder)), (memory, parts), str(day)) for work in (_rebuild, _new_day)
    ]
    found = {
        "share": runs[1].seconds / runs[0].seconds,
        "cpu_share": runs[1].cpu_seconds / runs[0].cpu_seconds,
        "identical": _same(folder, day),
        "events": events,
        "day": str(day),
        "day_events": last,
        "partitions": parts,
        **{name: _told(run) for name, run in zip(("rebuild", "new_day"), runs, strict=True)},
    }
    shutil.rmtree(folder / "store")
    return found


def _told(run: Run) -> dict[str, Any]:
    plain = {"seconds": run.seconds, "cpu_seconds": run.cpu_seconds, "stages": run.stages}
    return plain | {"vectors": run.rows, "peak_bytes": run.peak_rss_bytes}


def _parted(log: Path, folder: Path) -> tuple[date, int]:
    """Write the last day and the days before it as logs of their own."""
    events = pq.read_table(log)
    day = pc.floor_temporal(events["ts"], unit="day")
    last = pc.equal(day, pc.max(day))
    pq.write_table(events.filter(last), folder / "last.parquet")
    pq.write_table(events.filter(pc.invert(last)), folder / "before.parquet")
    return pc.max(day).as_py().date(), int(pc.sum(last).as_py())


def _made(folder: Path, model: Path, partitions: int, days: int) -> None:
    """The store of all days but the last."""
    shutil.rmtree(folder / "store", ignore_errors=True)
    plan = Model.load(model).plan
    store = EventStore.create(folder / "store", plan.roles, partitions=partitions)
    take_in(store, EventLog.open(str(folder / "before.parquet"), plan.roles), plan, keep=days)


def _rebuild(
    watch: Stopwatch, paths: tuple[str, str, str], room: tuple[int, int], day: str
) -> tuple[int, tuple[str, ...]]:
    model, home = _ready(paths[1], day), Path(paths[2])
    plan, place = model.plan, home / "rebuilt"
    shutil.rmtree(place, ignore_errors=True)
    watch.start()
    store = EventStore.create(place, plan.roles, partitions=room[1])
    store = store.add(EventLog.open(paths[0], plan.roles), rows=Room.of(room[0], plan.roles).piece)
    watch.lap("split")
    scored = scores_on_disk(model, store, home, memory=room[0], named="all-", lap=watch.lap)
    watch.lap("vectors and scores")
    shutil.rmtree(place)
    return scored.rows, tuple(plan.by_family)


def _new_day(
    watch: Stopwatch, paths: tuple[str, str, str], room: tuple[int, int], day: str
) -> tuple[int, tuple[str, ...]]:
    model, home = _ready(paths[1], day), Path(paths[2])
    plan = model.plan
    watch.start()
    log = EventLog.open(str(home / "last.parquet"), plan.roles)
    store = EventStore.open(home / "store")
    grown = take_in(store, log, plan, keep=_DAYS, rows=Room.of(room[0], plan.roles).piece)
    [new] = grown.days
    watch.lap("add")
    since = day_begins(new, plan.roles.time_zone)
    scored = scores_on_disk(model, grown.store, home, since=since, memory=room[0], named="day-", lap=watch.lap)
    watch.lap("vectors and scores")
    return scored.rows, tuple(plan.by_family)


def _ready(place: str, _day: str) -> Model:
    model = Model.load(Path(place))
    warm_up(model)
    return model


def _same(folder: Path, day: date) -> bool:
    """Whether the day's vectors and scores are the same in every bit."""
    pairs = []
    for kind in ("vectors", "scores"):
        whole = pq.read_table(folder / f"all-{kind}.parquet")
        on = pc.equal(pc.floor_temporal(whole["since"], unit="day").cast(pa.date32()), pa.scalar(day, pa.date32()))
        pairs.append((whole.filter(on), pq.read_table(folder / f"day-{kind}.parquet")))
    return all(
        _bits(ours[name]) == _bits(theirs[name]) for theirs, ours in pairs for name in ours.column_names
    ) and all(len(theirs) == len(ours) for theirs, ours in pairs)


def _bits(column: pa.ChunkedArray) -> bytes | list[Any]:
    plain = pa.types.is_floating(column.type)
    return np.asarray(column.to_numpy()).tobytes() if plain else column.to_pylist()
