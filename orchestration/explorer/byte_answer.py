"""Answers with a file or a part of it, as the range of a request says. A reader that is slow holds no thread."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from internvid.web.byte_ranges import Unsatisfiable, requested_range
from resources.lake.paths import StoragePath

BYTES_PER_READ = 512 << 10


def bytes_of(request: Request, file: StoragePath, *, size: int, media_type: str, tag: str) -> Response:
    """Returns the whole file (200), the part that the request asks for (206), or nothing new (304).

    size: of the file. tag: changes with its content. Raises HTTPException 416.
    """
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{tag}"', "Cache-Control": "private, max-age=3600"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range")
    if request.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
        asked = None  # of another content: all of this one
    try:
        part = requested_range(asked, size)
    except Unsatisfiable:
        raise HTTPException(416, "The file ends before.", {"Content-Range": f"bytes */{size}"}) from None
    start, end = part or (0, size)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(_read(file, start, end), status, headers, media_type)


async def _read(file: StoragePath, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        part = await run_in_threadpool(file.read, start, min(end, start + BYTES_PER_READ))
        if not part:
            raise EOFError(f"{file} ended {end - start} bytes early")
        yield part
        start += len(part)
