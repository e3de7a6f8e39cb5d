"""The review page in a real browser: what is read, clicked, pressed and saved, and what must not run."""

from __future__ import annotations

import csv
import json
import re
import statistics
from dataclasses import replace

import pytest
from lead_toys import lead_of

from peculiar.serving.review import Provenance, review_page, write_review

MADE = Provenance("peculiar/3", "a" * 64, "b" * 64, "scores.parquet", notes=("2 rows are bad",))
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
HOSTILE = '</script><img src=x onerror="window.bad=1"><script>window.bad=1</script>'
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(chromium):
    """A Chromium that many pages share."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def show(browser, tmp_path):
    """Write leads as a page and open it without network; the page keeps what the console said and what it asked for."""
    contexts = []

    def opened(leads, *, width=1280, blind=None, **how):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **how)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        written = write_review(leads, MADE, tmp_path / "review.html", blind=blind)
        page.goto(written.output.as_uri())
        page.wait_for_selector("#lead h2", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(show):
    """Thirty leads of three days."""
    return show([lead_of(n) for n in range(30)])


def shown(page) -> list[str]:
    """Names in the list, as far as the filters let them through."""
    return page.locator("#list li:not([hidden]) b").all_text_contents()  # of rows that are not drawn yet, too


def press(page, *keys: str) -> None:
    """One key after the other, with the focus where it is; then the next frame is drawn."""
    for key in keys:
        page.keyboard.press(key)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def saved(page, path) -> list[dict[str, str]]:
    """The file that the page's button hands out."""
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_opens_without_network_and_without_complaint(page):
    """The file alone is asked for, the console is silent, and the first lead is told with all its parts."""
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [page.url]
    assert page.inner_text("h1") == "30 leads to check"
    assert len(shown(page)) == 30
    assert page.inner_text("#lead h2") == "u0000000"
    parts = page.locator("#lead h3").all_inner_texts()
    assert parts == [
        "Why it stands out",
        "Its own days before: different vehicles",
        "What speaks against suspicion",
        "What it did",
    ]
    text = page.inner_text("#lead")
    for told in ("20 different vehicles", "v000 and 19 more", "1 of 400 normal days scores as high", "e0-3"):
        assert told in text
    assert "2 rows are bad" in page.text_content("footer")


def test_the_picture_of_the_days_is_told_in_words_and_numbers(page):
    """The drawing has a description with its figures, and a table that holds a row for each day."""
    from playwright.sync_api import expect

    picture = page.get_by_role("img")
    told = picture.get_attribute("aria-label")
    assert re.search(
        r"in this window 20; 80 of 100 of its own days: 2 to 2; 99 of 100 days of everyone: at most 5", told
    )
    assert picture.locator("rect.bar").count() + picture.locator("circle").count() == 29
    page.click("details summary:has-text('The same as a table')")
    expect(page.locator("#lead details tr")).to_have_count(30)  # it is drawn when the browser has told of the opening


def test_a_hostile_name_is_only_text(show):
    """A name, a reason or a value that looks like markup ends no block, loads nothing and runs nothing."""
    lead = lead_of(0, entity=HOSTILE, reason=HOSTILE)
    values = {**lead.events.dimensions, "vehicle": (HOSTILE,) * 4}
    lead = replace(lead, events=replace(lead.events, dimensions=values, ids=(HOSTILE,) * 4), values=(HOSTILE, ""))
    page = show([lead, lead_of(1)])
    assert page.inner_text("#lead h2") == HOSTILE
    assert page.inner_text("#list li b") == HOSTILE
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert page.evaluate("window.bad") is None
    assert page.said == []


def test_the_policy_forbids_what_is_not_the_pages_own(page):
    """A script that gets in all the same does not run, nor a handler or a style in an attribute; no word leaves."""
    refused = page.evaluate("""async () => {
        const seen = [];
        addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.bad = 1";
        document.body.append(script);
        const box = document.createElement("div");
        box.innerHTML = '<img src="data:," onerror="window.bad = 2"><p style="color: red">x</p>';
        document.body.append(box);
        await fetch("https://example.org/").catch(() => 0);
        await new Promise((done) => setTimeout(done, 100));
        return seen;
    }""")
    assert {"script-src-elem", "script-src-attr", "style-src-attr", "connect-src"} <= set(refused)
    assert page.evaluate("window.bad") is None


def test_filters_narrow_the_list(page):
    """Family, day, verdict and search each leave what fits, together what fits all; the lead shown is among them."""
    page.select_option("#family", "velocity")
    assert shown(page) == [f"u{n:07d}" for n in range(1, 30, 3)]
    assert page.inner_text("#lead h2") == "u0000001"
    page.select_option("#day", "2025-03-04")
    assert shown(page) == ["u0000010", "u0000013", "u0000016", "u0000019"]
    page.select_option("#family", "")
    page.select_option("#day", "")
    page.fill("#q", "V108")  # a vehicle
    assert shown(page) == [f"u{n:07d}" for n in range(30) if 108 in {(n * 7 + each) % 500 for each in range(4)}]
    page.fill("#q", "no such thing")
    assert shown(page) == []
    assert "0 of 30 shown" in page.inner_text("#status")
    page.fill("#q", "")
    page.fill("#reviewer", "kim")
    page.click("#lead button.cleared")
    page.select_option("#state", "cleared")
    assert len(shown(page)) == 1


def test_the_keyboard_is_enough(page, tmp_path):
    """Down, up, verdict, taking it back, note, search, help and saving need no mouse, and the focus can be seen."""
    page.fill("#reviewer", "kim")
    page.focus("#list")
    press(page, "j", "j", "k", "c")
    assert page.inner_text("#list li[aria-selected=true] b") == "u0000001"
    assert page.get_attribute("#list", "aria-activedescendant") == "row-1"
    assert page.get_attribute("#lead button.confirmed", "aria-pressed") == "true"
    press(page, "ArrowDown", "x", "ArrowDown", "u", "ArrowDown", "c", "c")
    assert "u0000004, 2025-03-03: open" in page.inner_text("#status")
    press(page, "n")
    page.keyboard.type("asked the depot, jx")
    press(page, "Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    press(page, "Home", "Enter")
    assert page.evaluate("document.activeElement.textContent") == "u0000000"
    press(page, "Escape", "/")
    assert page.evaluate("document.activeElement.id") == "q"
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(ring.removesuffix("px")) >= 2
    press(page, "Escape", "?")
    assert page.get_by_role("dialog").is_visible()
    press(page, "Escape")
    with page.expect_download() as download:
        page.keyboard.press("s")
    download.value.save_as(tmp_path / "review.csv")
    with (tmp_path / "review.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told = [(row["entity"], row["verdict"], row["state"], row["note"]) for row in rows]
    assert sorted(told) == [
        ("u0000001", "confirmed", "confirmed", ""),
        ("u0000002", "cleared", "cleared", ""),
        ("u0000003", "", "unsure", ""),
        ("u0000004", "", "open", "asked the depot, jx"),
    ]


def test_a_verdict_needs_a_name(page):
    """Without a name nothing is decided, the field for it gets the focus, and the page says why."""
    press(page, "c")
    assert page.evaluate("document.activeElement.id") == "reviewer"
    assert "needs somebody who gave it" in page.inner_text("#status")
    assert page.get_attribute("#lead button.confirmed", "aria-pressed") == "false"


def test_verdicts_outlive_a_reload(page, tmp_path):
    """What was said is there when the page is opened again; another batch's page does not have it."""
    page.fill("#reviewer", "kim")
    page.click("#lead button.confirmed")
    page.reload()
    assert page.inner_text("#list li .chip") == "✔ confirmed"
    assert page.input_value("#reviewer") == "kim"
    (row,) = saved(page, tmp_path / "review.csv")
    assert (row["entity"], row["since"], row["verdict"], row["reviewer"]) == (
        "u0000000",
        "2025-03-03T00:00:00Z",
        "confirmed",
        "kim",
    )
    other = write_review([lead_of(n) for n in range(29)], MADE, tmp_path / "other.html")
    page.goto(other.output.as_uri())
    assert page.inner_text("#list li .chip") == "open"


def test_a_preview_says_that_it_saves_nothing(browser, tmp_path):
    """Framed without rights, as MLflow's preview frames it, the page works and says that it has to be downloaded."""
    written = write_review([lead_of(n) for n in range(3)], MADE, tmp_path / "review.html")
    (tmp_path / "outer.html").write_text(f'<iframe sandbox="allow-scripts" src="{written.output.name}"></iframe>')
    page = browser.new_page()
    page.goto((tmp_path / "outer.html").as_uri())
    frame = page.frame_locator("iframe")
    assert "3 of 3 shown" in frame.locator("#status").inner_text()
    assert "download this file and open it to decide" in frame.locator("#status").inner_text()
    page.close()


def test_a_blind_page_tells_neither_score_nor_pick(show):
    """One random pick makes the page blind: no score, rank, chance or doubt, in no word and no datum, in no order."""
    leads = [lead_of(n, random=n == 7) for n in range(10)]
    page = show(leads)
    assert "This page is blind" in page.inner_text("header")
    text = page.inner_text("body")
    for word in ("score 9", "no. 1", "number 1", "not for its score", "400 normal days", "by chance"):
        assert word not in text
    data = json.loads(page.text_content("#data"))
    kinds = {frozenset(lead) for lead in data["leads"]}
    assert len(kinds) == 1
    assert not kinds.pop() & {"sc", "p", "n", "of", "o", "li", "r", "c", "ch"}
    order = [lead["e"] for lead in data["leads"]]
    assert sorted(order) == [lead.entity for lead in leads]
    assert order != [lead.entity for lead in leads]
    page.fill("#reviewer", "kim")
    page.click("#lead button.cleared")
    page.click("#export")
    assert page.said == []
    opened = show(leads, blind=False)
    assert [name for name in shown(opened) if name in opened.inner_text("#list")] == [lead.entity for lead in leads]
    assert opened.inner_text("#list").count("drawn at random") == 1


def test_a_phone_scrolls_one_way(show):
    """At 390 pixels neither the list nor a lead is wider than the screen, even with long names, and back leads back."""
    page = show([lead_of(0, entity="x" * 90), lead_of(1, reason="y" * 120), lead_of(2)], width=390)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= 390
    for n in range(3):
        page.click(f"#row-{n}")
        assert page.is_visible("#lead h2")
        assert not page.is_visible("#list")
        assert page.evaluate(wide) <= 390
        assert page.locator(".decide button").first.bounding_box()["height"] >= 34
        page.click(".back")
        assert page.is_visible("#list")


CONTRAST = """() => {
    const number = (text) => text.match(/[\\d.]+/g).map(Number);
    const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
        .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
    const behind = (node) => { for (; node; node = node.parentElement) {
        const colour = number(getComputedStyle(node).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour;
    } };
    return [...document.querySelectorAll("h1, h2, h3, p, li, button, .chip, .small, .which, label, td, th, summary, b")]
        .filter((node) => node.offsetParent && node.textContent.trim()).map((node) => {
            const [a, b] = [light(number(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
            return [(a + .05) / (b + .05), node.tagName + "." + node.className];
        }).sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(show, scheme):
    """The page follows the system's scheme, and every text stands out from its ground by 4.5 to 1 at least."""
    page = show([lead_of(n) for n in range(3)], color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 3 * 60) == (scheme == "dark")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where


def test_what_colour_tells_is_told_twice(page):
    """Verdicts have a sign and a word, bars a label and a pattern: nothing hangs on seeing colours."""
    assert page.locator(".decide button").all_inner_texts() == ["✔ confirmed c", "○ cleared x", "? unsure u"]
    bars = page.locator("ol.reasons > li").first.locator(".bars")
    assert bars.locator("span").all_inner_texts() == ["seen", "own usual", "99 of 100 at most"]
    assert "repeating-linear-gradient" in bars.locator(".own i").evaluate(
        "(bar) => getComputedStyle(bar).backgroundImage"
    )


def test_a_thousand_alerts_open_at_once(show):
    """A page of 1,000 alerts with 50 events each answers within seconds of being opened, and to each key at once.

    The bounds are wide, since machines differ: in a browser at rest it is a tenth of them.
    """
    page = show([lead_of(n, events=50) for n in range(1000)])
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert ready < 8_000
    assert len(shown(page)) < 1000  # the others are drawn when somebody gets there
    typing = """async (text) => {
        const field = document.getElementById("q"), begin = performance.now();
        field.value = text;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        document.getElementById("list").offsetHeight;
        return performance.now() - begin;
    }"""
    times = [page.evaluate(typing, text) for text in ("v", "v1", "v12", "v123", "", "u00", "u00009")]
    assert statistics.median(times) < 400
    assert len(shown(page)) == 100
    page.fill("#q", "")
    page.focus("#list")
    press(page, "End")
    assert shown(page)[-1] == page.inner_text("#lead h2") == "u0000999"
    assert len(shown(page)) == 1000


def test_the_page_is_the_same_each_time():
    """The same leads give the same bytes: no clock and no chance is in them."""
    leads = [lead_of(n) for n in range(5)]
    assert review_page(leads, MADE) == review_page(leads, MADE)
