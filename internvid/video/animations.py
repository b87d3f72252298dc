"""Animated WebP as a video: FFmpeg reads only its still pictures."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from PIL.Image import Image

_MILLISECONDS = Fraction(1, 1000)
_DEFAULT_MILLISECONDS = 100  # of a picture that states no duration, as browsers show it


def video_of_webp(path: str) -> io.BytesIO:
    """Returns the pictures of an animated WebP as a video that loses nothing, with their times. Decodes it completely.

    Raises OSError and ValueError as Pillow does for a damaged file.
    """
    from PIL import Image, ImageSequence

    video = io.BytesIO()
    with Image.open(path) as animation, av.open(video, "w", format="nut") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *animation.size, "bgra"
        stream.time_base = stream.codec_context.time_base = _MILLISECONDS
        milliseconds = 0
        for picture in ImageSequence.Iterator(animation):
            for packet in stream.encode(_frame(picture, milliseconds)):
                container.mux(packet)
            milliseconds += round(picture.info.get("duration") or _DEFAULT_MILLISECONDS)
        for packet in stream.encode():
            container.mux(packet)
    video.seek(0)
    return video


def _frame(picture: Image, milliseconds: int) -> av.VideoFrame:
    import numpy as np

    frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGBA")), format="rgba").reformat(format="bgra")
    frame.pts, frame.time_base = milliseconds, _MILLISECONDS
    return frame
