"""Scoring within a promise of memory: the same scores, ranks, alerts, reasons and evidence as in one piece."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peculiar.errors import ConfigError
from peculiar.features.memory import Room
from peculiar.features.partitions import Partitions
from peculiar.serving.alerts import AlertRules
from peculiar.serving.batch import ScoringRequest, score_to_file
from peculiar.serving.large_run import score_within
from peculiar.serving.picks import Exploration
from peculiar.training.references import load

MEMORY, DAY = 2_000_000_000, 86_400_000_000


@pytest.fixture(scope="module")
def request_of(city, trained, tmp_path_factory):
    """A request for all of the simulated city, with a few broken rows in it."""
    home = tmp_path_factory.mktemp("large")
    table = (
        pa.Table.from_batches(city.events.to_batches()) if isinstance(city.events, pa.Table) else pa.table(city.events)
    )
    name = trained.log.roles.entity
    broken = pa.array([None] + [True] * (len(table) - 1)).is_valid()
    users = pa.array(np.where(broken.to_numpy(zero_copy_only=False), table[name].cast(pa.string()).to_numpy(), None))
    pq.write_table(table.set_column(table.column_names.index(name), name, users), home / "events.parquet")
    pq.write_table(pa.table(city.labels), home / "labels.parquet")

    def make(output: str, **given) -> ScoringRequest:
        given = {"labels": home / "labels.parquet", "shadow": False, "reasons": 2, **given}
        return ScoringRequest(str(home / "events.parquet"), "models:/peculiar@champion", home / output, **given)

    return make


def ordered(path) -> pa.Table:
    """The rows of a file by entity and time; cases and the rest as they are."""
    table = pq.read_table(path)
    return table.sort_by([("entity", "ascending"), ("as_of", "ascending")])


def test_the_file_is_that_of_one_piece(request_of, trained, monkeypatch):
    """Every column of every row, the evidence and the ids of events in it: the same, whatever the partitions."""
    monkeypatch.setattr(Room, "partitions", lambda *_: 4)
    rules = AlertRules(budget=3)
    whole = score_to_file(request_of("whole.parquet", rules=rules), trained.store)
    parts = score_within(request_of("parts.parquet", rules=rules), trained.store, memory=MEMORY)
    one, other = ordered(whole.output), ordered(parts.output)
    assert other.column_names == one.column_names
    for name in one.column_names:
        pairs = zip(other[name].to_pylist(), one[name].to_pylist(), strict=True)
        differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
        assert differing is None, name
    assert parts.report.admitted == whole.report.admitted
    assert parts.report.rejected == whole.report.rejected == {"no entity": 1}
    assert parts.to_dict()["alerts"] == whole.alerts > 0
    assert parts.run_id
    beside = [pq.read_table(made.output.with_name(f"{made.output.stem}.rejected.parquet")) for made in (whole, parts)]
    assert beside[0].select(["row", "reason"]).to_pylist() == beside[1].select(["row", "reason"]).to_pylist()
    assert not [path for path in parts.output.parent.iterdir() if path.name.startswith(".") and path.is_dir()]


@pytest.mark.parametrize("back", [0, -400], ids=["the last day", "a day of which nobody has an event"])
def test_a_day_is_that_of_one_piece(request_of, trained, monkeypatch, back):
    """Every column of a day's rows, though only those who are there are read; a day without anybody has no row."""
    monkeypatch.setattr(Room, "partitions", lambda *_: 4)
    last = trained.log.read()[0].at.max() // DAY - back
    days = tuple(date(1970, 1, 1) + timedelta(days=int(last) + n) for n in (0, 1))
    given = {"rules": AlertRules(budget=3), "days": days}
    whole = score_to_file(request_of("whole.parquet", **given), trained.store)
    parts = score_within(request_of("parts.parquet", **given), trained.store, memory=MEMORY)
    one, other = ordered(whole.output), ordered(parts.output)
    assert (len(one) > 0) == (back == 0)
    assert other.schema.equals(one.schema)
    assert other.to_pylist() == one.to_pylist()


@pytest.mark.parametrize(
    "levels", [4, pytest.param(2, marks=pytest.mark.long), pytest.param(30, marks=pytest.mark.long)]
)
def test_ties_are_settled_as_in_one_piece(request_of, trained, monkeypatch, levels):
    """With few distinct scores places stay empty where they would in one piece, and nobody is looked at for those."""
    detector = type(load(trained.store, "models:/peculiar@champion").model.detector)
    fine = detector.score
    monkeypatch.setattr(detector, "score", lambda self, vectors: np.ceil(fine(self, vectors) * levels) / levels)
    monkeypatch.setattr(Room, "partitions", lambda *_: 4)
    looks, alerts, look = [], [], Partitions.timeline_of
    monkeypatch.setattr(Partitions, "timeline_of", lambda self, names: looks.append(len(names)) or look(self, names))
    for budget in (1, 5, 40):
        rules = AlertRules(budget=budget)
        whole = score_to_file(request_of("whole.parquet", rules=rules, reasons=0), trained.store)
        parts = score_within(request_of("parts.parquet", rules=rules, reasons=0), trained.store, memory=MEMORY)
        one, other = ordered(whole.output), ordered(parts.output)
        assert other["alert"].equals(one["alert"])
        alerts.append(whole.alerts)
    assert alerts[-1] > 0
    assert len(looks) == 3


def test_the_use_is_on_record_with_the_fingerprint_of_the_events(request_of, trained):
    """Whether a log was in one piece does not show in the record: the same events have the same fingerprint."""
    rules = AlertRules(budget=3)
    score_to_file(request_of("a.parquet", rules=rules, reasons=0), trained.store)
    score_within(request_of("b.parquet", rules=rules, reasons=0), trained.store, memory=MEMORY)
    import json

    uses = [json.loads(line) for line in (trained.store.home / "audit.jsonl").read_text().splitlines()][-2:]
    assert uses[0]["data"] == uses[1]["data"]
    assert uses[0]["rows"] == uses[1]["rows"]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (AlertRules(fdr=0.1), "false-discovery"),
        (AlertRules(team_by="district"), "teams"),
        (AlertRules(explore=Exploration(0.5)), "random picks"),
    ],
)
def test_rules_that_need_everybody_are_refused(request_of, trained, rules, named):
    """What looks at all windows of a day at once is not done by halves."""
    with pytest.raises(ConfigError, match=named):
        score_within(request_of("c.parquet", rules=rules), trained.store, memory=MEMORY)


def test_too_little_memory_is_refused(request_of, trained):
    """A promise that nobody could keep is not made."""
    with pytest.raises(ConfigError, match="1GB of memory or more"):
        score_within(replace(request_of("d.parquet")), trained.store, memory=500_000_000)
