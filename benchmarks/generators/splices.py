"""Splices clips of real videos into videos whose cuts are known: twenty events of each of ten kinds.

    python benchmarks/generators/splices.py VIDEOS FOLDER [--seed 0] [--events 20]

VIDEOS: a folder with MANIFEST.csv and cuts.json, as `benchmarks/detectors.py --videos` reads it. Writes FOLDER/KIND.mp4
with KIND.truth.json beside it: {"cuts": [...], "transitions": [[first, last], ...], "either_way": []}. The first frame
of a transition is the first that is no longer the shot before, its last one shows the new shot alone. Events that are
no boundary (a whip pan within a place, a flash, text popping up, flicker) lie in shots that hard cuts separate.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT, FPS = 320, 180, 25
FRAMES_OF_SHOT = 100  # of a real shot, at most: more would only need memory
MIN_SHOT_FRAMES = 40
WORDS = ("the", "of", "river", "light", "seven", "people", "open", "road", "music", "green", "north", "first")


@dataclass(frozen=True)
class RealShot:
    """Frames of one shot of a real video. place: shots of the same place are not spliced to each other."""

    place: str
    frames: np.ndarray  # [frames, 180, 320, 3] uint8 RGB


@dataclass
class Splice:
    """A video in the making: its frames, its hard cuts, and its gradual transitions."""

    frames: list[np.ndarray] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    transitions: list[list[int]] = field(default_factory=list)

    def cut_to(self, frames: Sequence[np.ndarray]) -> None:
        """Adds a shot after a hard cut."""
        if self.frames:
            self.cuts.append(len(self.frames))
        self.frames.extend(frames)

    def pass_to(self, mixed: Sequence[np.ndarray], frames: Sequence[np.ndarray]) -> None:
        """Adds a shot after frames that are neither the shot before nor this one."""
        self.transitions.append([len(self.frames), len(self.frames) + len(mixed)])
        self.frames.extend([*mixed, *frames])


def real_shots(folder: Path) -> list[RealShot]:
    """Reads the shots of the manifest's open videos that are long enough, away from their cuts."""
    truth = json.loads((folder / "cuts.json").read_text())
    with open(folder / "MANIFEST.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "open" and int(row["frames"]) >= MIN_SHOT_FRAMES]
    shots = []
    for row in rows:
        name = Path(row["file"]).name
        known = truth.get(name, {"cuts": [], "either_way": []})
        unsure = [at for span in known["either_way"] for at in span]
        borders = sorted([0, int(row["frames"]), *known["cuts"], *unsure])
        spans = [(a + 2, min(b - 2, a + 2 + FRAMES_OF_SHOT)) for a, b in pairwise(borders)]
        spans = [
            span for span in spans if span[1] - span[0] >= MIN_SHOT_FRAMES and list(span) not in known["either_way"]
        ]
        taken: dict[tuple[int, int], list[np.ndarray]] = {span: [] for span in spans}
        with av.open(str(folder / row["file"])) as container:
            for index, frame in enumerate(container.decode(video=0)):
                for first, end in spans:
                    if first <= index < end:
                        picture = frame.to_ndarray(format="rgb24", width=WIDTH, height=HEIGHT, interpolation="AREA")
                        taken[first, end].append(picture)
                if spans and index >= spans[-1][1]:
                    break
        frames = [np.stack(pictures) for pictures in taken.values() if len(pictures) >= MIN_SHOT_FRAMES]
        # Black or empty pictures show no cut.
        shots += [
            RealShot(name.split("_")[0], pictures)
            for pictures in frames
            if pictures[::10].std(axis=(1, 2, 3)).min() > 12
        ]
    return shots


class Material:
    """Hands out pieces of real shots, never twice in a row of the same place."""

    def __init__(self, shots: list[RealShot], random: np.random.Generator) -> None:
        self._shots, self.random = shots, random
        self._last = ""

    def piece(self, least: int = 26, most: int = 40) -> list[np.ndarray]:
        """Frames of a real shot, between `least` and `most` of them, as they follow each other."""
        others = [shot for shot in self._shots if shot.place != self._last]
        shot = others[self.random.integers(len(others))]
        self._last = shot.place
        length = int(self.random.integers(least, most + 1))
        start = int(self.random.integers(0, max(1, len(shot.frames) - length)))
        return list(shot.frames[start : start + length])

    def share(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))


def _mix(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    return cv2.addWeighted(first, 1 - share, second, share, 0)


def _gain(frame: np.ndarray, gain: float, lift: float = 0.0) -> np.ndarray:
    return cv2.convertScaleAbs(frame, alpha=gain, beta=lift)


def _held(frames: Sequence[np.ndarray], index: int) -> np.ndarray:
    return frames[max(0, min(len(frames) - 1, index))]


def hard(video: Splice, material: Material, events: int) -> None:
    for _ in range(events + 1):
        video.cut_to(material.piece())


def dissolve(video: Splice, material: Material, events: int) -> None:
    """Mixtures of 5 to 30 frames, in which both shots go on moving."""
    video.cut_to(material.piece())
    for _ in range(events):
        length, after = material.whole(5, 30), material.piece(40, 70)
        before = [video.frames[-1]] * length
        mixed = [_mix(before[i], after[i], (i + 1) / (length + 1)) for i in range(length)]
        video.pass_to(mixed, after[length:] if len(after) - length >= 20 else [*after[length:], *[after[-1]] * 20])


def fade(video: Splice, material: Material, events: int) -> None:
    """To black and out of it: 6 to 20 frames each way, up to ten black ones between."""
    video.cut_to(material.piece())
    for _ in range(events):
        down, black, up = material.whole(6, 20), material.whole(1, 10), material.whole(6, 20)
        last, after = video.frames[-1], material.piece(40, 60)
        mixed = [_gain(last, 1 - (i + 1) / (down + 1)) for i in range(down)]
        mixed += [np.zeros_like(last)] * black
        mixed += [_gain(_held(after, i), (i + 1) / (up + 1)) for i in range(up)]
        video.pass_to(mixed, after[up:])


def whip(video: Splice, material: Material, events: int) -> None:
    """Fast blurred pans: every second one within one wide picture (no boundary), the others from shot to shot."""
    for event in range(events):
        before, after = material.piece(), material.piece()
        frames, blur = material.whole(4, 8), material.whole(15, 45)
        if event % 2:
            video.cut_to(before)
            wide = np.concatenate([before[-1], after[0]], axis=1)
            steps = [(i + 1) / (frames + 1) for i in range(frames)]
            mixed = [cv2.blur(wide[:, int(s * WIDTH) : int(s * WIDTH) + WIDTH], (blur, 1)) for s in steps]
            video.pass_to(mixed, after)
        else:
            wide = cv2.resize(before[-1], (2 * WIDTH, 2 * HEIGHT))[HEIGHT // 2 : HEIGHT // 2 + HEIGHT]
            course = np.concatenate([[0] * 14, np.linspace(0, WIDTH, frames + 2), [WIDTH] * 14]).astype(int)
            moves = np.diff(course, prepend=0)
            pan = [
                cv2.blur(wide[:, x : x + WIDTH], (max(1, int(move)), 1)) for x, move in zip(course, moves, strict=True)
            ]
            video.cut_to(pan)
    video.cut_to(material.piece())


def flash(video: Splice, material: Material, events: int) -> None:
    """One to four bright frames in a shot; under every fourth flash, a cut."""
    for event in range(events):
        shot = material.piece(30, 44)
        at, length = material.whole(10, 18), material.whole(1, 4)
        gain, lift = material.share(1.0, 3.0), material.share(50, 120)
        if event % 4 == 3:
            video.cut_to(shot[: at + 2])
            bright = material.piece(26, 40)
            bright[:length] = [_gain(frame, gain, lift - 12 * i) for i, frame in enumerate(bright[:length])]
            video.cut_to(bright)
        else:
            for i in range(length):
                shot[at + i] = _gain(shot[at + i], gain, lift - 12 * i)
            video.cut_to(shot)
    video.cut_to(material.piece())


def overlay(video: Splice, material: Material, events: int) -> None:
    """Boxes with text that pop up over a shot, stay, and vanish; half of the shots are still."""
    for event in range(events):
        shot = material.piece(36, 46)
        if event % 2:
            shot = [shot[0]] * len(shot)
        start, end = material.whole(9, 14), material.whole(22, 30)
        size = (material.whole(100, 300), material.whole(24, 110))
        left, top = material.whole(0, WIDTH - size[0]), material.whole(20, HEIGHT - size[1])
        colour = tuple(int(level) for level in material.random.integers(0, 256, 3))
        box = _text_page(material, size, colour, material.whole(1, 4))
        for i in range(start, end):
            frame = shot[i].copy()
            frame[top : top + size[1], left : left + size[0]] = box
            shot[i] = frame
        video.cut_to(shot)
    video.cut_to(material.piece())


def flicker(video: Splice, material: Material, events: int) -> None:
    """A lamp switched on or off, fluorescent flicker, or a screen's light on one side of the picture."""
    for event in range(events):
        shot = material.piece(36, 46)
        low, at = material.share(0.3, 0.6), material.whole(12, 20)
        tint = np.array([1.0, material.share(0.8, 1.0), material.share(0.6, 1.0)])
        side = np.linspace(0, 1, WIDTH)[None, :, None] if material.random.random() < 0.5 else np.ones((1, WIDTH, 1))
        for i in range(len(shot)):
            is_dark = i >= at if event % 2 else (i // material.whole(1, 4)) % 2 == 0 and at - 8 < i < at + 8
            if is_dark:
                shot[i] = np.clip(shot[i] * (1 - (1 - low * tint) * side), 0, 255).astype(np.uint8)
        video.cut_to(shot)
    video.cut_to(material.piece())


def slides(video: Splice, material: Material, events: int) -> None:
    """Pages of text, some with a picture, of the same layout and still."""
    paper = tuple(int(level) for level in material.random.integers(200, 256, 3))
    for _ in range(events + 1):
        page = _text_page(material, (WIDTH, HEIGHT), paper, material.whole(2, 6))
        if material.random.random() < 0.4:
            x, y = material.whole(20, 180), material.whole(40, 90)
            page[y : y + 80, x : x + 120] = cv2.resize(material.piece()[0], (120, 80), interpolation=cv2.INTER_AREA)
        video.cut_to([page] * material.whole(18, 40))


def two_frame_shots(video: Splice, material: Material, events: int) -> None:
    """Bursts of four shots of two to four frames, between longer ones."""
    for event in range(events):
        if event % 4 == 0:
            video.cut_to(material.piece(26, 36))
        video.cut_to(material.piece(2, 4))
    video.cut_to(material.piece(26, 36))


def dark(video: Splice, material: Material, events: int) -> None:
    """Cuts between places of which one or both are dark or out of focus, with a camera's noise."""
    for event in range(events + 1):
        shot = material.piece()
        if event % 3 != 2:
            gain, blurred = material.share(0.12, 0.3), material.random.random() < 0.4
            for i, frame in enumerate(shot):
                noise = material.random.normal(0, 3.0, frame.shape)
                soft = cv2.GaussianBlur(frame, (0, 0), 6) if blurred else frame
                shot[i] = np.clip(soft * gain + noise, 0, 255).astype(np.uint8)
        video.cut_to(shot)


KINDS: dict[str, Callable[[Splice, Material, int], None]] = {
    make.__name__: make for make in (hard, dissolve, fade, whip, flash, overlay, flicker, slides, two_frame_shots, dark)
}


def _text_page(material: Material, size: tuple[int, int], paper: Sequence[int], lines: int) -> np.ndarray:
    page = np.full((size[1], size[0], 3), paper, np.uint8)
    ink = (20, 20, 30) if sum(paper) > 380 else (240, 240, 230)
    step = size[1] / (lines + 1)
    for line in range(lines):
        text = " ".join(material.random.choice(WORDS, material.whole(2, 5)))
        scale = min(0.9, step / 32) if line else min(1.1, step / 26)
        where = (max(4, size[0] // 12), int((line + 1) * step))
        cv2.putText(page, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
    return page


def write(path: Path, video: Splice) -> None:
    """Encodes the video as H.264, and its truth beside it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, picture in enumerate(video.frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    truth = {"cuts": video.cuts, "transitions": video.transitions, "either_way": []}
    path.with_suffix(".truth.json").write_text(json.dumps(truth))


def splices(videos: Path, folder: Path, *, seed: int, events: int) -> list[Path]:
    """Makes the splices that the folder does not yet hold. Returns the paths of all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{kind}.mp4" for kind in KINDS]
    missing = [path for path in paths if not path.with_suffix(".truth.json").exists()]
    shots = real_shots(videos) if missing else []
    for path in missing:
        video = Splice()
        random = np.random.default_rng([seed, list(KINDS).index(path.stem)])
        KINDS[path.stem](video, Material(shots, random), events)
        write(path, video)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events", type=int, default=20)
    arguments = parser.parse_args()
    for path in splices(arguments.videos, arguments.folder, seed=arguments.seed, events=arguments.events):
        truth = json.loads(path.with_suffix(".truth.json").read_text())
        print(f"{path.name:24s} {len(truth['cuts']):4d} cuts {len(truth['transitions']):4d} gradual")


if __name__ == "__main__":
    main()
