"""A clip's page: it plays, with all that the lake knows of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from internvid.text.languages import NAMES
from orchestration.explorer.page import OnePage, Page, not_found
from orchestration.explorer.routes.search import cards_of, name_of, video_names
from resources.corpus.lineage import NotKnown, in_words, story
from resources.explorer.clip_details import ClipDetails, clip_details
from resources.explorer.conversation import MAX_QUESTION_CHARACTERS, NoAnswer
from resources.explorer.playback import played_as, span_in_file

router = APIRouter()


@router.get("/clips/{clip_id}")
def clip(page: OnePage, clip_id: str, ask: str = "", of: str = "") -> Response:
    """The page of a clip. ask: a question about it, or about its whole video where `of` is "video"."""
    details = clip_details(page.view, clip_id, model_weight=page.explorer.query_vectors.weight(page.view))
    if details is None:
        raise not_found("clip", clip_id)
    position = next((n for n, row in enumerate(details.siblings) if row["clip_id"] == clip_id), 0)
    names = video_names(page.view, [copy["copy_id"] for copy in details.copies])
    return page.html(
        "clip_page.html",
        title=(details.source or {}).get("title") or name_of(details.video["source"]),
        details=details,
        clip=details.clip,
        seconds=details.clip["end_seconds"] - details.clip["start_seconds"],
        media_type=played_as(details.video),
        span=span_in_file(details.clip),
        timeline=_timeline(details),
        before=details.siblings[position - 1]["clip_id"] if position else None,
        after=details.siblings[position + 1]["clip_id"] if position + 1 < len(details.siblings) else None,
        position=position,
        language=_language(details),
        coarse=[row for row in details.frame_captions if row["scale"] == "coarse"],
        fine=[row for row in details.frame_captions if row["scale"] != "coarse"],
        similar=cards_of(page.view, details.similar or []),
        copies=[copy | {"video": names.get(copy["copy_id"], "")} for copy in details.copies],
        **_asked(page, details, ask.strip(), of_video=of == "video"),
    )


@router.get("/clips/{clip_id}/story")
def clip_story(page: OnePage, clip_id: str) -> Response:
    """Where a clip comes from and what was made of it; the page of the clip loads it."""
    if not page.view.known("clips", [clip_id]).num_rows:
        raise not_found("clip", clip_id)
    try:
        lineage = story(page.view, page.explorer.stages, clip_id)
    except NotKnown as reason:
        raise not_found("clip", clip_id) from reason
    ui = page.explorer.dagster_ui
    batch = (lineage["source"] or {}).get("ingest_batch")
    made: list[dict[str, Any]] = []
    for table in lineage["stages"]:
        rows = table["made"] or [{}]
        made += [
            {
                "table": table["table"],
                "rows": row.get("rows"),
                "state": table["state"],
                "version": row.get("version"),
                "model": row.get("model"),
                "written_at": row.get("written_at"),
                "run_id": row.get("run_id"),
            }
            for row in rows
        ]
    return page.html(
        "clip_story.html",
        title="Lineage",
        story=lineage,
        made=made,
        batch=batch,
        failures=[f"{attempt['stage']}: {in_words(attempt)}" for attempt in lineage["attempts"]],
        ui=ui if ui.runs() else None,
    )


@router.get("/videos/{video_id}")
def video(page: OnePage, video_id: str) -> Response:
    """A video: its clips."""
    if not page.view.known("raw_videos", [video_id]).num_rows:
        raise not_found("video", video_id)
    return RedirectResponse(f"/?video={video_id}", 303)


def _asked(page: Page, details: ClipDetails, question: str, *, of_video: bool) -> dict[str, Any]:
    """Returns which chat can be asked, the question, and its answer or why there is none."""
    conversation = page.explorer.conversation
    asked: dict[str, Any] = {
        "chat": conversation.newest(page.view),
        "question": question,
        "of_video": of_video,
        "max_question_characters": MAX_QUESTION_CHARACTERS,
        "answer": None,
        "why_no_answer": None,
    }
    if asked["chat"] is None or not question:
        return asked
    try:
        about = details.clip["video_id" if of_video else "clip_id"]
        return asked | {"answer": conversation.answer(page.view, about, question)}
    except NoAnswer as reason:
        return asked | {"why_no_answer": str(reason)}


def _language(details: ClipDetails) -> str:
    code = (details.speech or {}).get("language")
    return NAMES.get(code, code) if code else "language unknown"


def _timeline(details: ClipDetails) -> dict[str, Any]:
    """Returns the clips of the video as boxes on a line of 1000 units, as high as they move."""
    length = max([details.video["duration_seconds"] or 0.0, *(row["end_seconds"] for row in details.siblings), 0.001])
    most = max([row["motion"] or 0.0 for row in details.siblings] + [1e-6])
    boxes = [
        {
            **row,
            "x": 1000 * row["start_seconds"] / length,
            "width": max(1.5, 1000 * (row["end_seconds"] - row["start_seconds"]) / length - 1),
            "height": 6 + 30 * (row["motion"] or 0.0) / most,
            "is_this": row["clip_id"] == details.clip["clip_id"],
        }
        for row in details.siblings
    ]
    return {"boxes": boxes, "seconds": length}
