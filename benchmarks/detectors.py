"""How well each cut detector finds hard cuts: precision, recall and F1, a cut counting within one frame.

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
class SyntheticVideo:
    """A video with its true cuts: frame indices, and [first, last] ranges that count neither way."""

    path: Path
    cuts: list[int]
    either_way: list[list[int]]


@dataclass
class Count:
    """Cuts found, predictions that are none, cuts missed."""

    found: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.found + other.found, self.false + other.false, self.missed + other.missed)

    def __str__(self) -> str:
        precision = self.found / max(1, self.found + self.false)
        recall = self.found / max(1, self.found + self.missed)
        f1 = 2 * self.found / max(1, 2 * self.found + self.false + self.missed)
        counts = f"{self.found:4d} {self.false:4d} {self.missed:4d}"
        return f"{precision:9.2f} {recall:6.2f} {f1:6.3f}   {counts}"


def compare(predicted: list[int], synthetic_video: SyntheticVideo) -> Count:
    """Each true cut is found by the nearest prediction within the tolerance; one prediction finds one cut."""
    left = set(synthetic_video.cuts)
    count = Count()
    for frame in predicted:
        near = [cut for cut in left if abs(cut - frame) <= TOLERANCE_FRAMES]
        if near:
            left.remove(min(near, key=lambda cut: abs(cut - frame)))
            count.found += 1
        elif not any(first <= frame <= last for first, last in synthetic_video.either_way):
            count.false += 1
    count.missed = len(left)
    return count


def ours(synthetic_video: SyntheticVideo, detector: str) -> list[int]:
    clips = scan(str(synthetic_video.path), ScanSettings(detector=detector, max_shot_seconds=None), lambda frame: None)
    return [clip.start_frame for clip in clips[1:]]


def command_line(synthetic_video: SyntheticVideo) -> list[int]:
    """The cuts of `scenedetect detect-content`, its defaults unchanged."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("scenedetect")
        call = [str(program), "-i", str(synthetic_video.path), "-o", folder, "detect-content", "list-scenes", "-n"]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
    starts = [int(row) for row in re.findall(r"^ \|\s+\d+\s+\|\s+(\d+) \|", done.stdout, re.MULTILINE)]
    return [start - 1 for start in starts[1:]]  # it counts frames from 1


def rendered(folder: Path, plans: tuple) -> list[SyntheticVideo]:
    paths = render_all(folder, plans)
    truths = [read_truth(path) for path in paths]
    return [SyntheticVideo(path, truth.cuts, truth.either_way) for path, truth in zip(paths, truths, strict=True)]


def real(folder: Path) -> list[SyntheticVideo]:
    truth = json.loads((folder / "cuts.json").read_text())
    with open(folder / "MANIFEST.csv", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["set"] == "open"]
    none: dict[str, list] = {"cuts": [], "either_way": []}
    return [SyntheticVideo(folder / name, **truth.get(Path(name).name, none)) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="a folder with MANIFEST.csv and cuts.json")
    parser.add_argument("--videos", type=Path, help="where rendered videos are kept between runs")
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=DETECTORS)
    parser.add_argument("--by-video", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.synthetic_videos or Path(temporary)
        sets = {
            "hard videos (rendered)": rendered(folder / "hard", HARD_VIDEOS),
            "sample videos (rendered)": rendered(folder / "sample", SAMPLE_VIDEOS),
        }
        if arguments.videos:
            sets["real videos"] = real(arguments.videos)
        for name, synthetic_videos in sets.items():
            cuts = sum(len(synthetic_video.cuts) for synthetic_video in synthetic_videos)
            print(f"\n{name}: {len(synthetic_videos)} videos, {cuts} hard cuts, within {TOLERANCE_FRAMES} frame")
            print(f"{'':30s} precision recall     F1   found false missed")
            for detector in [*arguments.detectors, COMMAND_LINE]:
                counts = [
                    compare(
                        command_line(synthetic_video) if detector == COMMAND_LINE else ours(synthetic_video, detector),
                        synthetic_video,
                    )
                    for synthetic_video in synthetic_videos
                ]
                print(f"{detector:30s} {sum(counts, Count())}", flush=True)
                if arguments.by_video:
                    for synthetic_video, count in zip(synthetic_videos, counts, strict=True):
                        if count.false or count.missed:
                            print(f"  {synthetic_video.path.name:28s} {count}")


if __name__ == "__main__":
    main()
