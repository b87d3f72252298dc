"""`clips` and `frames`: a video is decoded once, and that one pass finds its cuts and samples its frames."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.ingest_batches import ingest_batches
from assets.raw_videos import raw_videos
from resources.costs import Cost
from resources.cutter import Cutter
from resources.lake import Lake
from resources.media import Media
from resources.refresh import (
    Done,
    Failed,
    Outcome,
    Output,
    Rows,
    Step,
    Unit,
    batch_counts_spec,
    refresh,
)
from resources.samples import contact_sheet, rows_sample
from resources.schema import CLIPS, FRAMES
from resources.video_file import Scanned

if TYPE_CHECKING:
    from internvid.video.scan import ClipSpan
    from internvid.video.settings import ScanSettings


def step(cutter: Cutter) -> Step:
    """Clips and frames are two outputs of one pass: other sampling leaves the clips' rows as they are."""
    settings = cutter.settings()
    outputs = (Output(CLIPS, {"": settings.cut_version}), Output(FRAMES, {"": settings.frame_version}))
    return Step("clips", "clips_units", outputs, chunk=256)


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "clips",
            deps=[raw_videos],
            group_name="video",
            kinds={"lance"},
            description="Spans of a video between two cuts, by presentation timestamps, with their motion measured.",
        ),
        dg.AssetSpec(
            "frames",
            deps=[raw_videos],
            group_name="video",
            kinds={"lance"},
            description="Sampled frames as JPEG: a video is decoded once, everything later reads frames.",
        ),
    ],
    partitions_def=ingest_batches,
    pool="decode",
    check_specs=[batch_counts_spec("clips"), batch_counts_spec("frames")],
)
def clips_and_frames(
    context: dg.AssetExecutionContext, lake: Lake, media: Media, cutter: Cutter
) -> Iterator[dg.MaterializeResult]:
    """One row of clips is a span between two cuts, one of frames a picture in it. Change with the video's bytes."""
    batch = context.partition_key
    yield from refresh(
        context,
        lake,
        step(cutter),
        lambda units: cut_and_sample(lake, media, cutter.settings(), units),
        sample=lambda table: contact_sheet(lake, batch) if table == "frames" else rows_sample(lake, table, batch),
    )


def cut_and_sample(lake: Lake, media: Media, settings: "ScanSettings", units: list[Unit]) -> Iterator[Outcome]:
    """Scans each video in a child process."""
    videos = lake.fetch(
        "raw_videos", [unit.key for unit in units], ["path", "duration_seconds", "size_bytes"]
    ).to_pylist()
    scans = media.scan([(video["path"], video["duration_seconds"] or 0.0) for video in videos], settings)
    for unit, video, (_, scanned) in zip(units, videos, scans, strict=True):
        if isinstance(scanned, BaseException):
            yield Failed(unit, scanned)
        else:
            yield Done(unit, _rows(unit.key, scanned), release=scanned.remove, cost=_cost(scanned, video["size_bytes"]))


def _cost(scanned: Scanned, bytes_read: int) -> Cost:
    """Of one pass over the video: its clips tile it."""
    last = scanned.clips[-1]
    return Cost(video_seconds=last.end_seconds, frames=last.end_frame, bytes_read=bytes_read)


def _rows(video_id: str, scanned: Scanned) -> tuple[Rows, Rows]:
    clip_ids = [f"{video_id}_{clip.start_pts}_{clip.end_pts}" for clip in scanned.clips]
    clips = [
        {"clip_id": clip_id, "video_id": video_id, "clip_index": index} | _measured(clip)
        for index, (clip_id, clip) in enumerate(zip(clip_ids, scanned.clips, strict=True))
    ]
    return Rows.of(clips, CLIPS), Rows(scanned.frame_count, _frames(video_id, clip_ids, scanned))


def _measured(clip: "ClipSpan") -> dict[str, Any]:
    return {name: value for name, value in vars(clip).items() if name != "middle_pts"}  # that is frames.is_middle


def _frames(video_id: str, clip_ids: list[str], scanned: Scanned) -> Iterator[pa.RecordBatch]:
    """The frames with the clip each lies in, a batch at a time."""
    starts = [clip.start_pts for clip in scanned.clips]
    for frames in scanned.frames():
        pts = frames.column("pts").to_pylist()
        indices = [bisect_right(starts, tick) - 1 for tick in pts]
        columns = {name: frames.column(name) for name in frames.schema.names}
        columns |= {
            "frame_id": pa.array(
                [f"{clip_ids[index]}_{tick}" for index, tick in zip(indices, pts, strict=True)], pa.string()
            ),
            "clip_id": pa.array([clip_ids[index] for index in indices], pa.string()),
            "video_id": pa.array([video_id] * len(pts), pa.string()),
            "is_middle": pa.array(
                [scanned.clips[index].middle_pts == tick for index, tick in zip(indices, pts, strict=True)]
            ),
        }
        yield pa.RecordBatch.from_pydict({name: columns[name] for name in FRAMES.content.names})
