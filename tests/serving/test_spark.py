"""Spark gives the population, vectors, scores and ranks of the log in one piece, bit for bit.

On a cluster of this machine's own, whose two executors are processes of their own with Python workers of their own: as
on a real one, whatever a worker needs is sent or installed. One cluster serves all tests of this file.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from peculiar.errors import ConfigError, PlanMismatchError
from peculiar.experiments.simulate import Scenarios, simulate
from peculiar.features.events import EventLog
from peculiar.features.families.volume import Volume
from peculiar.features.partitions import Partitions
from peculiar.features.plan import FeaturePlan
from peculiar.features.population import Population
from peculiar.features.roles import Roles
from peculiar.features.sampled import Sample, collected
from peculiar.features.snapshots import WindowSpec
from peculiar.features.spark import SparkEvents, plan_for
from peculiar.features.store import EventStore
from peculiar.serving.large import score_partitions
from peculiar.serving.spark import score_frame
from peculiar.training.calibration import Calibration
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.model import Model
from peculiar.training.trouble import trouble_from

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # what lives for a minute is not worth optimising
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "768m",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "America/Havana",  # instants are instants, whatever a session shows
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": QUICK,
    "spark.executor.extraJavaOptions": QUICK,
}


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """A cluster with two executors of one core each."""
    if shutil.which("java") is None:
        pytest.skip("no java on the PATH: install Java 17 or newer to run the Spark tests")
    pyspark = pytest.importorskip("pyspark", reason="no PySpark: install the extra `spark`")
    home = tmp_path_factory.mktemp("spark")  # executors write beside the jars
    for path in Path(pyspark.__file__).parent.iterdir():
        (home / path.name).symlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = pyspark.sql.SparkSession.builder.master("local-cluster[2,1,768]")
        for name, value in SETTINGS.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A messy log with labels, and what one machine makes of it in one piece."""
    city = simulate(events=6_000, users=120, days=35, seed=0, stories=Scenarios(fifty_buses=2))
    log = EventLog.open(messy(city.events))
    timeline, report, rejected = log.read()
    noted = trouble_from(city.labels)
    timeline = noted(timeline)
    plan = FeaturePlan.for_log(timeline, log.roles, WindowSpec(horizon="14d"))
    population = plan.fit(timeline)
    model = toy_model(plan, population, plan.vectors(timeline, population))
    folder = tmp_path_factory.mktemp("log")
    write_parts(log.source.table, folder)
    return SimpleNamespace(**locals(), vectors=plan.vectors(timeline, population))


@pytest.fixture(scope="module")
def events(spark, ground):
    """The same log on Spark, in five buckets."""
    frame = spark.read.parquet(str(ground.folder))
    with SparkEvents.over(frame, ground.plan, noted=ground.noted, buckets=5) as made:
        yield made


def messy(table: pa.Table) -> pa.Table:
    """With rows without an entity, amounts that are none, exact copies, and ids used again by others."""
    plain = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    table = table.cast(pa.schema([(name, kind) for name, kind in zip(table.column_names, plain, strict=True)]))
    users, ids, amount = (table[name].to_pylist() for name in ("user_id", "event_id", "amount"))
    users[17], users[400], amount[90] = None, None, float("inf")
    for first, again in ((5, 900), (2_000, 30), (44, 46)):
        ids[again] = ids[first]
    for name, column in (("user_id", users), ("event_id", ids), ("amount", amount)):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(column, table.schema.field(name).type))
    return pa.concat_tables([table, table.slice(100, 25)])


def write_parts(table: pa.Table, folder: Path) -> None:
    """Three files, the rows in no order."""
    table = table.take(np.random.default_rng(1).permutation(len(table)))
    for number, rows in enumerate(np.array_split(np.arange(len(table)), 3)):
        pq.write_table(table.slice(rows[0], len(rows)), folder / f"{number}.parquet")


def toy_model(plan, population, vectors) -> Model:
    """A small forest with a calibration."""
    detector = IsolationForest(trees=20, group_trees=3, samples=128).fit(vectors, seed=0)
    return Model(plan, population, detector, {}, Calibration.fit(detector.score(vectors)))


def partitioned(ground, folder: Path, work):
    """What some work makes of the log in eight partitions on disk."""
    store = EventStore.create(folder / "store", ground.log.roles, partitions=8).add(ground.log, rows=2_000)
    with Partitions.over(store, ground.plan, noted=ground.noted) as parts:
        return work(parts)


def in_order(table: pa.Table) -> pa.Table:
    """The rows by entity and time."""
    last = [name for name in ("event_id",) if name in table.column_names]
    return table.sort_by([(name, "ascending") for name in ("entity", "as_of", *last)]).combine_chunks()


def bits(table: pa.Table) -> dict[str, list]:
    """Each column as numbers that are equal only if all bits are; nulls stay nulls."""
    words = {pa.float32(): (pa.int32(), np.int32), pa.float64(): (pa.int64(), np.int64)}
    found = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if column.type in words:
            _, word = words[column.type]
            values = column.to_numpy(zero_copy_only=False).view(word)
            column = pa.array(values, mask=column.is_null().to_numpy(zero_copy_only=False))
        found[name] = column.to_pylist()
    return found


def same_vectors(ours, theirs) -> None:
    """Keys and every bit of every value."""
    assert ours.entity.to_pylist() == theirs.entity.to_pylist()
    assert np.array_equal(ours.since, theirs.since)
    assert np.array_equal(ours.as_of, theirs.as_of)
    assert ours.values.tobytes() == theirs.values.tobytes()


def test_buckets_are_spread_over_processes(events):
    """Each executor has a Python worker of its own, and both have buckets to work on."""

    def where(bucket):
        return pa.table({"worker": [os.getpid()], "executor": [os.getppid()], "events": [len(bucket.timeline)]})

    schema = pa.schema({"worker": pa.int64(), "executor": pa.int64(), "events": pa.int64()})
    found = events.each(where, schema, met=False).toArrow()
    assert len(set(found["executor"].to_pylist())) == 2
    assert os.getpid() not in found["worker"].to_pylist()
    assert pc.sum(found["events"]).as_py() > 5_900


def test_the_door_says_the_same(events, ground):
    """What stays outside, and why, is what one machine keeps outside, ids that another entity uses again included."""
    report = events.report()
    assert sorted(report.rejected.items()) == sorted(ground.report.rejected.items())
    assert len(report.rejected) == 4
    same = ("rows", "admitted", "entities", "first", "last", "notes")
    assert [getattr(report, name) for name in same] == [getattr(ground.report, name) for name in same]
    ours, theirs = events.rejected().toArrow(), ground.rejected.drop_columns(["row"])
    assert ours.column_names == theirs.column_names
    by = [(name, "ascending") for name in ("reason", "event_id", "ts")]
    assert ours.sort_by(by).to_pylist() == theirs.sort_by(by).to_pylist()


def test_the_population_is_the_same(events, ground):
    """Every count of every look, added up over buckets and executors."""
    assert ground.plan.shared
    assert ground.plan.risky
    assert events.fit().to_bytes() == ground.population.to_bytes()


def test_the_plan_is_the_same(spark, ground):
    """A log of less than two million rows gets the plan that it has on one machine."""
    frame = spark.read.parquet(str(ground.folder))
    plan = plan_for(frame, ground.log.roles, ground.plan.windows, noted=ground.noted)
    assert plan.fingerprint == ground.plan.fingerprint


def test_the_vectors_are_the_same(events, ground, tmp_path):
    """Local, in partitions on disk, and on Spark: every bit of every feature, with company and trouble."""
    found, weights = collected(events.vectors(ground.population).toArrow(), ground.plan)
    assert weights is None
    same_vectors(found, ground.vectors)

    def build(parts):
        numbers = range(parts.store.partitions)
        return [made for n in numbers for _, made in parts.vectors(parts.timeline(n)[0], ground.population)]

    same_vectors(type(found).concat(partitioned(ground, tmp_path, build)), ground.vectors)


def test_scores_and_ranks_are_the_same(events, ground, tmp_path):
    """The rows that partitions on disk give, and every bit of score, p-value and rank."""
    output = tmp_path / "scores.parquet"
    since = int(np.quantile(ground.vectors.since, 0.3))
    partitioned(ground, tmp_path, lambda parts: score_partitions(ground.model, parts, output, period=(since, None)))
    ours, theirs = in_order(score_frame(ground.model, events, since=since).toArrow()), in_order(pq.read_table(output))
    assert ours.column_names == theirs.column_names
    assert 100 < len(theirs) < len(ground.vectors)
    assert bits(ours) == bits(theirs)
    local = ground.vectors.between(since, None)
    assert ours["score"].to_numpy().tobytes() == ground.model.detector.score(local).tobytes()


def test_a_table_can_be_written_and_read(events, ground, tmp_path):
    """A frame of scores goes wherever Spark writes."""
    score_frame(ground.model, events).write.parquet(str(tmp_path / "scores"))
    back = pq.read_table(tmp_path / "scores")
    assert len(back) == len(ground.vectors)
    assert set(back["rank"].to_pylist()) >= {1, 2, 3}


def test_a_sample_is_of_whole_entities(events, ground):
    """The vectors of a sample are those of its entities, company of the others included, with weights."""
    named = ground.vectors.entity[0].as_py()
    sample = Sample(0.3, always=(named,), seed=4)
    found, weights = collected(events.vectors(ground.population, sample=sample).toArrow(), ground.plan)
    wanted = sample.weights(ground.vectors.entity.dictionary)[ground.vectors.entity.indices.to_numpy()]
    same_vectors(found, ground.vectors.take(wanted > 0))
    assert weights.tolist() == wanted[wanted > 0].tolist()
    assert set(weights.tolist()) == {1.0, 1 / 0.3}
    assert 0.1 < len(found) / len(ground.vectors) < 0.6


def with_a_bot() -> pa.Table:
    """Four hundred events of forty people, and as many again of a bot."""
    users = [f"person {n % 40}" for n in range(400)] + ["bot"] * 400
    times = 1_740_787_200_000_000 + np.arange(800) % 400 * 977_000_000
    amounts = np.arange(800) % 13 * 1.5
    return pa.table({"user_id": users, "ts": pa.array(times, pa.timestamp("us", tz="UTC")), "amount": amounts})


@pytest.mark.parametrize("most", [399, None])
def test_a_bot_is_set_aside_only_beyond_the_limit(spark, most):
    """An entity with more rows than are allowed is left out and counted; below the limit it is one of the others."""
    table = with_a_bot()
    log = EventLog.open(table.filter(pc.not_equal(table["user_id"], "bot")) if most else table)
    plan = FeaturePlan(log.roles, families=(Volume(),))
    timeline = log.read()[0]
    population = plan.fit(timeline)
    with SparkEvents.over(spark.createDataFrame(table.to_pylist()), plan, most_events=most, buckets=3) as made:
        assert made.fit().to_bytes() == population.to_bytes()
        found, _ = collected(made.vectors(population).toArrow(), plan)
        report = made.report()
    same_vectors(found, plan.vectors(timeline, population))
    assert (report.rows, report.admitted) == (800, len(timeline))
    assert list(report.rejected.values()) == ([400] if most else [])


def test_events_of_another_plan_are_refused(events, ground):
    """Vectors of one plan are never scored by a model of another."""
    other = FeaturePlan(ground.log.roles, families=(Volume(),))
    with pytest.raises(PlanMismatchError, match=f"model's plan {other.fingerprint}"):
        score_frame(Model(other, Population(), ground.model.detector), events)


def test_windows_that_end_with_events_need_ids(spark):
    """Rows of a frame have no numbers, so two windows of one instant could not be told apart."""
    plan = FeaturePlan(Roles("user_id", "ts"), WindowSpec(every="event"))
    with pytest.raises(ConfigError, match="expected a log with ids"), SparkEvents.over(spark.range(1), plan):
        pass


@pytest.mark.benchmark_data
def test_the_handbook_is_the_same(spark, benchmark_data, tmp_path):
    """Payments of real size and shape, a score for each, labels by event: every bit of vectors and scores."""
    table = pq.read_table(benchmark_data / "fraud_handbook" / "events.parquet", filters=[("user_id", "<", 120)])
    table = table.set_column(2, "ts", table["ts"].cast(pa.timestamp("us")))  # Spark reads no nanoseconds
    table = table.filter(pc.less(table["ts"], pa.scalar(np.datetime64("2018-05-12", "us"))))
    roles = Roles("user_id", "ts", "event_id", ("terminal_id",), measures=("amount",))
    noted = trouble_from(pq.read_table(benchmark_data / "fraud_handbook" / "labels.parquet"))
    timeline = noted(EventLog.open(table, roles).read()[0])
    plan = FeaturePlan.for_log(timeline, roles, WindowSpec(every="event", horizon="14d"))
    assert plan.risky
    population = plan.fit(timeline)
    vectors = plan.vectors(timeline, population)
    model = toy_model(plan, population, vectors)
    write_parts(table, tmp_path)
    with SparkEvents.over(spark.read.parquet(str(tmp_path)), plan, noted=noted, buckets=4, unique_ids=True) as made:
        built = in_order(made.vectors(made.fit()).toArrow())
        scores = in_order(score_frame(model, made).toArrow())
    expected = vectors.to_arrow().append_column("event_id", table["event_id"].take(pa.array(vectors.last)))
    expected = expected.set_column(0, "entity", vectors.entity.dictionary_decode()).select(built.column_names)
    assert len(vectors) > 8_000
    assert bits(built) == bits(in_order(expected))
    whole = in_order(expected.append_column("score", pa.array(model.detector.score(vectors))))
    assert bits(scores.select(["entity", "as_of", "event_id", "score"])) == bits(
        whole.select(["entity", "as_of", "event_id", "score"])
    )
