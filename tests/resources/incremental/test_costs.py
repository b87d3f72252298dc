"""The ledger of costs: whose time is in it, and that nothing is in it twice."""

import time
from collections.abc import Callable
from pathlib import Path

from resources.catalog.files import register
from resources.incremental.costs import Ledger, processor_seconds, recorded, started, starting
from resources.lake.store import Lake
from resources.media.child_process import ordered
from resources.media.store import Media


def busy(seconds: float) -> float:
    """Uses the processor for so long."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return seconds


def test_decoding_children_are_in_the_processor_time_of_the_process_that_has_them() -> None:
    here, everywhere, starts = time.process_time(), processor_seconds(), started()
    results = ordered(
        busy, [0.2, 0.3, 0.1], arguments=lambda s: (s,), seconds=lambda s: 120, workers=2, memory_bytes=4 << 30
    )
    assert [result for _, result in results] == [0.2, 0.3, 0.1]
    of_children = processor_seconds() - everywhere - (time.process_time() - here)
    of_starts = (started() - starts).processor_seconds
    assert of_starts > 0
    assert of_children - of_starts >= 0.6


def test_what_a_start_takes_is_counted_once_though_starts_are_nested() -> None:
    before = started()
    with starting():
        busy(0.05)
        with starting():
            busy(0.05)
    took = started() - before
    assert 0.1 <= took.processor_seconds < 0.15


def test_a_ledger_holds_no_time_of_one_that_was_written_meanwhile(lake: Lake) -> None:
    before, outer = processor_seconds(), Ledger(units=1)
    busy(0.1)
    with recorded(lake, "inner", run_id="r") as inner:
        busy(0.4)
        inner.units = 7
    outer.write(lake, "outer", "", "r")
    took = processor_seconds() - before
    with recorded(lake, "nothing to do", run_id="r"):
        pass
    rows = {row["stage"]: row for row in lake.polars("costs").to_dicts()}
    assert rows.keys() == {"inner", "outer"}
    assert rows["inner"]["units"] == 7
    assert rows["inner"]["processor_seconds"] >= 0.4
    assert rows["outer"]["processor_seconds"] >= 0.1
    assert rows["outer"]["processor_seconds"] + rows["inner"]["processor_seconds"] <= took


def test_registering_is_in_the_ledger_where_files_are_new(
    lake: Lake, tmp_path: Path, synthetic_video: Callable[..., Path]
) -> None:
    synthetic_video(tmp_path, "a.mp4", 1)
    media = Media(root=str(tmp_path / "media"), workers=1)
    for _ in range(2):  # nothing is new the second time
        register(lake, media, [str(tmp_path / "a.mp4")], run_id="r")
    (row,) = lake.polars("costs").filter(stage="registering").to_dicts()
    assert (row["units"], row["processor_seconds"] > 0) == (1, True)
