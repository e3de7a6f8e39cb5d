"""A picture of each family: one small panel a feature, all drawn alike, so that the odd one is seen.

Drawn with matplotlib's objects alone (no pyplot, so no global state and no window). The height of a bar is the share of
vectors; the scale is chosen by the values: one bar each where there are few, powers of ten where they span many, both
sides of zero alike where a feature judges (a robust z), and plain otherwise. The furthest half per cent on either side
is left out, or one vector would flatten the others.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .listing import number, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from .describe import Portrait

__all__ = ["family_figure"]

_BARS, _MEDIAN = "#0072B2", "#D55E00"  # Okabe and Ito: colour-blind readers can tell them apart
_INK, _FAINT, _PALE = "#22272E", "#5F6B76", "#E4E7EB"
_COLUMNS, _WIDTH, _HEIGHT, _HEAD = 4, 2.85, 1.75, 0.85  # inches
_BINS = 36
_LETTERS = 44
_FEW = 12  # distinct values that get a bar each


def family_figure(name: str, line: str, portraits: tuple[Portrait, ...]) -> Figure:
    """Draw how the values of a family's features lie.

    Parameters
    ----------
    name : str
        The family.
    line : str
        What it says of itself.
    portraits : tuple of Portrait
        One panel each, four in a row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, max(2, len(portraits)))
    rows = -(-len(portraits) // columns)
    size = (columns * _WIDTH, rows * _HEIGHT + _HEAD)
    figure = Figure(figsize=size, dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.12 / size[0], 1 - 0.12 / size[1], name, va="top", fontsize=14, weight="bold", color=_INK)
    _legend(figure, line, size)
    # Placed by hand: a layout engine would take a second for a dozen panels.
    figure.subplots_adjust(left=0.12 / size[0], right=1 - 0.12 / size[0], top=1 - (_HEAD + 0.32) / size[1],
                           bottom=0.28 / size[1], wspace=0.12, hspace=0.72)  # fmt: skip
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, portrait in zip(grid, portraits, strict=False):
        _panel(axes, portrait)
    for axes in grid[len(portraits) :]:
        axes.set_axis_off()
    return figure


@dataclass(frozen=True, eq=False)
class _Scale:
    """Where the bars of a panel stand, on a linear axis, and what its ticks say."""

    edges: NDArray[np.float64]
    ticks: NDArray[np.float64]
    labels: list[str]
    bend: float | None = None

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values on the axis: bent so that zero and small numbers have room, if there is a bend."""
        return values if self.bend is None else np.arcsinh(values / self.bend)


def _legend(figure: Figure, line: str, size: tuple[float, float]) -> None:
    left, top = 0.12 / size[0], 1 - 0.60 / size[1]
    said = textwrap.shorten(line, int(size[0] * 12), placeholder="…")
    figure.text(left, 1 - 0.40 / size[1], said, va="top", fontsize=9.5, color=_INK)
    figure.text(left, top, "height: share of vectors", va="top", fontsize=8.5, color=_FAINT)
    figure.text(left + 1.7 / size[0], top, "line: median", va="top", fontsize=8.5, color=_MEDIAN)


def _panel(axes: Axes, portrait: Portrait) -> None:
    feature, points = portrait.feature, portrait.points
    said = feature.unit if not portrait.nulls else f"{feature.unit} · null in {share(portrait.nulls)}"
    for height, text, style in ((14, _fitting(feature.name), (7.8, _INK)), (4, _fitting(said), (7, _FAINT))):
        axes.annotate(text, (0, 1), (0, height), xycoords="axes fraction", textcoords="offset points",
                      fontsize=style[0], color=style[1], annotation_clip=False)  # fmt: skip
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_PALE)
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=7, labelcolor=_FAINT, length=2, color=_FAINT)
    distinct = np.unique(points)
    if len(distinct) < 2:
        _alone(axes, f"always {number(distinct[0])}" if len(distinct) else "always null")
    elif len(distinct) <= _FEW:
        _bars(axes, distinct, points, portrait.quantiles[2])
    else:
        _histogram(axes, _scale(points), points, portrait.quantiles[2])


def _fitting(text: str) -> str:
    """At most as long as a panel is wide; of a name its end is kept, which tells window and comparison."""
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS // 2]}…{text[-(_LETTERS // 2 - 1) :]}"


def _alone(axes: Axes, said: str) -> None:
    axes.text(0.5, 0.45, said, transform=axes.transAxes, ha="center", fontsize=9, color=_FAINT)
    axes.set_xticks([])


def _bars(axes: Axes, distinct: NDArray[np.float64], points: NDArray[np.float64], median: float) -> None:
    """One bar a value, at equal distances: what matters is which values there are."""
    counts = np.array([np.count_nonzero(points == value) for value in distinct])
    axes.bar(np.arange(len(distinct)), counts / len(points), width=0.72, color=_BARS)
    _mark(axes, float(np.searchsorted(distinct, median)), median)
    step = -(-len(distinct) // 6)
    axes.set_xticks(np.arange(len(distinct))[::step], [number(float(value)) for value in distinct[::step]])


def _histogram(axes: Axes, scale: _Scale, points: NDArray[np.float64], median: float) -> None:
    counts, _ = np.histogram(scale.place(points), scale.edges)
    axes.stairs(counts / len(points), scale.edges, fill=True, color=_BARS)
    _mark(axes, float(scale.place(np.array([median]))[0]), median)
    axes.set_xticks(scale.place(scale.ticks), scale.labels)
    axes.set_xlim(scale.edges[0], scale.edges[-1])


def _mark(axes: Axes, place: float, median: float) -> None:
    """A line through the median, and its value above the bars, on the side that has room."""
    axes.set_ylim(0.0, axes.dataLim.y1 * 1.22)
    axes.axvline(place, color=_MEDIAN, linewidth=1.2)
    low, high = axes.get_xlim()
    right = place - low < 0.75 * (high - low)
    axes.annotate(number(median), (place, 1.0), (3 if right else -3, 0), xycoords=("data", "axes fraction"),
                  textcoords="offset points", fontsize=7.5, color=_MEDIAN, va="top", ha="left" if right else "right",
                  annotation_clip=False)  # fmt: skip


def _scale(points: NDArray[np.float64]) -> _Scale:
    """Plain where the values are of one size, else bent: as asinh, which is linear near zero and a logarithm beyond."""
    low, high = map(float, np.quantile(points, [0.005, 0.995], method="closest_observation"))
    quarter, three = np.quantile(points, [0.25, 0.75])
    low, high = (low, high) if high > low else (float(points[0]), float(points[-1]))
    sizes = np.abs(points[points != 0.0])
    bend = max(float(np.quantile(sizes, 0.25)), 1e-12)
    whole = bool((points == np.round(points)).all())
    if max(abs(low), abs(high)) <= 30.0 * max(bend, (three - quarter) / 2.0) or (whole and high - low < _BINS):
        return _plain(low, high, whole=whole)
    ticks = _powers(low, high, bend)
    edges = np.linspace(np.arcsinh(low / bend), np.arcsinh(high / bend), _BINS + 1)
    return _Scale(edges, ticks, [number(float(tick)) for tick in ticks], bend)


def _plain(low: float, high: float, *, whole: bool) -> _Scale:
    """Equal bins; of whole numbers each holds equally many, or the picture would have gaps that the values have not."""
    from matplotlib.ticker import MaxNLocator

    ticks = np.asarray(MaxNLocator(4, integer=whole).tick_values(low, high))
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    step = max(1.0, np.ceil((high - low + 1) / _BINS))
    edges = np.arange(low, high + step + 0.5, step) - 0.5 if whole else np.linspace(low, high, _BINS + 1)
    return _Scale(edges, ticks, [number(round(float(tick), 9)) for tick in ticks])


def _powers(low: float, high: float, bend: float) -> NDArray[Any]:
    """Zero, and powers of ten beyond the bend on both sides: few enough to be read, with threes between if too few."""
    top = np.floor(np.log10(max(abs(low), abs(high))))
    bottom = min(np.ceil(np.log10(bend)), top)
    powers = 10.0 ** np.arange(top, bottom - 1, -max(1.0, np.ceil((top - bottom + 1) / (4 if low >= 0 else 2))))
    for some in (powers, np.concatenate([powers, 3.0 * powers, 0.3 * powers])):
        ticks = np.unique(np.concatenate([-some, [0.0], some]))
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) > 2:
            break
    return ticks
