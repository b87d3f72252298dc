"""`clips` and `frames`: one pass over each video finds its cuts and samples its frames.

Spans of imported annotations become clips too, in a separate pass, so that neither kind waits for the other.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.catalog.annotations import STAGE as ANNOTATIONS_STAGE
from resources.catalog.annotations import attempt_id
from resources.incremental import attempts
from resources.incremental.attempts import Unusable
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.samples import contact_sheet
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Unit
from resources.lake.schema import CLIPS, FRAMES
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.media.cut_detection import CutDetection
from resources.media.store import Media
from resources.media.video_file import Scanned, ToScan

if TYPE_CHECKING:
    from internvid.video.scan import ClipSpan
    from internvid.video.settings import ScanSettings
    from internvid.video.spans import Span

VIDEO_COLUMNS = ["video_id", "path", "duration_seconds", "short_of_header", "size_bytes"]
IMPORTED = "imported"  # variant of the units whose clips are spans of imported annotations


def configure(scope: StageScope, *, cut_detection: CutDetection, **needed: object) -> Configuration:
    """Clips and frames are two outputs of one pass: a change of the sampling does not change the clips' rows."""
    settings = cut_detection.settings()
    clips = {"": settings.cut_version, IMPORTED: settings.span_version}
    return Configuration((clips, dict.fromkeys(clips, settings.frame_version)), chunk_size=256, is_divisible=True)


@stage(
    name="clips",
    group="video",
    outputs=(CLIPS, FRAMES),
    configure=configure,
    pool="decode",
    kinds=("lance", "ffmpeg"),
    resources=("media", "cut_detection"),
    samples={
        CLIPS.name: ("start_seconds", "end_seconds", "boundary", "motion", "stillness", "flags", "clip_id"),
        FRAMES.name: contact_sheet,
    },
    cost=CostDrivers(per_video=True),
    workers="cpu",
)
def clips_and_frames(
    run: StageRun, units: list[Unit], *, media: Media, cut_detection: CutDetection
) -> Iterator[Outcome]:
    """Spans of a video between two cuts, or as imported, with their motion measured; and sampled frames as JPEG.

    A video is decoded once: everything later reads frames. Rows change with the video's bytes, and imported ones with
    its annotations.
    """
    yield from cut_and_sample(run, media, cut_detection.settings(), units)


def cut_and_sample(run: StageRun, media: Media, settings: "ScanSettings", units: list[Unit]) -> Iterator[Outcome]:
    """Scans each video in a child process: for its cuts, or for its annotated spans."""
    videos = run.lake.fetch("raw_videos", [_video_id(unit) for unit in units], VIDEO_COLUMNS).to_pylist()
    annotated = _annotated(run, [_video_id(unit) for unit in units if unit.variant == IMPORTED])
    to_scan = [
        ToScan(
            video["path"],
            video["duration_seconds"] or 0.0,
            tuple(span.span for span in annotated[video["video_id"]]) if unit.variant == IMPORTED else None,
        )
        for unit, video in zip(units, videos, strict=True)
    ]
    for unit, video, (_, scanned) in zip(units, videos, media.scan(to_scan, settings), strict=True):
        if isinstance(scanned, BaseException):
            yield Failed(unit, scanned)
            continue
        _flag_what_falls_short(video, scanned, is_whole=unit.variant != IMPORTED)
        if unit.variant == IMPORTED:
            yield _of_spans(run.lake, unit, video, annotated[video["video_id"]], scanned, run.run_id)
        else:
            rows = _rows(video["video_id"], scanned)
            yield Done(unit, rows, release=scanned.remove, cost=_cost(scanned, video["size_bytes"]))


def _flag_what_falls_short(video: dict[str, Any], scanned: Scanned, *, is_whole: bool) -> None:
    """Flags the clips of a video of which less is there, or less was decoded, than its header says.

    is_whole: whether the video was decoded to its end.
    """
    from internvid.video.packets import falls_short

    decoded = max((clip.end_seconds for clip in scanned.clips), default=0.0)
    if video["short_of_header"] or (is_whole and falls_short(decoded, video["duration_seconds"])):
        for clip in scanned.clips:
            clip.flags.append("short_of_header")


def _video_id(unit: Unit) -> str:
    return unit.key.removesuffix(f"/{IMPORTED}")


def _cost(scanned: Scanned, bytes_read: int) -> Cost:
    """Returns the cost of one pass over the video, up to the end of its last clip."""
    return Cost(
        video_seconds=max((clip.end_seconds for clip in scanned.clips), default=0.0),
        frames=max((clip.end_frame for clip in scanned.clips), default=0),
        bytes_read=bytes_read,
    )


def _rows(video_id: str, scanned: Scanned) -> tuple[Rows, Rows]:
    """Returns the clips and frames of a video that was cut."""
    clips = [
        _Clip(f"{video_id}_{span.start_pts}_{span.end_pts}", video_id, None, index, span)
        for index, span in enumerate(scanned.clips)
    ]
    return Rows.of([clip.row for clip in clips], CLIPS), Rows(scanned.frame_count, _frames(clips, scanned))


@dataclass(frozen=True)
class _Clip:
    clip_id: str
    video_id: str
    annotation_id: str | None
    index: int
    span: "ClipSpan"

    @property
    def row(self) -> dict[str, Any]:
        measured = {name: value for name, value in vars(self.span).items() if name != "middle_pts"}  # frames.is_middle
        return measured | {
            "clip_id": self.clip_id,
            "video_id": self.video_id,
            "clip_index": self.index,
            "annotation_id": self.annotation_id,
        }


def _frames(clips: Sequence[_Clip], scanned: Scanned) -> Iterator[pa.RecordBatch]:
    """Yields the frames in batches, each frame with the clip that it lies in."""
    starts = [clip.span.start_pts for clip in clips]
    of_span = {number: clip for number, clip in zip(scanned.span_numbers, clips, strict=False)}
    for frames in scanned.frames():
        pts = frames.column("pts").to_pylist()
        if of_span:
            lies_in = [of_span[number] for number in frames.column("span").to_pylist()]
        else:  # clips between cuts tile the video
            lies_in = [clips[bisect_right(starts, tick) - 1] for tick in pts]
        columns = {name: frames.column(name) for name in frames.schema.names} | {
            "frame_id": pa.array([f"{clip.clip_id}_{tick}" for clip, tick in zip(lies_in, pts, strict=True)]),
            "clip_id": pa.array([clip.clip_id for clip in lies_in]),
            "video_id": pa.array([clip.video_id for clip in lies_in]),
            "is_middle": pa.array([clip.span.middle_pts == tick for clip, tick in zip(lies_in, pts, strict=True)]),
            "annotation_id": pa.array([clip.annotation_id for clip in lies_in], pa.string()),
        }
        yield pa.RecordBatch.from_pydict({name: columns[name] for name in FRAMES.content.names}, schema=FRAMES.content)


# --- imported spans ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Annotated:
    """An annotated span of a video."""

    annotation_id: str
    dataset: str
    span: "Span"

    def clip_id(self, video_id: str, clip: "ClipSpan") -> str:
        """Returns an id that is unique even where a span is annotated in several datasets, or several times in one."""
        hashed = self.annotation_id.rsplit("/", 1)[1][:8]
        return f"{video_id}_{clip.start_pts}_{clip.end_pts}_{self.dataset}-{hashed}"


def _annotated(run: StageRun, video_ids: list[str]) -> dict[str, list[_Annotated]]:
    """Returns the annotated spans by video id, in order of time."""
    from internvid.video.spans import Span

    if not video_ids:
        return {}
    rows = run.query(statement("catalog/annotated_spans"), {"video_ids": video_ids}).to_pylist()
    return {
        video_id: [
            _Annotated(row["annotation_id"], row["dataset"], Span(row["start_seconds"], row["end_seconds"]))
            for row in of_video
        ]
        for video_id, of_video in groupby(rows, key=lambda row: row["video_id"])
    }


def _of_spans(
    lake: Lake, unit: Unit, video: dict[str, Any], annotated: list[_Annotated], scanned: Scanned, run_id: str
) -> Outcome:
    """Makes a clip of each span that lies within the video. For the other spans, `attempts` says why there is none."""
    _note_spans_not_there(lake, unit, annotated, scanned, run_id)
    video_id = video["video_id"]
    chosen = [annotated[number] for number in scanned.span_numbers]
    clips = [
        _Clip(annotation.clip_id(video_id, span), video_id, annotation.annotation_id, index, span)
        for index, (annotation, span) in enumerate(zip(chosen, scanned.clips, strict=True))
    ]
    cost = _cost(scanned, video["size_bytes"])
    if not clips:
        scanned.remove()
        reason = f"none of the {len(annotated)} spans that are annotated in it lies within it"
        return Skipped(unit, "NoSpanThere", reason, cost=cost)
    rows = Rows.of([clip.row for clip in clips], CLIPS), Rows(scanned.frame_count, _frames(clips, scanned))
    return Done(unit, rows, release=scanned.remove, cost=cost)


def _note_spans_not_there(lake: Lake, unit: Unit, annotated: list[_Annotated], scanned: Scanned, run_id: str) -> None:
    """Writes attempts for spans that the video does not have.

    This happens before the clips are committed, so that a run that is killed in between writes them again.
    """
    not_there = [
        Unusable(
            annotated[number].annotation_id,
            unit.label,
            type(error).__name__,
            str(error),
            partition=unit.partition,
            provenance=unit.provenances[0],
        )
        for number, error in scanned.not_there.items()
    ]
    attempts.note(lake, ANNOTATIONS_STAGE, not_there, run_id)
    lake.delete("attempts", [attempt_id(annotated[number].annotation_id) for number in scanned.span_numbers])
