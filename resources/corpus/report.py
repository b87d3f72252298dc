"""The report: the dataset's numbers, plots and a contact sheet, in one HTML file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from resources.corpus.snapshots import newest_snapshot_name
from resources.corpus.statistics import MART, sampled_clips
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
        mart = local_copy(lake, MART, Path(folder))
        write_report(
            path,
            mart,
            clips_to_show(lake, newest_snapshot_name(lake), sampled_clips(mart)),
            title="InternVid lakehouse",
            lake=lake.root,
            made_at=datetime.now(UTC),
            stages=[StageRow(stage, seconds=None, **_ended(number)) for stage, number in counts.items()],
        )


def _ended(number: dict[str, int]) -> dict[str, int]:
    return {state: units for state, units in number.items() if state != "total"}


def clips_to_show(lake: Lake, snapshot: str, sampled: Mapping[str, str]) -> list[ContactClip]:
    """Returns clips drawn at random, each with a few of its frames in order of time.

    sampled: clip_id -> ingest batch of more clips than are shown, for some have no frames.
    """
    from internvid.report.report import ContactClip

    # Only the batches of some clips are read, for a scan costs what the lake holds.
    candidates = dict(islice(sampled.items(), 2 * CLIPS_SHOWN))
    if not candidates:
        return []
    batches = {"ingest_batch": sorted(set(candidates.values()))}
    shown = statement("corpus/shown_clips")
    chosen = {"clip_ids": list(candidates), "clips": CLIPS_SHOWN}
    clips = lake.query(shown, chosen, at=snapshot, only=batches).to_pylist()
    strips = lake.query(
        statement("corpus/frame_strips"),
        {"clip_ids": [clip["clip_id"] for clip in clips], "frames": FRAMES_PER_CLIP},
        at=snapshot,
        only=batches,
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
