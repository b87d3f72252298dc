"""Times as lists write them: numbers of seconds, timestamps, and ISO 8601 durations."""

from __future__ import annotations

import math
import re

_TIMESTAMP = re.compile(r"(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+(?:[.,]\d+)?)")
_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?T?(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?", re.IGNORECASE
)
_SECONDS_IN = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def seconds_of(said: object) -> float:
    """Seconds, from 9.943, "9.943", "00:00:09.943", "0:09" or "PT0H0M9S". Raises ValueError for anything else."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        seconds = float(said)
    else:
        seconds = _seconds_of_text(str(said).strip())
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"not a time within a video: {said!r}")
    return seconds


def _seconds_of_text(text: str) -> float:
    found = _TIMESTAMP.fullmatch(text)
    if found is None and len(text) > 1:  # P alone is no duration
        found = _DURATION.fullmatch(text)
    if found is not None:
        parts = found.groupdict().items()
        return sum(float(value.replace(",", ".")) * _SECONDS_IN[name] for name, value in parts if value)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"not a time: {text[:80]!r}; write seconds, or HH:MM:SS.mmm") from None
