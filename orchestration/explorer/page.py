"""What a route of the explorer gets: the services, one view of the lake for the whole page, and the templates.

@router.get("/things/{thing_id}")
def thing(page: OnePage, thing_id: str) -> Response:
    rows = page.view.query(statement("explorer/thing"), {"thing_id": thing_id}).to_pylist()
    if not rows:
        raise not_found("thing", thing_id)
    return page.html("thing.html", title="A thing", thing=rows[0])
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import jinja2
from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from assets.stages import ingest_stages
from internvid.report import pages
from internvid.report.report import share
from internvid.report.shown_clips import clock, marked
from orchestration.explorer.dagster_ui import DagsterUI
from orchestration.explorer.navigation import Entry
from orchestration.settings import Settings
from resources.explorer.clip_index import ClipIndexes
from resources.explorer.conversation import Conversation
from resources.explorer.playback import Playback
from resources.explorer.query_vectors import QueryVectors
from resources.explorer.view import LakeView, LakeViews

if TYPE_CHECKING:
    from resources.incremental.declaration import StageDefinition
    from resources.lake.store import Lake

FOLDER = Path(__file__).parent
MAX_BODY_BYTES = 16 << 20
MAX_COLOURED = 2_000  # characters of a caption in which words are tagged, some milliseconds a hundred


@dataclass
class Explorer:
    """What all pages share. resources: those of the settings, by name."""

    settings: Settings
    resources: dict[str, Any]
    entries: list[Entry]
    views: LakeViews
    indexes: ClipIndexes
    query_vectors: QueryVectors
    playback: Playback
    dagster_ui: DagsterUI
    conversation: Conversation

    @cached_property
    def stages(self) -> tuple[StageDefinition, ...]:
        """The stages of ingest batches, in the order in which data flows."""
        return ingest_stages(self.settings.stages)

    @property
    def lake(self) -> Lake:
        """The lake itself: only for writing. Pages read `Page.view`."""
        return cast("Lake", self.resources["lake"])


@dataclass(frozen=True)
class Page:
    """A request, with the lake as it was when the request came."""

    request: Request
    explorer: Explorer
    view: LakeView

    def html(self, template: str, *, title: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Renders a template of `templates/`. Every value is escaped. title: of the window and the page."""
        return rendered(self.request, template, title=title, status=status, **values)


def explorer_of(request: Request) -> Explorer:
    return cast(Explorer, request.app.state.explorer)


def page_of(request: Request) -> Page:
    """Opens the page: the view is taken once, and everything on the page is read from it."""
    explorer = explorer_of(request)
    return Page(request, explorer, explorer.views.newest())


OnePage = Annotated[Page, Depends(page_of)]


def rendered(request: Request, template: str, *, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Renders a page that needs no lake: errors."""
    text = (
        environment()
        .get_template(template)
        .render(
            title=title,
            path=request.url.path,
            entries=explorer_of(request).entries,
            root=explorer_of(request).settings.lake,
            **values,
        )
    )
    return HTMLResponse(text, status)


def not_found(kind: str, name: str) -> HTTPException:
    """The error of an id that the lake does not have."""
    return HTTPException(404, f"This lake has no {kind} {name[:80]!r}.")


def bad_request(message: str) -> HTTPException:
    """The error of a filter or form that cannot be."""
    return HTTPException(400, message)


async def body_of(request: Request) -> bytes:
    """Returns the body of a request. Raises 413 where it is too large, before all of it is read."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, f"At most {MAX_BODY_BYTES >> 20} MiB can be sent.")
        parts.append(part)
    return b"".join(parts)


@cache
def environment() -> jinja2.Environment:
    """The templates of the explorer, and those of the report, whose macros they may use."""
    templates = pages.page_environment(FOLDER / "templates")
    templates.filters |= {
        "as_clock": lambda seconds: "" if seconds is None else clock(seconds),
        "coloured": coloured,
        "as_cell": as_cell,
        "as_count": lambda count: "" if count is None else f"{count:,}",
        "as_share": share,
        "as_number": lambda value: "" if value is None else f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}",
    }
    templates.globals["static"] = static_address
    return templates


@lru_cache(maxsize=4096)
def coloured(caption: str) -> Markup:
    """Returns a caption with its nouns and verbs marked; what is beyond MAX_COLOURED characters is not."""
    if len(caption) <= MAX_COLOURED:
        return marked(caption)
    return marked(caption[:MAX_COLOURED]) + Markup("{}").format(caption[MAX_COLOURED:])


def as_cell(value: Any) -> str:
    """Formats a value of a table: times without fractions, nothing for None."""
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value)


@cache
def static_files() -> dict[str, bytes]:
    """The files of `static/` by name; the style sheet is that of the report, `style.css` and `sections.css`."""
    files = {path.name: path.read_bytes() for path in (FOLDER / "static").iterdir() if path.is_file()}
    shared = (Path(pages.__file__).parent / "style.html").read_bytes()
    return files | {"style.css": shared + files["style.css"] + files["sections.css"]}


@cache
def static_address(name: str) -> str:
    """The address of a static file, which changes with its content: browsers keep it for ever."""
    return f"/static/{hashlib.sha256(static_files()[name]).hexdigest()[:12]}/{name}"
