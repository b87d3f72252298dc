"""Reads the frames that represent a video, or a span of it.

If possible, the list of frames is read from the packets' timestamps without decoding, and only the groups of pictures
around the chosen frames are decoded. If timestamps are missing (many AVI files) or wrong, the whole video is decoded.
Both methods choose the same frames.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import av
import av.container
import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from internvid.evaluation.benchmarks import Item
from internvid.viclip.frame_choice import CHOICES, middle_frames
from internvid.video.demuxing import packets_or_error
from internvid.video.pictures import Orientations, upright
from internvid.video.probe import UnreadableVideo, no_frame, open_video, video_stream

# A file at most this much longer than its span is taken to hold the span alone.
CUT_OUT_SECONDS = 1.0
# Frames are shrunk to this short side, keeping their aspect ratio: 8 frames of 4K would be 200 MB from child process
# to parent. Videos of the paper's benchmarks are smaller.
SHORT_SIDE = 1080
JPEG_QUALITY = 92
# After this many errors without a frame, the stream is treated as ended.
_MAX_CONSECUTIVE_ERRORS = 1000


def read_frames(
    path: str, start_seconds: float | None, end_seconds: float | None, count: int, choice: str
) -> np.ndarray:
    """Returns the chosen frames: [count, height, width, 3] uint8 RGB, upright, in order of time.

    start_seconds, end_seconds: the span, counted from the first frame; None: the whole video. A file that is no longer
    than its span is used completely. count: number of frames; a video with fewer frames repeats its last one.
    choice: a name of `frame_choice.CHOICES`. Raises UnreadableVideo, FileNotFoundError and PermissionError as `probe`
    does, and UnreadableVideo if no frame is in the span.
    """
    return frames_at(path, start_seconds, end_seconds, lambda frame_count: CHOICES[choice](frame_count, count))


def frames_at(
    path: str, start_seconds: float | None, end_seconds: float | None, choose: Callable[[int], Sequence[int]]
) -> np.ndarray:
    """Returns the chosen frames as `read_frames` does, and raises as it does.

    choose: returns the positions of frames within the span, in order of time, given the number of its frames.
    """
    with open_video(path) as container:
        stream = video_stream(container, path)
        index = _index(container, stream)
        if index is not None:
            ticks, keyframes = index
            seconds = [(tick - ticks[0]) * float(stream.time_base or 0) for tick in ticks]
            inside = _inside(seconds, start_seconds, end_seconds)
            chosen_ticks = [ticks[inside[position]] for position in choose(len(inside))]
            frames = _frames_by_seeking(container, stream, sorted(set(chosen_ticks)), keyframes)
            if frames is not None:
                return _stacked([frames[tick] for tick in chosen_ticks])
    # Decodes the file twice, first for the times, then for the frames, so that memory does not grow with its length.
    with open_video(path) as container:
        source = _Decoded(container, video_stream(container, path))
        seconds = [second for _, second in source]
        if not seconds:
            raise no_frame(container, source.last_error)
    inside = _inside(seconds, start_seconds, end_seconds)
    positions = [inside[position] for position in choose(len(inside))]
    chosen_positions = set(positions)
    with open_video(path) as container:
        pictures = _Pictures()
        source = _Decoded(container, video_stream(container, path))
        frames = {number: pictures.rgb(frame) for number, (frame, _) in enumerate(source) if number in chosen_positions}
    return _stacked([frames[position] for position in positions])


def jpeg_frames(
    path: str, start_seconds: float | None, end_seconds: float | None, max_frames: int, short_side: int
) -> list[bytes]:
    """Returns frames of the whole video or the span as JPEGs, evenly spread, in order of time.

    max_frames: a video with fewer frames gives all. short_side: larger frames are shrunk to it, in pixels. The other
    parameters and errors are those of `read_frames`.
    """
    import cv2

    pictures = frames_at(path, start_seconds, end_seconds, lambda count: middle_frames(count, min(count, max_frames)))
    scale = short_side / min(pictures.shape[1:3])
    jpegs = []
    for picture in pictures:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        if scale < 1:
            bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        jpegs.append(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
    return jpegs


def read_in_process(
    items: Iterable[Item], count: int, choice: str
) -> Iterator[tuple[Item, np.ndarray | UnreadableVideo | OSError]]:
    """Yields each item with its frames or its error. Decodes in this process: for trusted files only."""
    for item in items:
        try:
            yield item, read_frames(str(item.path), item.start_seconds, item.end_seconds, count, choice)
        except (UnreadableVideo, OSError) as error:
            yield item, error


def _index(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[list[int], list[int]] | None:
    """Reads the sorted timestamps of all frames and of the keyframes from packets; None if they are unreliable."""
    ticks: list[int] = []
    keyframes: list[int] = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue  # PyAV marks the end by an empty packet
            if packet.pts is None or packet.is_corrupt:
                return None
            if packet.is_keyframe:
                keyframes.append(packet.pts)
            if not packet.is_discard:
                ticks.append(packet.pts)
    except av.error.FFmpegError:
        return None
    ticks.sort()
    if not ticks or any(tick == following for tick, following in pairwise(ticks)):
        return None
    return ticks, sorted(keyframes)


def _inside(seconds: Sequence[float], start: float | None, end: float | None) -> list[int]:
    """Returns the positions of the frames within [start, end); all frames if the file holds the span alone."""
    if start is None or end is None:
        return list(range(len(seconds)))
    last_step = seconds[-1] - seconds[-2] if len(seconds) > 1 else 0.0
    length = seconds[-1] + last_step
    if length <= end - start + CUT_OUT_SECONDS:
        return list(range(len(seconds)))
    inside = [position for position, second in enumerate(seconds) if start <= second < end]
    if not inside:
        raise UnreadableVideo(f"no frame lies between {start:g} and {end:g} s: the video ends after {length:.1f} s")
    return inside


def _frames_by_seeking(
    container: av.container.InputContainer, stream: av.VideoStream, ticks: Sequence[int], keyframes: Sequence[int]
) -> dict[int, np.ndarray] | None:
    """Decodes the frames at these ticks. Returns None if the decoder does not output one of them."""
    pictures = _Pictures()
    frames_by_tick: dict[int, np.ndarray] = {}
    decoded: Iterator[av.VideoFrame] = iter(())
    keyframes_passed = -1  # keyframes up to the last frame; seek only if there is another keyframe in between
    try:
        for tick in ticks:
            if bisect_right(keyframes, tick) != keyframes_passed:
                keyframes_passed = bisect_right(keyframes, tick)
                container.seek(tick, stream=stream)
                decoded = container.decode(stream)  # type: ignore[assignment]  # the stream is one of video
            frame = next((frame for frame in decoded if frame.pts is None or frame.pts >= tick), None)
            if frame is None or frame.pts != tick:
                return None
            frames_by_tick[tick] = pictures.rgb(frame)
    except av.error.FFmpegError:
        return None
    return frames_by_tick


class _Decoded:
    """Iterates over all frames of a stream, with strictly increasing seconds since the first frame."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self._container, self._stream = container, stream
        self.last_error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[av.VideoFrame, float]]:
        rate = self._stream.average_rate or self._stream.guessed_rate
        step = 1 / float(rate) if rate else 1 / 25
        first: float | None = None
        last = -step
        for frame in self._frames():
            time = frame.time if frame.time is not None else (0.0 if first is None else first + last + step)
            first = time if first is None else first
            # If timestamps stop or restart, time continues at the average frame rate.
            last = time - first if time - first > last else last + step
            yield frame, last

    def _frames(self) -> Iterator[av.VideoFrame]:
        """Decodes packet by packet, so that an error loses one packet and not the rest of the file."""
        consecutive_errors = 0
        for packet in packets_or_error(self._container, [self._stream]):
            if isinstance(packet, Exception):
                self.last_error = packet
                return
            try:
                yield from packet.decode()  # type: ignore[misc]
                consecutive_errors = 0
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self.last_error = error
                consecutive_errors += 1
                if consecutive_errors == _MAX_CONSECUTIVE_ERRORS:
                    return


class _Pictures:
    """Converts frames to arrays of the first frame's size, because a stream can change its size."""

    def __init__(self) -> None:
        self._orientations = Orientations()
        # One scaler for all frames, of one thread: `frame.reformat` opens a scaler and its threads for each frame
        # (720p: 0.62 instead of 0.51 ms of CPU a frame, the same bytes).
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """[height, width, 3] uint8, upright, as a copy of the decoder's memory."""
        if self._size is None:
            scale = min(1.0, SHORT_SIDE / min(frame.width, frame.height))
            self._size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        width, height = self._size
        small = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=Interpolation.AREA, threads=1
        )
        return upright(small.to_ndarray(), self._orientations.for_frame(frame))


def _stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(pictures)
