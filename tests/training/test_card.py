"""The model card: complete, printable, and without a name of anybody in it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from peculiar.training.candidates import fit_candidate
from peculiar.training.card import card_of, pages_of
from peculiar.training.judgement import judge
from peculiar.training.references import load


@pytest.fixture(scope="module")
def card(trained):
    """The card of the forest, with an owner and a slice that would like to be markup."""
    material = trained.result.material
    text = ["<script>alert(1)</script>|" if row % 2 else None for row in range(len(material.test))]
    asides = replace(material.asides, audited={"sort": pa.array(text).dictionary_encode()})
    candidate = next(each for each in trained.result.candidates if each.kind == "isolation_forest")
    judged = judge(candidate.fitted, candidate.score, replace(material, asides=asides), budget=10, seed=0)
    told = replace(candidate, judged=judged, metrics=judged.metrics)
    settings = replace(trained.settings, owner="The fraud desk <desk@example.org>")
    return card_of(told, replace(material, asides=asides), settings, trained.result.report, data="cafe")


def test_a_card_is_plain_data(card, trained):
    """JSON holds it without NaN, and it tells counts, families, calibration and fingerprints."""
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    material = trained.result.material
    assert (card["train_rows"], card["test_rows"]) == (len(material.train), len(material.test))
    assert sum(card["families"].values()) == len(material.plan.features)
    assert card["calibration"]["rows"] == len(material.later.vectors)
    assert card["fingerprints"] == {"plan": material.plan.fingerprint, "data": "cafe"}


@pytest.mark.parametrize("name", ["card.html", "card.md"])
def test_both_pages_tell_purpose_limits_and_figures(card, name):
    """What it is for, what not, how well, how calibrated, and what it cannot see."""
    page = pages_of(card)[name]
    for told in ("Never a verdict", "Not for", "desk@example.org", "Unknown is not harmless", "Average precision",
                 "The promise", "cafe", f"{card['train_rows']:,}"):  # fmt: skip
        assert told in page
    assert f"{card['metrics']['test/average_precision']:.3f}" in page


def test_what_comes_from_the_log_is_no_markup(card):
    """A value of a column can neither run in the page nor break the table."""
    pages = pages_of(card)
    assert "<script" not in pages["card.html"]
    assert "<script" not in pages["card.md"]
    lines = [line for line in pages["card.md"].splitlines() if "alert(1)" in line]
    assert lines
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 7 for line in lines)


def test_the_page_fetches_nothing(card):
    """It is self-contained: nothing is loaded from anywhere."""
    assert not re.search(r"(src|href)\s*=|url\(|@import", pages_of(card)["card.html"])


def test_no_entity_is_named(card, trained):
    """No entity of the log is in the data or on the pages."""
    everything = json.dumps(card) + "".join(pages_of(card).values())
    names = trained.result.material.test.entity.dictionary.to_pylist()
    assert not [name for name in names if name in everything]


def test_the_card_without_labels_says_so(trained):
    """Nothing is claimed about what was not judged."""
    none = dict.fromkeys(("labels", "train_truth", "test_truth", "train_weight", "test_cleared"))
    bare = replace(trained.result.material, later=None, **none)
    candidate = fit_candidate("isolation_forest", bare, trained.settings)
    pages = pages_of(card_of(candidate, bare, trained.settings, trained.result.report))
    for page in pages.values():
        assert "Not judged: there were no labels" in page
        assert "Not calibrated" in page
        assert "not named" in page


def test_the_registered_model_brings_its_card(trained):
    """The pages in the bundle are those of the run, and of the card's data."""
    for version in trained.result.versions:
        model = load(trained.store, version.uri).model
        assert model.pages == pages_of(model.card)
        there = {item.path for item in trained.store.client.list_artifacts(version.run_id)}
        assert {"card.html", "card.md", "judged.parquet"} <= there
        assert np.isfinite(model.card["metrics"]["test/average_precision"])


@pytest.mark.browser
def test_the_page_shows_in_a_browser(card, chromium, tmp_path):
    """Chromium draws the page, with the heading and the verdict in its text."""
    page = tmp_path / "card.html"
    page.write_text(pages_of(card)["card.html"], encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    shown = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], check=True, capture_output=True, text=True, timeout=60
    )
    assert "Model card: Isolation forest" in shown.stdout
