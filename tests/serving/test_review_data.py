"""What a review page holds: numbers as the log has them, each value once, and blind nothing that must not be told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from lead_toys import BEGIN, DAY, lead_of

from peculiar.serving.review import Provenance, review_page, write_review
from peculiar.serving.review_data import page_data

MADE = Provenance("peculiar/3", "a" * 64, "b" * 64, "scores.parquet")


def data_of(*leads, zone: str = "UTC", blind: bool = False) -> dict:
    """The data as the page's script reads it: JSON has no NaN."""
    return json.loads(json.dumps(page_data(leads, zone, "days", blind=blind), allow_nan=False))


def test_events_can_be_put_together_again():
    """Times, values, amounts and reasons of each event are those of the lead, to the last digit."""
    lead = lead_of(3, events=5)
    data = data_of(lead)
    events = data["leads"][0]["ev"]
    begin = np.datetime64(events["b"], "us").astype(np.int64)
    assert [begin + second * 1_000_000 for second in events["t"]] == lead.events.at.tolist()
    vehicles = [data["values"]["vehicle"][code] for code in events["d"]["vehicle"]]
    assert tuple(vehicles) == lead.events.dimensions["vehicle"]
    assert events["m"]["amount"] == lead.events.measures["amount"].tolist()
    assert [[n for n in range(2) if mask >> n & 1] for mask in events["w"]] == [[0, 1]] * 5
    assert (events["i"][0], events["n"], events["of"]) == ("e3-0", 5, 8)


def test_a_value_is_written_once_for_all_leads():
    """Twenty leads with one action share its name; missing values and empty columns are told from values."""
    leads = [lead_of(n) for n in range(20)]
    gone = replace(leads[0].events, dimensions={**leads[0].events.dimensions, "vehicle": (None, "v1", None, None)})
    empty = replace(
        gone, dimensions={**gone.dimensions, "action": (None,) * 4}, measures={"amount": np.full(4, np.nan)}
    )
    data = data_of(replace(leads[0], events=empty), *leads[1:])
    assert data["values"]["action"] == ["ride"]
    first = data["leads"][0]["ev"]
    assert first["d"] == {"vehicle": [-1, 0, -1, -1]}
    assert first["m"] == {}


def test_times_are_those_of_the_logs_zone():
    """A day of Vienna begins an hour before that of UTC, and is told by its own date."""
    lead = replace(lead_of(0), since=BEGIN - DAY // 24, as_of=BEGIN + DAY - DAY // 24)
    told = data_of(lead, zone="Europe/Vienna")["leads"][0]
    assert (told["d"], told["s"], told["w"]) == ("2025-03-03", "2025-03-02T23:00:00Z", "Monday 3 March 2025")
    assert told["ev"]["b"] == "2025-03-03T00:00:00"
    assert told["ev"]["t"][0] == 3600


def test_what_is_no_number_is_null():
    """NaN becomes null, whole numbers have no decimals, others six digits."""
    lead = lead_of(0)
    odd = replace(lead.reasons[0], usual=float("nan"), everyone=float("nan"), seen=1 / 3)
    why = data_of(replace(lead, reasons=(odd, lead.reasons[1])))["leads"][0]["why"]
    assert why[0]["y"] == [0.333333, None, None]
    assert why[1]["y"] == [20, 2, 5]
    assert why[0]["z"][1] == ""


def test_a_lead_without_reasons_or_history_is_still_one():
    """A random pick may have nothing odd about it."""
    lead = lead_of(0)
    bare = replace(lead, reasons=(), low=(), values=(), history=replace(lead.history, feature=""), untold="no: why")
    told = data_of(bare)["leads"][0]
    assert (told["why"], told["un"], told["f"], told["h"]) == ([], "no: why", "", None)


def test_blind_leads_look_alike():
    """A random pick and the oddest of the day differ in no key, reason or doubt, and the order means nothing."""
    weak = replace(lead_of(0), reasons=tuple(replace(reason, weak=True) for reason in lead_of(0).reasons))
    leads = [weak, *(lead_of(n, random=n % 2 == 1) for n in range(1, 40))]
    told = data_of(*leads, blind=True)["leads"]
    assert len({frozenset(lead) for lead in told}) == 1
    assert not any(why["weak"] for lead in told for why in lead["why"])
    assert all(lead["no"] == ["short history"] for lead in told)
    assert [lead["d"] for lead in told] == sorted((lead["d"] for lead in told), reverse=True)
    again = data_of(*reversed(leads), blind=True)["leads"]
    assert [lead["e"] for lead in again] == [lead["e"] for lead in told]
    assert [lead["e"] for lead in told if lead["d"] == "2025-03-03"] != [lead.entity for lead in leads[:10]]


def test_nothing_in_the_data_ends_its_block():
    """The one end of the data's block is its own, whatever the values hold."""
    page = review_page([lead_of(0, entity="</script><!--\u2028<b>&")], MADE)
    assert page.count("</script>") == 2
    assert "<!--" not in page
    assert "\u2028" not in page


def test_no_alerts_make_a_page_too(tmp_path):
    """A night without alerts has a page that says so."""
    written = write_review([], MADE, tmp_path / "none.html")
    assert (written.alerts, written.blind) == (0, False)
    assert "0 leads to check" in written.output.read_text(encoding="utf-8")


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    """An error before the page is shown leaves what was there before, and nothing beside it."""
    before = write_review([lead_of(0)], MADE, tmp_path / "page.html").output.read_bytes()

    def fail() -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_review([lead_of(1)], MADE, tmp_path / "page.html", ready=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_bytes() == before
