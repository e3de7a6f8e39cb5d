"""The command line within a promise of memory, and on a store that is kept day by day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.cli import main
from peculiar.features.store import EventStore

LAST = "2025-02-16"


def run(*arguments: object) -> object:
    """Call the command in this process; it has to end well."""
    answer = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert answer.exit_code == 0, answer.output
    return answer


def refused(*arguments: object) -> str:
    """What the command says as it ends with 2."""
    answer = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert answer.exit_code == 2, answer.output
    return answer.stderr


def ordered(path) -> pa.Table:
    """The rows of a file by entity and time."""
    return pq.read_table(path).sort_by([("entity", "ascending"), ("as_of", "ascending")])


@pytest.fixture(scope="module")
def ground(city, trained, tmp_path_factory):
    """The log, all of it and as the days before the last and the last; labels; what scoring the last day comes to."""
    home = tmp_path_factory.mktemp("ground")
    day = np.array(city.events["ts"].to_numpy(), "datetime64[D]")
    assert str(day.max()) == LAST
    pq.write_table(city.events, home / "events.parquet")
    pq.write_table(city.events.filter(pa.array(day < day.max())), home / "before.parquet")
    pq.write_table(city.events.filter(pa.array(day == day.max())), home / "last.parquet")
    pq.write_table(city.labels, home / "labels.parquet")
    given = ("--home", trained.store.home, "--labels", home / "labels.parquet", "--budget", "3/day", "--no-shadow")
    whole = home / "whole.parquet"
    run("score", home / "events.parquet", "-o", whole, "--day", LAST, *given)
    return SimpleNamespace(home=home, given=given, whole=ordered(whole), store=trained.store)


@pytest.fixture(scope="module")
def kept(ground):
    """A store of the days before, to which the last was added; what each said."""
    model = ("--model", "models:/peculiar@champion", "--home", ground.store.home)
    folder, figures = ground.home / "store", ground.home / "figures.json"
    first = run("store", "add", folder, ground.home / "before.parquet", "--partitions", 4, "--keep", "40d", *model)
    second = run("store", "add", folder, ground.home / "last.parquet", "--late", "2d", "--json", figures, *model)
    use = json.loads((ground.store.home / "audit.jsonl").read_text().splitlines()[-1])
    return SimpleNamespace(folder=folder, first=first, second=second, figures=json.loads(figures.read_text()), use=use)


def test_score_within_memory_is_score(ground):
    """The day's rows with every column are those without a promise; the JSON and the lines say how many."""
    out, figures = ground.home / "large.parquet", ground.home / "large.json"
    answer = run("score", ground.home / "events.parquet", "-o", out, "--day", LAST, "--memory", "1500MB", *ground.given,
                 "--json", figures)  # fmt: skip
    assert ordered(out).equals(ground.whole)
    told = json.loads(figures.read_text())
    assert told["rows"] == ground.whole.num_rows
    assert f"{told['rows']:,} rows, {told['alerts']:,} alerts" in answer.output


def killed(command: list[str], home, mark: str) -> None:
    """Start the command in a process of its own, and kill it as soon as there is a file of a name."""
    child = subprocess.Popen([sys.executable, "-m", "peculiar.cli", *command], env=dict(os.environ))
    while not any(home.glob(mark)):
        assert child.poll() is None, "it was done before it could be killed"
        time.sleep(0.002)
    child.kill()
    assert child.wait() == -9


@pytest.mark.long
def test_a_kill_leaves_the_old_output_and_the_rerun_all_of_the_new(ground):
    """Killed while it splits and while it scores, what was there stays; then the same bytes, with nothing beside."""
    home = ground.home / "killed"
    home.mkdir()
    out, whole = home / "out.parquet", home / "whole.parquet"
    given = ("score", ground.home / "events.parquet", "--day", LAST, "--memory", "1GB", *ground.given)
    run(*given, "-o", whole)
    out.write_bytes(b"older")
    command = [str(argument) for argument in (*given, "-o", out)]
    for mark in (".events-of-out.parquet/day=*", ".*unranked*"):
        killed(command, home, mark)
        assert out.read_bytes() == b"older"
    assert (home / ".events-of-out.parquet").is_dir()
    run(*given, "-o", out)
    assert out.read_bytes() == whole.read_bytes()
    assert {path.name for path in home.iterdir() if path.suffix != ".lock"} == {"out.parquet", "whole.parquet"}


def test_a_day_is_scored_from_the_store(ground, kept):
    """The same rows, reasons and evidence as from the whole log, although older days have left the store."""
    out = ground.home / "stored.parquet"
    before = sorted(path for path in kept.folder.rglob("*") if path.is_file())
    run("score", kept.folder, "-o", out, "--day", LAST, "--memory", "1500MB", *ground.given)
    assert ordered(out).drop_columns(["evidence"]).equals(ground.whole.drop_columns(["evidence"]))
    assert ordered(out)["evidence"].to_pylist() == ground.whole["evidence"].to_pylist()
    assert sorted(path for path in kept.folder.rglob("*") if path.is_file()) == before


def test_adding_says_what_came_and_what_went(kept):
    """Rows, the days to build, the days that were deleted, and what there is now; the use is on record."""
    assert "to 2025-02-15" in kept.first.output
    assert f"  {LAST}: vectors of all entities to build" in kept.second.output
    figures = kept.figures
    assert f"{figures['came']:,} rows came in" in kept.second.output
    assert figures["changed"][LAST] is None
    days = [str(date(2025, 1, 6) + timedelta(days=n)) for n in range(42)]
    assert [*figures["gone"], *figures["days"]] == days
    assert len(figures["days"]) == 1 + 2 + 29
    assert f"deleted: {len(figures['gone'])} days, 2025-01-06 to {figures['gone'][-1]}" in kept.second.output
    assert figures["rows"] == sum(figures["days"].values())
    assert (kept.use["verb"], kept.use["rows"], kept.use["output"]) == ("store add", figures["came"], str(kept.folder))


def test_adding_twice_says_so(ground, kept):
    """The same day again: nothing came in, and there is nothing to build."""
    figures = ground.home / "again.json"
    given = ("--home", ground.store.home, "--json", figures, "--late", "2d")
    answer = run("store", "add", kept.folder, ground.home / "last.parquet", *given)
    assert "nothing came in: all of it was there" in answer.output
    told = json.loads(figures.read_text())
    assert (told["came"], told["changed"], told["gone"]) == (0, {}, [])
    assert told["days"] == kept.figures["days"]


def test_show_tells_what_is_there(ground, kept):
    """Days with their rows, and in one line days, rows, bytes and partitions."""
    figures = ground.home / "show.json"
    answer, store = run("store", "show", kept.folder, "--json", figures), EventStore.open(kept.folder)
    assert f"{len(store.days())} days, " in answer.output
    assert f"{store.rows:,} rows" in answer.output
    assert "4 partitions" in answer.output
    told = json.loads(figures.read_text())
    assert (told["rows"], told["bytes"], told["partitions"]) == (store.rows, store.bytes, 4)


def test_features_within_memory_are_features(ground):
    """The vectors of the model, and the figures, are those without a promise."""
    given = ("--model", "models:/peculiar@champion", "--home", ground.store.home, "--since", LAST)
    for name, more in (("one", ()), ("two", ("--memory", "1500MB"))):
        run("features", ground.home / "events.parquet", "-o", ground.home / f"v-{name}.parquet", *given, *more)
    one, two = (ordered(ground.home / f"v-{name}.parquet") for name in ("one", "two"))
    assert one.equals(two)
    assert one.schema.metadata == two.schema.metadata


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("store show nowhere", "expected an event store at nowhere, found none"),
        ("store add {store} {log} --partitions 8", "expected the 4 partitions that"),
        ("store add {store} {log} --memory 1MB", "expected 1GB of memory or more"),
        ("store add {store} {log} --memory much", "expected a size such as 2GB"),
        ("store add {store} {log} --late soon", "expected a number of days, such as 2d, got 'soon'"),
        ("store add new {log} --partitions 3", "expected 1, 2, 4"),
        ("score {store} -o scores --memory 2GB", "expected a file ending in .parquet"),
        ("features {log} -o v.parquet --memory 10", "expected a size such as 2GB"),
    ],
)
def test_what_cannot_be_is_said(ground, kept, monkeypatch, tmp_path, arguments, told):
    """One line says what was expected; the store stays as it is."""
    monkeypatch.chdir(tmp_path)
    before = EventStore.open(kept.folder).manifest
    line = refused(*arguments.format(store=kept.folder, log=ground.home / "last.parquet").split(), "--home", "."
                   ) if "show" not in arguments else refused(*arguments.split())  # fmt: skip
    assert told in line
    assert EventStore.open(kept.folder).manifest == before


def test_a_store_with_other_roles_is_no_log_for_a_model(ground, tmp_path):
    """What was made with other settings is not scored as if it fitted."""
    (tmp_path / "other.toml").write_text('[events]\nentity = "user_id"\nat = "ts"\ndimensions = ["device"]\n')
    store = tmp_path / "other"
    settings = ("--config", tmp_path / "other.toml", "--home", tmp_path)
    run("store", "add", store, ground.home / "last.parquet", *settings)
    given = ("--memory", "1500MB", *ground.given)
    assert "the model's roles" in refused("score", store, "-o", tmp_path / "s.parquet", "--day", LAST, *given)
