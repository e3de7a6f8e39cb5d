"""What the default plan makes of the two kinds of log there are most of: payments, and visits to a web site."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from web_log import web_log

from peculiar.cli import main
from peculiar.experiments.simulate import simulate
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec

ENOUGH = 150  # features
TOLD = ("name", "family", "unit", "meaning", "null")
PAYMENTS = ["event_id", "user_id", "ts", "action", "item", "category", "device", "country", "amount"]
VISITS = ["event_id", "user_id", "ts", "action", "page", "ip", "user_agent", "country", "referrer", "bytes", "duration"]


@pytest.fixture(scope="module")
def logs() -> dict:
    """A log of each kind; payments without what only a city's buses have."""
    payments = simulate(events=8_000, users=150, days=35, seed=0).events.select(PAYMENTS)
    visits = web_log()
    return {"payments": payments, "visits": visits.select(VISITS), "visits with sessions": visits}


@pytest.mark.parametrize("windows", [WindowSpec(), WindowSpec("1h"), WindowSpec("event")], ids=lambda w: w.every)
@pytest.mark.parametrize("kind", ["payments", "visits", "visits with sessions"])
def test_the_default_plan_says_enough(logs, kind, windows):
    """With roles guessed and nothing set, at least 150 features, whichever windows are asked for."""
    log = EventLog.open(logs[kind])
    plan = FeaturePlan.for_log(log.read()[0], log.roles, windows)
    assert len(plan.features) >= ENOUGH
    assert log.left_out == ()


def test_sessions_say_enough(logs):
    """The same of a log whose windows are the visits."""
    log = EventLog.open(logs["visits with sessions"])
    plan = FeaturePlan.for_log(log.read()[0], log.roles, WindowSpec(by="session_id"))
    assert len(plan.features) >= ENOUGH
    assert {feature.family for feature in plan.features} >= {"volume", "novelty", "combination", "baseline", "peers"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("payments", []),
        ("visits", []),
        ("visits", ["--every", "event"]),
        ("visits with sessions", ["--by", "session_id"]),
    ],
    ids=["payments", "visits", "visits by event", "visits by session"],
)
def test_describe_tells_every_feature(logs, tmp_path, kind, options):
    """`peculiar describe` names each feature with its family, unit, meaning and null, on the page and as JSON."""
    log, events, output = EventLog.open(logs[kind]), tmp_path / "events.parquet", tmp_path / "told.json"
    windows = {"--every": {"every": "event"}, "--by": {"by": "session_id"}}.get(options[0] if options else "", {})
    plan = FeaturePlan.for_log(log.read()[0], log.roles, WindowSpec(**windows))
    pq.write_table(logs[kind], events)
    answer = CliRunner().invoke(main, ["describe", str(events), *options, "--json", str(output)])
    assert answer.exit_code == 0, answer.output
    told = json.loads(output.read_text())["features"]
    assert [{key: feature[key] for key in TOLD} for feature in told] == [
        {key: getattr(feature, key) for key in TOLD} for feature in plan.features
    ]
    assert all(feature[key].strip() for feature in told for key in TOLD)
    assert len(told) >= ENOUGH
    said = "".join(answer.output.split())
    assert [feature["name"] for feature in told if feature["name"] not in said] == []
