"""Columns become machine numbers without changing what they say."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from event_logs import DAY, HOUR, ZONES, instant
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import wall

from peculiar.features import columns as col

VALUES = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "b", "ä", "a b", "-1"])), max_size=12)


def chunked(values, kind=None, pieces=1):
    """The values dealt out over chunks."""
    return pa.chunked_array([pa.array(values[n::pieces], kind) for n in range(pieces)])


def decoded(codes):
    """The value of each row; None is null."""
    return [None if code < 0 else codes.values[int(code)].as_py() for code in codes.codes]


@given(VALUES, st.integers(1, 3), st.booleans())
@settings(max_examples=40)
def test_codes_give_the_values_back(values, pieces, by_dictionary):
    """Codes and their values tell each row as it was, in chunks or not, as text or as dictionary; null is -1."""
    column = chunked(values, pa.string(), pieces)
    codes = col.encode(column.dictionary_encode() if by_dictionary else column)
    assert decoded(codes) == [value for n in range(pieces) for value in values[n::pieces]]
    assert codes.codes.dtype == np.int32
    assert len(set(codes.values.to_pylist())) == len(codes.values)


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ([7, None, 7], pa.int64(), ["7", None, "7"]),
        ([True, None, False], pa.bool_(), ["true", None, "false"]),
        (["a", None], pa.string_view(), ["a", None]),
        (["a", None], pa.large_string(), ["a", None]),
        ([None, None], pa.null(), [None, None]),
    ],
)
def test_any_plain_type_becomes_text_codes(values, kind, text):
    """Whole numbers, booleans and all types of text are told by their text, so that CSV and Parquet agree."""
    assert decoded(col.encode(chunked(values, kind))) == text


@pytest.mark.parametrize("values", [["a", None], ["a", "a"]], ids=["null", "twice"])
def test_a_careless_dictionary_is_set_right(values):
    """Arrow lets a dictionary hold null, or one value twice; behind the door null is -1 and each value has one code."""
    careless = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None]), pa.array(values))
    codes = col.encode(pa.chunked_array([careless]))
    assert decoded(codes) == [*values, "a", None]
    assert codes.values.to_pylist() == ["a"]


def test_hashes_depend_on_the_value_alone():
    """Two columns with other codes for the same values hash alike, and null hashes unlike every value."""
    ours, theirs = (col.encode(chunked(values)) for values in (["a", "b", None], ["b", None, "a"]))
    rows = slice(None)
    assert ours.hashes(rows).tolist() == [theirs.hashes(rows).tolist()[n] for n in (2, 0, 1)]
    assert len(set(ours.hashes(rows).tolist())) == 3


def test_hashes_never_change():
    """The hash of a value is part of saved models: these numbers may only change together with the format."""
    assert [f"{key:016x}" for key in col.stable_hash(pa.array(["bus 7", ""]))] == [
        "3f98a3b4da8f5b7b",
        "186da64456263a46",
    ]


def test_take_picks_rows():
    """The rows that are asked for come in the order that is asked for."""
    assert decoded(col.encode(chunked(["a", "b", None])).take(np.array([2, 0]))) == [None, "a"]


@pytest.mark.parametrize(
    ("values", "kind", "read", "bad"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3], [0, 0, 0]),
        ([1.5, math.nan, math.inf, -math.inf], pa.float64(), [1.5, None, None, None], [0, 0, 1, 1]),
        (["1.50", " 2 ", "", "  ", None, "-1e3"], None, [1.5, 2, None, None, None, -1000], [0, 0, 0, 0, 0, 0]),
        (["x", "inf", "NaN", "1,5", "0x1f"], None, [None] * 5, [1, 1, 1, 1, 1]),
    ],
)
def test_numbers(values, kind, read, bad):
    """Numbers and their text are read, nothing given is null, and what is not a finite number is told apart from it."""
    got, wrong = col.numbers(chunked(values, kind))
    assert [None if not math.isfinite(v) else v for v in got] == read
    assert wrong.astype(int).tolist() == bad


def test_decimals_and_coded_text_are_numbers():
    """Decimals, and text that comes as dictionary codes, are numbers like any other."""
    decimal = pa.chunked_array([pa.array(["1.25", None]).cast(pa.decimal128(8, 2))])
    assert col.numbers(decimal)[0][0] == 1.25
    assert col.numbers(chunked(["1.25", None]).dictionary_encode())[0][0] == 1.25


NOON = instant("2025-03-01T12:00")


@pytest.mark.parametrize(
    "text",
    ["2025-03-01T12:00:00Z", "2025-03-01T13:00:00+01:00", "2025-03-01 12:00:00.000000Z", " 2025-03-01T12:00Z ",
     "2025-03-01T04:00-0800", "2025-03-01 12:00:00+00", "2025-03-01T12:00:00.000000999Z"],
)  # fmt: skip
def test_iso_text_with_a_zone_is_read(text):
    """ISO 8601 with a zone, with T or a space, with or without seconds, is the instant it says."""
    read = col.times(chunked([text]), "Asia/Kathmandu")
    assert read.at.tolist() == [NOON]
    assert not (read.null | read.unreadable | read.zoneless).any()
    assert not read.assumed


@pytest.mark.parametrize(
    "text", ["01/03/2025", "3.1.2025", "1740830400", "2025-02-30", "yesterday", "2025-03-01T25:00"]
)
def test_other_text_is_unreadable(text):
    """What is no ISO 8601 is told apart from no time at all, and never guessed at."""
    read = col.times(chunked([text, None, "", "2025-03-01"]), "UTC")
    assert read.unreadable.tolist() == [True, False, False, False]
    assert read.null.tolist() == [False, True, True, False]


def test_text_without_zone_is_read_in_the_logs():
    """Where no time carries a zone the log's is taken, and that is said."""
    read = col.times(chunked(["2025-07-01T12:00:00", "2025-01-01"]), "Europe/Berlin")
    assert read.at.tolist() == [instant("2025-07-01T10:00"), instant("2024-12-31T23:00")]
    assert read.assumed


def test_text_without_zone_among_text_with_one_is_told():
    """One time with a zone makes those without ambiguous; each is marked, whatever the order of rows."""
    texts = ["2025-03-01T12:00:00", "2025-03-01T12:00:00Z", "2025-03-01"]
    assert col.times(chunked(texts), "UTC").zoneless.tolist() == [True, False, True]
    assert col.times(chunked(texts[::-1]), "UTC").zoneless.tolist() == [True, False, True]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_timestamps_of_any_unit(unit, zone):
    """Timestamps of any unit are microseconds; those with a zone are instants, those without are read in the log's."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    column = chunked([NOON // 10**6 * per_second, None], pa.timestamp(unit, tz=zone))
    read = col.times(column, "Europe/Berlin")
    assert read.at[0] == (NOON if zone else NOON - HOUR)
    assert read.null.tolist() == [False, True]
    assert read.assumed == (zone is None)


def test_dates_begin_at_midnight_of_the_zone():
    """A date is the instant at which it begins in the log's zone."""
    read = col.times(chunked([20_148], pa.date32()), "Europe/Berlin")
    assert read.at.tolist() == [instant("2025-03-01") - HOUR]


# To 2037, where the tables of time zones that Arrow reads end.
@given(st.lists(st.integers(2 * 365 * DAY, 67 * 365 * DAY), min_size=1, max_size=8), st.sampled_from(ZONES))
@settings(max_examples=40)
def test_walls_are_what_clocks_show(instants, zone):
    """Wall times are those of the zone's calendar, and lead back to the instant unless the clock shows them twice."""
    shown = col.to_wall(np.array(instants), zone)
    for at, micros in zip(instants, shown.tolist(), strict=True):
        assert datetime(1970, 1, 1) + timedelta(microseconds=micros) == wall(at, zone).replace(tzinfo=None)  # noqa: DTZ001
    back = col.from_wall(shown, zone)
    first = [wall(at, zone).fold == 0 for at in instants]
    assert (back[first] == np.array(instants)[first]).all()


def test_the_hour_that_comes_twice_and_the_one_that_never_does():
    """At the end of summer time the first of two is meant; an hour that is left out is the instant of the change."""
    twice, never = (int((datetime.fromisoformat(t) - datetime(1970, 1, 1)) / timedelta(microseconds=1))  # noqa: DTZ001
                    for t in ("2025-10-26T02:30", "2025-03-30T02:30"))  # fmt: skip
    got = col.from_wall(np.array([twice, never]), "Europe/Berlin")
    assert got.tolist() == [instant("2025-10-26T00:30"), instant("2025-03-30T01:00")]
    assert datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC).hour == 0


def test_ids_are_equal_for_equal_ids():
    """Whole numbers are their own keys, also negative ones; text has its hash; null is marked and equals nothing."""
    numbers = col.encode_ids(chunked([5, None, -1, 5], pa.int64()))
    assert numbers.keys[[0, 3]].tolist() == [5, 5]
    assert numbers.null.tolist() == [False, True, False, False]
    text = col.encode_ids(chunked(["x", "y", "x"]).dictionary_encode())
    assert text.keys[0] == text.keys[2] != text.keys[1]
    assert text.null is None


@pytest.mark.parametrize(
    ("values", "unique"), [([1, 2, 9], True), ([1, 1], False), ([2, 1], False), ([1, None], False)]
)
def test_rising_ids_are_known_to_be_unique(values, unique):
    """Ids that only rise need no search for doubles; nothing is claimed of others."""
    assert col.encode_ids(chunked(values, pa.int64())).unique is unique
