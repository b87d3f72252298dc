"""Reads what a video file is from its header and its first decodable frame.

Belongs here: opening a file safely, choosing its video stream, and explaining why a file is no video.
Does not belong here: decoding the whole video (`scan`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction

import av
import av.container
import av.error
import av.logging
from av.stream import Disposition

from internvid.video.pictures import rotation_degrees

# Demuxers that read lists of other files, or draw text as pictures. An untrusted file must do neither.
_NOT_VIDEOS = {
    "hls": "a playlist",
    "dash": "a playlist",
    "concat": "a playlist",
    "concatf": "a playlist",
    "ffmetadata": "a list of tags",
    "tty": "a text file",
    "webvtt": "a subtitle file",
    "srt": "a subtitle file",
    "ass": "a subtitle file",
}
_PICTURE_BRANDS = {"heic", "heix", "mif1", "avif"}  # ISO base media files that hold one photograph
_PACKETS_TO_FIRST_FRAME = 500  # a decodable file gives one within a group of pictures, rarely beyond 300 frames


class UnreadableVideo(ValueError):
    """The file holds no readable video. The message says what is wrong and what to do, then quotes FFmpeg."""


@dataclass(frozen=True)
class Probe:
    """Properties of a video file, in the names and units of the table raw_videos.

    width, height: coded pixels. display_*: pixels after pixel aspect and rotation. rotation_degrees: clockwise turn
    that shows it upright. pixel_aspect: width of a pixel over its height. fps: an average, for information only.
    duration_seconds, frame_count: None where the header states none. audio_*: None without sound.
    """

    container: str
    video_codec: str
    pixel_format: str
    width: int
    height: int
    display_width: int
    display_height: int
    rotation_degrees: int
    pixel_aspect: float
    fps: float | None
    duration_seconds: float | None
    frame_count: int | None
    time_base_numerator: int
    time_base_denominator: int
    audio_codec: str | None
    audio_channels: int | None
    audio_sample_rate: int | None


def probe(path: str) -> Probe:
    """Reads the file's header and one decoded frame: only the frame states rotation and pixel format for certain.

    Costs one open and usually one decoded frame. The file name's extension is ignored.
    Raises UnreadableVideo with the reason, and FileNotFoundError and PermissionError as the system raises them.
    """
    with open_video(path) as container:
        stream = video_stream(container, path)
        frame = _first_frame(container, stream, path)
        context = stream.codec_context
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        rotation = rotation_degrees(frame)
        shown = (max(1, round(frame.width * aspect)), frame.height)
        if rotation % 180:
            shown = shown[::-1]
        audio = next(iter(container.streams.audio), None)
        rate = stream.average_rate or stream.guessed_rate
        assert stream.time_base is not None
        return Probe(
            container=container.format.name,
            video_codec=context.codec.canonical_name,
            pixel_format=frame.format.name,
            width=frame.width,
            height=frame.height,
            display_width=shown[0],
            display_height=shown[1],
            rotation_degrees=rotation,
            pixel_aspect=aspect,
            fps=float(rate) if rate else None,
            duration_seconds=_duration(container, stream),
            frame_count=stream.frames or None,
            time_base_numerator=stream.time_base.numerator,
            time_base_denominator=stream.time_base.denominator,
            audio_codec=audio.codec_context.codec.canonical_name if audio and audio.codec_context else None,
            audio_channels=audio.codec_context.channels if audio and audio.codec_context else None,
            audio_sample_rate=audio.codec_context.sample_rate if audio and audio.codec_context else None,
        )


def first_frame_seconds(path: str) -> float:
    """The time of the first frame by the container's clock. All times of a video count from it.

    Raises as `probe`.
    """
    with open_video(path) as container:
        stream = video_stream(container, path)
        frame = _first_frame(container, stream, path)
        assert stream.time_base is not None
        ticks = frame.pts if frame.pts is not None else frame.dts
        return float((ticks or 0) * stream.time_base)


def open_video(path: str) -> av.container.InputContainer:
    """Opens a file for reading, as a file and nothing else: no URL, no playlist that names other files.

    The caller closes it (`with`). Raises as `probe`.
    """
    path = os.fspath(path)
    with open(path, "rb"):  # raises the system's own errors: missing, not allowed, a folder
        pass
    try:
        # "file:" keeps a name with a colon in it from being read as a protocol.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise UnreadableVideo(f"{_reason(path)} FFmpeg: {_ffmpeg_text(path, error)}") from error
    what = _NOT_VIDEOS.get(container.format.name)
    if what:
        name = container.format.name
        container.close()
        raise UnreadableVideo(f"this is {what}, not a video: leave it out. FFmpeg: format {name}")
    return container


def video_stream(container: av.container.InputContainer, path: str) -> av.VideoStream:
    """Chooses the stream that players show: the first one marked as default, else FFmpeg's best one.

    Among several defaults FFmpeg chooses the largest, which differs from what OpenCV and players open.
    Raises UnreadableVideo for sound alone, a still picture, or a codec that FFmpeg cannot decode.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    listed = ", ".join(f"{s.type} {s.codec_context.name if s.codec_context else 'unknown'}" for s in container.streams)
    quote = f"FFmpeg: format {container.format.name}, streams: {listed or 'none'}"
    if not container.streams:
        raise UnreadableVideo(f"there is nothing to play in it. Probably {_reason(path)} {quote}")
    if not streams:
        kinds = _non_video_kinds(container)
        raise UnreadableVideo(f"there is no video stream in it, only {kinds}: leave it out. {quote}")
    best = container.streams.best("video")
    default = next((s for s in streams if s.disposition & Disposition.default), None)
    stream = default or (best if best in streams else streams[0])
    assert isinstance(stream, av.VideoStream)
    is_picture = container.format.name.endswith("_pipe") or container.format.name == "image2"
    if is_picture or container.metadata.get("major_brand", "").strip() in _PICTURE_BRANDS:
        raise UnreadableVideo(f"this is a single still picture, not a video: leave it out. {quote}")
    if stream.codec_context is None:
        raise UnreadableVideo(f"FFmpeg has no decoder for its video stream: convert it to H.264 first. {quote}")
    return stream


def _non_video_kinds(container: av.container.InputContainer) -> str:
    kinds = {s.type for s in container.streams if s.type != "video"}
    return " and ".join(sorted(kinds)) or "an attached picture"


def _first_frame(container: av.container.InputContainer, stream: av.VideoStream, path: str) -> av.VideoFrame:
    last_error: av.error.FFmpegError | None = None
    packets = container.demux(stream)
    for _ in range(_PACKETS_TO_FIRST_FRAME):
        try:
            packet = next(packets, None)
            if packet is None:
                break
            for frame in packet.decode():
                return frame  # type: ignore[return-value]
        except av.error.FFmpegError as error:
            last_error = error
    raise no_frame(container, last_error)


def no_frame(container: av.container.InputContainer, last_error: av.error.FFmpegError | None) -> UnreadableVideo:
    """The error for a file with a good header of which no frame decodes. last_error: raised while decoding."""
    text = str(last_error) if last_error else "the stream ended without a frame"
    return UnreadableVideo(
        f"its header is good ({container.format.name}) but not one frame can be decoded: the download is probably "
        f"cut short or damaged, fetch it again. FFmpeg: {text}"
    )


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    if stream.duration is not None and stream.duration > 0 and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and container.duration > 0:
        return float(Fraction(container.duration, av.time_base))
    return None


def _reason(path: str) -> str:
    """Explains from a file's bytes why FFmpeg could not open it, and what to do."""
    size = os.path.getsize(path)
    if size == 0:
        return "the file is empty (0 bytes): fetch it again."
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[4:8] in {b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov"}:
        end = _end_of_moov(path)
        if end is None:
            return (
                f"its index (the moov box of an MP4) is missing, {size:,} bytes are there: the download or recording "
                "was cut off, fetch it again."
            )
        if end > size:
            return f"its index (the moov box) is cut short at {size:,} of {end:,} bytes: fetch it again."
        return "its index (the moov box of an MP4) is damaged: fetch it again."
    if _is_text(head):
        return "this is a text file, not a video: leave it out (a download may have stored an error page)."
    return "FFmpeg does not recognise it as a video: it is another kind of file or its start is damaged."


def _end_of_moov(path: str) -> int | None:
    """The byte at which the moov box should end, from walking the top-level boxes; None without a moov box."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if header[4:8] == b"moov":
                return at + length
            if length < 8:  # 0: the box runs to the end of the file
                return None
            at += length
    return None


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head[: max(1, len(head) - 3)].decode("utf-8")  # the cut may fall within a character
    except UnicodeDecodeError:
        return False
    return True


def _ffmpeg_text(path: str, error: av.error.FFmpegError) -> str:
    """FFmpeg's error with the lines it logged. The file is opened once more with the log on, which is off otherwise."""
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    lines: list[str] = []
    try:
        with av.logging.Capture() as logged, av.open(f"file:{path}", options={"protocol_whitelist": "file"}):
            pass
    except av.error.FFmpegError:
        lines = [text.strip() for _, _, text in logged]
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])
    return "; ".join([error.strerror or str(error), *dict.fromkeys(line for line in lines if line)])
