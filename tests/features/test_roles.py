"""Roles are checked against the columns, and guessed with care."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.errors import SchemaError
from peculiar.features.roles import LABEL_WORDS, Roles, guess_roles

TEXT, NUMBER, WHOLE, TIME = pa.string(), pa.float64(), pa.int64(), pa.timestamp("us", tz="UTC")


def schema(**columns):
    """Columns by keyword."""
    return pa.schema(columns)


def test_the_action_is_a_dimension():
    """An action that is not named among the dimensions becomes the first of them; one that is stays where it is."""
    assert Roles("u", "t", dimensions=("shop",), action="verb").dimensions == ("verb", "shop")
    assert Roles("u", "t", dimensions=("shop", "verb"), action="verb").dimensions == ("shop", "verb")


@pytest.mark.parametrize(
    "parts",
    [{"id": "u"}, {"dimensions": ("u",)}, {"measures": ("t",)}, {"dimensions": ("a",), "measures": ("a",)},
     {"dimensions": ("a",), "audit_only": ("a",)}, {"dimensions": ("a", "a")}, {"place": ("a", "a")},
     {"place": ("a", "b"), "measures": ("b",)}, {"peer_by": "u"}, {"peer_by": "a", "measures": ("a",)},
     {"peer_by": "a", "audit_only": ("a",)}],
)  # fmt: skip
def test_a_column_plays_one_part(parts):
    """A column named twice is refused: an attribute for audits alone, above all, cannot be a dimension as well."""
    with pytest.raises(SchemaError, match="plays two; name it once"):
        Roles("u", "t", **parts)


@pytest.mark.parametrize("zone", ["Berlin", "UTC+1", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused(zone):
    """A zone that IANA does not know is refused with an example of one that it does."""
    with pytest.raises(SchemaError, match="expected an IANA time zone such as 'Europe/Berlin'"):
        Roles("u", "t", time_zone=zone)


def test_a_missing_column_names_the_nearest():
    """A slip of the pen is answered with the column that was probably meant."""
    with pytest.raises(SchemaError, match="the log: expected a column 'usr_id', found none; did you mean 'user_id'"):
        Roles("usr_id", "ts").check(schema(user_id=TEXT, ts=TIME), "the log")


def test_a_missing_column_like_none_lists_all():
    """Where no name is near, the error lists what there is."""
    with pytest.raises(SchemaError, match="found none; it has a, b"):
        Roles("employee", "b").check(schema(a=TEXT, b=TIME), "the log")


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        ("user", NUMBER, "expected text or whole numbers as the entity in 'user', found double"),
        ("at", WHOLE, "expected times in 'at', found int64; cast it to a timestamp first"),
        ("at", NUMBER, "expected times in 'at', found double"),
        ("spent", TIME, "expected numbers in 'spent', found timestamp"),
        ("spent", pa.bool_(), "expected numbers in 'spent', found bool; make it a dimension"),
        ("lat", TIME, "expected numbers in 'lat', found timestamp"),
        ("lon", pa.bool_(), "expected numbers in 'lon', found bool"),
        ("branch", pa.list_(TEXT), "expected single values in 'branch', found list"),
        ("shop", pa.list_(TEXT), "expected single values in 'shop', found list"),
        ("shop", pa.binary(), "expected single values in 'shop', found binary; cast it to text"),
        ("shop", pa.struct({"a": TEXT}), "expected single values in 'shop', found struct"),
    ],
)
def test_a_wrong_type_is_refused(column, kind, message):
    """A column that cannot play its part is refused with its name, what it is and what it should be."""
    usual = {"user": TEXT, "at": TIME, "shop": TEXT, "spent": NUMBER, "lat": NUMBER, "lon": NUMBER, "branch": TEXT}
    parts = {"dimensions": ("shop",), "measures": ("spent",), "place": ("lat", "lon"), "peer_by": "branch"}
    Roles("user", "at", **parts).check(schema(**usual), "the log")
    with pytest.raises(SchemaError, match=message):
        Roles("user", "at", **parts).check(schema(**usual | {column: kind}), "the log")


@pytest.mark.parametrize("kind", [TEXT, pa.large_string(), pa.string_view(), WHOLE, pa.dictionary(pa.int32(), TEXT)])
def test_an_entity_is_text_or_a_whole_number(kind):
    """Text in all its Arrow types and whole numbers may say whose behaviour it is."""
    Roles("user", "at").check(schema(user=kind, at=TIME), "the log")
    assert guess_roles(schema(user_id=kind, at=TIME))[0].entity == "user_id"


def test_roles_survive_json():
    """Roles written to JSON come back equal."""
    roles = Roles("u", "t", "i", ("d",), "a", ("m",), ("gender",), "Europe/Berlin", ("lat", "lon"), "branch")
    assert Roles.from_dict(json.loads(json.dumps(roles.to_dict()))) == roles


def test_columns_leave_the_audited_attributes_out():
    """What features are made of never includes an attribute that is for audits alone."""
    roles = Roles("u", "t", "i", ("d",), "a", ("m",), ("gender",))
    assert roles.columns == ("u", "t", "i", "a", "d", "m")


def test_place_and_peers_are_among_the_columns():
    """A place has two columns; what makes peers is read once, whether it is a dimension as well or not."""
    assert Roles("u", "t", place=("y", "x"), peer_by="b").columns == ("u", "t", "y", "x", "b")
    assert Roles("u", "t", dimensions=("b",), peer_by="b").columns == ("u", "t", "b")


@pytest.mark.parametrize("place", [(), ("lat",), ("lat", "lon", "height")])
def test_a_place_has_two_columns(place):
    """One column alone, or a third, is no place."""
    with pytest.raises(SchemaError, match=r"expected place = \[latitude, longitude\], two columns, got"):
        Roles("u", "t", place=place)


@pytest.mark.parametrize("names", [("lat", "lon"), ("Latitude", "LONGITUDE"), ("lat", "lng")])
@pytest.mark.parametrize("kind", [NUMBER, pa.float32(), WHOLE, pa.decimal128(9, 6)])
def test_a_place_is_guessed(names, kind):
    """Latitude and longitude, if both are numbers, are a place and no measures."""
    roles, left_out = guess_roles(pa.schema([("user", TEXT), ("at", TIME), *((name, kind) for name in names)]))
    assert (roles.place, roles.measures, left_out) == (names, (), ())


def test_half_a_place_is_none():
    """A latitude without a longitude, or with one in text, is what it would be under any name."""
    assert guess_roles(schema(user=TEXT, at=TIME, lat=NUMBER))[0] == Roles("user", "at", measures=("lat",))
    guessed = guess_roles(schema(user=TEXT, at=TIME, lat=NUMBER, lon=TEXT))[0]
    assert (guessed.place, guessed.measures, guessed.dimensions) == (None, ("lat",), ("lon",))


def test_describe_shows_each_role_in_use():
    """A person sees one line per role that a column plays."""
    lines = Roles("u", "t", dimensions=("d", "e")).describe().splitlines()
    assert [line.split() for line in lines] == [
        ["entity", "u"],
        ["at", "t"],
        ["dimensions", "d,", "e"],
        ["time_zone", "UTC"],
    ]


def test_a_usual_log_is_guessed():
    """Names and types of a card log give the parts a person would give."""
    log = schema(
        TX_ID=WHOLE, ts=TIME, customer_id=WHOLE, terminal_id=WHOLE, amount=NUMBER, event_type=TEXT, online=pa.bool_(),
        price=TEXT, is_fraud=WHOLE, gender=TEXT, payload=pa.binary(),
    )  # fmt: skip
    roles, left_out = guess_roles(log)
    assert roles == Roles(
        "customer_id",
        "ts",
        "TX_ID",
        ("terminal_id", "event_type", "online"),
        "event_type",
        ("amount", "price"),
        ("gender",),
    )
    assert left_out == ("is_fraud", "payload")


def test_a_time_is_guessed_from_its_type_before_its_text():
    """A timestamp of any name is preferred to text called "date"."""
    assert guess_roles(schema(user=TEXT, date=TEXT, booked=TIME))[0].at == "booked"
    assert guess_roles(schema(user=TEXT, date=TEXT))[0].at == "date"


def test_what_cannot_be_guessed_is_refused():
    """Without an entity or a time the error says which is missing and where to name it."""
    with pytest.raises(SchemaError, match=r"cannot guess the entity .* among shop, ts; name it in peculiar\.toml"):
        guess_roles(schema(shop=TEXT, ts=TIME))
    with pytest.raises(SchemaError, match=r"cannot guess the time .* among user, when_it_was"):
        guess_roles(schema(user=TEXT, when_it_was=NUMBER))


PROTECTED = ("gender", "Sex", "user_age", "AGE", "age_group", "birth_date", "birthday", "race", "ethnicity", "religion",
             "nationality", "marital_status", "disability", "sexual_orientation", "pregnant", "union_member",
             "health_status", "customerAge", "DateOfBirth", "unionMember", "a.gender", "Marital State")  # fmt: skip


@pytest.mark.parametrize("name", PROTECTED)
@pytest.mark.parametrize("kind", [TEXT, NUMBER, WHOLE])
def test_a_protected_attribute_is_never_a_feature_by_a_guess(name, kind):
    """Gender, age and the like become attributes for audits alone, whatever their type and spelling."""
    roles, _ = guess_roles(pa.schema({"user": TEXT, "at": TIME, name: kind}))
    assert name not in roles.columns
    assert roles.audit_only == (name,)


@pytest.mark.parametrize("name", ["page", "usage", "message", "stage", "language", "interface", "trace"])
def test_a_word_that_merely_contains_one_is_no_protected_attribute(name):
    """A page is not an age, a trace not a race: they stay dimensions."""
    assert guess_roles(pa.schema({"user": TEXT, "at": TIME, name: TEXT}))[0].dimensions == (name,)


@given(
    st.lists(
        st.sampled_from(
            [*LABEL_WORDS, *PROTECTED, "shop", "amount", "action", "Label", "IS_FRAUD", "isFraud", "TX_FRAUD"]
        ),
        unique=True,
    ),
    st.sampled_from([TEXT, NUMBER, WHOLE, pa.bool_()]),
)
@settings(max_examples=40)
def test_no_guess_makes_a_feature_of_a_label(names, kind):
    """Whatever else is in a log, neither a label nor a protected attribute becomes a feature."""
    roles, left_out = guess_roles(pa.schema([("user", TEXT), ("at", TIME), *((name, kind) for name in names)]))
    labels = {name for name in names if name.lower() in LABEL_WORDS or "fraud" in name.lower()}
    assert not labels & {*roles.columns, *roles.audit_only}
    assert labels <= set(left_out)
    assert not set(PROTECTED) & set(roles.columns)
    assert {*roles.columns, *roles.audit_only, *left_out} == {"user", "at", *names}
