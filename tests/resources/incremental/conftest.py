"""A lake in a folder, and the stage by a rule on it."""

from pathlib import Path

import pytest
from cutting_stage import Cutting

from resources.lake.store import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(root=str(tmp_path / "lake"))
    lake.create_tables()
    return lake


@pytest.fixture
def cutting(lake: Lake) -> Cutting:
    return Cutting(lake)
