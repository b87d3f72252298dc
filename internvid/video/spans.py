"""Measures and samples given spans of a video (clips that were cut elsewhere) in one pass, as `scan` does its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av

from internvid.video.interlacing import Interlacing
from internvid.video.pictures import Orientations, small_picture
from internvid.video.probe import no_frame, open_video
from internvid.video.scan import (
    ClipSpan,
    Decoding,
    Meter,
    SampledFrame,
    Shot,
    Step,
    clip_span,
    jpeg_writer,
    stream_to_scan,
    ticks_per_fine_frame,
)
from internvid.video.settings import ScanSettings


@dataclass(frozen=True)
class Span:
    """A span of a video, in seconds from its first frame. end_seconds None: to the video's end."""

    start_seconds: float
    end_seconds: float | None


class SpanNotThere(ValueError):
    """The span contains no frame of the video."""


def scan_spans(
    path: str,
    settings: ScanSettings,
    spans: Sequence[Span],
    keep_frame: Callable[[int, SampledFrame], None],
    *,
    video_seconds: float | None = None,
) -> list[ClipSpan | SpanNotThere]:
    """Decodes the file once, up to the last span's end, and returns a clip for each span, in their order.

    Spans may overlap, and need not tile the video. A clip begins with the first frame from half a frame before its
    span's start on. It ends before the first frame from half a frame before its span's end on, or with the video.
    `keep_frame` is called with the span's number and a frame: the span's first frame, the first one at or after each
    step of the fine grid from there on, and its middle frame. `video_seconds`, the video's stated duration, decides the
    middle of a span without end; without it, the last frame is taken.
    Raises UnreadableVideo where not one frame can be decoded.
    """
    with open_video(path) as container:
        stream = stream_to_scan(container, path)
        source = Decoding(container, stream)
        worker: _SpanScan | None = None
        for frame, pts in source.frames():
            if worker is None:
                half_a_frame = float(source.usual_step * (stream.time_base or 0)) / 2
                worker = _SpanScan(stream, settings, spans, keep_frame, pts, half_a_frame, video_seconds)
            worker.add(frame, pts)
            if worker.is_done:
                break
        if worker is None:
            raise no_frame(container, source.last_error)
        clips = worker.finish(source.end_pts)
        return [
            replace(clip, decode_errors=source.errors) if isinstance(clip, ClipSpan) else clip
            for clip in (clips[number] for number in range(len(spans)))
        ]


@dataclass
class _Shown:
    """A decoded frame. It is encoded as JPEG once, however many spans keep it; then `is_interlaced` is known."""

    pts: int
    seconds: float
    frame: av.VideoFrame
    jpeg: tuple[bytes, int, int] | None = None
    is_interlaced: bool = False


@dataclass
class _OpenSpan:
    """A span that has begun and not ended.

    `nearest`: until the middle has passed, the frame nearest to it, and whether that frame is already kept as a fine
    one. `middle_pts`: tick of the middle frame, once it is decided; from then on `nearest` is None.
    """

    number: int
    end_seconds: float | None
    shot: Shot
    middle_seconds: float
    next_fine: int = 0
    nearest: tuple[_Shown, bool] | None = None
    middle_pts: int | None = None


class _SpanScan:
    """Makes clips and JPEGs of a video's frames, which are added one by one."""

    def __init__(
        self,
        stream: av.VideoStream,
        settings: ScanSettings,
        spans: Sequence[Span],
        keep_frame: Callable[[int, SampledFrame], None],
        first_pts: int,
        half_a_frame: float,
        video_seconds: float | None,
    ) -> None:
        assert stream.time_base is not None
        self._settings = settings
        self._spans = spans
        self._keep_frame = keep_frame
        self._time_base: Fraction = stream.time_base
        self._first_pts = first_pts
        self._half_a_frame = half_a_frame
        self._video_seconds = video_seconds
        self._jpegs = jpeg_writer(stream, settings)
        self._orientations = Orientations()
        self._interlacing = Interlacing(stream)
        self._meter = Meter(self._orientations)
        self._fine = ticks_per_fine_frame(settings, self._time_base)
        self._index = 0
        self._results: dict[int, ClipSpan | SpanNotThere] = {}
        self._open: list[_OpenSpan] = []
        # Latest start first: the next span to open is the last of the list.
        self._waiting = sorted(range(len(spans)), key=lambda number: spans[number].start_seconds, reverse=True)

    @property
    def is_done(self) -> bool:
        return not self._open and not self._waiting

    def add(self, frame: av.VideoFrame, pts: int) -> None:
        step = Step(self._index, pts, self._seconds(pts))
        self._close_ended(step)
        self._open_begun(step)
        if self._open:
            self._meter.measure(step, frame, small_picture(frame))
            shown = _Shown(pts, step.seconds, frame)
            for span in self._open:
                span.shot.add(step)
                self._sample(span, shown)
        else:
            self._meter.pass_over()
        self._index += 1

    def finish(self, end_pts: int) -> dict[int, ClipSpan | SpanNotThere]:
        """Returns span number -> its clip or error. end_pts: the tick at which the last frame ends."""
        for span in self._open:
            self._close(span, self._index, end_pts)
        end_seconds = self._seconds(end_pts)
        for number in self._waiting:
            start_seconds = self._spans[number].start_seconds
            self._results[number] = SpanNotThere(
                f"it begins at {start_seconds:g} s, and the video ends at {end_seconds:g} s: is it another cut?"
            )
        return self._results

    def _seconds(self, pts: int) -> float:
        return (pts - self._first_pts) * self._time_base.numerator / self._time_base.denominator

    def _close_ended(self, step: Step) -> None:
        still_open = []
        for span in self._open:
            if span.end_seconds is not None and step.seconds >= span.end_seconds - self._half_a_frame:
                self._close(span, step.frame_index, step.pts)
            else:
                still_open.append(span)
        self._open = still_open

    def _open_begun(self, step: Step) -> None:
        while self._waiting and self._spans[self._waiting[-1]].start_seconds <= step.seconds + self._half_a_frame:
            number = self._waiting.pop()
            span = self._spans[number]
            latest = max(span.end_seconds or step.seconds, span.start_seconds + 2 * self._half_a_frame)
            if span.end_seconds is not None and step.seconds >= latest:
                self._results[number] = SpanNotThere(
                    f"no frame is shown between {span.start_seconds:g} s and {span.end_seconds:g} s; "
                    f"the next one comes at {step.seconds:g} s"
                )
                continue
            shot = Shot(step, "imported", 0.0)
            self._open.append(_OpenSpan(number, span.end_seconds, shot, self._middle_seconds(span, step)))

    def _middle_seconds(self, span: Span, first: Step) -> float:
        """The span's middle, as far as it is known before the span's end has been decoded; infinite where it is not."""
        ends = [end for end in (span.end_seconds, self._video_seconds) if end]
        return (first.seconds + min(ends)) / 2 if ends else float("inf")

    def _sample(self, span: _OpenSpan, shown: _Shown) -> None:
        ticks = shown.pts - span.shot.first.pts
        is_fine = ticks * self._fine[1] >= span.next_fine * self._fine[0]
        if is_fine:
            span.next_fine = ticks * self._fine[1] // self._fine[0] + 1
            self._keep(span, shown, is_fine=True)
        if span.middle_pts is None:
            before = span.nearest
            if before is None or shown.seconds - span.middle_seconds < span.middle_seconds - before[0].seconds:
                span.nearest = shown, is_fine
            if shown.seconds >= span.middle_seconds:
                self._decide_middle(span)

    def _decide_middle(self, span: _OpenSpan) -> None:
        assert span.nearest is not None, "a span is opened by its first frame"
        shown, is_kept = span.nearest
        span.nearest, span.middle_pts = None, shown.pts
        if not is_kept:
            self._keep(span, shown, is_fine=False)

    def _close(self, span: _OpenSpan, end_frame: int, end_pts: int) -> None:
        if span.middle_pts is None:
            self._decide_middle(span)
        assert span.middle_pts is not None
        self._results[span.number] = clip_span(
            span.shot,
            end=(end_frame, end_pts, self._seconds(end_pts)),
            middle_pts=span.middle_pts,
            time_base=self._time_base,
            settings=self._settings,
        )

    def _keep(self, span: _OpenSpan, shown: _Shown, *, is_fine: bool) -> None:
        if shown.jpeg is None:
            orientation = self._orientations.for_frame(shown.frame)
            shown.is_interlaced = self._interlacing.is_seen(shown.frame)
            shown.jpeg = self._jpegs.write(shown.frame, orientation, is_interlaced=shown.is_interlaced)
        span.shot.sums.add_interlacing(shown.is_interlaced)
        jpeg, width, height = shown.jpeg
        self._keep_frame(span.number, SampledFrame(shown.pts, shown.seconds, is_fine, width, height, jpeg))
