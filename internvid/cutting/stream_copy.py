"""Copies clips out of a video without decoding: from the key frame at or before the clip's first frame.

Nothing is encoded, so nothing is lost and little time is spent; but a file begins where a decoder can begin. What it
really shows is in its record. Rotation and pixel aspect stay with the player.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

import av
import av.container
import av.error

from internvid.cutting.clips import CannotCut, ClipFile, Cut, measured, packets_in
from internvid.video.probe import open_video, sound_stream, video_stream

# What players of MP4 read; other codecs go into Matroska.
MP4_VIDEO = frozenset(("h264", "hevc", "av1", "vp9", "mpeg4"))
MP4_AUDIO = frozenset(("aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"))
MUXERS = {
    "mp4": ("mp4", {"fflags": "+bitexact", "movflags": "+faststart"}),
    "mkv": ("matroska", {"fflags": "+bitexact"}),
}


def copy_clips(path: str, cuts: Sequence[Cut], folder: Path) -> Iterator[ClipFile | CannotCut]:
    """Copies the clips into the folder; yields a result for each, in their order.

    Raises as `internvid.video.probe.probe`, and OSError where a file cannot be written.
    """
    for cut in cuts:
        try:
            yield _copied(path, cut, folder)
        except CannotCut as error:
            yield error


def _copied(path: str, cut: Cut, folder: Path) -> ClipFile:
    with open_video(path) as container:
        stream = video_stream(container, path)
        sound = sound_stream(container)
        time_base = stream.time_base
        assert time_base is not None
        key_pts, is_sought = _key_frame(path, cut)
        if is_sought:
            container.seek(cut.start_pts, stream=stream)
        streams: list[av.VideoStream | av.AudioStream] = [stream] if sound is None else [stream, sound]
        is_mp4 = _codec(stream) in MP4_VIDEO and (sound is None or _codec(sound) in MP4_AUDIO)
        suffix = "mp4" if is_mp4 else "mkv"
        muxer, options = MUXERS[suffix]
        target = folder / f"{cut.name}.{suffix}"
        written = av.open(str(target), "w", format=muxer, options=options)
        try:
            copies = {each.index: written.add_stream_from_template(each) for each in streams}
            begin, end = key_pts * time_base, cut.end_pts * time_base
            pictures, last_end = 0, key_pts
            for packet in _packets(container, streams, begin, end):
                packet_base = packet.time_base
                if packet.stream_index == stream.index:
                    assert packet.pts is not None
                    pictures += 1
                    last_end = max(last_end, packet.pts + (packet.duration or 0))
                shift = round(begin / packet_base)
                packet.pts = None if packet.pts is None else packet.pts - shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                packet.stream = copies[packet.stream_index]
                written.mux(packet)
            written.close()
        except BaseException:
            with suppress(av.error.FFmpegError, OSError):
                written.close()
            target.unlink(missing_ok=True)
            raise
        if not pictures or packets_in(target) != pictures:
            raise OSError(f"{target} was not written as a whole")
        size, sha256 = measured(target)
        before = float((cut.start_pts - key_pts) * time_base)
        after = float(max(0, last_end - cut.end_pts) * time_base)
        return ClipFile(
            name=target.name,
            start_seconds=cut.start_seconds - before,
            end_seconds=cut.end_seconds + after,
            frames=pictures,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            video_codec=_codec(stream),
            audio_codec=None if sound is None else _codec(sound),
            why_no_sound=None,
            bytes=size,
            sha256=sha256,
        )


def _codec(stream: av.VideoStream | av.AudioStream) -> str:
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _key_frame(path: str, cut: Cut) -> tuple[int, bool]:
    """Returns the timestamp of the last key frame at or before the clip, and whether seeking leads to it."""
    with open_video(path) as container:
        stream = video_stream(container, path)
        with suppress(av.error.FFmpegError):
            container.seek(cut.start_pts, stream=stream)
            first = next(_key_frames(container, stream), None)
            if first is not None and first <= cut.start_pts:
                return first, True
    with open_video(path) as container:  # a file without an index: what it holds is read from its start
        until_clip = takewhile(lambda pts: pts <= cut.start_pts, _key_frames(container, video_stream(container, path)))
        last = max(until_clip, default=None)
    if last is None:
        raise CannotCut(f"there is no key frame at or before {cut.start_seconds:.3f} s: cut it exactly instead")
    return last, False


def _key_frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[int]:
    for packet in container.demux(stream):
        if packet.size and packet.is_keyframe and packet.pts is not None:
            yield packet.pts


def _packets(
    container: av.container.InputContainer,
    streams: Sequence[av.VideoStream | av.AudioStream],
    begin: Fraction,
    end: Fraction,
) -> Iterator[av.Packet]:
    """Yields the packets from the key frame on, up to the first picture that is decoded after the clip."""
    video = streams[0].index
    ended: set[int] = set()
    for packet in container.demux(streams):
        if not packet.size:
            continue
        is_picture = packet.stream_index == video
        if packet.pts is None:
            raise CannotCut("its packets have no times: cut it exactly instead")
        decoded_at = packet.pts if packet.dts is None else packet.dts
        if (decoded_at if is_picture else packet.pts) * packet.time_base >= end:
            ended.add(packet.stream_index)
            if len(ended) == len(streams):
                return
        elif packet.stream_index not in ended and packet.pts * packet.time_base >= begin:
            yield packet
