"""Parses times as lists write them: numbers of seconds, timestamps, and ISO 8601 durations."""

from __future__ import annotations

import math
import re

_TIMESTAMP = re.compile(r"(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+(?:[.,]\d+)?)")
_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?T?(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?", re.IGNORECASE
)
_SECONDS_IN = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def seconds_of(time: object) -> float:
    """Parses a time to seconds: 9.943, "9.943", "00:00:09.943", "0:09" or "PT0H0M9S". Else ValueError."""
    if isinstance(time, int | float) and not isinstance(time, bool):
        seconds = float(time)
    else:
        seconds = _parse_seconds(str(time).strip())
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"not a time within a video: {time!r}")
    return seconds


def _parse_seconds(text: str) -> float:
    match = _TIMESTAMP.fullmatch(text)
    if match is None and len(text) > 1:  # P alone is no duration
        match = _DURATION.fullmatch(text)
    if match is not None:
        parts = match.groupdict().items()
        return sum(float(value.replace(",", ".")) * _SECONDS_IN[name] for name, value in parts if value)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"not a time: {text[:80]!r}; write seconds, or HH:MM:SS.mmm") from None
