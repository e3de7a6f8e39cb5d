"""Which column plays which part.

Roles are given in ``peculiar.toml`` or guessed from names and types. A guess is always shown, never silent, and never
makes a feature of a label or of a protected attribute.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from ..errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Roles", "guess_roles"]

ENTITY_NAMES = (
    "entity", "user_id", "user", "userid", "customer_id", "customer", "card_id", "card", "account_id", "account",
    "client_id", "employee_id", "employee", "member_id", "username", "actor", "subject",
)  # fmt: skip
TIME_NAMES = (
    "at", "ts", "timestamp", "time", "datetime", "event_time", "event_ts", "occurred_at", "created_at", "tx_datetime",
    "date",
)  # fmt: skip
ID_NAMES = ("event_id", "id", "transaction_id", "tx_id", "uuid", "event_uuid")
ACTION_NAMES = ("action", "event_type", "event", "type", "activity", "verb", "operation")
MEASURE_NAMES = ("amount", "price", "value", "bytes", "size", "duration", "quantity", "qty", "count", "total", "cost")
LABEL_WORDS = ("label", "is_fraud", "fraud", "target", "is_anomaly", "anomaly", "scenario", "known_at", "outcome")
LATITUDE_NAMES = ("lat", "latitude")
LONGITUDE_NAMES = ("lon", "lng", "longitude")
PROTECTED_WORDS = (
    "gender", "sex", "age", "birth", "race", "ethnic", "religion", "nationality", "marital", "disab", "orientation",
    "pregnan", "union_member", "health",
)  # fmt: skip


@dataclass(frozen=True)
class Roles:
    """The part each column plays.

    Attributes
    ----------
    entity : str
        Whose behaviour is judged: a user, card, account.
    at : str
        When the event happened: a timestamp, a date, or text that reads as one.
    id : str or None
        A key unique to the event; exact duplicates by it are dropped.
    dimensions : tuple of str
        Categorical columns: action, item, merchant, device, country.
    action : str or None
        The dimension that says what was done; its commonest values get counts of their own.
    measures : tuple of str
        Numeric, nullable columns: amount, bytes.
    audit_only : tuple of str
        Attributes that may only ever slice a report for fairness; no feature is made of them.
    time_zone : str
        The zone in which days begin and hours are told, and in which times without a zone are read.
    place : pair of str or None
        The columns of latitude and longitude, in degrees.
    peer_by : str or None
        A categorical column whose equal values make entities peers: a branch, a department. It may be a dimension too.
    """

    entity: str
    at: str
    id: str | None = None
    dimensions: tuple[str, ...] = ()
    action: str | None = None
    measures: tuple[str, ...] = ()
    audit_only: tuple[str, ...] = ()
    time_zone: str = "UTC"
    place: tuple[str, str] | None = None
    peer_by: str | None = None

    def __post_init__(self) -> None:
        """Put the action among the dimensions, and refuse contradictions."""
        if self.action is not None and self.action not in self.dimensions:
            object.__setattr__(self, "dimensions", (self.action, *self.dimensions))
        _check_pair(self.place)
        self._check_single_part()
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            message = f"expected an IANA time zone such as 'Europe/Berlin', got {self.time_zone!r}"
            raise SchemaError(message) from None

    def _check_single_part(self) -> None:
        parts = [*self.columns, *self.audit_only]
        twice = sorted({part for part in parts if parts.count(part) > 1})
        if twice:
            message = (
                f"expected each column to play one part, but {', '.join(map(repr, twice))} plays two; name it once"
            )
            raise SchemaError(message)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that features are made of, and the id."""
        peer_by = () if self.peer_by is None or self.peer_by in self.dimensions else (self.peer_by,)
        others = (*self.dimensions, *self.measures, *(self.place or ()), *peer_by)
        return (self.entity, self.at, *filter(None, [self.id]), *others)

    def check(self, schema: pa.Schema, where: str) -> None:
        """See that each column exists and can play its part.

        Raises
        ------
        SchemaError
            Naming the column, what it should be, and the nearest name there is.
        """
        for column in self.columns:
            if column not in schema.names:
                near = difflib.get_close_matches(column, schema.names, n=1, cutoff=0.5)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(schema.names)}"
                message = f"{where}: expected a column {column!r}, found none{hint}"
                raise SchemaError(message)
        for column in (*self.dimensions, *filter(None, [self.peer_by])):
            _check_dimension(schema.field(column), where)
        for column in (*self.measures, *(self.place or ())):
            _check_measure(schema.field(column), where)
        _check_time(schema.field(self.at), where)
        _check_entity(schema.field(self.entity), where)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote."""
        known: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in plain.items()}
        return cls(**known)

    def describe(self) -> str:
        """One line per role, for a person to check."""
        shown = {name: value for name, value in self.to_dict().items() if value not in (None, [])}
        return "\n".join(f"  {name:<11} {', '.join(v) if isinstance(v, list) else v}" for name, v in shown.items())


def guess_roles(schema: pa.Schema, where: str = "the log") -> tuple[Roles, tuple[str, ...]]:
    """Guess the roles from names and types.

    Parameters
    ----------
    schema : pyarrow.Schema
        The log's columns.
    where : str
        How to call the log in an error.

    Returns
    -------
    roles : Roles
    left_out : tuple of str
        Columns that got no part: labels and types that no role takes.

    Raises
    ------
    SchemaError
        If no column looks like an entity or like a time.

    Examples
    --------
    >>> import pyarrow as pa
    >>> log = pa.schema({"user_id": pa.string(), "ts": pa.timestamp("us"), "amount": pa.float64(), "shop": pa.string()})
    >>> guess_roles(log)[0].dimensions
    ('shop',)
    """
    entity = _named(schema, ENTITY_NAMES, _could_be_entity)
    at = _named(schema, TIME_NAMES, _is_time) or next((field.name for field in schema if _is_time(field.type)), None)
    at = at or _named(schema, TIME_NAMES, _could_be_time)
    if entity is None or at is None:
        missing = "entity (user_id, card_id …)" if entity is None else "time (ts, timestamp …)"
        message = f"{where}: cannot guess the {missing} among {', '.join(schema.names)}; name it in peculiar.toml"
        raise SchemaError(message)
    taken = {entity, at, event_id} if (event_id := _named(schema, ID_NAMES, _could_be_entity)) else {entity, at}
    rest = [field for field in schema if field.name not in taken and not _is_label(field.name)]
    protected = tuple(field.name for field in rest if _is_protected(field.name))
    place = _guessed_place(schema)
    rest = [field for field in rest if field.name not in (*protected, *(place or ()))]
    dimensions = tuple(field.name for field in rest if _could_be_dimension(field))
    action = next((name for name in ACTION_NAMES if name in dimensions), None)
    measures = tuple(field.name for field in rest if field.name not in dimensions and _could_be_measure(field))
    roles = Roles(entity, at, event_id, dimensions, action, measures, protected, place=place)
    used = {*roles.columns, *protected}
    return roles, tuple(name for name in schema.names if name not in used)


def _named(schema: pa.Schema, names: tuple[str, ...], fits: Any) -> str | None:
    lower = {field.name.lower(): field for field in schema}
    return next((lower[name].name for name in names if name in lower and fits(lower[name].type)), None)


def _guessed_place(schema: pa.Schema) -> tuple[str, str] | None:
    """Latitude and longitude, if both are there as numbers."""
    latitude, longitude = (_named(schema, names, _is_number) for names in (LATITUDE_NAMES, LONGITUDE_NAMES))
    return None if latitude is None or longitude is None else (latitude, longitude)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _could_be_entity(kind: pa.DataType) -> bool:
    return _is_text(kind) or pa.types.is_integer(_plain(kind))


def _is_time(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _could_be_time(kind: pa.DataType) -> bool:
    return _is_time(kind) or _is_text(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _could_be_dimension(field: pa.Field) -> bool:
    if field.name.lower() in MEASURE_NAMES:
        return False
    is_key = pa.types.is_integer(field.type) and field.name.lower().endswith(("_id", "id", "code"))
    return _is_text(field.type) or pa.types.is_boolean(field.type) or is_key


def _could_be_measure(field: pa.Field) -> bool:
    named = field.name.lower() in MEASURE_NAMES
    return (
        pa.types.is_floating(field.type)
        or pa.types.is_decimal(field.type)
        or (named and (_is_number(field.type) or _is_text(field.type)))
    )


def _words(name: str) -> list[str]:
    """The words of a column's name, whether they are told apart by signs or by capitals."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _is_label(name: str) -> bool:
    return "_".join(_words(name)) in LABEL_WORDS or bool({"label", "fraud", "anomaly"} & set(_words(name)))


def _is_protected(name: str) -> bool:
    words = _words(name)
    stems = any(word == mark or (len(mark) > 3 and word.startswith(mark)) for word in words for mark in PROTECTED_WORDS)
    return stems or any("_" in mark and mark in "_".join(words) for mark in PROTECTED_WORDS)


def _check_pair(place: tuple[str, ...] | None) -> None:
    if place is not None and len(place) != 2:
        message = f"expected place = [latitude, longitude], two columns, got {', '.join(place) or 'none'}"
        raise SchemaError(message)


def _check_dimension(field: pa.Field, where: str) -> None:
    kind = _plain(field.type)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        message = f"{where}: expected single values in {field.name!r}, found {kind}; cast it to text or leave it out"
        raise SchemaError(message)


def _check_measure(field: pa.Field, where: str) -> None:
    if not (_is_number(field.type) or _is_text(field.type)):
        message = (
            f"{where}: expected numbers in {field.name!r}, found {field.type}; make it a dimension or leave it out"
        )
        raise SchemaError(message)


def _check_time(field: pa.Field, where: str) -> None:
    if not _could_be_time(field.type):
        message = (
            f"{where}: expected times in {field.name!r}, found {field.type}; cast it to a timestamp first, since a "
            "bare number does not say whether it counts seconds or milliseconds"
        )
        raise SchemaError(message)


def _check_entity(field: pa.Field, where: str) -> None:
    if not _could_be_entity(field.type):
        message = f"{where}: expected text or whole numbers as the entity in {field.name!r}, found {field.type}"
        raise SchemaError(message)
