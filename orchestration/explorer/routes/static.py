"""The style sheet and the script."""

from __future__ import annotations

import mimetypes

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from orchestration.explorer.page import static_files

router = APIRouter()


@router.get("/static/{digest}/{name}")
def static(digest: str, name: str) -> Response:
    """A file of `static/`. digest: of its content; of any other the newest is given too."""
    content = static_files().get(name)
    if content is None:
        raise HTTPException(404)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})
