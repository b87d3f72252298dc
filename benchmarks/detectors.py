"""Measures precision, recall and F1 of each cut detector on hard cuts, with a tolerance of one frame.

    python benchmarks/detectors.py                          # the rendered hard videos
    python benchmarks/detectors.py --videos FOLDER          # and real videos: FOLDER/MANIFEST.csv, FOLDER/cuts.json
    python benchmarks/detectors.py --by-video                # a row for each video too

In cuts.json, {"file.mp4": {"cuts": [frame, ...], "either_way": [[first, last], ...]}}; a prediction within an
`either_way` range counts neither for nor against. Videos of the manifest's set `open` without an entry have no cuts.
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
from dataclasses import dataclass
from pathlib import Path

from internvid.synthetic.render import HARD_VIDEOS, SAMPLE_VIDEOS, read_truth, render_all
from internvid.video.scan import scan
from internvid.video.settings import DETECTORS, ScanSettings

TOLERANCE_FRAMES = 1
COMMAND_LINE = "scenedetect CLI, content 27"


@dataclass(frozen=True)
class LabelledVideo:
    """A video with its true cuts: frame indices, and [first, last] ranges that count neither way."""

    path: Path
    cuts: list[int]
    either_way: list[list[int]]


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
    count = Count()
    for frame in predicted:
        near = [cut for cut in left if abs(cut - frame) <= TOLERANCE_FRAMES]
        if near:
            left.remove(min(near, key=lambda cut: abs(cut - frame)))
            count.hits += 1
        elif not any(first <= frame <= last for first, last in video.either_way):
            count.false += 1
    count.missed = len(left)
    return count


def ours(video: LabelledVideo, detector: str) -> list[int]:
    clips = scan(str(video.path), ScanSettings(detector=detector, max_shot_seconds=None), lambda frame: None)
    return [clip.start_frame for clip in clips[1:]]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="a folder with MANIFEST.csv and cuts.json")
    parser.add_argument("--rendered", type=Path, help="folder in which rendered videos are kept between runs")
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=DETECTORS)
    parser.add_argument("--by-video", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.rendered or Path(temporary)
        sets = {
            "hard videos (rendered)": rendered(folder / "hard", HARD_VIDEOS),
            "sample videos (rendered)": rendered(folder / "sample", SAMPLE_VIDEOS),
        }
        if arguments.videos:
            sets["real videos"] = real(arguments.videos)
        for name, videos in sets.items():
            cuts = sum(len(video.cuts) for video in videos)
            print(f"\n{name}: {len(videos)} videos, {cuts} hard cuts, within {TOLERANCE_FRAMES} frame")
            print(f"{'':30s} precision recall     F1    hits false missed")
            for detector in [*arguments.detectors, COMMAND_LINE]:
                counts = [
                    compare(
                        command_line(video) if detector == COMMAND_LINE else ours(video, detector),
                        video,
                    )
                    for video in videos
                ]
                print(f"{detector:30s} {sum(counts, Count())}", flush=True)
                if arguments.by_video:
                    for video, count in zip(videos, counts, strict=True):
                        if count.false or count.missed:
                            print(f"  {video.path.name:28s} {count}")


if __name__ == "__main__":
    main()
