"""Measures speed and memory of one pass over a video, with its cuts, measures and JPEGs.

    python benchmarks/cut_and_sample.py                      # the rendered sample videos
    python benchmarks/cut_and_sample.py FILE_OR_FOLDER ...   # other videos
    python benchmarks/cut_and_sample.py --memory FILE        # peak memory of FILE and of FILE ten times over

On the same files, in one run, several times in turn (the median counts): our `scan`; the same without the network of
cuts (`scan_alone`); without the network and with every frame decoded (`scan_every`); the command line of PySceneDetect
(`scenedetect -i FILE detect-content`, its start-up in it); PyAV decoding to nothing; decord giving full frames, and
frames of 256x144. Each file has a process of its own, and decord another. Figures are frames of the file per second,
once of the processor's time (of the process and its children, user and system) and once of the wall's: on a machine
with other work on it, only the former compare.
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

WAYS = ("scan", "scan_alone", "scan_every", "scenedetect", "pyav", "decord", "decord_small")


def by_scan(path: str, *, leaves_out: bool | None = None, **settings: str) -> int:
    from internvid.video.scan import scan
    from internvid.video.settings import ScanSettings

    return scan(path, ScanSettings(**settings), lambda frame: None, leaves_out=leaves_out)[-1].end_frame


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


RUNS = {
    "scan": by_scan,
    "scan_alone": lambda path: by_scan(path, detector="structure+colour"),
    "scan_every": lambda path: by_scan(path, leaves_out=False, detector="structure+colour"),
    "scenedetect": by_scenedetect,
    "pyav": by_pyav,
    "decord": by_decord,
    "decord_small": lambda path: by_decord(path, width=256, height=144),
}


def measure_here(ways: list[str], path: str, repetitions: int) -> None:
    """Measures in this process, the ways in turn; prints way, frames, seconds and peak memory as a line of JSON each.

    What is imported is start-up, and not what is compared.
    """
    if any(way.startswith("scan_") or way == "scan" for way in ways):
        import internvid.video.scan  # noqa: F401
    if any(way.startswith("decord") for way in ways):
        import decord  # noqa: F401
    for _ in range(repetitions):
        for way in ways:
            started, processor_started = time.perf_counter(), processor_seconds()
            frames = RUNS[way](path)
            seconds, processor = time.perf_counter() - started, processor_seconds() - processor_started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            measured = {"way": way, "frames": frames, "wall": seconds, "processor": processor, "peak_bytes": peak}
            print(json.dumps(measured), flush=True)


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(ways: list[str], path: Path, repetitions: int = 1) -> list[dict]:
    """Measurements in a fresh process; of a way that cannot read the file there are none, nor of those after it."""
    call = [sys.executable, __file__, "--here", "--ways", *ways, "--repetitions", str(repetitions), str(path)]
    done = subprocess.run(call, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def kind_of(path: Path) -> str:
    """The video's codec and height; for H.264 whether it has B-frames."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        b_frames = "+B" if context.codec.canonical_name == "h264" and context.has_b_frames else ""
        return f"{context.codec.canonical_name}{b_frames} {context.height}"


def compare(paths: list[Path], repetitions: int, ways: list[str]) -> None:
    kinds = {path: kind_of(path) for path in paths}
    runs: dict[Path, dict[str, list[dict]]] = {path: {way: [] for way in ways} for path in paths}
    for path in paths:
        # decord can end its process, and leaves memory behind.
        apart = [[way] for way in ways if way.startswith("decord")]
        for together in [[way for way in ways if not way.startswith("decord")], *apart]:
            for run in measure(together, path, repetitions) if together else []:
                runs[path][run["way"]].append(run)
        print(f"measured {path.name}", file=sys.stderr, flush=True)
    for clock in ("processor", "wall"):
        print(f"\nframes per second of the {clock}'s time, median of {repetitions} runs in turn")
        print(f"{'':45s}" + "".join(f"{way:>14s}" for way in ways))
        speeds: dict[Path, dict[str, float]] = {}
        for path in paths:
            measured = {way: taken for way, taken in runs[path].items() if taken}
            frames = max(run["frames"] for taken in measured.values() for run in taken)
            speed = {way: frames / statistics.median(run[clock] for run in taken) for way, taken in measured.items()}
            row = "".join(f"{speed[way]:14,.0f}" if way in speed else f"{'cannot':>14s}" for way in ways)
            print(f"{path.name[:26]:27s}{kinds[path]:12s}{frames:6d}{row}")
            speeds[path] = speed
        summarise(speeds, kinds)


def summarise(speeds: dict[Path, dict[str, float]], kinds: dict[Path, str]) -> None:
    """Prints the quotients of our ways and the others'."""
    sets = {
        "all": list(speeds),
        "H.264 with B-frames": [path for path in speeds if kinds[path].startswith("h264+B")],
        "the same, from 480 lines": [
            path for path in speeds if kinds[path].startswith("h264+B") and int(kinds[path].split()[1]) >= 480
        ],
        "others": [path for path in speeds if not kinds[path].startswith("h264+B")],
    }
    for name, paths in sets.items():
        for ours in ("scan", "scan_alone", "scan_every"):
            for rival in ("scenedetect", "pyav"):
                quotients = [
                    speeds[path][ours] / speeds[path][rival]
                    for path in paths
                    if ours in speeds[path] and rival in speeds[path]
                ]
                if quotients:
                    middle, lowest, highest = statistics.median(quotients), min(quotients), max(quotients)
                    print(
                        f"{name} ({len(quotients)}): {ours} / {rival}: median {middle:.2f}, "
                        f"from {lowest:.2f} to {highest:.2f}"
                    )


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
            runs = measure(["scan"], video)
            if not runs:
                raise SystemExit(f"{video} cannot be scanned")
            (run,) = runs
            print(f"{name[:40]:40s}{run['frames']:9,d} frames {run['peak_bytes'] / 1e6:9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, help="files or folders; default: the rendered sample videos")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rendered", type=Path, help="folder in which rendered videos are kept between runs")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--times", type=int, default=10, help="with --memory: how much longer the second video is")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        measure_here(arguments.ways, str(arguments.videos[0]), arguments.repetitions)
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
