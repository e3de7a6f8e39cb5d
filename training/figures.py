"""The figures of a run: what a candidate finds, what it looks at, and what a budget of alerts buys.

Drawn with matplotlib's objects alone (no pyplot, so no global state and no window), for the size at which MLflow shows
them. A title says the finding; lines are labelled where they end; colours are those of Okabe and Ito, which
colour-blind readers can tell apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = [
    "budget_figure",
    "calibration_figure",
    "colour_of",
    "importance_figure",
    "precision_recall_figure",
    "weeks_figure",
]

# Okabe, M. and Ito, K. (2008), Color Universal Design.
_COLOURS = {
    "isolation_forest": "#0072B2",
    "lightgbm": "#D55E00",
    "forest": "#009E73",
    "": "#5F6B76",
}
_OTHERS = ("#CC79A7", "#B8860B", "#56B4E9")
_INK, _FAINT, _GRID = "#22272E", "#5F6B76", "#E4E7EB"


def colour_of(kind: str) -> str:
    """The colour of a detector kind, the same in every figure and in MLflow's charts; grey for no detector.

    Examples
    --------
    >>> colour_of("lightgbm")
    '#D55E00'
    """
    return _COLOURS.get(kind) or _OTHERS[sum(kind.encode()) % len(_OTHERS)]


def precision_recall_figure(
    truth: NDArray[np.bool_], scores: Mapping[str, NDArray[np.float64]], *, budget: int | None = None
) -> Figure:
    """Precision against recall, one line per detector.

    Parameters
    ----------
    truth : bool array of shape (n,)
        True for confirmed trouble.
    scores : mapping of str to float64 array of shape (n,)
        Detector kind to scores; higher is more anomalous. The first one is what the title speaks of.
    budget : int, optional
        Marks the point at which the highest so many rows would be alerts.

    Raises
    ------
    LabelError
        If there is no positive row, for which recall is not defined.
    """
    if not truth.any():
        raise LabelError("expected at least one positive row, got none: precision and recall need confirmed trouble")
    figure, axes = _canvas()
    curves = {kind: _curve(truth, score) for kind, score in scores.items()}
    for kind, (recall, precision, _) in curves.items():
        axes.plot(recall, precision, color=colour_of(kind), linewidth=2, solid_capstyle="round", clip_on=False)
    _label_curves(axes, curves)
    axes.axhline(truth.mean(), color=_FAINT, linewidth=1, linestyle=(0, (4, 3)))
    kind, (_, _, average) = next(iter(curves.items()))
    _titles(axes, *_pr_titles(kind, average, truth))
    if budget is not None:
        _mark_budget(axes, next(iter(scores)), _at(truth, scores[kind], budget), budget)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall: share of all trouble found")
    axes.set_ylabel("Precision: share of alerts that are trouble")
    _as_percent(axes.xaxis, axes.yaxis)
    return figure


def importance_figure(
    importance: Mapping[str, float], *, kind: str = "", unit: str = "mean |contribution| to the score", top: int = 15
) -> Figure:
    """What a detector looks at: its strongest features as bars.

    Parameters
    ----------
    importance : mapping of str to float
        Feature name to importance, in any order, not negative.
    kind : str
        The detector's kind, for the colour.
    unit : str
        What the length of a bar means.
    top : int
        Bars at most.
    """
    ranked = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:top]
    names, values = [name for name, _ in ranked][::-1], [value for _, value in ranked][::-1]
    figure, axes = _canvas(height=1.3 + 0.27 * max(len(names), 3))
    axes.barh(names, values, color=colour_of(kind), height=0.72)
    total = sum(importance.values()) or 1.0
    for row, value in enumerate(values):
        share = f"{value / total:.0%}" if value >= 0.01 * total else "< 1%"
        axes.annotate(share, (value, row), (4, 0), textcoords="offset points", va="center", fontsize=9, color=_FAINT)
    _titles(axes, *_importance_titles(ranked, total, len(importance)))
    axes.set(xlabel=unit[:1].upper() + unit[1:], xlim=(0, max([*values, 1e-12]) * 1.08))
    axes.margins(y=0.02)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=_INK)
    return figure


def budget_figure(
    budgets: Sequence[int], precision: Sequence[float], recall: Sequence[float], *, marked: int | None = None
) -> Figure:
    """What so many alerts buy: the share that is trouble, and the share of all trouble that they find.

    Parameters
    ----------
    budgets : sequence of int
        Alerts a day, rising.
    precision, recall : sequence of float, of the same length
        Between 0 and 1.
    marked : int, optional
        The budget in use; the title tells what it buys.
    """
    figure, axes = _canvas()
    lines = {"precision": (precision, "#0072B2"), "recall": (recall, "#D55E00")}
    for name, (values, colour) in lines.items():
        axes.plot(budgets, values, color=colour, linewidth=2, marker="o", markersize=4, clip_on=False)
        axes.annotate(
            name,
            (budgets[-1], values[-1]),
            (8, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            weight="bold",
            annotation_clip=False,
        )
    _titles(axes, *_budget_titles(budgets, precision, recall, marked))
    if marked is not None:
        axes.axvline(marked, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="Alerts a day (logarithmic)", ylabel="Share")
    axes.set_xticks(list(budgets), [f"{budget:,}" for budget in budgets])
    axes.xaxis.set_minor_locator(_locator())
    _as_percent(axes.yaxis)
    return figure


def calibration_figure(levels: Sequence[float], shares: Sequence[float], *, rows: int, kind: str = "") -> Figure:
    """How often normal rows after the calibration reach each level, against how often they should.

    Parameters
    ----------
    levels, shares : sequences of float, of the same length
        Levels of p, rising, above 0; the share of rows at or below each.
    rows : int
        How many rows were counted.
    kind : str
        The detector's kind, for the colour.
    """
    figure, axes = _canvas()
    axes.fill_between(levels, np.multiply(levels, 0.5), np.multiply(levels, 1.5), color=_GRID, linewidth=0)
    axes.plot(levels, levels, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(levels, np.maximum(shares, levels[0] / 10), color=colour_of(kind), linewidth=2, clip_on=True)
    at = float(np.interp(0.01, levels, shares))
    _titles(
        axes,
        f"p <= 1 % comes for {at:.2%} of later normal windows",
        f"{rows:,} windows after the calibration. Dashed: as promised; shaded: half to one and a half times that",
    )
    axes.set(xscale="log", yscale="log", xlim=(min(levels[0], 0.5), 1), ylim=(levels[0] / 4, 1.5))
    axes.set(xlabel="p-value (logarithmic)", ylabel="Share of normal windows at or below it")
    _as_percent(axes.xaxis, axes.yaxis, decimals=1)
    return figure


def weeks_figure(weeks: Mapping[str, Sequence[Any]], *, level: float = 0.01, kind: str = "") -> Figure:
    """How often normal rows reach a level in each week after the calibration, with 95 % intervals.

    Parameters
    ----------
    weeks : mapping of str to sequence
        ``day`` (the first of the seven, as text), ``share``, ``low``, ``high``; one entry per week.
    level : float
    kind : str
        The detector's kind, for the colour.
    """
    figure, axes = _canvas(height=3.6)
    share, low, high = (np.asarray(weeks[name], np.float64) for name in ("share", "low", "high"))
    place = np.arange(len(share))
    axes.axhspan(0.5 * level, 1.5 * level, color=_GRID, linewidth=0)
    axes.axhline(level, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(place, low, high, color=colour_of(kind), linewidth=2, alpha=0.6)
    axes.plot(place, share, "o", color=colour_of(kind), markersize=6)
    off = int(((high < 0.5 * level) | (low > 1.5 * level)).sum())
    finding = (
        f"{off} of {len(share)} weeks are plainly not as promised" if off else "No week is plainly off the promise"
    )
    _titles(axes, finding, f"Share of normal windows with p <= {level:g}, 95 % intervals; shaded: what is promised")
    axes.set(xlabel="Week from", ylabel="Share of windows", ylim=(0, None), xlim=(-0.5, len(share) - 0.5))
    axes.set_xticks(place, list(weeks["day"]))
    _as_percent(axes.yaxis, decimals=1)
    return figure


def _canvas(height: float = 4.6) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, height), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(colors=_FAINT, labelsize=9)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=_INK, fontsize=10)
    return figure, axes


def _titles(axes: Axes, finding: str, detail: str) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None
    height = figure.get_size_inches()[1]
    figure.set_layout_engine("constrained", rect=(0.0, 0.0, 1.0, 1 - 0.62 / height))
    figure.text(0.012, 1 - 0.10 / height, finding, va="top", fontsize=13, weight="bold", color=_INK)
    figure.text(0.012, 1 - 0.38 / height, detail, va="top", fontsize=10, color=_FAINT)


def _as_percent(*sides: Any, decimals: int = 0) -> None:
    from matplotlib.ticker import PercentFormatter

    for side in sides:
        side.set_major_formatter(PercentFormatter(1, decimals=decimals))


def _locator() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _curve(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Recall, precision and average precision; rows of equal score enter together."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, score)
    return recall[:-1], precision[:-1], float(average_precision_score(truth, score))  # the last point is made up


def _at(truth: NDArray[np.bool_], score: NDArray[np.float64], budget: int) -> tuple[float, float]:
    """Recall and precision when the highest ``budget`` rows are alerts."""
    found = truth[np.argsort(-score, kind="stable")[:budget]]
    return float(found.sum() / truth.sum()), float(found.mean())


def _pr_titles(kind: str, average: float, truth: NDArray[np.bool_]) -> tuple[str, str]:
    times = average / truth.mean()
    finding = f"{_spoken(kind)} reaches an average precision of {average:.2f}, {times:,.0f} times chance"
    share = f"{truth.mean():.2%}, the dashed line, is what chance would reach"
    return finding, f"{int(truth.sum()):,} positives among {len(truth):,} windows: {share}"


def _importance_titles(ranked: list[tuple[str, float]], total: float, features: int) -> tuple[str, str]:
    if not any(value for _, value in ranked):
        return "No feature has any weight", f"{features} features"
    half = int(np.searchsorted(np.cumsum([value for _, value in ranked]) / total, 0.5)) + 1
    finding = (
        f"{ranked[0][0]} weighs most"
        if half > len(ranked)
        else (
            f"{ranked[0][0]} alone carries half of the weight"
            if half == 1
            else f"{half} features carry half of the weight"
        )
    )
    return finding, f"The {len(ranked)} strongest of {features} features, with their share of the whole"


def _budget_titles(
    budgets: Sequence[int], precision: Sequence[float], recall: Sequence[float], marked: int | None
) -> tuple[str, str]:
    chosen = budgets[-1] if marked is None else marked
    right, found = (float(np.interp(chosen, budgets, values)) for values in (precision, recall))
    finding = f"{chosen:,} alerts a day find {found:.0%} of the trouble"
    return finding, f"At that budget {right:.0%} of the alerts are trouble"


def _label_curves(axes: Axes, curves: Mapping[str, tuple[NDArray[Any], NDArray[Any], float]]) -> None:
    """Name each line in its colour, in the corner that a precision-recall curve leaves free, best first."""
    ranked = sorted(curves.items(), key=lambda item: -item[1][2])
    for row, (kind, (_, _, average)) in enumerate(ranked):
        axes.text(
            0.985,
            0.96 - 0.065 * row,
            f"{_spoken(kind)}  AP {average:.3f}",
            color=colour_of(kind),
            ha="right",
            va="top",
            weight="bold",
            transform=axes.transAxes,
        )


def _mark_budget(axes: Axes, kind: str, point: tuple[float, float], budget: int) -> None:
    axes.plot(*point, "o", color="white", markeredgecolor=colour_of(kind), markeredgewidth=2, markersize=8, zorder=5)
    note = f"{budget:,} alerts: {point[1]:.0%} right, {point[0]:.0%} found"
    left = point[0] > 0.5
    axes.annotate(
        note, point, (-10 if left else 10, 8), textcoords="offset points", ha="right" if left else "left", color=_INK,
        fontsize=9.5, zorder=6, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )  # fmt: skip


def _spoken(kind: str) -> str:
    return {"lightgbm": "LightGBM"}.get(kind, kind.replace("_", " ").capitalize())
