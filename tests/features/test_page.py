"""The page: everything on it, nothing of a log's own names can break it."""

from __future__ import annotations

from html.parser import HTMLParser

import pyarrow as pa
import pytest

from peculiar.features.describe import describe
from peculiar.features.events import EventLog
from peculiar.features.page import write_page
from peculiar.features.plan import FeaturePlan
from peculiar.features.roles import Roles


class Reader(HTMLParser):
    """Gathers text, tags and pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.pictures: list[str] = []

    def handle_starttag(self, tag, attrs):
        """A tag, and the file if it is a picture."""
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])

    def handle_data(self, data):
        """Text between tags."""
        self.words.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a log whose column is called like a script; the description and the files."""
    times = [f"2025-03-{day:02d}T08:00:00Z" for day in range(1, 9)]
    events = pa.table({"user": ["ann", "bob"] * 4, "at": times, "<script>": ["a", "b", "c", "d"] * 2})
    log = EventLog.open(events, Roles("user", "at", dimensions=("<script>",)))
    timeline, _, _ = log.read()
    plan = FeaturePlan.for_log(timeline, log.roles)
    description = describe(plan.vectors(timeline, plan.fit(timeline)), "a & b")
    folder = tmp_path_factory.mktemp("page") / "new"
    return description, write_page(description, folder)


def test_the_page_tells_every_feature(page):
    """Names, meanings and units stand on it as text, also where they look like tags."""
    description, paths = page
    reader = Reader()
    reader.feed(paths[0].read_text())
    words = "".join(reader.words)
    assert "script" not in reader.tags
    assert "Features of a & b" in words
    for portrait in description.portraits:
        assert portrait.feature.name in words
        assert portrait.feature.meaning in words


def test_each_family_has_its_picture(page):
    """The pictures that the page shows are those beside it, one a family, and nothing unfinished is left."""
    description, paths = page
    reader = Reader()
    reader.feed(paths[0].read_text())
    assert reader.pictures == [f"{name}.png" for name in description.by_family]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(path.name for path in paths)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths[1:])
