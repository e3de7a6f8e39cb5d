"""Scores of windows that end with an event: each names its event, and each event is scored on its own day, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec
from peculiar.serving.alerts import AlertRules
from peculiar.serving.scoring import score_batch
from peculiar.training.model import Model

DAY = 86_400_000_000
BEGIN = 20_150 * DAY
WINDOWS = {"event": WindowSpec("event", "7d"), "by": WindowSpec(horizon="7d", by="device")}


@dataclass(frozen=True)
class Plain:
    """A detector that gives each row a count."""

    kind: str = "plain"

    def score(self, vectors):
        """The first column."""
        return vectors.values[0].astype(np.float64)


def events(*, ids: bool) -> pa.Table:
    """Twenty days of five users, two events at a time at most instants, in random order of rows."""
    rng = np.random.default_rng(2)
    at = np.repeat(BEGIN + np.sort(rng.integers(0, 20 * DAY // 600_000_000, 200)) * 600_000_000, 2)
    columns = {
        "user": rng.choice(list("abcde"), 200).repeat(2),
        "at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
        "device": rng.choice(["x", "y", "z"], 400),
        **({"payment": [f"p{n}" for n in range(400)]} if ids else {}),
    }
    return pa.table(columns).take(pa.array(rng.permutation(400)))


def made(windows: WindowSpec, *, ids: bool) -> tuple[pa.Table, Model]:
    """A log and a model on it."""
    log = EventLog.open(events(ids=ids), Roles("user", "at", "payment" if ids else None, dimensions=("device",)))
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles, windows)
    return log.source.table, Model(plan, plan.fit(timeline), Plain())


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_each_row_names_its_event(windows, ids):
    """After as_of comes the id of the window's last event, else its row; with it the key is unique."""
    log, model = made(windows, ids=ids)
    table = score_batch(model, log, explain=0).table
    name = "payment" if ids else "event_row"
    assert table.column_names[:5] == ["entity", "since", "as_of", name, "score"]
    rows = log.to_pylist() if not ids else {row["payment"]: row for row in log.to_pylist()}
    for row in table.to_pylist():
        event = rows[row[name]]
        assert (event["user"], event["at"] + timedelta(microseconds=1)) == (row["entity"], row["as_of"])
    keys = set(zip(*(table[key].to_pylist() for key in ("entity", "as_of", name)), strict=True))
    assert len(keys) == len(table) > len(set(zip(*(table[k].to_pylist() for k in ("entity", "as_of")), strict=True)))


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_scoring_day_by_day_scores_what_scoring_at_once_does(windows):
    """Each event's row comes out on its own day, also after midnight, with the bits that the whole log gives it.

    Runs are left out that the end of a day cut short: they are scored again when they end. What is said of a row in
    the light of others, its rank, whether it is an alert and of which case, is not looked at.
    """
    about_others = dict.fromkeys(("rank", "alert", "pick", "chance", "case"))
    log, model = made(windows, ids=True)
    whole = {row["payment"]: row for row in score_batch(model, log, explain=0).table.to_pylist()}
    seen: dict[str, dict] = {}
    for day in range(20):
        since = BEGIN + day * DAY
        batch = score_batch(model, log, since=since, until=since + DAY, explain=0)
        seen |= {row["payment"]: row for row in batch.table.to_pylist()}
    assert set(whole) <= set(seen)
    assert len(set(seen) - set(whole)) <= (20 * 5 if windows.by else 0)
    for payment, row in whole.items():
        assert {**seen[payment], **about_others} == {**row, **about_others}


def test_events_are_ranked_by_their_own_day():
    """The window of an event reaches into the day before; its rank and its budget are of the day it happened on."""
    log, model = made(WINDOWS["event"], ids=True)
    days: dict[object, list[int]] = {}
    rules = AlertRules(budget=2, per="window")
    for row in score_batch(model, log, explain=0, rules=rules).table.to_pylist():
        days.setdefault((row["as_of"] - timedelta(microseconds=1)).date(), []).append(row["rank"])
        assert row["alert"] == (row["rank"] <= 2)
    for ranks in days.values():
        assert sorted(ranks) == list(range(1, len(ranks) + 1))
