"""Measures the whole job: seconds of work per second of video by stage, the second run, and memory.

    python benchmarks/whole_job.py [FOLDER] [--longer N]

Runs the real command line on the folder's videos (the rendered sample videos unless given) into a temporary lake.
Beside the stages it prints, measured in the same run, what decoding the same files to nothing costs with PyAV: no
pipeline that looks at every frame can be faster. The memory of a run on one video is compared with that of a run on the
same video N times as long: it should not grow.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from cut_and_sample import repeated


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", nargs="?", type=Path)
    arguments.add_argument("--longer", type=int, default=10)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        folder = given.folder or work / "synthetic_videos"
        if given.folder is None:
            internvid("sample-videos", str(folder))
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
        cost_by_stage(folder, work / "lake")
        memory(folder, work, given.longer)


def cost_by_stage(folder: Path, lake: Path) -> None:
    first, _ = internvid("ingest", str(folder), "--lake", str(lake))
    second, _ = internvid("ingest", str(folder), "--lake", str(lake))
    stages, video_seconds = stage_seconds(lake)
    decoding = decode_to_nothing(folder)
    print(f"{video_seconds:,.0f} s of video; seconds of work per second of video")
    for stage, seconds in stages.items():
        print(f"  {stage:<28}{seconds / video_seconds:8.4f}")
    print(f"  {'the whole command':<28}{first / video_seconds:8.4f}")
    print(f"  {'PyAV, decoding to nothing':<28}{decoding / video_seconds:8.4f}")
    print(f"second run: {second:.1f} s against {first:.1f} s, {second / first:.3f} of it\n")


def stage_seconds(lake: Path) -> tuple[dict[str, float], float]:
    """Seconds by stage as the runs reported them, and seconds of video in the lake."""
    import dagster as dg

    from orchestration.cli.session import Session
    from orchestration.settings import Settings

    session = Session(Settings(lake=str(lake)))
    video_seconds = session.lake.query("select sum(end_seconds - start_seconds) as s from clips")["s"][0].as_py()
    stages = {}
    for stage in ("raw_videos", "clips", "frame_captions", "clip_captions"):
        records = session.instance.fetch_materializations(dg.AssetKey(stage), limit=1_000).records
        reported = [record.asset_materialization.metadata["seconds"].value for record in records]
        stages["clips and frames" if stage == "clips" else stage] = sum(reported)
    return stages, video_seconds


def decode_to_nothing(folder: Path) -> float:
    started = time.perf_counter()
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            continue
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for _ in container.decode(stream):
                pass
    return time.perf_counter() - started


def memory(folder: Path, work: Path, times: int) -> None:
    """Peak resident memory of the largest process of a run, for a video and for one as many times longer."""
    short = max((path for path in folder.iterdir() if path.suffix == ".mp4"), key=lambda path: path.stat().st_size)
    long = work / "long" / short.name
    long.parent.mkdir()
    repeated(short, times, long)
    _, of_short = internvid("ingest", str(short), "--lake", str(work / "lake-short"))
    _, of_long = internvid("ingest", str(long), "--lake", str(work / "lake-long"))
    print(f"peak memory: {of_short:,.0f} MiB for {short.name}, {of_long:,.0f} MiB for it {times} times as long")
    print(f"ratio {of_long / of_short:.2f}")


def internvid(*arguments: str) -> tuple[float, float]:
    """Runs the command line; returns its seconds and the peak MiB of the largest of its processes."""
    started = time.perf_counter()
    command = [str(Path(sys.executable).with_name("internvid")), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"internvid {' '.join(arguments)} failed:\n{errors.decode()}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
