"""The promise of memory: sizes in words, and what each stage may hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from event_logs import full_roles

from peculiar.errors import ConfigError
from peculiar.features.memory import Room, bytes_of


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), (" 1.5 GB ", 1_500_000_000), ("1500MB", 1_500_000_000), ("2GiB", 2**31)]
)
def test_sizes_are_read(text, size):
    """Decimal and binary units, with fractions and spaces."""
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["2", "2 gb", "lots", "-1GB", "2TB", ""])
def test_what_is_no_size_is_refused(text):
    """Nothing is guessed of a number without a unit."""
    with pytest.raises(ConfigError, match="expected a size such as 2GB or 1500MB, got"):
        bytes_of(text)


def test_less_than_a_process_needs_is_refused():
    """A promise that nobody could keep is not made."""
    with pytest.raises(ConfigError, match=r"expected 1GB of memory or more, got 0\.99GB"):
        Room.of(990_000_000, full_roles())


def test_stages_share_what_is_left():
    """More memory is more room; wider events are fewer; vectors never take more than a third of the promise."""
    small, large = (Room.of(memory, full_roles()) for memory in (10**9, 4 * 10**9))
    wide = Room.of(10**9, replace(full_roles(), dimensions=tuple(f"d{n}" for n in range(50))))
    assert wide.piece < small.piece < large.piece
    assert wide.partition < small.partition < large.partition
    assert 3 * large.vectors < 4 * 10**9


def test_partitions_are_as_many_as_it_takes():
    """A power of two, so that no more events than there is room for are in one, up to the most there can be."""
    room = Room(piece=10, partition=1_000, vectors=1)
    assert [room.partitions(events) for events in (0, 1_000, 1_001, 9_000, 10**9)] == [1, 1, 2, 16, 4096]
