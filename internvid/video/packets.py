"""Hashes a video's pictures as they are encoded: the hash is the same in MP4, Matroska, MPEG-TS and AVI.

Putting a video into another container copies its packets, so the hash finds such copies without decoding a frame.
A re-encoded video has other packets: for that see `fingerprint`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import av
import av.error

from internvid.video.probe import open_video, video_stream

_START_CODE = b"\x00\x00\x01"
_AV1_TEMPORAL_DELIMITER = b"\x12\x00"  # precedes each picture in a stream, and is left out in MP4 and Matroska
_HEVC_SLICES_END = 32  # NAL unit types below this one hold pictures


def packets_digest(path: str) -> str | None:
    """Hashes the payloads of the video's packets, in the order they are decoded: 32 hex digits.

    Of H.264 and HEVC only slices count, each by itself: containers differ in whether a start code or a length stands
    before them, and in where parameter sets and delimiters are. A damaged file is hashed as far as it can be read.
    Returns None for a video without packets. Raises as `internvid.video.probe.probe`.
    """
    hashed = hashlib.md5(usedforsecurity=False)
    count = 0
    with open_video(path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        codec = context.codec.canonical_name
        length_bytes = _length_bytes(codec, context.extradata or b"")
        packets = container.demux(stream)
        while (payload := _next_payload(packets)) is not None:
            for part in _parts(codec, payload, length_bytes):
                hashed.update(len(part).to_bytes(4, "big"))
                hashed.update(part)
                count += 1
    return hashed.hexdigest() if count else None


def _next_payload(packets: Iterator[av.Packet]) -> bytes | None:
    """The next packet's payload; None at the end, or where a damaged file gives no further packet."""
    try:
        packet = next(packets, None)
    except av.error.FFmpegError:
        return None  # what comes after it cannot be decoded either, and `scan` counts that
    return None if packet is None else bytes(packet)


def _length_bytes(codec: str, extradata: bytes) -> int | None:
    """Bytes that state a NAL unit's length, from the configuration record; None where start codes divide the units."""
    if codec == "h264" and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    if codec == "hevc" and len(extradata) > 21 and not extradata.startswith((_START_CODE, b"\x00" + _START_CODE)):
        return (extradata[21] & 3) + 1
    return None


def _parts(codec: str, payload: bytes, length_bytes: int | None) -> Iterator[bytes]:
    if codec == "h264":
        yield from (unit for unit in _nal_units(payload, length_bytes) if 1 <= unit[0] & 31 <= 5)
    elif codec == "hevc":
        yield from (unit for unit in _nal_units(payload, length_bytes) if unit[0] >> 1 & 63 < _HEVC_SLICES_END)
    elif codec == "av1":
        yield from filter(None, [payload.removeprefix(_AV1_TEMPORAL_DELIMITER)])
    elif payload:  # a packet without payload ends the stream
        yield payload


def _nal_units(payload: bytes, length_bytes: int | None) -> Iterator[bytes]:
    """Yields the NAL units of a packet, without empty ones."""
    if length_bytes is None:
        # A unit cannot contain a start code, nor end with a zero: that belongs to the next start code.
        units = (unit.rstrip(b"\x00") for unit in payload.split(_START_CODE))
        yield from filter(None, units)
        return
    at = 0
    while at + length_bytes < len(payload):
        begin = at + length_bytes
        at = begin + int.from_bytes(payload[at:begin], "big")
        if begin < at:
            yield payload[begin:at]
