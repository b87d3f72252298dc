"""Measures precision, recall and F1 of each cut detector, with a tolerance of one frame, and its speed.

    python benchmarks/detectors.py                          # the rendered hard videos
    python benchmarks/detectors.py --videos FOLDER          # and real videos: FOLDER/MANIFEST.csv, FOLDER/cuts.json
    python benchmarks/detectors.py --videos FOLDER --splices [--seed 1]   # and 200 splices made of them
    python benchmarks/detectors.py --by-video                # a row for each video too

In cuts.json, {"file.mp4": {"cuts": [frame, ...], "either_way": [[first, last], ...]}}; a prediction within an
`either_way` range counts neither for nor against. Videos of the manifest's set `open` without an entry have no cuts.
A gradual transition of a splice is found by one boundary within its frames.
The command line of PySceneDetect (`scenedetect detect-content`) runs beside our own feeding of its detectors.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
from generators.splices import splices

from internvid.synthetic.render import HARD_VIDEOS, SAMPLE_VIDEOS, read_truth, render_all
from internvid.video.scan import scan
from internvid.video.settings import DETECTORS, ScanSettings

TOLERANCE_FRAMES = 1
COMMAND_LINE = "scenedetect CLI, content 27"


@dataclass(frozen=True)
class LabelledVideo:
    """A video with its true cuts: frame indices, and [first, last] ranges that count neither way.

    transitions: [first, last] frames of gradual ones.
    """

    path: Path
    cuts: list[int]
    either_way: list[list[int]]
    transitions: tuple[list[int], ...] = ()


@dataclass
class Count:
    """Numbers of cuts: predicted (hits), predicted where there is none (false), missed."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, count: Count) -> Count:
        return Count(self.hits + count.hits, self.false + count.false, self.missed + count.missed)

    def __str__(self) -> str:
        precision = self.hits / max(1, self.hits + self.false)
        recall = self.hits / max(1, self.hits + self.missed)
        f1 = 2 * self.hits / max(1, 2 * self.hits + self.false + self.missed)
        counts = f"{self.hits:4d} {self.false:4d} {self.missed:4d}"
        return f"{precision:9.2f} {recall:6.2f} {f1:6.3f}   {counts}"


def compare(predicted: list[int], video: LabelledVideo) -> Count:
    """Each true cut is found by the nearest prediction within the tolerance; one prediction finds one cut."""
    left = set(video.cuts)
    gradual = list(video.transitions)
    count = Count()
    for frame in predicted:
        near = [cut for cut in left if abs(cut - frame) <= TOLERANCE_FRAMES]
        within = [span for span in gradual if span[0] - TOLERANCE_FRAMES <= frame <= span[1] + TOLERANCE_FRAMES]
        if near:
            left.remove(min(near, key=lambda cut: abs(cut - frame)))
            count.hits += 1
        elif within:
            gradual.remove(within[0])
            count.hits += 1
        elif not any(first <= frame <= last for first, last in video.either_way):
            count.false += 1
    count.missed = len(left) + len(gradual)
    return count


def ours(video: LabelledVideo, detector: str) -> list[int]:
    clips = scan(str(video.path), ScanSettings(detector=detector, max_shot_seconds=None), lambda frame: None)
    return [(before.end_frame + after.start_frame) // 2 for before, after in pairwise(clips)]


def command_line(video: LabelledVideo) -> list[int]:
    """The cuts of `scenedetect detect-content`, its defaults unchanged."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("scenedetect")
        call = [str(program), "-i", str(video.path), "-o", folder, "detect-content", "list-scenes", "-n"]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
    starts = [int(row) for row in re.findall(r"^ \|\s+\d+\s+\|\s+(\d+) \|", done.stdout, re.MULTILINE)]
    return [start - 1 for start in starts[1:]]  # it counts frames from 1


def rendered(folder: Path, plans: tuple) -> list[LabelledVideo]:
    paths = render_all(folder, plans)
    truths = [read_truth(path) for path in paths]
    return [LabelledVideo(path, truth.cuts, truth.either_way) for path, truth in zip(paths, truths, strict=True)]


def real(folder: Path) -> list[LabelledVideo]:
    truth = json.loads((folder / "cuts.json").read_text())
    with open(folder / "MANIFEST.csv", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["set"] == "open"]
    none: dict[str, list] = {"cuts": [], "either_way": []}
    return [LabelledVideo(folder / name, **truth.get(Path(name).name, none)) for name in names]


def spliced(videos: Path, folder: Path, *, seed: int) -> list[LabelledVideo]:
    paths = splices(videos, folder, seed=seed, events=20)
    return [LabelledVideo(path, **json.loads(path.with_suffix(".truth.json").read_text())) for path in paths]


def frames_of(video: LabelledVideo) -> int:
    with av.open(str(video.path)) as container:
        return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="a folder with MANIFEST.csv and cuts.json")
    parser.add_argument("--rendered", type=Path, help="folder in which rendered videos are kept between runs")
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=DETECTORS)
    parser.add_argument("--splices", action="store_true", help="with --videos: splice them, and measure on that too")
    parser.add_argument("--seed", type=int, default=0, help="of the splices")
    parser.add_argument("--by-video", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], help="parts of the names of the sets to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.rendered or Path(temporary)
        makers = {
            "hard videos (rendered)": lambda: rendered(folder / "hard", HARD_VIDEOS),
            "sample videos (rendered)": lambda: rendered(folder / "sample", SAMPLE_VIDEOS),
        }
        if arguments.videos:
            makers["real videos"] = lambda: real(arguments.videos)
        if arguments.videos and arguments.splices:
            splice_folder = folder / f"splices-{arguments.seed}"
            makers["splices"] = lambda: spliced(arguments.videos, splice_folder, seed=arguments.seed)
        for name, make in makers.items():
            if arguments.only and not any(part in name for part in arguments.only):
                continue
            videos = make()
            cuts = sum(len(video.cuts) for video in videos)
            gradual = sum(len(video.transitions) for video in videos)
            frames = sum(frames_of(video) for video in videos)
            print(
                f"\n{name}: {len(videos)} videos, {cuts} hard cuts, {gradual} gradual, within {TOLERANCE_FRAMES} frame"
            )
            print(f"{'':30s} precision recall     F1    hits false missed  frames/s")
            for detector in [*arguments.detectors, COMMAND_LINE]:
                started = time.perf_counter()
                counts = [
                    compare(
                        command_line(video) if detector == COMMAND_LINE else ours(video, detector),
                        video,
                    )
                    for video in videos
                ]
                speed = frames / (time.perf_counter() - started)
                print(f"{detector:30s} {sum(counts, Count())} {speed:9,.0f}", flush=True)
                if arguments.by_video:
                    for video, count in zip(videos, counts, strict=True):
                        if count.false or count.missed:
                            print(f"  {video.path.name:28s} {count}")


if __name__ == "__main__":
    main()
