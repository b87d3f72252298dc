"""Dialogues by a language model. An answer that names no clip of its stretch is refused, with its text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from internvid.dialogue.facts import ClipFacts, Dialogue, Turn
from internvid.text.generated import Generated
from internvid.text.written_summary import Writer

CLIPS, TURNS = "{clips}", "{turns}"  # placeholders of a template
VERSION = "1"  # of how clips are described and answers read: increment it with every change

WRITTEN = "written"  # kind of a turn whose kind the model chose


class RefusedDialogue(Exception):
    """The model's dialogue cannot be used. The message says why, and holds what the model wrote."""


class _WrittenTurn(BaseModel):
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    clips: list[int] = []


class _WrittenDialogue(BaseModel):
    turns: list[_WrittenTurn] = Field(min_length=1)


class DialogueWriter:
    """Has a language model write dialogues.

    template: prompt, with {clips} and perhaps {turns}. turns: number of questions that is asked for.
    """

    def __init__(self, writer: Writer, template: str, turns: int) -> None:
        self.writer, self.template, self.turns = writer, template, turns

    def write(self, stretches: Sequence[Sequence[ClipFacts]]) -> list[Dialogue | Exception]:
        """Returns a dialogue about each stretch, or why there is none."""
        prompts = [self.prompt(clips) for clips in stretches]
        fitting = [prompt for prompt in prompts if self.writer.fits(prompt)]
        answers = iter(self.writer.answer(fitting))
        return [
            self._dialogue(clips, next(answers)) if self.writer.fits(prompt) else self._too_long(prompt)
            for clips, prompt in zip(stretches, prompts, strict=True)
        ]

    def prompt(self, clips: Sequence[ClipFacts]) -> str:
        lines = [f"clip {number}, {clip.span}: {_described(clip)}" for number, clip in enumerate(clips, start=1)]
        return self.template.replace(TURNS, str(self.turns)).replace(CLIPS, "\n".join(lines))

    def _dialogue(self, clips: Sequence[ClipFacts], answer: Generated | Exception) -> Dialogue | Exception:
        if isinstance(answer, Exception):
            return answer
        try:
            turns = [_turn(clips, turn) for turn in _read(answer.text).turns]
        except ValueError as error:
            ending = "; the model was stopped at its limit of new tokens" if answer.status == "truncated" else ""
            return RefusedDialogue(f"{error}{ending}. The model wrote: {answer.text}")
        return Dialogue(turns, answer.status, answer.prompt_tokens, answer.output_tokens)

    def _too_long(self, prompt: str) -> Exception:
        return ValueError(
            f"a prompt of {len(prompt):,} characters is more than the {self.writer.limit} that the model reads"
        )


def _described(clip: ClipFacts) -> str:
    caption = " ".join(clip.caption.split())
    return f"{caption} Said: {' '.join(clip.speech.split())}" if clip.speech else caption


def _read(text: str) -> _WrittenDialogue:
    """Reads the JSON of an answer, which may stand between other words. Raises ValueError without it."""
    match = re.search(r"\{.*\}", text, re.DOTALL)
    if match is None:
        raise ValueError("the answer holds no JSON")
    try:
        return _WrittenDialogue.model_validate(json.loads(match[0]))
    except ValidationError as error:
        problem: Any = error.errors()[0]
        raise ValueError(
            f"the answer's JSON is no dialogue ({'.'.join(map(str, problem['loc']))}: {problem['msg']})"
        ) from error
    except ValueError as error:
        raise ValueError(f"the answer's JSON cannot be read ({error})") from error


def _turn(clips: Sequence[ClipFacts], turn: _WrittenTurn) -> Turn:
    """Raises ValueError where it names no clip of the stretch, or a clip that is not in it."""
    if not turn.clips:
        raise ValueError(f"the answer to {turn.question!r} names no clip")
    unknown = [number for number in turn.clips if not 1 <= number <= len(clips)]
    if unknown:
        raise ValueError(f"the answer to {turn.question!r} names clip {unknown[0]}, and there are 1 to {len(clips)}")
    named = [clips[number - 1] for number in dict.fromkeys(turn.clips)]
    facts = [{"clip_id": clip.clip_id, "fact": "caption", "value": clip.caption} for clip in named]
    return Turn(WRITTEN, turn.question.strip(), turn.answer.strip(), [clip.clip_id for clip in named], facts)
