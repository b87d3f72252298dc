"""Shows generated videos as moving pictures in Markdown, small enough for a page's metadata."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO

MAX_SIDE = 160  # pixels
MAX_BYTES = 90_000  # of all pictures together


def shown_videos(mp4s: Sequence[bytes], captions: Sequence[str]) -> str:
    """Returns Markdown with a GIF of each video above its caption; of those that do not fit, the caption alone."""
    from internvid.report.contact_sheet import escaped

    parts, left = [], MAX_BYTES
    for mp4, caption in zip(mp4s, captions, strict=True):
        encoded = base64.b64encode(gif_bytes(mp4)).decode("ascii")
        if len(encoded) <= left:
            left -= len(encoded)
            parts.append(f"![video](data:image/gif;base64,{encoded})")
        parts.append(escaped(caption))
    return "\n\n".join(parts) + "\n"


def gif_bytes(mp4: bytes) -> bytes:
    """Returns the video as a GIF that repeats."""
    import av
    from PIL import Image

    with av.open(BytesIO(mp4), "r") as container:
        stream = container.streams.video[0]
        milliseconds = round(1000 / float(stream.average_rate or 8))
        pictures = [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    for picture in pictures:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    gif = BytesIO()
    pictures[0].save(
        gif, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False
    )
    return gif.getvalue()
