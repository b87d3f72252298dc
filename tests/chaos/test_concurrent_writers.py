"""Several processes that write to one table at once, in different batches and in the same, beside maintenance."""

from pathlib import Path

import pytest
from concurrent_writers import write_at_once

from resources.lake.store import Lake


@pytest.mark.slow
def test_all_rows_are_there_none_twice_and_every_version_can_be_read(tmp_path: Path):
    outcome = write_at_once(Lake(root=str(tmp_path / "lake")), writers=4, commits=8)
    assert outcome.is_well, outcome
    assert outcome.maintained > 0
