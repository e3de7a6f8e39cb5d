"""Cases: alerts of one entity that are close enough, however the days were cut into runs, and their roll-up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.errors import SchemaError
from peculiar.serving.cases import CASES, case_ids, cases_of, open_cases

DAY = 86_400_000_000
alerts_of = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 25), st.booleans()), max_size=30)


def ids(rows, gap, begun=None) -> list[str | None]:
    """The case of each row."""
    who, day, alert = (list(part) for part in zip(*rows, strict=True)) if rows else ([],) * 3
    found = case_ids(pa.array(who, pa.string()), np.array(day, np.int64), np.array(alert, bool), gap=gap, begun=begun)
    return found.to_pylist()


def plainly(rows, gap) -> list[str | None]:
    """From each alert back in time as long as the next earlier alert of the entity is close enough."""
    found = []
    for who, day, alert in rows:
        days = {d for w, d, a in rows if w == who and a}
        begin = day
        while earlier := [d for d in days if begin - gap <= d < begin]:
            begin = min(earlier)
        found.append(f"{who}@{date(1970, 1, 1) + timedelta(days=begin)}" if alert else None)
    return found


@given(alerts_of, st.integers(0, 8))
def test_a_case_goes_on_while_no_gap_is_too_wide(rows, gap):
    """Whatever the order, a case is named after the day an unbroken row of alerts began; no alert has none."""
    assert ids(rows, gap) == plainly(rows, gap)


@given(alerts_of, st.integers(0, 8), st.integers(0, 26))
def test_cases_go_on_from_what_was_written_before(rows, gap, cut):
    """Days scored in two runs have the cases of one run; to score the later ones again changes nothing."""
    rows = sorted(rows, key=lambda row: row[1])
    before, after = ([row for row in rows if (row[1] < cut) == early] for early in (True, False))
    whole = ids(rows, gap)
    who, day, alert = (list(part) for part in zip(*rows, strict=True)) if rows else ([],) * 3
    ends = pa.array([(d + 1) * DAY for d in day], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    written = pa.table({
        "entity": pa.array(who, pa.string()), "as_of": ends, "alert": pa.array(alert, pa.bool_()),
        "case": pa.array(whole, pa.string()),
    })  # fmt: skip
    begun = open_cases(written, before=cut)
    assert ids(after, gap, begun) == whole[len(before) :]


def test_a_day_is_one_of_the_zone():
    """An alert whose window ends at midnight in Kolkata is of the day before it there, not of that in UTC."""
    end = datetime(2025, 3, 3, 18, 30, tzinfo=UTC)
    table = pa.table({"entity": ["ann"], "as_of": [end], "alert": [True], "case": ["ann@2025-03-03"]})
    number = (date(2025, 3, 3) - date(1970, 1, 1)).days
    assert open_cases(table, before=number + 1, zone="Asia/Kolkata") == {"ann": (number, "ann@2025-03-03")}
    assert open_cases(table, before=number, zone="Asia/Kolkata") == {}


def at(day: int) -> datetime:
    """A midnight of March."""
    return datetime(2025, 3, day, tzinfo=UTC)


@pytest.fixture
def scores() -> pa.Table:
    """A week of Ann, two days of Bob, one of Cyd, who is no alert."""
    rows = [
        ("ann", 3, 5.0, 0.02, "volume", ["much"], "ann@2025-03-03"),
        ("ann", 4, 1.0, 0.6, None, None, None),
        ("ann", 5, 9.0, 0.01, "breadth", ["many"], "ann@2025-03-03"),
        ("bob", 3, 9.0, None, "timing", ["night"], "bob@2025-03-03"),
        ("cyd", 3, 8.0, 0.03, None, None, None),
        ("ann", 20, 4.0, 0.04, "novelty", ["new"], "ann@2025-03-20"),
    ]
    names = ("entity", "since", "score", "p_value", "family", "reasons", "case")
    table = [dict(zip(names, row, strict=True)) for row in rows]
    table = [
        row | {"since": at(row["since"]), "as_of": at(row["since"] + 1), "team": row["entity"][0]} for row in table
    ]
    return pa.Table.from_pylist(table)


def test_scores_are_rolled_up_by_hand(scores):
    """First and last, alerts and all windows in between, the words of the highest score, the lowest p-value."""
    found = cases_of(scores)
    assert found.schema.equals(CASES)
    first, second, third = found.to_pylist()
    assert first == {
        "case": "ann@2025-03-03", "entity": "ann", "first": at(3), "last": at(6), "alerts": 2, "windows": 3,
        "score": 9.0, "p_value": 0.01, "family": "breadth", "reasons": ["many"], "team": "a", "verdict": None,
    }  # fmt: skip
    assert (second["case"], second["p_value"], second["windows"]) == ("bob@2025-03-03", None, 1)
    assert (third["case"], third["first"], third["last"]) == ("ann@2025-03-20", at(20), at(21))
    assert cases_of(scores.slice(4, 1)).num_rows == 0


@pytest.mark.parametrize(("said", "found"), [
    ([], [None, None]),
    ([(3, 4, 8, "cleared")], ["cleared", None]),
    ([(3, 4, 8, "cleared"), (5, 6, 8, "confirmed")], ["confirmed", None]),
    ([(3, 4, 8, "confirmed"), (3, 4, 9, "cleared")], ["cleared", None]),
    ([(3, 4, 8, "confirmed"), (3, 4, 8, "cleared")], ["confirmed", None]),
    ([(6, 7, 8, "confirmed")], [None, None]),
    ([(20, 21, 22, "cleared")], [None, "cleared"]),
])  # fmt: skip
def test_a_case_has_the_last_word_on_its_windows(scores, said, found):
    """Confirmed if any window is in the end, cleared if one was, nothing if nobody looked."""
    columns = ("from", "to", "reviewed_at", "verdict")
    rows = [dict(zip(columns, (*map(at, row[:3]), row[3]), strict=True)) for row in said]
    rows = [{"entity": who, **row} for row in rows for who in ("ann", "eve")]
    time = pa.timestamp("us", tz="UTC")
    kinds = {"entity": pa.string(), "from": time, "to": time, "reviewed_at": time, "verdict": pa.string()}
    cases = cases_of(scores, pa.Table.from_pylist(rows, pa.schema(kinds))).to_pylist()
    assert [case["verdict"] for case in cases if case["entity"] == "ann"] == found


def test_what_lacks_a_column_is_refused(scores):
    """The error names what is missing, and in what."""
    with pytest.raises(SchemaError, match=r"expected scores with the columns .*, found no case; score again"):
        cases_of(scores.drop_columns(["case"]))
    with pytest.raises(SchemaError, match=r"expected earlier scores with .*, found no alert"):
        open_cases(scores, before=0)
    with pytest.raises(SchemaError, match=r"expected verdicts with .*, found no from, to, reviewed_at, verdict"):
        cases_of(scores, scores)
