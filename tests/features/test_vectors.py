"""Vectors can be picked, cut by time, joined and shown, and stay what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from event_logs import DAY, instant
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.errors import PlanMismatchError
from peculiar.features.family import Feature
from peculiar.features.vectors import Vectors

FEATURES = tuple(
    Feature(name, family, "events", "A number.", "no number", "{value}")
    for name, family in (("a_count_1d", "one"), ("b_count_1d", "two"), ("c_count_1d", "one"))
)
BEGIN = instant("2025-03-01")


def vectors(keys, plan="p"):
    """Vectors of (entity, day) keys, whose values tell row and column."""
    names = sorted({name for name, _ in keys})
    entity = pa.DictionaryArray.from_arrays(
        pa.array([names.index(n) for n, _ in keys], pa.int32()), pa.array(names, pa.string())
    )
    since = np.array([BEGIN + day * DAY for _, day in keys], np.int64)
    values = np.array([[100 * f + 10 * len(n) + d for n, d in keys] for f in range(3)], np.float32).reshape(3, -1)
    return Vectors(entity, since, since + DAY, values, FEATURES, plan)


KEYS = [("ann", 0), ("ann", 1), ("ann", 4), ("bobby", 1), ("cy", 0)]


def shown(found):
    """Each row as entity, day and values."""
    return list(
        zip(found.entity.to_pylist(), ((found.since - BEGIN) // DAY).tolist(), found.values.T.tolist(), strict=True)
    )


def test_columns_and_rows_are_views_of_the_same_numbers():
    """A column by name, the matrix of rows, and the families' column numbers all point at the same values."""
    found = vectors(KEYS)
    assert found.names == ["a_count_1d", "b_count_1d", "c_count_1d"]
    assert found.column("b_count_1d").tolist() == found.values[1].tolist()
    assert found.matrix.shape == (5, 3)
    assert np.shares_memory(found.matrix, found.values)
    assert {family: columns.tolist() for family, columns in found.families().items()} == {"one": [0, 2], "two": [1]}


def test_an_unknown_column_is_refused():
    """The error names the plan and the columns that it has."""
    with pytest.raises(PlanMismatchError, match="no feature is called 'd'; the plan p has a_count_1d, b_count_1d"):
        vectors(KEYS).column("d")


def test_take_by_mask_and_by_position():
    """Rows are taken by a mask in their order, by positions in the order given, with all their parts."""
    found = vectors(KEYS)
    assert shown(found.take(found.since > BEGIN)) == shown(found)[1:4]
    assert shown(found.take(np.array([3, 0]))) == [shown(found)[3], shown(found)[0]]
    assert found.take(np.array([3, 0])).values.flags.c_contiguous


def test_between_keeps_whole_windows():
    """A window counts if it begins and ends within the period; either side may be open."""
    found = vectors(KEYS)
    days = [day for _, day, _ in shown(found.between(BEGIN + DAY, BEGIN + 2 * DAY))]
    assert days == [1, 1]
    assert shown(found.between(None, None)) == shown(found)
    assert len(found.between(BEGIN + DAY + 1, None)) == 1
    assert len(found.between(None, BEGIN + 2 * DAY - 1)) == 2


def test_a_window_that_ends_with_an_event_belongs_where_the_event_is():
    """It may reach back over the period's begin; of its own it has only the event's instant."""
    found = replace(vectors(KEYS), cut="event")
    assert np.array_equal(found.fresh, found.as_of - 1)
    end = int(found.as_of[0])
    assert len(found.between(end - 1, end)) == np.count_nonzero(found.as_of == end)
    assert len(found.between(end, None)) == np.count_nonzero(found.as_of > end)
    run = replace(found, cut="run")
    assert np.array_equal(run.fresh, run.since)
    assert len(run.between(end - 1, end)) == np.count_nonzero(run.as_of == end)


def test_as_a_table():
    """The table has keys and one float32 column per feature; null is null, and times are UTC."""
    found = vectors(KEYS)
    found.values[1, 2] = np.nan
    table = found.to_arrow()
    assert table.column_names == ["entity", "since", "as_of", *found.names]
    assert table["as_of"].type == pa.timestamp("us", tz="UTC")
    assert table["b_count_1d"].null_count == 1
    assert table["b_count_1d"].type == pa.float32()
    assert table["b_count_1d"].to_pylist()[2] is None
    frame = found.to_pandas()
    assert list(frame.columns) == table.column_names
    assert frame["b_count_1d"].isna().tolist() == [False, False, True, False, False]


@given(
    st.sets(st.tuples(st.sampled_from(["a", "B", "bb", "é", "10", "9"]), st.integers(0, 5)), min_size=1),
    st.integers(1, 4),
    st.randoms(),
)
@settings(max_examples=40)
def test_joined_parts_are_the_whole_in_order(keys, parts, random):
    """Parts joined in any order are in the order of entity and time, each row with its own values."""
    keys = sorted(keys)
    split = [vectors([key for key in keys if ord(key[0][0]) % parts == n]) for n in range(parts)]
    random.shuffle(split)
    assert shown(Vectors.concat(split)) == shown(vectors(keys))


def test_vectors_of_two_plans_are_not_joined():
    """Rows that two plans made do not mean the same, and nothing at all has no plan."""
    with pytest.raises(
        PlanMismatchError, match=r"expected vectors of one plan, got \['p', 'q'\]; rebuild them with one"
    ):
        Vectors.concat([vectors(KEYS), vectors(KEYS, "q")])
