"""Scoring: the vectors that training saw, from the horizon's events alone, and nothing else decides a score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peculiar.errors import ConfigError, SchemaError
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.snapshots import WindowSpec
from peculiar.serving.alerts import AlertRules
from peculiar.serving.picks import Exploration
from peculiar.serving.scoring import Budget, score_batch, score_events
from peculiar.training.model import Model
from peculiar.training.packaging import EVIDENCE
from peculiar.training.references import load

DAY = 86_400_000_000
START = 20_094 * DAY  # 6 January 2025, the first day of the simulated city
SINCE, UNTIL = START + 36 * DAY, START + 40 * DAY
FEW = {"since": SINCE, "until": UNTIL, "budget": 5}  # some ninety users a day: a budget for all is reasons for all
COLUMNS = [
    "entity", "since", "as_of", "score", "p_value", "rank", "alert", "pick", "chance", "team", "case", "suppressed",
    "family", "reasons", "evidence",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(trained):
    """The champion, as it comes out of the registry."""
    return load(trained.store, "models:/peculiar@champion").model


@pytest.fixture(scope="module")
def forest(trained):
    """The Isolation Forest, as it comes out of the registry."""
    version = next(version for version in trained.result.versions if version.kind == "isolation_forest")
    return load(trained.store, version.uri).model


@pytest.fixture(scope="module")
def wholes(city, model, forest):
    """A few days scored from the whole log, by each of the two."""
    return {kind: score_batch(made, city.events, **FEW) for kind, made in (("model", model), ("forest", forest))}


@dataclass(frozen=True)
class Plain:
    """A detector that gives each row a count modulo three: many rows tie."""

    count: str = "events_count_1d"
    kind: str = "plain"

    def score(self, vectors):
        """The count modulo three."""
        return vectors.column(self.count).astype(np.float64) % 3


def between(events: pa.Table, start: int, stop: int) -> pa.Table:
    """The events in a half-open stretch of time."""
    at = events["ts"].cast(pa.int64()).to_numpy()
    return events.filter(pa.array((at >= start) & (at < stop)))


def same(left: pa.Table, right: pa.Table) -> bool:
    """Whether two tables hold the same rows, their scores the same bits."""
    return left.equals(right) and left["score"].to_numpy().tobytes() == right["score"].to_numpy().tobytes()


def test_scoring_sees_what_training_saw(trained, model, city):
    """The vectors of the later period are, bit for bit, those that the training was judged by."""
    split, seen = trained.result.material.split, trained.result.material.test
    period = {"since": split.test_from, "until": split.test_until}
    batch = score_batch(model, trained.log, labels=city.labels, **period, explain=0)
    assert batch.vectors.values.tobytes() == seen.values.tobytes()
    assert batch.vectors.entity.to_pylist() == seen.entity.to_pylist()
    assert np.array_equal(batch.vectors.as_of, seen.as_of)
    assert batch.table["score"].to_numpy().tobytes() == trained.result.candidates[0].score.tobytes()


def test_labels_count_from_when_they_were_known(model, city, wholes):
    """Labels that became known after the scored days change no bit; those known before do, as the report tells."""
    known = city.labels["known_at"].cast(pa.int64()).to_numpy()
    in_time = city.labels.filter(pa.array(known < UNTIL))
    assert 0 < len(in_time) < len(city.labels)
    batch = score_batch(model, city.events, labels=city.labels, **FEW)
    assert same(batch.table, score_batch(model, city.events, labels=in_time, **FEW).table)
    assert batch.vectors.values.tobytes() != wholes["model"].vectors.values.tobytes()
    assert "labels about" in str(batch.report)


def test_a_model_that_knows_risk_says_that_it_was_given_no_labels(model, city, wholes):
    """Without labels no trouble is known, in the vectors as in the report; a model without risk does not care."""
    batch = wholes["model"]
    assert model.plan.risky
    assert "no labels were given" in str(batch.report)
    assert not any(np.nansum(batch.vectors.column(n)) for n in batch.vectors.names if "_trouble_max_" in n)
    plain = Model(replace(model.plan, risky=()), model.population, Plain(), {})
    quiet, told = (
        score_batch(plain, city.events, labels=given, since=SINCE, explain=0) for given in (None, city.labels)
    )
    assert "labels" not in str(quiet.report)
    assert "trained without labels; those given change nothing" in str(told.report)


@pytest.mark.parametrize("kind", ["model", "forest"])
def test_the_events_of_the_horizon_suffice(city, kind, wholes, request):
    """With nothing but the 28 days before the first scored day the whole answer is the same, to the last bit."""
    model = request.getfixturevalue(kind)
    whole = wholes[kind]
    enough = score_batch(model, between(city.events, SINCE - 28 * DAY, UNTIL), **FEW)
    assert enough.vectors.values.tobytes() == whole.vectors.values.tobytes()
    assert same(enough.table, whole.table)


def test_less_than_the_horizon_does_not_suffice(city, model, wholes):
    """With a day less than the horizon some vector changes: the test above is not true of any stretch."""
    less = score_batch(model, between(city.events, SINCE - 27 * DAY, UNTIL), **FEW)
    assert less.vectors.values.tobytes() != wholes["model"].vectors.values.tobytes()


@pytest.mark.parametrize(("every", "zone"), [("1d", "Europe/Berlin"), ("1h", "UTC"), ("1h", "Asia/Kolkata")])
def test_the_horizon_suffices_in_every_zone_and_window(city, every, zone):
    """Hours and days of a zone are read with the history they need, and no more events than that are looked at."""
    roles = replace(EventLog.open(city.events).roles, time_zone=zone)
    timeline, _, _ = EventLog.open(city.events, roles).read()
    plan = FeaturePlan.for_log(timeline, roles, WindowSpec(every, "14d"))
    model = Model(plan, plan.fit(timeline), Plain(f"events_count_{every}"))
    # Midnight of the zone.
    since = SINCE - {"UTC": 0, "Europe/Berlin": 60, "Asia/Kolkata": 330}[zone] * 60_000_000
    whole = model.vectors(timeline).between(since, None)
    batch = score_batch(model, city.events, since=since, explain=0)
    assert batch.vectors.values.tobytes() == whole.values.tobytes()
    assert batch.report.admitted < len(timeline)


def test_what_happens_later_changes_nothing(city, model, wholes):
    """Events at and after ``until`` are not looked at: the answer is that of a log which ends there."""
    whole, ended = wholes["model"], score_batch(model, between(city.events, 0, UNTIL), **FEW)
    assert same(whole.table, ended.table)
    assert whole.fingerprint == ended.fingerprint


def test_two_runs_give_the_same_bytes(city, model, wholes):
    """Scoring has no dice: the same events in any order give the same table."""
    order = np.random.default_rng(0).permutation(len(city.events))
    first, again = wholes["model"], score_batch(model, city.events, **FEW)
    shuffled = score_batch(model, city.events.take(pa.array(order)), **FEW)
    assert same(first.table, again.table)
    assert same(first.table, shuffled.table)
    assert first.fingerprint == again.fingerprint == shuffled.fingerprint


# pyarrow reads a frame's zoned times in a way that pandas 3.1 deprecates.
@pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")
def test_every_kind_of_source_scores_alike(city, model, wholes, tmp_path):
    """pandas, Polars, Arrow, an open log, a Parquet path and a CSV path give the same table."""
    plain = pl.from_arrow(city.events)
    pq.write_table(city.events, tmp_path / "events.parquet")
    plain.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")).write_csv(tmp_path / "events.csv")
    sources = [
        plain,
        city.events.to_pandas(),
        EventLog.open(city.events),
        tmp_path / "events.parquet",
        str(tmp_path / "events.csv"),
    ]
    for source in sources:
        assert same(score_events(model, source, **FEW), wholes["model"].table), type(source)


def test_the_table_is_what_is_promised(city, model):
    """Columns, types and order: one row per entity and window, entities in the order of their names."""
    table = score_events(model, city.events, **FEW)
    utc = pa.timestamp("us", tz="UTC")
    text = pa.string()
    number = pa.float64()
    types = [
        text,
        utc,
        utc,
        number,
        number,
        pa.int64(),
        pa.bool_(),
        text,
        number,
        *[text] * 4,
        pa.list_(text),
        EVIDENCE,
    ]
    assert table.schema == pa.schema(list(zip(COLUMNS, types, strict=True)))
    keys = list(zip(table["entity"].to_pylist(), table["as_of"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))
    assert np.isfinite(table["score"].to_numpy()).all()


@pytest.mark.parametrize("budget", [0, 1, 7, None])
def test_ranks_and_alerts_follow_the_plain_rule(city, model, budget):
    """Within a day 1 is the highest score, ties stand in the order of names, and the first ``budget`` are alerts.

    Without a budget it is 100. Where places are too few for all of the day's lowest score, none of these is one. Held
    against a sort of each day's rows.
    """
    tied = replace(model, detector=Plain())
    table = score_events(tied, city.events, since=SINCE, budget=budget, explain=0)
    days: dict[object, list[tuple]] = {}
    for row in table.to_pylist():
        days.setdefault(row["since"].date(), []).append((-row["score"], row["entity"], row["rank"], row["alert"]))
    assert len(days) == 6
    for rows in days.values():
        ranked = sorted(rows)
        assert [rank for _, _, rank, _ in ranked] == list(range(1, len(rows) + 1))
        places, lowest = 100 if budget is None else budget, ranked[-1][0]
        crowded = len(ranked) > places and ranked[places - 1][0] == lowest
        wanted = [n < places and not (crowded and row[0] == lowest) for n, row in enumerate(ranked)]
        assert [alert for *_, alert in ranked] == wanted
    assert len({score for score, *_ in rows}) < len(rows), "no scores tie: the test shows nothing"


@pytest.mark.parametrize(("share", "drawn"), [(0.0, 0), (0.2, 2), (1.0, 10)])
def test_part_of_the_budget_is_drawn_at_random(city, model, share, drawn):
    """Each day has as many alerts as without; so many were drawn, say so and how likely it was, and have reasons.

    A window about which nothing is odd has an empty list of them.
    """
    explore = Exploration(share, seed=7)
    table = score_batch(model, city.events, since=SINCE, until=UNTIL, budget=10, explore=explore, explain=1).table
    days: dict[object, list[dict]] = {}
    for row in table.to_pylist():
        days.setdefault(row["since"], []).append(row)
    assert len(days) == 4
    for rows in days.values():
        by_rank, at_random = ([row for row in rows if row["pick"] == pick] for pick in ("rank", "random"))
        assert sorted(row["rank"] for row in by_rank) == list(range(1, 10 - drawn + 1))
        assert len(at_random) == drawn
        assert {row["chance"] for row in by_rank} <= {1.0}
        assert all(row["chance"] == drawn / (len(rows) - 10 + drawn) for row in at_random)
        assert all(row["alert"] and row["reasons"] for row in by_rank)
        assert all(row["alert"] and row["reasons"] is not None for row in at_random)
        assert all(row["alert"] == (row["pick"] is not None) == (row["chance"] is not None) for row in rows)


def test_without_random_picks_nothing_is_drawn(city, model):
    """By default every alert is one by rank, as it is with a share of none."""
    default = score_events(model, city.events, since=SINCE, budget=10)
    assert set(default["pick"].to_pylist()) == {"rank", None}
    assert score_batch(model, city.events, since=SINCE, budget=10, explore=Exploration()).table.equals(default)


def test_hours_are_ranked_by_the_day_of_the_zone(city):
    """A budget is a day's, whatever the window: hours of one local day are ranked together."""
    roles = replace(EventLog.open(city.events).roles, time_zone="Asia/Kolkata")
    timeline, _, _ = EventLog.open(city.events, roles).read()
    plan = FeaturePlan.for_log(timeline, roles, WindowSpec("1h", "7d"))
    model = Model(plan, plan.fit(timeline), Plain("events_count_1h"))

    table = score_events(model, city.events, since=SINCE, budget=3, explain=0)
    days: dict[object, list[int]] = {}
    for row in table.to_pylist():
        days.setdefault(row["since"].astimezone(ZoneInfo("Asia/Kolkata")).date(), []).append(row["rank"])
    assert len(days) > 5
    for ranks in days.values():
        assert sorted(ranks) == list(range(1, len(ranks) + 1))


def test_alerts_have_reasons_and_no_other_row_has(city, model):
    """An alert has one to ``explain`` reasons and the family that speaks first; other rows have null."""
    table = score_events(model, city.events, since=SINCE, budget=2, explain=2)
    for row in table.to_pylist():
        if row["alert"]:
            assert 1 <= len(row["reasons"]) <= 2
            assert row["family"] in model.plan.by_family
        else:
            assert (row["reasons"], row["family"], row["evidence"]) == (None, None, None)


@pytest.mark.parametrize("kind", ["model", "forest"])
def test_every_reason_has_its_evidence(city, kind, request):
    """As many as reasons, in their words, with events of the entity before the window's end; at random none is weak."""
    model, rules = request.getfixturevalue(kind), AlertRules(budget=4, explore=Exploration(0.5))
    batch = score_batch(model, city.events, since=SINCE, rules=rules)
    events = {str(row["event_id"]): row for row in city.events.to_pylist()}
    alerts = [row for row in batch.table.to_pylist() if row["alert"]]
    assert {row["pick"] for row in alerts} == {"rank", "random"}
    for row in alerts:
        if not row["evidence"]:
            assert [text.partition(":")[0] for text in row["reasons"]] == ["no reason can be told"]
            continue
        assert len(row["evidence"]) == len(row["reasons"])
        assert row["pick"] == "rank" or not any(told["weak"] for told in row["evidence"])
        for told, reason in zip(row["evidence"], row["reasons"], strict=True):
            assert told["weak"] == ("; weak: " in reason)
            assert 0 < len(told["events"]) == min(told["count"], 200)
            mine = [events[event] for event in told["events"]]
            assert {event["user_id"] for event in mine} == {row["entity"]}
            assert max(event["ts"] for event in mine) < row["as_of"]


def test_asked_for_no_reasons_there_are_none(city, model):
    """``explain=0`` leaves ranks and alerts as they are and tells nothing."""
    told, bare = (score_events(model, city.events, since=SINCE, budget=2, explain=most) for most in (2, 0))
    said = ["family", "reasons", "evidence"]
    assert bare.drop_columns(said).equals(told.drop_columns(said))
    assert all(bare[name].null_count == len(bare) for name in said)


@pytest.mark.parametrize("since", [START + 42 * DAY, START + 400 * DAY])
@pytest.mark.parametrize("kind", ["model", "forest"])
def test_nothing_to_score_is_an_empty_table(city, since, kind, wholes, request):
    """A period without events, near the log or far from it, gives no rows, and the columns are there all the same."""
    model = request.getfixturevalue(kind)
    batch = score_batch(model, city.events, since=since)
    assert batch.table.num_rows == len(batch.vectors) == 0
    assert batch.table.schema == wholes[kind].table.schema
    assert batch.report.rejected == {}


def test_windows_that_lie_partly_outside_are_not_scored(city, model):
    """A day counts if the whole of it lies in the period; half a day at either end does not."""
    table = score_events(model, city.events, since=SINCE + DAY // 2, until=UNTIL + DAY // 2, explain=0)
    assert table.num_rows
    assert min(table["since"].cast(pa.int64()).to_pylist()) == SINCE + DAY
    assert max(table["as_of"].cast(pa.int64()).to_pylist()) == UNTIL


def test_rows_that_cannot_be_read_stand_aside_with_their_reasons(city, model):
    """A row without an entity, one without a time and a copy are counted and handed back; the scores stay the same."""
    spoiled = between(city.events, SINCE - 28 * DAY, UNTIL)
    rows = spoiled.slice(0, 3).to_pylist()
    rows[0] |= {"event_id": -1, "user_id": None}
    rows[1] |= {"event_id": -2, "ts": None}
    plain = pa.schema(
        [
            (field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
            for field in spoiled.schema
        ]
    )
    both = pa.concat_tables([spoiled.cast(plain), pa.Table.from_pylist(rows, schema=plain)])
    clean, batch = (score_batch(model, events, **FEW) for events in (spoiled, both))
    reasons = ["no entity", "no time", "exact copy of another event"]
    assert sorted(batch.rejected["reason"].to_pylist()) == sorted(reasons)
    assert batch.report.rejected == dict.fromkeys(reasons, 1)
    assert {"row", "reason", "event_id", "user_id", "ts"} <= set(batch.rejected.column_names)
    assert -1 in batch.rejected["event_id"].to_pylist()
    assert same(batch.table, clean.table)
    assert clean.rejected.num_rows == 0


def test_events_without_a_column_of_the_model_are_refused(city, model):
    """The model's roles decide what is needed; the error names the column."""
    with pytest.raises(SchemaError, match="expected a column 'device', found none"):
        score_events(model, city.events.drop_columns(["device"]))


@pytest.mark.parametrize(
    ("text", "budget"), [("100/day", 100), ("100", 100), (100, 100), (" 20 / d ", 20), ("0/day", 0), ("7/d", 7)]
)
def test_a_budget_is_read(text, budget):
    """A number, alone or by the day."""
    assert Budget.parse(text) == Budget(budget)


@pytest.mark.parametrize("text", ["", "many", "-1", "1.5/day", "100/week", "100/", "/day", "100 days", None])
def test_what_is_no_budget_is_refused(text):
    """Anything else is an error that shows what a budget looks like."""
    with pytest.raises(ConfigError, match=r"expected a budget such as '100/day', got "):
        Budget.parse(text)
