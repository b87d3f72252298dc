"""Makes small pictures of frames, and a contact sheet of many clips that fits into a page's metadata.

This module makes pixels and Markdown only; the HTML report lays out its pictures itself.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence

import cv2
import numpy as np

# Tile width in pixels and JPEG quality, tried in turn until the Markdown fits. Size is reduced before quality: a small
# sharp tile shows more than a large blurred one.
_TILE_SIZES = ((240, 72), (200, 68), (160, 64), (128, 60), (96, 56), (72, 50))
_ASPECT = 9 / 16  # height of a tile over its width; other pictures are letterboxed
_GAP = 4  # pixels between tiles
_CAPTION_CHARACTERS = 160
_BACKGROUND = (32, 32, 32)
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$:@])")


def data_uri(jpeg: bytes) -> str:
    """Returns a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def smaller_jpeg(jpeg: bytes, *, width: int = 240, quality: int = 72) -> bytes | None:
    """Re-encodes the picture at most `width` pixels wide. Returns None if it cannot be decoded."""
    picture = _decode(jpeg)
    if picture is None:
        return None
    scale = min(1.0, width / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return _encode(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), quality)


def contact_sheet_markdown(
    jpegs: Sequence[bytes], captions: Sequence[str], *, columns: int = 4, limit_bytes: int = 90_000
) -> str:
    """Returns Markdown with one picture of numbered tiles, and the captions listed below it.

    Captions are escaped, and cut at 160 characters. limit_bytes: upper bound of the Markdown in UTF-8. Tiles shrink
    until it fits; if the smallest do not, the last pictures are left out and the text says how many.
    A picture that cannot be decoded leaves an empty tile.
    Raises ValueError if the numbers of pictures and captions differ, or not even one picture fits.
    """
    if len(jpegs) != len(captions):
        raise ValueError(f"{len(jpegs)} pictures with {len(captions)} captions")
    if not jpegs:
        return "*No clips yet.*"
    shown = len(jpegs)
    pictures = [_decode(jpeg) for jpeg in jpegs]
    while shown:
        lines = [f"{number}. {escaped(caption)}" for number, caption in enumerate(captions[:shown], start=1)]
        if shown < len(jpegs):
            lines += ["", f"*{len(jpegs) - shown} more clips are not shown.*"]
        text = "\n".join(lines)
        for tile_width, quality in _TILE_SIZES:
            sheet = _encode(_tiled(pictures[:shown], columns=columns, tile_width=tile_width), quality)
            markdown = f"![contact sheet]({data_uri(sheet)})\n\n{text}\n"
            if len(markdown.encode()) <= limit_bytes:
                return markdown
        shown = shown * 3 // 4
    raise ValueError(f"a contact sheet does not fit in {limit_bytes} bytes")


def _tiled(pictures: Sequence[np.ndarray | None], *, columns: int, tile_width: int) -> np.ndarray:
    """Returns a picture [height, width, 3] with a numbered tile for each given picture, row by row."""
    tile_height = round(tile_width * _ASPECT)
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    sheet = np.full(
        (rows * (tile_height + _GAP) - _GAP, columns * (tile_width + _GAP) - _GAP, 3), _BACKGROUND, dtype=np.uint8
    )
    for index, picture in enumerate(pictures):
        top = index // columns * (tile_height + _GAP)
        left = index % columns * (tile_width + _GAP)
        tile = sheet[top : top + tile_height, left : left + tile_width]  # a view: drawing into it changes the sheet
        if picture is not None:
            _letterbox(picture, tile)
        _draw_number(index + 1, tile)
    return sheet


def _letterbox(picture: np.ndarray, tile: np.ndarray) -> None:
    """Draws the complete picture into the middle of `tile`."""
    scale = min(tile.shape[1] / picture.shape[1], tile.shape[0] / picture.shape[0])
    width = max(1, min(tile.shape[1], round(picture.shape[1] * scale)))
    height = max(1, min(tile.shape[0], round(picture.shape[0] * scale)))
    left, top = (tile.shape[1] - width) // 2, (tile.shape[0] - height) // 2
    tile[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _draw_number(number: int, tile: np.ndarray) -> None:
    """Draws the caption's number on a dark plate in the tile's corner."""
    scale = max(0.3, tile.shape[1] / 480)
    (width, height), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    tile[: height + 6, : width + 6] = _BACKGROUND
    cv2.putText(tile, str(number), (3, height + 3), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)


def escaped(caption: str) -> str:
    """Returns the caption as one escaped line, safe in Markdown and in the HTML that Markdown lets through."""
    line = " ".join(caption.split())
    if len(line) > _CAPTION_CHARACTERS:
        line = line[: _CAPTION_CHARACTERS - 1].rstrip() + "…"
    return _MARKDOWN_SPECIAL.sub(r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;") if line else "(no caption)"


def _decode(jpeg: bytes) -> np.ndarray | None:
    """Decodes to [height, width, 3] uint8 in cv2's channel order; None if it is no picture."""
    if not jpeg:
        return None  # cv2 raises for an empty buffer, and returns None for other invalid ones
    return cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)


def _encode(picture: np.ndarray, quality: int) -> bytes:
    encoded, buffer = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    if not encoded:
        raise ValueError(f"OpenCV cannot write a JPEG of shape {picture.shape}")
    return buffer.tobytes()
