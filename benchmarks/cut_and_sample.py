"""Measures speed and memory of one pass over a video, with its cuts, measures and JPEGs.

    python benchmarks/cut_and_sample.py                      # the rendered sample videos
    python benchmarks/cut_and_sample.py FILE_OR_FOLDER ...   # other videos
    python benchmarks/cut_and_sample.py --memory FILE        # peak memory of FILE and of FILE ten times over

On the same files, in one run, several times in turn (the median counts): our `scan`, and the same
without the network of cuts (`scan_alone`); the command line of PySceneDetect
(`scenedetect -i FILE detect-content`, its start-up in it); PyAV decoding to nothing; decord giving full frames, and
frames of 256x144. Each runs in a process of its own. Figures are frames of the file per second of wall time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from internvid.synthetic.render import SAMPLE_VIDEOS, render_all

WAYS = ("scan", "scan_alone", "scenedetect", "pyav", "decord", "decord_small")


def by_scan(path: str, **settings: str) -> int:
    from internvid.video.scan import scan
    from internvid.video.settings import ScanSettings

    return scan(path, ScanSettings(**settings), lambda frame: None)[-1].end_frame


def by_pyav(path: str) -> int:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _ in container.decode(stream))


def by_decord(path: str, **size: int) -> int:
    import decord

    reader = decord.VideoReader(path, num_threads=0, **size)
    for _ in range(len(reader)):
        reader.next()
    return len(reader)


def by_scenedetect(path: str) -> int:
    program = Path(sys.executable).with_name("scenedetect")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(program), "-q", "-i", path, "-o", folder, "detect-content"], check=True)
    return 0


def measure_here(way: str, path: str) -> None:
    """One measurement in this process: prints frames, seconds and peak memory as JSON."""
    runs = {
        "scan": by_scan,
        "scan_alone": lambda path: by_scan(path, detector="structure+colour"),
        "scenedetect": by_scenedetect,
        "pyav": by_pyav,
        "decord": by_decord,
        "decord_small": lambda path: by_decord(path, width=256, height=144),
    }
    if way.startswith("scan"):
        import internvid.video.scan  # noqa: F401  # its import is start-up, and not what is compared
    if way.startswith("decord"):
        import decord  # noqa: F401
    started = time.perf_counter()
    frames = runs[way](path)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"frames": frames, "seconds": seconds, "peak_bytes": peak}))


def measure(way: str, path: Path) -> dict | None:
    """One measurement in a fresh process; None where that way cannot read the file."""
    call = [sys.executable, __file__, "--way", way, str(path)]
    done = subprocess.run(call, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def compare(paths: list[Path], repetitions: int, ways: list[str]) -> None:
    print(f"frames per second, median of {repetitions} runs in turn")
    print(f"{'':34s}" + "".join(f"{way:>14s}" for way in ways) + "   scan/scenedetect   scan/pyav")
    ratios: dict[str, list[float]] = {"scenedetect": [], "pyav": []}
    for path in paths:
        runs: dict[str, list[float]] = {way: [] for way in ways}
        frames = 0
        for _ in range(repetitions):
            for way in ways:
                run = measure(way, path)
                if run is not None:
                    runs[way].append(run["seconds"])
                    frames = max(frames, run["frames"])
        speed = {way: frames / statistics.median(seconds) for way, seconds in runs.items() if seconds}
        row = "".join(f"{speed[way]:14,.0f}" if way in speed else f"{'cannot':>14s}" for way in ways)
        for rival, quotients in ratios.items():
            if rival in speed and "scan" in speed:
                quotients.append(speed["scan"] / speed[rival])
                row += f"{quotients[-1]:{19 if rival == 'scenedetect' else 12}.2f}"
        print(f"{path.name[:28]:28s}{frames:6d}{row}", flush=True)
    for rival, quotients in ratios.items():
        if quotients:
            lowest, highest = min(quotients), max(quotients)
            print(f"scan / {rival}: median {statistics.median(quotients):.2f}, from {lowest:.2f} to {highest:.2f}")


def repeated(path: Path, times: int, result: Path) -> None:
    """The video stream of a file several times over, without encoding it again."""
    with av.open(str(result), "w") as output:
        stream = None
        shift = 0
        for _ in range(times):
            with av.open(str(path)) as container:
                source = container.streams.video[0]
                if stream is None:
                    stream = output.add_stream_from_template(source)
                packets = [packet for packet in container.demux(source) if packet.pts is not None]
                first = min(packet.dts for packet in packets if packet.dts is not None)
                end = max(packet.pts + (packet.duration or 0) for packet in packets)
                for packet in packets:
                    packet.pts += shift - first
                    packet.dts = packet.dts + shift - first if packet.dts is not None else None
                    packet.stream = stream
                    output.mux(packet)
                shift += end - first


def memory(path: Path, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        longer = Path(folder) / f"longer{path.suffix}"
        repeated(path, times, longer)
        print("peak memory of one process that scans, MB")
        for name, video in ((path.name, path), (f"the same {times} times over", longer)):
            run = measure("scan", video)
            if run is None:
                raise SystemExit(f"{video} cannot be scanned")
            print(f"{name[:40]:40s}{run['frames']:9,d} frames {run['peak_bytes'] / 1e6:9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, help="files or folders; default: the rendered sample videos")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rendered", type=Path, help="folder in which rendered videos are kept between runs")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--times", type=int, default=10, help="with --memory: how much longer the second video is")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure_here(arguments.way, str(arguments.videos[0]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        given = arguments.videos or render_all(arguments.rendered or Path(temporary), SAMPLE_VIDEOS)
        paths = [file for path in given for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
        paths = [path for path in paths if path.suffix not in {".json", ".md", ".txt", ".csv"}]
        if arguments.memory:
            for path in paths[:1] if not arguments.videos else paths:
                memory(path, arguments.times)
        else:
            compare(paths, arguments.repetitions, arguments.ways)


if __name__ == "__main__":
    main()
