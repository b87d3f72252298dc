"""The few frames that stand for a video, or for a span of it.

Which frames there are is read from the packets' timestamps where the file has them, without decoding; only the groups
of pictures around the chosen ones are decoded then. Where timestamps are missing (many AVI files) or do not keep what
they promise, the video is decoded through. Both ways choose the same frames.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import av
import av.container
import av.error
import numpy as np
from av.video.reformatter import Interpolation

from internvid.evaluation.benchmarks import Item
from internvid.viclip.frame_choice import CHOICES
from internvid.video.pictures import Orientations, upright
from internvid.video.probe import UnreadableVideo, no_frame, open_video, video_stream

# A file no longer than its span, give or take a second, is that span cut out already.
CUT_OUT_SECONDS = 1.0
# Larger frames are shrunk to this short side, keeping their shape: 8 frames of 4K would take 200 MB from child to
# parent. Benchmarks of the paper are smaller.
SHORT_SIDE = 1080
# A stream that gives nothing but errors for so long is at its end.
_ERRORS_IN_A_ROW = 1000


def read_frames(
    path: str, start_seconds: float | None, end_seconds: float | None, count: int, choice: str
) -> np.ndarray:
    """[count, height, width, 3] uint8 RGB, upright, in order of time.

    start_seconds, end_seconds: the span to choose from, since the first frame; None for the whole video. A file that
    is no longer than its span is taken whole. choice: a name of `frame_choice.CHOICES`; a video of fewer frames than
    `count` repeats its last. Raises UnreadableVideo, FileNotFoundError and PermissionError as `probe` does;
    UnreadableVideo also where no frame lies in the span.
    """
    choose = CHOICES[choice]
    with open_video(path) as container:
        stream = video_stream(container, path)
        index = _index(container, stream)
        if index is not None:
            ticks, keyframes = index
            seconds = [(tick - ticks[0]) * float(stream.time_base or 0) for tick in ticks]
            inside = _inside(seconds, start_seconds, end_seconds)
            chosen = [ticks[inside[position]] for position in choose(len(inside), count)]
            found = _by_seeking(container, stream, sorted(set(chosen)), keyframes)
            if found is not None:
                return _stacked([found[tick] for tick in chosen])
    # Through the whole file twice, so that memory does not grow with its length: for its times, and for its frames.
    with open_video(path) as container:
        source = _Decoded(container, video_stream(container, path))
        seconds = [second for _, second in source]
        if not seconds:
            raise no_frame(container, source.last_error)
    inside = _inside(seconds, start_seconds, end_seconds)
    positions = [inside[position] for position in choose(len(inside), count)]
    wanted = set(positions)
    with open_video(path) as container:
        pictures = _Pictures()
        source = _Decoded(container, video_stream(container, path))
        found = {number: pictures.rgb(frame) for number, (frame, _) in enumerate(source) if number in wanted}
    return _stacked([found[position] for position in positions])


def read_here(
    items: Iterable[Item], count: int, choice: str
) -> Iterator[tuple[Item, np.ndarray | UnreadableVideo | OSError]]:
    """Each item with its frames, or with why there are none; decoded in this process: for files that one trusts."""
    for item in items:
        try:
            yield item, read_frames(str(item.path), item.start_seconds, item.end_seconds, count, choice)
        except (UnreadableVideo, OSError) as error:
            yield item, error


def _index(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[list[int], list[int]] | None:
    """Timestamps of all frames and of the keyframes, in order, by packets alone; None where they cannot be trusted."""
    ticks: list[int] = []
    keyframes: list[int] = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue  # the end, as PyAV marks it
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
    """Positions of the frames within [start, end), of all where the file is that span and nothing else."""
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


def _by_seeking(
    container: av.container.InputContainer, stream: av.VideoStream, ticks: Sequence[int], keyframes: Sequence[int]
) -> dict[int, np.ndarray] | None:
    """Tick -> frame, for each of these; None where one of them does not come out of the decoder."""
    pictures = _Pictures()
    found: dict[int, np.ndarray] = {}
    frames: Iterator[av.VideoFrame] = iter(())
    passed = -1  # keyframes up to the last frame; decoding goes on where no other lies between
    try:
        for tick in ticks:
            if bisect_right(keyframes, tick) != passed:
                passed = bisect_right(keyframes, tick)
                container.seek(tick, stream=stream)
                frames = container.decode(stream)  # type: ignore[assignment]  # the stream is one of video
            frame = next((frame for frame in frames if frame.pts is None or frame.pts >= tick), None)
            if frame is None or frame.pts != tick:
                return None
            found[tick] = pictures.rgb(frame)
    except av.error.FFmpegError:
        return None
    return found


class _Decoded:
    """All frames of a stream with seconds since the first, strictly increasing, whatever the file does."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self._container, self._stream = container, stream
        self.last_error: av.error.FFmpegError | None = None

    def __iter__(self) -> Iterator[tuple[av.VideoFrame, float]]:
        rate = self._stream.average_rate or self._stream.guessed_rate
        step = 1 / float(rate) if rate else 1 / 25
        first: float | None = None
        last = -step
        for frame in self._frames():
            time = frame.time if frame.time is not None else (0.0 if first is None else first + last + step)
            first = time if first is None else first
            # Where a clock stands still or starts again, the film goes on at its usual rate.
            last = time - first if time - first > last else last + step
            yield frame, last

    def _frames(self) -> Iterator[av.VideoFrame]:
        """Packet by packet, so that an error costs that packet and not the rest of the file."""
        packets = self._container.demux(self._stream)
        in_a_row = 0
        while in_a_row < _ERRORS_IN_A_ROW:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.last_error = error
                return
            if packet is None:
                return
            try:
                yield from packet.decode()  # type: ignore[misc]
                in_a_row = 0
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self.last_error = error
                in_a_row += 1


class _Pictures:
    """Frames as arrays, all of the first one's size: a stream may change it."""

    def __init__(self) -> None:
        self._orientations = Orientations()
        self._size: tuple[int, int] | None = None

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """[height, width, 3] uint8, upright, as a copy of the decoder's memory."""
        if self._size is None:
            scale = min(1.0, SHORT_SIDE / min(frame.width, frame.height))
            self._size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        width, height = self._size
        small = frame.reformat(width=width, height=height, format="rgb24", interpolation=Interpolation.AREA)
        return upright(small.to_ndarray(), self._orientations.of(frame))


def _stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(pictures)
