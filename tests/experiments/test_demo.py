"""The demo: one command, the whole promise, and an honest account of both stories."""

from __future__ import annotations

import json
import re

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from peculiar.cli import main
from peculiar.experiments.demo import STORIES, _story
from peculiar.serving.report import OddEntity, oddest_entities

pytestmark = pytest.mark.long  # `make demo` itself, at a tenth of its size


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The folder, the text and the figures of a small demo."""
    home = tmp_path_factory.mktemp("demo")
    sizes = ("--events", "30000", "--users", "500")
    answer = CliRunner().invoke(main, ["demo", *sizes, "--home", str(home), "--json", str(home / "figures.json")])
    assert answer.exit_code == 0, answer.output
    return home, answer.output, json.loads((home / "figures.json").read_text())


def test_ten_users_are_shown_with_reasons(shown):
    """Ten different users, each with day, score, whether it was planted, and at least one reason."""
    home, text, figures = shown
    head = r"^ +(\d+)\. (u\d+) on ([\d-]{10}), score (-?[\d.]+)  \[(.*)\]$"
    heads = list(re.finditer(head, text, re.MULTILINE))
    assert [int(head[1]) for head in heads] == list(range(1, 11))
    users = [head[2] for head in heads]
    assert users == figures["oddest"]
    assert len(set(users)) == 10
    assert users == [odd.entity for odd in oddest_entities(pq.read_table(home / "scores.parquet"))]
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        below = text[head.end() : following.start() if following else None].splitlines()[1:]
        assert below[0].startswith("        ")
    labels = pq.read_table(home / "labels.parquet")
    planted = dict(zip(labels["entity"].to_pylist(), labels["scenario"].to_pylist(), strict=True))
    for head in heads:
        wanted = f"planted: {planted[head[2]].replace('_', ' ')}" if head[2] in planted else "not planted"
        assert head[5] == wanted


@pytest.mark.parametrize("story", STORIES)
def test_both_stories_are_accounted_for(shown, story):
    """The users of each story are named with their place among all users."""
    home, text, figures = shown
    (line,) = [line for line in text.splitlines() if line.startswith(f"{STORIES[story].capitalize()}: ")]
    labels = pq.read_table(home / "labels.parquet")
    users = set(labels.filter(pc.equal(labels["scenario"], story))["entity"].to_pylist())
    places = figures["stories"][story]
    assert places
    assert set(places) <= users
    assert all(f"{user} number {place}" in line for user, place in places.items())
    for user, place in places.items():
        assert (place <= 10) == (user in figures["oddest"])


def test_a_story_below_the_ten_comes_with_its_reasons():
    """A user of a story who is not among the ten shown is explained all the same; one who is was explained before."""
    odd = {"u1": OddEntity("u1", "2025-03-01", 1.0, 4, "combination", ("things nobody has together",))}
    assert _story("odd_basket", {"u1": 11}, odd).endswith("of 1 users scored.\n     things nobody has together")
    assert _story("odd_basket", {"u1": 10}, odd).endswith("u1 number 10, of 1 users scored.")
    assert _story("odd_basket", {}, odd).endswith("nobody of it acted in the scored weeks.")


def test_the_reader_is_told_how_to_go_on(shown):
    """The demo ends with where the scores are and how the models are compared."""
    home, text, figures = shown
    *_, ui, address = text.rstrip().splitlines()
    assert f"peculiar ui --home {home}" in ui
    assert re.search(r"http://127\.0\.0\.1:5000/#/experiments/\d+", address)
    assert f"Scores of all {figures['scoring']['rows']:,} user-days: {home / 'scores.parquet'}" in text


def test_the_registered_champion_scored(shown):
    """What was trained is what scored: the file names the champion, and the figures are the training's."""
    home, text, figures = shown
    champion = figures["training"]["champion"]
    assert set(pq.read_table(home / "scores.parquet")["model"].to_pylist()) == {f"peculiar/{champion['version']}"}
    assert set(figures["training"]["candidates"]) == {"isolation_forest", "lightgbm"}
    assert "never a verdict" in text
    assert "Roles, guessed from names and types" in text


def test_it_ends_with_a_dossier_and_a_page(shown):
    """One user's dossier is printed in full, and a page with five alerts of each day lies beside the scores."""
    home, text, figures = shown
    (user, day) = re.search(r"as 'peculiar explain (u\d+) --at ([\d-]{10})' prints it", text).groups()
    assert user in {name for places in figures["stories"].values() for name in places}
    for part in (f"   {user}, ", "Why it stands out", "What speaks against suspicion", "What it did", "not a verdict"):
        assert part in text
    scores = pq.read_table(home / "scores.parquet")
    few = pc.sum(pc.and_(scores["alert"], pc.less_equal(scores["rank"], 5))).as_py()
    assert f"Review page of the first 5 of each day, {few} alerts; open it in a browser: {home / 'review.html'}" in text
    assert f"<title>{few:,} leads to check" in (home / "review.html").read_text(encoding="utf-8")
    assert day in (home / "review.html").read_text(encoding="utf-8")
