"""The model card: what a model is for and not for, what it learned from, how it did, and what it cannot see.

It travels in the model's folder as data (``card.json``), as a page to print and as Markdown, so that whoever is handed
the model is handed its limits. It holds counts and names of columns, never a name of an entity; slices of few entities
are one slice.

References
----------
Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .judgement import LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

    from ..features.events import DataReport
    from .candidates import Candidate
    from .material import Material
    from .settings import TrainingSettings

__all__ = ["PURPOSE", "card_of", "pages_of"]

PURPOSE = "Leads for a person to check: who behaves unlike themselves or unlike everyone. Never a verdict."
_HEADLINES = (
    ("average_precision", "Average precision"),
    ("roc_auc", "ROC AUC"),
    ("precision_at_budget", "Share of alerts that were confirmed trouble"),
    ("recall_at_budget", "Share of confirmed trouble that was alerted"),
    ("value_recall_at_budget", "Share of the value in trouble that was alerted"),
    ("card_precision_at_budget", "Card precision, found entities left out on later days"),
    ("reviewed_precision_at_budget", "Share of alerts that were confirmed, of those looked at"),
    ("median_days_to_detection", "Median days until an entity in trouble is alerted"),
    ("never_detected", "Share of entities in trouble that are never alerted"),
)


def card_of(
    candidate: Candidate, material: Material, settings: TrainingSettings, report: DataReport, *, data: str = ""
) -> dict[str, Any]:
    """Everything the card tells, as plain data.

    Parameters
    ----------
    candidate : Candidate
    material : Material
    settings : TrainingSettings
    report : DataReport
        What came to the door.
    data : str
        Fingerprint of the events.

    Returns
    -------
    dict
        JSON can hold it: what is not defined is None.
    """
    plan, truth, train_truth = material.plan, material.test_truth, material.train_truth
    told = {
        "kind": candidate.kind,
        "purpose": PURPOSE,
        "owner": settings.owner,
        "split": str(material.split),
        "events": report.admitted,
        "entities": report.entities,
        "train_rows": len(material.train),
        "test_rows": len(material.test),
        "train_positives": None if train_truth is None else int(train_truth.sum()),
        "test_positives": None if truth is None else int(truth.sum()),
        "budget": settings.budget,
        "label_delay": settings.label_delay,
        "metrics": {name: value for name, value in candidate.metrics.items() if math.isfinite(value)},
        "calibration": _calibration(candidate, material),
        "injected": _records(candidate.judged.kinds),
        "slices": {name: table.to_dict("records") for name, table in candidate.judged.slices.items()},
        "families": {family: len(features) for family, features in plan.by_family.items()},
        "windows": asdict(plan.windows),
        "zone": plan.roles.time_zone,
        "columns": {"dimensions": list(plan.roles.dimensions), "measures": list(plan.roles.measures)},
        "value": None if material.asides is None or material.asides.value is None else _at_stake(material, settings),
        "settings": asdict(candidate.settings),  # type: ignore[call-overload]
        "seed": settings.seed,
        "notes": list(candidate.notes),
        "fingerprints": {"plan": plan.fingerprint, "data": data},
        "usual": _usual(candidate, material, settings),
    }
    cleaned: dict[str, Any] = _plain(told)
    return cleaned


def pages_of(card: Mapping[str, Any]) -> dict[str, str]:
    """The card as a self-contained page and as Markdown.

    Parameters
    ----------
    card : mapping
        Of :func:`card_of`.

    Returns
    -------
    dict of str to str
        ``card.html`` and ``card.md``.
    """
    shown = {**card, "headlines": _headlines(card.get("metrics", {})), "level": LEVEL}
    return {
        "card.html": _template("card.html.jinja", escape=True).render(shown),
        "card.md": _template("card.md.jinja", escape=False).render(shown),
    }


def _calibration(candidate: Candidate, material: Material) -> dict[str, Any] | None:
    later, judged = material.later, candidate.judged
    if later is None or judged.calibration is None:
        return None
    watched = judged.validity
    checked = (
        {}
        if watched is None
        else {"rows": watched.rows, "promised": list(watched.promised), **vars(watched.share), "holds": watched.holds}
    )
    return {
        "since": later.since,
        "until": later.until,
        "from_day": _day(later.since),
        "until_day": _day(later.until),
        "rows": len(later.vectors),
        "groups": len(judged.calibration.group),
        "checked": checked or None,
    }


def _records(table: Mapping[str, list[object]]) -> list[dict[str, object]]:
    """The rows of a table of columns."""
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def _usual(candidate: Candidate, material: Material, settings: TrainingSettings) -> dict[str, Any] | None:
    """What a later period is held against, with the score that the budget of the test came down to."""
    if material.usual is None or material.asides is None:
        return None
    days = len(np.unique(material.asides.day))
    alerts = min(settings.budget * days, len(candidate.score))
    line = float(np.sort(candidate.score)[-alerts]) if alerts else None
    return replace(material.usual, line=line, alerts=alerts / days).to_dict()


def _at_stake(material: Material, settings: TrainingSettings) -> str | None:
    return settings.value or next(iter(material.plan.roles.measures), None)


def _headlines(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """Label, value and interval of the figures a reader asks for first."""
    told = []
    for name, label in _HEADLINES:
        if f"test/{name}" in metrics:
            value = metrics[f"test/{name}"]
            low, high = (metrics.get(f"test/{name}_{end}") for end in ("low", "high"))
            told.append({"label": label, "value": value, "low": low, "high": high})
    return told


def _template(name: str, *, escape: bool) -> jinja2.Template:
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    # In Markdown the filter `cell` escapes what comes from the log: slices, notes, the owner's name.
    environment = jinja2.Environment(
        loader=loader,
        autoescape=escape,  # noqa: S701 - off for Markdown alone
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "number": _number, "share": _share, "spoken": _spoken}
    return environment.get_template(name)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}" if value >= 0.1 else f"{value:.2%}"


def _spoken(kind: str) -> str:
    return {"lightgbm": "LightGBM"}.get(kind, kind.replace("_", " ").capitalize())


def _day(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1e6, UTC).strftime("%Y-%m-%d")


def _plain(value: Any) -> Any:
    """The value with numbers of Python instead of numpy's, and None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
