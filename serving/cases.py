"""Cases: the alerts of one entity that belong together, one case with many snapshots.

A reviewer who looks at somebody looks at all that was alerted about them. So alerts by rank of one entity, on days that
are close enough, are one case, named after the entity and the day it began. Random picks open no case and keep none
open: that somebody was drawn says nothing about them.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import SchemaError
from ..features.columns import to_wall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["CASES", "GAP", "case_ids", "cases_of", "open_cases"]

GAP = 7  # days
_DAY = 86_400_000_000
_TIME = pa.timestamp("us", tz="UTC")
_EPOCH = date(1970, 1, 1)
CASES = pa.schema(
    {
        "case": pa.string(),
        "entity": pa.string(),
        "first": _TIME,
        "last": _TIME,
        "alerts": pa.int64(),
        "windows": pa.int64(),
        "score": pa.float64(),
        "p_value": pa.float64(),
        "family": pa.string(),
        "reasons": pa.list_(pa.string()),
        "team": pa.string(),
        "verdict": pa.string(),
    }
)


def case_ids(
    entity: pa.Array,
    day: NDArray[np.int64],
    alert: NDArray[np.bool_],
    *,
    gap: int = GAP,
    begun: Mapping[str, tuple[int, str]] | None = None,
) -> pa.StringArray:
    """The case of each alert: its entity, and the day of the first alert of an unbroken row of them.

    Parameters
    ----------
    entity : pyarrow.Array of n texts
    day : int64 array of shape (n,), days since 1970
    alert : bool array of shape (n,)
        Alerts by rank.
    gap : int
        Alerts at most so many days apart are of one case.
    begun : mapping of str to (int, str), optional
        Of entities the day of their last alert before these, and its case, as :func:`open_cases` finds them.

    Returns
    -------
    pyarrow.StringArray of length n
        Null where there is no alert.

    Examples
    --------
    >>> days = np.array([20150, 20151, 20160])
    >>> case_ids(pa.array(["u42"] * 3), days, np.array([True, True, True])).to_pylist()
    ['u42@2025-03-03', 'u42@2025-03-03', 'u42@2025-03-13']
    """
    rows = np.flatnonzero(alert)
    names = entity.take(pa.array(rows)).to_pylist()
    latest = dict(begun or {})
    ids: list[str | None] = [None] * len(day)
    for row, name in sorted(zip(rows.tolist(), names, strict=True), key=lambda each: (each[1], int(day[each[0]]))):
        today = int(day[row])
        last, case = latest.get(name, (today - gap - 1, ""))
        if today - last > gap:
            case = f"{name}@{_EPOCH + timedelta(days=today)}"
        latest[name] = today, case
        ids[row] = case
    return pa.array(ids, pa.string())


def open_cases(earlier: pa.Table, *, before: int, zone: str = "UTC") -> dict[str, tuple[int, str]]:
    """Of each entity the day of its last alert, and the case it is of, in scores written earlier.

    Parameters
    ----------
    earlier : pyarrow.Table
        With ``entity``, ``as_of``, ``alert`` and ``case``.
    before : int
        The first day, since 1970, that is scored now. Later rows are left out, so that scoring a period again gives the
        same cases.
    zone : str
        Whose days are meant.

    Raises
    ------
    SchemaError
        If a column is missing.

    Examples
    --------
    >>> end = pa.array([20151 * 86_400_000_000]).cast(pa.timestamp("us", tz="UTC"))
    >>> scores = pa.table({"entity": ["u42"], "as_of": end, "alert": [True], "case": ["u42@2025-03-01"]})
    >>> open_cases(scores, before=20153)
    {'u42': (20150, 'u42@2025-03-01')}
    """
    _check(earlier, ("entity", "as_of", "alert", "case"), "earlier scores")
    alerted = pc.and_(pc.fill_null(earlier["alert"], False), pc.is_valid(earlier["case"]))
    table = earlier.select(["entity", "as_of", "case"]).filter(alerted)
    day = to_wall(table["as_of"].cast(_TIME).cast(pa.int64()).to_numpy() - 1, zone) // _DAY
    found: dict[str, tuple[int, str]] = {}
    for name, on, case in zip(table["entity"].to_pylist(), day.tolist(), table["case"].to_pylist(), strict=True):
        if on < before:
            found[name] = max(found.get(name, (on, case)), (on, case))
    return found


def cases_of(table: pa.Table, verdicts: pa.Table | None = None) -> pa.Table:
    """Roll scores up into cases, the most anomalous first.

    Parameters
    ----------
    table : pyarrow.Table
        As :class:`~peculiar.serving.scoring.ScoredBatch` holds it; of several batches the rows of all.
    verdicts : pyarrow.Table, optional
        What reviewers said, as :func:`~peculiar.training.feedback.read_feedback` returns it.

    Returns
    -------
    pyarrow.Table
        One row per case: ``case``, ``entity``, ``first`` (begin of the first alerted window), ``last`` (end of the
        last), ``alerts``, ``windows`` (of the entity in between, whether alerted or not), ``score`` (the highest),
        ``p_value`` (the lowest), ``family``, ``reasons`` and ``team`` (those of the highest score), ``verdict``:
        "confirmed" if the last word on any of its windows is, else "cleared" if there is one, else null.

    Raises
    ------
    SchemaError
        If the table lacks a column.

    Examples
    --------
    >>> time = pa.array([0, 86_400_000_000]).cast(pa.timestamp("us", tz="UTC"))
    >>> window = {"entity": ["ann"], "since": time[:1], "as_of": time[1:], "score": [7.5], "p_value": [0.01]}
    >>> said = {"family": ["breadth"], "reasons": [["50 vehicles"]], "team": [None], "case": ["ann@1970-01-01"]}
    >>> cases_of(pa.table(window | said)).select(["case", "alerts", "score"]).to_pylist()
    [{'case': 'ann@1970-01-01', 'alerts': 1, 'score': 7.5}]
    """
    needed = ("entity", "since", "as_of", "score", "p_value", "family", "reasons", "team", "case")
    _check(table, needed, "scores")
    alerted = table.select(needed).filter(pc.is_valid(table["case"])).to_pylist()
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in alerted:
        grouped.setdefault(row["case"], []).append(row)
    names = {row["entity"] for row in alerted}
    seen, said = _windows_of(table, names), _last_words(verdicts, names)
    told = [_case(rows, seen, said) for rows in grouped.values()]
    told.sort(key=lambda case: (-case["score"], case["case"]))
    return pa.Table.from_pylist(told, schema=CASES)


def _case(
    rows: list[dict[str, Any]], seen: dict[str, Any], said: dict[str, list[tuple[Any, Any, str]]]
) -> dict[str, Any]:
    top = min(rows, key=lambda row: (-row["score"], row["as_of"], row["since"], str(row["reasons"])))
    first, last = min(row["since"] for row in rows), max(row["as_of"] for row in rows)
    words = {word for start, stop, word in said.get(top["entity"], ()) if start < last and stop > first}
    p = [row["p_value"] for row in rows if row["p_value"] is not None]
    within = [start >= first and stop <= last for start, stop in seen[top["entity"]]]
    return {name: top[name] for name in ("case", "entity", "score", "family", "reasons", "team")} | {
        "first": first,
        "last": last,
        "alerts": len(rows),
        "windows": sum(within),
        "p_value": min(p, default=None),
        "verdict": next((word for word in ("confirmed", "cleared") if word in words), None),
    }


def _windows_of(table: pa.Table, names: set[str]) -> dict[str, list[tuple[Any, Any]]]:
    of_cases = pc.is_in(table["entity"].cast(pa.string()), value_set=pa.array(sorted(names), pa.string()))
    few = table.select(["entity", "since", "as_of"]).filter(of_cases)
    found: dict[str, list[tuple[Any, Any]]] = {}
    for name, *window in zip(*(column.to_pylist() for column in few.columns), strict=True):
        found.setdefault(name, []).append((window[0], window[1]))
    return found


def _last_words(verdicts: pa.Table | None, names: set[str]) -> dict[str, list[tuple[Any, Any, str]]]:
    """Of each entity the windows that were judged, and the last word on each; of two at once the one that confirms."""
    if verdicts is None:
        return {}
    columns = ("entity", "from", "to", "reviewed_at", "verdict")
    _check(verdicts, columns, "verdicts")
    rows = [row for row in zip(*(verdicts[name].to_pylist() for name in columns), strict=True) if row[0] in names]
    last: dict[tuple[Any, ...], str] = {}
    for row in sorted(rows, key=lambda row: (row[3], row[4] == "confirmed")):
        last[row[:3]] = row[4]
    found: dict[str, list[tuple[Any, Any, str]]] = {}
    for (name, start, stop), word in last.items():
        found.setdefault(name, []).append((start, stop, word))
    return found


def _check(table: pa.Table, needed: tuple[str, ...], what: str) -> None:
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        message = f"expected {what} with the columns {', '.join(needed)}, found no {', '.join(missing)}; score again"
        raise SchemaError(message)
