"""What a language model wrote, whatever it wrote it about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["success", "truncated"]


@dataclass(frozen=True)
class Generated:
    """text: without the prompt, stripped. status: truncated where the model was stopped at its limit of new tokens.

    prompt_tokens, output_tokens: as the model's tokeniser, or the server, counted them; None where nobody did.
    """

    text: str
    status: Status = "success"
    prompt_tokens: int | None = None
    output_tokens: int | None = None


class Blocked(Exception):
    """The model, or what guards it, refused to answer: asking again with the same input will not help."""


class EmptyAnswer(Exception):
    """The model wrote nothing."""
