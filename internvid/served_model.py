"""A chat model behind a server, with the interface of a LanguageModel for code that splits long texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from internvid.chat_server import ChatServer, Question
from internvid.text.generated import Generated


@dataclass
class ServedModel:
    """A chat model behind a server.

    max_prompt_length: upper bound on a prompt, in characters. Servers do not expose their tokeniser, so `tokens` are
    characters here.
    """

    server: ChatServer
    max_prompt_length: int
    max_new_tokens: int

    @property
    def limit(self) -> str:
        return f"{self.max_prompt_length} characters"

    def fits(self, prompt: str) -> bool:
        return len(prompt) <= self.max_prompt_length

    def answer(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """Returns the answer to each prompt, in their order, or an error of ChatServer.ask."""
        return self.server.ask([Question(prompt) for prompt in prompts])

    def tokens(self, prompt: str) -> str:
        return prompt

    def write(self, prompts: Sequence[str], *, first_token: int | None = None) -> list[Generated | Exception]:
        """Same as `answer`. first_token: must be None, because servers do not support it."""
        assert first_token is None
        return self.answer(prompts)
