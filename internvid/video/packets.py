"""Reads a video's pictures as they are encoded, once and without decoding one: their hash, and how long they last.

The hash is the same in MP4, Matroska, MPEG-TS and AVI: putting a video into another container copies its packets, so it
finds such copies. A re-encoded video has other packets: for that see `fingerprint`.

The length is that of the packets that are there and hold a picture. A header says what was to be written: of a file
that was cut short it tells minutes that nobody can see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
import av.container
import av.error

from internvid.video.demuxing import packets_or_error
from internvid.video.probe import declared_seconds, open_video, video_stream

_START_CODE = b"\x00\x00\x01"
_AV1_TEMPORAL_DELIMITER = b"\x12\x00"  # precedes each picture in a stream, and is left out in MP4 and Matroska
_HEVC_SLICES_END = 32  # NAL unit types below this one hold pictures
_VP8_IS_SHOWN = 0x10  # bit of a picture's first byte; the others are only referred to

# A video falls short of its header where it lacks more than both: writers round, and leave out a last picture.
MIN_SHARE_OF_HEADER = 0.95
MAX_SECONDS_SHORT = 0.5

# Ticks that a clock may run back before it counts as another clock, in usual steps; `scan` has the same.
_STEPS_BACK = 4
_DEFAULT_RATE = 25
_MAX_STATED_RATE = 250  # no camera's; a higher one is the container's clock
_PACKETS_FOR_RATE = 120
# A file is looked at for its end so far before the end that its header states.
_END_SHARE = 0.9


@dataclass(frozen=True)
class Packets:
    """What the packets of a video are.

    digest: hash of its pictures as encoded, 32 hex digits; None without packets. duration_seconds: from the first
    picture to the end of the last; where the clock starts again, as in joined files, the parts follow each other.
    frame_count: number of pictures. fps: pictures per second of that time; None for a single picture. short_of_header:
    whether the file ends before its header says.
    """

    digest: str | None
    duration_seconds: float
    frame_count: int
    fps: float | None
    short_of_header: bool


def falls_short(seconds: float, header_seconds: float | None) -> bool:
    """Whether a video of this length falls short of a header's. header_seconds: None where there is none."""
    if header_seconds is None:
        return False
    return seconds < MIN_SHARE_OF_HEADER * header_seconds and header_seconds - seconds > MAX_SECONDS_SHORT


def read_packets(path: str) -> Packets:
    """Reads all packets of the video.

    Of H.264 and HEVC only slices are hashed, each by itself: containers differ in whether a start code or a length
    stands before them, and in where parameter sets and delimiters are. A damaged file is read as far as it can be.
    Raises as `internvid.video.probe.probe`.
    """
    hashed = hashlib.md5(usedforsecurity=False)
    parts = 0
    with open_video(path) as container:
        stream = video_stream(container, path)
        header_seconds, is_of_stream = declared_seconds(container, stream), bool(stream.duration)
        context = stream.codec_context
        codec = context.codec.canonical_name
        length_bytes = _length_bytes(codec, context.extradata or b"")
        clock = _Clock(stream)
        sounds: dict[int, _Clock] = {}  # sound: where only the file's length is declared, it may outlast the pictures
        for packet in _packets(container, [stream] if is_of_stream else [stream, *container.streams.audio]):
            if packet.stream_index != stream.index:
                sounds.setdefault(packet.stream_index, _Clock(packet.stream)).add(packet, is_shown=True)
                continue
            payload = bytes(packet)
            pictures = 0
            for part in _parts(codec, payload, length_bytes):
                hashed.update(len(part).to_bytes(4, "big"))
                hashed.update(part)
                pictures += 1
            parts += pictures
            if pictures and not packet.is_discard and _is_whole(payload, length_bytes):
                clock.add(packet, is_shown=codec != "vp8" or bool(payload[0] & _VP8_IS_SHOWN))
        seconds = clock.seconds
        reached = max([seconds, *(sound.end_seconds - clock.start_seconds for sound in sounds.values() if sound.count)])
        return Packets(
            digest=hashed.hexdigest() if parts else None,
            duration_seconds=seconds,
            frame_count=clock.count,
            fps=clock.rate,
            short_of_header=falls_short(reached, header_seconds),
        )


def quick_seconds(path: str) -> float:
    """The video's length for planning, without reading the file where its header is right.

    Looks for packets near the end that the header states; only where there are none, or it states none, all packets are
    read. Raises as `internvid.video.probe.probe`.
    """
    with open_video(path) as container:
        stream = video_stream(container, path)
        header_seconds = declared_seconds(container, stream)
        if header_seconds is not None and _reaches(container, stream, _END_SHARE * header_seconds):
            return header_seconds
    packets = read_packets(path)
    return packets.duration_seconds if header_seconds is None or packets.short_of_header else header_seconds


def _reaches(container: av.container.InputContainer, stream: av.VideoStream, seconds: float) -> bool:
    """Whether a packet of this time, counted from the stream's start, can be read."""
    assert stream.time_base is not None
    ticks = (stream.start_time or 0) + int(seconds / stream.time_base)
    try:
        container.seek(ticks, stream=stream)
    except av.error.FFmpegError:
        return False
    # From the key frame before it on: of a short file that is the first one.
    packets = _packets(container, [stream])
    return any((packet.pts or packet.dts or 0) >= ticks and bytes(packet).strip(b"\0") for packet in packets)


def usual_rate(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction:
    """Pictures per second, about. FLV and ASF may state 1000 or nothing: then the first packets tell.

    The container is not read: where packets have to be, the file is opened once more.
    """
    stated = next((rate for rate in (stream.average_rate, stream.guessed_rate) if rate), None)
    if stated is not None and 1 <= stated <= _MAX_STATED_RATE:
        return stated
    path = container.name.removeprefix("file:")
    with open_video(path) as again:
        stream = video_stream(again, path)
        clock = _Clock(stream)
        for packet in islice(_packets(again, [stream]), _PACKETS_FOR_RATE):
            clock.add(packet, is_shown=True)
    rate = Fraction(clock.rate or _DEFAULT_RATE).limit_denominator(1001)
    return max(rate, Fraction(1, 1001))  # a damaged file's clock may be years ahead


class _Clock:
    """Measures the time of a stream's packets, which come in the order of decoding."""

    def __init__(self, stream: av.VideoStream | av.AudioStream) -> None:
        assert stream.time_base is not None
        self._time_base = stream.time_base
        rate = getattr(stream, "guessed_rate", None) or _DEFAULT_RATE
        self._step = max(1, round(1 / (rate * stream.time_base)))
        self._shift = 0
        self._last_dts: int | None = None
        self._first = self._last = self._end = 0
        self.count = 0

    def add(self, packet: av.Packet, *, is_shown: bool) -> None:
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None:
            pts = self._end - self._shift
        dts = pts if packet.dts is None else packet.dts
        if self._last_dts is not None and self._last_dts - dts >= _STEPS_BACK * self._step + abs(pts - dts):
            self._shift = self._end - pts  # another clock: the parts follow each other
        self._last_dts = dts
        if not is_shown:
            return
        shown = pts + self._shift
        if packet.duration:
            self._step = packet.duration
        if self.count == 0:
            self._first = self._last = self._end = shown
        self._first, self._last = min(self._first, shown), max(self._last, shown)
        self._end = max(self._end, shown + (packet.duration or 0))
        self.count += 1

    @property
    def start_seconds(self) -> float:
        return float(self._first * self._time_base)

    @property
    def end_seconds(self) -> float:
        """The end of the last packet; where packets state no duration it lasts as long as the others do."""
        lasts = 0 if self._end > self._last or self.count < 2 else (self._last - self._first) / (self.count - 1)
        return float((self._end + lasts) * self._time_base)

    @property
    def seconds(self) -> float:
        return self.end_seconds - self.start_seconds

    @property
    def rate(self) -> float | None:
        """Pictures per second, from the first one to the last."""
        ticks = self._last - self._first
        return float((self.count - 1) / (ticks * self._time_base)) if ticks else None


def _packets(
    container: av.container.InputContainer, streams: list[av.VideoStream | av.AudioStream]
) -> Iterator[av.Packet]:
    """Yields the packets that hold something, up to the end, or to where a damaged file gives no further one."""
    for packet in packets_or_error(container, streams):
        if isinstance(packet, Exception):
            return  # what comes after it cannot be decoded either, and `scan` counts that
        if packet.size:
            yield packet


def _is_whole(payload: bytes, length_bytes: int | None) -> bool:
    """Whether the lengths that a packet states end where it ends: in a file that was not written to its end, or whose
    bytes are others, they do not."""
    if length_bytes is None:
        return True
    at = 0
    while at + length_bytes <= len(payload):
        at += length_bytes + int.from_bytes(payload[at : at + length_bytes], "big")
    return at == len(payload)


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
        yield from (part for part in [payload.removeprefix(_AV1_TEMPORAL_DELIMITER)] if part.count(0) < len(part))
    elif payload.count(0) < len(payload):  # space that was reserved and never written is all zeros
        yield payload


def is_referred_to(payload: bytes | memoryview, extradata: bytes) -> tuple[bool, bool]:
    """Of a packet of H.264: whether other frames may refer to its frame, and whether decoding can start at it.

    extradata: of the stream.
    """
    slices = [part[0] for part in _parts("h264", bytes(payload), _length_bytes("h264", extradata))]
    return any(head >> 5 & 3 for head in slices) or not slices, any(head & 31 == 5 for head in slices)


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
