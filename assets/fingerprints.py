"""`fingerprints`: what each video's pictures look like, made from its sampled frames. No video is decoded for it."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import dagster as dg

from assets.ingest_batches import ingest_batches
from resources.benchmark_videos import BenchmarkVideos
from resources.costs import Cost
from resources.cutter import Cutter
from resources.lake import Lake
from resources.media import Media
from resources.refresh import (
    Done,
    Outcome,
    Output,
    Rows,
    Skipped,
    Step,
    Unit,
    batch_counts_spec,
    one_by_one,
    refresh,
)
from resources.schema import FINGERPRINTS
from resources.statements import statement

JPEGS_PER_READ = 64  # some 2 MB


def step(lake: Lake | None, media: Media, cutter: Cutter) -> Step:
    """The version names the hashes that are made of a frame, and the benchmark videos that they are compared with."""
    from internvid.video.fingerprint import VERSION

    compared = "" if lake is None else BenchmarkVideos.of_environment(lake, media, cutter.settings()).version
    version = f"{VERSION}+benchmarks-{compared[:8]}" if compared else VERSION
    return Step("fingerprints", "fingerprints_units", (Output(FINGERPRINTS, {"": version}),), chunk=256)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[dg.AssetKey("raw_videos"), dg.AssetKey("frames")],
    group_name="video",
    kinds={"lance"},
    check_specs=[batch_counts_spec("fingerprints")],
    description="Hashes of a video's frames that copies of it nearly share, whatever their size, codec or crop.",
)
def fingerprints(
    context: dg.AssetExecutionContext, lake: Lake, media: Media, cutter: Cutter
) -> Iterator[dg.MaterializeResult]:
    """One row is a video. Changes when its frames do. A copy of a benchmark's video is told in attempts, and no subset
    has its clips.
    """
    benchmarks = BenchmarkVideos.of_environment(lake, media, cutter.settings())
    if benchmarks.folder:
        for file, error in benchmarks.unreadable.items():
            context.log.warning(f"benchmark video {file}: {error}")
    yield from refresh(context, lake, step(lake, media, cutter), lambda units: fingerprint(lake, benchmarks, units))


def fingerprint(lake: Lake, benchmarks: BenchmarkVideos, units: list[Unit]) -> Iterator[Outcome]:
    """Of each video all frames that are not flat; of a black one that is none, and its row says so."""
    rows = lake.query(
        statement("operations/frames_to_fingerprint"),
        {"video_ids": [unit.key for unit in units]},
        only={"ingest_batch": units[0].partition},
    ).to_pylist()
    frames = {video_id: list(of_video) for video_id, of_video in groupby(rows, key=itemgetter("video_id"))}
    yield from one_by_one(units, lambda unit: _of_video(lake, benchmarks, unit, frames[unit.key]))


def _of_video(lake: Lake, benchmarks: BenchmarkVideos, unit: Unit, frames: list[dict]) -> Outcome:
    from internvid.video.fingerprint import Fingerprint

    found = Fingerprint.of(_pictures(lake, frames))
    if (file := benchmarks.matches(found)) is not None:
        return Skipped(unit, "InBenchmark", f"looks like {file}")
    row = {
        "video_id": unit.key,
        "frames": len(found),
        "seconds": found.seconds_bytes,
        "hashes": found.hashes_bytes,
    }
    return Done(unit, (Rows.of([row], FINGERPRINTS),), cost=Cost(frames=len(frames)))


def _pictures(lake: Lake, frames: list[dict]) -> Iterator[tuple[float, bytes]]:
    """(seconds, JPEG) of each frame, a few read at a time: a long video has more than memory holds."""
    for first in range(0, len(frames), JPEGS_PER_READ):
        some = frames[first : first + JPEGS_PER_READ]
        jpegs = lake.fetch("frames", [frame["frame_id"] for frame in some], ["jpeg"])["jpeg"].to_pylist()
        yield from ((frame["seconds"], jpeg) for frame, jpeg in zip(some, jpegs, strict=True))
