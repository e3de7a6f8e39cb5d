"""Figures: they say what is true, and leave nothing behind."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from peculiar.errors import LabelError
from peculiar.training.figures import budget_figure, colour_of, importance_figure, precision_recall_figure


def _texts(figure):
    axes = figure.axes[0]
    return [text.get_text() for text in (*figure.texts, *axes.texts)]


def _pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def test_precision_recall_tells_average_precision_and_the_budget():
    """The title has the average precision, and the mark has precision and recall at the budget."""
    truth = np.array([True, False, True, False, False, False, False, False])
    score = np.array([8.0, 7, 6, 5, 4, 3, 2, 1])
    texts = _texts(precision_recall_figure(truth, {"lightgbm": score}, budget=2))
    assert texts[0] == "LightGBM reaches an average precision of 0.83, 3 times chance"
    assert "2 alerts: 50% right, 50% found" in texts


def test_precision_recall_needs_a_positive():
    """Without confirmed trouble there is no such curve."""
    with pytest.raises(LabelError, match="expected at least one positive"):
        precision_recall_figure(np.zeros(3, bool), {"forest": np.arange(3.0)})


def test_importance_tells_how_few_features_carry_half():
    """The title counts the features that make half of the weight; the bars keep their order."""
    figure = importance_figure({"a": 1.0, "b": 5.0, "c": 4.0}, kind="lightgbm")
    assert _texts(figure)[0] == "b alone carries half of the weight"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "c", "b"]


@pytest.mark.parametrize("importance", [{}, {"a": 0.0, "b": 0.0}])
def test_importance_of_nothing_is_drawn(importance):
    """A detector without any weight gets a figure that says so."""
    figure = importance_figure(importance)
    assert _texts(figure)[0] == "No feature has any weight"
    assert _pixels(figure)


def test_budget_tells_what_the_marked_budget_buys():
    """The title has the recall at the marked budget, the second line the precision."""
    texts = _texts(budget_figure([10, 100], [0.9, 0.4], [0.1, 0.3], marked=100))
    assert texts[0] == "100 alerts a day find 30% of the trouble"
    assert texts[1] == "At that budget 40% of the alerts are trouble"


def test_a_single_budget_is_drawn():
    """One budget is a figure, too."""
    assert _pixels(budget_figure([10], [0.9], [0.1]))


def test_drawing_is_repeatable_and_leaves_pyplot_alone():
    """The same data give the same pixels, and no window or global figure is opened."""
    first, second = (_pixels(importance_figure({"a": 1.0, "b": 2.0})) for _ in range(2))
    assert first == second
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_kinds_have_different_colours():
    """The detectors of one comparison can be told apart."""
    assert len({colour_of(kind) for kind in ("isolation_forest", "lightgbm", "forest", "")}) == 4
    assert colour_of("something_new").startswith("#")
