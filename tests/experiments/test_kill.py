"""Killing scoring and training: few times, on a small log, with checks that do find what is wrong."""

from __future__ import annotations

import json
import os
import random
import time

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.experiments.kill import Size, Tally, _ended, _fork, _Ground, _in_child, _killed, main

SMALL = Size(events=6_000, users=120, days=32, scored=4)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A log, a store with a model, and what uninterrupted runs came to."""
    made = _Ground(tmp_path_factory.mktemp("ground"), SMALL)
    made.prepare()
    return made


@pytest.mark.long
@pytest.mark.parametrize("kind", ["train", "score"])
def test_kills_leave_nothing_partial_and_nothing_wrong(ground, kind):
    """After each kill what can be read is right, the registry holds together, and the rerun has the same bytes."""
    tally, dice = Tally(), random.Random(3)  # noqa: S311 - moments, no secrets
    while tally.kills < (1 if kind == "train" else 4):
        ground.round(kind, tally, dice)
    assert tally.told == []
    assert (tally.partial_outputs, tally.wrong_outputs, tally.differing_reruns) == (0, 0, 0)
    assert tally.registry_inconsistencies == 0


@pytest.mark.long
def test_the_look_finds_what_is_wrong(ground, tmp_path):
    """Half a file, another day's scores and a dataset without a line on record are each counted as what they are."""
    place, tally = tmp_path / "out", Tally()
    _in_child(lambda: ground._score("events", place))
    ground._look("score", "score", place, tally)
    assert tally.told == []
    first, second = sorted(place.glob("day=*"))[:2]
    commits = [place / "_commits" / f"{day.name.removeprefix('day=')}.json" for day in (first, second)]
    table = pq.read_table(next(second.iterdir()))
    (first / "half.parquet").write_bytes(b"PAR1")
    told = json.loads(commits[1].read_text())
    commits[1].write_text(json.dumps(told | {"files": []}))
    ground._look("score", "score", place, tally)
    assert (tally.partial_outputs, tally.wrong_outputs) == (1, 1)
    assert table.num_rows > 0
    moved = tmp_path / "moved"
    place.rename(moved)
    ground._look("score", "score", moved, tally)
    assert tally.registry_inconsistencies == 1
    assert "no use of moved on record" in " ".join(tally.told)


def test_a_child_is_killed_when_the_moment_comes(tmp_path):
    """A child that is done before the moment was not killed; one that is at work is, and does not go on."""
    mark = tmp_path / "mark"

    def slow() -> None:
        time.sleep(30)
        mark.write_text("done")

    assert _killed(slow, lambda seconds: seconds > 0.05)
    assert not mark.exists()
    assert not _killed(lambda: None, lambda seconds: seconds > 30)
    assert _ended(_fork(lambda: os._exit(0)), time.monotonic() + 30, lambda _: False)


def test_a_child_that_fails_is_an_error(capfd):
    """What goes wrong in a child that nobody killed is not taken for an answer."""

    def wrong() -> None:
        raise ValueError("no such thing")

    with pytest.raises(RuntimeError, match="a child that nobody killed failed"):
        _in_child(wrong)
    assert "ValueError: no such thing" in capfd.readouterr().err


def test_the_command_writes_what_it_counted(tmp_path, monkeypatch):
    """The JSON has the counts, over all and for each kind."""

    def measure(kills: int, *, seed: int, progress) -> dict[str, int]:
        progress("score: kill 2", 0.5)
        return {"kills": kills, "seed": seed}

    monkeypatch.setattr("peculiar.experiments.kill.measure", measure)
    answer = CliRunner().invoke(main, ["--kills", "3", "--seed", "5", "--json", str(tmp_path / "new" / "k.json")])
    assert answer.exit_code == 0
    assert answer.stderr == " 50%  score: kill 2\n"
    assert json.loads((tmp_path / "new" / "k.json").read_text()) == {"kills": 3, "seed": 5} == json.loads(answer.stdout)
