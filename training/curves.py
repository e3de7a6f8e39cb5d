"""The curves of a run as a page on which a reader can point, zoom and read off values.

Beside the figures: those are for looking at, this is for asking "what would 150 alerts a day find?". The page holds
everything it needs and fetches nothing, since a store may live where there is no network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .figures import colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Curves", "curves_page"]

_FAINT, _GRID, _INK = "#5F6B76", "#E4E7EB", "#22272E"


@dataclass(frozen=True)
class Curves:
    """The points to draw; a part without points is left out.

    Attributes
    ----------
    kind : str
        The detector's kind, for the colour.
    recall, precision : sequences of float, of one length
        The precision-recall curve.
    marked : pair of float or None
        Recall and precision at the budget in use.
    budgets : sequence of int
        Alerts a day.
    budget_precision, budget_recall : sequences of float, as long as ``budgets``
    levels, shares : sequences of float, of one length
        Levels of p, and the share of normal rows at or below each.
    """

    kind: str
    recall: Sequence[float] = ()
    precision: Sequence[float] = ()
    marked: tuple[float, float] | None = None
    budgets: Sequence[int] = ()
    budget_precision: Sequence[float] = field(default=())
    budget_recall: Sequence[float] = field(default=())
    levels: Sequence[float] = ()
    shares: Sequence[float] = ()


def curves_page(curves: Curves, *, title: str) -> str:
    """One HTML page with all curves there are.

    Parameters
    ----------
    curves : Curves
    title : str

    Returns
    -------
    str
        The same curves give the same bytes. Some 5 MB, nearly all of it the drawing library.

    Examples
    --------
    >>> page = curves_page(Curves("forest", levels=[0.01, 1.0], shares=[0.012, 1.0]), title="forest")
    >>> "Calibration" in page, "Precision by recall" in page
    (True, False)
    """
    from plotly.subplots import make_subplots

    drawn = [part for part, there in ((_ranking, curves.recall), (_budget, curves.budgets), (_promise, curves.levels))
             if len(there)]  # fmt: skip
    names = {_ranking: "Precision by recall", _budget: "What a budget buys", _promise: "Calibration"}
    titles = [names[part] for part in drawn]
    figure = make_subplots(rows=1, cols=max(1, len(drawn)), subplot_titles=titles, horizontal_spacing=0.11)
    for column, part in enumerate(drawn, 1):
        part(figure, curves, column)
    figure.update_layout(
        title={"text": title}, template="plotly_white", font={"color": _INK, "family": "system-ui, sans-serif"},
        showlegend=False, hovermode="closest", height=520, margin={"t": 110},
    )  # fmt: skip
    settings = {"displaylogo": False, "responsive": True}
    return str(figure.to_html(include_plotlyjs=True, full_html=True, div_id="curves", config=settings))


def _ranking(figure: Any, curves: Curves, column: int) -> None:
    told = "%{x:.1%} found, %{y:.1%} of the alerts right<extra></extra>"
    _line(figure, column, (curves.recall, curves.precision), colour_of(curves.kind), told)
    if curves.marked is not None:
        x, y = curves.marked
        figure.add_scatter(
            x=[x], y=[y], mode="markers", marker={"size": 12, "color": "white", "line": {"width": 3, "color": _INK}},
            hovertemplate=f"the budget in use: {told}", row=1, col=column,
        )  # fmt: skip
    figure.update_xaxes(title="Recall: share of all trouble found", tickformat=".0%", range=[0, 1], row=1, col=column)
    figure.update_yaxes(title="Precision", tickformat=".0%", range=[0, 1.02], row=1, col=column)


def _budget(figure: Any, curves: Curves, column: int) -> None:
    lines = {"precision": (curves.budget_precision, "#0072B2"), "recall": (curves.budget_recall, "#D55E00")}
    for name, (values, colour) in lines.items():
        told = f"{name} %{{y:.1%}} with %{{x:,}} alerts a day<extra></extra>"
        _line(figure, column, (curves.budgets, values), colour, told, mode="lines+markers")
        figure.add_annotation(
            x=1.0, y=values[-1], xref=f"x{column if column > 1 else ''} domain", text=name, showarrow=False,
            xanchor="left", font={"color": colour}, row=1, col=column,
        )  # fmt: skip
    ticks = {"tickvals": list(curves.budgets), "ticktext": [f"{budget:,}" for budget in curves.budgets]}
    figure.update_xaxes(title="Alerts a day (logarithmic)", type="log", row=1, col=column, **ticks)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02], row=1, col=column)


def _promise(figure: Any, curves: Curves, column: int) -> None:
    ends = [curves.levels[0], curves.levels[-1]]
    _line(figure, column, (ends, ends), _FAINT, "as promised<extra></extra>", dash="dash")
    told = "p <= %{x:.2%} for %{y:.2%} of normal windows<extra></extra>"
    _line(figure, column, (curves.levels, curves.shares), colour_of(curves.kind), told)
    tens = {"type": "log", "tickformat": ".1%", "dtick": 1, "row": 1, "col": column}
    figure.update_xaxes(title="p-value (logarithmic)", **tens)
    figure.update_yaxes(title="Share of normal windows", **tens)


def _line(  # noqa: PLR0913 - how a line looks
    figure: Any,
    column: int,
    points: tuple[Sequence[float], Sequence[float]],
    colour: str,
    told: str,
    *,
    mode: str = "lines",
    dash: str = "solid",
) -> None:
    figure.add_scatter(
        x=list(points[0]), y=list(points[1]), mode=mode, line={"color": colour, "width": 2, "dash": dash},
        hovertemplate=told, row=1, col=column,
    )  # fmt: skip
