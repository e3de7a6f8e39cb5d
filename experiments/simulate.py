"""A labelled event log of an invented city, of any size, with known oddities planted among honest habits.

People pay for rides and purchases with a city card and use its app. ``docs/simulator.md`` describes the world, what is
planted in it, and what it does not claim. The habits of the whole population are drawn once; then each day is drawn
from its own random stream and written, so that memory is bounded by the population and a day, not by the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from .city import START, Calendar
from .event_files import written_log
from .scenarios import Scenarios
from .witness import Figures, Witness
from .world import World, draw_world

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

__all__ = ["Figures", "Scenarios", "Simulation", "simulate", "write_simulation"]


@dataclass(frozen=True)
class Simulation:
    """A simulated log.

    Attributes
    ----------
    events
        Columns `event_id`, `user_id`, `ts`, `action`, `item`, `category`, `vehicle`, `device`, `country`, `amount`,
        `district`, in time order; strings as dictionary columns.
    labels
        Columns `entity`, `event_id`, `from`, `to`, `scenario`, `known_at`: each row is about one event, or about an
        entity from ``from`` until before ``to``.
    """

    events: pa.Table
    labels: pa.Table

    def write(self, folder: str | Path) -> None:
        """Write ``events.parquet`` and ``labels.parquet``; a killed run leaves what was there before."""
        with written_log(Path(folder)) as log:
            log.events(self.events)
            log.labels(self.labels)


def simulate(  # noqa: PLR0913 - the size of a log is three numbers, and each has a name
    *, events: int, users: int, days: int, seed: int, stories: Scenarios | None = None, start: dt.date = START
) -> Simulation:
    """Simulate a log in memory; the same arguments give the same log, whatever the number of threads.

    Parameters
    ----------
    events
        Number of events, kept exactly; at least one a user and 20 a day.
    users
        Number of card holders, at least 100; light users of a short log may not appear in it.
    days
        Length of the period, at least 7.
    seed
        Seed of all randomness, not negative.
    stories
        How many users each scenario is planted in; by default one in a thousand, at least three.
    start
        First day (UTC).

    Returns
    -------
    Simulation
        Events and labels.

    Raises
    ------
    ConfigError
        If a size is too small, or too small for the incidents to be planted.

    Examples
    --------
    >>> log = simulate(events=20_000, users=400, days=30, seed=7)
    >>> log.events.num_rows, log.events["ts"][0].as_py().date().isoformat()
    (20000, '2025-01-06')
    >>> sorted(set(log.labels["scenario"].to_pylist()))[-3:]
    ['fifty_buses', 'odd_basket', 'slow_drift']
    """
    world = draw_world(events=events, users=users, calendar=Calendar(start, days), seed=seed, stories=stories)
    witness = Witness(world)
    tables = list(_days(world, witness))
    return Simulation(pa.concat_tables(tables).unify_dictionaries(), witness.labels())


def write_simulation(  # noqa: PLR0913 - as simulate
    folder: str | Path,
    *,
    events: int,
    users: int,
    days: int,
    seed: int,
    stories: Scenarios | None = None,
    start: dt.date = START,
    progress: Callable[[int, int], object] | None = None,
) -> Figures:
    """Simulate a log straight into ``events.parquet`` and ``labels.parquet``, in memory that its length does not set.

    Takes the parameters of :func:`simulate` and writes the very same log.

    Parameters
    ----------
    folder
        Folder to write to; made if missing. Files of an earlier run are replaced when the new ones are complete.
    events, users, days, seed, stories, start
        As in :func:`simulate`.
    progress
        Called after each day with the days done and the days in all.

    Returns
    -------
    Figures
        Rows, users that appear, days, and incidents of each scenario.

    Raises
    ------
    ConfigError
        If a size is too small, or too small for the incidents to be planted.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_simulation(folder, events=20_000, users=400, days=30, seed=7)["rows"]
    20000
    """
    world = draw_world(events=events, users=users, calendar=Calendar(start, days), seed=seed, stories=stories)
    witness = Witness(world)
    with written_log(Path(folder)) as log:
        for done, table in enumerate(_days(world, witness), start=1):
            log.events(table)
            if progress is not None:
                progress(done, days)
        log.labels(witness.labels())
    return witness.figures()


def _days(world: World, witness: Witness) -> Iterator[pa.Table]:
    """Yield the events of each day as a table, and let ``witness`` take note of them."""
    city, places = world.habits.city, world.habits.places
    for day, block in enumerate(world.blocks()):
        district = places.districts(block.user, day)
        yield world.vocabulary.table(block, city, district, first_id=witness.rows)
        witness.see(block)
