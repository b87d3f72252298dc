"""What stands before every request: who may ask, what browsers may do with an answer, and no traceback in any."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from resources.incremental.faults import system_fault_of

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
COOKIE = "internvid_explorer"
TOKEN = "token"
_LOGGER = logging.getLogger(__name__)

HEADERS = {
    # Scripts and styles are files of our own; nothing is asked of another host.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

UNEXPECTED = "The terminal in which the explorer runs says what it was."

ErrorPage = Callable[[Request, int, str], Response]


class Guard:
    """An ASGI application before another one.

    host: where the server listens. Requests under another name are refused: else a page of the web whose name leads to
    this machine could read the lake. token: needed in the first request of a browser, which then keeps it as a cookie;
    None: nobody but this machine reaches the server. error_page: of a request, a status and a message.
    """

    def __init__(self, app: FastAPI, *, host: str, token: str | None, error_page: ErrorPage) -> None:
        self.application, self._host, self._token, self._error_page = app, host, token, error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        is_begun = False

        async def guarded(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache, private")
            await send(message)

        request = Request(scope, receive)
        try:
            refusal = self._refusal(request)
            await (refusal or self.application)(scope, receive, guarded)
        except Exception as error:
            if (fault := system_fault_of(error)) is not None:
                _LOGGER.error("%s: %s", request.url.path, fault)
            else:
                _LOGGER.exception("%s %s", request.method, request.url.path)
            if not is_begun:
                await self._error_page(request, 500, UNEXPECTED)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        if self._token is None and _name_of(request.headers.get("host", "")) not in LOOPBACK | {self._host}:
            return self._error_page(request, 421, "Open the address that `internvid explore` printed.")
        if request.method not in ("GET", "HEAD") and not _is_own(request.headers):
            return self._error_page(request, 403, "Another site may not write here.")
        return None if self._token is None else self._without_token(request, self._token)

    def _without_token(self, request: Request, token: str) -> Response | None:
        given = request.query_params.get(TOKEN)
        if given is not None and hmac.compare_digest(given.encode(), token.encode()):
            # Out of the address, which is shared and kept in histories.
            kept = [(name, value) for name, value in parse_qsl(request.url.query) if name != TOKEN]
            answer = RedirectResponse(request.url.path + (f"?{urlencode(kept)}" if kept else ""), 303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
            return answer
        cookies = SimpleCookie(request.headers.get("cookie", ""))
        if COOKIE in cookies and hmac.compare_digest(cookies[COOKIE].value.encode(), token.encode()):
            return None
        return self._error_page(request, 401, "Open the address that `internvid explore` printed: it holds a token.")


def _name_of(host: str) -> str:
    """Returns the host without its port."""
    return (urlsplit(f"//{host}").hostname or "").lower()


def _is_own(headers: Headers) -> bool:
    """Whether a page of this server sent the request, as browsers tell it; programs tell nothing, and may."""
    if (site := headers.get("sec-fetch-site")) is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
