"""Search: clips by text, example and filters."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from orchestration.explorer.navigation import Entry
from orchestration.explorer.page import OnePage

router = APIRouter()
NAVIGATION = Entry(1, "Search", "/", "s")


@router.get("/")
def search(page: OnePage) -> Response:
    """The clips of the lake."""
    clips = page.view.dataset("clips").count_rows()
    return page.html("search.html", title="Search", clips=clips)
