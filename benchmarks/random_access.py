"""Frames at eight positions of a video: PyAV as `internvid.evaluation.decode` uses it, against decord.

    python benchmarks/random_access.py [VIDEO...]

The same positions, whole pictures in RGB; each way in turn, the median of --repeats. CPU seconds of the process, which
other work on the machine disturbs less than wall seconds. Says for each file whether both gave the same pictures.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from internvid.evaluation.decode import read_frames
from internvid.synthetic.render import SAMPLE_VIDEOS, render_all
from internvid.viclip.frame_choice import middle_frames

FRAMES = 8


def by_pyav(path: str) -> np.ndarray:
    return read_frames(path, None, None, FRAMES, "middle")


def by_decord(path: str, threads: int = 1) -> np.ndarray:
    import decord

    reader = decord.VideoReader(path, num_threads=threads)
    return reader.get_batch(middle_frames(len(reader), FRAMES)).asnumpy()


WAYS: dict[str, Callable[[str], np.ndarray]] = {
    "PyAV": by_pyav,
    "decord, 1 thread": by_decord,
    "decord, all threads": lambda path: by_decord(path, threads=0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, help="default: the rendered sample videos")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments.videos or render_all(Path(folder), SAMPLE_VIDEOS), arguments.repeats)


def compare(videos: Sequence[Path], repeats: int) -> None:
    import decord

    ratios: dict[str, list[float]] = {way: [] for way in WAYS}
    for path in map(str, videos):
        cpu_seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        frames: dict[str, np.ndarray] = {}
        errors: dict[str, str] = {}
        for _ in range(repeats):
            for way, read in WAYS.items():
                started = time.process_time()
                try:
                    frames[way] = read(path)
                    cpu_seconds[way].append(time.process_time() - started)
                except decord.DECORDError as error:
                    errors[way] = str(error).strip().splitlines()[-1]
        for way in WAYS:
            if way in errors:
                print(f"{Path(path).name}: {way}: {errors[way]}")
                continue
            milliseconds = 1000 * statistics.median(cpu_seconds[way])
            is_same = np.array_equal(frames[way], frames["PyAV"])
            pictures = "the same pictures" if is_same else "other pictures"
            print(f"{Path(path).name}: {way}: {milliseconds:.0f} ms of CPU, {pictures}")
            ratios[way].append(milliseconds / (1000 * statistics.median(cpu_seconds["PyAV"])))
    for way, of_pyav in ratios.items():
        if of_pyav:
            print(f"{way}: {statistics.median(of_pyav):.2f} of PyAV's time ({min(of_pyav):.2f} to {max(of_pyav):.2f})")


if __name__ == "__main__":
    main()
