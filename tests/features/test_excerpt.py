"""Excerpts of a timeline: the same vectors where nothing is left out, those of another log where something is."""

from __future__ import annotations

import numpy as np
import pytest
from cases import PLAIN, WINDOWS, stage_of
from event_logs import full_roles, in_sessions, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.features.excerpt import excerpt
from peculiar.features.families import FAMILIES
from peculiar.features.family import Annotator
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import snapshots_of

ALL = tuple(made() for made in FAMILIES.values())
ALONE = tuple(family for family in ALL if not isinstance(family, Annotator))


def last_rows(vectors):
    """The last vector of each entity, in the order of entities."""
    owner = vectors.entity.indices.to_numpy()
    return vectors.take(np.flatnonzero(np.append(owner[1:] != owner[:-1], True)))


@pytest.mark.parametrize("every", ["1d", "1h", "event", "session"])
def test_with_nothing_removed_it_is_the_same_to_the_bit(every):
    """Cut out are the window and its horizon, of many windows at once, of the same entity too; all columns are equal.

    A run that the horizon cuts short is cut out whole.
    """
    stage = stage_of(ALL, every)
    timeline = stage.plan.annotated(stage.timeline)
    snapshots, rows = snapshots_of(timeline, stage.plan.windows), np.arange(0, len(stage.whole), 3)
    begin = snapshots.history[rows]
    if every == "session":
        begin = snapshots.start[np.searchsorted(snapshots.stop, begin, side="right")]
    pieces = [np.arange(lo, hi) for lo, hi in zip(begin, snapshots.stop[rows], strict=True)]
    cut = excerpt(timeline, pieces)
    made = last_rows(stage.plan.vectors(cut, stage.population))
    whole = stage.whole.take(rows)
    assert made.values.tobytes() == whole.values.tobytes()
    assert (made.since == whole.since).all()
    assert (made.last == whole.last).all()


@given(world=worlds(), data=st.data(), every=st.sampled_from(["1d", "1h", "event"]))
@settings(max_examples=25)
def test_what_is_left_out_has_not_happened(world, data, every):
    """The vectors of altered histories are those of a log in which the events never stood.

    Of families that do not look across entities; what was noted from others stays.
    """
    plan = FeaturePlan(full_roles(world.zone), WINDOWS[every], ("pay", "view"), ALONE, baskets=PLAIN)
    timeline = world_timeline(world.events, world.zone)
    population = plan.fit(timeline)
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(timeline), max_size=len(timeline))), np.bool_)
    pieces = [lo + np.flatnonzero(keep[lo:hi]) for lo, hi in zip(timeline.first[:-1], timeline.first[1:], strict=True)]
    stayed = {f"e{row}" for row in timeline.row[keep].tolist()}
    if not stayed:
        return
    other = world_timeline([event for event in world.events if event.id in stayed], world.zone)
    made, wanted = (plan.vectors(each, population) for each in (excerpt(timeline, pieces), other))
    assert made.values.tobytes() == wanted.values.tobytes()
    assert (made.as_of == wanted.as_of).all()


def world_timeline(events, zone):
    """The timeline of some events, with all that a plan may ask for."""
    return timeline_of(events, zone, full_roles(zone))


def test_an_event_may_be_in_several_pieces():
    """Pieces are entities of their own, named by number in an order that is that of their names; an empty one is."""
    timeline = world_timeline(in_sessions(stage_of(ALL, "1d").events), "UTC")
    pieces = [np.array([3, 4]), np.array([], np.int64), *([np.array([4])] * 9)]
    cut = excerpt(timeline, pieces)
    assert np.diff(cut.first).tolist() == [2, 0] + [1] * 9
    assert cut.entity.to_pylist() == sorted(cut.entity.to_pylist())
    assert cut.row.tolist() == timeline.row[np.concatenate(pieces).astype(int)].tolist()
    for name, codes in timeline.dimensions.items():
        told = [None if code < 0 else codes.values[int(code)].as_py() for code in codes.codes[[3, 4]]]
        new = cut.dimensions[name]
        assert [None if code < 0 else new.values[int(code)].as_py() for code in new.codes[:2]] == told
        assert len(new.values) <= 2
