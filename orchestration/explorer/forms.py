"""What forms send, and who sends it."""

from __future__ import annotations

import getpass
from typing import Annotated
from urllib.parse import parse_qsl, quote, unquote

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse

from orchestration.explorer.page import bad_request, body_of

JUDGE_COOKIE = "internvid_judge"
MAX_FIELDS = 500
ONE_YEAR_SECONDS = 365 * 24 * 3600


class Form:
    """The fields of a form."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def text(self, name: str, default: str = "") -> str:
        """The last value of the field, without spaces around it."""
        return next((value.strip() for field, value in reversed(self._fields) if field == name), default)

    def texts(self, name: str) -> list[str]:
        return [value for field, value in self._fields if field == name]

    def items(self) -> list[tuple[str, str]]:
        return list(self._fields)

    def number(self, name: str, default: int) -> int:
        """The field as a whole number. Raises 400."""
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise bad_request(f"{name} takes a whole number, not {text[:80]!r}") from None


async def _form_of(request: Request) -> Form:
    try:
        return Form(parse_qsl((await body_of(request)).decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise bad_request("this is no form") from None


OneForm = Annotated[Form, Depends(_form_of)]


def judge_of(request: Request) -> str:
    """Returns the name under which this browser judges: what was typed, or the user of this machine."""
    name = unquote(request.cookies.get(JUDGE_COOKIE, "")).strip()
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def remember_judge(answer: RedirectResponse, name: str) -> None:
    answer.set_cookie(JUDGE_COOKIE, quote(name), max_age=ONE_YEAR_SECONDS, httponly=True, samesite="strict")


def see(address: str) -> RedirectResponse:
    """The answer to a form: the browser loads that page, and a reload sends nothing again."""
    return RedirectResponse(address, 303)
