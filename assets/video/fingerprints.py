"""`fingerprints`: perceptual hashes of each video, computed from its sampled frames. No video is decoded again."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from resources.catalog.admission import Admission
from resources.catalog.benchmark_videos import BenchmarkVideos
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Unit, one_by_one
from resources.lake.schema import FINGERPRINTS
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.media.cut_detection import CutDetection
from resources.media.store import Media

JPEGS_PER_READ = 64  # some 2 MB


def configure(scope: StageScope, *, media: Media, cut_detection: CutDetection, admission: Admission) -> Configuration:
    """The version names the hash function, and the benchmark videos that the hashes are compared with."""
    from internvid.video.fingerprint import VERSION

    if scope.lake is None:
        return Configuration(({"": VERSION},), chunk_size=256, is_divisible=True)
    compared = admission.benchmarks(scope.lake, media, cut_detection.settings()).version
    return Configuration(
        ({"": f"{VERSION}+benchmarks-{compared[:8]}" if compared else VERSION},), chunk_size=256, is_divisible=True
    )


@stage(
    group="video",
    outputs=(FINGERPRINTS,),
    configure=configure,
    resources=("media", "cut_detection", "admission"),
    workers="cpu",
    cost=CostDrivers(per_video=True),
)
def fingerprints(
    run: StageRun, units: list[Unit], *, media: Media, cut_detection: CutDetection, admission: Admission
) -> Iterator[Outcome]:
    """Hashes of a video's frames that are similar for copies of it, whatever their size, codec or crop.

    Changes when the video's frames do. A copy of a benchmark's video is skipped, and no subset contains its clips.
    """
    benchmarks = admission.benchmarks(run.lake, media, cut_detection.settings())
    if benchmarks.folder:
        for file, error in benchmarks.unreadable.items():
            run.log(f"benchmark video {file}: {error}")
    yield from fingerprint(run, benchmarks, units)


def fingerprint(run: StageRun, benchmarks: BenchmarkVideos, units: list[Unit]) -> Iterator[Outcome]:
    """Hashes all frames of each video that are not flat. The row of a black video has no hashes."""
    video_ids = [unit.key for unit in units]
    rows = run.query(statement("inputs/frames_to_fingerprint"), {"video_ids": video_ids}).to_pylist()
    frames = {video_id: list(of_video) for video_id, of_video in groupby(rows, key=itemgetter("video_id"))}
    yield from one_by_one(units, lambda unit: _of_video(run.lake, benchmarks, unit, frames[unit.key]))


def _of_video(lake: Lake, benchmarks: BenchmarkVideos, unit: Unit, frames: list[dict]) -> Outcome:
    from internvid.video.fingerprint import Fingerprint

    fingerprint = Fingerprint.from_frames(_pictures(lake, frames))
    if (file := benchmarks.matches(fingerprint)) is not None:
        return Skipped(unit, "InBenchmark", f"looks like {file}")
    row = {
        "video_id": unit.key,
        "frames": len(fingerprint),
        "seconds": fingerprint.seconds_bytes,
        "hashes": fingerprint.hashes_bytes,
    }
    return Done(unit, (Rows.of([row], FINGERPRINTS),), cost=Cost(frames=len(frames)))


def _pictures(lake: Lake, frames: list[dict]) -> Iterator[tuple[float, bytes]]:
    """Yields (seconds, JPEG) of each frame, read in small batches: a long video's frames may not fit in memory."""
    for first in range(0, len(frames), JPEGS_PER_READ):
        batch = frames[first : first + JPEGS_PER_READ]
        jpegs = lake.fetch("frames", [frame["frame_id"] for frame in batch], ["jpeg"])["jpeg"].to_pylist()
        yield from ((frame["seconds"], jpeg) for frame, jpeg in zip(batch, jpegs, strict=True))
