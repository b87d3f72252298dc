"""Renders plans as videos: `<name>.mp4` or `.webm`, with `<name>.truth.json` beside it.

The repository holds no footage; these videos replace it. The same plan and seed give the same file, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer

from internvid.synthetic.pictures import frame_seconds, pictures
from internvid.synthetic.plans import VideoPlan
from internvid.synthetic.programme import HARD_VIDEOS, SAMPLE_VIDEOS
from internvid.synthetic.sound import SAMPLES_PER_SECOND, soundtrack
from internvid.synthetic.truth import Truth, is_truth_of, read_truth, truth_json, truth_of, truth_path

__all__ = ["HARD_VIDEOS", "SAMPLE_VIDEOS", "Truth", "VideoPlan", "read_truth", "render", "render_all"]

# Encoder and options of each codec: the fastest settings whose pictures still look like footage. Thread counts are
# fixed, because the bits that libx264 and SVT-AV1 write depend on them. SVT-AV1 leaves ghosts behind moving shapes at
# presets above 10.
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    # With two threads, or with code that depends on the processor, the bytes sometimes differ.
    "h264": (
        "libx264",
        {
            "preset": "veryfast",
            "crf": "21",
            "g": "60",
            "threads": "1",
            "x264-params": "cpu-independent=1:mbtree=0",
        },
    ),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "34", "b": "0", "g": "60", "threads": "2"}),
    "av1": ("libsvtav1", {"preset": "10", "crf": "36", "g": "60", "svtav1-params": "lp=2"}),
}
SOUND_ENCODERS = {"h264": "aac", "vp9": "libopus", "av1": "aac"}
MUXERS = {"h264": "mp4", "vp9": "webm", "av1": "mp4"}
TICKS_PER_SECOND = 90_000  # divisible by every frame rate in use, and by a thousand
SAMPLES_PER_SOUND_FRAME = 960  # 20 ms: a frame of Opus; the AAC encoder gathers its own


def render(plan: VideoPlan, folder: str | Path, *, seed: int = 0) -> Path:
    """Renders a video and its ground truth into the folder, which is created if missing. Returns the video's path.

    Each file appears complete or not at all, the truth last. Raises ValueError for a plan that cannot be drawn.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / plan.file_name
    started = folder / f".{plan.file_name}.{os.getpid()}.part"
    try:
        truth = _encode(plan, started, seed=seed)
        os.replace(started, path)
        started.write_text(truth_json(truth))
        os.replace(started, truth_path(path))
    finally:
        started.unlink(missing_ok=True)
    return path


def render_all(
    folder: str | Path,
    plans: Iterable[VideoPlan] = SAMPLE_VIDEOS,
    *,
    seed: int = 0,
    on_video: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Renders the videos that the folder does not yet hold with the same plan and seed. Returns the paths of all.

    on_video: is called with the path of each video once it exists, whether rendered now or before.
    """
    paths = []
    for plan in plans:
        path = Path(folder) / plan.file_name
        if not _is_rendered(path, plan, seed=seed):
            path = render(plan, folder, seed=seed)
        paths.append(path)
        if on_video is not None:
            on_video(path)
    return paths


def _is_rendered(path: Path, plan: VideoPlan, *, seed: int) -> bool:
    if not path.exists() or not truth_path(path).exists():
        return False
    return is_truth_of(path, plan_digest=plan.digest, seed=seed)


def _encode(plan: VideoPlan, path: Path, *, seed: int) -> Truth:
    """Encodes a video to the path, whatever its suffix, and returns its ground truth."""
    seconds = [plan.start_seconds + since for since in frame_seconds(plan, seed=seed)]
    size = _coded_size(plan)
    # Without bitexact the WebM muxer writes a random identity into each file.
    with av.open(str(path), "w", format=MUXERS[plan.codec], options={"fflags": "+bitexact"}) as container:
        video = _add_video(container, plan, size)
        audio = _add_audio(container, plan) if plan.sound else None
        sound = _sound_frames(plan, seconds, seed=seed) if plan.sound else []
        for picture, shown in zip(pictures(plan, seed=seed), seconds[:-1], strict=True):
            frame = av.VideoFrame.from_ndarray(_coded(picture, plan, size), format="yuv420p")
            frame.pts, frame.time_base = round(shown * TICKS_PER_SECOND), Fraction(1, TICKS_PER_SECOND)
            container.mux(video.encode(frame))
            # Sound is written next to its picture, so that a player need not seek.
            while audio is not None and sound and sound[0][0] <= shown:
                container.mux(audio.encode(sound.pop(0)[1]))
        container.mux(video.encode(None))
        if audio is not None:
            for _, samples in sound:
                container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
    return truth_of(plan, seed=seed, frame_seconds=seconds[:-1], end_seconds=seconds[-1], coded_size=size)


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Gives this thread back its scheduling: as root, SVT-AV1 makes the thread that opens it a real-time one, for ever,
    and with it all processes that it starts. Everything else on the machine then waits for them."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _coded_size(plan: VideoPlan) -> tuple[int, int]:
    """The width and height of the coded picture in pixels. Raises ValueError for sizes that 4:2:0 cannot hold."""
    width, height = (plan.width, plan.height) if plan.rotation_degrees % 180 == 0 else (plan.height, plan.width)
    coded_width = Fraction(width) / plan.pixel_aspect
    if coded_width.denominator != 1 or coded_width % 2 or height % 2:
        raise ValueError(f"{plan.name}: {coded_width} x {height} coded pixels; both must be even whole numbers")
    return int(coded_width), height


def _add_video(container: OutputContainer, plan: VideoPlan, size: tuple[int, int]) -> av.VideoStream:
    encoder, options = ENCODERS[plan.codec]
    if plan.codec == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only: its banner cannot be turned off by an option
    video = container.add_stream(encoder, rate=plan.fps, options=options)
    assert isinstance(video, av.VideoStream)
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    video.codec_context.time_base = video.time_base = Fraction(1, TICKS_PER_SECOND)
    video.codec_context.sample_aspect_ratio = plan.pixel_aspect
    with scheduling_kept():
        video.codec_context.open()
    if plan.rotation_degrees:
        video.set_display_rotation(-plan.rotation_degrees)  # FFmpeg counts counter-clockwise
    return video


def _add_audio(container: OutputContainer, plan: VideoPlan) -> av.AudioStream:
    audio = container.add_stream(SOUND_ENCODERS[plan.codec], rate=SAMPLES_PER_SECOND, layout="mono")
    assert isinstance(audio, av.AudioStream)
    audio.bit_rate = 64_000
    return audio


def _coded(picture: np.ndarray, plan: VideoPlan, size: tuple[int, int]) -> np.ndarray:
    """Converts an upright picture to its coded form: turned, narrowed, and in planes, [height * 3 / 2, width] uint8."""
    if plan.rotation_degrees:
        picture = np.ascontiguousarray(np.rot90(picture, plan.rotation_degrees // 90))
    if picture.shape[1] != size[0]:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)


def _sound_frames(plan: VideoPlan, seconds: list[float], *, seed: int) -> list[tuple[float, av.AudioFrame]]:
    """Splits the soundtrack into frames: (start in seconds, frame). The first one begins with the first picture."""
    boundaries = [seconds[start] - seconds[0] for start in plan.starts[1:]]
    samples = soundtrack(plan, seconds=seconds[-1] - seconds[0], boundaries=boundaries, seed=seed)
    first = round(seconds[0] * SAMPLES_PER_SECOND)
    frames = []
    for offset in range(0, len(samples), SAMPLES_PER_SOUND_FRAME):
        part = samples[None, offset : offset + SAMPLES_PER_SOUND_FRAME]
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout="mono")
        frame.sample_rate, frame.time_base = SAMPLES_PER_SECOND, Fraction(1, SAMPLES_PER_SECOND)
        frame.pts = first + offset
        frames.append((frame.pts / SAMPLES_PER_SECOND, frame))
    return frames
