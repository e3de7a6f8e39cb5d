"""The record of use."""

from __future__ import annotations

import json
import multiprocessing
from typing import TYPE_CHECKING

import pytest

from peculiar.audit import AuditError, Use, record, verify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def trail(tmp_path):
    """Three uses on record."""
    for number in range(3):
        record(tmp_path, Use(verb="score", model="peculiar", version=str(number), rows=number))
    return tmp_path / "audit.jsonl"


def test_every_use_is_one_whole_line(trail):
    """A line tells when, who, what, with which model, and how many rows."""
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [line["version"] for line in lines] == ["0", "1", "2"]
    assert {"time", "user", "verb", "model", "sha256", "data", "rows", "output", "parameters"} <= set(lines[0])
    assert verify(trail).lines == 3


@pytest.mark.parametrize("change", [
    lambda lines: [lines[0].replace('"rows": 0', '"rows": 9'), *lines[1:]],
    lambda lines: [lines[0], lines[2]],
    lambda lines: lines[1:],
    lambda lines: [lines[0], lines[0], *lines[1:]],
    lambda lines: [lines[1], lines[0], lines[2]],
    lambda lines: [lines[0], "not json\n", lines[2]],
])  # fmt: skip
def test_a_change_breaks_the_chain(trail, change):
    """Altering, removing, repeating, swapping or garbling a line is noticed."""
    trail.write_text("".join(change(trail.read_text().splitlines(keepends=True))))
    with pytest.raises(AuditError, match="altered or removed"):
        verify(trail)


def test_a_kept_digest_shows_a_change_of_the_end(tmp_path, trail):
    """The digest of the last line vouches for the end, which the chain leaves open."""
    head = record(tmp_path, Use(verb="explain"))
    assert verify(trail, head=head).head == head
    trail.write_text("".join(trail.read_text().splitlines(keepends=True)[:-1]))
    assert verify(trail).lines == 3
    with pytest.raises(AuditError, match="cut off"):
        verify(trail, head=head)


def test_a_line_cut_short_stays_and_the_chain_goes_on(tmp_path, trail):
    """After a failure in the middle of a line the record goes on, and the torn line is reported."""
    with trail.open("ab") as file:
        file.write(b'{"time": "20')
    record(tmp_path, Use(verb="score"))
    found = verify(trail)
    assert (found.lines, found.torn) == (4, (4,))


def test_long_lines_are_found_again(tmp_path):
    """A line longer than one step of the search backwards is read whole."""
    record(tmp_path, Use(verb="score", parameters={"text": "ü" * 20_000}))
    record(tmp_path, Use(verb="score", parameters={"text": "x" * 9_000}))
    assert verify(tmp_path / "audit.jsonl").lines == 2


def _write(home: Path) -> None:
    for _ in range(20):
        record(home, Use(verb="score"))


def test_processes_take_turns(tmp_path):
    """Four processes that write at once leave one whole chain."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert verify(tmp_path / "audit.jsonl").lines == 80
