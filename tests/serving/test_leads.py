"""Leads: events with their words, and what speaks against suspicion beside what speaks for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.features.events import EventLog
from peculiar.serving.examined import examine, places_of
from peculiar.serving.history import histories_of
from peculiar.serving.leads import _shown, leads_of, local, odds, said, window_text
from peculiar.serving.reasons import Reason
from peculiar.serving.scoring import score_batch
from peculiar.serving.weakening import doubts, weakening
from peculiar.training.references import load

DAY = 86_400_000_000
SINCE = 20_094 * DAY + 36 * DAY


@pytest.fixture(scope="module")
def scored(trained, city):
    """Three days of the simulated city: the model, the batch, the log, five alerts and their reasons."""
    model = load(trained.store, "models:/peculiar@champion").model
    log = EventLog.open(city.events, model.plan.roles)
    batch = score_batch(model, log, labels=city.labels, since=SINCE, until=SINCE + 3 * DAY, budget=5, explain=0)
    rows = np.flatnonzero(batch.table["alert"].to_numpy())[:5]
    return model, batch, log, rows, examine(model, batch, rows, most=3)


def test_events_are_told_in_the_words_of_the_log(scored, city):
    """Time, values and id of each event of a lead are those of the row in the log that has the id."""
    model, batch, log, rows, (reasons, changes) = scored
    table = {row["event_id"]: row for row in city.events.to_pylist()}
    leads = leads_of(model, batch, log, rows, reasons, changes=changes)
    assert any(len(lead.events) for lead in leads)
    for lead in leads:
        for n in range(len(lead.events)):
            row = table[type(city.events["event_id"][0].as_py())(lead.events.ids[n])]
            assert row["user_id"] == lead.entity
            assert row["ts"] == local(int(lead.events.at[n]), "UTC").replace(tzinfo=row["ts"].tzinfo)
            assert {name: row[name] for name in lead.events.dimensions} == {
                name: values[n] for name, values in lead.events.dimensions.items()
            }
            amount = lead.events.measures["amount"][n]
            assert row["amount"] == amount or (row["amount"] is None and np.isnan(amount))


def test_windows_are_where_their_events_are(scored):
    """The places of a window hold exactly the entity's events within it."""
    model, batch, _, rows, _ = scored
    timeline, chosen = batch.timeline, batch.vectors.take(rows)
    start, stop = places_of(model, timeline, chosen)
    names = chosen.entity.dictionary_decode().to_pylist()
    for n, name in enumerate(names):
        mine = timeline.owner == timeline.entity.to_pylist().index(name)
        within = mine & (timeline.at >= chosen.since[n]) & (timeline.at < chosen.as_of[n])
        assert np.array_equal(np.flatnonzero(within), np.arange(start[n], stop[n]))


def test_a_history_holds_the_days_before(scored):
    """Each day of a history is the value that the day's own vector has, and the last is that of the window."""
    model, batch, _, rows, (reasons, _) = scored
    chosen = batch.vectors.take(rows)
    whole = model.vectors(batch.timeline)
    names, days = whole.entity.dictionary_decode().to_pylist(), whole.since // DAY
    for n, history in enumerate(histories_of(model, batch.timeline, chosen, reasons)):
        plain = {
            (name, int(day)): float(value)
            for name, day, value in zip(names, days, whole.column(history.feature), strict=True)
        }
        entity = chosen.entity.dictionary_decode()[n].as_py()
        expected = [plain.get((entity, history.first + place), np.nan) for place in range(29)]
        assert np.array_equal(history.values, expected, equal_nan=True)
        assert history.first + 28 == chosen.since[n] // DAY


@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=12), max_size=4), st.integers(0, 20))
def test_reasons_share_the_room_for_events(pieces, most):
    """Shown events are distinct, in order, at most so many; each reason shows its first ones, none twice as many."""
    kept, by, named = _shown([np.array(sorted(piece), np.int64) for piece in pieces], most)
    everything = {position for piece in pieces for position in piece}
    assert named == len(everything)
    assert len(kept) == min(most, named)
    assert kept.tolist() == sorted(set(kept.tolist()))
    for position, numbers in zip(kept.tolist(), by, strict=True):
        assert list(numbers) == [n for n, piece in enumerate(pieces) if position in piece]
    if most >= len(pieces):
        assert all(min(piece) in kept for piece in pieces if piece)


def test_windows_and_chances_are_told_in_words():
    """A day is its date, another window from when to when in the log's zone; a chance is so many of so many."""
    assert (
        window_text(0, DAY, "Asia/Kolkata") == "Thursday 1 January 1970, 05:30:00, to Friday 2 January 1970, 05:30:00"
    )
    assert window_text(90 * DAY - 3_600_000_000, 91 * DAY - 7_200_000_000, "Europe/Berlin").startswith("Wednesday")
    assert odds(0.00001, "days") == "1 of 100,000 normal days scores as high"
    assert odds(0.0, "hours").endswith("normal hours scores as high")


def test_a_short_history_speaks_against_suspicion(scored):
    """Who has fewer than seven days of history is told to have a short one, and nobody else."""
    model, batch, _, _, _ = scored
    rows = np.arange(len(batch.vectors))
    history = batch.vectors.column("history_windows_28d")
    told = [any("short history" in line for line in lines) for lines in weakening(model, batch, rows, [[]] * len(rows))]
    assert 0 < sum(told) < len(told)
    assert np.array_equal(told, history < 7)


def test_a_day_that_was_odd_for_many_is_told(scored):
    """If many of a day's windows are beyond what 95 of 100 stay under, that speaks against each of them."""
    model, batch, _, rows, _ = scored
    name = "events_count_1d"
    reason = Reason("volume", name, 1.0, "many events", seen=1e6, unit="events")
    before = weakening(model, batch, rows[:1], [[reason]])[0]
    values = batch.vectors.values.copy()
    values[batch.vectors.names.index(name), ::2] = 1e6
    from dataclasses import replace

    busy = replace(batch, vectors=replace(batch.vectors, values=values))
    after = weakening(model, busy, rows[:1], [[reason]])[0]
    assert not any("odd day for many" in line for line in before)
    same_day = batch.vectors.since == batch.vectors.since[rows[0]]
    above = model.population.quantile(name, 0.95)
    share = np.mean(values[batch.vectors.names.index(name)][same_day] > above)
    assert any("odd day for many" in line and f"{100 * share:.0f} of 100" in line for line in after)


def test_weak_evidence_and_chance_are_told_apart_from_the_rest(scored):
    """What tells the height of a score is kept from what a blind reviewer may read."""
    from peculiar.serving.leads import Standing

    weak = Reason("volume", "f", 1.0, "many; weak: they change nothing", weak=True)
    told = doubts(Standing(1.0, 0.1, 3, 200, "rank"), [weak], "days")
    assert "would not change the alert" in told[0]
    assert "about 20 score as high" in told[1]
    assert said(weak) == "many"
    assert doubts(Standing(1.0, 0.0001, 1, 200, "rank"), [], "days") == ()
    assert "at random" in doubts(Standing(1.0, 0.5, 90, 200, "random"), [], "days")[0]
