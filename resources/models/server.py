"""The base of providers of models on a server: its address, parameters of requests, timeouts and retries."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from resources.incremental.faults import ModelUnavailable, ServerUnreachable
from resources.incremental.provenance import digest
from resources.models.provider import ModelProvider, Readiness

if TYPE_CHECKING:
    from internvid.chat_server import ChatServer


class ServerProvider(ModelProvider):
    """A model of any server with OpenAI's chat protocol.

    url: address up to and including /v1. served_model: the server's name of the model. key_variable: environment
    variable with the server's key, where it needs one. parameters: further parameters of the request; null removes one:
    {max_tokens: null, max_completion_tokens: 64}. concurrency: upper bound on simultaneous requests. timeout_seconds:
    timeout of one try. tries: upper bound on tries of a request to a busy, broken or absent server.
    """

    url: str
    served_model: str
    key_variable: str = ""
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    parameters: dict[str, Optional[Any]] = {}  # noqa: UP045 - what Dagster takes for a value that may be null
    concurrency: int = Field(default=16, ge=1)
    timeout_seconds: float = Field(default=120.0, gt=0)
    tries: int = Field(default=4, ge=1)

    @field_validator("url")
    @classmethod
    def _is_of_a_server(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a server, such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("a key in the url would be shown and stored; set key_variable to a variable that holds it")
        return url.rstrip("/")

    @property
    def model(self) -> str:
        return self.served_model

    @property
    def revision(self) -> str | None:
        """The model's name in the server's last answer, which often contains the version behind an alias."""
        return self._server.answered_by

    @property
    def device_name(self) -> str:
        return self.url

    @property
    def version(self) -> str:
        """Does not contain the url: the same model at another address writes the same."""
        parameters = [f"{name}={json.dumps(value)}" for name, value in sorted(self._all_parameters.items())]
        return "+".join([self.served_model, "server", *parameters, f"prompt {digest(*self._prompts)[:8]}"])

    @property
    def _prompts(self) -> list[str]:
        """All prompts of the model."""
        raise NotImplementedError

    @property
    def _all_parameters(self) -> dict[str, Any]:
        return {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            **self.parameters,
        }

    @cached_property
    def _server(self) -> ChatServer:
        return self._server_with(self._all_parameters)

    def _server_with(self, parameters: dict[str, Any]) -> ChatServer:
        """Returns a client that sends these parameters with each request."""
        from internvid.chat_server import ChatServer

        return ChatServer(
            self.url,
            self.served_model,
            self.key_variable,
            parameters,
            self.concurrency,
            self.timeout_seconds,
            self.tries,
        )

    def prepare(self) -> None:
        """Asks the server for its models.

        Raises ServerUnreachable where it does not answer, and ModelUnavailable where it does not have the model.
        """
        readiness = self.readiness()
        if readiness.state == "unreachable":
            raise ServerUnreachable(readiness.advice)
        if readiness.state == "missing":
            raise ModelUnavailable(readiness.advice)

    def readiness(self) -> Readiness:
        from internvid.chat_server import NoAnswer, Refused

        try:
            served = self._server.models()
        except NoAnswer as error:
            return Readiness("unreachable", advice=f"{error}; start the server, or set `url` to where it is")
        except Refused as error:
            return Readiness("unreachable", advice=str(error))
        if self.served_model not in served:
            return Readiness(
                "missing",
                advice=f"{self.url} lists {', '.join(served) or 'no model'}, and not {self.served_model}: set "
                "`served_model` to one that it has, or start it with this one",
            )
        return Readiness("ready")
