"""The answer of a language model, independent of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["success", "truncated"]


@dataclass(frozen=True)
class Generated:
    """text: without the prompt, stripped. status: truncated if the model reached its limit of new tokens.

    prompt_tokens, output_tokens: counted by the model's tokeniser or by the server; None if unknown.
    """

    text: str
    status: Status = "success"
    prompt_tokens: int | None = None
    output_tokens: int | None = None


class Blocked(Exception):
    """The model or its content filter refused to answer: a retry with the same input is useless."""


class EmptyAnswer(Exception):
    """The model wrote nothing."""
