"""Decodes a video once, and returns its clips with their measures and the frames that captions are made from.

Memory does not grow with the video's length. Each frame leaves a small picture and a few numbers until its cut is
decided, each clip leaves one row, and decoded frames are held in a bounded reservoir: for 720p the process has 270 to
290 MB, at 10 s and at 96 s alike.

The decoder is PyAV, and not decord: decord reads no AV1, returns nothing but whole RGB frames, and gives no timestamp
ticks. On two busy cores (H.264, VP8 and VP9, 240p to 720p) it gave whole frames at 0.3 to 0.7 and frames of 256x144 at
0.4 to 1.1 of PyAV's rate of decoding.

What this pass adds to decoding, 0.2 to 0.3 ms a frame (0.4 at 720p), shows most where a frame is cheap to decode: by
the processor's time it ran at 0.2 to 0.8 of PyAV's rate of decoding to nothing for pictures below 480 lines and other
codecs than H.264. Half of it is spent on the small picture (waiting for memory), the flow and the JPEGs. Of H.264 with
B-frames, frames are left out (`reference_frames`): 0.8 to 1.2 of that rate from 480 lines on.
benchmarks/cut_and_sample.py repeats these measurements.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from operator import sub

import av
import av.container
import av.error
import numpy as np

from internvid.video import measures
from internvid.video.cuts import Boundary, CutDetector, make_detector
from internvid.video.demuxing import packets_or_error
from internvid.video.interlacing import Interlacing
from internvid.video.packets import usual_rate
from internvid.video.pictures import (
    JpegWriter,
    Orientations,
    SmallPicture,
    colour_picture,
    small_picture,
    wide_luma,
)
from internvid.video.probe import UnreadableVideo, decoder_of, no_frame, open_video, video_stream
from internvid.video.reference_frames import CannotLeaveOut, ReferenceDecoding, Shown, can_leave_out
from internvid.video.settings import ScanSettings, default_threshold

# Decoded frames waiting to become a clip's middle frame: 96 MiB is 32 frames of 1080p, 8 of 4K.
_HELD_BYTES = 96 << 20
# More than a detector's look-ahead would be of no use; of a picture of 480p, 96 are 60 MB.
_MIN_HELD, _MAX_HELD = 4, 96
_MAX_NEWEST = 80  # a shot that a slower detector reports may have lost its frames, and is then a part of the one before
# Packets in a row that fail before the stream counts as ended.
_MAX_ERRORS_IN_A_ROW = 1000
# Of the frames of a clip that are kept: in still pictures two fields leave no comb.
_INTERLACED_SHARE = 0.25


@dataclass
class ClipSpan:
    """A span between two boundaries, in the names and units of the table clips."""

    start_seconds: float
    end_seconds: float
    start_pts: int
    end_pts: int
    time_base_numerator: int
    time_base_denominator: int
    start_frame: int
    end_frame: int
    boundary: str
    cut_score: float
    transition_start_seconds: float | None
    transition_end_seconds: float | None
    motion: float
    stillness: float
    blackness: float
    pan_x: float
    pan_y: float
    zoom: float
    moving_share: float
    mover_x: float
    mover_y: float
    flags: list[str]
    decode_errors: int
    middle_pts: int


@dataclass(frozen=True)
class SampledFrame:
    """A kept frame. seconds: from the video's first frame. width, height: of the JPEG, upright, square pixels."""

    pts: int
    seconds: float
    is_fine: bool
    width: int
    height: int
    jpeg: bytes


# Detectors that see the same boundaries where frames that next to nothing changes in are left out.
_LEAVE_OUT = ("combined", "structure+colour")
# In small pictures a frame costs less to decode than to look at: what is left out does not pay for the looking.
_SMALL_PIXELS = 300_000


def scan(
    path: str,
    settings: ScanSettings,
    keep_frame: Callable[[SampledFrame], None],
    *,
    leaves_out: bool | None = None,
) -> list[ClipSpan]:
    """Decodes the file once and returns its clips in order.

    They tile the video from its first frame to its end, but for the frames of fades and dissolves, which show neither
    of two shots alone and belong to no clip.

    `keep_frame` is called with each sampled frame of a clip, once per timestamp, in no certain order: the first frame
    at or after each step of the fine grid, and every clip's middle frame. Damaged packets are skipped and counted; a
    truncated file is read as far as it goes. Raises UnreadableVideo where not one frame can be decoded.

    leaves_out: whether frames of H.264 that no other frame refers to are decoded only where they are needed (see
    `reference_frames`): boundaries and sampled frames are the same, motion and stillness are estimated in between.
    None: where it saves time, that is not in small pictures. False: every frame is decoded, as of every other codec.
    Where it is given or saves time, the middle frame of a clip is one that others refer to, or a sampled one.
    """
    kept: set[int] = set()

    def keep_once(frame: SampledFrame) -> None:
        if frame.pts not in kept:
            kept.add(frame.pts)
            keep_frame(frame)

    with open_video(path) as container:
        stream = stream_to_scan(container, path)
        pays = leaves_out is not None or not _is_small(stream)
        if not pays or not _finds_the_same(settings) or not can_leave_out(stream):
            return _scan_all(container, stream, settings, keep_frame)
        leaves_out = leaves_out is None or leaves_out
        try:
            return _scan_references(container, stream, settings, keep_once, path=path, leaves_out=leaves_out)
        except CannotLeaveOut:
            pass
    with open_video(path) as container:
        return _scan_all(container, stream_to_scan(container, path), settings, keep_once)


def _finds_the_same(settings: ScanSettings) -> bool:
    """Whether the detector finds the same boundaries: what counts as doubtful goes with the default threshold."""
    if settings.detector not in _LEAVE_OUT:
        return False
    return settings.threshold is None or settings.threshold >= default_threshold(settings.detector)


def _scan_references(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    settings: ScanSettings,
    keep_frame: Callable[[SampledFrame], None],
    *,
    path: str,
    leaves_out: bool,
) -> list[ClipSpan]:
    """Scans a video by its reference frames. Raises CannotLeaveOut where that cannot be."""
    if leaves_out:
        # Which frames are left out must not depend on the machine: the threads of FFmpeg return frames later.
        stream.codec_context.thread_count = 1
    rate = usual_rate(container, stream)
    with ExitStack() as stack:
        source = ReferenceDecoding(
            container,
            stream,
            rate=rate,
            is_sampled=FineGrid(settings, stream).takes,
            behind=lambda: _second_decoder(stack.enter_context(open_video(path)), path),
            leaves_out=leaves_out,
        )
        worker: _Scan | None = None
        for shown in source.frames():
            if worker is None:
                worker = _Scan(stream, settings, keep_frame, first_pts=shown.pts, rate=rate, leaves_out=leaves_out)
            worker.add(shown)
        if worker is None:
            raise CannotLeaveOut("there is no frame")
        return worker.finish(source.end_pts)


def _second_decoder(container: av.container.InputContainer, path: str) -> av.VideoStream:
    stream = stream_to_scan(container, path)
    stream.codec_context.thread_count = 1
    return stream


def _scan_all(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    settings: ScanSettings,
    keep_frame: Callable[[SampledFrame], None],
) -> list[ClipSpan]:
    """Scans a video by all its frames."""
    source = Decoding(container, stream)
    worker: _Scan | None = None
    for frame, pts in source.frames():
        if worker is None:
            worker = _Scan(stream, settings, keep_frame, first_pts=pts, rate=source.rate)
        worker.add(Shown(pts, small_picture(frame), frame, is_anchor=True))
    if worker is None:
        raise no_frame(container, source.last_error)
    clips = worker.finish(source.end_pts)
    return [replace(clip, decode_errors=source.errors) for clip in clips]


def _is_small(stream: av.VideoStream) -> bool:
    return stream.codec_context.width * stream.codec_context.height < _SMALL_PIXELS


def stream_to_scan(container: av.container.InputContainer, path: str) -> av.VideoStream:
    """Chooses the video's stream and sets its decoder for speed. Raises as `internvid.video.probe.video_stream`."""
    stream = video_stream(container, path)
    stream.thread_type = "AUTO"
    if _is_small(stream):
        # More threads cost a fifth of the work, and videos are scanned in as many processes as there are cores.
        stream.codec_context.thread_count = 1
    # Leaves block edges unsmoothed in those frames of H.264 that no other frame refers to, so that nothing drifts. It
    # saves a tenth of their decoding; luma keeps 49 dB of PSNR or more, and a JPEG of quality 90 only 41 to 47. VP9 and
    # AV1 decoded to the same pixels.
    stream.codec_context.options = {"skip_loop_filter": "noref"}
    return stream


class Decoding:
    """Decodes a stream into frames with strictly increasing timestamps, whatever timestamps the file holds."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._decoder = decoder_of(stream)
        assert stream.time_base is not None
        self.rate = usual_rate(container, stream)
        self.usual_step = max(1, round(1 / (self.rate * stream.time_base)))
        self._shift = 0
        self._last_pts: int | None = None
        self._last_step = self.usual_step
        self.errors = 0
        self.last_error: Exception | None = None

    @property
    def end_pts(self) -> int:
        """The tick at which the last frame ends."""
        assert self._last_pts is not None
        return self._last_pts + self._last_step

    def frames(self) -> Iterator[tuple[av.VideoFrame, int]]:
        for frame in self._decoded():
            pts = self._increasing(frame)
            yield frame, pts

    def _increasing(self, frame: av.VideoFrame) -> int:
        """The frame's timestamp; where it has none, or time runs backwards, a timestamp that follows the last one."""
        pts = frame.pts if frame.pts is not None else frame.dts
        last = self._last_pts
        if last is None:
            pts = 0 if pts is None else pts
        elif pts is None:
            pts = last + self._last_step
        else:
            pts += self._shift
            if pts <= last:
                # A repeated tick moves by one; a clock that starts again (joined streams) is moved as a whole.
                moved = last + (1 if last - pts < 4 * self.usual_step else self._last_step)
                if last - pts >= 4 * self.usual_step:
                    self._shift += moved - pts
                pts = moved
        if frame.duration and frame.duration > 0:
            self._last_step = frame.duration
        elif last is not None and 0 < pts - last <= 4 * self.usual_step:
            self._last_step = pts - last
        self._last_pts = pts
        return pts

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decodes packet by packet, so that an error costs that packet and not the rest of the file."""
        in_a_row = 0
        for packet in packets_or_error(self._container, [self._stream]):
            if isinstance(packet, Exception):
                self._count(packet)
                break
            try:
                yield from self._decoder.decode(packet)
                in_a_row = 0
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self._count(error)
                in_a_row += 1
                if in_a_row == _MAX_ERRORS_IN_A_ROW:
                    break
        else:
            return
        try:
            yield from self._decoder.decode(None)
        except av.error.FFmpegError as error:
            self._count(error)

    def _count(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = error


@dataclass(slots=True)
class Step:
    """The measures of a frame, kept until it is decided whether a shot begins with it."""

    frame_index: int
    pts: int
    seconds: float
    change: float = 0.0
    visible: float = 0.0
    black: bool = False
    interlaced: bool | None = None
    camera: measures.Camera | None = None
    camera_from: int = 0
    shown: tuple[int, int, int, int] = (1, 0, 0, 1)


@dataclass(slots=True)
class _Held:
    """A decoded frame that may become a clip's middle frame."""

    frame_index: int
    pts: int
    seconds: float
    frame: av.VideoFrame
    is_kept: bool
    is_anchor: bool = True


@dataclass
class Shot:
    """The clip being built. Its measures add up as its frames are decided."""

    first: Step
    boundary: str
    score: float
    transition_seconds: tuple[float, float] | None = None  # start and end of the fade or dissolve before it
    last_seconds: float = 0.0
    sums: measures.ShotMeasures = field(default_factory=measures.ShotMeasures)

    def add(self, step: Step) -> None:
        """Adds a frame, in order, beginning with `first`."""
        if step is not self.first:
            self.sums.add_change(step.change, step.visible, step.seconds - self.last_seconds)
        self.last_seconds = step.seconds
        self.sums.add_frame(black=step.black)
        if step.interlaced is not None:
            self.sums.add_interlacing(step.interlaced)
        if step.camera is not None and step.camera_from >= self.first.frame_index:
            self.sums.add_camera(step.camera, step.shown)


class Meter:
    """Measures each frame against the one before, and, twice a second, how the camera moved.

    Where frames were left out, only the change over several steps is known. How much of it each step has is what it
    was in the last places where all frames were decoded.
    """

    def __init__(self, orientations: Orientations, *, estimates: bool = False) -> None:
        """estimates: whether frames are left out."""
        self._estimates = estimates
        self._orientations = orientations
        self._luma: np.ndarray | None = None
        self._camera = measures.CameraMeter()
        self._wide: tuple[int, float, np.ndarray] | None = None
        self._next_wide = 0.0
        self._steps_left_out: list[Step] = []
        self._shares = measures.StepShares()

    def measure(
        self, step: Step, frame: av.VideoFrame | None, picture: SmallPicture, *, is_anchor: bool = True
    ) -> None:
        """Measures the frame and its small picture, and writes the result into `step`.

        frame: None where it was left out; then `step` is written when the next frame that was decoded is measured.
        """
        step.black = measures.is_black(picture)
        if frame is None:
            self._steps_left_out.append(step)
            return
        if self._luma is not None and self._steps_left_out:
            steps = [*self._steps_left_out, step]
            change, visible_share = self._shares.of_each(self._luma, picture.luma, len(steps))
            for between in steps:
                between.change, between.visible = change, visible_share
        elif self._luma is not None:
            step.change, step.visible = measures.luma_change(self._luma, picture.luma)
        if self._steps_left_out or self._luma is None:
            self._steps_left_out.clear()
            self._shares.begin(picture.luma, is_anchor=is_anchor)
        elif self._estimates:
            self._shares.learn(picture.luma, is_anchor=is_anchor)
        self._luma = picture.luma
        if is_anchor:
            self._measure_camera(frame, step)

    def pass_over(self) -> None:
        """Notes that frames are skipped: the next frame is not compared with the last one."""
        self._luma = None
        self._wide = None

    def _measure_camera(self, frame: av.VideoFrame, step: Step) -> None:
        """Twice a second, compares two frames a fifth of a second apart."""
        if step.seconds < self._next_wide:
            return
        if self._wide is None:
            self._wide = (step.frame_index, step.seconds, wide_luma(frame))
            self._next_wide = step.seconds + measures.CAMERA_SECONDS - 0.01
            return
        first_frame, first_seconds, before = self._wide
        since = step.seconds - first_seconds
        if since <= measures.MAX_CAMERA_SECONDS:
            step.camera = self._camera.measure(before, wide_luma(frame), since)
            step.camera_from = first_frame
            step.shown = self._orientations.for_frame(frame)
        self._wide = None
        self._next_wide = first_seconds + measures.CAMERA_EVERY_SECONDS


class _Scan:
    """Makes clips and JPEGs of a video's frames, which are added one by one."""

    def __init__(
        self,
        stream: av.VideoStream,
        settings: ScanSettings,
        keep_frame: Callable[[SampledFrame], None],
        *,
        first_pts: int,
        rate: Fraction,
        leaves_out: bool = False,
    ) -> None:
        assert stream.time_base is not None
        self._settings = settings
        self._keep_frame = keep_frame
        self._time_base: Fraction = stream.time_base
        self._jpegs = jpeg_writer(stream, settings)
        self._orientations = Orientations()
        self._interlacing = Interlacing(stream)
        self._meter = Meter(self._orientations, estimates=leaves_out)
        self._detector: CutDetector = make_detector(settings.detector, settings.threshold, float(rate))
        self._first_pts = first_pts
        self._index = 0
        self._clips: list[ClipSpan] = []
        self._steps: deque[Step] = deque()
        self._boundaries: dict[int, Boundary] = {}
        self._reservoir = _Reservoir(min(self._detector.cut_look_ahead, _MAX_NEWEST))
        self._shot: Shot | None = None
        self._transition: tuple[Boundary, float] | None = None  # that is being passed, and the second of its start
        self._has_ended = False
        self._fine_frames: deque[tuple[int, SampledFrame]] = deque()  # with their indices, until their clip is known
        self._fine = FineGrid(settings, stream)

    def add(self, shown: Shown) -> None:
        frame, picture = shown.frame, shown.picture
        step = Step(self._index, shown.pts, self._seconds(shown.pts))
        colour = colour_picture(frame) if self._detector.wants_colour and frame is not None else None
        self._meter.measure(step, frame, picture, is_anchor=shown.is_anchor)

        is_fine = self._fine.takes(shown.pts)
        held: _Held | None = None
        if frame is not None:
            held = _Held(self._index, shown.pts, step.seconds, frame, is_kept=is_fine, is_anchor=shown.is_anchor)
            if is_fine:
                step.interlaced = self._keep(held, is_fine=True)
        self._steps.append(step)
        for boundary in self._detector.push(self._index, step.seconds, picture, colour):
            self._boundaries[boundary.start] = boundary
        while self._steps[0].frame_index <= self._index - self._detector.look_ahead:
            self._decide(self._steps.popleft())
        start = self._shot.first if self._shot else self._steps[0]
        self._reservoir.add(
            held,
            self._index,
            start_frame=start.frame_index,
            earliest_middle=(start.seconds + self._steps[0].seconds) / 2,
            boundaries=self._known_starts(),
        )
        self._index += 1

    def _known_starts(self) -> list[int]:
        """The first frames of shots and transitions that are known to follow the open shot."""
        known = list(self._boundaries.values()) + ([] if self._transition is None else [self._transition[0]])
        return [*self._detector.doubtful, *(frame for boundary in known for frame in (boundary.start, boundary.end))]

    def finish(self, end_pts: int) -> list[ClipSpan]:
        self._has_ended = True
        for boundary in self._detector.finish():
            self._boundaries[boundary.start] = boundary
        while self._steps:
            self._decide(self._steps.popleft())
        self._close(end_pts, self._index)
        return self._clips

    def _seconds(self, pts: int) -> float:
        return (pts - self._first_pts) * self._time_base.numerator / self._time_base.denominator

    def _decide(self, step: Step) -> None:
        """Adds a frame to the shot it belongs to: its boundary, if it has one, is known by now."""
        boundary = self._boundaries.pop(step.frame_index, None)
        max_seconds = self._settings.max_shot_seconds
        if self._transition is not None:
            self._pass_transition(step)
        elif self._shot is None:
            self._shot = Shot(step, "start", 0.0)
        elif boundary is not None and self._reservoir.holds(self._shot.first.frame_index, step.frame_index):
            self._close(step.pts, step.frame_index)
            self._transition = boundary, step.seconds
            self._pass_transition(step)
        elif max_seconds is not None and step.seconds - self._shot.first.seconds >= max_seconds:
            self._close(step.pts, step.frame_index)
            self._shot = Shot(step, "split", 0.0)
        while self._fine_frames and self._fine_frames[0][0] <= step.frame_index:
            _, frame = self._fine_frames.popleft()
            if self._shot is not None:
                self._keep_frame(frame)
        if self._shot is not None:
            self._shot.add(step)

    def _pass_transition(self, step: Step) -> None:
        """Begins the new shot with the first frame that is not of the transition."""
        assert self._transition is not None
        boundary, start_seconds = self._transition
        # The last frame of all begins a shot whatever it shows, as every boundary is followed by a clip.
        if step.frame_index >= boundary.end or (self._has_ended and not self._steps):
            span = None if boundary.transition is None else (start_seconds, step.seconds)
            self._shot = Shot(step, boundary.kind, boundary.score, span)
            self._transition = None

    def _close(self, end_pts: int, end_frame: int) -> None:
        """Ends the open shot as a clip, and keeps its middle frame."""
        shot = self._shot
        assert shot is not None
        start = shot.first
        end_seconds = self._seconds(end_pts)
        middle = self._reservoir.take_middle(start.frame_index, end_frame, (start.seconds + end_seconds) / 2)
        if not middle.is_kept:
            is_interlaced = self._keep(middle, is_fine=False)
            shot.sums.add_interlacing(is_interlaced)
        self._shot = None
        self._clips.append(
            clip_span(
                shot,
                end=(end_frame, end_pts, end_seconds),
                middle_pts=middle.pts,
                time_base=self._time_base,
                settings=self._settings,
            )
        )

    def _keep(self, held: _Held, *, is_fine: bool) -> bool:
        """Keeps the frame as a JPEG; a fine one once its clip is known. Returns whether it is interlaced."""
        shown, is_interlaced = self._orientations.for_frame(held.frame), self._interlacing.is_seen(held.frame)
        jpeg, width, height = self._jpegs.write(held.frame, shown, is_interlaced=is_interlaced)
        held.is_kept = True
        frame = SampledFrame(held.pts, held.seconds, is_fine, width, height, jpeg)
        if is_fine:
            self._fine_frames.append((held.frame_index, frame))
        else:
            self._keep_frame(frame)
        return is_interlaced


def clip_span(
    shot: Shot, *, end: tuple[int, int, float], middle_pts: int, time_base: Fraction, settings: ScanSettings
) -> ClipSpan:
    """Makes a clip of a shot. end: index, tick and seconds of the frame after its last one."""
    end_frame, end_pts, end_seconds = end
    start, sums = shot.first, shot.sums
    return ClipSpan(
        start_seconds=start.seconds,
        end_seconds=end_seconds,
        start_pts=start.pts,
        end_pts=end_pts,
        time_base_numerator=time_base.numerator,
        time_base_denominator=time_base.denominator,
        start_frame=start.frame_index,
        end_frame=end_frame,
        boundary=shot.boundary,
        cut_score=shot.score,
        transition_start_seconds=None if shot.transition_seconds is None else shot.transition_seconds[0],
        transition_end_seconds=None if shot.transition_seconds is None else shot.transition_seconds[1],
        motion=sums.motion,
        stillness=sums.stillness,
        blackness=sums.blackness,
        pan_x=sums.pan[0],
        pan_y=sums.pan[1],
        zoom=sums.zoom,
        moving_share=sums.moving_share,
        mover_x=sums.mover[0],
        mover_y=sums.mover[1],
        flags=_flags(settings, end_seconds - start.seconds, sums),
        decode_errors=0,
        middle_pts=middle_pts,
    )


def _flags(settings: ScanSettings, seconds: float, sums: measures.ShotMeasures) -> list[str]:
    checks = {
        "too_short": seconds < settings.min_shot_seconds,
        "too_long": seconds > settings.too_long_seconds,
        "still": sums.stillness >= settings.still_share,
        "wild": sums.motion >= settings.wild_motion,
        "black": sums.blackness >= settings.black_share,
        "interlaced": sums.interlaced_share >= _INTERLACED_SHARE,
    }
    return [name for name, applies in checks.items() if applies]


def jpeg_writer(stream: av.VideoStream, settings: ScanSettings) -> JpegWriter:
    return JpegWriter(
        short_side=settings.frame_short_side,
        quality=settings.jpeg_quality,
        pixel_aspect=float(stream.sample_aspect_ratio or 1) or 1.0,
    )


class FineGrid:
    """Tells which frames are sampled: the first at or after each step of a grid that begins with the first frame."""

    def __init__(self, settings: ScanSettings, stream: av.VideoStream) -> None:
        assert stream.time_base is not None
        # Frame n of the grid falls n * self._fine[0] / self._fine[1] ticks after the first frame.
        self._fine = ticks_per_fine_frame(settings, stream.time_base)
        self._next = 0
        self._first_pts: int | None = None

    def takes(self, pts: int) -> bool:
        """Whether the frame is sampled. Called once with each frame, in order."""
        if self._first_pts is None:
            self._first_pts = pts
        ticks = pts - self._first_pts
        if ticks * self._fine[1] < self._next * self._fine[0]:
            return False
        self._next = ticks * self._fine[1] // self._fine[0] + 1
        return True


def ticks_per_fine_frame(settings: ScanSettings, time_base: Fraction) -> tuple[int, int]:
    """Ticks between two steps of the fine grid, as numerator and denominator."""
    per_frame = 1 / (Fraction(settings.fine_frames_per_second).limit_denominator(1000) * time_base)
    return per_frame.numerator, per_frame.denominator


class _Reservoir:
    """Holds a bounded number of decoded frames from which every shot's middle frame can be taken.

    The newest frames, in which a hard cut may still be detected, are all held. Older frames are held as evenly apart as
    there is room for, at least one in each shot. A shot's middle moves at half the speed of its end, so frames before
    the earliest possible middle are dropped: with 32 held frames, the chosen one is within 2 % of a long shot's length
    of the true middle. A frame that will not be needed is dropped at once, so that the decoder writes into the same few
    buffers again, which are in the cache.

    Frames that are no anchors may have been left out. They are held and taken only for shots without an anchor, so that
    the same frame is taken whether they were left out or not.
    """

    def __init__(self, max_newest: int) -> None:
        """Starts empty. max_newest: number of the newest frames that are all held."""
        self._newest: deque[_Held] = deque()
        self._max_newest = max_newest
        self._older: list[_Held] = []
        self._others: list[_Held] = []  # of shots in which no anchor has come so far
        self._apart = 1  # frames between two of the older frames

    def add(
        self,
        held: _Held | None,
        newest_frame: int,
        *,
        start_frame: int,
        earliest_middle: float,
        boundaries: Iterable[int],
    ) -> None:
        """Holds a frame. held: None for one that was left out. newest_frame: its index.

        start_frame: of the open shot. boundaries: first frames of the shots detected after it.
        """
        if held is not None:
            self._newest.append(held)
        starts: list[int] | None = None
        while self._newest and self._newest[0].frame_index <= newest_frame - self._max_newest:
            if starts is None:
                starts = [start_frame, *sorted(boundaries)]
            self._let_older(self._newest.popleft(), starts, earliest_middle)

    def _let_older(self, leaving: _Held, starts: list[int], earliest_middle: float) -> None:
        follows = self._follows_in_shot(leaving, self._older[-1:], starts)
        if not leaving.is_anchor:
            if not follows and not self._follows_in_shot(leaving, self._others[-1:], starts):
                self._others.append(leaving)
            return
        if follows and leaving.frame_index - self._older[-1].frame_index < self._apart:
            return
        self._older.append(leaving)
        size = sum(plane.buffer_size for plane in leaving.frame.planes) or 1
        max_older = min(_MAX_HELD, max(_MIN_HELD, _HELD_BYTES // size))
        if len(self._older) <= max_older:
            return
        passed = 0
        while passed + 1 < len(self._older) and self._older[passed + 1].seconds <= earliest_middle:
            passed += 1
        del self._older[:passed]
        while len(self._older) > max_older and self._drop_frame(starts):
            pass

    def holds(self, start_frame: int, end_frame: int) -> bool:
        """Whether a frame of the shot [start_frame, end_frame) is held."""
        every = (*self._older, *self._others, *self._newest)
        return any(start_frame <= held.frame_index < end_frame for held in every)

    def take_middle(self, start_frame: int, end_frame: int, seconds: float) -> _Held:
        """The held frame of the shot [start_frame, end_frame) nearest to `seconds`. Drops the shot's frames."""
        every = (*self._older, *self._others, *self._newest)
        shot_frames = [frame for frame in every if start_frame <= frame.frame_index < end_frame]
        self._older = [older for older in self._older if older.frame_index >= end_frame]
        self._others = [held for held in self._others if held.frame_index >= end_frame]
        self._newest = deque(newest for newest in self._newest if newest.frame_index >= end_frame)
        self._apart = 1
        return min(shot_frames, key=lambda frame: (not frame.is_anchor, abs(frame.seconds - seconds)))

    def _drop_frame(self, starts: list[int]) -> bool:
        """Drops the frame that leaves the smallest gap, never the first of its shot. Returns False if there is none."""
        older = self._older
        indices = [held.frame_index for held in older]
        gaps: list[float] = list(map(sub, indices[2:], indices))
        # The least first: to ask of each whether it begins its shot would take longer than decoding a small frame.
        while (gap := min(gaps, default=math.inf)) < math.inf:
            at = gaps.index(gap) + 1
            if self._follows_in_shot(older[at], older[at - 1 : at], starts):
                del older[at]
                self._apart = max(1, int(gap) // 2)
                return True
            gaps[at - 1] = math.inf
        return False

    @staticmethod
    def _follows_in_shot(held: _Held, before: list[_Held], starts: list[int]) -> bool:
        """Whether `held` and the frame before it are of one shot. before: a list of that frame, or empty."""
        return bool(before) and before[0].frame_index >= starts[bisect_right(starts, held.frame_index) - 1]


__all__ = ["ClipSpan", "SampledFrame", "ScanSettings", "UnreadableVideo", "scan"]
