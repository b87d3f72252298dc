"""Lakes to test on: in a folder, and in a bucket of a real S3 server on loopback (the fixture s3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from lake_copies import upload

from resources.lake.schema import TABLES
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
def lake(request: pytest.FixtureRequest, bare_lake: Lake, tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """An empty lake, copied from one that was created once; in a bucket only the TABLES_IN_BUCKET of a module."""
    if "://" not in bare_lake.root:
        return new_lake(Path(bare_lake.root))
    created = new_lake(tmp_path / "to upload")
    upload(Path(created.root), bare_lake, getattr(request.module, "TABLES_IN_BUCKET", TABLES))
    return bare_lake
