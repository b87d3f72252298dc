"""A clip's caption, written by a language model from the captions of its frames.

As the InternVid paper does it (section 3.2), captions of both scales are joined into one text. Captions that are too
long to be read at once are split between captions, each part is summarised, and then the summaries are, until one is
left: nothing is cut off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from internvid.captions.summary import ClipSummary, TimedCaption
from internvid.text.generated import Generated, Status
from internvid.text.splitting import in_runs, text_in_parts

CAPTIONS = "{captions}"  # where a template takes them
VERSION = "1"  # of how captions are joined and split: count it up with any change


class Writer(Protocol):
    """A language model, wherever it runs: a LanguageModel, a ServedModel."""

    @property
    def limit(self) -> str:
        """How long a prompt may be, in words."""

    def fits(self, prompt: str) -> bool:
        """Whether the model can read all of it; if so, it can read less of it."""

    def answer(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """To each prompt, in their order; an error to one without an answer."""


@dataclass(frozen=True)
class Told:
    """What was said of a span of the clip; seconds count from its start. scale: of a frame's caption."""

    first_seconds: float
    last_seconds: float
    text: str
    scale: str = ""


@dataclass
class _Clip:
    """What is still to be summarised of a clip, and what was spent on it."""

    told: list[Told]
    parts: list[list[Told]] = field(default_factory=list)
    rounds: list[list[Told]] = field(default_factory=list)  # of summaries of parts
    prompt_tokens: int = 0
    output_tokens: int = 0
    status: Status = "success"
    answer: ClipSummary | Exception | None = None

    def take(self, answers: Sequence[Generated | Exception]) -> None:
        """answers: of each part."""
        summaries = []
        for part, answer in zip(self.parts, answers, strict=True):
            if isinstance(answer, Exception):
                self.answer = answer
                return
            self.prompt_tokens += answer.prompt_tokens or 0
            self.output_tokens += answer.output_tokens or 0
            if answer.status == "truncated":
                self.status = "truncated"
            summaries.append(Told(part[0].first_seconds, part[-1].last_seconds, " ".join(answer.text.split())))
        if len(summaries) > 1:
            self.rounds.append(summaries)
            self.told = summaries
            return
        self.answer = ClipSummary(
            summaries[0].text, self._evidence(), self.status, self.prompt_tokens, self.output_tokens
        )

    def _evidence(self) -> str | None:
        """The summaries that the caption was put together from, round by round; None if it was written at once."""
        if not self.rounds:
            return None
        return json.dumps(
            {
                "parts": [
                    [
                        {
                            "from_seconds": round(part.first_seconds, 3),
                            "to_seconds": round(part.last_seconds, 3),
                            "summary": part.text,
                        }
                        for part in summaries
                    ]
                    for summaries in self.rounds
                ]
            },
            sort_keys=True,
        )


class WritingSummariser:
    """template: what a model that follows instructions is told, with {captions} in it; None for a model that was
    trained to summarise and gets the captions alone.
    """

    def __init__(self, writer: Writer, template: str | None = None) -> None:
        self.writer, self.template = writer, template

    def summarise(self, clips: Sequence[Sequence[TimedCaption]]) -> list[ClipSummary | Exception]:
        """One caption of each clip from its frames' captions in order of time; for a clip without one the error."""
        unfinished = [_Clip(said_once(captions)) for captions in clips]
        answered = list(unfinished)
        while unfinished:
            for clip in unfinished:
                self._split(clip)
            unfinished = [clip for clip in unfinished if clip.answer is None]
            prompts = [self.prompt(part) for clip in unfinished for part in clip.parts]
            answers = iter(self.writer.answer(prompts))
            for clip in unfinished:
                clip.take([next(answers) for _ in clip.parts])
            unfinished = [clip for clip in unfinished if clip.answer is None]
        return [clip.answer for clip in answered if clip.answer is not None]

    def prompt(self, told: Sequence[Told]) -> str:
        if self.template is None:
            return " ".join(as_sentence(one.text) for one in told)
        return self.template.replace(CAPTIONS, "\n".join(map(as_line, told)))

    def _split(self, clip: _Clip) -> None:
        """Into parts that the model can read, or answers why that cannot be."""
        if not clip.told:
            clip.answer = ValueError("a clip without frame captions cannot be summarised: caption at least one frame")
            return
        try:
            clip.parts = self._parts(clip.told)
        except ValueError as error:
            clip.answer = error
            return
        if clip.rounds and len(clip.parts) == len(clip.told):
            clip.answer = ValueError(
                f"no two summaries of parts fit into the {self.writer.limit} that the model reads, so they cannot be "
                "merged: have it write less, or set that it reads more"
            )

    def _parts(self, told: list[Told]) -> list[list[Told]]:
        if self._fit(told):
            return [told]
        pieces = [piece for one in told for piece in self._pieces(one)]
        return in_runs(pieces, self._fit)

    def _pieces(self, one: Told) -> list[Told]:
        """What was said, or where that is too long by itself, its parts."""

        def told(text: str) -> Told:
            return replace(one, text=text)

        return [told(text) for text in text_in_parts(one.text, lambda text: self._fit([told(text)]))]

    def _fit(self, told: Sequence[Told]) -> bool:
        return self.writer.fits(self.prompt(told))


def said_once(captions: Sequence[TimedCaption]) -> list[Told]:
    """The captions in their order, without those that say the same in the same words as one before."""
    told: dict[str, Told] = {}
    for caption in captions:
        text = " ".join(caption.caption.split())
        if text:
            told.setdefault(text.rstrip(".").casefold(), Told(caption.seconds, caption.seconds, text, caption.scale))
    return list(told.values())


def as_sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def as_line(one: Told) -> str:
    """As "2.0 s, coarse: a dog runs", or of a summary "0.0 to 9.0 s: a dog runs"."""
    until = f" to {one.last_seconds:.1f}" if one.last_seconds > one.first_seconds else ""
    scale = f", {one.scale}" if one.scale else ""
    return f"{one.first_seconds:.1f}{until} s{scale}: {one.text}"
