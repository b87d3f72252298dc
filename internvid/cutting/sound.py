"""The sound of a clip, sample by sample where its pictures are."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

import av
import av.container
import av.error
import numpy as np

from internvid.speech.sound import sound_frames
from internvid.video.probe import open_video, sound_stream

# Rates that AAC knows; other sound is resampled to DEFAULT_RATE.
AAC_RATES = frozenset((96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000))
DEFAULT_RATE = 48_000
MAX_OUT_OF_STEP_SECONDS = 0.02  # between a sound's own time and where it is written; beyond it, it is moved
SECONDS_BEFORE = 1.0  # from where sound is decoded: the first frame after a seek is not whole in most codecs
SAMPLES_PER_FRAME = 1024


class ClipSound:
    """The sound of a video between two times, which starts with the clip: where the video has none yet, silence.

    begin, end: seconds by the container's clock. Damaged packets are silence. Memory does not grow with the clip.
    """

    def __init__(self, path: str, begin: float, end: float) -> None:
        self._path, self._begin, self._end = path, begin, end
        self.rate, self.layout = DEFAULT_RATE, "stereo"
        self._frames = self._opened()
        self._next = next(self._frames, None)

    @property
    def is_there(self) -> bool:
        """Whether any sound of the clip can be decoded."""
        return self._next is not None

    def until(self, seconds: float) -> Iterator[av.AudioFrame]:
        """Yields the frames that begin before a time, counted from the clip's start."""
        while self._next is not None and self._next.pts is not None and self._next.pts < seconds * self.rate:
            yield self._next
            self._next = next(self._frames, None)

    def rest(self) -> Iterator[av.AudioFrame]:
        yield from self.until(float("inf"))

    def close(self) -> None:
        self._frames.close()  # type: ignore[attr-defined]

    def _opened(self) -> Iterator[av.AudioFrame]:
        """Yields frames of float samples, whose pts counts samples from the clip's start."""
        for seeks in (True, False):
            with open_video(self._path) as container:
                stream = sound_stream(container)
                if stream is None:
                    return
                context = stream.codec_context
                assert context is not None
                self.rate = context.sample_rate if context.sample_rate in AAC_RATES else DEFAULT_RATE
                self.layout = "mono" if context.channels == 1 else "stereo"
                frames = self._decoded(container, stream, seeks=seeks)
                if frames is not None:
                    yield from self._placed(frames)
                    return

    def _decoded(
        self, container: av.container.InputContainer, stream: av.AudioStream, *, seeks: bool
    ) -> Iterator[av.AudioFrame] | None:
        """Returns the decoded frames from the clip's start or before it; None where seeking went too far."""
        if not seeks or self._begin <= SECONDS_BEFORE:
            return sound_frames(container, stream)
        assert stream.time_base is not None
        try:
            container.seek(int((self._begin - SECONDS_BEFORE) / stream.time_base), stream=stream)
        except av.error.FFmpegError:
            return None
        frames = sound_frames(container, stream)
        first = next(frames, None)
        starts = float((stream.start_time or 0) * stream.time_base)
        if first is None or first.time is None or (first.time > self._begin and first.time > starts):
            return None
        return chain([first], frames)

    def _placed(self, frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
        """Puts samples where their time says, with silence in gaps, and cuts them to the clip."""
        total = round((self._end - self._begin) * self.rate)
        tolerance = int(MAX_OUT_OF_STEP_SECONDS * self.rate)
        written = 0
        has_begun = False
        for begin, samples in self._resampled(frames):
            at = round((begin - self._begin) * self.rate)
            if at >= total:
                return
            if at < 0:
                samples, at = samples[:, -at:], 0
            if at < written - tolerance:
                samples, at = samples[:, written - at :], written
            if not samples.shape[1]:
                continue
            if at > written + tolerance or not has_begun:
                while written < at:
                    silence = np.zeros((samples.shape[0], min(SAMPLES_PER_FRAME, at - written)), np.float32)
                    yield self._frame(silence, written)
                    written += silence.shape[1]
            has_begun = True
            samples = samples[:, : total - written]
            for first in range(0, samples.shape[1], SAMPLES_PER_FRAME):
                part = samples[:, first : first + SAMPLES_PER_FRAME]
                yield self._frame(part, written)
                written += part.shape[1]
            if written >= total:
                return

    def _resampled(self, frames: Iterator[av.AudioFrame]) -> Iterator[tuple[float, np.ndarray]]:
        """Yields (seconds by the container's clock, [channels, samples] float32)."""
        resampler: av.AudioResampler | None = None
        form = None
        expected = 0.0
        for frame in frames:
            frame_form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if frame_form != form:
                resampler = av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
                form = frame_form
            begin = expected if frame.time is None else frame.time
            expected = begin + frame.samples / frame.sample_rate
            frame.pts = None  # else the resampler would fill gaps, by its own clock
            assert resampler is not None
            for resampled in resampler.resample(frame):
                if resampled.samples:
                    yield begin, resampled.to_ndarray()
                    begin += resampled.samples / self.rate

    def _frame(self, samples: np.ndarray, written: int) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self.layout)
        frame.sample_rate, frame.time_base, frame.pts = self.rate, Fraction(1, self.rate), written
        return frame
