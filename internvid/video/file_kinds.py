"""Tells by a file's name and first bytes whether it can be a video, before anything is opened with FFmpeg.

A suffix that only videos have is believed: such a file that is none is a failure, which the probe explains. Where
another kind of file has the suffix too (`.ts` is TypeScript), or only some files of a kind move (`.gif`), the bytes
decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path, PurePath

HEAD_BYTES = 65_536

_SURE = frozenset(
    f".{suffix}"
    for suffix in (
        *("3g2", "3gp", "3gp2", "3gpp", "asf", "avi", "divx", "f4v", "flv", "m2ts", "m2v", "m4v", "mk3d", "mkv", "mov"),
        *("mp4", "mpe", "mpeg", "mpg", "mxf", "ogm", "ogv", "qt", "vob", "webm", "wmv"),
    )
)
_UNFINISHED = re.compile(
    r"\.(?:part(?:-frag\d+)?(?:\.part)?|ytdl|crdownload|download|partial|incomplete|opdownload|aria2|!ut|!qb|bc!|td|tmp|temp)$",
    re.IGNORECASE,
)
# What yt-dlp names the parts of a video before it joins them (x.f137.mp4), and what it is writing (x.temp.mp4).
_PART = re.compile(
    r"(?P<whole>.+)\.(?:f(?:\d[\w-]*|(?:hls|dash|http)[\w-]*)|temp|tmp|part|partial|incomplete)", re.IGNORECASE
)
_TEMPORARY = re.compile(r".+\.(?:temp|tmp|part|partial|incomplete)", re.IGNORECASE)
_FETCHED_PART = re.compile(r"f(?:\d|hls|dash|http)")

_TS_PACKETS = (188, 192, 204)  # bytes: plain, of Blu-ray and cameras, with error correction
_WTV = bytes.fromhex("b7d800203749da11a64e0007e95ead8d")
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def is_video_name(name: str) -> bool:
    """Says whether a file of that name may be a video."""
    return not name.startswith(".") and PurePath(name).suffix.lower() in SUFFIXES


def why_left_over(name: str, names_beside: Collection[str]) -> str | None:
    """Returns why a file is what a download or a system left beside others; None where it is not.

    names_beside: names of the files in its folder; a set.
    """
    if name.startswith("._"):
        return "macOS keeps a file's attributes in it"
    if name.startswith("."):
        return "a hidden file"
    if _UNFINISHED.search(name):
        return "an unfinished download"
    path = PurePath(name)
    match = _PART.fullmatch(path.stem)
    if match is None or path.suffix.lower() not in SUFFIXES:
        return None
    whole = match["whole"]
    if any(f"{whole}{suffix}" in names_beside for suffix in _whole_suffixes(path.suffix)):
        return f"a part of {whole} that its download left over"
    is_temporary = _TEMPORARY.fullmatch(path.stem) is not None
    prefix = f"{whole}."
    if is_temporary and any(
        name.startswith(prefix) and _FETCHED_PART.match(name[len(prefix) :]) for name in names_beside
    ):
        return f"what a download of {whole} was writing"
    return None


def _whole_suffixes(suffix: str) -> set[str]:
    return {suffix, suffix.lower(), ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".flv", ".avi"}


def why_no_video(path: Path) -> str | None:
    """Returns why the file is no video, by its suffix and, where needed, its first bytes; None if it may be one.

    Raises OSError as the system does.
    """
    suffix = path.suffix.lower()
    if suffix in _SURE:
        return None
    is_video = _BY_BYTES.get(suffix)
    if is_video is None:
        return "the suffix of no video"
    if suffix == ".gif":
        return None if _is_animated_gif(path) else "a picture that does not move"
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_video(head) or _is_container(head):
        return None
    if not head:
        return "it is empty"
    if suffix == ".webp":
        return "a picture that does not move"
    return "text, not a video" if _is_text(head) else "its first bytes are of no video"


def is_animated_webp(head: bytes) -> bool:
    """Says whether a file that begins so is a WebP with several pictures."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)


def _is_container(head: bytes) -> bool:
    """Says whether the bytes begin a container of video, whatever the file is called."""
    return (
        head[4:8] in _MOV_BOXES
        or head[:4] in (b"\x1aE\xdf\xa3", b"OggS", b".RMF", b"FLV\x01")
        or (head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"CDXA"))
        or head[:16] in (_ASF, _WTV)
        or _is_mpeg(head)
        or _is_transport_stream(head)
    )


def _is_mpeg(head: bytes) -> bool:
    """Says whether the bytes begin a program stream or a sequence of MPEG-1 or 2."""
    return head.lstrip(b"\0")[:2] in (b"\x01\xba", b"\x01\xb3") and head[:2] == b"\0\0"


def _is_transport_stream(head: bytes) -> bool:
    """Says whether packets follow each other, after what a cut recording begins with."""
    for length in _TS_PACKETS:
        wanted = min(8, len(head) // length)
        for start in range(min(4 * length, len(head))) if wanted else ():
            if head[start] == 0x47 and all(
                head[at] == 0x47 for at in range(start, min(len(head), start + wanted * length), length)
            ):
                return wanted > 1 or length == len(head)
    return False


def _is_annex_b(head: bytes) -> bool:
    """Says whether the bytes begin with a start code, as streams of H.264 and HEVC without a container do."""
    body = head.lstrip(b"\0")
    return body[:1] == b"\x01" and 2 <= len(head) - len(body) <= 64


def _is_animated_gif(path: Path) -> bool:
    """Walks the blocks of a GIF up to its second picture."""
    with path.open("rb") as file:
        head = file.read(13)
        if head[:6] not in (b"GIF87a", b"GIF89a") or len(head) < 13:
            return False
        if head[10] & 0x80:
            file.seek(3 * (2 << (head[10] & 7)), 1)
        pictures = 0
        while block := file.read(1):
            if block == b",":
                pictures += 1
                if pictures == 2:
                    return True
                descriptor = file.read(9)
                if len(descriptor) < 9:
                    return False
                if descriptor[8] & 0x80:
                    file.seek(3 * (2 << (descriptor[8] & 7)), 1)
                file.seek(1, 1)
            elif block == b"!":
                file.seek(1, 1)
            else:
                return False
            while length := file.read(1):
                if length == b"\0":
                    break
                file.seek(length[0], 1)
    return False


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head[: max(1, len(head) - 3)].decode("utf-8")  # the cut may fall within a character
    except UnicodeDecodeError:
        return False
    return True


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks)


_BY_BYTES: dict[str, Callable[[bytes], bool]] = {
    **dict.fromkeys((".ts", ".mts", ".m2t", ".tp", ".trp", ".tod"), _is_transport_stream),
    **dict.fromkeys((".h264", ".264", ".avc", ".hevc", ".h265", ".265", ".h266", ".266", ".vvc"), _is_annex_b),
    **dict.fromkeys((".mod", ".dat", ".vro", ".m1v", ".mpv", ".dvr-ms", ".wtv"), _is_container),
    **dict.fromkeys((".rm", ".rmvb"), _begins(b".RMF")),
    **dict.fromkeys((".mjpeg", ".mjpg"), _begins(b"\xff\xd8\xff")),
    **dict.fromkeys((".obu", ".av1"), _begins(b"\x12\x00", b"DKIF")),
    **dict.fromkeys((".dv", ".dif"), _begins(b"\x1f\x07\x00")),
    ".y4m": _begins(b"YUV4MPEG2 "),
    ".ivf": _begins(b"DKIF"),
    ".nut": _begins(b"nut/multimedia container"),
    ".webp": is_animated_webp,
    ".gif": _begins(b"GIF8"),
}
SUFFIXES = frozenset((*_SURE, *_BY_BYTES))
