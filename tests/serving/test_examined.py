"""Reasons put to the test, or kept from it where the outcome would tell a reviewer too much."""

from __future__ import annotations

import numpy as np
import pytest

from peculiar.serving.examined import examine, is_low, places_of
from peculiar.serving.scoring import score_batch
from peculiar.training.references import load

DAY = 86_400_000_000
SINCE = 20_094 * DAY + 36 * DAY


@pytest.fixture(scope="module")
def scored(trained, city):
    """A day of the simulated city, with five alerts."""
    model = load(trained.store, "models:/peculiar@champion").model
    batch = score_batch(model, city.events, labels=city.labels, since=SINCE, until=SINCE + DAY, budget=5, explain=0)
    return model, batch


def test_alerts_by_rank_are_tested_and_nothing_else(scored):
    """Only an alert has a smallest change or a weak reason; untested rows have the same reasons without either."""
    model, batch = scored
    alert = batch.table["alert"].to_numpy()
    rows = np.concatenate([np.flatnonzero(alert), np.flatnonzero(~alert)[:5]])
    tested, changes = examine(model, batch, rows)
    assert any(changes[:5])
    assert changes[5:] == [""] * 5
    assert not any(reason.weak for told in tested[5:] for reason in told)
    untested, none = examine(model, batch, rows, tested=False)
    assert none == [""] * 10
    assert not any(reason.weak for told in untested for reason in told)
    features = [[reason.feature for reason in told] for told in untested]
    assert features == [[reason.feature for reason in told] for told in tested]


def test_no_more_reasons_than_asked_for(scored):
    """``most`` is the most."""
    model, batch = scored
    told, _ = examine(model, batch, np.arange(4), most=2, tested=False)
    assert max(map(len, told)) <= 2
    assert examine(model, batch, np.empty(0, np.intp))[0] == []


def test_low_is_less_than_half_of_everyone_has(scored):
    """A reason is about little exactly if its value is under the population's median."""
    model, batch = scored
    for told in examine(model, batch, np.arange(20), tested=False)[0]:
        for reason in told:
            assert is_low(model, reason) == (reason.seen < model.population.quantile(reason.feature, 0.5))


def test_places_hold_all_of_a_days_events_once(scored):
    """Over a whole day the windows' places share no event and leave out none."""
    model, batch = scored
    start, stop = places_of(model, batch.timeline, batch.vectors)
    held = np.concatenate([np.arange(lo, hi) for lo, hi in zip(start, stop, strict=True)])
    on_day = np.flatnonzero((batch.timeline.at >= SINCE) & (batch.timeline.at < SINCE + DAY))
    assert np.sort(held).tolist() == on_day.tolist()
