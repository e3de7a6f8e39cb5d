"""Fifty buses in a day and the odd basket, among a hundred thousand users, by the forest without labels.

``python -m peculiar.experiments.stories --json stories.json`` simulates a city, fits the Isolation Forest on its first
days without any label, and tells for each user of a story the place among all of the day that completes it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..features.events import EventLog
from ..training.isolation_forest import IsolationForest
from ..training.material import prepare
from ..training.settings import TrainingSettings
from ..training.splits import Period
from .scenarios import Scenarios
from .simulate import simulate

if TYPE_CHECKING:
    from ..features.vectors import Vectors
    from .simulate import Simulation

__all__ = ["Place", "places", "tell"]

_DAY = 86_400_000_000
_STORIES = {"odd_basket": 20, "fifty_buses": 10}
_OTHERS = ("account_takeover", "card_testing", "slow_drift", "exfiltration")
_TOP = 10


@dataclass(frozen=True)
class Place:
    """Where a user of a story stands on the day that completes it.

    Attributes
    ----------
    story : str
    entity : str
    day : str
    place : int
        1 is the oddest.
    among : int
        Users of that day.
    family : str
        What speaks first.
    days : int
        Over how many days the story went.
    """

    story: str
    entity: str
    day: str
    place: int
    among: int
    family: str
    days: int


def places(city: Simulation, later: Vectors, detector: Any) -> list[Place]:
    """The place of each user of a story among all of the day that completes it, the users of later days alone.

    Parameters
    ----------
    city : Simulation
    later : Vectors
        One per user and day, of days that the detector did not learn from.
    detector : FittedDetector
    """
    score, day = detector.score(later), later.since // _DAY
    entity, found = later.entity.dictionary_decode(), []
    for (story, who), when in sorted(_days(city).items()):
        own = np.flatnonzero(pc.equal(entity, who).to_numpy(zero_copy_only=False) & (day == max(when)))
        if len(own):
            rows = day == max(when)
            place, told = 1 + int((score[rows] > score[own[0]]).sum()), detector.contributions(later.take(own))
            date = str(np.datetime64(max(when), "D"))
            found.append(Place(story, who, date, place, int(rows.sum()), told.family[0], max(when) - min(when) + 1))
    return found


def _days(city: Simulation) -> dict[tuple[str, str], list[int]]:
    """The days of each user's story, since 1970."""
    labels = city.labels.filter(pc.is_in(city.labels["scenario"], pa.array(list(_STORIES))))
    row = pc.index_in(labels["event_id"].combine_chunks(), city.events["event_id"].combine_chunks())
    at = city.events["ts"].combine_chunks().cast(pa.int64()).take(row)
    begins = pc.coalesce(at, labels["from"].combine_chunks().cast(pa.int64())).to_numpy(zero_copy_only=False) // _DAY
    days: dict[tuple[str, str], list[int]] = {}
    for story, who, day in zip(labels["scenario"].to_pylist(), labels["entity"].to_pylist(), begins, strict=True):
        days.setdefault((story, who), []).append(int(day))
    return days


def tell(*, events: int, users: int, days: int, seed: int) -> dict[str, Any]:
    """Simulate, learn from the first three quarters of the days without labels, and place the stories of the rest.

    Returns
    -------
    dict
        Plain data: the figures of the run, and a row for each user of a story.
    """
    begun = time.perf_counter()
    stories = Scenarios(**_STORIES, **dict.fromkeys(_OTHERS, 0))
    city = simulate(events=events, users=users, days=days, seed=seed, stories=stories)
    log = EventLog.open(city.events)
    timeline, _, _ = log.read()
    cut = (int(timeline.at.min()) // _DAY + round(0.75 * days)) * _DAY
    settings = TrainingSettings(train=Period(None, cut), test=Period(cut, None))
    material = prepare(timeline, log.roles, None, settings=settings)
    simulated = time.perf_counter()
    detector = IsolationForest().fit(material.unseen, seed=seed)
    found = places(city, material.test, detector)
    done = time.perf_counter()
    return {
        "events": events,
        "users": users,
        "days": days,
        "seed": seed,
        "features": len(material.plan.features),
        "fitted_rows": len(material.unseen),
        "judged_rows": len(material.test),
        "seconds_to_vectors": simulated - begun,
        "seconds_to_fit_and_judge": done - simulated,
        "among_the_first_ten": {story: _share([p for p in found if p.story == story]) for story in _STORIES},
        "places": [asdict(place) for place in found],
    }


def _share(found: list[Place]) -> str:
    return f"{sum(place.place <= _TOP for place in found)} of {len(found)}"


@click.command()
@click.option("--events", default=10_000_000, show_default=True, type=click.IntRange(10_000))
@click.option("--users", default=100_000, show_default=True, type=click.IntRange(100))
@click.option("--days", default=60, show_default=True, type=click.IntRange(40))
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here.")
def main(*, events: int, users: int, days: int, seed: int, json_file: Path | None) -> None:
    """Place the users of the two stories among all of their day."""
    from rich.console import Console
    from rich.table import Table

    found = tell(events=events, users=users, days=days, seed=seed)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    table = Table(
        "story", "user", "day", "place", "among", "days", "speaks", title=f"{events:,} events, {users:,} users"
    )
    for row in found["places"]:
        told = (row["story"], row["entity"], row["day"], str(row["place"]), f"{row['among']:,}", str(row["days"]))
        table.add_row(*told, row["family"])
    Console(width=110).print(table)
    summary = ", ".join(f"{story}: {share}" for story, share in found["among_the_first_ten"].items())
    Console(width=110).print(f"among the first ten of their day: {summary}")


if __name__ == "__main__":
    main()
