"""Copies of videos as people make them: re-encoded, resized, cropped, sped up, with a logo, turned; or in another
container, without a picture being touched.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

Change = Callable[[np.ndarray], np.ndarray]
MICROSECONDS = Fraction(1, 1_000_000)


def copied(
    source: Path,
    target: Path,
    change: Change = lambda picture: picture,
    *,
    speed: float = 1.0,
    first_second: float = 0.0,
    end_second: float = 1e9,
    crf: int = 26,
) -> Path:
    """Decodes the video and encodes it anew as H.264. change: done to each picture, [height, width, 3] RGB."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = None
        begin: float | None = None
        for frame in read.decode(video=0):
            begin = frame.time if begin is None else begin
            seconds = frame.time - begin - first_second
            if not 0 <= seconds < end_second - first_second:
                continue
            picture = np.ascontiguousarray(change(frame.to_ndarray(format="rgb24")))
            height, width = (side // 2 * 2 for side in picture.shape[:2])
            if stream is None:
                stream = written.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": str(crf)})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.time_base = MICROSECONDS
            altered = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            altered.pts, altered.time_base = round(seconds / speed / MICROSECONDS), MICROSECONDS
            written.mux(stream.encode(altered))
        assert stream is not None
        written.mux(stream.encode(None))
    return target


def remuxed(source: Path, target: Path) -> Path:
    """The same packets in the container that the target's name says."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = read.streams.video[0]
        copy = written.add_stream_from_template(stream)
        usual = round(1 / (stream.average_rate * stream.time_base))
        dts = None
        for packet in read.demux(stream):
            if packet.size == 0:
                continue
            dts = packet.dts if packet.dts is not None else (-3 * usual if dts is None else dts + usual)
            packet.dts = dts
            packet.stream = copy
            written.mux(packet)
    return target


def resized(share: float) -> Change:
    return lambda picture: cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)


def cropped(share: float) -> Change:
    """Leaves out so much of width and height, half of it on each side."""

    def crop(picture: np.ndarray) -> np.ndarray:
        top, left = (round(side * share / 2) for side in picture.shape[:2])
        return picture[top : picture.shape[0] - top, left : picture.shape[1] - left]

    return crop


def with_logo(picture: np.ndarray) -> np.ndarray:
    """A red sign with letters in the upper right corner, an eighth of the height and a sixth of the width."""
    height, width = picture.shape[:2]
    picture = picture.copy()
    top, bottom, left, right = (
        height // 20,
        height // 20 + height // 8,
        width - width // 20 - width // 6,
        width * 19 // 20,
    )
    picture[top:bottom, left:right] = (230, 30, 40)
    cv2.putText(picture, "TV", (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, height / 240, (255, 255, 255), 2)
    return picture


def mirrored(picture: np.ndarray) -> np.ndarray:
    return picture[:, ::-1]
