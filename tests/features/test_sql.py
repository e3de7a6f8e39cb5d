"""Events of a real PostgreSQL: the same vectors as from Parquet, and nobody's password anywhere."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peculiar.errors import SchemaError
from peculiar.features.events import EventLog
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec
from peculiar.features.sources import open_source
from peculiar.features.sql import SqlQuery, public_address

DAY = 86_400_000_000
TYPE = "CREATE TYPE deed AS ENUM ('ride', 'pay')"
TABLE = """CREATE TABLE events (
    id uuid, user_id text, ts timestamptz, wall timestamp, day date, action deed, item varchar(9),
    amount numeric(10, 2), weight float8, note jsonb, big numeric(25, 0))"""


def _programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "pg_ctl").exists()), None)


@contextlib.contextmanager
def _running(folder: Path, programs: Path, who: dict):
    """A server of its own, stopped at the end; PostgreSQL refuses to run as root."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(name: str, *arguments: str) -> None:
        command = [str(programs / name), "-D", str(folder / "data"), *arguments]
        with (folder / "said").open("wb") as said:
            done = subprocess.run(command, check=False, stdout=said, stderr=said, cwd=folder, **who)
        assert done.returncode == 0, (folder / "said").read_text()

    (folder / "password").write_text("open:sesame")
    call("initdb", "-A", "scram-sha-256", "-U", "keeper", f"--pwfile={folder / 'password'}", "--no-sync", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://keeper:open%3Asesame@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def database():
    """The address of a running server, with its password."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL: install it (apt-get install postgresql) to run the tests of SQL")
    folder, who = Path(tempfile.mkdtemp(prefix="sql")), {}
    try:
        if os.geteuid() == 0:
            try:
                servant = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
            os.chown(folder, servant.pw_uid, servant.pw_gid)
            who = {"user": "postgres", "group": servant.pw_gid, "extra_groups": []}
        with _running(folder, programs, who) as address:
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def written():
    """Events as a Parquet file would hold them, one of them without a time."""
    random = np.random.default_rng(0)
    rows = 3000
    at = np.sort(random.integers(0, 40 * DAY, rows)) + 20_000 * DAY
    stamps = pa.array(at, mask=np.arange(rows) == 7).cast(pa.timestamp("us"))
    return pa.table(
        {
            "id": [f"00000000-0000-4000-8000-{number:012d}" for number in range(rows)],
            "user_id": random.integers(0, 30, rows).astype(str),
            "ts": stamps.cast(pa.timestamp("us", tz="UTC")),
            "wall": stamps,
            "day": stamps.cast(pa.date32()),
            "action": random.choice(["ride", "pay"], rows),
            "item": random.choice(["bus", "tram", "boat"], rows),
            "amount": np.round(random.gamma(2.0, 10.0, rows), 2),
            "weight": random.normal(size=rows),
            "note": ['{"a": 1}'] * rows,
            "big": [f"{10**24 + number}" for number in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def filled(database, written):
    """The address of a server that holds the events."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(TYPE)
        cursor.execute(TABLE)
        cursor.adbc_ingest("staged", written)
        kinds = {"id": "uuid", "action": "deed", "note": "jsonb", "amount": "numeric", "big": "numeric"}
        picked = ", ".join(f"{name}::{kinds[name]}" if name in kinds else name for name in written.column_names)
        cursor.execute(f"INSERT INTO events SELECT {picked} FROM staged")  # noqa: S608 - ours
        connection.commit()
    return database


ROLES = Roles("user_id", "ts", "id", dimensions=("action", "item"), action="action", measures=("amount", "weight"))


@pytest.fixture
def sql(filled, tmp_path, monkeypatch):
    """A file with a query, and the address in the environment."""
    monkeypatch.setenv("PECULIAR_DATABASE", filled)
    path = tmp_path / "events.sql"
    path.write_text("SELECT * FROM events -- all of them\n;\n")
    return path


def plan_of(log):
    """A plan and its population, fitted on a log."""
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, ROLES, WindowSpec("1d", "7d"))
    return plan, plan.fit(timeline), timeline


def test_vectors_are_those_of_parquet_to_the_last_bit(sql, written, tmp_path):
    """Exact decimals, zoned times, uuids and enums of the database make the vectors that a Parquet file makes."""
    pq.write_table(written, tmp_path / "events.parquet")
    from_file, from_base = (EventLog.open(path, ROLES) for path in (tmp_path / "events.parquet", sql))
    plan, population, timeline = plan_of(from_file)
    other, report, _ = from_base.read()
    assert report.rejected == {"no time": 1}
    ours, theirs = plan.vectors(timeline, population), plan.vectors(other, population)
    assert theirs.values.tobytes() == ours.values.tobytes()
    assert theirs.entity.equals(ours.entity)
    assert other.fingerprint == timeline.fingerprint


def test_types_of_the_databases_own_arrive_as_text(sql, written):
    """An exact number keeps all its digits; uuid, enums and JSON are as the database writes them."""
    source = open_source(sql)
    kinds = {field.name: field.type for field in source.schema()}
    text = {"id", "user_id", "action", "item", "amount", "note", "big"}
    assert {name for name, kind in kinds.items() if kind == pa.string()} == text
    first = source.read(["id", "action", "amount", "note", "big", "ts"]).sort_by("id").slice(0, 1).to_pylist()[0]
    want = written.slice(0, 1).to_pylist()[0]
    assert {name: first[name] for name in ("id", "action", "note", "big", "ts")} == {
        name: want[name] for name in ("id", "action", "note", "big", "ts")
    }
    assert float(first["amount"]) == want["amount"]


@pytest.mark.parametrize("at", ["ts", "wall", "day"])
def test_a_period_is_asked_of_the_database(filled, written, at):
    """Only the period comes, and what has no time; the events behind the door are those of reading everything."""
    roles = Roles("user_id", at, "id", time_zone="Pacific/Auckland")
    since, until = 20_010 * DAY + 5, 20_020 * DAY
    whole = EventLog.open(SqlQuery(filled, "SELECT * FROM events"), roles)
    narrow = whole.within(since, until)
    want, _, _ = whole.read(since, until)
    got, report, _ = narrow.read(since, until)
    assert got.fingerprint == want.fingerprint
    assert len(got) > 100
    assert report.rows < len(written) / 2
    assert report.rejected == {"no time": 1}


def test_a_time_of_text_is_not_compared_by_the_database(filled, written):
    """All rows come, and reading sorts out the period."""
    source = SqlQuery(filled, "SELECT user_id, ts::text AS ts FROM events").within("ts", 20_010 * DAY, None)
    assert source.read(["user_id", "ts"]).num_rows == len(written)


def test_what_was_read_is_kept(filled):
    """A row's place is its own: a second look at a column is a look at the same rows."""
    source = SqlQuery(filled, "SELECT user_id, id FROM events ORDER BY random()")
    first = source.read(["user_id", "id"])
    assert source.read(["id"])["id"].equals(first["id"])
    assert source.read(["id", "user_id"]).column_names == ["id", "user_id"]


def test_only_the_columns_asked_for_are_fetched(filled):
    """A column that nobody asks for is not even reckoned: this one would fail."""
    source = SqlQuery(filled, "SELECT user_id, 1 / (length(user_id) - length(user_id)) AS bad FROM events")
    assert source.read(["user_id"]).column_names == ["user_id"]
    with pytest.raises(SchemaError, match=r"a query: the database refuses the query: .*division by zero"):
        source.read(["bad"])


@pytest.mark.parametrize("query", ["DELETE FROM events", "SELECT 1; DROP TABLE events", "SELECT nextval('s')"])
def test_nothing_is_written(filled, written, query):
    """A query that would change something is refused, and nothing has changed."""
    with pytest.raises(SchemaError, match="the database refuses the query"):
        SqlQuery(filled, query).read(["x"])
    assert SqlQuery(filled, "SELECT id FROM events").read(["id"]).num_rows == len(written)


def test_a_function_that_writes_is_refused(filled):
    """The connection only reads, whatever the query calls."""
    from adbc_driver_postgresql import dbapi

    made = "CREATE FUNCTION sly() RETURNS int LANGUAGE sql AS 'DELETE FROM events RETURNING 1'"
    with dbapi.connect(filled) as connection, connection.cursor() as cursor:
        cursor.execute(made)
        connection.commit()
    query = "SELECT sly() AS x"
    with pytest.raises(SchemaError, match="read-only transaction"):
        SqlQuery(filled, query).read(["x"])


def test_odd_column_names_are_quoted(filled):
    """A name with capitals, blanks and quotes is itself and nothing to run."""
    name = 'a "B"; --'
    source = SqlQuery(filled, 'SELECT user_id AS "a ""B""; --" FROM events LIMIT 2')
    assert source.schema().names == [name]
    assert source.read([name]).num_rows == 2


@pytest.mark.parametrize("spoil", [
    lambda uri: uri.replace("sesame", "hunter2"),
    lambda uri: uri.replace("/postgres", "/nowhere?password=hunter2"),
    lambda uri: uri.replace("keeper:open%3Asesame", "hunter2:hunter2"),
    lambda _: "postgresql://bob:hunter2@[::1/x",
    lambda _: "postgresql://bob:hun@hunter2@127.0.0.1:1/x",
    lambda _: "postgresql://bob:hunter2@127.0.0.1:port/x",
    lambda _: "postgresql://bob:a?hunter2@127.0.0.1/x",
    lambda _: "postgresql://127.0.0.1:1/x?user=bob&password=hunter2",
    lambda _: "mysql://bob:hunter2@host/x",
])  # fmt: skip
def test_no_password_shows(database, spoil):
    """Whatever is wrong with the address, neither message, cause nor ``repr`` tells the password or the user."""
    source = SqlQuery(spoil(database), "SELECT 1 AS x", "events.sql")
    with pytest.raises(SchemaError, match=r"cannot reach|expected the address") as caught:
        source.schema()
    told = f"{caught.value} {caught.value.__cause__} {source!r} {source.name} {public_address(source.database)}"
    assert not {"hunter2", "bob", "keeper", "sesame"} & set(told.replace("@", " ").replace('"', " ").split())
    assert "hunter2" not in told


def test_the_report_names_the_file(sql):
    """Who reads a report learns which query was asked, and nothing of the address."""
    _, report, _ = EventLog.open(sql, ROLES).read()
    assert report.source == str(sql)
    assert "sesame" not in repr(EventLog.open(sql, ROLES))


def test_an_arrow_reader_of_any_driver_is_a_source(filled, written):
    """Other databases come in through what their driver hands over in Arrow."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(filled) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_id, ts, amount FROM events")
        log = EventLog.open(cursor.fetch_record_batch(), Roles("user_id", "ts", measures=("amount",)))
        timeline, report, _ = log.read()
    assert (len(timeline), report.rejected) == (len(written) - 1, {"no time": 1})


def test_without_an_address_the_way_out_is_told(tmp_path, monkeypatch):
    """The message names the variable; an address in the place of events is refused without being repeated."""
    monkeypatch.delenv("PECULIAR_DATABASE", raising=False)
    (tmp_path / "events.sql").write_text("SELECT 1")
    with pytest.raises(SchemaError, match="address in PECULIAR_DATABASE"):
        open_source(tmp_path / "events.sql")
    with pytest.raises(SchemaError, match=r"such as events\.sql") as caught:
        open_source("postgresql://bob:hunter2@host/db")
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("PECULIAR_DATABASE", "postgresql://host/db")
    with pytest.raises(SchemaError, match=r"none\.sql: expected a query"):
        open_source(tmp_path / "none.sql")


def test_without_the_driver_the_extra_is_named(monkeypatch):
    """Who did not install it is told how to."""
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(SchemaError, match=r"peculiar\[postgresql\]"):
        SqlQuery("postgresql://host/db", "SELECT 1 AS x").schema()
