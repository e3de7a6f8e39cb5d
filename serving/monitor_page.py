"""The page of a monitored period: the verdict first, what to do, what moved, scores, slices. One file, no script.

Its content security policy allows its own block of style and nothing else, so whatever a value of the log is called can
neither run nor load anything. Distributions are drawn side by side, the training's outlined and the period's filled, so
that they are told apart without colour.
"""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features.population import LOWER_EDGES
from ..training.usual import tenths
from .faults import expected_slots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .drift import Drift
    from .monitoring import Monitored

__all__ = ["ADVICE", "HEADLINES", "SIGNS", "Bar", "medians_of", "monitor_page", "number", "percent"]

_HERE = Path(__file__).parent
_MOST_FEATURES, _MOST_DAYS = 30, 62
_WIDE, _HIGH, _FOOT = 240, 64, 14

HEADLINES = {
    "fault": "The data has a fault",
    "change": "Behaviour has changed",
    "mix": "Other people are there",
    "nothing": "Nothing has moved",
}
ADVICE = {
    "fault": "Mend the data and score these days again before anybody acts on their alerts.",
    "change": "Find out whether it will last. If so, train again; the model was made for how people behaved before.",
    "mix": "Look at who came or went. The model still judges those who stayed as before.",
    "nothing": "The period is like the training, as far as so many entities can tell. Nothing has to be done.",
}
SIGNS = {"fault": "✖", "change": "▲", "mix": "◆", "nothing": "✔"}


@dataclass(frozen=True)
class Bar:
    """A pair of bars of a picture: positions and heights in its units, its place on the axis, what it says."""

    x: float
    wide: float
    then: float
    now: float
    name: str
    title: str


def monitor_page(monitored: Monitored, *, model: str, made: dict[str, str]) -> str:
    """One HTML page about a period.

    Parameters
    ----------
    monitored : Monitored
    model : str
        Name and version.
    made : mapping of str to str
        ``sha256`` of the model's files, ``data``, the fingerprint of the events, and the log's ``zone``.

    Returns
    -------
    str
        HTML that needs no network and runs no script.
    """
    import jinja2
    from markupsafe import Markup

    style = (_HERE / "monitor.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": percent, "number": number, "count": "{:,}".format}
    shown = [(drift, bars_of(drift)) for drift in (monitored.moved or list(monitored.drifts))[:_MOST_FEATURES]]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("monitor.html.jinja").render(
        found=monitored,
        model=model,
        made=made,
        headline=HEADLINES[monitored.verdict],
        advice=ADVICE[monitored.verdict],
        signs=SIGNS,
        features=shown,
        medians=medians_of,
        scores=_score_bars(monitored),
        days=_day_bars(monitored),
        size={"wide": _WIDE, "high": _HIGH, "foot": _FOOT},
        style=Markup(style),  # noqa: S704 - our own file
        hash=f"sha256-{digest}",
    )


def bars_of(drift: Drift) -> list[Bar]:
    """Shares of a feature's rows in tenths of the training's, and of nulls, then and now."""
    cut = tenths(drift.cells.counts)
    then, now = (np.add.reduceat(counts, cut) for counts in (drift.cells.counts, drift.now))
    starts = drift.cells.start[cut[:-1]]
    names = [f"from {number(float(LOWER_EDGES[start]))}" if start else "lowest" for start in starts.tolist()]
    keep = slice(None) if then[-1] or now[-1] else slice(0, -1)
    return _bars(then[keep], now[keep], [*names, "null"][keep])


def medians_of(drift: Drift) -> tuple[str, str]:
    """The medians then and now for a reader; in the last cell, which has no end, it is a bound."""
    then, now = map(number, drift.medians)
    return then, f"≥ {now}" if drift.beyond else now


def percent(share: float | None) -> str:
    """A share for a reader.

    Examples
    --------
    >>> percent(0.1234), percent(0.0123), percent(None)
    ('12%', '1.2%', '-')
    """
    if share is None:
        return "-"
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}"


def number(value: float | None) -> str:
    """A value for a reader; "-" for none.

    Examples
    --------
    >>> number(1234.5), number(0.01234), number(float("nan"))
    ('1,234', '0.0123', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _bars(then: NDArray[Any], now: NDArray[Any], names: list[str]) -> list[Bar]:
    """Counts as bars side by side, each row of counts as shares of its own sum."""
    before, after = (counts / max(1, counts.sum()) for counts in (then, now))
    top, step = max(float(before.max(initial=0)), float(after.max(initial=0)), 1e-9), _WIDE / max(1, len(names))
    return [
        Bar(round(place * step, 1), round(step, 1), round(_HIGH * b / top, 1), round(_HIGH * a / top, 1), name,
            f"{name}: {percent(b)} then, {percent(a)} now")
        for place, (name, b, a) in enumerate(zip(names, before.tolist(), after.tolist(), strict=True))
    ]  # fmt: skip


def _score_bars(monitored: Monitored) -> list[Bar]:
    lie = monitored.scores.whole
    if lie.psi is None:
        return []
    names = [f"p from {place / 10:g} to {(place + 1) / 10:g}" for place in range(len(lie.tenths))]
    return _bars(np.ones(len(lie.tenths)), lie.tenths, names)


def _day_bars(monitored: Monitored) -> list[Bar]:
    """Events of each day, beside those of the same day of the week in training."""
    if monitored.then is None:
        return []
    day = np.arange(*monitored.days)[-_MOST_DAYS:]
    seen = dict(zip(monitored.now.day.tolist(), monitored.now.events.tolist(), strict=True))
    due = expected_slots(monitored.then.events, day).sum(axis=1)
    now = np.array([seen.get(each, 0) for each in day.tolist()], np.float64)
    top, step = max(float(due.max()), float(now.max()), 1.0), _WIDE / len(day)
    names = [str(np.datetime64(each, "D")) for each in day.tolist()]
    return [
        Bar(round(place * step, 1), round(step, 1), round(_HIGH * b / top, 1), round(_HIGH * a / top, 1), name,
            f"{name}: {a:,.0f} events, {b:,.0f} on such days in training")
        for place, (name, b, a) in enumerate(zip(names, due.tolist(), now.tolist(), strict=True))
    ]  # fmt: skip
