"""The table in the terminal: nothing is cut off at 100 columns, and numbers are short and true."""

from __future__ import annotations

import io
import re

import pytest
from event_logs import rich_log, roles, table_of
from rich.console import Console

from peculiar.features.describe import describe
from peculiar.features.events import EventLog
from peculiar.features.listing import listing, number, share
from peculiar.features.plan import FeaturePlan


@pytest.fixture(scope="module")
def description():
    """Of the rich log."""
    log = EventLog.open(table_of(rich_log()), roles())
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles)
    return describe(plan.vectors(timeline, plan.fit(timeline)), "rich [log]")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_everything_is_said_within_the_width(description, width):
    """Every name, unit and meaning is there in full, wrapped and never cut, brackets and all."""
    console = Console(width=width, file=io.StringIO())
    for part in listing(description):
        console.print(part)
    lines = console.file.getvalue().splitlines()
    assert lines[0].startswith("rich [log]: ")
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    figures = r"( +([-<>]*\S+|·)){6}$"  # the six columns at the right, which wrapped text stands beside
    said = "".join(re.sub(r"\s", "", re.sub(figures, "", line)) for line in lines)
    for portrait in description.portraits:
        assert re.sub(r"\s", "", portrait.feature.name) in said
        assert re.sub(r"\s", "", portrait.feature.meaning) in said


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"), (9999.0, "9,999"), (1234.5, "1,234"), (12_345.0, "12.3k"), (2.5e6, "2.5M"), (7e13, "70T"),
        (-3.14159, "-3.14"), (0.00042, "4e-04"), (1e20, "1.0e+20"), (float("nan"), "·"),
    ],
)  # fmt: skip
def test_numbers_are_short(value, told):
    """Three digits that matter, whole numbers whole as long as they are short."""
    assert number(value) == told


@pytest.mark.parametrize(("part", "told"), [(0.0, "0%"), (1e-9, "<1%"), (0.5, "50%"), (0.999, ">99%"), (1.0, "100%")])
def test_shares_do_not_round_to_nothing_or_all(part, told):
    """A few nulls are not none."""
    assert share(part) == told
