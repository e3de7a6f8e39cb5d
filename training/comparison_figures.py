"""The figures of a comparison: what the newcomer has more of each figure, and how the alerts agree week by week."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .comparison import iso
from .figures import _as_percent, _canvas, _titles, colour_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .comparison import Comparison

__all__ = ["SPOKEN", "difference_figure", "extent", "weeks_figure"]

SPOKEN = {
    "average_precision": "average precision", "roc_auc": "ROC AUC", "precision_at_budget": "precision at budget",
    "recall_at_budget": "recall at budget", "card_precision_at_k": "card precision at budget",
    "value_recall": "value found at budget", "days_to_detection": "median days to detection",
    "never_detected": "never detected", "share_at_1pct": "windows with p <= 0.01",
}  # fmt: skip
_LESS_IS_BETTER = {"days_to_detection", "never_detected"}
_FINDS = [name for name in SPOKEN if name not in {"days_to_detection", "share_at_1pct"}]


def difference_figure(told: Comparison) -> Figure:
    """What the second has more of each figure, with 95 % intervals; without labels how the alerts divide."""
    names = [name for name in _FINDS if name in told.metrics and math.isfinite(told.metrics[name].difference.low)]
    if not names:
        return _division_figure(told)
    figure, axes = _canvas(height=1.6 + 0.42 * len(names))
    for row, name in enumerate(reversed(names)):
        gain = told.metrics[name].difference
        sign = -1 if name in _LESS_IS_BETTER else 1
        certain = not gain.low <= 0 <= gain.high
        colour = colour_of("") if not certain else colour_of("forest" if sign * gain.value > 0 else "lightgbm")
        axes.plot([gain.low, gain.high], [row, row], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(gain.value, row, "o", color=colour, markersize=8)
        axes.annotate(
            f"{gain.value:+.3f}", (gain.value, row), (0, 8), textcoords="offset points", ha="center", fontsize=9
        )
    axes.axvline(0, color=colour_of(""), linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(range(len(names)), [SPOKEN[name] for name in reversed(names)])
    axes.set_ylim(-0.6, len(names) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{told.names[1]} less {told.names[0]}; green: better, red: worse, grey: cannot be told")
    _titles(axes, _finding(told), extent(told))
    return figure


def weeks_figure(told: Comparison) -> Figure:
    """The share of alerts that both raise, week by week, and with labels what each finds."""
    figure, axes = _canvas()
    weeks = told.weeks
    lines = {"alerts of both": ("jaccard", colour_of(""), "-")}
    if told.confirmed:
        lines |= {f"found by {told.names[0]}": ("first_recall_at_budget", colour_of("isolation_forest"), "-"),
                  f"found by {told.names[1]}": ("second_recall_at_budget", colour_of("lightgbm"), "-")}  # fmt: skip
    for name, (column, colour, style) in lines.items():
        axes.plot(weeks["day"], weeks[column], color=colour, linestyle=style, marker="o", markersize=4, label=name)
    axes.set(ylim=(-0.02, 1.02), xlabel="Week from", ylabel="Share")
    axes.legend(frameon=False, fontsize=9, loc="best")
    _as_percent(axes.yaxis)
    least, most = weeks["jaccard"].min(), weeks["jaccard"].max()
    span = f"{least:.0%}" if round(least, 2) == round(most, 2) else f"{least:.0%} to {most:.0%}"
    _titles(axes, f"Week by week the two share {span} of their alerts", extent(told))
    return figure


def extent(told: Comparison) -> str:
    """What was compared: windows, days, truth and budget, in a line."""
    truth = "no labels" if told.confirmed is None else (
        f"{told.confirmed:,} confirmed windows of {told.troubled:,} entities"
    )  # fmt: skip
    return (
        f"{told.windows:,} shared windows, {iso(told.first_day)} to {iso(told.last_day)}, {truth}; "
        f"{told.budget:,} alerts a day"
    )


def _finding(told: Comparison) -> str:
    gain = told.metrics["average_precision"].difference
    if gain.low <= 0 <= gain.high:
        return f"Which finds more, {told.names[0]} or {told.names[1]}, cannot be told"
    return f"{told.names[1]} finds {'more' if gain.value > 0 else 'less'} than {told.names[0]}"


def _division_figure(told: Comparison) -> Figure:
    figure, axes = _canvas(height=2.4)
    parts = {f"only {told.names[0]}": (len(told.disappeared), "isolation_forest"), "both": (told.shared, ""),
             f"only {told.names[1]}": (len(told.appeared), "lightgbm")}  # fmt: skip
    left = 0
    for name, (count, kind) in parts.items():
        axes.barh(0, count, left=left, color=colour_of(kind), height=0.5, label=f"{name}: {count:,}")
        left += count
    axes.set_yticks([])
    axes.set_xlabel("Alerts (an entity on a day)")
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    _titles(axes, f"{told.new_alerts:.0%} of the alerts of {told.names[1]} are new", extent(told))
    return figure
