"""How well each cut detector finds hard cuts: precision, recall and F1, a cut counting within one frame.

    python benchmarks/detectors.py                          # the rendered hard films
    python benchmarks/detectors.py --videos FOLDER          # and real videos: FOLDER/MANIFEST.csv, FOLDER/cuts.json
    python benchmarks/detectors.py --by-film                # a row for each film too

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

from internvid.films.render import HARD_FILMS, SAMPLE_FILMS, read_truth, render_all
from internvid.video.scan import scan
from internvid.video.settings import DETECTORS, ScanSettings

TOLERANCE_FRAMES = 1
COMMAND_LINE = "scenedetect CLI, content 27"


@dataclass(frozen=True)
class Film:
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


def compare(predicted: list[int], film: Film) -> Count:
    """Each true cut is found by the nearest prediction within the tolerance; one prediction finds one cut."""
    left = set(film.cuts)
    count = Count()
    for frame in predicted:
        near = [cut for cut in left if abs(cut - frame) <= TOLERANCE_FRAMES]
        if near:
            left.remove(min(near, key=lambda cut: abs(cut - frame)))
            count.found += 1
        elif not any(first <= frame <= last for first, last in film.either_way):
            count.false += 1
    count.missed = len(left)
    return count


def ours(film: Film, detector: str) -> list[int]:
    clips = scan(str(film.path), ScanSettings(detector=detector, longest_shot_seconds=None), lambda frame: None)
    return [clip.start_frame for clip in clips[1:]]


def command_line(film: Film) -> list[int]:
    """The cuts of `scenedetect detect-content`, its defaults unchanged."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("scenedetect")
        call = [str(program), "-i", str(film.path), "-o", folder, "detect-content", "list-scenes", "-n"]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
    starts = [int(row) for row in re.findall(r"^ \|\s+\d+\s+\|\s+(\d+) \|", done.stdout, re.MULTILINE)]
    return [start - 1 for start in starts[1:]]  # it counts frames from 1


def rendered(folder: Path, plans: tuple) -> list[Film]:
    paths = render_all(folder, plans)
    truths = [read_truth(path) for path in paths]
    return [Film(path, truth.cuts, truth.either_way) for path, truth in zip(paths, truths, strict=True)]


def real(folder: Path) -> list[Film]:
    truth = json.loads((folder / "cuts.json").read_text())
    with open(folder / "MANIFEST.csv", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["set"] == "open"]
    none: dict[str, list] = {"cuts": [], "either_way": []}
    return [Film(folder / name, **truth.get(Path(name).name, none)) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="a folder with MANIFEST.csv and cuts.json")
    parser.add_argument("--films", type=Path, help="where rendered films are kept between runs")
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=DETECTORS)
    parser.add_argument("--by-film", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.films or Path(temporary)
        sets = {
            "hard films (rendered)": rendered(folder / "hard", HARD_FILMS),
            "sample films (rendered)": rendered(folder / "sample", SAMPLE_FILMS),
        }
        if arguments.videos:
            sets["real videos"] = real(arguments.videos)
        for name, films in sets.items():
            cuts = sum(len(film.cuts) for film in films)
            print(f"\n{name}: {len(films)} videos, {cuts} hard cuts, within {TOLERANCE_FRAMES} frame")
            print(f"{'':30s} precision recall     F1   found false missed")
            for detector in [*arguments.detectors, COMMAND_LINE]:
                counts = [
                    compare(command_line(film) if detector == COMMAND_LINE else ours(film, detector), film)
                    for film in films
                ]
                print(f"{detector:30s} {sum(counts, Count())}", flush=True)
                if arguments.by_film:
                    for film, count in zip(films, counts, strict=True):
                        if count.false or count.missed:
                            print(f"  {film.path.name:28s} {count}")


if __name__ == "__main__":
    main()
