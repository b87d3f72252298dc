"""The table of faults that can be planted."""

from pathlib import Path

import pytest
from plant_faults import FAULTS, REPOSITORY, Fault, planted


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_can_still_be_planted_and_names_tests_that_are_there(fault: Fault, tmp_path: Path):
    copy = tmp_path / fault.file
    copy.parent.mkdir(parents=True)
    copy.write_bytes((REPOSITORY / fault.file).read_bytes())
    with planted(tmp_path, fault):
        if copy.suffix == ".py":
            compile(copy.read_text(), fault.file, "exec")
    assert copy.read_bytes() == (REPOSITORY / fault.file).read_bytes()
    assert [name for name in fault.tests if not (REPOSITORY / name.split("::")[0]).exists()] == []
