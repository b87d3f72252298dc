"""A client of servers that speak OpenAI's chat protocol: vLLM, SGLang, llama.cpp, `transformers serve` and others.

Belongs here: the protocol, how many questions are under way at once, and what is tried again. What is asked, and what
becomes of an answer, is the caller's.

The openai package makes the requests. Its own retries are off, since they know neither of the limit on a whole try nor
of a server that is gone. It also reads keys, organisations and headers of OpenAI's account from the environment and
would send them to whatever server it is pointed at, so `_client` sends only headers that this module names.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from internvid.text.generated import Blocked, EmptyAnswer, Generated, Status

if TYPE_CHECKING:  # the package takes over a second to import
    import openai
    from openai import AsyncOpenAI

Result = TypeVar("Result")

CONNECT_SECONDS = 5.0  # a machine that is there takes a connection in well under one
SECONDS_FOR_MODELS = 3.0  # timeout of the request for the list of models: a person waits for the answer
MAX_WAIT_SECONDS = 60.0  # also where the server asks for more by Retry-After
# So many questions given up in a row mean that the server is gone, not that one question is more than it can bear.
GIVEN_UP_IN_A_ROW = 3
QUOTED_CHARACTERS = 500  # of what a server says about an error
# What else the package adds is not sent: the account of its environment variables, and the machine that it runs on. The
# last one is how it knows that the answer is wanted as it came.
SENT_HEADERS = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
SENT_HEADERS |= {"x-stainless-raw-response"}


class NoAnswer(ConnectionError):
    """The server gave no usable answer however often it was asked; later it may."""


class ServerGone(NoAnswer):
    """Several questions in a row got no answer: the server, not the question, is at fault."""


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
        return _in_own_loop(self._ask(questions))

    def models(self) -> list[str]:
        """Names of the models that the server says it has. Raises NoAnswer or Refused."""
        response = _in_own_loop(self._models_response())
        try:
            return [listed.id for listed in _Models.model_validate_json(response.text).data]
        except ValidationError as error:
            raise Refused(f"{self.url} speaks another protocol: {self._quoted(response)}") from error

    async def _models_response(self) -> _Response:
        import openai

        try:
            async with self._client() as client, asyncio.timeout(SECONDS_FOR_MODELS):
                response = await client.models.with_raw_response.list()
        except TimeoutError as error:
            raise NoAnswer(f"{self.url} does not answer within {SECONDS_FOR_MODELS:g} s") from error
        except openai.APIConnectionError as error:
            raise NoAnswer(f"{self.url} does not answer: {_reason(error)}") from error
        except openai.APIStatusError as error:
            raise self._refusal(_Response.of(error.response)) from error
        return _Response.of(response.http_response)

    # --- one question ---------------------------------------------------------------------------------------------

    async def _ask(self, questions: Sequence[Question]) -> list[Generated | Exception]:
        try:
            client = self._client()
        except Refused as refused:
            return [refused] * len(questions)
        answers: dict[int, Generated | Exception] = {}
        waiting = iter(enumerate(questions))
        gone = asyncio.Event()

        async def work() -> None:
            for index, question in waiting:
                try:
                    answers[index] = await self._answer(client, question, gone)
                except (NoAnswer, Refused, Blocked, EmptyAnswer) as error:
                    answers[index] = error

        async with client, asyncio.TaskGroup() as workers:
            for _ in range(min(self.concurrency, len(questions))):
                workers.create_task(work())
        return [answers[index] for index in range(len(questions))]

    async def _answer(self, client: AsyncOpenAI, question: Question, gone: asyncio.Event) -> Generated:
        """gone: wakes those that wait for their next try."""
        body = self._body(question)
        trouble = _Trouble("it was not asked")
        for attempt in range(self.tries):
            if attempt:
                seconds = wait_seconds(attempt, self.first_wait_seconds, trouble.seconds_asked_for)
                with suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), seconds)
            if time.monotonic() < self._gone_until:
                raise ServerGone(f"{self.url} is gone, so this was not asked (again): {self._gone_for}")
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
            raise ServerGone(f"{self.url} gave no answer in {self.tries} tries, at last: {trouble}")
        raise NoAnswer(f"{self.url} gave no answer in {self.tries} tries, at last: {trouble}")

    async def _completion(self, client: AsyncOpenAI, body: dict[str, Any]) -> _Completion:
        """One try. Raises _Trouble where another may help, Refused or Blocked where not."""
        import openai

        try:
            async with asyncio.timeout(self.timeout_seconds):
                # The answer as it came: the package would take anything for a completion.
                raw = await client.chat.completions.with_raw_response.create(**body)
            response = _Response.of(raw.http_response)
        except TimeoutError as error:
            raise _Trouble(f"no answer within {self.timeout_seconds:g} s") from error
        except openai.APIConnectionError as error:  # refused, reset, cut off in the middle
            raise _Trouble(_reason(error)) from error
        except openai.APIStatusError as error:
            response = _Response.of(error.response)
            if _is_passing(response.status):
                raise _Trouble(f"{response.title}: {self._quoted(response)}", response.retry_after_seconds) from error
            raise self._refusal(response) from error
        try:
            return _Completion.model_validate_json(response.text)
        except ValidationError as error:
            raise _Trouble(f"what came is no chat completion: {self._quoted(response)}") from error

    def _body(self, question: Question) -> dict[str, Any]:
        pictures = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"}}
            for jpeg in question.jpegs
        ]
        text = [{"type": "text", "text": question.text}] if question.text else []
        # Text alone goes as a string: there are servers, and chat templates, that take nothing else.
        content = [*pictures, *text] if pictures else question.text
        parameters = {name: value for name, value in self.parameters.items() if value is not None}
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "extra_body": parameters,  # servers have parameters that the package does not know
        }

    def _client(self) -> AsyncOpenAI:
        """A client of the server. It holds no key: the key is put into each request, of which nothing is logged.

        Raises Refused where the key is missing.
        """
        import openai

        key = self._key() if self.key_variable else ""

        async def send_named_headers_only(request: Any) -> None:
            for name in list(request.headers):
                if name.lower() not in SENT_HEADERS:
                    del request.headers[name]
            if key:
                request.headers["Authorization"] = f"Bearer {key}"

        http_client = openai.DefaultAsyncHttpxClient(
            event_hooks={"request": [send_named_headers_only]}, follow_redirects=False
        )
        return openai.AsyncOpenAI(
            api_key="in each request",  # an empty one, and the package would want to know why
            base_url=self.url,
            max_retries=0,
            timeout=openai.Timeout(None, connect=CONNECT_SECONDS),  # for the whole of a try see _completion
            http_client=http_client,
        )

    # --- keys and errors ------------------------------------------------------------------------------------------

    def _key(self) -> str:
        """Raises Refused where there is none, or none that could stand in a header."""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise Refused(f"{self.url} is to be asked with the key in {self.key_variable}: that variable is not set")
        if not (key.isascii() and key.isprintable()):
            raise Refused(f"what the environment variable {self.key_variable} holds cannot be a key")
        return key

    def _refusal(self, response: _Response) -> Refused | Blocked:
        text = f"{self.url} answers {response.title}: {self._quoted(response)}"
        if response.status == 400 and any(word in response.text for word in ("content_filter", "content_policy")):
            return Blocked(text)
        return Refused(f"{text}. {self._advice(response.status)}")

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

    def _quoted(self, response: _Response) -> str:
        """The response's text, brief and on one line; never the key, should the server repeat that."""
        text = " ".join(response.text.split())
        if self.key_variable:
            text = text.replace(self._key(), "…")
        return f"{text[:QUOTED_CHARACTERS]}…" if len(text) > QUOTED_CHARACTERS else text or "without a word"


@dataclass(frozen=True)
class _Response:
    """What the server sent. title: status and its name. retry_after: that header, empty without it."""

    status: int
    title: str
    text: str
    retry_after: str

    @classmethod
    def of(cls, response: Any) -> _Response:
        """response: of the HTTP client that the package brings."""
        title = f"{response.status_code} {response.reason_phrase}".strip()
        return cls(response.status_code, title, response.text, response.headers.get("retry-after", ""))

    @property
    def retry_after_seconds(self) -> float:
        """Of the header Retry-After, which holds seconds or a date; 0 without one that can be read."""
        try:
            return max(float(self.retry_after), 0.0)
        except ValueError:
            pass
        try:
            return max((parsedate_to_datetime(self.retry_after) - datetime.now(UTC)).total_seconds(), 0.0)
        except (ValueError, TypeError):  # TypeError: a date without a time zone
            return 0.0


class _Trouble(Exception):
    """What another try may get over. seconds_asked_for: the delay that the server asks for."""

    def __init__(self, text: str, seconds_asked_for: float = 0.0) -> None:
        super().__init__(text)
        self.seconds_asked_for = seconds_asked_for


def wait_seconds(attempt: int, first: float, asked_for: float) -> float:
    """Seconds before the try of that number, 1 for the second: drawn by chance, so that those who failed together do
    not come back together. asked_for: by the server, in seconds; 0 where it asks for none.
    """
    own = first * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
    return min(max(own, asked_for * random.uniform(1.0, 1.25)), MAX_WAIT_SECONDS)


def _is_passing(status: int) -> bool:
    """Too slow, too busy, or broken inside; 501 is not implemented, and will not be."""
    return status in (408, 425, 429) or (status >= 500 and status != 501)


def _reason(error: openai.APIConnectionError) -> str:
    """What broke a connection: the package's own error names no reason, and holds the one that does."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__


def _in_own_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs it in an event loop of a thread of its own: the caller's may have one running, as a notebook's does."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


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
