"""An entity's own days: against a plain count of its log, day by day."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from peculiar.serving.history import BAND, histories_of
from peculiar.serving.scoring import score_batch
from peculiar.training.references import load

DAY = 86_400_000_000
SINCE = 20_094 * DAY + 36 * DAY


@pytest.fixture(scope="module")
def scored(trained, city):
    """A day of the simulated city, and the history of each of its windows."""
    model = load(trained.store, "models:/peculiar@champion").model
    batch = score_batch(model, city.events, labels=city.labels, since=SINCE, until=SINCE + DAY, budget=5, explain=0)
    return model, batch, histories_of(model, batch.timeline, batch.vectors, [()] * len(batch.vectors))


def counted(city, name: str) -> dict[date, int]:
    """How many events an entity has on each day, counted one by one."""
    days: dict[date, int] = {}
    for row in city.events.select(["user_id", "ts"]).to_pylist():
        if row["user_id"] == name:
            days[row["ts"].date()] = days.get(row["ts"].date(), 0) + 1
    return days


def test_without_reasons_the_days_are_counts_of_events(scored, city):
    """Each day holds as many events as the log, a day without any is NaN, and the last is the window's own."""
    _, batch, histories = scored
    names = batch.vectors.entity.dictionary_decode().to_pylist()
    for n in range(0, len(names), 15):
        history, days = histories[n], counted(city, names[n])
        assert (history.feature, history.label, history.unit) == ("events_count_1d", "events", "events")
        first = date(1970, 1, 1) + timedelta(days=history.first)
        expected = [float(days.get(first + timedelta(days=k), np.nan)) for k in range(29)]
        assert np.array_equal(history.values, expected, equal_nan=True)


def test_usual_is_eight_tenths_of_five_days_or_more(scored):
    """The band holds the middle of the days before, never the window itself; of fewer than five days there is none."""
    _, _, histories = scored
    known = [np.count_nonzero(~np.isnan(history.values[:-1])) for history in histories]
    assert min(known) < 5 <= max(known)
    for number, history in zip(known, histories, strict=True):
        if number < 5:
            assert np.isnan(history.usual).all()
        else:
            before = history.values[:-1]
            assert history.usual == pytest.approx(np.quantile(before[~np.isnan(before)], BAND))


def test_everyone_is_the_populations(scored):
    """The line of everyone is what 99 of 100 windows stay at or under."""
    model, _, histories = scored
    assert {history.everyone for history in histories} == {model.population.quantile("events_count_1d", 0.99)}
