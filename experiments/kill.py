"""What is left when scoring or training is killed: SIGKILL at random moments, again and again, and a look each time.

``python -m peculiar.experiments.kill --kills 200 --json kill.json`` works on a small simulated log. Scoring writes a
dataset of three weeks, into an empty folder or over an older revision of every day (its log lacked some late events);
training goes on in one MLflow store. After each kill,

- what :func:`~peculiar.serving.dataset.read_scores` reads is, day by day, that of an uninterrupted run, the older
  revision's or the newer's;
- every file that a reader of plain partitions finds is whole;
- every registered version loads and passes its check, the champion's alias leads to one of them, and the record of use
  verifies and knows of every dataset that has a commit;
- the same run again, to its end, gives the same bytes as the uninterrupted one.

Half of the moments are even over the whole duration, half are aimed: as soon as so many files are there, at most a
hundredth of a second later, so that most of these fall into a phase of writing. A fresh process would spend its first
seconds on imports. So the work is done by children that are forked off a process that has imported everything and
compiled every kernel; what is killed is all that a fresh process does after that, the opening of the store included.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from ..audit import AuditError, verify
from ..errors import ConfigError, PeculiarError
from ..features.events import EventLog
from ..features.snapshots import WindowSpec
from ..serving.batch import ScoringRequest
from ..serving.dataset import ScoreDataset
from ..serving.nightly import score_to_dataset
from ..training.isolation_forest import IsolationForest
from ..training.references import load
from ..training.registry import champion
from ..training.settings import TrainingSettings
from ..training.store import open_store
from ..training.train import train
from .simulate import write_simulation

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Size", "Tally", "measure"]

_FIRST = date(2025, 1, 6)  # of the simulated log
_PATIENCE = 300.0  # seconds until a child that does not end counts as stuck
_MODEL = "models:/peculiar/1"


@dataclass(frozen=True)
class Size:
    """How large the log is, and how many days of it are scored."""

    events: int = 20_000
    users: int = 300
    days: int = 42
    scored: int = 21


@dataclass
class Tally:
    """What was found after the kills of one kind.

    Attributes
    ----------
    kills : int
        Children that were alive when the signal came.
    partial_outputs : int
        Days that could not be read through their commit, and visible files that are not whole.
    wrong_outputs : int
        Days that are those of no uninterrupted run.
    differing_reruns : int
        Runs to the end, after a kill, whose bytes are not those of an uninterrupted one.
    registry_inconsistencies : int
        Versions that do not load, an alias that leads nowhere, records of use that do not verify or lack a use.
    told : list of str
        What exactly was found, the first of it.
    """

    kills: int = 0
    partial_outputs: int = 0
    wrong_outputs: int = 0
    differing_reruns: int = 0
    registry_inconsistencies: int = 0
    told: list[str] = field(default_factory=list)

    def add(self, name: str, told: str) -> None:
        """Count one finding."""
        setattr(self, name, getattr(self, name) + 1)
        self.told = [*self.told, f"kill {self.kills}, {name}: {told}"][:20]


def measure(
    kills: int, *, seed: int = 0, size: Size | None = None, progress: Callable[[str, float], None] | None = None
) -> dict[str, Any]:
    """Kill scoring and training, two thirds and one third of the kills, and count what is wrong afterwards.

    Parameters
    ----------
    kills : int
    seed : int
        Of the moments; the log is always the same.
    size : Size, optional
    progress : callable, optional

    Returns
    -------
    dict
        The counts of :class:`Tally` over all, ``seconds``, ``kinds`` with the counts of each kind, and ``durations`` in
        seconds of the uninterrupted runs.

    Raises
    ------
    ConfigError
        If this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise ConfigError("expected a system that can fork, such as Linux or macOS; run the experiment there")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        ground = _Ground(Path(folder), size or Size())
        ground.prepare()
        dice = random.Random(seed)  # noqa: S311 - moments, no secrets
        kinds, tallies, done = {"train": kills // 3, "score": kills - kills // 3}, {}, 0
        for kind, wanted in kinds.items():
            tallies[kind] = Tally()
            while tallies[kind].kills < wanted:
                ground.round(kind, tallies[kind], dice)
                if progress:
                    progress(f"{kind}: kill {tallies[kind].kills}", (done + tallies[kind].kills) / kills)
            done += wanted
        durations = dict(ground.durations)
    counts = [name for name, value in asdict(Tally()).items() if isinstance(value, int)]
    total = {name: sum(getattr(tally, name) for tally in tallies.values()) for name in counts}
    seconds = time.monotonic() - begun
    return {**total, "seconds": seconds, "durations": durations, "kinds": {k: asdict(t) for k, t in tallies.items()}}


@dataclass
class _Ground:
    """The log, the stores and what uninterrupted runs came to."""

    root: Path
    size: Size
    durations: dict[str, float] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    whole: dict[str, dict[str, str]] = field(default_factory=dict)
    model: str = ""
    rounds: int = 0

    def prepare(self) -> None:
        """Write the log, warm up, and run everything once without interruption."""
        size = self.size
        write_simulation(self.root, events=size.events, users=size.users, days=size.days, seed=0)
        events = pq.read_table(self.root / "events.parquet")
        pq.write_table(events.filter(_most_of(events)), self.root / "early.parquet")
        self._warm_up()
        _in_child(self._train)
        before = _count(self.root / "home")
        self._timed("train", self._train)
        self.files["train"] = _count(self.root / "home") - before
        self.model = str(_in_child(self._newest))
        for kind, log in (("early", "early"), ("score", "events")):
            self._timed(kind, partial(self._score, log, self.root / kind))
            self.whole[kind] = _bytes(self.root / kind)
            self.files[kind] = _count(self.root / kind)
        shutil.copytree(self.root / "early", self.root / "again")
        self._timed("again", lambda: self._score("events", self.root / "again"))
        self.whole["again"] = _bytes(self.root / "again")
        self.files["again"] = _count(self.root / "again")

    def round(self, kind: str, tally: Tally, dice: random.Random) -> None:
        """One kill, the look at what it left, and the run to the end."""
        self.rounds += 1
        which = kind if kind == "train" or dice.random() < 0.5 else "again"
        place = self.root / ("home" if kind == "train" else f"out{self.rounds}")
        if which == "again":
            shutil.copytree(self.root / "early", place)
        work = self._train if kind == "train" else lambda: self._score("events", place)
        if not _killed(work, self._moment(which, place, dice)):
            return  # it was done before the moment came
        tally.kills += 1
        self._look(kind, which, place, tally)
        _in_child(work)
        self._look(kind, which, place, tally)
        if kind == "train":
            if (newest := str(_in_child(self._newest))) != self.model:
                tally.add("differing_reruns", f"the model is {newest}, not {self.model}")
            return
        if _bytes(place) != self.whole[which]:
            tally.add("differing_reruns", f"{sorted(_bytes(place).items() ^ self.whole[which].items())[:3]}")
        shutil.rmtree(place)

    def _moment(self, which: str, place: Path, dice: random.Random) -> Callable[[float], bool]:
        """When to kill: at a moment of the duration, or when so many files have come."""
        if dice.random() < 0.5:
            moment = dice.uniform(0.0, self.durations[which])
            return lambda seconds: seconds >= moment
        here = _count(place)
        wanted = here + dice.randint(1, max(1, self.files[which] - (here if which == "again" else 0)))
        pause = dice.uniform(0.0, 0.01)

        def come(_: float) -> bool:
            if _count(place) < wanted:
                return False
            time.sleep(pause)
            return True

        return come

    def _look(self, kind: str, which: str, place: Path, tally: Tally) -> None:
        for told in _in_child(lambda: self._inconsistencies(place if kind == "score" else None)):
            tally.add("registry_inconsistencies", told)
        if kind == "train":
            return
        for file in sorted(place.glob("day=*/[!._]*")):
            try:
                pq.read_table(file)
            except (OSError, pa.ArrowInvalid) as error:
                tally.add("partial_outputs", f"{file.name}: {error}")
        dataset = ScoreDataset.open(place)
        references = [ScoreDataset.open(self.root / name) for name in ("early", "score")[which == "score" :]]
        for day in dataset.days():
            try:
                table = dataset.read(day)
            except (PeculiarError, OSError, pa.ArrowInvalid) as error:
                tally.add("partial_outputs", f"{day}: {error}")
                continue
            if not any(table.equals(reference.read(day)) for reference in references):
                tally.add("wrong_outputs", f"{day}: of no uninterrupted run")

    def _inconsistencies(self, output: Path | None) -> list[str]:
        """What is wrong with the registry and the record of use; versions that were fine once are not read again."""
        store = open_store(self.root / "home")
        seen = self.root / "seen.json"
        fine = set(json.loads(seen.read_text())) if seen.exists() else set()
        told = []
        for version in store.client.search_model_versions("name = 'peculiar'"):
            if str(version.version) not in fine:
                told += _loads(store, f"models:/peculiar/{version.version}")
                fine.add(str(version.version))
        seen.write_text(json.dumps(sorted(fine)))
        named = champion(store)
        told += ["no version is the champion"] if named is None else _loads(store, named.uri)
        try:
            verify(store.home / "audit.jsonl")
        except AuditError as error:
            told.append(str(error))
        return told + ([] if output is None else self._unrecorded(store.home, output))

    def _unrecorded(self, home: Path, output: Path) -> list[str]:
        """Whether there are scores that no use on record has made."""
        copied = set(_bytes(self.root / "early").items())
        if not set(_bytes(output / "_commits").items()) - {(name.removeprefix("_commits/"), h) for name, h in copied}:
            return []
        uses = [json.loads(line) for line in (home / "audit.jsonl").read_text().splitlines()]
        return [] if any(use["output"] == str(output) for use in uses) else [f"no use of {output.name} on record"]

    def _train(self, home: str = "home") -> None:
        log = EventLog.open(self.root / "events.parquet")
        train(log, self.root / "labels.parquet", settings=_settings(), store=open_store(self.root / home))

    def _score(self, log: str, place: Path, home: str = "home") -> None:
        first = _FIRST + timedelta(days=self.size.days - self.size.scored)
        request = ScoringRequest(str(self.root / f"{log}.parquet"), _MODEL, place, budget=5, days=(first, None))
        score_to_dataset(request, open_store(self.root / home))

    def _newest(self) -> str:
        """The fingerprint of the version registered last."""
        found = open_store(self.root / "home").client.search_model_versions("name = 'peculiar'")
        return str(max(found, key=lambda version: int(version.version)).tags["peculiar.sha256"])

    def _warm_up(self) -> None:
        """Do once here what children will do, in a store of its own: an open connection must not be inherited."""
        self._train("elsewhere")
        self._score("early", self.root / "warm", "elsewhere")

    def _timed(self, kind: str, work: Callable[[], object]) -> None:
        begun = time.monotonic()
        _in_child(work)
        self.durations[kind] = time.monotonic() - begun


def _small() -> IsolationForest:
    return IsolationForest(trees=20, group_trees=5, samples=256)


def _settings() -> TrainingSettings:
    return TrainingSettings(
        windows=WindowSpec(horizon="14d"),
        detectors=("isolation_forest",),
        chosen=(_small(),),
        budget=5,
        trials=0,
        seed=0,
        promote="always",
    )


def _most_of(events: pa.Table) -> pa.Array:
    """All but one event in fifty: those that come late."""
    return pa.array([number % 50 != 0 for number in range(events.num_rows)])


def _loads(store: Any, uri: str) -> list[str]:
    try:
        load(store, uri)
    except PeculiarError as error:
        return [f"{uri}: {error}"]
    return []


def _in_child(work: Callable[[], object]) -> Any:
    """Do something in a forked child, to the end, and return what came of it, as JSON can hold it."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        child = _fork(lambda: answer.write_text(json.dumps(work())))
        if not _ended(child, time.monotonic() + _PATIENCE, lambda _: False):
            message = f"a child did not end within {_PATIENCE:g} seconds; the machine may be too busy"
            raise RuntimeError(message)
        if not answer.exists():
            raise RuntimeError("a child that nobody killed failed; its traceback is above")
        return json.loads(answer.read_text())


def _killed(work: Callable[[], object], now: Callable[[float], bool]) -> bool:
    """Start something and kill it when the moment comes; False if it was done before."""
    return not _ended(_fork(work), time.monotonic() + _PATIENCE, now)


def _fork(work: Callable[[], object]) -> int:
    with warnings.catch_warnings():  # Python 3.12 warns of threads; those of ours that live on hold no lock
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _ended(child: int, deadline: float, now: Callable[[float], bool]) -> bool:
    """Wait for a child; if the moment comes, or the deadline, kill it and return False."""
    begun = time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if now(time.monotonic() - begun) or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            return not os.WIFSIGNALED(os.waitpid(child, 0)[1])
        time.sleep(0.001)
    return True


def _count(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _bytes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _tell(what: str, share: float) -> None:
    click.echo(f"{share:4.0%}  {what}", err=True)


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=200, show_default=True, help="How many kills.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the moments.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(kills: int, seed: int, json_path: Path | None) -> None:
    """Kill scoring and training at random moments, and count what is wrong afterwards."""
    found = measure(kills, seed=seed, progress=_tell)
    text = json.dumps(found, indent=2, sort_keys=True)
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(text + "\n")
    click.echo(text)


if __name__ == "__main__":
    main()
