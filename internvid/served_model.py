"""A chat model behind a server, for what splits texts that are too long for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from internvid.chat_server import ChatServer, Question
from internvid.text.generated import Generated


@dataclass
class ServedModel:
    """room: how many characters a prompt may have. A server does not say what its tokens are, so characters stand in
    for them here.
    """

    server: ChatServer
    room: int
    max_new_tokens: int

    @property
    def limit(self) -> str:
        return f"{self.room} characters"

    def fits(self, prompt: str) -> bool:
        return len(prompt) <= self.room

    def answer(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """To each prompt in their order, or an error of ChatServer.ask."""
        return self.server.ask([Question(prompt) for prompt in prompts])

    def tokens(self, prompt: str) -> str:
        return prompt

    def write(self, prompts: Sequence[str], *, first_token: int | None = None) -> list[Generated | Exception]:
        """As `answer`. first_token: None, for no server takes one; models of `transformers` do."""
        assert first_token is None
        return self.answer(prompts)
