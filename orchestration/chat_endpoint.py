"""An OpenAI-compatible endpoint over a trained chat, for programs on this machine: models, and chat completions.

A request's last user message is the question; each is answered by itself, as the model was trained. The clip or video
is the one that the server was started with, or that a part of the message names, as servers of video models have it:
`{"type": "video_url", "video_url": {"url": "internvid:CLIP_OR_VIDEO_ID"}}`. Answers are not streamed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from orchestration.explorer.guard import UNEXPECTED, Guard
from resources.models.chat import Chat, ChatAnswer
from resources.training.shown_clips import ClipToShow, clips_to_show

HOST = "127.0.0.1"
SCHEME = "internvid:"  # of the address of a clip or video of the lake
MAX_NEW_TOKENS = 1024
MAX_QUESTION_CHARACTERS = 20_000


class _Url(BaseModel):
    url: str


class _Part(BaseModel):
    """A part of a message: text, or the clip or video that it is about."""

    type: Literal["text", "video_url"]
    text: str = ""
    video_url: _Url | None = None


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part] = ""


class _Completion(BaseModel):
    """A request. Fields of the protocol that are not here, such as the temperature, change nothing: the model always
    gives its likeliest answer.
    """

    model: str = ""
    messages: list[_Message] = Field(min_length=1)
    max_tokens: int = Field(default=128, ge=1, le=MAX_NEW_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MAX_NEW_TOKENS)
    n: Literal[1] = 1
    stream: bool = False


def chat_app(chat: Chat, clips: Sequence[ClipToShow]) -> Guard:
    """Returns the application. clips: what is asked about unless a request names another clip or video."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    one_at_a_time = threading.Lock()  # two answers at once would take twice the memory, and no less time

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": chat.checkpoint_id, "object": "model", "owned_by": "internvid"}]}

    @app.post("/v1/chat/completions")
    def completions(asked: _Completion) -> dict[str, Any]:
        if asked.model not in ("", chat.checkpoint_id):
            raise HTTPException(404, f"the model {asked.model!r} is not served; {chat.checkpoint_id} is")
        if asked.stream:
            raise HTTPException(400, "answers are not streamed: ask without stream")
        question, named = _question(asked.messages)
        try:
            about = clips if named is None else clips_to_show(chat.lake, named)
            if not about:
                raise ValueError(f"no clip or video is named: give a video_url of {SCHEME}ID")
            with one_at_a_time:
                answer = chat.answer(about, question, max_new_tokens=asked.max_completion_tokens or asked.max_tokens)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return _completion(chat.checkpoint_id, answer)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        where = "; ".join(f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}" for problem in error.errors())
        return _error(400, where)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    return Guard(app, host=HOST, token=None, error_page=_refusal)


def serve_chat(chat: Chat, clips: Sequence[ClipToShow], *, port: int) -> None:
    """Listens on this machine alone until it is ended. Raises OSError where the port is taken."""
    import socket

    import uvicorn

    from orchestration.cli.output import console

    with socket.create_server((HOST, port)) as listening:
        address = f"http://{HOST}:{listening.getsockname()[1]}/v1"
        console.print(f"{chat.checkpoint_id} is at {address}", highlight=False, soft_wrap=True, markup=False)
        config = uvicorn.Config(
            chat_app(chat, clips), log_level="warning", access_log=False, server_header=False, limit_concurrency=50
        )
        uvicorn.Server(config).run(sockets=[listening])


def _question(messages: Sequence[_Message]) -> tuple[str, str | None]:
    """Returns the last question, and the clip or video that is named last; None where none is."""
    asked = [message for message in messages if message.role == "user"]
    if not asked:
        raise HTTPException(400, "no message of the user asks anything")
    content = asked[-1].content
    text = content if isinstance(content, str) else "\n".join(part.text for part in content if part.type == "text")
    if not text.strip() or len(text) > MAX_QUESTION_CHARACTERS:
        raise HTTPException(400, f"a question has 1 to {MAX_QUESTION_CHARACTERS:,} characters")
    named = None
    for message in asked:
        for part in message.content if isinstance(message.content, list) else []:
            if part.video_url is not None:
                named = part.video_url.url
    if named is not None and not named.startswith(SCHEME):
        raise HTTPException(400, f"videos are those of the lake: {SCHEME}CLIP_OR_VIDEO_ID, and no other address")
    return text.strip(), named and named.removeprefix(SCHEME)


def _completion(model: str, answer: ChatAnswer) -> dict[str, Any]:
    """Returns the answer in the protocol's form; the clips that show it stand beside it, under `internvid`."""
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text},
                "finish_reason": "stop" if answer.is_complete else "length",
            }
        ],
        "usage": {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": answer.prompt_tokens + answer.output_tokens,
        },
        "internvid": {
            "clips": [
                {"clip_id": clip.clip_id, "start_seconds": clip.start_seconds, "end_seconds": clip.end_seconds}
                for clip in answer.clips
            ],
            "clips_read": len(answer.read),
        },
    }


def _refusal(request: Request, status: int, message: str) -> Response:
    words = {421: "Ask under the address that `internvid chat --serve` printed.", 500: UNEXPECTED}
    return _error(status, words.get(status, message))


def _error(status: int, message: str) -> Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": None}}, status)
