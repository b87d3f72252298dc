"""Whether browsers play a video file as it is."""

from __future__ import annotations

# FFmpeg's name of a container begins with the first; the type under which browsers take it.
_CONTAINERS = {"mov,mp4": "video/mp4", "matroska,webm": "video/webm"}
_PICTURES = {"video/mp4": frozenset(("h264", "av1", "vp9")), "video/webm": frozenset(("vp8", "vp9", "av1"))}
_SOUND = {
    "video/mp4": frozenset(("aac", "mp3", "opus", "flac")),
    "video/webm": frozenset(("opus", "vorbis")),
}
_PIXELS_OF_H264 = frozenset(("yuv420p", "yuvj420p"))
# Streams that need no decoding to be put into MP4.
COPIED_PICTURES = frozenset(("h264", "av1", "vp9"))
COPIED_SOUND = frozenset(("aac", "mp3", "opus"))


def media_type(
    container: str | None, video_codec: str | None, pixel_format: str | None, audio_codec: str | None
) -> str | None:
    """Returns the type under which browsers play the file; None where not all of them would.

    container, video_codec, pixel_format, audio_codec: FFmpeg's names; audio_codec None: without sound.
    """
    kind = next((kind for name, kind in _CONTAINERS.items() if (container or "").startswith(name)), None)
    if kind is None or video_codec not in _PICTURES[kind]:
        return None
    if audio_codec is not None and audio_codec not in _SOUND[kind]:
        return None
    if video_codec == "h264" and pixel_format not in _PIXELS_OF_H264:
        return None
    return kind


def can_be_copied(video_codec: str | None, pixel_format: str | None, audio_codec: str | None) -> bool:
    """Whether the streams play in browsers once they are in another container."""
    if video_codec == "h264" and pixel_format not in _PIXELS_OF_H264:
        return False
    return video_codec in COPIED_PICTURES and (audio_codec is None or audio_codec in COPIED_SOUND)
