"""Lakes to test on: in a folder, and in a bucket of a real S3 server on loopback."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from resources.lake import Lake

BUCKET = "lakes"

_prefixes = itertools.count()


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """Lance's storage options for a bucket named BUCKET on a moto server, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        endpoint = f"http://127.0.0.1:{port}"
        access = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **access).create_bucket(Bucket=BUCKET)
        yield {"aws_endpoint": endpoint, "allow_http": "true", "aws_region": "us-east-1", **access}
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen) -> None:
    for _ in range(600):
        assert server.poll() is None, "the S3 server ended by itself"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no S3 server on port {port}")


@pytest.fixture(params=["folder", "bucket"])
def bare_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake without tables."""
    if request.param == "folder":
        return Lake(root=str(tmp_path / "lake"))
    return Lake(root=f"s3://{BUCKET}/{next(_prefixes)}", storage_options=request.getfixturevalue("s3"))


@pytest.fixture
def lake(bare_lake: Lake) -> Lake:
    bare_lake.create_tables()
    return bare_lake
