"""Encodes clips again, as H.264 and AAC in MP4: the file's frames are the clip's frames, upright, with square pixels.

Frames are found as `internvid.video.scan` counted them, and their number is compared: a file whose frames differ from
those that were counted is an error, never another clip. Frames keep their times, of any frame rate. The same clip gives
the same bytes: one thread for each encoder, and no code that depends on the processor.

There are no B-frames: every picture is written at its own time, and readers that ignore edit lists see the clip as it
is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from internvid.cutting.clips import CannotCut, ClipFile, Cut, measured, neighbours, packets_in
from internvid.cutting.sound import ClipSound
from internvid.video.colour import has_alpha, is_hdr
from internvid.video.pictures import Orientations, bgr_picture, upright
from internvid.video.probe import open_video, sound_stream, video_stream
from internvid.video.scan import Decoding

CRF = 18  # pictures keep some 45 dB of PSNR
SECONDS_TO_DECODE_FIRST = 5.0  # a clip that begins earlier is reached without seeking
MAX_TICKS_PER_SECOND = 1_000_000
SOUND_BITS_PER_SECOND = {"mono": 64_000, "stereo": 128_000}
# Neither a version nor a time is written. The index comes first: a reader on a network need not seek.
MUXER = {"fflags": "+bitexact", "movflags": "+faststart"}

# mbtree makes the bytes depend on the processor.
X264 = {
    "preset": "veryfast",
    "crf": str(CRF),
    "g": "60",
    "threads": "1",
    "x264-params": "cpu-independent=1:mbtree=0:bframes=0",
}


@dataclass(frozen=True)
class Encoding:
    """How clips are encoded. max_height: of the upright picture, pixels; larger ones are shrunk. None: as they are.

    fps: a constant rate; None: every frame of the video, at its own time.
    """

    max_height: int | None = None
    fps: float | None = None


def cut_exactly(path: str, cuts: Sequence[Cut], folder: Path, encoding: Encoding) -> Iterator[ClipFile | CannotCut]:
    """Cuts the clips into the folder; yields a result for each, in their order.

    Clips that lie near each other are cut in one pass through the file. Raises as `internvid.video.probe.probe`, and
    OSError where a file cannot be written.
    """
    results: dict[str, ClipFile | CannotCut] = {}
    for group in neighbours(cuts):
        # Where the file's index is wrong, or its clock starts again, seeking finds other frames: from the start then.
        _cut_in_one_pass(path, group, folder, encoding, results, seeks=True)
        missed = [cut for cut in group if isinstance(results[cut.name], CannotCut)]
        if missed and group[0].start_seconds > SECONDS_TO_DECODE_FIRST:
            _cut_in_one_pass(path, missed, folder, encoding, results, seeks=False)
    yield from (results[cut.name] for cut in cuts)


def _cut_in_one_pass(
    path: str,
    cuts: list[Cut],
    folder: Path,
    encoding: Encoding,
    results: dict[str, ClipFile | CannotCut],
    *,
    seeks: bool,
) -> None:
    """Writes the result of each clip into `results`. cuts: in order of time."""
    with open_video(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        has_sound = sound_stream(container) is not None
        assert stream.time_base is not None
        if seeks and cuts[0].start_seconds > SECONDS_TO_DECODE_FIRST:
            try:
                container.seek(cuts[0].start_pts, stream=stream)
            except av.error.FFmpegError as error:
                results.update((cut.name, CannotCut(f"the file cannot be sought in: {error}")) for cut in cuts)
                return
        waiting, opened = list(reversed(cuts)), list[_Writer]()
        aspect = stream.sample_aspect_ratio or Fraction(1)
        try:
            source = Decoding(container, stream)
            for frame, pts in source.frames():
                for writer in [writer for writer in opened if pts >= writer.cut.end_pts]:
                    opened.remove(writer)
                    results[writer.cut.name] = writer.finished()
                while waiting and waiting[-1].start_pts <= pts:
                    cut = waiting.pop()
                    if cut.start_pts != pts:
                        results[cut.name] = _other_frames(cut, 0)
                        continue
                    is_moved = frame.pts is None or frame.pts != pts
                    sound = (
                        ClipSound(path, *_clock_seconds(cut, stream.time_base)) if has_sound and not is_moved else None
                    )
                    writer = _Writer(cut, folder, _Pictures(frame, aspect, encoding), stream.time_base, sound, encoding)
                    if has_sound and is_moved:
                        writer.why_no_sound = "the clock of the pictures is not that of the sound here"
                    opened.append(writer)
                for writer in opened:
                    writer.add(frame, pts)
                if not opened and not waiting:
                    break
            for writer in list(opened):
                opened.remove(writer)
                results[writer.cut.name] = writer.finished()
            results.update((cut.name, _other_frames(cut, 0)) for cut in waiting)
        finally:
            for writer in opened:
                writer.abandon()


def _clock_seconds(cut: Cut, time_base: Fraction) -> tuple[float, float]:
    """Returns begin and end of the clip by the container's clock."""
    return float(cut.start_pts * time_base), float(cut.end_pts * time_base)


def _other_frames(cut: Cut, frames: int) -> CannotCut:
    return CannotCut(
        f"{frames:,} frames can be decoded from {cut.start_seconds:.3f} to {cut.end_seconds:.3f} s where "
        f"{cut.frames:,} were counted: the file has changed, or is damaged there"
    )


class _Pictures:
    """Turns decoded frames into the pictures that are encoded: one size, upright, square pixels, yuv420p, SDR."""

    def __init__(self, first: av.VideoFrame, pixel_aspect: Fraction, encoding: Encoding) -> None:
        self._orientations = Orientations()
        self._reformatter = VideoReformatter()
        is_turned = self._orientations.for_frame(first)[0] == 0
        width, height = float(first.width * pixel_aspect), float(first.height)
        scale = min(1.0, encoding.max_height / (width if is_turned else height)) if encoding.max_height else 1.0
        self._coded = _even(width * scale), _even(height * scale)
        self.width, self.height = self._coded[::-1] if is_turned else self._coded
        self._is_mapped = has_alpha(first) or is_hdr(first)
        if self._is_mapped or not first.format.name.startswith(("yuv", "nv", "p0", "p2")):
            self.colours = {name: Colorspace.ITU709.value for name in _COLOURS}
            self._conversion: dict[str, int] = {"dst_colorspace": Colorspace.ITU709}
        else:
            self.colours = {name: int(getattr(first, name)) for name in _COLOURS}
            self._conversion = {}

    def picture(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Returns the picture of a frame. It holds nothing else of the frame: no type of picture, no side data."""
        shown = self._orientations.for_frame(frame)
        width, height = self._coded
        if self._is_mapped:
            bgr = bgr_picture(self._reformatter, frame, width, height)
            frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
        small = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            interpolation=Interpolation.BICUBIC,
            dst_color_range=ColorRange.MPEG,
            threads=1,
            **self._conversion,
        )
        planes: np.ndarray = small.to_ndarray()
        if shown != (1, 0, 0, 1):
            planes = _upright_planes(planes, width, height, shown)
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")


_COLOURS = ("colorspace", "color_primaries", "color_trc")


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)


def _upright_planes(planes: np.ndarray, width: int, height: int, shown: tuple[int, int, int, int]) -> np.ndarray:
    """Turns a picture in planes, [height * 3 / 2, width] uint8."""
    luma, chroma = planes[:height], planes[height:].reshape(2, height // 2, width // 2)
    turned = [upright(plane, shown) for plane in (luma, *chroma)]
    return np.concatenate([plane.reshape(-1) for plane in turned]).reshape(-1, turned[0].shape[1])


class _Writer:
    """Writes a clip's file, frame by frame, with the sound beside its pictures."""

    def __init__(
        self,
        cut: Cut,
        folder: Path,
        pictures: _Pictures,
        time_base: Fraction,
        sound: ClipSound | None,
        encoding: Encoding,
    ) -> None:
        self.cut = cut
        self.why_no_sound: str | None = None
        self._path = folder / f"{cut.name}.mp4"
        self._pictures = pictures
        self._time_base = time_base
        self._rate = Fraction(encoding.fps).limit_denominator(1001) if encoding.fps else None
        is_fine = time_base.denominator > MAX_TICKS_PER_SECOND  # MP4 has no room for nanoseconds
        self._ticks = 1 / self._rate if self._rate else Fraction(1, MAX_TICKS_PER_SECOND) if is_fine else time_base
        self._frames = self._written = 0
        self._waiting: av.VideoFrame | None = None  # at a constant rate: shown until the next one is
        self._held: av.Packet | None = None  # until it is known how long it is shown
        self._container = av.open(str(self._path), "w", format="mp4", options=MUXER)
        usual_rate = self._rate or Fraction(cut.frames / max(cut.end_seconds - cut.start_seconds, 1e-3))
        self._video = self._container.add_stream("libx264", rate=usual_rate.limit_denominator(1001), options=X264)
        assert isinstance(self._video, av.VideoStream)
        self._video.width, self._video.height, self._video.pix_fmt = pictures.width, pictures.height, "yuv420p"
        self._video.time_base = self._video.codec_context.time_base = self._ticks
        self._video.codec_context.color_range = ColorRange.MPEG
        for name, value in pictures.colours.items():
            setattr(self._video.codec_context, name, value)
        self._sound = sound if sound is not None and sound.is_there else None
        if sound is not None and self._sound is None:
            self.why_no_sound = "there is none between these times that can be decoded"
        if self._sound is not None:
            self._audio = self._container.add_stream("aac", rate=self._sound.rate, layout=self._sound.layout)
            assert isinstance(self._audio, av.AudioStream)
            self._audio.bit_rate = SOUND_BITS_PER_SECOND[self._sound.layout]

    def add(self, frame: av.VideoFrame, pts: int) -> None:
        self._frames += 1
        if self._rate is None:
            self._encode(self._pictures.picture(frame), self._since_start(pts))
            return
        self._repeat_until(pts)
        self._waiting = self._pictures.picture(frame)

    def finished(self) -> ClipFile | CannotCut:
        """Completes the file. Returns what it is; where frames are missing, there is no file."""
        if self._frames != self.cut.frames:
            self.abandon()
            return _other_frames(self.cut, self._frames)
        if self._rate is not None:
            self._repeat_until(self.cut.end_pts)
        for packet in self._video.encode(None):
            self._mux(packet)
        if self._held is not None:
            self._mux_held(self._written if self._rate else self._since_start(self.cut.end_pts))
        if self._sound is not None:
            self._mux_sound(float("inf"))
            self._container.mux(self._audio.encode(None))
            self._sound.close()
        self._container.close()
        if packets_in(self._path) != self._written:
            raise OSError(f"{self._path} was not written as a whole")
        size, sha256 = measured(self._path)
        return ClipFile(
            name=self._path.name,
            start_seconds=self.cut.start_seconds,
            end_seconds=self.cut.end_seconds,
            frames=self._written,
            width=self._pictures.width,
            height=self._pictures.height,
            video_codec="h264",
            audio_codec="aac" if self._sound is not None else None,
            why_no_sound=self.why_no_sound,
            bytes=size,
            sha256=sha256,
        )

    def abandon(self) -> None:
        """Closes and removes the file."""
        if self._sound is not None:
            self._sound.close()
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()
        self._path.unlink(missing_ok=True)

    def _since_start(self, pts: int) -> int:
        return round((pts - self.cut.start_pts) * self._time_base / self._ticks)

    def _repeat_until(self, pts: int) -> None:
        """At a constant rate: encodes the waiting frame for every tick before the time at which the next one comes."""
        if self._waiting is None:
            return
        for tick in range(self._written, ceil((pts - self.cut.start_pts) * self._time_base / self._ticks)):
            self._encode(self._waiting, tick)

    def _encode(self, picture: av.VideoFrame, tick: int) -> None:
        picture.pts, picture.time_base = tick, self._ticks
        self._written += 1
        for packet in self._video.encode(picture):
            self._mux(packet)

    def _mux(self, packet: av.Packet) -> None:
        if self._held is not None:
            assert packet.pts is not None
            self._mux_held(packet.pts)
        self._held = packet

    def _mux_held(self, end: int) -> None:
        """Writes the packet that was held, shown until the tick `end`, then the sound up to there."""
        held = self._held
        assert held is not None
        assert held.pts is not None
        held.duration = max(1, end - held.pts)
        self._container.mux(held)
        self._held = None
        if self._sound is not None:
            self._mux_sound(float(end * self._ticks))

    def _mux_sound(self, seconds: float) -> None:
        assert self._sound is not None
        for frame in self._sound.until(seconds):
            self._container.mux(self._audio.encode(frame))
