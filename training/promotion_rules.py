"""The rules of a promotion, and what is found when a version is held to them.

A rule that cannot be judged does not hold: a gate that opens when nobody can see is none. The one exception is said in
its name: calibration must not be *known* to be off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .calibration import validity
from .metrics import FEW
from .paired import measure
from .shared_windows import SharedWindows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from .calibration import Validity
    from .comparison import Comparison

__all__ = ["Finding", "Metric", "Rules", "Standing", "judge", "standing"]

Metric = Literal[
    "average_precision", "roc_auc", "precision_at_budget", "recall_at_budget", "card_precision_at_k", "value_recall",
    "none",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a version has to show. The rules of gain, loss, alerts and positives need a version to be held against.

    Attributes
    ----------
    metric : str
        What gain and loss are measured by; "none" asks for neither.
    least_gain : float
        The figure of the newcomer less that of the version in use, on the windows that both were judged on, must be
        this or more.
    most_loss : float
        The lower end of the 95 % interval of that difference must not be below minus this: how much worse than the
        version in use it might be.
    least_precision_at_budget, least_recall_at_budget : float or None
        Of the newcomer alone, on the windows that it was judged on.
    most_alert_change : float or None
        Of the alerts of either, the share that only one of the two raises must not be above this.
    least_positives : int
        With fewer entities in confirmed trouble no figure that needs truth is judged, and the version is refused.
    calibrated : bool
        Its p-values must not be known to break their promise on the windows that it was judged on.
    """

    metric: Metric = "average_precision"
    least_gain: float = 0.0
    most_loss: float = 0.05
    least_precision_at_budget: float | None = None
    least_recall_at_budget: float | None = None
    most_alert_change: float | None = None
    least_positives: int = FEW
    calibrated: bool = True


@dataclass(frozen=True)
class Finding:
    """A rule, and whether it holds.

    Attributes
    ----------
    rule : str
        The setting.
    asked, found : float or None
        The bound, and the figure; None if there is none.
    holds : bool
    said : str
        The same in words.
    """

    rule: str
    asked: float | None
    found: float | None
    holds: bool
    said: str


@dataclass(frozen=True)
class Standing:
    """A version alone, on the windows that it was judged on.

    Attributes
    ----------
    troubled : int or None
        Entities in confirmed trouble; None without labels.
    precision, recall : float
        At the budget; NaN without labels.
    calibration : Validity or None
        None if it was never calibrated.
    """

    troubled: int | None
    precision: float
    recall: float
    calibration: Validity | None


def standing(table: pa.Table, budget: int) -> Standing:
    """Look at one version alone.

    Parameters
    ----------
    table : pyarrow.Table
        As :func:`~peculiar.training.judged.judged_table` makes it.
    budget : int
        Alerts a day.
    """
    rows = SharedWindows.of(table, table)  # with itself it shares all
    normal = np.ones(len(rows.day), np.bool_) if rows.y is None else ~rows.y
    p, calibration = rows.p[0], None
    if p is not None and normal.any():
        part = rows.rows(normal)
        calibration = validity(p[normal], day=part.day, entity=part.entity)
    if rows.y is None:
        return Standing(None, float("nan"), float("nan"), calibration)
    figures = measure(rows.judged(), rows.scores[0], budget=budget)
    troubled = len(np.unique(rows.keys[rows.y]))
    return Standing(troubled, figures["precision_at_budget"], figures["recall_at_budget"], calibration)


def judge(rules: Rules, own: Standing | str, told: Comparison | str, *, first: bool) -> tuple[Finding, ...]:
    """Hold a version to the rules.

    Parameters
    ----------
    rules : Rules
    own : Standing or str
        The version alone, or why nothing is known of it.
    told : Comparison or str
        The version (as the second) beside the one in use, or why the two cannot be compared.
    first : bool
        There is none in use, so only the rules about the version alone apply.
    """
    if isinstance(own, str):
        return (Finding("judged", None, None, holds=False, said=own),)
    findings = list(_alone(rules, own))
    absolute = rules.least_precision_at_budget is not None or rules.least_recall_at_budget is not None
    if first:
        return (*findings, *(_positives(rules, own.troubled) if absolute else ()))
    if isinstance(told, str):
        if rules.metric != "none" or rules.most_alert_change is not None:
            findings.append(Finding("comparable", None, None, holds=False, said=told))
        return tuple(findings)
    if rules.metric != "none" or absolute:
        findings += _positives(rules, told.troubled)
    return (*findings, *_beside(rules, told))


def _alone(rules: Rules, own: Standing) -> Iterator[Finding]:
    if rules.calibrated:
        yield _calibrated(own.calibration)
    for name, least, found in (
        ("least_precision_at_budget", rules.least_precision_at_budget, own.precision),
        ("least_recall_at_budget", rules.least_recall_at_budget, own.recall),
    ):
        if least is not None:
            what = name.removeprefix("least_").replace("_", " ")
            yield _at_least(name, least, found, f"{what} is {found:.3f}, {least:g} or more is asked for")


def _calibrated(told: Validity | None) -> Finding:
    if told is None:
        return Finding(
            "calibrated", None, None, holds=True, said="it was never calibrated, so nothing is known against it"
        )
    (least, most), share = told.promised, told.share
    held = {True: "as promised", False: "which is not what was promised", None: "which may be as promised"}
    said = (
        f"p <= {told.level:g} for {share.value:.2%} ({share.low:.2%} to {share.high:.2%}) of windows not known to be "
        f"in trouble, {least:.2%} to {most:.2%} are promised: {held[told.holds]}"
    )
    return Finding("calibrated", most, share.value, holds=told.holds is not False, said=said)


def _positives(rules: Rules, troubled: int | None) -> list[Finding]:
    if troubled is None:
        said = "nothing is confirmed or cleared, so nobody can tell what it finds; judge it with labels"
    else:
        said = f"{troubled:,} entities in confirmed trouble, {rules.least_positives:,} or more are asked for"
    found = None if troubled is None else float(troubled)
    holds = troubled is not None and troubled >= rules.least_positives
    return [Finding("least_positives", float(rules.least_positives), found, holds, said)]


def _beside(rules: Rules, told: Comparison) -> Iterator[Finding]:
    if rules.metric != "none":
        yield from _gain(rules, told)
    if rules.most_alert_change is not None:
        changed = 1 - told.jaccard
        said = f"{changed:.0%} of the alerts of either are raised by one alone, {rules.most_alert_change:.0%} may be"
        yield Finding("most_alert_change", rules.most_alert_change, changed, changed <= rules.most_alert_change, said)


def _gain(rules: Rules, told: Comparison) -> Iterator[Finding]:
    what = rules.metric.replace("_", " ")
    both = told.metrics.get(rules.metric)
    if both is None or np.isnan(both.difference.value):
        said = f"{what} is not defined on the shared windows"
        yield Finding("least_gain", rules.least_gain, None, holds=False, said=said)
        return
    gain = both.difference
    said = (
        f"{what} {both.first.value:.3f} before, {both.second.value:.3f} now: {gain.value:+.3f}, "
        f"{rules.least_gain:+g} or more is asked for"
    )
    yield _at_least("least_gain", rules.least_gain, gain.value, said)
    said = (
        f"the difference may be as low as {gain.low:+.3f} (95 % interval to {gain.high:+.3f}), "
        f"{-rules.most_loss:+g} is the limit"
    )
    yield Finding("most_loss", rules.most_loss, -gain.low, bool(gain.low >= -rules.most_loss), said)


def _at_least(name: str, least: float, found: float, said: str) -> Finding:
    defined = not np.isnan(found)
    return Finding(name, least, found if defined else None, bool(defined and found >= least), said)
