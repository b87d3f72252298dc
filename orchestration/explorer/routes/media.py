"""Stored videos, clips that were converted, and frames: by their ids alone, never by a path."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc
from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse, Response

from orchestration.explorer.byte_answer import bytes_of
from orchestration.explorer.page import OnePage, Page, not_found
from resources.explorer.playback import CLIP_COLUMNS, VIDEO_COLUMNS, Busy, CannotPlay, played_as, span_in_file
from resources.lake.lookup import begins_with
from resources.lake.paths import StoragePath

router = APIRouter()

PICTURE_HEADERS = {"Cache-Control": "private, max-age=3600"}


@router.api_route("/videos/{video_id}/file", methods=["GET", "HEAD"])
def video_file(page: OnePage, video_id: str) -> Response:
    """A stored video, or the part of it that a range asks for."""
    video = video_of(page, video_id)
    media_type = played_as(video)
    if media_type is None:
        raise HTTPException(404, "Browsers do not play this file: its clips are converted.")
    try:
        file = page.explorer.playback.file(video)
    except CannotPlay as reason:
        raise HTTPException(404, str(reason)) from reason
    return bytes_of(page.request, file, size=video["size_bytes"], media_type=media_type, tag=video["sha256"][:32])


@router.get("/clips/{clip_id}/playable")
def playable(page: OnePage, clip_id: str, convert: bool = False) -> Response:
    """Where a browser finds the clip, and from when to when in that file; it is converted now if it must be.

    convert: for a browser that does not play the file as it is.
    """
    clip = clip_of(page, clip_id)
    video = video_of(page, clip["video_id"])
    try:
        if played_as(video) is not None and not convert:
            page.explorer.playback.file(video)
            start, end = span_in_file(clip)
            return JSONResponse({"src": f"/videos/{clip['video_id']}/file", "start": start, "end": end})
        converted = page.explorer.playback.converted(clip_id, clip, video)
    except CannotPlay as reason:
        return JSONResponse({"problem": str(reason)}, 503 if isinstance(reason, Busy) else 404)
    start = converted.start_seconds
    end = start + clip["end_seconds"] - clip["start_seconds"]
    return JSONResponse({"src": f"/clips/{clip_id}/converted.mp4", "start": start, "end": end})


@router.api_route("/clips/{clip_id}/converted.mp4", methods=["GET", "HEAD"])
def converted_clip(page: OnePage, clip_id: str) -> Response:
    """A clip that was converted, or the part of it that a range asks for."""
    clip = clip_of(page, clip_id)
    video = video_of(page, clip["video_id"])
    try:
        converted = page.explorer.playback.converted(clip_id, clip, video)
    except CannotPlay as reason:
        raise HTTPException(503 if isinstance(reason, Busy) else 404, str(reason)) from reason
    file = StoragePath(str(converted.path))
    tag = f"{video['sha256'][:24]}-{clip['start_pts']}-{clip['end_pts']}"
    return bytes_of(page.request, file, size=file.size(), media_type="video/mp4", tag=tag)


@router.get("/frames/{frame_id}.jpg")
def frame(page: OnePage, frame_id: str) -> Response:
    """A sampled frame."""
    rows = page.view.known("frames", [frame_id], ["jpeg"])
    if not rows.num_rows:
        raise not_found("frame", frame_id)
    return Response(rows["jpeg"][0].as_py(), media_type="image/jpeg", headers=PICTURE_HEADERS)


@router.get("/clips/{clip_id}/frame.jpg")
def middle_frame(page: OnePage, clip_id: str) -> Response:
    """The middle frame of a clip."""
    condition = begins_with("frame_id", f"{clip_id}_") & (pc.field("clip_id") == clip_id) & pc.field("is_middle")
    rows = page.view.dataset("frames").scanner(columns=["jpeg"], filter=condition, limit=1).to_table()
    if not rows.num_rows:
        raise not_found("frame of a clip", clip_id)
    return Response(rows["jpeg"][0].as_py(), media_type="image/jpeg", headers=PICTURE_HEADERS)


def clip_of(page: Page, clip_id: str) -> dict[str, Any]:
    """Returns the row of a clip. Raises 404."""
    rows = page.view.known("clips", [clip_id], CLIP_COLUMNS).to_pylist()
    if not rows:
        raise not_found("clip", clip_id)
    return rows[0]


def video_of(page: Page, video_id: str) -> dict[str, Any]:
    """Returns the row of a video. Raises 404."""
    rows = page.view.known("raw_videos", [video_id], VIDEO_COLUMNS).to_pylist()
    if not rows:
        raise not_found("video", video_id)
    return rows[0]
