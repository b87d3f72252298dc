"""Tells frames that are two fields, shot a fiftieth or sixtieth of a second apart, from frames that are one picture.

A decoder marks them where the video says so. Containers may say it instead, and videos that were copied from tape
without care say it nowhere: then the comb tells, which two fields leave at the edges of what moves.
"""

from __future__ import annotations

import av
import numpy as np

from internvid.video.pictures import luma_bands

_COLUMNS_APART = 4
_BAND_ROWS, _BANDS_APART = 32, 128  # rows that are looked at: 0.5 ms of a frame of 720p, all of them 2.5
_DEPTH = 14  # of a tooth, of 255: noise and codecs leave less
_ROWS = 8  # teeth in a row, one below the other: text and stripes have fewer, mostly
_MIN_SHARE = 0.0005  # of the picture: two edges of a hand's length
_MIN_HEIGHT = 200  # interlaced video has 480 lines or more; smaller pictures were scaled, and fields with them

# FFmpeg's AVFieldOrder: 0 unknown, 1 progressive, and four orders of fields.
_FIRST_FIELD_ORDER = 2


class Interlacing:
    """Tells of the frames of one stream whether they are two fields."""

    def __init__(self, stream: av.VideoStream) -> None:
        self._is_declared = int(stream.codec_context.field_order) >= _FIRST_FIELD_ORDER

    def is_marked(self, frame: av.VideoFrame) -> bool:
        """Whether the frame or its container says so. It costs nothing."""
        return self._is_declared or frame.interlaced_frame

    def is_seen(self, frame: av.VideoFrame) -> bool:
        """Whether it is marked so, or a comb is seen in it."""
        return self.is_marked(frame) or is_combed(frame)


def is_combed(frame: av.VideoFrame) -> bool:
    """Whether a comb is seen in the frame: rows that alternate, many below each other."""
    if frame.height < _MIN_HEIGHT:
        return False
    bands = luma_bands(frame, rows=_BAND_ROWS, rows_apart=_BANDS_APART, columns_apart=_COLUMNS_APART)
    if bands is None:
        return False
    step = np.diff(bands.astype(np.int16), axis=1)  # of a tooth: up, down, up, ...
    strong = np.abs(step) > _DEPTH
    turns = strong[:, :-1] & strong[:, 1:] & ((step[:, :-1] > 0) != (step[:, 1:] > 0))
    # Teeth of one comb have one depth: the row after next is like this one.
    turns &= np.abs(step[:, :-1] + step[:, 1:]) * 2 < np.abs(step[:, :-1])
    whole = turns.shape[1] // _ROWS * _ROWS
    runs = turns[:, :whole].reshape(len(bands), -1, _ROWS, bands.shape[2]).all(axis=2)
    return bool(runs.sum() * _ROWS >= _MIN_SHARE * bands.size)
