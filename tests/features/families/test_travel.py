"""Travel against haversines, means and sets, one window at a time."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import numpy as np
import pytest
from event_logs import DAY, HOUR, MINUTE, Event, full_roles, instant, roles, timeline_of, worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import fill, hold, in_order, rows_of, wall

from peculiar.features.families import Travel
from peculiar.features.family import Shape
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

RADIUS = 6371.0088
BERLIN, HAMBURG, SYDNEY = (52.52, 13.405), (53.551, 9.994), (-33.869, 151.209)


def build(events, every="1d", zone="UTC"):
    """Plan and vectors of the family alone."""
    plan = FeaturePlan(full_roles(zone), WindowSpec(every), (), (Travel(),))
    return plan, fill(plan, timeline_of(events, zone))[1]


def haversine(a, b):
    """Kilometres between two pairs of degrees."""
    (lat_a, lon_a), (lat_b, lon_b) = (map(math.radians, pair) for pair in (a, b))
    part = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * RADIUS * math.asin(min(1.0, math.sqrt(part)))


def point(place):
    """The point on the unit sphere."""
    lat, lon = map(math.radians, place)
    return (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))


def apart(a, b):
    """Kilometres along the great circle that belongs to the chord between two points."""
    return 2 * RADIUS * math.asin(min(1.0, math.dist(a, b) / 2))


def cell(place):
    """The row of 2,000 and the cell in it, which is about as wide as the row is high."""
    row = min(int((place[0] + 90) / 180 * 2000), 1999)
    around = max(1, int(4000 * math.cos(math.pi * ((row + 0.5) / 2000 - 0.5))))
    return row, int((place[1] + 180) / 360 * around) % around


def located(events):
    """The events that have a whole place."""
    return [event for event in events if event.lat is not None and event.lon is not None]


def places(events):
    """Their places."""
    return [(event.lat, event.lon) for event in located(events)]


def centre(events):
    """The mean point; None without a place."""
    points = [point(place) for place in places(events)]
    return tuple(map(statistics.fmean, zip(*points, strict=True))) if points else None


def last_of_days(rows, zone):
    """Of each row's earlier rows those that are the last of their dates: the next is on a later one."""
    dates = [wall(row.now[-1].at, zone).date() for row in rows]
    return [[n for n in row.earlier if dates[n + 1] > dates[n]] for row in rows]


def plain(rows, counted):
    """The features as their meanings say; ``counted`` are of each row the earlier ones that count."""
    found = {name: [] for name in ("speed_max", "distance_sum", "radius", "away", "cell_new", "cell_distinct")}
    for row, others in zip(rows, counted, strict=True):
        path = located(row.before)[-1:] + located(row.now)
        steps = [(haversine(*places([a, b])), max(b.at - a.at, MINUTE) / HOUR) for a, b in pairwise(path)]
        if not places(row.now):
            steps = []
        found["speed_max"].append(max((km / hours for km, hours in steps), default=None))
        inside = [haversine(a, b) for a, b in pairwise(places(row.now))]
        found["distance_sum"].append(sum(inside) if inside else None)
        middle = centre(row.now)
        squares = [apart(point(place), middle) ** 2 for place in places(row.now)]
        found["radius"].append(math.sqrt(statistics.fmean(squares)) if squares else None)
        earlier = [one for one in (centre(rows[n].now) for n in others) if one is not None]
        usual = tuple(map(statistics.median, zip(*earlier, strict=True)))
        found["away"].append(apart(usual, middle) if earlier and middle else None)
        now, past = ({cell(place) for place in places(events)} for events in (row.now, row.before))
        found["cell_new"].append(len(now - past) if past else None)
        found["cell_distinct"].append(len(now))
    return found


@pytest.mark.parametrize("every", ["1d", "1h", "event"])
@given(world=worlds())
@settings(max_examples=40)
def test_equals_haversines_means_and_sets(every, world):
    """On any log the columns are what haversines, means and sets give, and there are no others."""
    plan, vectors = build(world.events, every, world.zone)
    rows = rows_of(in_order(world.events, world.timeline), world.zone, every)
    window = "1d" if every == "event" else every
    counted = last_of_days(rows, world.zone) if every == "event" else [row.earlier for row in rows]
    expected = {f"travel_{name}_{window}": values for name, values in plain(rows, counted).items()}
    assert vectors.names == [feature.name for feature in plan.features] == list(expected)
    hold(vectors, rows, expected)


def journey(*steps, begin="2025-03-03T08:00"):
    """An event at each place, so many microseconds after the first."""
    start = instant(begin)
    return [
        Event("ann", start + at, str(n), None, None, None, *(place or (None, None)))
        for n, (place, at) in enumerate(steps)
    ]


def column(vectors, name, window="1d"):
    """A column as a list."""
    return vectors.column(f"travel_{name}_{window}").tolist()


def test_berlin_to_sydney_in_an_hour():
    """16,095 km in an hour is no journey: speed and distance say so, and the radius is half the way."""
    _, vectors = build(journey((BERLIN, 0), (SYDNEY, HOUR)))
    assert column(vectors, "speed_max") == pytest.approx([16_095], rel=1e-3)
    assert column(vectors, "distance_sum") == pytest.approx([16_095], rel=1e-3)
    assert column(vectors, "cell_distinct") == [2]


def test_the_step_into_the_window_counts():
    """Ten minutes before midnight in Berlin, ten after in Hamburg: the second day holds the step, 255 km in 20 min."""
    _, vectors = build(journey((BERLIN, 0), (HAMBURG, 20 * MINUTE), begin="2025-03-03T23:50"))
    first, second = column(vectors, "speed_max")
    assert math.isnan(first)
    assert second == pytest.approx(3 * haversine(BERLIN, HAMBURG))
    assert column(vectors, "radius") == [0, 0]
    assert np.isnan(column(vectors, "distance_sum")).all()
    assert column(vectors, "away")[1] == pytest.approx(haversine(BERLIN, HAMBURG))


def test_a_step_from_beyond_the_horizon_does_not_count():
    """After a silence longer than the horizon nothing is known of where the entity came from."""
    for days, known in ((28, True), (29, False)):
        _, vectors = build(journey((BERLIN, 0), (HAMBURG, days * DAY)))
        for name in ("speed_max", "away", "cell_new"):
            assert math.isnan(column(vectors, name)[1]) == (not known)


def test_events_without_a_place_are_passed_over():
    """An event without a place, or with half of one, between two others changes nothing."""
    _, with_gaps = build(journey((BERLIN, 0), (None, HOUR), ((52.5, None), 2 * HOUR), (HAMBURG, 3 * HOUR)))
    _, without = build(journey((BERLIN, 0), (HAMBURG, 3 * HOUR)))
    assert with_gaps.values.tobytes() == without.values.tobytes()
    assert column(without, "speed_max") == pytest.approx([haversine(BERLIN, HAMBURG) / 3])


def test_no_step_is_shorter_than_a_minute():
    """A kilometre at one instant, and in any time up to a minute, is 60 km/h; in two minutes it is 30."""
    there = (52.52 + math.degrees(1 / RADIUS), 13.405)
    for gap, speed in ((0, 60), (1, 60), (MINUTE, 60), (2 * MINUTE, 30)):
        assert column(build(journey((BERLIN, 0), (there, gap)))[1], "speed_max") == pytest.approx([speed], rel=1e-5)


def test_the_date_line_is_no_wall():
    """Two places on both sides of the date line are as near as they are, and so is their centre."""
    _, vectors = build(journey(((0.0, 179.99), 0), ((0.0, -179.99), HOUR)))
    assert column(vectors, "distance_sum") == pytest.approx([math.radians(0.02) * RADIUS], rel=1e-5)
    assert column(vectors, "radius") == pytest.approx([math.radians(0.01) * RADIUS], rel=1e-5)


def test_one_place_has_two_longitudes_at_the_date_line():
    """180 degrees east and west are one place: no distance and one cell."""
    _, vectors = build(journey(((10.0, 180.0), 0), ((10.0, -180.0), HOUR)))
    assert column(vectors, "distance_sum") == pytest.approx([0], abs=1e-9)
    assert column(vectors, "cell_distinct") == [1]


def test_the_usual_place_is_a_median():
    """One journey among many days at home moves the usual place nowhere."""
    days = [(BERLIN, n * DAY) for n in range(9)] + [(SYDNEY, 9 * DAY), (BERLIN, 10 * DAY)]
    _, vectors = build(journey(*days))
    assert column(vectors, "away")[9] == pytest.approx(haversine(BERLIN, SYDNEY), rel=1e-5)
    assert column(vectors, "away")[10] == pytest.approx(0, abs=1e-6)


def test_a_cell_is_new_once_within_the_horizon():
    """Hamburg is new on its first day, not on the next, and new again when the horizon has forgotten it."""
    days = [(BERLIN, n * DAY) for n in range(40)] + [(HAMBURG, day * DAY + HOUR) for day in (1, 2, 35)]
    new = column(build(journey(*sorted(days, key=lambda step: step[1])))[1], "cell_new")
    assert math.isnan(new[0])
    assert [day for day, count in enumerate(new) if count == 1] == [1, 35]
    assert sum(new[1:]) == 2


@given(
    places=st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=2, max_size=6),
    turn=st.floats(-180, 180),
)
@settings(max_examples=40)
def test_turning_the_earth_changes_no_distance(places, turn):
    """The same journey at other longitudes has the same speed, distance and radius."""
    turned = [(lat, (lon + turn + 180) % 360 - 180) for lat, lon in places]
    ours, theirs = (
        build(journey(*[(place, n * HOUR) for n, place in enumerate(path)]))[1] for path in (places, turned)
    )
    for name in ("speed_max", "distance_sum", "radius"):
        assert column(ours, name) == pytest.approx(column(theirs, name), rel=1e-4, abs=1e-3)


def test_a_log_without_places_has_no_such_features():
    """Where no column is a place the family has no use, and the plan goes without it."""
    assert Travel().features(Shape((), (), None, (), "1d", ("7d", "28d")), ()) == ()
    plan = FeaturePlan(roles(), WindowSpec(), (), (Travel(),))
    timeline = timeline_of(journey((BERLIN, 0)))
    assert plan.vectors(timeline, plan.fit(timeline)).values.shape == (0, 1)
    assert np.isfinite(timeline.place).all()
