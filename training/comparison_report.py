"""A comparison as a person reads it: tables in the terminal, and a run in MLflow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .comparison_figures import SPOKEN, difference_figure, extent, weeks_figure
from .tracking import RunRecord, log_inputs, running, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from rich.console import RenderableType
    from rich.table import Table

    from .calibration import Validity
    from .comparison import Comparison
    from .metrics import Interval
    from .registry import Version
    from .store import Store

__all__ = ["BY_WEEK", "COMPARED", "listing", "record_of", "track"]

# Fixed, as all artifact paths: two comparisons lie side by side.
COMPARED = "plots/compare.png"
BY_WEEK = "plots/overlap_by_week.png"
METRICS_TABLE = "tables/compare.json"
WEEKS_TABLE = "tables/by_week.json"
APPEARED, DISAPPEARED = "tables/appeared.json", "tables/disappeared.json"


def listing(told: Comparison, *, limit: int = 10) -> Iterator[RenderableType]:
    """Yield what to print, made for 100 columns.

    Parameters
    ----------
    told : Comparison
    limit : int
        Alerts that appear, and that disappear, at most.
    """
    from rich.text import Text

    yield Text(told.verdict, style="bold")
    yield Text(extent(told))
    for note in told.notes:
        yield Text(f"note: {note}", style="yellow")
    if told.metrics:
        yield Text(f"\nfigures with 95 % intervals over entities; difference: {told.names[1]} less {told.names[0]}")
        yield _metrics(told)
    yield Text(f"\n{_overlap(told)}")
    for name, other, alerts in ((told.names[1], told.names[0], told.appeared), (*told.names, told.disappeared)):
        if len(alerts) and limit:
            yield Text(f"\n{len(alerts):,} alerts that {name} raises and {other} does not{_hits(alerts)}; the highest:")
            yield _alerts(told, alerts.head(limit))
    yield Text("\nweek by week")
    yield _weeks(told)
    for name, each in zip(told.names, told.calibrations, strict=True):
        yield Text(f"{name}: {_calibration(each)}")


def record_of(told: Comparison) -> RunRecord:
    """Everything about a comparison that MLflow shows."""
    metrics = {f"compare/{name}{what}": value for name, both in told.metrics.items()
               for what, value in (("_first", both.first.value), ("_second", both.second.value),
                                   ("_gain", both.difference.value), ("_gain_low", both.difference.low),
                                   ("_gain_high", both.difference.high))}  # fmt: skip
    sizes = {"windows": told.windows, "jaccard": told.jaccard, "rank_correlation": told.rank_correlation,
             "appeared": len(told.appeared), "disappeared": len(told.disappeared)}  # fmt: skip
    return RunRecord(
        note="\n\n".join([f"**{told.verdict}**", extent(told), _overlap(told), *told.notes]),
        params={"first": told.names[0], "second": told.names[1], "budget_per_day": told.budget},
        metrics=metrics | {f"compare/{name}": float(value) for name, value in sizes.items()},
        figures={COMPARED: difference_figure(told), BY_WEEK: weeks_figure(told)},
        tables={METRICS_TABLE: _metrics_table(told), WEEKS_TABLE: _columns(told.weeks),
                APPEARED: _columns(told.appeared), DISAPPEARED: _columns(told.disappeared)},
    )  # fmt: skip


def track(store: Store, told: Comparison, versions: tuple[Version, Version]) -> str:
    """Write a comparison down as a run of the role ``compare`` with both models as its inputs; return its id."""
    with running(store, "compare", name=f"{told.names[0]} and {told.names[1]}") as run:
        for version in versions:
            if version.model_id:
                log_inputs(run, model_id=version.model_id)
        write_record(run, record_of(told))
    return run.run_id


def _overlap(told: Comparison) -> str:
    either = told.shared + len(told.appeared) + len(told.disappeared)
    return (
        f"of {either:,} alerts {told.shared:,} are raised by both ({told.jaccard:.0%}), {len(told.appeared):,} appear, "
        f"{len(told.disappeared):,} disappear; rank correlation of all windows {told.rank_correlation:.2f}"
    )


def _grid(*headings: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(Text(headings[0]), overflow="fold")
    for heading in headings[1:]:
        table.add_column(Text(heading), justify="right", overflow="fold")
    return table


def _metrics(told: Comparison) -> Table:
    table = _grid("", *told.names, "difference")
    for name, both in told.metrics.items():
        unit = 1 if name == "days_to_detection" else 3
        cells = [_interval(each, unit) for each in (both.first, both.second)]
        table.add_row(SPOKEN[name], *cells, _interval(both.difference, unit, sign="+"))
    return table


def _interval(value: Interval, digits: int, *, sign: str = "") -> str:
    if math.isnan(value.value):
        return "·"
    low, high = (_figure(each, digits, sign) for each in (value.low, value.high))
    return f"{_figure(value.value, digits, sign)} ({low} to {high})"


def _figure(value: float, digits: int, sign: str = "") -> str:
    if math.isnan(value):
        return "·"
    return ("never" if value > 0 else "-never") if math.isinf(value) else f"{value:{sign}.{digits}f}"


def _alerts(told: Comparison, alerts: pd.DataFrame) -> Table:
    table = _grid("entity", "day", f"rank in {told.names[0]}", f"in {told.names[1]}", "scores", "confirmed")
    for row in alerts.itertuples():
        known = "·" if row.confirmed is None else ("yes" if row.confirmed else "no")
        scores = f"{row.first_score:.4g} / {row.second_score:.4g}"
        table.add_row(str(row.entity), row.day, f"{row.first_rank:,}", f"{row.second_rank:,}", scores, known)
    return table


def _hits(alerts: pd.DataFrame) -> str:
    known = [each for each in alerts["confirmed"] if each is not None]
    return f" ({sum(known):,} of them confirmed)" if known else ""


def _weeks(told: Comparison) -> Table:
    shown = {"average_precision": "AP", "recall_at_budget": "recall", "share_at_1pct": "p <= 0.01", "again": "again"}
    there = [name for name in shown if f"second_{name}" in told.weeks and f"first_{name}" in told.weeks]
    table = _grid("from", "windows", "confirmed", "of both", *(shown[name] for name in there))
    for week in told.weeks.to_dict("records"):
        known = "·" if week["confirmed"] is None else f"{week['confirmed']:,}"
        pairs = [" / ".join(_weekly(name, week[f"{side}_{name}"]) for side in ("first", "second")) for name in there]
        table.add_row(week["day"], f"{week['windows']:,}", known, _figure(week["jaccard"], 2), *pairs)
    return table


def _weekly(name: str, value: float) -> str:
    return f"{value:.1%}" if name == "share_at_1pct" and not math.isnan(value) else _figure(value, 2)


def _calibration(told: Validity | None) -> str:
    if told is None:
        return "no p-values: it was never calibrated"
    held = {True: "they keep their promise", False: "they do NOT keep their promise", None: "too few windows to tell"}
    share = told.share
    return (
        f"p <= {told.level:g} for {share.value:.2%} of windows not known to be in trouble ({share.low:.2%} to "
        f"{share.high:.2%}): {held[told.holds]}"
    )


def _metrics_table(told: Comparison) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {"metric": list(told.metrics)}
    for side in ("first", "second", "difference"):
        parts = [getattr(both, side) for both in told.metrics.values()]
        for name in ("value", "low", "high"):
            columns[f"{side}_{name}"] = [getattr(part, name) for part in parts]
    return columns


def _columns(frame: pd.DataFrame) -> dict[str, list[object]]:
    return {str(name): frame[name].tolist() for name in frame}
