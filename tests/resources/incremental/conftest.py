"""A lake in a folder, and the stage by a rule on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cutting_stage import Cutting

from resources.lake.store import Lake


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    return new_lake(tmp_path / "lake")


@pytest.fixture
def cutting(lake: Lake) -> Cutting:
    return Cutting(lake)
