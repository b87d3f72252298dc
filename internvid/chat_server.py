"""A client of servers that speak OpenAI's chat protocol: vLLM, SGLang, llama.cpp, `transformers serve` and others.

Belongs here: the protocol, how many questions are under way at once, and what is tried again. What is asked, and what
becomes of an answer, is the caller's.
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal
from pydantic import BaseModel, Field, ValidationError

from internvid.text.generated import Blocked, EmptyAnswer, Generated, Status

CONNECT_SECONDS = 5.0  # a machine that is there takes a connection in well under one
LOOK_SECONDS = 3.0  # for whether the server is there: a person waits for the answer
LONGEST_WAIT_SECONDS = 60.0  # also where the server asks for more by Retry-After
# So many questions given up in a row mean that the server is gone, not that one question is more than it can bear.
GIVEN_UP_IN_A_ROW = 3
QUOTED_CHARACTERS = 500  # of what a server says about an error


class NoAnswer(ConnectionError):
    """The server gave no usable answer however often it was asked; later it may."""


class Refused(Exception):
    """The server will not take the request, and would not if asked again: its text says what to do."""


@dataclass(frozen=True)
class Question:
    """One message to the model: pictures, JPEGs in their order, and then the text. Either may be empty."""

    text: str
    jpegs: Sequence[bytes] = ()


@dataclass
class ChatServer:
    """One model of one server.

    url: up to and with /v1. key_variable: the environment variable that holds the key to it, empty where it takes none;
    the key itself is in no setting, for those are shown and stored. parameters: of the request, such as max_tokens and
    temperature; one that is None is not sent. concurrency: questions under way at once, at most. timeout_seconds: for
    one try as a whole, however slowly the answer drips in.
    """

    url: str
    model: str
    key_variable: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 16
    timeout_seconds: float = 120.0
    tries: int = 4
    first_wait_seconds: float = 1.0  # before the second try; doubled with each further one
    gone_seconds: float = 30.0  # so long nothing is asked of a server that is gone
    answered_by: str | None = field(default=None, init=False)  # the model's name as the server last gave it
    _given_up: int = field(default=0, init=False)  # questions in a row
    _gone_until: float = field(default=0.0, init=False)  # by the monotonic clock
    _gone_for: str = field(default="", init=False)  # what the last of them met

    def ask(self, questions: Sequence[Question]) -> list[Generated | Exception]:
        """An answer to each question in their order, or NoAnswer, Refused, Blocked or EmptyAnswer.

        Once a few questions in a row were given up after all their tries, the others end in NoAnswer at once, and so
        do those asked in the next half minute: a server that is gone costs seconds, not hours.
        """
        # A thread with an event loop of its own: the caller's may have one running, as a notebook's does.
        with start_blocking_portal() as portal:
            return portal.call(self._ask, questions)

    def models(self) -> list[str]:
        """Names of the models that the server says it has. Raises NoAnswer or Refused."""
        try:
            response = httpx2.get(f"{self.url}/models", headers=self._headers(), timeout=LOOK_SECONDS)
        except httpx2.RequestError as error:
            raise NoAnswer(f"{self.url} does not answer: {_said_by(error)}") from error
        if response.status_code != 200:
            raise self._refusal(response)
        try:
            return [listed.id for listed in _Models.model_validate_json(response.content).data]
        except ValidationError as error:
            raise Refused(f"{self.url} speaks another protocol: {self._quoted(response)}") from error

    # --- one question ---------------------------------------------------------------------------------------------

    async def _ask(self, questions: Sequence[Question]) -> list[Generated | Exception]:
        try:
            headers = self._headers()
        except Refused as refused:
            return [refused] * len(questions)
        answers: dict[int, Generated | Exception] = {}
        waiting = iter(enumerate(questions))
        gone = anyio.Event()

        async def work() -> None:
            for index, question in waiting:
                try:
                    answers[index] = await self._answer(client, question, gone)
                except (NoAnswer, Refused, Blocked, EmptyAnswer) as error:
                    answers[index] = error

        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)  # for the whole of a try see _completion
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=self.concurrency)
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout, limits=limits) as client,
            anyio.create_task_group() as workers,
        ):
            for _ in range(min(self.concurrency, len(questions))):
                workers.start_soon(work)
        return [answers[index] for index in range(len(questions))]

    async def _answer(self, client: httpx2.AsyncClient, question: Question, gone: anyio.Event) -> Generated:
        """gone: wakes those that wait for their next try."""
        body = self._body(question)
        trouble = _Trouble("it was not asked")
        for attempt in range(self.tries):
            if attempt:
                with anyio.move_on_after(wait_seconds(attempt, self.first_wait_seconds, trouble.seconds_asked_for)):
                    await gone.wait()
            if time.monotonic() < self._gone_until:
                raise NoAnswer(f"{self.url} is gone, so this was not asked (again): {self._gone_for}")
            try:
                completion = await self._completion(client, body)
            except _Trouble as met:
                trouble = met
                continue
            except (Refused, Blocked):
                self._given_up = 0
                raise
            self._given_up = 0
            self.answered_by = completion.model or self.answered_by
            return completion.generated()
        self._given_up += 1
        if self._given_up >= GIVEN_UP_IN_A_ROW:
            self._gone_for, self._gone_until = str(trouble), time.monotonic() + self.gone_seconds
            gone.set()
        raise NoAnswer(f"{self.url} gave no answer in {self.tries} tries, at last: {trouble}")

    async def _completion(self, client: httpx2.AsyncClient, body: bytes) -> _Completion:
        """One try. Raises _Trouble where another may help, Refused or Blocked where not."""
        try:
            with anyio.fail_after(self.timeout_seconds):
                response = await client.post(f"{self.url}/chat/completions", content=body)
        except TimeoutError as error:
            raise _Trouble(f"no answer within {self.timeout_seconds:g} s") from error
        except httpx2.RequestError as error:  # refused, reset, cut off in the middle
            raise _Trouble(_said_by(error)) from error
        if _is_passing(response.status_code):
            raise _Trouble(f"{_status(response)}: {self._quoted(response)}", _seconds_asked_for(response))
        if response.status_code != 200:
            raise self._refusal(response)
        try:
            return _Completion.model_validate_json(response.content)
        except ValidationError as error:
            raise _Trouble(f"what came is no chat completion: {self._quoted(response)}") from error

    def _body(self, question: Question) -> bytes:
        pictures = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"}}
            for jpeg in question.jpegs
        ]
        text = [{"type": "text", "text": question.text}] if question.text else []
        # Text alone goes as a string: there are servers, and chat templates, that take nothing else.
        content = [*pictures, *text] if pictures else question.text
        body = {"model": self.model, "messages": [{"role": "user", "content": content}], **self.parameters}
        return json.dumps({name: value for name, value in body.items() if value is not None}).encode()

    # --- keys and errors ------------------------------------------------------------------------------------------

    def _key(self) -> str:
        """Raises Refused where there is none, or none that could stand in a header."""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise Refused(f"{self.url} is to be asked with the key in {self.key_variable}: that variable is not set")
        if not (key.isascii() and key.isprintable()):
            raise Refused(f"what the environment variable {self.key_variable} holds cannot be a key")
        return key

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        return headers | {"Authorization": f"Bearer {self._key()}"} if self.key_variable else headers

    def _refusal(self, response: httpx2.Response) -> Refused | Blocked:
        said = f"{self.url} answers {_status(response)}: {self._quoted(response)}"
        if response.status_code == 400 and any(word in response.text for word in ("content_filter", "content_policy")):
            return Blocked(said)
        return Refused(f"{said}. {self._advice(response.status_code)}")

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            if self.key_variable:
                return f"Set the environment variable {self.key_variable} to a key that it takes for {self.model}"
            return "It wants a key: put one into an environment variable, and set key_variable to that one's name"
        if status == 404:
            return f"See that url ends where the server's API begins, mostly with /v1, and that it serves {self.model}"
        if status == 413:
            return "The request is too large for it: fewer pictures at once, or a higher limit in the server's settings"
        if 300 <= status < 400:
            return "It sends elsewhere: set url to where it is"
        return f"See that {self.model} takes such a message, and every parameter of {json.dumps(dict(self.parameters))}"

    def _quoted(self, response: httpx2.Response) -> str:
        """What the server said, brief and on one line; never the key, should it repeat that."""
        said = " ".join(response.text.split())
        if self.key_variable:
            said = said.replace(self._key(), "…")
        return f"{said[:QUOTED_CHARACTERS]}…" if len(said) > QUOTED_CHARACTERS else said or "without a word"


class _Trouble(Exception):
    """What another try may get over. seconds_asked_for: how long the server wants to be left alone."""

    def __init__(self, said: str, seconds_asked_for: float = 0.0) -> None:
        super().__init__(said)
        self.seconds_asked_for = seconds_asked_for


def wait_seconds(attempt: int, first: float, asked_for: float) -> float:
    """Before the try of that number, 1 for the second. Drawn by lot, so that those who failed together do not come back
    together. asked_for: by the server, in seconds; 0 where it asks for none.
    """
    own = first * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
    return min(max(own, asked_for * random.uniform(1.0, 1.25)), LONGEST_WAIT_SECONDS)


def _is_passing(status: int) -> bool:
    """Too slow, too busy, or broken inside; 501 is not implemented, and will not be."""
    return status in (408, 425, 429) or (status >= 500 and status != 501)


def _seconds_asked_for(response: httpx2.Response) -> float:
    """Of the header Retry-After, which holds seconds or a date; 0 without one that can be read."""
    value = response.headers.get("retry-after", "")
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):  # TypeError: a date without a time zone
        return 0.0


def _status(response: httpx2.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def _said_by(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


# --- what comes back, as far as it is read ------------------------------------------------------------------------


class _Part(BaseModel):
    text: str = ""


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        parts = [part.text for part in self.content] if isinstance(self.content, list) else [self.content or ""]
        return "".join(parts).strip()


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    model: str | None = None
    usage: _Usage | None = None

    def generated(self) -> Generated:
        """Raises Blocked or EmptyAnswer."""
        choice, usage = self.choices[0], self.usage or _Usage()
        text = choice.message.text
        if choice.message.refusal:
            raise Blocked(f"the model refuses: {choice.message.refusal}")
        if choice.finish_reason == "content_filter":
            raise Blocked("the server's content filter holds the answer back")
        if not text:
            raise EmptyAnswer(f"the answer holds no text; it ended by {choice.finish_reason}")
        status: Status = "truncated" if choice.finish_reason == "length" else "success"
        return Generated(text, status, usage.prompt_tokens, usage.completion_tokens)


class _Listed(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Listed]
