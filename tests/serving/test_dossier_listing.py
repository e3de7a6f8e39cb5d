"""A dossier on paper: what is told once, what is left out, and what is text and no markup."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from lead_toys import lead_of
from rich.console import Console

from peculiar.serving.dossier import Dossier
from peculiar.serving.dossier_listing import bars, dossier_listing


def printed(lead, *, limit: int = 15, notes: tuple[str, ...] = ()) -> str:
    """The dossier of a lead, 100 columns wide."""
    made = Dossier(lead, "peculiar/3", "a" * 64, "b" * 16, "c" * 64, "UTC", "days", notes)
    console = Console(width=100, file=io.StringIO())
    for part in dossier_listing(made, limit=limit):
        console.print(part)
    return console.file.getvalue()


def test_what_all_events_share_is_told_once():
    """One action and one reason of all events stand above the table, not in it; what differs is a column."""
    lines = printed(lead_of(0)).splitlines()
    assert "  the same in each event shown: action ride, reason 1, 2" in [line.rstrip() for line in lines]
    head = next(line for line in lines if line.startswith("time"))
    assert head.split() == ["time", "vehicle", "amount", "id"]


def test_two_events_keep_their_columns():
    """Of two events nothing is worth a line of its own."""
    text = printed(lead_of(0, events=2))
    assert "the same in each" not in text
    assert any(line.split() == ["time", "action", "vehicle", "amount", "id", "reason"] for line in text.splitlines())


def test_the_values_behind_a_reason_stand_under_it():
    """Which vehicles they were is told below how many."""
    text = printed(lead_of(0))
    assert text.index("20 different vehicles") < text.index("v000 and 19 more")


def test_a_first_day_has_no_picture():
    """Where there was nothing in all the days before, that is said in the place of a row of dots."""
    lead = lead_of(0)
    days = np.full(29, np.nan)
    days[-1] = 20.0
    text = printed(replace(lead, history=replace(lead.history, values=days)))
    assert "none: it did nothing in the 28 days before" in text
    assert "·····" not in text


def test_a_weak_reason_says_so_beside_it():
    """The word is under the sentence; scoring's own words for it are not repeated."""
    lead = lead_of(0)
    weak = replace(lead.reasons[0], weak=True, text="20 different vehicles; weak: whatever")
    text = printed(replace(lead, reasons=(weak, lead.reasons[1])))
    assert "weak: without these events it would still be an alert" in text
    assert "whatever" not in text


def test_without_a_reason_it_says_why():
    """In the place of the reasons stands why none can be told."""
    bare = replace(lead_of(0), reasons=(), low=(), values=(), untold="no reason can be told: nothing raised the score")
    lines = [line.strip() for line in printed(bare).splitlines()]
    assert lines[lines.index("Why it stands out") + 1] == "no reason can be told: nothing raised the score"


def test_more_events_than_shown_are_counted():
    """The reader is told how many there are beyond the table."""
    text = printed(lead_of(0, events=40), limit=5)
    assert "40 events are behind these reasons, the window has 43, the first 5 shown" in " ".join(text.split())
    assert "e0-4" in text
    assert "e0-5" not in text


def test_brackets_of_a_log_are_brackets():
    """A name that looks like the console's markup is printed as it is."""
    text = printed(lead_of(0, entity="[red]ann[/red]", reason="[bold]odd[/bold]"))
    assert "[red]ann[/red]" in text
    assert "[bold]odd[/bold]" in text


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1e9)), min_size=1, max_size=40))
def test_bars_follow_the_values(values):
    """A sign a day, a dot where there is no number, and never a lower bar for a higher value."""
    history = replace(lead_of(0).history, values=np.array(values))
    signs = bars(history)
    assert [sign == "·" for sign in signs] == np.isnan(values).tolist()
    told = sorted((value, sign) for value, sign in zip(values, signs, strict=True) if sign != "·")
    assert [sign for _, sign in told] == sorted(sign for _, sign in told)
