"""The ground truth of a synthetic video: its content by frames, as JSON beside the file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from internvid.synthetic.plans import VideoPlan


@dataclass(frozen=True)
class ObjectTruth:
    """A figure in a shot. direction: left, right, up, down or empty. phrase: such as "red circle moving right"."""

    shape: str
    colour: str
    action: str
    direction: str
    phrase: str


@dataclass(frozen=True)
class ShotTruth:
    """A shot: frames [start_frame, end_frame), presentation times [start_seconds, end_seconds)."""

    start_frame: int
    end_frame: int
    start_seconds: float
    end_seconds: float
    camera: str
    objects: list[ObjectTruth]
    background: str
    background_colour: str
    background_kind: str
    still: bool
    has_text: bool
    text: str


@dataclass(frozen=True)
class Truth:
    """The content and format of a video.

    cuts: indices of frames at which a shot begins with a hard cut. either_way: [first, last] frames of fades and
    dissolves, in which a predicted cut counts neither for nor against a detector. width, height: coded pixels;
    display_width, display_height: as shown, after pixel aspect and rotation.
    """

    name: str
    fps: float
    frame_count: int
    start_seconds: float
    cuts: list[int]
    either_way: list[list[int]]
    shots: list[ShotTruth]
    codec: str
    width: int
    height: int
    display_width: int
    display_height: int
    pixel_aspect: float
    rotation_degrees: int
    variable_rate: bool
    sound: bool
    plan_digest: str
    seed: int


def truth_path(video_path: Path) -> Path:
    return video_path.with_suffix(".truth.json")


def truth_of(
    plan: VideoPlan, *, seed: int, frame_seconds: list[float], end_seconds: float, coded_size: tuple[int, int]
) -> Truth:
    """Makes the truth of a plan.

    frame_seconds: when each frame is shown. end_seconds: when the video ends. coded_size: (width, height) in pixels.
    """
    times = [*frame_seconds, end_seconds]
    shots = [
        ShotTruth(
            start_frame=start,
            end_frame=start + shot.frames,
            start_seconds=times[start],
            end_seconds=times[start + shot.frames],
            camera=shot.camera,
            objects=[
                ObjectTruth(figure.shape, figure.colour, figure.action, figure.direction, figure.phrase)
                for figure in shot.figures
            ],
            background=shot.backdrop.pattern,
            background_colour=shot.backdrop.colour,
            background_kind=shot.backdrop.kind,
            still=shot.is_still,
            has_text=bool(shot.text),
            text=shot.text,
        )
        for start, shot in zip(plan.starts, plan.shots, strict=True)
    ]
    return Truth(
        name=plan.name,
        fps=float(plan.fps),
        frame_count=plan.frame_count,
        start_seconds=plan.start_seconds,
        cuts=list(plan.cuts),
        either_way=[list(span) for span in plan.gradual],
        shots=shots,
        codec=plan.codec,
        width=coded_size[0],
        height=coded_size[1],
        display_width=plan.width,
        display_height=plan.height,
        pixel_aspect=float(plan.pixel_aspect),
        rotation_degrees=plan.rotation_degrees,
        variable_rate=plan.variable_rate,
        sound=plan.sound,
        plan_digest=plan.digest,
        seed=seed,
    )


def truth_json(truth: Truth) -> str:
    return json.dumps(asdict(truth), indent=1) + "\n"


def read_truth(video_path: str | Path) -> Truth:
    """Reads the truth beside a rendered video. Raises FileNotFoundError where there is none."""
    fields = _fields(video_path)
    shots = [
        ShotTruth(**{**shot, "objects": [ObjectTruth(**thing) for thing in shot["objects"]]})
        for shot in fields.pop("shots")
    ]
    return Truth(shots=shots, **fields)


def is_truth_of(video_path: str | Path, *, plan_digest: str, seed: int) -> bool:
    """Whether the truth beside the video is of this plan and seed. Also reads a truth of an older format."""
    fields = _fields(video_path)
    return (fields.get("plan_digest"), fields.get("seed")) == (plan_digest, seed)


def _fields(video_path: str | Path) -> dict[str, Any]:
    return json.loads(truth_path(Path(video_path)).read_text())
