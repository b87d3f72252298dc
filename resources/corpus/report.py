"""The report: the dataset's numbers, plots and a contact sheet, in one HTML file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from resources.corpus.snapshots import newest_snapshot_name
from resources.corpus.statistics import MART
from resources.lake.published_files import local_copy
from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    from internvid.report.report import ContactClip

REPORT = "report.html"
CLIPS_SHOWN = 24
FRAMES_PER_CLIP = 3


def write(lake: Lake, counts: Mapping[str, dict[str, int]], path: Path) -> None:
    """Writes the page from statistics.duckdb and clips of the newest snapshot. counts: units by state, by stage."""
    from internvid.report.report import StageRow, write_report

    with tempfile.TemporaryDirectory() as folder:
        write_report(
            path,
            local_copy(lake, MART, Path(folder)),
            clips_to_show(lake, newest_snapshot_name(lake)),
            title="InternVid lakehouse",
            lake=lake.root,
            made_at=datetime.now(UTC),
            stages=[StageRow(stage, seconds=None, **_ended(number)) for stage, number in counts.items()],
        )


def _ended(number: dict[str, int]) -> dict[str, int]:
    return {state: units for state, units in number.items() if state != "total"}


def clips_to_show(lake: Lake, snapshot: str) -> list[ContactClip]:
    """Clips spread over the corpus, each with a few of its frames in order of time."""
    from internvid.report.report import ContactClip

    clips = lake.query(statement("corpus/contact_sheet"), {"clips": CLIPS_SHOWN}, at=snapshot).to_pylist()
    strips = lake.query(
        statement("corpus/frame_strips"),
        {"clip_ids": [clip["clip_id"] for clip in clips], "frames": FRAMES_PER_CLIP},
        at=snapshot,
    ).to_pylist()
    jpegs = _jpegs(lake, [frame_id for strip in strips for frame_id in strip["frame_ids"]])
    frame_ids = {strip["clip_id"]: strip["frame_ids"] for strip in strips}
    return [
        ContactClip(
            clip_id=clip["clip_id"],
            video=PurePosixPath(unquote(urlsplit(clip["source"]).path)).name,
            start_seconds=clip["start_seconds"],
            end_seconds=clip["end_seconds"],
            caption=clip["caption"] or "",
            model=clip["model"] or "",
            jpegs=[jpegs[frame_id] for frame_id in frame_ids[clip["clip_id"]]],
            flags=clip["flags"] or [],
        )
        for clip in clips
    ]


def _jpegs(lake: Lake, frame_ids: list[str]) -> dict[str, bytes]:
    frames = lake.fetch("frames", frame_ids, ["frame_id", "jpeg"])
    return dict(zip(frames["frame_id"].to_pylist(), frames["jpeg"].to_pylist(), strict=True))
