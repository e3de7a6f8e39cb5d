"""What a training learns from: nothing of the later period, and exactly the days that were asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from peculiar.errors import ConfigError, LeakageError
from peculiar.features.events import EventLog
from peculiar.training.labels import read_labels
from peculiar.training.material import prepare
from peculiar.training.settings import TrainingSettings
from peculiar.training.splits import Period
from peculiar.training.trouble import with_trouble

DAY = 86_400_000_000
START = 20_094 * DAY  # 6 January 2025, the first day of the simulated city

SETTINGS = TrainingSettings(
    train=Period(START + 2 * DAY, START + 25 * DAY), test=Period(START + 32 * DAY, START + 40 * DAY)
)


def material_of(events: pa.Table, labels: pa.Table | None = None, settings: TrainingSettings = SETTINGS):
    """The material of a log, with labels if there are any."""
    log = EventLog.open(events)
    timeline, _, _ = log.read()
    known = labels and read_labels(labels, locate=timeline.locate, delay=settings.label_delay)
    return prepare(timeline, log.roles, known, settings=settings)


def micros(column: pa.ChunkedArray) -> np.ndarray:
    """Times as microseconds since 1970."""
    return column.cast(pa.int64()).to_numpy()


@pytest.fixture(scope="module")
def material(city):
    """The material of the city with its labels."""
    return material_of(city.events, city.labels)


def altered_from(events: pa.Table, instant: int) -> pa.Table:
    """The log with another future: from an instant on others do other things for other sums, and less often."""
    later = micros(events["ts"]) >= instant
    past, future = events.filter(pa.array(~later)), events.filter(pa.array(later))
    rng = np.random.default_rng(0)
    future = future.take(pa.array(np.sort(rng.choice(len(future), len(future) // 2, replace=False))))
    for name in ("user_id", "action", "item", "device"):
        text = future[name].combine_chunks().dictionary_decode().take(pa.array(rng.permutation(len(future))))
        future = future.set_column(future.column_names.index(name), name, text)
    strange = pa.array(["a new deed"] * len(future))
    future = future.set_column(future.column_names.index("action"), "action", strange)
    amount = pc.add(pc.multiply(future["amount"], 1000.0), 1.0)
    future = future.set_column(future.column_names.index("amount"), "amount", amount)
    plain = [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in events.schema]
    return pa.concat_tables([past.cast(pa.schema(plain)), future.cast(pa.schema(plain))])


def test_the_future_changes_nothing(city, material):
    """Another future from the training's end on leaves plan, population and training vectors alike, bit for bit."""
    other = material_of(altered_from(city.events, SETTINGS.train.stop), city.labels)
    assert other.plan.to_json() == material.plan.to_json()
    for kind in ("counts", "histograms"):
        ours, theirs = getattr(material.population, kind), getattr(other.population, kind)
        assert list(ours) == list(theirs)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert other.train.values.tobytes() == material.train.values.tobytes()
    assert other.train.entity.to_pylist() == material.train.entity.to_pylist()
    assert np.array_equal(other.train.as_of, material.train.as_of)
    # The other future is really another one.
    assert other.test.values.shape != material.test.values.shape


def test_the_last_event_of_the_training_counts(city, material):
    """The last event of the training is learned from: the boundary is half-open, not a day too early."""
    last = np.flatnonzero(micros(city.events["ts"]) < SETTINGS.train.stop)[-1]
    without = city.events.take(pa.array(np.delete(np.arange(len(city.events)), last)))
    other = material_of(without)
    assert other.train.values.tobytes() != material.train.values.tobytes()


def test_the_test_days_know_their_past(city, material):
    """Vectors of the later period are those of the whole log, history from before the period included."""
    timeline, _, _ = EventLog.open(city.events).read()
    timeline = with_trouble(timeline, read_labels(city.labels, locate=timeline.locate))
    whole = material.plan.vectors(timeline, material.population)
    assert material.test.values.tobytes() == whole.between(SETTINGS.test.start, SETTINGS.test.stop).values.tobytes()
    assert material.test.column("history_windows_28d").max() > 8


def test_given_periods_are_honoured(material):
    """The split is the one that was given, and every window lies whole inside its period."""
    split = material.split
    assert Period(split.train_from, split.train_until) == SETTINGS.train
    assert Period(split.test_from, split.test_until) == SETTINGS.test
    for rows, period in ((material.train, SETTINGS.train), (material.test, SETTINGS.test)):
        assert rows.since.min() == period.start
        assert rows.as_of.max() == period.stop


@pytest.mark.parametrize("labelled", [True, False])
def test_periods_are_chosen_where_none_is_given(city, labelled):
    """By default the last quarter of the days is the test; with labels, the time that they need lies before it."""
    split = material_of(city.events, city.labels if labelled else None, TrainingSettings()).split
    assert (split.train_from, split.test_until) == (START, START + 42 * DAY)
    assert split.test_from == START + 32 * DAY
    assert split.gap == (7 * DAY if labelled else 0)


def test_one_given_end_is_kept_and_the_rest_chosen(city):
    """A test that begins on a given day ends with the log, and the training the label delay before it."""
    settings = TrainingSettings(test=Period(START + 30 * DAY, None), label_delay=4 * DAY)
    split = material_of(city.events, city.labels, settings).split
    assert (split.train_until, split.test_from, split.test_until) == tuple(START + n * DAY for n in (26, 30, 42))


def test_training_truth_is_what_was_known_when_the_test_began(city, material):
    """A window is confirmed for training if an overlapping label was known by then; the test is judged in hindsight.

    Held against a plain loop over rows and labels.
    """
    at = dict(zip(city.events["event_id"].to_pylist(), micros(city.events["ts"]).tolist(), strict=True))
    who = dict(zip(city.events["event_id"].to_pylist(), city.events["user_id"].to_pylist(), strict=True))
    labels = []
    for row in city.labels.set_column(5, "known", city.labels["known_at"].cast(pa.int64())).to_pylist():
        if row["event_id"] is not None:
            labels.append((who[row["event_id"]], at[row["event_id"]], at[row["event_id"]], row["known"]))
        else:
            stretch = (int(row[key].timestamp() * 1e6) for key in ("from", "to"))
            labels.append((row["entity"], *stretch, row["known"]))

    def confirmed(rows, known_by):
        keys = zip(rows.entity.to_pylist(), rows.since.tolist(), rows.as_of.tolist(), strict=True)
        return [
            any(
                entity == name and known <= known_by and start < as_of and (stop > since or start == stop >= since)
                for name, start, stop, known in labels
            )
            for entity, since, as_of in keys
        ]

    assert material.train_truth.tolist() == confirmed(material.train, material.split.test_from)
    assert material.test_truth.tolist() == confirmed(material.test, np.inf)
    late = sum(confirmed(material.train, np.inf)) - sum(confirmed(material.train, material.split.test_from))
    assert late > 0, "no label of the training period became known late: the test shows nothing"


def test_those_known_to_be_in_trouble_can_be_left_out(city, material):
    """``leave_out_known`` takes out of the test the days of entities known to be bad by then, and no others."""
    # Half of the later period's trouble is known at once, so that some of its days follow a known label.
    bad = material.test.take(material.test_truth)
    labels = pa.table(
        {
            "entity": bad.entity.dictionary_decode(),
            "from": pa.array(bad.since).cast(pa.timestamp("us", "UTC")),
            "to": pa.array(bad.as_of).cast(pa.timestamp("us", "UTC")),
            "known_at": pa.array(bad.as_of).cast(pa.timestamp("us", "UTC")),
        }
    )
    settings = replace(SETTINGS, leave_out_known=True)
    kept, every = material_of(city.events, labels, settings), material_of(city.events, labels)
    known = {}
    for entity, since, as_of in zip(bad.entity.to_pylist(), bad.since.tolist(), bad.as_of.tolist(), strict=True):
        assert since >= SETTINGS.train.start
        known[entity] = min(as_of, known.get(entity, as_of))
    keys = list(zip(every.test.entity.to_pylist(), every.test.since.tolist(), strict=True))
    wanted = [key for key in keys if known.get(key[0], np.inf) > key[1]]
    assert list(zip(kept.test.entity.to_pylist(), kept.test.since.tolist(), strict=True)) == wanted
    assert 0 < len(wanted) < len(keys)
    assert len(kept.test_truth) == len(kept.test)
    assert kept.train.values.tobytes() == every.train.values.tobytes()


def test_without_labels_there_is_no_truth(city):
    """No labels, no truth, and nothing for a detector that learns from labels."""
    material = material_of(city.events)
    assert (material.train_truth, material.test_truth, material.labels) == (None, None, None)
    assert not material.learnable


def test_labels_of_later_trouble_alone_teach_nothing(city, material):
    """Labels that were known only after the training could begin leave every training row unconfirmed."""
    assert material.learnable
    late = city.labels.set_column(
        5, "known_at", pa.array([START + 41 * DAY] * len(city.labels)).cast(city.labels["known_at"].type)
    )
    taught = material_of(city.events, late)
    assert not taught.train_truth.any()
    assert not taught.learnable
    assert taught.test_truth.tolist() == material.test_truth.tolist()


@pytest.mark.parametrize(
    ("period", "name"),
    [
        ({"train": Period(START - 400 * DAY, START - 390 * DAY)}, "training"),
        ({"test": Period(START + 400 * DAY, START + 410 * DAY)}, "test"),
    ],
)
def test_a_period_without_events_is_refused(city, period, name):
    """Days in which nothing happened are named as what they are, instead of failing later in a detector."""
    with pytest.raises(ConfigError, match=f"the {name} period holds no event .*; name other days"):
        material_of(city.events, None, replace(SETTINGS, **period))


def test_a_test_before_the_end_of_the_training_is_refused(city):
    """Judging by days that were learned from is a leak, not a setting."""
    overlapping = replace(SETTINGS, test=Period(START + 20 * DAY, START + 30 * DAY))
    with pytest.raises(LeakageError, match="the test begins before the training ends"):
        material_of(city.events, None, overlapping)
