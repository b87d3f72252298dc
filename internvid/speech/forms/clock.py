"""Times of subtitles as people write them, for the forms that give hours, minutes and seconds."""

from __future__ import annotations

import re

# Full-width characters, as input methods for Chinese and Japanese type them, and other minus signs.
_ORDINARY = str.maketrans("０１２３４５６７８９：；，．＞－−", "0123456789:;,.>--")

# [hours:]minutes:seconds[.fraction]. After a further colon three digits are thousandths, and fewer are frames.
TIME = (
    r"(?P<{0}sign>-)?\s?(?:(?P<{0}hours>\d{{1,4}})\s?:\s?)?(?P<{0}minutes>\d{{1,4}})\s?:\s?(?P<{0}seconds>\d{{1,2}})"
    r"(?:\s?(?P<{0}mark>[.,:;])\s?(?P<{0}part>\d{{1,9}}))?"
)


class BadTime(ValueError):
    """The time cannot be read."""


def ordinary(line: str) -> str:
    """Returns the line with ASCII digits and marks in place of their full-width forms."""
    return line if line.isascii() else line.translate(_ORDINARY)


def seconds_in(match: re.Match[str], prefix: str, fps: float | None) -> float:
    """Returns the seconds of a match of TIME. fps: of the video, None if unknown. Raises BadTime."""
    hours, minutes, seconds = (int(match[f"{prefix}{name}"] or 0) for name in ("hours", "minutes", "seconds"))
    mark, part = match[f"{prefix}mark"], match[f"{prefix}part"]
    total = 3600.0 * hours + 60 * minutes + seconds
    if part is not None:
        if mark in ".," or len(part) >= 3:
            total += int(part) / 10 ** len(part)
        else:
            total += frames_to_seconds(int(part), fps)
    return -total if match[f"{prefix}sign"] else total


def frames_to_seconds(frames: float, fps: float | None) -> float:
    """Raises BadTime where the frame rate is not known."""
    if not fps:
        raise BadTime("its times count frames, and the video's frame rate is not known")
    return frames / fps
