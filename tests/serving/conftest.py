"""The toys of these tests within reach, an object store on this machine, and a browser."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))  # puts the toys within reach: tests are collected by path

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def object_store():
    """The address of a server that speaks S3 on 127.0.0.1."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def monitored_city():
    """A city with three weeks after the training of its ``model``."""
    from monitor_toys import watched_city

    return watched_city()


@pytest.fixture
def bucket(object_store, monkeypatch):
    """The address of an empty bucket, which the environment leads to."""
    from pyarrow import fs

    given = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in {**given, "AWS_ENDPOINT_URL": object_store}.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_NUMBERS)}"
    store = fs.S3FileSystem(
        access_key="nobody",
        secret_key="nothing",  # noqa: S106 - the server asks for none
        endpoint_override=object_store,
        region="us-east-1",
        allow_bucket_creation=True,
    )
    store.create_dir(name)
    return f"s3://{name}"
