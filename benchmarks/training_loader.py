"""Measures how fast clips reach a trainer: from the lake's frames, and by decoding the video files again.

    python benchmarks/training_loader.py                      # the rendered sample videos
    python benchmarks/training_loader.py FILE_OR_FOLDER ...   # other videos
    python benchmarks/training_loader.py --size 64            # for another model than the paper's 224 pixels
    python benchmarks/training_loader.py --profile            # where the lake's loader spends its time

The videos are taken into a lake in a temporary folder, each second sampled so often that every compared clip has at
least 8 frames. A sample is then 8 frames of a clip, one of each eighth of it, resized to one size. `lake` reads them
through `internvid.data.ClipDataset`, a batch at a time. `decord` opens the video, seeks and decodes them, as trainers
do that read videos (one VideoReader a clip, one thread); `decord_resized` has the decoder resize as well. The same
clips in random order, in turn, in one run, each way in as many processes of its own. Figures are samples per second of
wall time, without start-up, and of the processor's time, which other load on the machine disturbs less; the median of
the repetitions. At the end stands the memory of a process that reads through the lake's loader, after each of three
epochs. No video is left out but those that decord cannot open.
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import os
import platform
import pstats
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from internvid.data import ClipBatches, ClipDataset, Epochs
from internvid.synthetic.render import SAMPLE_VIDEOS, VideoPlan, render_all
from internvid.viclip.frame_choice import middle_frames
from resources.lake.store import Lake
from resources.training.lake_clips import LakeClips, index_clips

FRAMES = 8
BATCH = 32
SNAPSHOT = "benchmark"
WAYS = ("lake", "decord", "decord_resized")

# The frame sampling settings of the lake that is read: frames per second, and their shorter side in pixels.
Sampling = tuple[float, int]


@dataclass(frozen=True)
class Share:
    """The share of a process. positions: of its clips in the index, in the order in which decord reads them.

    spans: file of each of these clips, and its first frame and the one after its last.
    """

    lake: Lake
    index: Path
    size: int
    number: int
    processes: int
    positions: list[int]
    spans: list[tuple[str, int, int]]


# --- the ways ----------------------------------------------------------------------------------------------------


def resized(video: np.ndarray, size: int) -> np.ndarray:
    """[frames, size, size, 3]: as training resizes, bicubic with antialiasing."""
    import torch

    frames = torch.from_numpy(video).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(frames, size=(size, size), mode="bicubic", antialias=True)
    return resized.permute(0, 2, 3, 1).numpy()


def by_lake(share: Share, passes: int) -> int:
    """Loads the clips so often over; returns the number of bytes, which every way must agree on."""
    return sum(batch.frames.nbytes for batch in dataset(share, passes))


def dataset(share: Share, epochs: int) -> ClipDataset:
    """Returns this process's part of the clips, as a trainer reads them: in a random order, with random frames."""
    clips = LakeClips(share.lake, share.index, SNAPSHOT, short_side=share.size)
    return ClipDataset(
        Epochs(clips, batch_size=BATCH * share.processes, epochs=epochs),
        ClipBatches(clips, frames=FRAMES, size=share.size, crop_scale=(1.0, 1.0), flip=False),
        rank=share.number,
        ranks=share.processes,
    )


def memory_by_epoch(share: Share, epochs: int, results: multiprocessing.Queue) -> None:
    """Runs in a separate process: reports its memory in MB after each epoch."""
    megabytes, before = [], 0
    for batch in dataset(share, epochs):
        if batch.epoch > before:
            megabytes.append(resident_megabytes())
            before = batch.epoch
    results.put([*megabytes, resident_megabytes()])


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def by_decord(share: Share, passes: int, **size: int) -> int:
    import decord

    total = 0
    for _ in range(passes):
        for path, start, end in share.spans:
            reader = decord.VideoReader(path, num_threads=1, **size)
            indices = [min(start + index, len(reader) - 1) for index in middle_frames(end - start, FRAMES)]
            total += resized(reader.get_batch(indices).asnumpy(), share.size).nbytes
    return total


def by_decord_resized(share: Share, passes: int) -> int:
    return by_decord(share, passes, width=share.size, height=share.size)


LOADERS = {"lake": by_lake, "decord": by_decord, "decord_resized": by_decord_resized}


def measured(way: str, share: Share, passes: int, ready: Barrier, results: multiprocessing.Queue) -> None:
    """Runs in a separate process: loads once to warm up, waits for the others, then loads and reports times."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    LOADERS[way](share, 1)
    ready.wait()
    started, cpu_before = time.perf_counter(), time.process_time()
    loaded = LOADERS[way](share, passes)
    results.put((time.perf_counter() - started, time.process_time() - cpu_before, loaded))


def samples_per_second(way: str, shares: list[Share], passes: int) -> np.ndarray:
    """Returns samples per second of wall time, and of the processor's time, of all processes together."""
    spawn = multiprocessing.get_context("spawn")
    ready, results = spawn.Barrier(len(shares)), spawn.Queue()
    processes = [spawn.Process(target=measured, args=(way, share, passes, ready, results)) for share in shares]
    for process in processes:
        process.start()
    measurements = [results.get(timeout=3600) for _ in processes]
    for process in processes:
        process.join()
    samples = passes * sum(len(share.positions) for share in shares)
    size = shares[0].size
    if sum(loaded for _, _, loaded in measurements) != samples * FRAMES * size * size * 3:
        raise SystemExit(f"{way} did not deliver {FRAMES} frames of {samples} clips")
    return samples / np.array([max(seconds for seconds, _, _ in measurements), sum(cpu for _, cpu, _ in measurements)])


# --- the lake ----------------------------------------------------------------------------------------------------


def ingest(paths: list[Path], folder: Path, frames_per_second: float, short_side: int) -> Lake:
    """Returns a lake with the videos' clips and frames, and a placeholder caption for each clip."""
    import dagster as dg
    import pyarrow as pa

    from assets.ingest.raw_videos import raw_videos
    from assets.partitions import ingest_batches
    from assets.video.clips import clips_and_frames
    from resources.catalog.files import register
    from resources.incremental.engine import LocalEngine
    from resources.incremental.materialization import build_asset
    from resources.incremental.retries import FailurePolicy
    from resources.media.cut_detection import CutDetection
    from resources.media.store import Media

    lake, media = Lake(root=str(folder / "lake")), Media(root=str(folder / "media"), workers=os.cpu_count() or 1)
    lake.create_tables()
    registered = register(lake, media, [str(path) for path in paths], run_id=SNAPSHOT)
    cut_detection = CutDetection(fine_frames_per_second=frames_per_second, frame_short_side=short_side)
    instance = dg.DagsterInstance.ephemeral()
    for batch in sorted(registered.batches):
        instance.add_dynamic_partitions("ingest_batch", [batch])
        dg.materialize(
            [build_asset(definition, ingest_batches) for definition in (raw_videos, clips_and_frames)],
            partition_key=batch,
            resources={
                "lake": lake,
                "media": media,
                "cut_detection": cut_detection,
                "failure_policy": FailurePolicy(),
                "engine": LocalEngine(),
            },
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
    clips = lake.polars("clips", columns=["clip_id", "video_id"]).to_arrow()
    lake.upsert("clip_captions", clips.append_column("caption", pa.array(["a clip"] * len(clips))))
    lake.optimize()
    lake.tag(SNAPSHOT)
    return lake


def comparable_clips(lake: Lake) -> list[dict]:
    """The clips with enough frames in files that decord reads, with path, start_frame and end_frame."""
    import decord

    rows = lake.query(
        """
        select clip_id, path, start_frame, end_frame
        from clips
        join raw_videos using (video_id)
        join (select clip_id, count(*) as frames from frames group by clip_id) using (clip_id)
        where frames >= $1
        order by clip_id
        """,
        [FRAMES],
        at=SNAPSHOT,
    ).to_pylist()
    all_clips = lake.query("select count(*) as n from clips", at=SNAPSHOT)["n"][0].as_py()
    readable = {}
    for path in {row["path"] for row in rows}:
        try:
            readable[path] = len(decord.VideoReader(path, num_threads=1)) > 0
        except decord.DECORDError:
            readable[path] = False
    cannot = sorted(Path(path).name for path, can in readable.items() if not can)
    print(f"{len(rows)} of {all_clips} clips have at least {FRAMES} sampled frames")
    if cannot:
        print(f"decord cannot read, so left out for all: {', '.join(cannot)}")
    return [row for row in rows if readable[row["path"]]]


def shares_of(lake: Lake, rows: list[dict], size: int, processes: int, folder: Path) -> list[Share]:
    """The clips in random order, dealt out to the processes."""
    index = index_clips(lake, [row["clip_id"] for row in rows], folder / "index.arrow", snapshot=SNAPSHOT)
    order = np.random.default_rng(0).permutation(index.clips)
    return [
        Share(
            lake,
            index.path,
            size,
            number,
            processes,
            [int(position) for position in part],
            [(rows[position]["path"], rows[position]["start_frame"], rows[position]["end_frame"]) for position in part],
        )
        for number, part in enumerate(order[number::processes] for number in range(processes))
    ]


def scaled(plan: VideoPlan, height: int | None) -> VideoPlan:
    """The video at another height, its shape kept."""
    if height is None:
        return plan
    return replace(plan, height=height, width=round(plan.width * height / plan.height / 2) * 2)


# --- the comparison ----------------------------------------------------------------------------------------------


def compare(paths: list[Path], folder: Path, options: argparse.Namespace) -> None:
    for short_side in options.short_side:
        place = folder / str(short_side)
        lake = ingest(paths, place, options.frames_per_second, short_side)
        rows = comparable_clips(lake)
        jpegs = lake.query("select count(*) as n, avg(octet_length(jpeg)) as bytes from frames", at=SNAPSHOT)
        print(f"{jpegs['n'][0]} frames of {jpegs['bytes'][0].as_py() / 1000:.0f} kB, shorter side {short_side} at most")
        for size in options.size:
            shares = shares_of(lake, rows, size, options.processes, place)
            if options.profile:
                profile(shares[0])
                continue
            runs: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
            for _ in range(options.repetitions):
                for way in WAYS:
                    passes = options.passes if way == "lake" else 1
                    runs[way].append(samples_per_second(way, shares, passes))
            for column, clock in enumerate(("wall time", "processor's time")):
                speed = {way: statistics.median(run[column] for run in way_runs) for way, way_runs in runs.items()}
                print(
                    f"  to {size}x{size}, samples a second of {clock}: "
                    + ", ".join(f"{way} {value:,.1f}" for way, value in speed.items())
                    + "; "
                    + ", ".join(f"lake/{way} {speed['lake'] / speed[way]:.1f}" for way in WAYS[1:]),
                    flush=True,
                )
            spawn = multiprocessing.get_context("spawn")
            results = spawn.Queue()
            process = spawn.Process(target=memory_by_epoch, args=(replace(shares[0], processes=1), 3, results))
            process.start()
            megabytes = ", ".join(f"{value:,.0f}" for value in results.get(timeout=3600))
            process.join()
            print(f"  to {size}x{size}, memory after each epoch of the lake's loader: {megabytes} MB", flush=True)


def profile(share: Share) -> None:
    """Of the lake's loader, in this process."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    by_lake(share, 1)
    with cProfile.Profile() as profiler:
        by_lake(share, 3)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, help="files or folders; default: the rendered sample videos")
    parser.add_argument("--size", type=int, nargs="+", default=[224, 64], help="pixels that frames are resized to")
    parser.add_argument("--short-side", type=int, nargs="+", default=[384], help="of the frames kept in the lake")
    parser.add_argument("--frames-per-second", type=float, default=4.0, help="that the lake keeps")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--passes", type=int, default=5, help="of the lake's loader over the clips, in a measurement")
    parser.add_argument("--video-height", type=int, help="render the videos at this height instead of their own")
    parser.add_argument("--rendered", type=Path, help="folder in which rendered videos are kept between runs")
    parser.add_argument("--profile", action="store_true", help="profile the lake's loader instead")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {options.processes} process(es) each way")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        plans = [scaled(plan, options.video_height) for plan in SAMPLE_VIDEOS if plan.codec != "av1"]
        compare(
            options.videos or render_all(options.rendered or folder / "synthetic_videos", plans),
            folder,
            options,
        )


if __name__ == "__main__":
    main()
