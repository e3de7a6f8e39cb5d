"""A log that is split for as long as it is worked on: resumed after a kill, cleaned up after anything."""

from __future__ import annotations

import os
import shutil
from multiprocessing import get_context
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from event_logs import full_roles, rich_log, table_of

from peculiar.features.events import EventLog
from peculiar.features.holdings import StoreError
from peculiar.features.memory import Room
from peculiar.features.passing import passing_store
from peculiar.features.store import EventStore

MEMORY = 2_000_000_000


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log on disk that is split into pieces of a hundred rows."""
    pq.write_table(table_of(rich_log()), tmp_path / "events.parquet")
    monkeypatch.setattr(Room, "of", classmethod(lambda cls, *_: cls(100, 100, 1_000_000)))
    return EventLog.open(str(tmp_path / "events.parquet"), full_roles())


def left(folder) -> list[str]:
    """What is in a folder beside the log."""
    return sorted(path.name for path in folder.iterdir() if path.name != "events.parquet")


def split(log, output, stop_after: float = 2.0) -> None:
    """Split a log, and end at once, as a kill would, when so much of it is split."""

    def progress(_: str, share: float) -> None:
        if share >= stop_after:
            os._exit(9)

    with passing_store(log, output, memory=MEMORY, progress=progress):
        pass


def killed(log, output, stop_after: float) -> None:
    """Do this in a process of its own, which dies."""
    child = get_context("fork").Process(target=split, args=(log, output, stop_after))
    child.start()
    child.join(60)
    assert child.exitcode == 9


def test_the_split_log_is_gone_afterwards(log, tmp_path):
    """All events are there meanwhile, beside the output; after success and after an error nothing is."""
    with passing_store(log, tmp_path / "out.parquet", memory=MEMORY) as store:
        assert store.rows == len(log.source.read(log.roles.columns))
        assert store.folder.parent == tmp_path
        assert store.partitions == 8
    assert left(tmp_path) in ([], [".events-of-out.parquet.lock"])
    with pytest.raises(ZeroDivisionError), passing_store(log, tmp_path / "out.parquet", memory=MEMORY):
        1 / 0  # noqa: B018 - anything that fails
    assert left(tmp_path) in ([], [".events-of-out.parquet.lock"])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_killed_run_is_resumed(log, tmp_path):
    """The next run of the same goes on with the pieces that are missing, and ends with all events."""
    killed(log, tmp_path / "out.parquet", 0.4)
    [folder] = tmp_path.glob(".events-of-out.parquet")
    before = EventStore.open(folder).manifest.coming[1]
    assert before >= 2
    kept = {path: path.stat().st_ino for path in folder.rglob("*.events")}
    with passing_store(log, tmp_path / "out.parquet", memory=MEMORY) as store:
        assert store.rows == len(log.source.read(log.roles.columns))
        assert {path: path.stat().st_ino for path in kept} == kept
    assert not folder.exists()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_a_kill_left_goes_at_the_next_start(log, tmp_path):
    """A run that makes something else in that folder removes it, and a changed log is split from its beginning."""
    killed(log, tmp_path / "other.parquet", 0.4)
    killed(log, tmp_path / "out.parquet", 0.4)
    pq.write_table(table_of(rich_log()[:200]), tmp_path / "events.parquet")
    again = EventLog.open(str(tmp_path / "events.parquet"), full_roles())
    with passing_store(again, tmp_path / "out.parquet", memory=MEMORY) as store:
        assert not (tmp_path / ".events-of-other.parquet").exists()
        assert store.rows == 200
    assert not list(tmp_path.glob(".events-of-*/"))


def test_too_small_a_disk_is_refused(log, tmp_path, monkeypatch):
    """Before anything is split; and what was begun is cleaned up."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with (
        pytest.raises(StoreError, match="of room for the split log"),
        passing_store(log, tmp_path / "out.parquet", memory=MEMORY),
    ):
        pass
    assert not (tmp_path / ".events-of-out.parquet").exists()


def test_two_runs_do_not_make_the_same(log, tmp_path):
    """The second is refused while the first is at work, and leaves its events alone; another output is made."""
    with passing_store(log, tmp_path / "out.parquet", memory=MEMORY) as store:
        with (
            pytest.raises(StoreError, match="another run is making out"),
            passing_store(log, tmp_path / "out.parquet", memory=MEMORY),
        ):
            pass
        with passing_store(log, tmp_path / "other.parquet", memory=MEMORY) as other:
            assert other.rows == store.rows
        assert EventStore.open(store.folder).rows == store.rows
