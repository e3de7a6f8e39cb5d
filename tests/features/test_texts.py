"""The hash of text is pandas', and a vocabulary knows every value again, however it comes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.util import hash_array

from peculiar.errors import SchemaError
from peculiar.features import texts
from peculiar.features.texts import Vocabulary, text_hash

WORDS = st.lists(st.text(max_size=40), max_size=60)


def hashes_of(words: list[str | None]) -> list[int]:
    """What pandas makes of them as objects."""
    return hash_array(np.array([*words, "end"], object), categorize=False)[:-1].tolist()


@settings(max_examples=60)
@given(WORDS, st.integers(0, 5), st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
def test_the_hash_is_that_of_pandas(words, begin, kind):
    """Of any text and length, in any of Arrow's layouts, from the middle of an array too."""
    array = pa.array(words, pa.string()).cast(kind)
    assert text_hash(array.slice(begin)).tolist() == hashes_of(words[begin:])


def test_nulls_have_the_hash_that_they_had():
    """A null among the values is hashed as pandas hashes None."""
    assert text_hash(pa.array(["a", None])).tolist() == hashes_of(["a", None])
    assert text_hash(pa.nulls(2, pa.string())).tolist() == hashes_of([None, None])


@settings(max_examples=60)
@given(st.lists(WORDS, max_size=6))
def test_pieces_make_one_dictionary(pieces):
    """Decoded by the values at the end, the numbers give every piece again; each value is there once, with its hash."""
    seen = Vocabulary()
    numbers = [seen.learn(pa.array(piece, pa.string())) for piece in pieces]
    values = seen.values.to_pylist()
    assert [[values[number] for number in row] for row in numbers] == pieces
    assert values == list(dict.fromkeys(word for piece in pieces for word in piece))
    assert seen.keys.tolist() == hashes_of(values)
    assert len(seen) == len(values)


def test_many_values_outgrow_their_room():
    """Thousands of values, a few at a time: table, offsets and bytes grow with them."""
    words, seen = [f"value number {n}" for n in range(5_000)], Vocabulary()
    for begin in range(0, len(words), 37):
        seen.learn(pa.array(words[max(0, begin - 11) : begin + 37]))
    assert seen.values.to_pylist() == words
    assert seen.find(pa.array([*words[::-1], "another"])).tolist() == [*range(4_999, -1, -1), -1]


def test_values_of_one_hash_are_told_apart(monkeypatch):
    """Nobody is taken for someone else because their hashes are alike."""
    known = texts._known.py_func
    monkeypatch.setattr(texts, "_known", known)
    monkeypatch.setattr(texts, "_hash_one", lambda data, begin, end: np.uint64(7))  # noqa: ARG005
    seen = Vocabulary(pa.array(["ann", "ben", "bea"]))
    assert seen.values.to_pylist() == ["ann", "ben", "bea"]
    assert seen.find(pa.array(["bea", "ann", "eve", "be"])).tolist() == [2, 0, -1, -1]


def test_more_text_than_offsets_reach_is_an_error(monkeypatch):
    """Offsets that ran over would give other people's names."""
    monkeypatch.setattr(texts, "_MOST_BYTES", 5)
    assert Vocabulary(pa.array(["ann", "be"])).values.to_pylist() == ["ann", "be"]
    with pytest.raises(SchemaError, match=r"at most 5 bytes of different values.*got 6; work in more partitions"):
        _ = Vocabulary(pa.array(["ann", "ben"])).values


@pytest.mark.parametrize("size", [0, 1])
def test_a_vocabulary_of_hardly_anything(size):
    """An empty one has an empty array of values, of the type of any other."""
    values = Vocabulary(pa.array(["only"][:size], pa.string())).values
    assert values.type == pa.string()
    assert len(values) == size
