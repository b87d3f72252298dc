"""Puts the explorer together: the routes, the guard before them, and the pages of errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from internvid.report.report import SECTIONS
from orchestration.explorer import routes
from orchestration.explorer.dagster_ui import DagsterUI
from orchestration.explorer.guard import UNEXPECTED, Guard
from orchestration.explorer.navigation import entries
from orchestration.explorer.page import Explorer, coloured, rendered
from orchestration.settings import Settings
from resources.explorer.clip_index import ClipIndexes
from resources.explorer.conversation import Conversation
from resources.explorer.playback import Playback
from resources.explorer.published_statistics import published_statistics
from resources.explorer.query_vectors import QueryVectors
from resources.explorer.view import LakeGone, LakeViews, TookTooLong
from resources.incremental.faults import system_fault_of

TITLES = {
    400: "That cannot be asked",
    401: "A token is needed",
    403: "Not allowed",
    404: "Not here",
    405: "Not here",
    413: "Too large",
    416: "Not in this file",
    421: "Another name",
    500: "Something went wrong",
    503: "Not now",
}


def explorer_app(
    settings: Settings, resources: dict[str, Any], *, host: str = "127.0.0.1", token: str | None = None
) -> Guard:
    """Returns the application. resources: those of the settings. host: where it listens. token: see `Guard`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    modules = routes.modules()
    views = LakeViews(resources["lake"])
    app.state.explorer = Explorer(
        settings,
        resources,
        entries(modules),
        views,
        ClipIndexes(views),
        QueryVectors(resources["aligner"]),
        Playback(resources["media"]),
        DagsterUI(settings.ui_url),
        Conversation(device=settings.device, language_model=settings.language_model),
    )
    for module in modules:
        app.include_router(module.router)

    def error_page(request: Request, status: int, message: str) -> Response:
        request.scope.setdefault("app", app)
        return rendered(request, "error.html", title=TITLES.get(status, "Error"), status=status, message=message)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        message = "There is no such page." if error.detail in ("Not Found", "Method Not Allowed") else error.detail
        answer = error_page(request, error.status_code, message)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        problems = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
        return error_page(request, 400, problems)

    @app.exception_handler(LakeGone)
    def gone(request: Request, error: LakeGone) -> Response:
        return error_page(request, 503, f"{error}. This page works again when the lake is back.")

    @app.exception_handler(TookTooLong)
    def too_long(request: Request, error: TookTooLong) -> Response:
        return error_page(request, 503, str(error))

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        fault = system_fault_of(error)
        return error_page(request, 503, str(fault)) if fault else error_page(request, 500, UNEXPECTED)

    return Guard(app, host=host, token=token, error_page=error_page)


def warm(app: Guard) -> None:
    """Makes what the first pages would wait for: the index of the clips, the model, what tells nouns from verbs, the
    first plots of the dataset.
    """
    explorer: Explorer = app.application.state.explorer
    try:
        view = explorer.indexes.newest().view
    except LakeGone:
        return  # each page says so
    coloured("a clip")
    if (published := published_statistics(explorer.lake)) is not None:
        published.charts(next(iter(SECTIONS)))
    explorer.query_vectors.start(view)
