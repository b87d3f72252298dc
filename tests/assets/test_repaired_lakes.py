"""A lake that is damaged by hand in many places and repaired: the next run ends in the rows of a whole one."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.cli.session import Session
from resources.corpus.repair import damages, repair
from resources.lake.store import Lake

COMPARED = ("sources", "raw_videos", "clips", "frames", "fingerprints", "frame_captions", "clip_captions", "attempts")


def delete_data(lake: Lake, name: str) -> None:
    for fragment in lake.dataset(name).get_fragments():
        for file in fragment.data_files():
            Path(lake.uri(name), "data", file.path).unlink()


def cut_manifest(lake: Lake, name: str) -> None:
    newest = min(Path(lake.uri(name), "_versions").glob("*.manifest"))
    content = newest.read_bytes()
    newest.unlink()  # it is linked to that of other tests' lakes
    newest.write_bytes(content[:100])


def lose_indexes(lake: Lake, name: str) -> None:
    shutil.rmtree(Path(lake.uri(name), "_indices"))


DAMAGE: dict[str, Callable[[Lake, str], None]] = {
    "raw_videos": delete_data,
    "clips": lose_indexes,
    "frames": delete_data,
    "frame_captions": cut_manifest,
    "clip_captions": delete_data,
    "attempts": cut_manifest,
}


@pytest.mark.slow
def test_after_a_repair_the_next_run_makes_what_was_lost_and_nothing_else(
    session: Session, folder: Path, open_session: Any, ingest: Any, whole_tables: Callable[..., Any]
):
    lake = session.lake
    session.counts()  # kept, with the versions that the damage takes away
    expected = whole_tables(lake, *COMPARED)
    assert damages(lake, deep=True) == []
    for name, damage in DAMAGE.items():
        damage(lake, name)
    found = damages(lake)
    assert {each.table for each in found} == set(DAMAGE)
    assert list(repair(lake, found))
    assert damages(lake, deep=True) == []
    again = open_session()
    pending = {stage: counts["pending"] for stage, counts in again.counts().items()}
    assert pending["raw_videos"] == 2
    summary = ingest(again, folder)
    assert whole_tables(lake, *COMPARED) == expected
    assert summary.rows["clips"] == {"added": 0, "changed": 0, "removed": 0}
    assert not any(counts["pending"] for counts in open_session().counts().values())
