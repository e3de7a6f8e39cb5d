"""Where a dataset's files lie: the same five verbs on this machine and on an object store."""

from __future__ import annotations

import pytest

from peculiar.serving.folders import LocalFolder, StoreFolder, open_folder


@pytest.fixture(params=["here", "store"])
def folder(request, tmp_path):
    """An empty folder on this machine, and a prefix of a store that speaks S3."""
    return open_folder(
        tmp_path / "scores" if request.param == "here" else request.getfixturevalue("bucket") + "/scores"
    )


def test_what_was_put_is_read_and_listed(folder):
    """Content and names come back; a second put takes the place of the first."""
    folder.put("day=1/b.txt", b"old")
    folder.put("day=1/b.txt", b"new")
    folder.put("day=1/a.txt", b"")
    assert folder.read("day=1/b.txt") == b"new"
    assert list(folder.files("day=1")) == ["day=1/a.txt", "day=1/b.txt"]
    assert all(time > 0 for time in folder.files("day=1").values())


def test_what_was_removed_is_gone(folder):
    """Removing twice is no error; reading what is not there is one; a folder that never was has no files."""
    folder.put("x/a.txt", b"a")
    folder.remove("x/a.txt")
    folder.remove("x/a.txt")
    assert folder.files("x") == folder.files("never") == {}
    with pytest.raises(FileNotFoundError):
        folder.read("x/a.txt")


def test_the_address_tells_which_it_is(tmp_path, bucket):
    """A path is a folder of this machine, s3:// a store; only the store keeps young files that nobody names."""
    here, there = open_folder(tmp_path), open_folder(bucket)
    assert (type(here), type(there)) == (LocalFolder, StoreFolder)
    assert here.spare_age < 0 < there.spare_age


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    """A disk that refuses leaves the old file and no other."""
    folder = open_folder(tmp_path)
    folder.put("a.txt", b"old")

    def no_sync(_):
        message = "no space left on device"
        raise OSError(message)

    monkeypatch.setattr("os.fsync", no_sync)
    with pytest.raises(OSError, match="no space left"):
        folder.put("a.txt", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
