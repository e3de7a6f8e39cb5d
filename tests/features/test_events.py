"""The door: every row is let in or set aside with its reason, and every source gives the same timeline."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_logs import DAY, Event, contents, instant, iso, rich_log, roles, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.errors import SchemaError
from peculiar.features.events import EventLog
from peculiar.features.roles import Roles

GOOD = "2025-03-01T08:00:00Z"
PARTS = Roles("user", "at", "id", ("device",), None, ("amount",))


def read(rows, parts=PARTS, **period):
    """The report, and the reason of each row set aside, for rows of (user, at, id, device, amount) as text."""
    names = ("user", "at", "id", "device", "amount")
    table = pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], names=names)
    timeline, report, rejected = EventLog.open(table, parts).read(**period)
    return timeline, report, dict(zip(rejected["row"].to_pylist(), rejected["reason"].to_pylist(), strict=True))


def row(user="ann", at=GOOD, id_="1", device="x", amount="1"):
    """A good row, but for what is given."""
    return (user, at, id_, device, amount)


OTHERS = [row(id_=f"other {n}", at=f"2025-03-{n:02}T09:00:00Z") for n in range(1, 6)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(user=None), "no entity"),
        (row(at=None), "no time"),
        (row(at=" "), "no time"),
        (row(at="3/4/2025"), "time is unreadable (expected ISO 8601, such as 2025-03-01T08:00:00Z)"),
        (row(at="2025-03-01T08:00:00"), "time without a zone among times with one"),
        (row(at="1970-01-01T00:00:00Z"), "time before 1971"),
        (row(at="1970-12-31T23:59:59Z"), "time before 1971"),
        (row(at="2099-01-01T00:00:00Z"), "time far in the future, after more than a year without events"),
        (row(amount="inf"), "amount is not a finite number"),
        (row(amount="much"), "amount is not a finite number"),
        (row(id_="other 3"), "id used again by a different event"),
        (OTHERS[2], "exact copy of another event"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(bad, reason):
    """One bad row among good ones is counted, shown with its place and its reason, and nothing else is touched."""
    timeline, report, rejected = read([*OTHERS, bad])
    assert report.rejected == {reason: 1}
    assert set(rejected.values()) == {reason}
    assert report.rows == 6
    assert report.admitted == len(timeline) == 5
    assert reason in str(report)


def test_rejected_rows_come_with_their_columns():
    """A row that is set aside can be looked at: its place in the source and all columns that have a role."""
    table = pa.table({"user": ["ann", None], "at": [GOOD, GOOD], "note": ["a", "b"], "device": ["x", "y"]})
    _, _, rejected = EventLog.open(table, Roles("user", "at", dimensions=("device",))).read()
    assert rejected.to_pylist() == [{"row": 1, "reason": "no entity", "user": None, "at": GOOD, "device": "y"}]


def test_a_row_counts_once_by_its_first_reason():
    """A row without entity, time and amount is one row set aside, not three."""
    _, report, _ = read([*OTHERS, row(user=None, at=None, amount="x")])
    assert report.rejected == {"no time": 1}


def test_what_is_missing_but_may_be_is_let_in():
    """Null and empty dimensions, amounts and ids are no fault; events without id are never copies of each other."""
    timeline, report, _ = read([*OTHERS, *[row(id_=None, device=None, amount="")] * 3])
    assert report.rejected == {}
    assert len(timeline) == 8
    assert np.isnan(timeline.measures["amount"]).sum() == 3


@pytest.mark.parametrize(("early", "late"), [("ann", "bob"), ("bob", "ann"), ("ann", "ann")])
def test_of_clashing_ids_the_earliest_stays(early, late):
    """Of different events with one id the earliest is let in, whatever the order of rows and whoever they are of."""
    clash = [row(late, "2025-03-02T00:00:00Z", "7"), row(early, "2025-03-01T00:00:00Z", "7")]
    for rows in (clash, clash[::-1]):
        timeline, report, rejected = read(rows)
        assert [event[:2] for event in contents(timeline)] == [(early, instant("2025-03-01"))]
        assert report.rejected == {"id used again by a different event": 1}
        assert list(rejected) == [rows.index(clash[0])]


@pytest.mark.parametrize("ids", [[None, 0], [0, None], [0, None, 0]])
def test_no_id_is_not_the_id_zero(ids):
    """An event without id is no copy of one whose id is 0, in any order of rows."""
    table = pa.table({"user": ["a"] * len(ids), "at": [GOOD] * len(ids), "id": pa.array(ids, pa.int64())})
    _, report, _ = EventLog.open(table, Roles("user", "at", "id")).read()
    copies = len(ids) - 2
    assert report.admitted == 2
    assert report.rejected == ({"exact copy of another event": copies} if copies else {})


def test_without_an_id_copies_are_kept_and_noted():
    """Rows alike in every column are kept where no id tells whether they are copies, and the report says how many."""
    _, report, _ = read([row(), row(), row()], Roles("user", "at", dimensions=("device",), measures=("amount",)))
    assert report.admitted == 3
    assert any(note.startswith("2 rows repeat another in every column and were kept") for note in report.notes)


def test_times_without_a_zone_are_noted():
    """Times that carry no zone at all are read in the log's zone, and the report says so."""
    _, report, _ = read([row(at="2025-03-01T08:00:00")], Roles("user", "at", time_zone="Europe/Berlin"))
    assert report.notes == ("times carry no zone; read as Europe/Berlin",)
    assert report.first == instant("2025-03-01T07:00")


def test_a_gap_of_a_year_is_no_far_future_if_much_follows():
    """A log that pauses for two years and goes on is one log; only a straggler or two beyond a gap are mistakes."""
    later = [row(id_=f"later {n}", at=f"2027-03-{n:02}T09:00:00Z") for n in range(1, 6)]
    assert read([*OTHERS, *later])[1].rejected == {}
    assert read([*OTHERS, later[0]])[1].rejected == {"time far in the future, after more than a year without events": 1}


@pytest.mark.parametrize("bad", [("90.001", "0"), ("0", "-180.5"), ("north", "0"), ("0", "inf")])
def test_a_place_off_the_earth_is_set_aside(bad):
    """Beyond a pole, beyond the date line, or no number at all: the row is set aside with its reason."""
    rows = [("ann", GOOD, "52.5", "13.4"), ("ann", GOOD, "-90", "180"), ("ann", GOOD, *bad)]
    table = pa.table(dict(zip(("user", "at", "lat", "lon"), map(list, zip(*rows, strict=True)), strict=True)))
    timeline, report, _ = EventLog.open(table, Roles("user", "at", place=("lat", "lon"))).read()
    name, limit = ("lat", 90) if bad[1] == "0" else ("lon", 180)
    assert report.rejected == {f"{name} is no number from -{limit} to {limit}": 1}
    assert sorted(timeline.place.T.tolist()) == [[-90, 180], [52.5, 13.4]]
    assert timeline.measures == {}


def test_no_place_and_half_a_place_are_let_in():
    """An event without a place, or with one number of it, is an event without a place."""
    table = pa.table({"user": ["a"] * 3, "at": [GOOD] * 3, "lat": [1.0, None, None], "lon": [None, 2.0, None]})
    timeline, report, _ = EventLog.open(table, Roles("user", "at", place=("lat", "lon"))).read()
    assert report.rejected == {}
    assert np.isnan(timeline.place).all()


def test_what_makes_peers_is_read_beside_the_dimensions():
    """The column of peers is no dimension, unless it is named as one; then both say the same."""
    table = pa.table({"user": ["a", "b"], "at": [GOOD] * 2, "branch": ["x", None]})
    for dimensions in ((), ("branch",)):
        timeline, _, _ = EventLog.open(table, Roles("user", "at", dimensions=dimensions, peer_by="branch")).read()
        assert set(timeline.dimensions) == set(dimensions)
        assert timeline.peer.values.to_pylist() == ["x"]
        assert timeline.peer.codes.tolist() == [0, -1]


def test_nothing_fit_to_be_read_is_refused():
    """Where every row is set aside the roles are wrong, and the error counts the reasons."""
    with pytest.raises(SchemaError, match="none of 2 rows is fit to be read: 1 no time, 1 no entity; check the roles"):
        read([row(at=None), row(user=None)])


def test_an_empty_log_is_a_log():
    """A log without rows is read as one without events, by its schema alone."""
    timeline, report, rejected = EventLog.open(table_of([]), roles()).read()
    assert len(timeline) == report.rows == report.admitted == report.entities == len(rejected) == 0
    assert report.first is report.last is None
    assert report.to_dict()["first"] is None


def test_the_report_is_plain_data():
    """The report becomes JSON with its times in ISO 8601, and its text names what came and what stayed outside."""
    _, report, _ = read([*OTHERS, row(user=None)])
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["first"] == "2025-03-01T09:00:00Z"
    assert plain["last"] == "2025-03-05T09:00:00Z"
    assert plain["entities"] == 1
    assert str(report).splitlines() == [
        "table in memory: 6 rows, 5 events of 1 entities",
        "  from 2025-03-01T09:00:00Z to 2025-03-05T09:00:00Z",
        "  set aside: 1 rows, no entity",
    ]


def test_a_period_is_half_open_and_counts_each_row_once():
    """A period takes its first instant and not its last; a bad row outside of it is set aside, not counted twice."""
    timeline, report, _ = read(
        [*OTHERS, row(at=None)], since=instant("2025-03-02T09:00"), until=instant("2025-03-04T09:00")
    )
    assert [event[1] for event in contents(timeline)] == [instant("2025-03-02T09:00"), instant("2025-03-03T09:00")]
    assert report.rejected == {"no time": 1}
    assert report.notes == ("3 rows lie outside the period that was asked for",)


def test_a_period_without_events_is_empty():
    """Asking for a period in which nothing happened is no fault of the log."""
    timeline, report, _ = read(OTHERS, since=instant("2030-01-01"))
    assert len(timeline) == report.admitted == 0


def test_opening_reads_nothing_and_guesses_if_asked(tmp_path):
    """A log opens by its columns alone; guessed roles are marked as such, with the columns that got no part."""
    table = table_of(rich_log())
    pq.write_table(table.append_column("is_fraud", pa.array([0] * len(table))), tmp_path / "log.parquet")
    log = EventLog.open(tmp_path / "log.parquet")
    assert log.guessed
    parts = ("user", "at", "id", ("action", "device", "team"), "action", ("amount",))
    assert log.roles == Roles(*parts, place=("lat", "lon"))
    assert log.left_out == ("is_fraud",)
    assert EventLog.open(log) is log
    given_ = EventLog.open(log, Roles("user", "at"))
    assert not given_.guessed
    assert given_.left_out == ("id", "action", "device", "amount", "lat", "lon", "team", "is_fraud")


def test_a_missing_column_is_refused_at_the_door():
    """The error names the source, the column and the nearest one there is, before anything is read."""
    with pytest.raises(
        SchemaError, match="table in memory: expected a column 'devise', found none; did you mean 'device'"
    ):
        EventLog.open(table_of([]), Roles("user", "at", dimensions=("devise",)))


def test_audited_attributes_never_reach_the_timeline():
    """A column that is for audits alone is not among what families can see."""
    table = pa.table({"user": ["ann"], "at": [GOOD], "gender": ["f"], "device": ["x"]})
    timeline, _, _ = EventLog.open(table, Roles("user", "at", dimensions=("device",), audit_only=("gender",))).read()
    assert set(timeline.dimensions) | set(timeline.measures) == {"device"}


EVENTS = [e._replace(amount=None if e.amount is None else round(e.amount, 2)) for e in rich_log()]
TEXT = [{**e._asdict(), "at": iso(e.at)} for e in EVENTS]


class Capsule:
    """Something of another library that speaks Arrow and nothing else."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def parquet_folder(table, folder):
    """A folder of two files, the second in several row groups."""
    (folder / "log").mkdir()
    pq.write_table(table.slice(0, 100), folder / "log" / "1.parquet")
    pq.write_table(table.slice(100), folder / "log" / "2.parquet", row_group_size=60)
    return folder / "log"


def written(frame, write, path):
    """The path of the file that the frame's own method wrote."""
    getattr(frame, write)(path)
    return path


def csv_glob(folder):
    """A glob of two files."""
    pl.DataFrame(TEXT[:100], infer_schema_length=None).write_csv(folder / "a.csv")
    pl.DataFrame(TEXT[100:], infer_schema_length=None).write_csv(folder / "b.csv")
    return f"{folder}/*.csv"


def recast(table, name, kind):
    """The table with one column of another type."""
    place = table.column_names.index(name)
    return table.set_column(place, name, table[name].cast(kind))


SOURCES = {
    "batch": lambda t, _: t.combine_chunks().to_batches()[0],
    "reader": lambda t, _: t.to_reader(),
    "capsule": lambda t, _: Capsule(t),
    "pandas": lambda t, _: t.to_pandas(),
    "pandas categories": lambda t, _: t.to_pandas().astype({"user": "category", "device": "category"}),
    "polars": lambda t, _: pl.from_arrow(t),
    "polars lazy": lambda t, _: pl.from_arrow(t).lazy(),
    "polars categories": lambda t, _: pl.from_arrow(t).with_columns(pl.col("user", "device").cast(pl.Categorical)),
    "dictionaries": lambda t, _: recast(
        recast(t, "user", pa.dictionary(pa.int16(), pa.string())), "at", pa.timestamp("ns", "UTC")
    ),
    "another zone": lambda t, _: recast(t, "at", pa.timestamp("us", tz="America/New_York")),
    "parquet": lambda t, folder: written(pl.from_arrow(t), "write_parquet", folder / "log.parquet"),
    "parquet folder": parquet_folder,
    "parquet glob": lambda t, folder: f"{parquet_folder(t, folder)}/*.parquet",
    "csv": lambda _, folder: written(pl.DataFrame(TEXT, infer_schema_length=None), "write_csv", folder / "log.csv"),
    "csv glob": lambda _, folder: csv_glob(folder),
    "ndjson": lambda _, folder: written(
        pl.DataFrame(TEXT, infer_schema_length=None), "write_ndjson", folder / "a.ndjson"
    ),
    "text": lambda _, __: pd.DataFrame(TEXT),
}


# pyarrow takes the .values of pandas' times, which pandas 3.1 deprecates: theirs to settle between them.
@pytest.mark.filterwarnings("ignore:Series.values returning an ndarray that drops timezone:DeprecationWarning")
@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_timeline(kind, tmp_path):
    """The same events give the same timeline, to the last bit, from whatever they are read."""
    table = table_of(EVENTS)
    wanted, _, _ = EventLog.open(table, roles()).read()
    got, report, _ = EventLog.open(SOURCES[kind](table, tmp_path), roles()).read()
    assert report.rejected == {}
    assert contents(got) == contents(wanted)
    assert got.first.tolist() == wanted.first.tolist()
    assert got.fingerprint == wanted.fingerprint


def test_whole_number_entities_and_dimensions_are_told_as_their_text(tmp_path):
    """A card number is the same entity from Parquet, where it is a number, and from CSV, where it is text."""
    table = pa.table({"card": [7, 12, 7], "at": [GOOD] * 3, "terminal_id": [1, None, 3]})
    pl.from_arrow(table).write_csv(tmp_path / "log.csv")
    parts = Roles("card", "at", dimensions=("terminal_id",))
    from_numbers, from_text = (EventLog.open(source, parts).read()[0] for source in (table, tmp_path / "log.csv"))
    assert from_numbers.entity.to_pylist() == ["12", "7"]
    assert contents(from_numbers) == contents(from_text)


MESSY = st.tuples(
    st.sampled_from(["ann", "bob", None, ""]),
    st.sampled_from([GOOD, GOOD, "2025-03-02T08:00:00Z", "2025-03-02T09:00:00+01:00", "2025-03-01",
                     "2025-03-01T08:00:00", "", None, "garbage", "1970-01-01T00:00:00Z", "2055-01-01T00:00:00Z",
                     "9999-12-31T23:59:59Z"]),
    st.sampled_from(["1", "2", "3", "4", "0", "", None]),
    st.sampled_from(["x", "y", "", None]),
    st.sampled_from(["1.5", "-0.0", "0.0", "", None, "inf", "nan", "x"]),
)  # fmt: skip


@given(
    rows=st.integers(0, 25).flatmap(lambda size: st.lists(MESSY, min_size=size, max_size=size)),
    id_=st.sampled_from(["id", None]),
    since=st.sampled_from([None, instant("2025-03-02")]),
)
@settings(max_examples=40)
def test_no_row_is_ever_lost(rows, id_, since):
    """Each row of a messy log is let in, set aside once with a reason, or outside the period asked for."""
    names = ("user", "at", "id", "device", "amount")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    table = pa.table([pa.array(column, pa.string()) for column in columns], names=names)
    log = EventLog.open(table, Roles("user", "at", id_, ("device",), None, ("amount",)))
    try:
        timeline, report, rejected = log.read(since)
    except SchemaError as error:
        assert since is None
        found = re.search(r"none of (\d+) rows is fit to be read: (.*); check", str(error))
        counts = [int(count) for count in re.findall(r"(?:^|, )(\d+) (?=[a-z])", found[2])]
        assert sum(counts) == int(found[1]) == len(rows)
        return
    outside = [int(note.split()[0]) for note in report.notes if "outside the period" in note]
    assert report.rows == len(rows) == report.admitted + sum(report.rejected.values()) + sum(outside)
    assert report.rejected == Counter(rejected["reason"].to_pylist())
    aside = rejected["row"].to_pylist()
    inside = timeline.row.tolist()
    assert len({*aside, *inside}) == len(aside) + len(inside) == len(rows) - sum(outside)
    assert len(timeline) == report.admitted
    assert all(rows[number][0] is not None and rows[number][1] for number in inside)


@given(rows=st.lists(MESSY, min_size=1, max_size=15), random=st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_order_of_rows_decides_nothing_at_the_door(rows, random):
    """What is let in, and how many rows each reason sets aside, is the same for every order of rows."""
    rows = [*OTHERS, *rows]
    timeline, report, _ = read(rows)
    mixed, mixed_report, _ = read(random.sample(rows, len(rows)))
    assert contents(mixed) == contents(timeline)
    assert mixed_report.rejected == report.rejected


def test_a_later_event_never_takes_an_earlier_ones_place():
    """A later event with the id of an earlier one is the one that is set aside: the future changes no past."""
    events = [Event("ann", instant("2025-03-01") + n * DAY, "same", None, None, None) for n in range(3)]
    timeline, _, _ = EventLog.open(table_of(events[::-1]), roles()).read()
    assert timeline.at.tolist() == [instant("2025-03-01")]
