"""The report: the dataset's numbers, plots and a contact sheet, in one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from resources.corpus.shown_clips import shown_clips
from resources.corpus.snapshots import newest_snapshot_name
from resources.corpus.statistics import MART, sampled_clips
from resources.lake.published_files import local_copy
from resources.lake.store import Lake
from resources.lake.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from internvid.report.shown_clips import ShownClip

REPORT = "report.html"
CLIPS_SHOWN = 24


def write(lake: Lake, counts: Mapping[str, dict[str, int]], path: Path) -> None:
    """Writes the page from statistics.duckdb and clips of the newest snapshot. counts: units by state, by stage."""
    from internvid.report.report import StageRow, write_report

    with temporary_folder() as folder:
        mart = local_copy(lake, MART, folder)
        write_report(
            path,
            mart,
            _clips_to_show(lake, newest_snapshot_name(lake), sampled_clips(mart)),
            title="InternVid lakehouse",
            lake=lake.root,
            made_at=datetime.now(UTC),
            stages=[StageRow(stage, seconds=None, **_ended(number)) for stage, number in counts.items()],
        )


def _ended(number: dict[str, int]) -> dict[str, int]:
    return {state: units for state, units in number.items() if state != "total"}


def _clips_to_show(lake: Lake, snapshot: str, sampled: Mapping[str, str]) -> list[ShownClip]:
    """Returns clips drawn at random.

    sampled: clip_id -> ingest batch of more clips than are shown, for some have no frames.
    """
    # Only the batches of some clips are read, for a scan costs what the lake holds.
    candidates = dict(islice(sampled.items(), 2 * CLIPS_SHOWN))
    return shown_clips(lake, candidates, limit=CLIPS_SHOWN, at=snapshot)
