"""Two hours of a lake that collects by itself, in a minute or two."""

import tempfile
from pathlib import Path

import pytest
from shifted_clock import compiler
from soak import soaked


@pytest.mark.slow(minutes=3)
@pytest.mark.skipif(compiler() is None, reason="no C compiler, which is needed to shift the clock of processes")
def test_all_that_was_published_is_there_once_and_nothing_grows():
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets of Dagster lie in it
        wrong = soaked(Path(folder), hours=2, seconds_per_hour=10, first_hour=2, trains=False)
    assert wrong == []
