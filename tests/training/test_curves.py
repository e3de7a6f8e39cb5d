"""The page of curves: whole, the same every time, and drawing what it was given."""

from __future__ import annotations

import json
import re

import pytest

from peculiar.training.curves import Curves, curves_page

CURVES = Curves(
    "lightgbm", recall=[0.5, 1.0], precision=[0.75, 0.25], marked=(0.5, 0.75), budgets=[1, 10],
    budget_precision=[0.5, 0.125], budget_recall=[0.25, 1.0], levels=[0.01, 1.0], shares=[0.015, 1.0],
)  # fmt: skip


def drawn(page: str) -> list[dict]:
    """The lines that the page hands to the drawing library."""
    start = re.search(r'Plotly\.newPlot\(\s*"curves",\s*', page).end()
    return json.JSONDecoder().raw_decode(page[start:])[0]


def test_each_part_is_drawn_with_its_points():
    """Six lines and points: the curve, the mark, precision and recall by budget, the promise, the shares."""
    lines = drawn(curves_page(CURVES, title="a title"))
    points = [(line["x"], line["y"]) for line in lines]
    assert ([0.5, 1.0], [0.75, 0.25]) in points
    assert ([0.5], [0.75]) in points
    assert ([1, 10], [0.5, 0.125]) in points
    assert ([1, 10], [0.25, 1.0]) in points
    assert ([0.01, 1.0], [0.015, 1.0]) in points
    assert len(points) == 6


@pytest.mark.parametrize(("curves", "there"), [
    (Curves("forest", levels=[0.01, 1.0], shares=[0.0125, 1.0]), ["Calibration"]),
    (Curves("forest", recall=[1.0], precision=[0.5]), ["Precision by recall"]),
])  # fmt: skip
def test_a_part_without_points_is_left_out(curves, there):
    """Without labels only the calibration is drawn; uncalibrated only the ranking."""
    page = curves_page(curves, title="t")
    titles = ("Precision by recall", "What a budget buys", "Calibration")
    assert [title for title in titles if title in page] == there


def test_the_page_is_the_same_every_time_and_fetches_nothing():
    """Equal curves give equal bytes, and no script or sheet is loaded from elsewhere."""
    page = curves_page(CURVES, title="t")
    assert page == curves_page(CURVES, title="t")
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=", page)
