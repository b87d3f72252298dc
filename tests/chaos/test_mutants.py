"""Broken videos of many forms: each is done or has a reason, and nothing else of this process is touched by it."""

import tempfile
from pathlib import Path

import pytest
from decode_mutants import MEMORY_BYTES, decode

pytestmark = pytest.mark.slow

MUTANTS = 300
ONCE_WRONG = (809, 7742)  # in these, of 10,000, the code divided by zero, and read beyond the end of a list
MISTAKES = ("ZeroDivisionError", "IndexError", "KeyError", "TypeError", "AttributeError")


def test_broken_files_end_as_done_or_with_a_reason_and_leave_no_process_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SVT_LOG", "1")
    # Of its own: tests beside this one make files in the other.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    outcome = decode([*range(MUTANTS), *ONCE_WRONG])
    assert outcome.faults == []
    assert [end for end in outcome.ends if end.endswith(MISTAKES)] == []
    inspected = {end: number for end, number in outcome.ends.items() if end.startswith("inspect: ")}
    assert inspected["inspect: done"] >= MUTANTS // 4, "most changes leave something to decode"
    assert inspected["inspect: UnreadableVideo"] >= MUTANTS // 20
    assert outcome.max_memory < MEMORY_BYTES
