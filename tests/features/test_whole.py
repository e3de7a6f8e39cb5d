"""What the whole log tells of its parts: silences of a year, and zones in a column of text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from event_logs import DAY, instant, iso
from hypothesis import given
from hypothesis import strategies as st

from peculiar.features.columns import times
from peculiar.features.door import FUTURE, ZONELESS
from peculiar.features.events import EventLog
from peculiar.features.roles import Roles
from peculiar.features.whole import Whole

ROLES = Roles("user", "at")


def looked_at(texts: list[str | None]) -> Whole:
    """What one part tells."""
    return Whole.of(times(pa.chunked_array([pa.array(texts, pa.string())]), "UTC"))


@given(st.lists(st.integers(0, 1200), min_size=1, max_size=30), st.integers(1, 5))
def test_the_limit_of_parts_is_that_of_the_whole(days, parts):
    """Counts of days add up over parts in any order to those of the log in one piece, and so does the limit."""
    at = [iso(instant("2024-01-01") + day * DAY) for day in days]
    whole, pieces = looked_at(at), [looked_at(at[n::parts]) for n in reversed(range(parts))]
    joined = Whole()
    for piece in pieces:
        joined = joined.merged(piece)
    assert (joined.limit, joined.zoned, joined.mixed) == (whole.limit, whole.zoned, whole.mixed)
    assert Whole.from_dict(joined.to_dict()) == joined


def test_a_part_keeps_out_what_the_whole_log_would():
    """A straggler beyond a year of silence, and a time without a zone, are told by other parts of the log."""
    texts = ["2025-03-01T08:00:00Z"] * 300 + ["2025-03-02T08:00:00", "2027-06-01T08:00:00Z"]
    part = pa.table({"user": ["ann"] * 2, "at": texts[-2:]})
    _, alone, _ = EventLog.open(part, ROLES).read()
    _, told, _ = EventLog.open(part, ROLES).read(whole=looked_at(texts))
    assert alone.rejected == {ZONELESS: 1}
    assert told.rejected == {ZONELESS: 1, FUTURE: 1}
    assert told.admitted == 0


def test_times_of_one_kind_count_alike():
    """Where no text has a zone all of it counts; where some has, only that counts."""
    bare = looked_at(["2025-03-01", "2025-03-02"])
    assert (bare.mixed, sum(bare.zoneless.values())) == (False, 2)
    both = bare.merged(looked_at(["2030-01-01T00:00Z"]))
    assert both.mixed
    assert both.limit is None


@pytest.mark.parametrize("at", [[0], [-5, 3]])
def test_unbelievable_times_are_no_days(at):
    """A zero that somebody's system wrote for "unknown" opens no silence of decades."""
    column = pa.chunked_array([pa.array(np.array(at), pa.timestamp("us", tz="UTC"))])
    assert Whole.of(times(column, "UTC")).zoned == {}
