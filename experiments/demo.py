"""The whole promise in one command: simulate a city card, train, register, score the last weeks, explain the oddest."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.compute as pc
from rich.console import Console

from ..config import Config
from ..features.events import EventLog
from ..serving.batch import ScoringRequest, WrittenScores, score_to_file
from ..serving.dossier import DossierRequest, explain_entity
from ..serving.dossier_listing import dossier_listing
from ..serving.report import OddEntity, oddest_entities
from ..serving.reviewing import ReviewRequest, review_batch
from ..serving.ui import comparison_url
from ..training.references import load
from ..training.store import open_store
from ..training.train import TrainingResult, train
from .simulate import write_simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..serving.scoring import ScoredBatch
    from ..training.store import Store

    Say = Callable[[str], None]
    Progress = Callable[[str, float], None]

__all__ = ["STORIES", "run_demo"]

STORIES = {"fifty_buses": "fifty buses in a day", "odd_basket": "the odd basket"}
_DAYS = 60
_TRIALS = 4  # enough to show the search; a real training takes more
_SHOWN = 10
_FEW = 5  # alerts a day on the page, and events of the dossier: so that the demo ends soon
_CHAMPION = "models:/peculiar@champion"


def run_demo(  # noqa: PLR0913 - the size, the seed and the two voices are separate questions
    home: Path, *, events: int, users: int, seed: int, say: Say, progress: Progress | None = None
) -> dict[str, Any]:
    """Run the demo in a folder of its own.

    Parameters
    ----------
    home : Path
        Gets the log, the MLflow store and the scores.
    events, users : int
        Size of the simulated log.
    seed : int
    say : callable
        Takes each line for the reader.
    progress : callable, optional

    Returns
    -------
    dict
        Figures: the training's, the scoring's, the oddest users, and where the two stories ended up.
    """
    home = Path(home)
    say(f"1. A simulated city card, for rides and purchases: {events:,} events, {users:,} users, {_DAYS} days.")
    write_simulation(home, events=events, users=users, days=_DAYS, seed=seed)
    store = open_store(home)
    log = EventLog.open(home / "events.parquet")
    say(f"   Roles, guessed from names and types:\n{_indent(log.roles.describe())}")
    say("2. Training on the first weeks, judged on the last two, with labels that arrive a week late.")
    settings = replace(Config().training_settings(log.roles.time_zone), trials=_TRIALS, seed=seed, promote="always")
    trained = train(log, home / "labels.parquet", settings=settings, store=store, progress=progress)
    say(_indent(f"{trained.report}\n{trained.summary()}"))
    first = _day(trained.material.split.test_from)
    say(f"3. Scoring every day since {first} with the registered champion, {trained.champion.uri}.")
    scored = _score(home, store, first, progress)
    return _tell(home, store, (trained, scored), say)


def _score(home: Path, store: Store, first: date, progress: Progress | None) -> WrittenScores:
    request = ScoringRequest(
        events=home / "events.parquet",
        model_uri=_CHAMPION,
        output=home / "scores.parquet",
        budget=20,
        days=(first, None),
    )
    return score_to_file(request, store, progress=progress)


def _tell(home: Path, store: Store, done: tuple[TrainingResult, WrittenScores], say: Say) -> dict[str, Any]:
    trained, scored = done
    planted = _planted(home, _day(trained.material.split.test_from))
    shown = oddest_entities(scored.table, limit=_SHOWN)
    say(f"4. The {_SHOWN} oddest users. Each score is a lead for a person to check, never a verdict.")
    for place, odd in enumerate(shown, 1):
        say(_entry(place, odd, planted))
    everyone = oddest_entities(scored.table, limit=pc.count_distinct(scored.table["entity"]).as_py())
    stories = {story: _places(everyone, planted, story) for story in STORIES}
    for story, places in stories.items():
        say(_story(story, places, {odd.entity: odd for odd in everyone}))
    _show(home, store, (scored, _to_show(everyone, stories)), say)
    say(f"Scores of all {scored.table.num_rows:,} user-days: {scored.output}")
    say(f"Compare the models in MLflow: peculiar ui --home {home}\n  then open {comparison_url(store)}")
    return {
        "training": trained.to_dict(),
        "scoring": scored.to_dict(),
        "oddest": [odd.entity for odd in shown],
        "stories": stories,
    }


def _to_show(everyone: list[OddEntity], stories: dict[str, dict[str, int]]) -> OddEntity:
    """The first of the users of the stories; the oddest of all if none of them acted."""
    places = [place for users in stories.values() for place in users.values()]
    return everyone[min(places, default=1) - 1]


def _show(home: Path, store: Store, told: tuple[WrittenScores, OddEntity], say: Say) -> None:
    """One dossier in full, and a page with the first few alerts of each day."""
    scored, odd = told
    day = datetime.fromisoformat(odd.day)
    say(f"5. One of them in full, as 'peculiar explain {odd.entity} --at {odd.day}' prints it:")
    dossier = explain_entity(DossierRequest(odd.entity, day, home / "events.parquet", _CHAMPION), store)
    paper = io.StringIO()
    console = Console(width=100, file=paper)
    for part in dossier_listing(dossier, limit=_FEW):
        console.print(part)
    say(_indent("\n".join(line.rstrip() for line in paper.getvalue().splitlines())))
    written = review_batch(
        load(store, _CHAMPION),
        _first_of_each_day(scored.batch),
        EventLog.open(home / "events.parquet"),
        ReviewRequest(home / "scores.parquet", home / "events.parquet", home / "review.html"),
        store,
        counts=(scored.table.num_rows, scored.alerts),
    )
    say(f"Review page of the first {_FEW} of each day, {written.alerts} alerts; open it in a browser: {written.output}")


def _first_of_each_day(batch: ScoredBatch) -> ScoredBatch:
    few = pc.and_(batch.table["alert"], pc.less_equal(batch.table["rank"], _FEW))
    return replace(batch, table=batch.table.set_column(batch.table.column_names.index("alert"), "alert", few))


def _entry(place: int, odd: OddEntity, planted: dict[str, str]) -> str:
    truth = f"planted: {planted[odd.entity].replace('_', ' ')}" if odd.entity in planted else "not planted"
    head = f"  {place:>2}. {odd.entity} on {odd.day}, score {odd.score:.2f}  [{truth}]"
    return "\n".join([head, *(f"        {reason}" for reason in odd.reasons)])


def _story(story: str, places: dict[str, int], shown: dict[str, OddEntity]) -> str:
    """Where the users of a story stand among all users scored, and why the first of them does."""
    if not places:
        return f"{STORIES[story].capitalize()}: nobody of it acted in the scored weeks."
    told = ", ".join(f"{user} number {place}" for user, place in places.items())
    first = min(places, key=places.__getitem__)
    reasons = [f"     {reason}" for reason in shown[first].reasons] if places[first] > _SHOWN else []
    return "\n".join([f"{STORIES[story].capitalize()}: {told}, of {len(shown):,} users scored.", *reasons])


def _planted(home: Path, first: date) -> dict[str, str]:
    """What was planted in whom, as far as it lasted into the scored weeks."""
    labels = pl.scan_parquet(home / "labels.parquet")
    events = pl.scan_parquet(home / "events.parquet").select("event_id", "ts")
    last = pl.coalesce("to", "ts").dt.date()
    planted = (
        labels.join(events, on="event_id", how="left").filter(last >= first).select("entity", "scenario").collect()
    )
    return dict(zip(planted["entity"], planted["scenario"], strict=True))


def _places(everyone: list[OddEntity], planted: dict[str, str], story: str) -> dict[str, int]:
    """The place of each user of a story among all users, by their oddest window."""
    return {odd.entity: place for place, odd in enumerate(everyone, 1) if planted.get(odd.entity) == story}


def _day(instant: int) -> date:
    return date(1970, 1, 1) + timedelta(microseconds=instant)


def _indent(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
