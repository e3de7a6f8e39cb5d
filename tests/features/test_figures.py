"""Pictures of families: one panel a feature, whatever its values are like."""

from __future__ import annotations

import numpy as np
import pytest

from peculiar.features.describe import SHARES, Portrait
from peculiar.features.family import Feature
from peculiar.features.figures import family_figure

RNG = np.random.default_rng(0)
SHAPES = {
    "nothing": np.empty(0),
    "constant": np.full(50, 3.0),
    "two values": np.array([0.0] * 90 + [1.0] * 10),
    "counts": RNG.poisson(9, 500).astype(float),
    "large counts": RNG.poisson(900, 500).astype(float),
    "shares": RNG.random(500),
    "powers": RNG.lognormal(3, 3, 500),
    "judged": RNG.standard_cauchy(500),
    "mostly nothing": np.concatenate([np.zeros(480), RNG.lognormal(0, 2, 20)]),
    "tiny": RNG.random(500) * 1e-9,
    "huge": RNG.random(500) * 1e30,
    "one far out": np.append(RNG.random(500), 1e12),
    "negative": -RNG.lognormal(2, 2, 500),
}


def portrait(name: str, points: np.ndarray) -> Portrait:
    """A feature with such values."""
    points = np.sort(points)
    quantiles = tuple(np.quantile(points, SHARES).tolist()) if len(points) else (float("nan"),) * len(SHARES)
    feature = Feature(f"{name.replace(' ', '_')}_1d", "volume", "$ and _units_", "A thing.", "never null", "")
    return Portrait(feature, 0.25, quantiles, points)


@pytest.mark.parametrize("name", SHAPES)
def test_values_of_any_shape_can_be_drawn(name):
    """Constants, counts, shares, powers of ten, both signs, outliers: there are bars, and ticks to read them by."""
    figure = family_figure("volume", "How much.", (portrait(name, SHAPES[name]),))
    figure.canvas.draw()
    axes = figure.axes[0]
    if len(np.unique(SHAPES[name])) < 2:
        assert any("always" in text.get_text() for text in axes.texts)
        return
    assert 2 <= len([tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]) <= 12
    bars = np.concatenate([patch.get_path().vertices[:, 1] for patch in axes.patches])
    assert np.isfinite(bars).all()
    assert bars.max() > 0.0


def test_there_is_a_panel_for_each_feature():
    """Nine features are nine panels, named, in rows of four; the rest of the last row is empty."""
    portraits = tuple(portrait(f"feature {n}", SHAPES["counts"]) for n in range(9))
    figure = family_figure("volume", "How much.", portraits)
    said = [axes.texts[0].get_text() for axes in figure.axes if axes.texts]
    assert said == [f"feature_{n}_1d" for n in range(9)]
    assert len(figure.axes) == 12


def test_no_global_figure_is_left():
    """Drawing touches no state of pyplot, which a program that draws itself would share."""
    import sys

    before = "matplotlib.pyplot" in sys.modules
    family_figure("volume", "How much.", (portrait("counts", SHAPES["counts"]),)).canvas.draw()
    assert ("matplotlib.pyplot" in sys.modules) == before
