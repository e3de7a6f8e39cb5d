"""Where files lie, told by the address."""

import pytest
from pyarrow import fs

from peculiar.errors import SchemaError
from peculiar.features.places import file_system, is_remote


@pytest.mark.parametrize(("address", "remote"), [
    ("s3://bucket/key", True), ("gs://bucket/key", True), ("file:events", False), ("C://events", False),
    ("events.parquet", False), ("s3", False),
])  # fmt: skip
def test_an_address_tells_a_store_from_a_path(address, remote):
    """A scheme of two letters or more that is known."""
    assert is_remote(address) is remote


def test_a_relative_path_is_one_of_this_machine(tmp_path, monkeypatch):
    """And so is a file address."""
    monkeypatch.chdir(tmp_path)
    system, path = file_system("scores")
    assert isinstance(system, fs.LocalFileSystem)
    assert path == str(tmp_path / "scores")
    assert file_system((tmp_path / "scores").as_uri())[1] == path


def test_the_customary_variable_names_another_store(monkeypatch):
    """Nothing is asked of the store before something is read."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    system, path = file_system("s3://bucket/scores/")
    assert isinstance(system, fs.S3FileSystem)
    assert path == "bucket/scores"


def test_what_is_no_address_is_refused_in_words():
    """The message says what was expected."""
    with pytest.raises(SchemaError, match="expected a path or the address of an object store"):
        file_system("s3://bucket?nonsense=1")
