"""Folders of one's own: held while one works, and nobody's afterwards."""

from __future__ import annotations

import pytest
from filelock import Timeout

from peculiar.features.claims import claimed, sweep, workspace


def test_a_workspace_is_gone_afterwards(tmp_path):
    """After success and after an error, and with it its lock."""
    with workspace(tmp_path, "at-work-") as folder:
        (folder / "part").write_text("x")
    with pytest.raises(KeyError, match="oh"), workspace(tmp_path, "at-work-") as folder:
        raise KeyError("oh")
    assert not list(tmp_path.glob("at-work-*"))


def test_what_is_held_is_not_swept_away(tmp_path):
    """Two at work at once do not disturb each other; a folder that nobody holds goes."""
    (tmp_path / "at-work-old").mkdir()
    with workspace(tmp_path, "at-work-") as one, workspace(tmp_path, "at-work-") as other:
        assert one != other
        assert one.is_dir()
        assert other.is_dir()
        assert not (tmp_path / "at-work-old").exists()


def test_a_folder_is_claimed_once(tmp_path):
    """Whoever comes second is told at once, and a sweep passes by what it is told to leave."""
    with claimed(tmp_path / "mine"), pytest.raises(Timeout, match="mine"), claimed(tmp_path / "mine"):
        pass
    (tmp_path / "mine").mkdir()
    sweep(tmp_path, "mine*", but=tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()
