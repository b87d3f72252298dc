"""Reads what a video file is from its header and its first decodable frame.

Belongs here: opening a file safely, choosing its video stream, and explaining why a file is no video.
Does not belong here: decoding the whole video (`scan`).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.container
import av.error
import av.logging
from av.stream import Disposition

from internvid.video.colour import has_alpha, is_hdr, transfer_name
from internvid.video.file_kinds import is_animated_webp
from internvid.video.formats import VIDEO_DECODERS, open_options
from internvid.video.pictures import rotation_degrees

_SUBTITLES = {"webvtt", "srt", "ass"}  # demuxers
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"[playlist]")  # how files begin that name other files
_PICTURE_BRANDS = {"heic", "heix", "mif1", "avif"}  # ISO base media files that hold one photograph
# Sound that is not the video's own: somebody speaks about it, describes it, or only music and effects are left.
_BESIDE_THE_SOUND = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.karaoke
    | Disposition.lyrics
    | Disposition.clean_effects
    | Disposition.non_diegetic
    | Disposition.dependent
)
_BESIDE_TITLE = re.compile(
    r"comment(?:ary|aire|ato)|kommentar|comentario|descri(?:ption|ptive|bed|pci|zione)|audiodeskription|"
    r"h[öo]rfassung|\bAD\b|karaoke|instrumental|music (?:and|&) effects|\bM&E\b",
    re.IGNORECASE,
)
_DUB_TITLE = re.compile(
    r"\bdub(?:s|bed|bing)?\b|synchron|doppiat|doblad|doubl[ée]|voice-?over|翻译|吹き替え|더빙", re.IGNORECASE
)
_ORIGINAL_TITLE = re.compile(r"\borigin(?:al|ale|ais)\b|\bO-?Ton\b|\bVOS?T?\b|原声|原音|オリジナル", re.IGNORECASE)
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_PACKETS_TO_FIRST_FRAME = 500  # a decodable file gives one within a group of pictures, rarely beyond 300 frames


class UnreadableVideo(ValueError):
    """The file holds no readable video. The message says what is wrong and what to do, then quotes FFmpeg."""


@dataclass(frozen=True)
class Probe:
    """Properties of a video file, in the names and units of the table raw_videos.

    width, height: coded pixels. display_*: pixels after pixel aspect and rotation. rotation_degrees: clockwise turn
    that shows it upright. pixel_aspect: width of a pixel over its height. color_transfer: FFmpeg's name of the curve
    between light and code, None where the video states none. declared_seconds: None where the header states none.
    audio_*: of the stream that `sound_stream` chooses, None without sound.
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
    bit_depth: int
    color_transfer: str | None
    is_hdr: bool
    is_interlaced: bool
    has_alpha: bool
    declared_seconds: float | None
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
        audio = sound_stream(container)
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
            bit_depth=max(component.bits for component in frame.format.components),
            color_transfer=transfer_name(frame),
            is_hdr=is_hdr(frame),
            is_interlaced=frame.interlaced_frame,
            has_alpha=has_alpha(frame),
            declared_seconds=declared_seconds(container, stream),
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
    with open(path, "rb") as file:  # raises the system's own errors: missing, not allowed, a folder
        head = file.read(32)
    if is_animated_webp(head):
        return _open_animation(path)
    try:
        container = _opened(path, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise UnreadableVideo(f"{_reason(path)} FFmpeg: {_ffmpeg_text(path, error)}") from error
    if container.format.name in _SUBTITLES:
        name = container.format.name
        container.close()
        raise UnreadableVideo(f"this is a subtitle file, not a video: leave it out. FFmpeg: format {name}")
    return container


def _opened(path: str, **options: Any) -> av.container.InputContainer:
    # "file:" keeps a name with a colon in it from being read as a protocol.
    return av.open(f"file:{path}", options=open_options(), **options)


def _open_animation(path: str) -> av.container.InputContainer:
    from internvid.video.animations import video_of_webp

    try:
        return av.open(video_of_webp(path), "r", format="nut")
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise UnreadableVideo(f"the animation is damaged: fetch it again. {error}") from error


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
    if stream.codec_context is not None and stream.codec_context.name not in VIDEO_DECODERS:
        raise UnreadableVideo(
            f"video is not made with {stream.codec_context.name}, or hardly ever, and its decoder is not trusted: "
            f"convert it to H.264 first. {quote}"
        )
    if stream.codec_context is None:
        raise UnreadableVideo(f"FFmpeg has no decoder for its video stream: convert it to H.264 first. {quote}")
    return stream


def decoder_of(stream: av.VideoStream) -> av.VideoCodecContext:
    """The decoder of a stream: of VP8 and VP9 with transparency libvpx's, as FFmpeg's own leaves that out."""
    name = _WITH_ALPHA.get(stream.codec_context.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    context = av.CodecContext.create(name, "r")
    assert isinstance(context, av.VideoCodecContext)
    return context


def sound_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """Chooses the sound that was made with the picture, rather than a dub, a commentary or a description.

    Dispositions and titles tell first; then the language: a stream without words comes last, and one in the picture's
    language or in "the original one" (qaa, as broadcasters tag it) before others. Then the default stream, and the
    first. Returns None without sound that can be decoded.
    """
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    picture = next((s.language for s in container.streams.video if s.language), None)
    return min(streams, key=lambda stream: _sound_rank(stream, picture), default=None)


def _sound_rank(stream: av.AudioStream, picture_language: str | None) -> tuple[bool | int, ...]:
    """Returns a sort key, lowest first."""
    flags, language = stream.disposition, (stream.language or "und").lower()
    title = " ".join(stream.metadata.get(name, "") for name in ("title", "handler_name", "comment"))
    beside = bool(flags & _BESIDE_THE_SOUND) or bool(_BESIDE_TITLE.search(title))
    is_original = bool(flags & Disposition.original) or language == "qaa" or bool(_ORIGINAL_TITLE.search(title))
    is_dub = bool(flags & Disposition.dub) or bool(_DUB_TITLE.search(title))
    is_of_picture = picture_language not in (None, "und") and language == picture_language
    is_default = bool(flags & Disposition.default)
    return beside, language == "zxx", not is_original, is_dub, not is_of_picture, not is_default, stream.index


def _non_video_kinds(container: av.container.InputContainer) -> str:
    kinds = {s.type for s in container.streams if s.type != "video"}
    return " and ".join(sorted(kinds)) or "an attached picture"


def _first_frame(container: av.container.InputContainer, stream: av.VideoStream, path: str) -> av.VideoFrame:
    last_error: av.error.FFmpegError | None = None
    packets, decoder = container.demux(stream), decoder_of(stream)
    for _ in range(_PACKETS_TO_FIRST_FRAME):
        try:
            packet = next(packets, None)
            if packet is None:
                break
            for frame in decoder.decode(packet):
                return frame
        except av.error.FFmpegError as error:
            last_error = error
    raise no_frame(container, last_error)


def no_frame(container: av.container.InputContainer, last_error: Exception | None) -> UnreadableVideo:
    """The error for a file with a good header of which no frame decodes. last_error: raised while decoding."""
    text = str(last_error) if last_error else "the stream ended without a frame"
    return UnreadableVideo(
        f"its header is good ({container.format.name}) but not one frame can be decoded: the download is probably "
        f"cut short or damaged, fetch it again. FFmpeg: {text}"
    )


def declared_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """The seconds that the video lasts by its header: those of its stream, else of the file. None without either."""
    if stream.duration is not None and stream.duration > 0 and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if (tagged := _tagged_seconds(stream.metadata.get("DURATION", ""))) is not None:
        return tagged
    if container.duration is not None and container.duration > 0:
        return float(Fraction(container.duration, av.time_base))
    return None


def _tagged_seconds(text: str) -> float | None:
    """Parses a stream's duration as Matroska's writers tag it: 00:01:02.345000000."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
    seconds = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3]) if match else 0.0
    return seconds or None


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
    if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(_PLAYLISTS):
        return "this is a playlist or another list of files, not a video: leave it out."
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
        with av.logging.Capture() as logged, _opened(path):
            pass
    except av.error.FFmpegError:
        lines = [text.strip() for _, _, text in logged]
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])
    # The line would be followed by the list.
    lines = ["a form that is not read from strangers" if "not on whitelist" in line else line for line in lines]
    return "; ".join([error.strerror or str(error), *dict.fromkeys(line for line in lines if line)])
