"""A profile counts what a plain look at the events counts."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from peculiar.features.columns import stable_hash
from peculiar.features.events import EventLog
from peculiar.features.profile import LEVELS, SLOTS, EventProfile, newcomers, profile_of
from peculiar.features.roles import Roles

DAY, HOUR = 86_400_000_000, 3_600_000_000
BEGIN = 20_150 * DAY
ROLES = Roles("user", "at", "id", dimensions=("action", "shop"), action="action", measures=("amount",))


def log_of(n: int = 3_000, *, zone: str = "UTC") -> tuple[pa.Table, EventLog]:
    """Ten days of forty users with blanks in both kinds of columns."""
    rng = np.random.default_rng(3)
    shop = rng.choice(["a", "b", "c"], n, p=[0.7, 0.2, 0.1]).astype(object)
    shop[rng.random(n) < 0.2] = None
    amount = np.where(rng.random(n) < 0.3, np.nan, rng.gamma(2.0, 10.0, n))
    table = pa.table(
        {
            "id": np.arange(n),
            "user": [f"u{k}" for k in rng.integers(0, 40, n)],
            "at": pa.array(BEGIN + rng.integers(0, 10 * DAY, n)).cast(pa.timestamp("us", tz="UTC")),
            "action": rng.choice(["buy", "look", "ask"], n),
            "shop": pa.array(shop, pa.string()),
            "amount": pa.array(amount, from_pandas=True),
        }
    )
    roles = Roles(**{**vars_of(ROLES), "time_zone": zone})
    return table, EventLog.open(table, roles)


def vars_of(roles: Roles) -> dict[str, object]:
    """The fields of roles."""
    return {name: getattr(roles, name) for name in roles.__dataclass_fields__}


def test_counts_are_those_of_a_plain_look():
    """Days, half hours, entities, actions, blanks, amounts and values, each counted by hand."""
    table, log = log_of()
    timeline, _, _ = log.read()
    span = BEGIN + 2 * DAY, BEGIN + 7 * DAY
    profile = profile_of(timeline, span, action="action", actions=("buy", "look"))
    rows = [row for row in table.to_pylist() if span[0] <= row["at"].timestamp() * 1e6 < span[1]]
    of = {"buy": 0, "look": 1}
    assert profile.total == len(rows) == profile.slots.sum()
    assert profile.entities == len({row["user"] for row in rows})
    assert profile.day.tolist() == list(range(20_152, 20_157))
    active = [len({row["user"] for row in rows if row["at"].timestamp() // 86_400 == day}) for day in profile.day]
    assert profile.active.tolist() == active
    half_hours = np.bincount([row["at"].hour * 2 + row["at"].minute // 30 for row in rows], minlength=SLOTS)
    assert profile.slots.sum(axis=0).tolist() == half_hours.tolist()
    assert profile.hours.sum(axis=1).tolist() == profile.by_action.tolist()
    looked = [row["at"].hour * 2 + row["at"].minute // 30 for row in rows if row["action"] == "look"]
    assert profile.hours[1].tolist() == np.bincount(looked, minlength=SLOTS).tolist()
    for name in ("shop", "amount"):
        blank = np.bincount([of.get(row["action"], 2) for row in rows if row[name] is None], minlength=3)
        assert profile.blanks[name].tolist() == blank.tolist()
    bought = [row["amount"] for row in rows if row["action"] == "buy" and row["amount"] is not None]
    assert profile.amounts["amount"][0] == pytest.approx(np.quantile(bought, LEVELS))
    shops = {name: sum(row["shop"] == name for row in rows) for name in "abc"}
    keys = [f"{key:016x}" for key in stable_hash(pa.array(list("abc"))).tolist()]
    assert profile.values["shop"] == {key: shops[name] for key, name in zip(keys, "abc", strict=True)}
    assert [profile.names[key] for key in keys] == list("abc")
    holders = [len({row["user"] for row in rows if row["shop"] == name}) for name in "abc"]
    assert [profile.holders["shop"][key] for key in keys] == holders


def test_copies_under_new_ids_are_counted_and_nothing_else_is():
    """Equal but for the id; of events at one instant that differ in anything, none is a copy."""
    table, log = log_of(500)
    assert profile_of(log.read()[0], (0, 2**62)).repeats == 0
    again = table.slice(0, 50).set_column(0, "id", pa.array(np.arange(50) + 9_000))
    timeline, _, _ = EventLog.open(pa.concat_tables([table, again]), ROLES).read()
    assert profile_of(timeline, (0, 2**62)).repeats == 50
    other = again.set_column(4, "shop", pa.array(["z"] * 50))
    timeline, _, _ = EventLog.open(pa.concat_tables([table, other]), ROLES).read()
    assert profile_of(timeline, (0, 2**62)).repeats == 0


def test_hours_are_those_of_the_logs_zone():
    """Half past midnight UTC is six in Kolkata."""
    _, here = log_of(300)
    _, there = log_of(300, zone="Asia/Kolkata")
    slots = [profile_of(log.read()[0], (0, 2**62)).slots.sum(axis=0) for log in (here, there)]
    assert slots[1].tolist() == np.roll(slots[0], 11).tolist()


def test_it_goes_through_json_and_loses_only_names():
    """What is written is plain, holds no value's name, and reads back the same."""
    _, log = log_of()
    profile = profile_of(log.read()[0], (0, 2**62), action="action", actions=("buy",))
    text = json.dumps(profile.to_dict())
    back = EventProfile.from_dict(json.loads(text))
    assert not any(f'"{name}"' in text for name in ("a", "b", "c", "u1"))
    assert back.names == {}
    assert json.dumps(back.to_dict()) == text
    older = {name: value for name, value in json.loads(text).items() if name != "hours"}
    assert EventProfile.from_dict(older).hours is None
    assert np.array_equal(back.hours, profile.hours)
    assert np.array_equal(back.slots, profile.slots)
    assert np.allclose(back.amounts["amount"], profile.amounts["amount"], rtol=1e-5, equal_nan=True)


def test_a_period_without_events_is_a_profile_of_nothing():
    """No day, no event, no error."""
    _, log = log_of(300)
    profile = profile_of(log.read()[0], (0, DAY))
    assert (profile.total, profile.entities, len(profile.day), profile.repeats) == (0, 0, 0, 0)
    assert EventProfile.from_dict(profile.to_dict()).slots.shape == (0, SLOTS)


def test_newcomers_are_those_without_a_past_in_the_horizon():
    """Counted by hand; not known where the events do not reach back so far."""
    table, log = log_of(400)
    timeline, _, _ = log.read()
    since, until = BEGIN + 5 * DAY, BEGIN + 6 * DAY
    at, user = table["at"].cast(pa.int64()).to_numpy(), table["user"].to_pylist()
    here = {name for name, when in zip(user, at, strict=True) if since <= when < until}
    before = {name for name, when in zip(user, at, strict=True) if since - DAY <= when < since}
    assert newcomers(timeline, since, until, DAY) == len(here - before) / len(here) > 0
    assert newcomers(timeline, since, until, 8 * DAY) is None
