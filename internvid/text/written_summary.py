"""Summarises the captions of a clip's frames into the clip's caption, with a language model.

As in the InternVid paper (section 3.2), the captions of both scales are joined into one text. If the text is too long
for the model, it is split between captions, each part is summarised, and the summaries are summarised again until one
is left. No caption is cut off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from internvid.captions.summary import ClipSummary, TimedCaption
from internvid.text.generated import Generated, Status
from internvid.text.splitting import split_into_runs, split_text

CAPTIONS = "{captions}"  # placeholder of a template
VERSION = "1"  # of joining and splitting captions: increment it with every change


class Writer(Protocol):
    """A language model on this machine or on a server: a LanguageModel or a ServedModel."""

    @property
    def limit(self) -> str:
        """Upper bound on the length of a prompt, with its unit, for messages."""

    def fits(self, prompt: str) -> bool:
        """Returns whether the model can read the whole prompt; if so, shorter prompts fit too."""

    def answer(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """Returns the answer to each prompt, in their order; an error for a prompt without an answer."""


@dataclass(frozen=True)
class SpanCaption:
    """A caption of a span of the clip, in seconds from its start. scale: of a frame's caption, else empty."""

    first_seconds: float
    last_seconds: float
    text: str
    scale: str = ""


@dataclass
class _Clip:
    """State of summarising a clip: the captions still to be merged, and the tokens used so far."""

    captions: list[SpanCaption]
    parts: list[list[SpanCaption]] = field(default_factory=list)
    rounds: list[list[SpanCaption]] = field(default_factory=list)  # summaries of parts, by round
    prompt_tokens: int = 0
    output_tokens: int = 0
    status: Status = "success"
    answer: ClipSummary | Exception | None = None

    def take(self, answers: Sequence[Generated | Exception]) -> None:
        """Takes the answers to `parts`: finishes the clip, or makes the summaries its new captions."""
        summaries = []
        for part, answer in zip(self.parts, answers, strict=True):
            if isinstance(answer, Exception):
                self.answer = answer
                return
            self.prompt_tokens += answer.prompt_tokens or 0
            self.output_tokens += answer.output_tokens or 0
            if answer.status == "truncated":
                self.status = "truncated"
            summaries.append(SpanCaption(part[0].first_seconds, part[-1].last_seconds, " ".join(answer.text.split())))
        if len(summaries) > 1:
            self.rounds.append(summaries)
            self.captions = summaries
            return
        self.answer = ClipSummary(
            summaries[0].text, self._evidence(), self.status, self.prompt_tokens, self.output_tokens
        )

    def _evidence(self) -> str | None:
        """Returns the intermediate summaries by round, as JSON; None if there was one round."""
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
    """Summarises frame captions into clip captions.

    template: prompt for a model that follows instructions, with {captions}; None for a summarisation model, which gets
    the captions alone.
    """

    def __init__(self, writer: Writer, template: str | None = None) -> None:
        self.writer, self.template = writer, template

    def summarise(self, clips: Sequence[Sequence[TimedCaption]]) -> list[ClipSummary | Exception]:
        """Returns a caption or an error for each clip. clips: the captions of each clip's frames, in order of time."""
        unfinished = [_Clip(unique_captions(captions)) for captions in clips]
        all_clips = list(unfinished)
        while unfinished:
            for clip in unfinished:
                self._split(clip)
            unfinished = [clip for clip in unfinished if clip.answer is None]
            prompts = [self.prompt(part) for clip in unfinished for part in clip.parts]
            answers = iter(self.writer.answer(prompts))
            for clip in unfinished:
                clip.take([next(answers) for _ in clip.parts])
            unfinished = [clip for clip in unfinished if clip.answer is None]
        return [clip.answer for clip in all_clips if clip.answer is not None]

    def prompt(self, captions: Sequence[SpanCaption]) -> str:
        if self.template is None:
            return " ".join(with_full_stop(caption.text) for caption in captions)
        return self.template.replace(CAPTIONS, "\n".join(map(caption_line, captions)))

    def _split(self, clip: _Clip) -> None:
        """Splits the clip's captions into parts that the model can read, or sets an error as its answer."""
        if not clip.captions:
            clip.answer = ValueError("a clip without frame captions cannot be summarised: caption at least one frame")
            return
        try:
            clip.parts = self._parts(clip.captions)
        except ValueError as error:
            clip.answer = error
            return
        if clip.rounds and len(clip.parts) == len(clip.captions):
            clip.answer = ValueError(
                f"no two summaries of parts fit into the {self.writer.limit} that the model reads, so they cannot be "
                "merged: have it write less, or set that it reads more"
            )

    def _parts(self, captions: list[SpanCaption]) -> list[list[SpanCaption]]:
        if self._fit(captions):
            return [captions]
        pieces = [piece for caption in captions for piece in self._pieces(caption)]
        return split_into_runs(pieces, self._fit)

    def _pieces(self, caption: SpanCaption) -> list[SpanCaption]:
        """Returns the caption; if it alone is too long, its parts."""

        def captions(text: str) -> SpanCaption:
            return replace(caption, text=text)

        return [captions(text) for text in split_text(caption.text, lambda text: self._fit([captions(text)]))]

    def _fit(self, captions: Sequence[SpanCaption]) -> bool:
        return self.writer.fits(self.prompt(captions))


def unique_captions(captions: Sequence[TimedCaption]) -> list[SpanCaption]:
    """Removes repeated captions, ignoring case, spaces and a final full stop; keeps the order."""
    span_captions: dict[str, SpanCaption] = {}
    for caption in captions:
        text = " ".join(caption.caption.split())
        if text:
            span_captions.setdefault(
                text.rstrip(".").casefold(), SpanCaption(caption.seconds, caption.seconds, text, caption.scale)
            )
    return list(span_captions.values())


def with_full_stop(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def caption_line(caption: SpanCaption) -> str:
    """Formats a caption as "2.0 s, coarse: a dog runs", and a summary as "0.0 to 9.0 s: a dog runs"."""
    until = f" to {caption.last_seconds:.1f}" if caption.last_seconds > caption.first_seconds else ""
    scale = f", {caption.scale}" if caption.scale else ""
    return f"{caption.first_seconds:.1f}{until} s{scale}: {caption.text}"
