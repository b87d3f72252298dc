"""Lakes to test on: in a folder, and in a bucket of a real S3 server on loopback (the fixture s3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from lake_copies import copy_objects

from resources.lake.store import Lake

BUCKET = "lakes"

_prefixes = itertools.count()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def bare_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake without tables."""
    if request.param == "folder":
        return Lake(root=str(tmp_path / "lake"))
    return Lake(root=f"s3://{BUCKET}/{next(_prefixes)}", storage_options=request.getfixturevalue("s3"))


@pytest.fixture
def lake(request: pytest.FixtureRequest, bare_lake: Lake, new_lake: Callable[[Path], Lake]) -> Lake:
    """An empty lake, copied from one that was created once."""
    if "://" not in bare_lake.root:
        return new_lake(Path(bare_lake.root))
    copy_objects(request.getfixturevalue("created_in_bucket"), bare_lake)
    return bare_lake


@pytest.fixture(scope="session")
def created_in_bucket(s3: dict[str, str]) -> Lake:
    created = Lake(root=f"s3://{BUCKET}/created", storage_options=s3)
    created.create_tables()
    return created
