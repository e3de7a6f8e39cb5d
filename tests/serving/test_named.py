"""Which values a reason is about: named from its events, few of them, and only where it is about a dimension."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.features.events import EventLog
from peculiar.features.family import Feature
from peculiar.serving.named import listed, values_behind
from peculiar.serving.reasons import Reason

ITEMS = ["tent", "sledge", "crib", None, "tent", "sunscreen", "rake"]


@pytest.fixture(scope="module")
def timeline():
    """Seven events of one entity, one of them without an item."""
    log = pa.table(
        {
            "user_id": ["ann"] * 7,
            "ts": [f"2025-03-01T0{n}:00Z" for n in range(7)],
            "action": ["view", *["buy"] * 6],
            "item": ITEMS,
        }
    )
    return EventLog.open(log).read()[0]


def told(timeline, subject: str, events: tuple[int, ...], *, name: str = "n", seen: float = 1.0) -> str:
    """What is said of a reason about a subject."""
    feature = Feature(name, "family", "bits", "", "", "{value}", subject=subject)
    return values_behind(timeline, {name: feature}, Reason("family", name, 1.0, "", seen=seen, events=events))


def test_values_are_those_of_the_events(timeline):
    """Each value once, in the order of first use; events without one are passed over."""
    assert told(timeline, "item", (0, 1, 3, 4)) == "tent and sledge"
    assert told(timeline, "item", tuple(range(7))) == "tent, sledge, crib, sunscreen and rake"


def test_sets_of_two_dimensions_are_named_by_both(timeline):
    """What was done to an item is told with the item."""
    assert told(timeline, "action and item set within 28d", (0, 2)) == "view tent and buy crib"


def test_a_pair_says_how_rare_it_is(timeline):
    """Three bits are eight times as seldom; a reason whose events hold more than the pair does not say so."""
    pair = {"name": "item_pair_surprise_max_28d", "seen": 3.0}
    assert (
        told(timeline, "item set", (0, 1), **pair)
        == "tent and sledge, which meet 8 times as seldom as chance would have it"
    )
    assert told(timeline, "item set", (0, 1, 2), **pair) == "tent, sledge and crib"


def test_what_is_about_no_dimension_names_nothing(timeline):
    """Neither events nor hours have values, and no events have none."""
    assert told(timeline, "events", (0, 1)) == ""
    assert told(timeline, "hours", (0, 1)) == ""
    assert told(timeline, "item", ()) == ""


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=1), max_size=30))
def test_a_list_names_or_counts_each_value(values):
    """What is named and what is counted add up to the different values."""
    text, different = listed(values), len(set(values))
    more = int(text.rpartition(" and ")[2].split()[0]) if text.endswith("more") else 0
    named = [part for part in text.replace(" and ", ", ").split(", ") if part and not part.endswith("more")]
    assert len(named) + more == different
    assert len(named) <= 5
