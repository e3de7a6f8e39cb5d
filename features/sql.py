"""Events in a SQL database, read by one query and Arrow all the way (ADBC).

The query is the operator's own; around it goes a selection of the columns that are asked for and, where a period is
known, its bounds. Nothing else is asked of the database, and nothing is written to it.

An address may hold a password, so it never shows: not in a report, not in an error, not in a ``repr``. Better still,
leave it out of the address: what the PostgreSQL client looks for by custom (``PGPASSWORD``, ``~/.pgpass``, a service
file) works.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ..errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["DATABASE", "SqlQuery", "public_address"]

DATABASE = "PECULIAR_DATABASE"
_SCHEMES = ("postgresql", "postgres")
_DAY = 86_400_000_000
_NUMBER = "numeric"


@dataclass(frozen=True)
class SqlQuery:
    """The rows of a query, read once: what was read is kept, so that a row's place stays its own.

    Attributes
    ----------
    database : str
        ``postgresql://user@host:port/database``.
    query : str
        One SELECT, or WITH … SELECT.
    name : str
        How reports call it.
    period : tuple of str, int or None, int or None
        The column of time and the bounds of :meth:`within`, microseconds since 1970 UTC.

    Examples
    --------
    >>> SqlQuery("postgresql://ann:secret@db/shop", "SELECT * FROM events", "events.sql")
    SqlQuery(query='SELECT * FROM events', name='events.sql', period=None)
    """

    database: str = field(repr=False)
    query: str
    name: str = "a query"
    period: tuple[str, int | None, int | None] | None = None
    _read: dict[str, pa.Table] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The query in a file, of the database whose address is in the environment variable ``PECULIAR_DATABASE``.

        Raises
        ------
        SchemaError
            If there is no address, or no query that can be read.
        """
        database = os.environ.get(DATABASE, "")
        if not database:
            message = (
                f"{path}: expected the database's address in {DATABASE} (postgresql://user@host/database), got none"
            )
            raise SchemaError(message)
        try:
            query = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path}: expected a query in UTF-8: {error}"
            raise SchemaError(message) from error
        return cls(database, query, str(path))

    def schema(self) -> pa.Schema:
        """The columns as they will be read: numbers of exact decimals and types of PostgreSQL's own arrive as text."""
        return pa.schema([pa.field(each.name, _read_as(each.type)) for each in self._columns()])

    def within(self, at: str, since: int | None, until: int | None) -> Self:
        """The same query for a period, as far as the database can tell.

        What it returns may still hold events outside: those without a time, for whoever counts them, and a day more
        on either side where times have no zone. A column of text cannot be compared, and all of its rows come.

        Parameters
        ----------
        at : str
            The column of time.
        since, until : int or None
            ``[since, until)``, microseconds since 1970 UTC; None leaves a side open.
        """
        return replace(self, period=(at, since, until))

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Read the columns in one query, or take them from what was read before.

        Raises
        ------
        SchemaError
            If the database refuses; the message has its words and not its address.
        """
        held = self._read.get("table")
        if held is None or not set(columns) <= set(held.column_names):
            with self._asked(self._statement(columns)) as cursor:
                held = _plain(cursor.fetch_arrow_table())
            self._read["table"] = held
        return held.select(list(columns))

    def _columns(self) -> pa.Schema:
        with self._asked() as cursor:
            statement = f"SELECT * FROM {self._rows()}"  # noqa: S608 - the operator's own query
            found: pa.Schema = cursor.adbc_execute_schema(statement)
            return found

    def _rows(self) -> str:
        return f"({self.query.strip().rstrip(';')}\n) AS events"

    def _statement(self, columns: Sequence[str]) -> str:
        types = {each.name: each.type for each in self._columns()}
        picked = ", ".join(_picked(name, types[name]) for name in columns) or "1 AS one"
        return f"SELECT {picked} FROM {self._rows()}{self._bounds(types)}"  # noqa: S608 - the operator's own query

    def _bounds(self, types: dict[str, pa.DataType]) -> str:
        at, since, until = self.period or ("", None, None)
        kind = types.get(at, pa.null())
        if since is until is None or not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            return ""
        zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        spare = 0 if zoned else _DAY  # a time without a zone may be read in any
        bounds = [
            f"{_quoted(at)} {sign} {_stamp(bound + more, zoned=zoned)}"
            for sign, bound, more in ((">=", since, -spare), ("<", until, spare))
            if bound is not None
        ]
        return f" WHERE ({' AND '.join(bounds)}) OR {_quoted(at)} IS NULL"

    @contextmanager
    def _asked(self, statement: str | None = None) -> Iterator[Any]:
        """A cursor of a connection that only reads, with the statement executed, if there is one."""
        connect, refused = _driver(self.database)
        try:
            connection = connect(self.database)
        except refused as error:
            message = f"{self.name}: cannot reach {public_address(self.database)}{_heard(error)}"
            raise SchemaError(message) from None  # the driver's own words may hold the address
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = on")
                connection.commit()
                if statement is not None:
                    cursor.execute(statement)
                yield cursor
        except refused as error:
            told = str(error).strip().splitlines()[0]
            message = f"{self.name}: the database refuses the query: {told}"
            raise SchemaError(message) from error


def public_address(database: str) -> str:
    """An address without the user, the password and the options.

    Examples
    --------
    >>> public_address("postgresql://ann:secret@db:5432/shop?sslpassword=other")
    'postgresql://db:5432/shop'
    """
    scheme, _, rest = database.partition("://")
    place, _, options = rest.partition("?")
    if scheme not in _SCHEMES or "@" in options:  # a password with signs of its own: nobody knows where it ends
        return "the database"
    return f"{scheme}://{place.rpartition('@')[2]}"


def _heard(error: Exception) -> str:
    """Of what the driver says: why a server refused, but not whom; else nothing, it may quote the address."""
    start = str(error).find("connection to server at")
    if start < 0:
        return f"; expected an address such as postgresql://user@host:5432/database in {DATABASE}"
    told = str(error)[start:].strip().splitlines()[0]
    return ": " + re.sub(r'(user|role) "[^"]*"', r"that \1", told)


def _driver(database: str) -> tuple[Any, type[Exception]]:
    if database.partition("://")[0] not in _SCHEMES:
        message = (
            "expected the address of a PostgreSQL database, postgresql://user@host/database; of another database give "
            "an Arrow reader or a frame"
        )
        raise SchemaError(message)
    try:
        import adbc_driver_manager
        from adbc_driver_postgresql import dbapi
    except ImportError as error:
        message = "reading from PostgreSQL needs the extra: pip install 'peculiar[postgresql]'"
        raise SchemaError(message) from error
    return dbapi.connect, adbc_driver_manager.Error


def _picked(name: str, kind: pa.DataType) -> str:
    """A column; what has no plain Arrow type is turned into text by the database, which knows how it is written."""
    if _is_plain(kind) or _is_decimal(kind):
        return _quoted(name)
    return f"CAST({_quoted(name)} AS text) AS {_quoted(name)}"


def _is_plain(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_nested(kind):
        return False
    return not (pa.types.is_binary(kind) or pa.types.is_interval(kind) or pa.types.is_time(kind))


def _is_decimal(kind: pa.DataType) -> bool:
    """Whether it is ``numeric``, which arrives as text: as a float a long id would lose its last digits."""
    return isinstance(kind, pa.BaseExtensionType) and getattr(kind, "type_name", "") == _NUMBER


def _read_as(kind: pa.DataType) -> pa.DataType:
    return kind if _is_plain(kind) else pa.string()


def _plain(table: pa.Table) -> pa.Table:
    """Without types of a driver's own and its notes."""
    columns = [
        column.cast(column.type.storage_type) if isinstance(column.type, pa.BaseExtensionType) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _stamp(micros: int, *, zoned: bool) -> str:
    moment = str(np.datetime64(micros, "us")).replace("T", " ")
    return f"TIMESTAMPTZ '{moment}+00'" if zoned else f"TIMESTAMP '{moment}'"
