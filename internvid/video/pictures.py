"""From a decoded frame: the small pictures that cuts and motion are measured on, and the upright JPEG that is kept.

The small ones are taken by stride from the decoded planes, which costs 20-70 us a frame at 720p, against 700-1,000 us
for converting the whole frame (swscale, any interpolation; benchmarks/cut_and_sample.py).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation

LUMA_HEIGHT, LUMA_WIDTH = 36, 64
CHROMA_HEIGHT, CHROMA_WIDTH = 18, 32
WIDE_HEIGHT, WIDE_WIDTH = 90, 160

_PLANAR = re.compile(r"(?:yuv[aj]?4\d\dp|gray)(?:(9|10|12|14|16)le)?")
_LIMITED_TO_FULL = np.clip((np.arange(256) - 16.0) * 255 / 219 + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """luma: [36, 64] uint8, 0 black to 255 white whatever range the video uses. chroma: [18, 32, 2] uint8, 128 grey.

    Both are in coded orientation, and stretched to this shape whatever the picture's own.
    """

    luma: np.ndarray
    chroma: np.ndarray


def small_picture(frame: av.VideoFrame) -> SmallPicture:
    """The frame at 64x36, each pixel the mean of about 3x3 points. Never raises for a format: others go via swscale."""
    bits = _planar_bits(frame.format.name)
    if bits is None:
        frame = frame.reformat(width=192, height=108, format="yuv444p", interpolation=Interpolation.FAST_BILINEAR)
        bits = 8
    luma = _shrunk(frame, 0, bits, LUMA_WIDTH, LUMA_HEIGHT, points=3)
    if not is_full_range(frame):
        luma = cv2.LUT(luma, _LIMITED_TO_FULL)
    if len(frame.planes) < 3:
        chroma = np.full((CHROMA_HEIGHT, CHROMA_WIDTH, 2), 128, np.uint8)
    else:
        u = _shrunk(frame, 1, bits, CHROMA_WIDTH, CHROMA_HEIGHT, points=2)
        v = _shrunk(frame, 2, bits, CHROMA_WIDTH, CHROMA_HEIGHT, points=2)
        chroma = cv2.merge((u, v))
    return SmallPicture(luma, chroma)


def wide_luma(frame: av.VideoFrame) -> np.ndarray:
    """[90, 160] uint8 luma in coded orientation, for optical flow."""
    bits = _planar_bits(frame.format.name)
    if bits is None:
        frame = frame.reformat(width=320, height=180, format="yuv444p", interpolation=Interpolation.FAST_BILINEAR)
        bits = 8
    return _shrunk(frame, 0, bits, WIDE_WIDTH, WIDE_HEIGHT, points=2)


def colour_picture(frame: av.VideoFrame) -> np.ndarray:
    """[144, 256, 3] uint8 BGR in coded orientation: what PySceneDetect's detectors are fed."""
    bits = _planar_bits(frame.format.name)
    if bits is None:
        small = frame.reformat(width=256, height=144, format="bgr24", interpolation=Interpolation.FAST_BILINEAR)
        return small.to_ndarray()
    luma = _shrunk(frame, 0, bits, 256, 144, points=1)
    if not is_full_range(frame):
        luma = cv2.LUT(luma, _LIMITED_TO_FULL)
    if len(frame.planes) < 3:
        return cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR)
    u = _shrunk(frame, 1, bits, 256, 144, points=1)
    v = _shrunk(frame, 2, bits, 256, 144, points=1)
    return cv2.cvtColor(cv2.merge((luma, u, v)), cv2.COLOR_YUV2BGR)


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether luma runs 0-255 (JPEG range) rather than 16-235."""
    return frame.color_range == 2 or frame.format.name.startswith("yuvj")


def _planar_bits(format_name: str) -> int | None:
    """Bits per sample of a format whose planes can be strided directly, None for any other."""
    match = _PLANAR.fullmatch(format_name)
    return None if match is None else int(match.group(1) or 8)


def _shrunk(frame: av.VideoFrame, plane: int, bits: int, width: int, height: int, *, points: int) -> np.ndarray:
    """A plane at [height, width] uint8, each pixel the mean of about points x points samples of its place."""
    data = frame.planes[plane]
    rows, columns = data.height, data.width
    if bits == 8:
        whole = np.frombuffer(data, np.uint8).reshape(-1, data.line_size)
    else:
        whole = np.frombuffer(data, "<u2").reshape(-1, data.line_size // 2)
    down = max(1, rows // (height * points))
    across = max(1, columns // (width * points))
    taken = whole[down // 2 : rows : down, across // 2 : columns : across]
    if bits > 8:
        taken = (taken >> (bits - 8)).astype(np.uint8)
    return cv2.resize(np.ascontiguousarray(taken), (width, height), interpolation=cv2.INTER_AREA)


# --- how the picture is to be shown ------------------------------------------------------------------------------


def orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d), each -1, 0 or 1: the coded point (x, y) is shown at (a x + c y, b x + d y), y downwards.

    From the frame's display matrix (FFmpeg libavutil/display.h), mirrorings included; (1, 0, 0, 1) without one.
    """
    if not frame.rotation and "DISPLAYMATRIX" not in [entry.type.name for entry in frame.side_data]:
        return 1, 0, 0, 1
    for entry in frame.side_data:
        if entry.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("<9i", bytes(entry)[:36])
            if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
                return (1 if a >= 0 else -1), 0, 0, (1 if d >= 0 else -1)
            return 0, (1 if b >= 0 else -1), (1 if c >= 0 else -1), 0
    return 1, 0, 0, 1


def rotation_degrees(frame: av.VideoFrame) -> int:
    """Clockwise rotation that shows the frame upright: 0, 90, 180 or 270 (the nearest, where a file says another)."""
    return round(-frame.rotation / 90) % 4 * 90


def upright(picture: np.ndarray, shown: tuple[int, int, int, int]) -> np.ndarray:
    """A coded picture [height, width, ...] turned and mirrored as `orientation` says."""
    a, b, c, d = shown
    if a == 0:
        picture = picture.swapaxes(0, 1)
        a, d = c, b
    return np.ascontiguousarray(picture[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1])


def turned(vector: tuple[float, float], shown: tuple[int, int, int, int]) -> tuple[float, float]:
    """A movement (right, down) of the coded picture, as shares of its width and height, as it is seen when shown."""
    a, b, c, d = shown
    return a * vector[0] + c * vector[1], b * vector[0] + d * vector[1]


def upright_jpeg(
    frame: av.VideoFrame, *, short_side: int, quality: int, pixel_aspect: float
) -> tuple[bytes, int, int]:
    """(JPEG, width, height): upright, square pixels, its short side at most `short_side`, never enlarged.

    An interlaced frame is made from its first field alone, so that moving edges show no comb.
    """
    wide, high = frame.width, float(frame.height)
    if pixel_aspect >= 1:
        high /= pixel_aspect
    else:
        wide *= pixel_aspect
    scale = min(1.0, short_side / min(wide, high))
    width, height = max(1, round(wide * scale)), max(1, round(high * scale))
    if frame.interlaced_frame and frame.height >= 4:
        field = frame.reformat(format="bgr24").to_ndarray()[::2]
        picture = cv2.resize(field, (width, height), interpolation=cv2.INTER_AREA)
    else:
        resized = frame.reformat(width=width, height=height, format="bgr24", interpolation=Interpolation.AREA)
        picture = resized.to_ndarray()
    picture = upright(picture, orientation(frame))
    done, jpeg = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of {width}x{height} as JPEG")
    return jpeg.tobytes(), picture.shape[1], picture.shape[0]
