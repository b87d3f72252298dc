"""Byte ranges of HTTP (RFC 9110, section 14): which bytes of a file a request asks for."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The range has no byte of the file: the answer is 416."""


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Returns the first byte and the byte after the last; None where the whole file is to be sent.

    header: the value of Range. One that is malformed, has another unit or several ranges is ignored, as a server may.
    size: of the file. Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last = match[1], match[2]
    if first:
        start = int(first)
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    elif last:  # so many bytes from the end
        start, end = max(0, size - int(last)), size
    else:
        return None
    if start >= end:
        raise Unsatisfiable(f"bytes {first}-{last} of {size}")
    return start, end
