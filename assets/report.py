"""`report`: the dataset's numbers, plots and a contact sheet, in one HTML file."""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import dagster as dg

from assets.corpus_snapshot import newest_snapshot_name
from assets.statistics import MART, statistics
from assets.steps import DOORS, steps_of
from resources.lake import Lake
from resources.published_files import local_copy, publish
from resources.refresh import Step, counts
from resources.statements import statement

if TYPE_CHECKING:
    from internvid.report.report import ContactClip

FILE = "report.html"
CLIPS_SHOWN = 24
FRAMES_PER_CLIP = 3


@dg.asset(
    deps=[statistics],
    group_name="corpus",
    kinds={"html"},
    description="One self-contained HTML page: numbers, plots, failures, and clips with their captions.",
    required_resource_keys={"lake", *DOORS},
)
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A page about the newest snapshot. Changes with the statistics."""
    lake, in_order = context.resources.lake, steps_of(context.resources)
    path = publish(lake, FILE, lambda path: write(lake, in_order, path))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(newest_snapshot_name(lake)), metadata={"path": dg.MetadataValue.path(path)}
    )


def write(lake: Lake, in_order: Sequence[Step], path: Path) -> None:
    """Writes the page from statistics.duckdb and the clips of the newest snapshot."""
    from internvid.report.report import StageRow, write_report

    with tempfile.TemporaryDirectory() as folder:
        write_report(
            path,
            local_copy(lake, MART, Path(folder)),
            clips_to_show(lake, newest_snapshot_name(lake)),
            title="InternVid lakehouse",
            lake=lake.root,
            made_at=datetime.now(UTC),
            stages=[StageRow(step.name, seconds=None, **_ended(lake, step)) for step in in_order],
        )


def _ended(lake: Lake, step: Step) -> dict[str, int]:
    return {state: number for state, number in counts(lake, step).items() if state != "total"}


def clips_to_show(lake: Lake, snapshot: str) -> "list[ContactClip]":
    """Clips spread over the corpus, each with a few of its frames in order of time."""
    from internvid.report.report import ContactClip

    clips = lake.query(statement("operations/contact_sheet"), {"clips": CLIPS_SHOWN}, at=snapshot).to_pylist()
    strips = lake.query(
        statement("operations/frame_strips"),
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
