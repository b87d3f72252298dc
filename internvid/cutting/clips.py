"""What is cut out of a video, and what a file that was cut out is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# A decoder that begins at a key frame reads what lies between two clips as well: further apart, it seeks again.
MAX_SECONDS_BETWEEN_NEIGHBOURS = 10.0


class CannotCut(ValueError):
    """The clip cannot be cut out of the file. The message says why."""


@dataclass(frozen=True)
class Cut:
    """A clip to cut out.

    name: of the file, without a suffix. start_pts, end_pts: ticks of the stream, as the table clips has them.
    start_seconds, end_seconds: the same, from the video's first frame. frames: number of its frames.
    """

    name: str
    start_pts: int
    end_pts: int
    start_seconds: float
    end_seconds: float
    frames: int


@dataclass(frozen=True)
class ClipFile:
    """A file that holds a clip.

    start_seconds, end_seconds: what it shows, from the first frame of the video that it was cut from. frames: number of
    its frames. width, height: pixels, of a copied clip as coded. audio_codec: None without sound; why_no_sound: why the
    sound of a video that has one is not in it.
    """

    name: str
    start_seconds: float
    end_seconds: float
    frames: int
    width: int
    height: int
    video_codec: str
    audio_codec: str | None
    why_no_sound: str | None
    bytes: int
    sha256: str


def neighbours(cuts: Sequence[Cut]) -> Iterator[list[Cut]]:
    """Yields groups of clips that one pass through the file cuts out, in order of time."""
    group: list[Cut] = []
    reached = 0.0
    for cut in sorted(cuts, key=lambda cut: (cut.start_pts, cut.end_pts)):
        if group and cut.start_seconds - reached > MAX_SECONDS_BETWEEN_NEIGHBOURS:
            yield group
            group = []
        group.append(cut)
        reached = max(reached, cut.end_seconds)
    if group:
        yield group


def packets_in(path: Path) -> int:
    """Returns the number of pictures in a file that was just written. Raises OSError where it cannot be read."""
    import av
    import av.error

    try:
        with av.open(str(path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except av.error.InvalidDataError as error:
        raise OSError(f"{path} was not written as a whole: {error}") from error


def measured(path: Path) -> tuple[int, str]:
    """Returns the size of a file in bytes, and its sha256."""
    with path.open("rb") as file:
        return os.path.getsize(path), hashlib.file_digest(file, "sha256").hexdigest()
